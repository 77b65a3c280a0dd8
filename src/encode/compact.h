// SPDX-License-Identifier: Apache-2.0
/*
 * compact.h - a snapshot as one small message, and back (docs/fleet.md)
 *
 * The encoding is that of Protocol Buffers, the fields are those of compact.def. A number
 * that is not known has no field, so that 0 stays 0. Each text is in the message once;
 * rows name it by its place among them. Readers skip what they do not know: nodes of
 * different versions understand each other.
 *
 * Nothing is allocated but by the buffer written to. No I/O.
 */
#ifndef ENCODE_COMPACT_H
#define ENCODE_COMPACT_H

#include "base/buf.h"
#include "snapshot/snapshot.h"

enum {
    COMPACT_FORMAT = 1, // changed only if readers of the old one must refuse
    COMPACT_NODE_SIZE = 65,
    COMPACT_MACHINE_SIZE = 33,
    COMPACT_BOOT_SIZE = 17,
    COMPACT_VERSION_SIZE = 32,
    COMPACT_CODE_SIZE = 32,
    COMPACT_REASON_SIZE = 256,
    COMPACT_PROCESSES_MAX = 32,   // the largest, that a message has
    COMPACT_TEXTS_MAX = 1280,     // different ones in a message: more than there can be
    COMPACT_LITERALS_MAX = 16384, // bytes of those that a snapshot only points at
    COMPACT_FIELDS_MAX = 16384,   // and parts: nearly twice as many as there can be
    COMPACT_MAX = 512 * 1024, // bytes of a message: the largest there can be is smaller
};

/* Whose a message is, and what is not in it. */
struct compact_head {
    char node[COMPACT_NODE_SIZE];
    char machine[COMPACT_MACHINE_SIZE]; // 32 hexadecimal digits, the same for each run
    char boot[COMPACT_BOOT_SIZE];       // 16 of this run of the program
    char version[COMPACT_VERSION_SIZE];
    uint64_t started_unix_ms;
    uint64_t interval_ms;
    uint64_t unix_ms;                    // of the snapshot, or of the outage
    char outage_code[COMPACT_CODE_SIZE]; // "": there are figures
    char outage_reason[COMPACT_REASON_SIZE];
    uint32_t models_left_out; // the smallest, for want of room
    uint32_t processes_left_out;
    bool gateway;         // it sums up nodes of its own, and is no host
    uint32_t nodes;       // how many of them
    uint32_t gpus;        // of those nodes
    struct fleet_via via; // gateways that its sum is made of

    /*
     * Over all models, as compact_write() finds; not known of a host with a row for each.
     * NAN, UNKNOWN: not known.
     */
    uint64_t requests_running;
    uint64_t requests_waiting;
    struct figure kv_pool_bytes;
    uint64_t kv_pool_unknown; // models of which it is not
    struct hit_counts prefix_minute;
    struct hit_counts prefix_five_minutes;
    struct hit_counts prefix_lifetime;
};

/* What is needed while a message is written; some 30 KiB, to be kept between two. */
struct compact_writer {
    struct buf *out;
    size_t n_texts;
    struct span texts[COMPACT_TEXTS_MAX];
    uint16_t slots[4096]; // 1 + index of `texts`, by hash
    int error;
};

/*
 * Replace what is in `out` with the message. Without `snapshot` there is an outage, of
 * which `self` is all that is known. What the head says is left out is reckoned here. More
 * than `max` bytes: processes and events are left out, then models, the smallest first.
 * -E2BIG: even so there is no room.
 */
int compact_write(struct compact_writer *writer, struct buf *out,
                  const struct compact_head *head, const struct snapshot *snapshot,
                  const struct snapshot_self *self, size_t max) MUST_CHECK;

/* A message taken apart; it points into itself alone. Some 250 KiB, of which rows that are
 * not there are not touched. */
struct compact_message {
    struct compact_head head;
    bool has_figures; // else it tells of an outage, and of `snapshot` only `self` holds
    size_t literals_len;
    char literals[COMPACT_LITERALS_MAX];
    struct snapshot snapshot;
};

/* What is needed while a message is read. */
struct compact_reader {
    size_t n_fields;
    size_t n_texts;
    struct span texts[COMPACT_TEXTS_MAX];
    const char *literals[COMPACT_TEXTS_MAX]; // where a text has been kept; NULL: not yet
    struct compact_message *message;
};

/*
 * Read a message from anybody. -EBADMSG: it is none, or says what cannot be.
 * -EPROTONOSUPPORT: it is of a format that is not known here. -E2BIG: more than a message
 * may have. `ret` then means nothing.
 */
int compact_read(struct compact_reader *reader, struct span bytes,
                 struct compact_message *ret) MUST_CHECK;

/*
 * Its snapshot, to be kept while another message is read; the fleet stays as it is. What
 * the message keeps of literals is copied to `literals`, of COMPACT_LITERALS_MAX bytes, and
 * pointed at there.
 */
void compact_copy(const struct compact_message *message, struct snapshot *ret,
                  char *literals);

#endif
