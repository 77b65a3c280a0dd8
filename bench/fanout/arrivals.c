// SPDX-License-Identifier: Apache-2.0
#include "arrivals.h"

#include <stdio.h>

int arrivals_new(struct arrivals *arrivals)
{
    arrivals->at_us = calloc(arrivals->ticks * arrivals->readers, sizeof(uint32_t));
    return arrivals->at_us ? 0 : -ENOMEM;
}

void arrivals_set(struct arrivals *arrivals, size_t tick, size_t reader, uint32_t us)
{
    arrivals->at_us[tick * arrivals->readers + reader] = us;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static uint32_t *cell(const struct arrivals *arrivals, size_t tick, size_t reader)
{
    return &arrivals->at_us[tick * arrivals->readers + reader];
}

/* When half of the readers that had an n-th event had it; 0: none had. */
static uint32_t middle_of(const struct arrivals *arrivals, size_t tick, uint32_t *room)
{
    size_t n = 0;

    for (size_t i = 0; i < arrivals->readers; i++)
        if (*cell(arrivals, tick, i))
            room[n++] = *cell(arrivals, tick, i);
    qsort(room, n, sizeof(*room), compare);
    return n ? room[n / 2] : 0;
}

static size_t nearest(const uint32_t *middles, size_t ticks, uint32_t us)
{
    size_t at = 0;

    for (size_t tick = 1; tick < ticks; tick++)
        if (abs((int)(us - middles[tick])) < abs((int)(us - middles[at])))
            at = tick;
    return at;
}

/* Move a reader's events, which are too few, to their ticks. Returns how many it missed. */
static size_t spread_out(struct arrivals *arrivals, const uint32_t *middles,
                         size_t reader)
{
    size_t last = arrivals->ticks, missed = arrivals->ticks;

    for (size_t n = arrivals->ticks; n > 0; n--) {
        uint32_t us = *cell(arrivals, n - 1, reader);
        size_t tick;

        *cell(arrivals, n - 1, reader) = 0;
        if (!us || us > middles[arrivals->ticks - 1] + arrivals->interval_us / 2)
            continue; // of a tick after the last
        tick = MIN(nearest(middles, arrivals->ticks, us), last - 1);
        last = MAX(tick, n - 1);
        *cell(arrivals, last, reader) = us;
        missed--;
    }
    return missed;
}

int arrivals_settle(struct arrivals *arrivals, struct arrivals_faults *ret)
{
    uint32_t *middles = calloc(arrivals->ticks, sizeof(*middles));
    uint32_t *room = calloc(arrivals->readers, sizeof(*room));
    uint32_t half = arrivals->interval_us / 2, end;

    *ret = (struct arrivals_faults){0};
    if (!middles || !room) {
        free(middles);
        free(room);
        return -ENOMEM;
    }
    for (size_t tick = 0; tick < arrivals->ticks; tick++)
        middles[tick] = middle_of(arrivals, tick, room);
    end = middles[arrivals->ticks - 1];
    for (size_t i = 0; i < arrivals->readers; i++) {
        uint32_t us = *cell(arrivals, arrivals->ticks - 1, i);

        if (!us || us > end + half)
            ret->missed += spread_out(arrivals, middles, i);
        else if (us + half < end)
            ret->extra++;
    }
    free(middles);
    free(room);
    return 0;
}

static void print_quantiles(const char *name, uint32_t *values, size_t n)
{
    qsort(values, n, sizeof(*values), compare);
    (void)printf(",\"%s\":{\"p50\":%u,\"p99\":%u,\"max\":%u}", name,
                 n ? values[n / 2] : 0, n ? values[n * 99 / 100] : 0,
                 n ? values[n - 1] : 0);
}

static size_t collect_skew(const struct arrivals *arrivals, uint32_t *values)
{
    size_t n = 0;

    for (size_t tick = 0; tick < arrivals->ticks; tick++) {
        const uint32_t *row = arrivals->at_us + tick * arrivals->readers;
        uint32_t first = UINT32_MAX;

        for (size_t i = 0; i < arrivals->readers; i++)
            if (row[i])
                first = MIN(first, row[i]);
        for (size_t i = 0; i < arrivals->readers; i++)
            if (row[i])
                values[n++] = row[i] - first;
    }
    return n;
}

/* A gap with a miss in it is counted as a miss, not here. */
static size_t collect_gaps(const struct arrivals *arrivals, uint32_t *values)
{
    size_t n = 0;

    for (size_t i = arrivals->readers; i < arrivals->ticks * arrivals->readers; i++) {
        uint32_t us = arrivals->at_us[i], before = arrivals->at_us[i - arrivals->readers];

        if (us && before)
            values[n++] = us - before;
    }
    return n;
}

static void gaps_to_jitter(const struct arrivals *arrivals, uint32_t *values, size_t n)
{
    uint32_t interval = arrivals->interval_us;

    for (size_t i = 0; i < n; i++)
        values[i] = values[i] > interval ? values[i] - interval : interval - values[i];
}

int arrivals_print(const struct arrivals *arrivals)
{
    uint32_t *values = calloc(arrivals->ticks * arrivals->readers, sizeof(uint32_t));
    size_t n;

    if (!values)
        return -ENOMEM;
    print_quantiles("skew_us", values, collect_skew(arrivals, values));
    n = collect_gaps(arrivals, values);
    print_quantiles("gap_us", values, n);
    gaps_to_jitter(arrivals, values, n);
    print_quantiles("jitter_us", values, n);
    free(values);
    return 0;
}
