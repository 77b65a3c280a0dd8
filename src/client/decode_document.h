// SPDX-License-Identifier: Apache-2.0
/*
 * decode_document.h - a document with all that belongs to it, in one arena
 */
#ifndef CLIENT_DECODE_DOCUMENT_H
#define CLIENT_DECODE_DOCUMENT_H

#include "base/complaint.h"
#include "client/arena.h"
#include "client/decode_shape.h"
#include "vramscope.h"

#include <stdatomic.h>

/* Lies in the arena itself. */
struct document {
    struct arena arena;
    atomic_uint references; // may be taken and given back on any thread
    union {
        struct vramscope_snapshot snapshot;
        struct vramscope_detail detail;
    } root;
};

/* `shape`: of the root. With one reference. Errors are those of decode.h. */
int document_read(struct span json, const struct shape *shape, struct document **ret,
                  struct complaint *why) MUST_CHECK;
void document_free(struct document *document); // takes NULL; references are not looked at

#endif
