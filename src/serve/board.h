// SPDX-License-Identifier: Apache-2.0
/*
 * board.h - what is published at this moment, for any thread to read
 *
 * Either a snapshot, in each of its forms, or the reason why there is none. What is
 * published is put into the past as well.
 */
#ifndef SERVE_BOARD_H
#define SERVE_BOARD_H

#include "encode/seed.h"
#include "history/past.h"
#include "serve/channel.h"
#include "serve/metrics_page.h"
#include "serve/outage.h"

enum channel_kind { CHANNEL_SEED, CHANNEL_DETAIL, CHANNELS };

struct board;

/* Detail documents that are there already, in place of those made from the snapshot. */
struct board_documents {
    channel_write_fn *write; // append that of the snapshot published last
    void *ctx;
    const char *boot; // of their ids; its text may change before board_begin_anew()
};

/*
 * Who is told of each detail document and each outage, on the thread that publishes. What
 * is told is lent for the call. Documents are then made whether anybody asks for them.
 */
struct board_tap {
    void (*document)(void *ctx, int64_t unix_ms, struct span id, struct span document);
    void (*outage)(void *ctx, const char *reason);
    void *ctx;
};

struct board_options {
    enum seed_model_id model_id;
    const struct board_documents *documents; // lent for the call; NULL: made here
    struct past *past;                       // lent, added to; NULL: one of its own
    const struct board_tap *tap;             // lent for the call; NULL: none
    bool fleet;       // snapshots may be a gateway's: documents may be longer
    bool one_of_many; // renders only what is asked for, and keeps few documents
    uint64_t interval_ms;
    uint64_t (*now_ns)(void); // CLOCK_MONOTONIC
};

/* What is known of the moment without the documents. */
struct board_state {
    bool out;              // there is no snapshot, for the reason below
    uint64_t taken_ns;     // the snapshot's
    uint64_t gpu_taken_ns; // 0: no GPU on purpose
    char code[OUTAGE_CODE_SIZE];
    char reason[OUTAGE_TEXT_SIZE];
    char remedy[OUTAGE_TEXT_SIZE];
};

/* What the newest snapshot says beside what is in the past. */
struct board_newest {
    uint64_t taken_ns;
    uint64_t total_bytes; // UNKNOWN
};

int board_new(const struct board_options *options, struct board **ret) MUST_CHECK;
void board_free(struct board *board); // after the outlets of its channels

struct channel *board_channel(struct board *board, enum channel_kind kind);

const char *board_boot(const struct board *board); // of this run, as documents have it

/* NULL: there is none, as the documents come from elsewhere and say more than snapshots. */
struct metrics_page *board_metrics_page(struct board *board);

/* By one thread at a time. The snapshot is kept; texts are copied. */
int board_publish(struct board *board, const struct snapshot *snapshot) MUST_CHECK;

/*
 * There are no figures. `nodes`, kept: of a gateway, a snapshot of which `fleet` holds all
 * the same, with its number, events and `self`; it becomes a detail document where it has
 * any node, or where documents are there already. NULL: none.
 */
int board_publish_outage(struct board *board, const struct outage *outage,
                         const struct snapshot *nodes) MUST_CHECK;

/* What is published next is of another run: its numbers begin anew. */
void board_begin_anew(struct board *board);

/* Its rows are appended, as the seed has them. -ENODATA: there is no snapshot now. */
int board_newest(struct board *board, struct buf *models,
                 struct board_newest *ret) MUST_CHECK;

/* Whatever was the newest is in it; lent. */
struct past *board_past(struct board *board);

/* The newest snapshot. -ENODATA: there is none now. */
int board_copy_snapshot(struct board *board, struct snapshot *ret) MUST_CHECK;

bool board_is_out(struct board *board);
struct board_state board_state(struct board *board);

#endif
