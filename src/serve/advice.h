// SPDX-License-Identifier: Apache-2.0
/*
 * advice.h - the document of GET /v1/advice (docs/wire.md)
 *
 * What was observed of each model, and what follows from it for the host as it is now. It
 * is worked out when somebody asks, by whoever answers, on a copy of the newest snapshot.
 */
#ifndef SERVE_ADVICE_H
#define SERVE_ADVICE_H

#include "base/buf.h"
#include "history/advice.h"
#include "serve/board.h"

enum { ADVICE_BODY_MAX = 512 * 1024 };

/* Copy what is observed of up to `max` models; on any thread. How many. */
typedef size_t observations_fn(void *ctx, struct observation *ret, size_t max);

/* Who observes; lent. `read` is NULL where nobody does. */
struct observations_source {
    observations_fn *read;
    void *ctx;
};

/* Append the document, a line. -ENODATA: there is no snapshot. Errors of `out` stay there. */
int advice_write(struct board *board, const struct observations_source *source,
                 struct buf *out) MUST_CHECK;

#endif
