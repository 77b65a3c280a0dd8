// SPDX-License-Identifier: Apache-2.0
/*
 * What each model of the newest moment was seen to do: from the slots of a week where
 * history is on disk, else from memory. One model at a time, so that nobody waits long.
 */
#include "history/historian_parts.h"

#include "base/log.h"

#include <math.h>

enum {
    FIRST_MS = 10 * 1000,       // when servers have been found and have answered
    FROM_MEMORY_MS = 60 * 1000, // between two rounds
    FROM_DISK_MS = 10 * 60 * 1000,
    POINTS_AT_ONCE = 64,
    SERIES_MAX = 64, // of one name, on several ports
};

#define WEEK_MS (INT64_C(7) * 24 * 3600 * 1000)
#define PPM_PER_PERCENT 1e4

/* Those of the newest moment. */
static void find_models(struct historian *historian)
{
    struct observing *observing = &historian->observing;
    const struct past_moment *moment;
    uint64_t oldest_ns, newest_ns;

    observing->at = observing->n = observing->n_seen = 0;
    past_span(historian->options.past, &oldest_ns, &newest_ns);
    if (!newest_ns)
        return;
    past_reader_seek(observing->reader, newest_ns - 1);
    moment = past_reader_next(observing->reader);
    for (uint32_t i = 1; moment && i < moment->n_rows; i++)
        if (past_series(historian->options.past, moment->rows[i].series,
                        &observing->of[observing->n]))
            observing->numbers[observing->n++] = moment->rows[i].series;
}

static double percent_of(double ppm)
{
    return ppm / PPM_PER_PERCENT;
}

/* All its rows at full rate. */
static int observe_memory(struct observing *observing, uint64_t interval_ms)
{
    uint32_t number = observing->numbers[observing->at];
    const struct past_moment *moment;
    int r = 0;

    past_reader_seek(observing->reader, 0);
    while (r == 0 && (moment = past_reader_next(observing->reader))) {
        const struct past_row *row = NULL;
        struct observed_row seen = {.unix_ms = moment->unix_ms, .ms = interval_ms};

        for (uint32_t i = 1; !row && i < moment->n_rows; i++)
            row = moment->rows[i].series == number ? &moment->rows[i] : NULL;
        if (!row)
            continue;
        memcpy(seen.figures, row->figures, sizeof(seen.figures));
        seen.hit_percent = row->figures[PAST_HIT_PPM] == UNKNOWN
                               ? (double)NAN
                               : percent_of((double)row->figures[PAST_HIT_PPM]);
        r = observer_add(observing->observer, &seen);
    }
    return r;
}

static uint64_t whole(double value)
{
    return isnan(value) ? UNKNOWN : (uint64_t)value;
}

static int add_slot(struct observer *observer, const struct history_point *point,
                    uint64_t interval_ms)
{
    struct observed_row seen = {
        .unix_ms = point->unix_ms,
        .ms = MIN(point->count * interval_ms, (uint64_t)STORE_SLOT_MS),
        .hit_percent = percent_of(point->figures[PAST_HIT_PPM].mean),
        .is_slot = true,
    };

    for (size_t i = 0; i < PAST_FIGURES; i++)
        seen.figures[i] = whole(point->figures[i].max);
    seen.figures[PAST_PREEMPTIONS] = whole(point->preemptions);
    return observer_add(observer, &seen);
}

/* The store's number of it. -ENOENT: it has none. */
static int64_t find_on_disk(struct historian *historian, const struct history_span *span,
                            const struct past_series *of)
{
    struct history_series *series = calloc(SERIES_MAX, sizeof(*series));
    int64_t number = -ENOENT;
    ssize_t n =
        series ? store_series(historian->disk.store, span, series, SERIES_MAX) : -ENOMEM;

    for (ssize_t i = 0; i < n; i++)
        if (series[i].of.port == of->port &&
            strcmp(series[i].of.served_name, of->served_name) == 0)
            number = series[i].number;
    free(series);
    return n < 0 ? n : number;
}

static int observe_disk(struct historian *historian, const struct past_series *of)
{
    struct history_point points[POINTS_AT_ONCE];
    struct history_span span = {.to_ms = historian_unix_ms(), .step_ms = STORE_SLOT_MS};
    int64_t number, from_ms;
    ssize_t n;
    int r = 0;

    span.from_ms = from_ms = span.to_ms - WEEK_MS;
    memcpy(span.model, of->served_name, sizeof(span.model));
    number = find_on_disk(historian, &span, of);
    if (number < 0)
        return number == -ENOENT ? 0 : (int)number;
    do {
        n = store_points(historian->disk.store, &span, number, &from_ms, points,
                         POINTS_AT_ONCE);
        for (ssize_t i = 0; r == 0 && i < n; i++)
            r = add_slot(historian->observing.observer, &points[i],
                         historian->options.interval_ms);
    } while (r == 0 && n > 0);
    return n < 0 ? (int)n : r;
}

static int observe_model(struct historian *historian)
{
    struct observing *observing = &historian->observing;
    const struct past_series *of = &observing->of[observing->at];
    int r;

    observer_begin(observing->observer, of);
    r = historian->disk.store ? observe_disk(historian, of)
                              : observe_memory(observing, historian->options.interval_ms);
    if (r == 0)
        observer_end(observing->observer, &observing->seen[observing->n_seen++]);
    observing->at++;
    return r;
}

static void publish(struct historian *historian)
{
    struct observing *observing = &historian->observing;

    (void)pthread_mutex_lock(&historian->lock);
    memcpy(historian->observations, observing->seen,
           observing->n_seen * sizeof(observing->seen[0]));
    historian->n_observations = observing->n_seen;
    (void)pthread_mutex_unlock(&historian->lock);
}

bool observe(struct historian *historian)
{
    struct observing *observing = &historian->observing;
    uint64_t now_ns = clock_now_ns();
    int r;

    if (now_ns < observing->due_ns)
        return false;
    if (!observing->under_way)
        find_models(historian);
    observing->under_way = observing->at < observing->n;
    if (observing->under_way) {
        r = observe_model(historian);
        if (r < 0)
            log_debug("history: a model cannot be observed: %s", strerror(-r));
        return true;
    }
    publish(historian);
    observing->due_ns =
        now_ns + (historian->disk.store && observing->n ? FROM_DISK_MS : FROM_MEMORY_MS) *
                     NS_PER_MS;
    return false;
}

int observing_init(struct observing *observing, struct past *past)
{
    int r = past_reader_new(past, &observing->reader);

    if (r == 0)
        r = observer_new(&observing->observer);
    observing->due_ns = clock_now_ns() + FIRST_MS * NS_PER_MS;
    return r;
}

void observing_done(struct observing *observing)
{
    past_reader_free(observing->reader);
    observer_free(observing->observer);
}
