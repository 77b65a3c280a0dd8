// SPDX-License-Identifier: Apache-2.0
/*
 * aggregated.h - the document of GET /vram/aggregated (docs/wire.md)
 *
 * What the last seconds come to, from what the board remembers of them. It is worked out
 * when somebody asks, by whoever answers, without the board's lock: each desk has one.
 */
#ifndef SERVE_AGGREGATED_H
#define SERVE_AGGREGATED_H

#include "base/buf.h"
#include "serve/board.h"

struct aggregated;

int aggregated_new(struct board *board, struct aggregated **ret) MUST_CHECK;
void aggregated_free(struct aggregated *aggregated);

/* `window` of a query, or how long it is without one. -EINVAL: it is none, or not alone. */
int aggregated_read_window(struct span query, unsigned *ret_seconds) MUST_CHECK;

/* Append the document, a line. -ENODATA: there is no snapshot. Errors of `out` stay there. */
int aggregated_write(struct aggregated *aggregated, unsigned window_seconds,
                     uint64_t now_ns, struct buf *out) MUST_CHECK;

#endif
