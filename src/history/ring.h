// SPDX-License-Identifier: Apache-2.0
/*
 * ring.h - what a host's totals were at each snapshot of the last minute
 *
 * It has room for a minute at the fastest interval. Where snapshots come faster still, as
 * when a recording is played at speed, the newest of them are there. A zeroed ring is an
 * empty one; nothing is allocated. It has no lock: who shares one between threads holds
 * their own, and copies out what is wanted before working on it.
 */
#ifndef HISTORY_RING_H
#define HISTORY_RING_H

#include "snapshot/snapshot.h"

enum { RING_SAMPLES = 640 }; // 60 s at 100 ms, and some for beats that come early

enum ring_figure {
    RING_ALLOCATED_BYTES,
    RING_KV_USED_BYTES,
    RING_HIT_PERCENT,
    RING_REQUESTS_RUNNING,
    RING_REQUESTS_WAITING,
    RING_FIGURES
};

/* NAN: not known. Bytes are exact up to 2^53. */
struct ring_sample {
    uint64_t taken_ns;
    double figures[RING_FIGURES];
};

struct ring {
    struct ring_sample samples[RING_SAMPLES];
    size_t n;
    size_t next; // where the next one goes
};

/*
 * Sums over models are over those where the figure is known; where there are models, but
 * it is known of none, the sum is not known either.
 */
void ring_add(struct ring *ring, const struct snapshot *snapshot);

void ring_clear(struct ring *ring);

/* Those taken after `since_ns`, and the newest in any case; oldest first. How many. */
size_t ring_copy(const struct ring *ring, uint64_t since_ns,
                 struct ring_sample ret[RING_SAMPLES]);

#endif
