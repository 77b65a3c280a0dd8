// SPDX-License-Identifier: Apache-2.0
/*
 * bucket.h - the samples of one series in a stretch of time, in a few numbers
 */
#ifndef HISTORY_BUCKET_H
#define HISTORY_BUCKET_H

#include "history/store.h"

struct bucket {
    struct history_point point;   // with sums in the place of means
    uint64_t known[PAST_FIGURES]; // samples; of preemptions none, which are counted
};

/* Where the bucket of `step_ms` begins that this instant is in; 0: it is one of its own. */
int64_t bucket_of(int64_t unix_ms, int64_t step_ms);

/* The same, where it is not in the middle of one. */
int64_t bucket_up(int64_t unix_ms, int64_t step_ms);

void bucket_begin(struct bucket *bucket, int64_t unix_ms);

/* `preempted`: since the sample before; NAN: not known. */
void bucket_add(struct bucket *bucket, const uint64_t figures[PAST_FIGURES],
                double preempted);

void bucket_end(const struct bucket *bucket, struct history_point *ret);

/* A counter as it was last known. */
struct bucket_counter {
    int64_t unix_ms;
    uint64_t value; // UNKNOWN: it never was
};

/*
 * By how much it has risen since, and it is taken over. One that went back is a new engine's,
 * or the clock did: nothing is known to have happened. Over a gap of more than a slot nobody
 * can say when: NAN.
 */
double bucket_rise(struct bucket_counter *counter, int64_t unix_ms, uint64_t value);

#endif
