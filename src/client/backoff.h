// SPDX-License-Identifier: Apache-2.0
/*
 * backoff.h - how long to wait before the next attempt
 *
 * The wait doubles with each failure, and is spread so that the readers of a daemon that
 * was restarted do not come back all at once. Only a stream that held makes it short
 * again: who accepts and closes at once is a failure like any other. No clock.
 */
#ifndef CLIENT_BACKOFF_H
#define CLIENT_BACKOFF_H

#include "base/base.h"

enum {
    BACKOFF_FLOOR_MS = 500,
    BACKOFF_DOUBLED_MAX_MS = 30 * 1000,
    BACKOFF_ASKED_MAX_MS = 60 * 1000, // what the server may ask for
    BACKOFF_SPREAD_PERCENT = 25,      // more or less
    BACKOFF_GOOD_MS = 10 * 1000,      // a stream that held for so long
};

struct backoff {
    unsigned failures; // since the last good stream
    int base_ms;       // what `retry:` said last; negative: nothing
};

/*
 * Count a failure: the wait after it. `asked_ms`: the answer's Retry-After, negative:
 * none. `random` decides on the spread.
 */
int backoff_fail(struct backoff *backoff, int asked_ms, uint32_t random);

/* The wait after a refusal that says itself when to come back; it is no failure. */
int backoff_asked(int asked_ms, uint32_t random);

#endif
