// SPDX-License-Identifier: Apache-2.0
/*
 * history.h - the last minutes of one row, as they came in
 */
#ifndef TUI_HISTORY_H
#define TUI_HISTORY_H

#include "base/base.h"

enum { HISTORY_SAMPLES = 600 }; // five minutes at the usual pace

#define HISTORY_TIME_MAX INT64_C(1000000000000000) // in the year 33658

enum history_series {
    HISTORY_KV_USED,     // bytes
    HISTORY_ALLOCATED,   // bytes
    HISTORY_HIT_PERCENT, // of the last minute
    N_HISTORY_SERIES,
};

/* A ring; NAN where it was not known. */
struct history {
    float values[N_HISTORY_SERIES][HISTORY_SAMPLES];
    int64_t unix_ms[HISTORY_SAMPLES];
    uint32_t next, count;
};

/* Samples that are not older than this one go: a clock, or a recording, went back. */
void history_add(struct history *history, int64_t unix_ms,
                 const double values[N_HISTORY_SERIES]);

/*
 * NAN for each sample that should lie between the newest and one at `unix_ms`. Times are
 * within HISTORY_TIME_MAX of 0.
 */
void history_add_gap(struct history *history, int64_t unix_ms, int64_t interval_ms);

/* The newest `n` values of a series, oldest first; fewer where there are fewer. */
size_t history_read(const struct history *history, enum history_series series, float *ret,
                    size_t n);

#endif
