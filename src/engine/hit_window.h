// SPDX-License-Identifier: Apache-2.0
/*
 * hit_window.h - prefix-cache hits and queries of late, from growing counters
 *
 * Only differences between two readings of the same server count. When a counter went
 * back, the server was restarted: what it shows is the new baseline, and the window
 * begins anew. So it does after a whole window without a reading, because nobody knows when in
 * that time the difference came in.
 */
#ifndef ENGINE_HIT_WINDOW_H
#define ENGINE_HIT_WINDOW_H

#include "base/base.h"

enum { HIT_WINDOW_STEPS = 60 };

/* In tokens (in blocks before vLLM of May 2025; a ratio does not mind). */
struct hit_counts {
    double hits;
    double queries;
};

struct hit_window {
    uint32_t step_s;                          // length of a step in seconds
    struct hit_counts step[HIT_WINDOW_STEPS]; // by number of step, modulo the window
    uint64_t newest;                          // number of the newest reading's step
    struct hit_counts last;                   // the counters as last read
    bool has_last;
};

/* An empty window of HIT_WINDOW_STEPS steps of so many seconds. */
void hit_window_init(struct hit_window *window, uint32_t step_s);

/* A reading of the counters at now_ns (CLOCK_MONOTONIC). */
void hit_window_read(struct hit_window *window, struct hit_counts counters,
                     uint64_t now_ns);

/* What came in during the window that ends at now_ns. */
struct hit_counts hit_window_sum(const struct hit_window *window, uint64_t now_ns);

void hit_window_reset(struct hit_window *window); // another server answers there now

#endif
