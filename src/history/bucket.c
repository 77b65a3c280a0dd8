// SPDX-License-Identifier: Apache-2.0
#include "history/bucket.h"

#include <math.h>

int64_t bucket_of(int64_t unix_ms, int64_t step_ms)
{
    int64_t rest = step_ms ? unix_ms % step_ms : 0;

    return unix_ms - (rest < 0 ? rest + step_ms : rest);
}

int64_t bucket_up(int64_t unix_ms, int64_t step_ms)
{
    int64_t begin_ms = bucket_of(unix_ms, step_ms);

    return begin_ms == unix_ms ? begin_ms : begin_ms + step_ms;
}

void bucket_begin(struct bucket *bucket, int64_t unix_ms)
{
    static const struct history_figure nothing = {0, (double)NAN, (double)NAN};

    *bucket = (struct bucket){.point = {.unix_ms = unix_ms, .preemptions = (double)NAN}};
    for (size_t i = 0; i < PAST_FIGURES; i++)
        bucket->point.figures[i] = nothing;
}

void bucket_add(struct bucket *bucket, const uint64_t figures[PAST_FIGURES],
                double preempted)
{
    struct history_point *point = &bucket->point;

    point->count++;
    for (size_t i = 0; i < PAST_FIGURES; i++) {
        struct history_figure *figure = &point->figures[i];
        double value = (double)figures[i];

        if (figures[i] == UNKNOWN || i == PAST_PREEMPTIONS)
            continue;
        bucket->known[i]++;
        figure->mean += value;
        figure->min = fmin(figure->min, value); // of NAN and a number: the number
        figure->max = fmax(figure->max, value);
    }
    if (!isnan(preempted))
        point->preemptions =
            isnan(point->preemptions) ? preempted : point->preemptions + preempted;
}

void bucket_end(const struct bucket *bucket, struct history_point *ret)
{
    *ret = bucket->point;
    for (size_t i = 0; i < PAST_FIGURES; i++) {
        struct history_figure *figure = &ret->figures[i];

        figure->mean =
            bucket->known[i] ? figure->mean / (double)bucket->known[i] : (double)NAN;
    }
}

double bucket_rise(struct bucket_counter *counter, int64_t unix_ms, uint64_t value)
{
    struct bucket_counter before = *counter;

    if (value == UNKNOWN)
        return (double)NAN;
    *counter = (struct bucket_counter){unix_ms, value};
    if (before.value == UNKNOWN || unix_ms - before.unix_ms > STORE_SLOT_MS)
        return (double)NAN;
    return value > before.value ? (double)(value - before.value) : 0;
}
