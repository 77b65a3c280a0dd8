// SPDX-License-Identifier: Apache-2.0
/*
 * ticker.h - a steady beat that does not drift
 *
 * Deadlines are absolute (CLOCK_MONOTONIC): however long a callback takes, the next beat
 * comes at the next multiple of the period. Beats missed while the process was stopped
 * are left out, never made up for in a burst.
 */
#ifndef NET_TICKER_H
#define NET_TICKER_H

#include "base/base.h"

#include <uv.h>

typedef void ticker_fn(void *ctx, uint64_t now_ns);

struct ticker {
    uv_poll_t poll;
    ticker_fn *beat;
    void *ctx;
    int fd;
};

uint64_t ticker_now_ns(void); // CLOCK_MONOTONIC

/* Beat at first_ns and every period_ns after. In place; the address must not change. */
int ticker_start(struct ticker *ticker, uv_loop_t *loop, uint64_t first_ns,
                 uint64_t period_ns, ticker_fn *beat, void *ctx) MUST_CHECK;
void ticker_stop(struct ticker *ticker); // the loop must turn once more

#endif
