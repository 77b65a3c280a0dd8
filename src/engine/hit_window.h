// SPDX-License-Identifier: Apache-2.0
/*
 * hit_window.h - prefix-cache hits and queries of the last minute, from growing counters
 *
 * Only differences between two readings of the same server count. When a counter went
 * back, the server was restarted: what it shows is the new baseline, and the window
 * begins anew. So it does after a minute without a reading, because nobody knows when in
 * that time the difference came in.
 */
#ifndef ENGINE_HIT_WINDOW_H
#define ENGINE_HIT_WINDOW_H

#include "base/base.h"

enum { HIT_WINDOW_SECONDS = 60 };

/* In tokens (in blocks before vLLM of May 2025; a ratio does not mind). */
struct hit_counts {
    double hits;
    double queries;
};

struct hit_window {
    struct hit_counts step[HIT_WINDOW_SECONDS]; // by second, modulo the window
    uint64_t newest_s;                          // second of the newest reading
    struct hit_counts last;                     // the counters as last read
    bool has_last;
};

/* A reading of the counters at now_ns (CLOCK_MONOTONIC). */
void hit_window_read(struct hit_window *window, struct hit_counts counters,
                     uint64_t now_ns);

/* What came in during the last HIT_WINDOW_SECONDS. */
struct hit_counts hit_window_sum(const struct hit_window *window, uint64_t now_ns);

void hit_window_reset(struct hit_window *window); // another server answers there now

#endif
