// SPDX-License-Identifier: Apache-2.0
#include "tui/history.h"

#include <math.h>

static uint32_t newest(const struct history *history)
{
    return (history->next + HISTORY_SAMPLES - 1) % HISTORY_SAMPLES;
}

void history_add(struct history *history, int64_t unix_ms,
                 const double values[N_HISTORY_SERIES])
{
    while (history->count && history->unix_ms[newest(history)] >= unix_ms) {
        history->next = newest(history);
        history->count--;
    }
    for (int i = 0; i < N_HISTORY_SERIES; i++)
        history->values[i][history->next] = (float)values[i];
    history->unix_ms[history->next] = unix_ms;
    history->next = (history->next + 1) % HISTORY_SAMPLES;
    if (history->count < HISTORY_SAMPLES)
        history->count++;
}

void history_add_gap(struct history *history, int64_t unix_ms, int64_t interval_ms)
{
    static const double unknown[N_HISTORY_SERIES] = {(double)NAN, (double)NAN,
                                                     (double)NAN};
    int64_t missing;

    if (!history->count || interval_ms <= 0)
        return;
    // A beat may be late by three quarters of an interval and yet be the next one.
    missing =
        (unix_ms - history->unix_ms[newest(history)] + interval_ms / 4) / interval_ms - 1;
    for (int64_t i = MIN(missing, (int64_t)HISTORY_SAMPLES); i > 0; i--)
        history_add(history, unix_ms - i * interval_ms, unknown);
}

size_t history_read(const struct history *history, enum history_series series, float *ret,
                    size_t n)
{
    uint32_t at;

    if (n > history->count)
        n = history->count;
    at = (history->next + HISTORY_SAMPLES - (uint32_t)n) % HISTORY_SAMPLES;
    for (size_t i = 0; i < n; i++)
        ret[i] = history->values[series][(at + i) % HISTORY_SAMPLES];
    return n;
}
