// SPDX-License-Identifier: Apache-2.0
/*
 * decode_shape.h - which key of a document goes into which member of a struct
 *
 * One table line per member. A key may stand in an object of its own (`within`) that has
 * no struct: vram.total_bytes.
 */
#ifndef CLIENT_DECODE_SHAPE_H
#define CLIENT_DECODE_SHAPE_H

#include "base/base.h"

enum member_kind {
    MEMBER_COUNT,    // int64_t of 0 or more
    MEMBER_SIGNED,   // int64_t
    MEMBER_PORT,     // int64_t of 0 to 65535
    MEMBER_DECIMAL,  // double of 0 or more
    MEMBER_RATIO,    // double of 0 to 1
    MEMBER_PERCENT,  // double of 0 to 100
    MEMBER_TEXT,     // const char *
    MEMBER_BOOL,     // bool; one that is not there is false
    MEMBER_GIVEN,    // bool: whether the key is there, whatever its value but null
    MEMBER_FROM,     // enum vramscope_from
    MEMBER_SEVERITY, // enum vramscope_severity
    MEMBER_OBJECT,   // the struct of `shape`
    MEMBER_POINTER,  // a pointer to one, never NULL
    MEMBER_OPTIONAL, // a pointer to one; NULL where it is not there
    MEMBER_LIST,     // an array of pointers to structs of `shape`
    MEMBER_INDICES,  // an array of int64_t of 0 or more
    MEMBER_TOTALS,   // an object of counts: pointers to struct vramscope_limit
    MEMBER_KINDS
};

struct member {
    const char *within; // NULL: it is not
    const char *key;
    enum member_kind kind;
    size_t offset;
    const struct shape *shape;
    size_t n_offset; // of arrays: where the size_t is that counts them
    size_t max;      // of arrays: more are refused
};

struct shape {
    size_t size;
    const struct member *members;
    size_t n;
    bool required; // all of it: what is not there is an error, not unknown
};

extern const struct shape shape_snapshot; // struct vramscope_snapshot
extern const struct shape shape_detail;   // struct vramscope_detail

#endif
