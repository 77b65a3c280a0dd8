// SPDX-License-Identifier: Apache-2.0
/*
 * detail.h - the full document of GET /v1/detail and its stream (docs/wire.md)
 *
 * Everything that is in a snapshot, each number with where it comes from: an unknown one
 * is null and says why. Keys are only ever added; docs/detail.schema.json describes it.
 */
#ifndef ENCODE_DETAIL_H
#define ENCODE_DETAIL_H

#include "base/buf.h"
#include "snapshot/snapshot.h"

enum {
    DETAIL_MAX = 512 * 1024, // of one document: the largest there can be is smaller
    FLEET_DETAIL_MAX = 4 * 1024 * 1024, // of a gateway's
    DETAIL_SCHEMA = 1,
};

/* The run of the program that a document is of: `seq` counts within it. */
struct detail_origin {
    const char *boot; // hexadecimal digits
    const char *version;
    uint64_t interval_ms;
    const char *node; // which node of a gateway's it is of; NULL: this host, or the fleet
};

/* Append the JSON, one line without its end. */
void detail_write(struct buf *out, const struct snapshot *snapshot,
                  const struct detail_origin *origin);

#endif
