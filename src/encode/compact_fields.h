// SPDX-License-Identifier: Apache-2.0
/*
 * compact_fields.h - the fields of compact.def as tables; private to those who write and
 * read such messages
 */
#ifndef ENCODE_COMPACT_FIELDS_H
#define ENCODE_COMPACT_FIELDS_H

#include "encode/compact.h"

/* How a member is written; each but SIGNED and NUMBER tells "not known" by its absence. */
enum compact_kind {
    COMPACT_NONE,       // no such field
    COMPACT_NUMBER,     // unsigned of any size, bool, enum; not written where it is 0
    COMPACT_SIGNED,     // int64_t, zigzag; likewise
    COMPACT_COUNT,      // uint64_t; not written where it is UNKNOWN
    COMPACT_INSTANCE,   // uint32_t; not written where it is GPU_NO_INSTANCE
    COMPACT_REAL,       // double; not written where it is NAN
    COMPACT_TEXT,       // char[]; not written where it is ""
    COMPACT_LITERAL,    // const char *; not written where it is NULL
    COMPACT_EVENT_KIND, // enum event_kind, as its name
    COMPACT_FIGURE,     // struct figure, a message in the message
    COMPACT_VIA,        // struct fleet_via, a packed list of fixed64
};

struct compact_field {
    uint8_t kind; // enum compact_kind
    uint8_t number;
    uint16_t size;
    uint32_t offset;
    const char *name;
};

/* Fields by number, the one of number 0 being none. */
struct compact_table {
    const struct compact_field *fields;
    size_t n;
};

/* The parts of a message: its fields' numbers. Texts are strings, the others messages. */
enum compact_part {
    COMPACT_PART_TEXT = 1,
    COMPACT_PART_HEAD,
    COMPACT_PART_TOTALS,
    COMPACT_PART_SOURCE,
    COMPACT_PART_DEVICE,
    COMPACT_PART_MODEL,
    COMPACT_PART_PROCESS,
    COMPACT_PART_EVENT,
    COMPACT_PART_SELF,
    COMPACT_PART_LIMITED,
    COMPACT_PARTS,
    COMPACT_PART_FORMAT = 15, // a number
};

extern const struct compact_table compact_tables[COMPACT_PARTS]; // of parts with fields
extern const struct compact_table compact_figure;

/* Of Protocol Buffers. */
enum compact_wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

#endif
