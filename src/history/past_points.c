// SPDX-License-Identifier: Apache-2.0
#include "history/past_points.h"

#include "history/bucket.h"

/*
 * Moments lie in the order in which they were taken. Where the clock was set back meanwhile
 * they are read one by one in the order of what it said, as the store has them.
 */
struct place {
    int64_t unix_ms;
    uint64_t taken_ns;
    size_t number; // in the order in which they were taken
};

struct past_points {
    struct past *past;
    struct past_reader *reader;
    struct place *places; // NULL: the clock was never set back
    size_t n_places, next_place;
    uint64_t since_ns; // of the moments up to then, none tells anything of the span
    int64_t number;    // series being read
    bool ended;
    bool is_open;
    struct bucket open; // begun by a moment that was read
    struct bucket_counter preemptions;
};

int past_points_new(struct past *past, struct past_points **ret)
{
    struct past_points *points = calloc(1, sizeof(*points));
    int r;

    if (!points)
        return -ENOMEM;
    points->past = past;
    points->number = -1;
    r = past_reader_new(past, &points->reader);
    if (r < 0) {
        past_points_free(points);
        return r;
    }
    *ret = points;
    return 0;
}

void past_points_free(struct past_points *points)
{
    if (!points)
        return;
    past_reader_free(points->reader);
    free(points->places);
    free(points);
}

/* Buckets are whole: those that have any of the span in them. */
static bool is_in(const struct history_span *span, int64_t unix_ms)
{
    return unix_ms >= bucket_of(span->from_ms, span->step_ms) &&
           unix_ms < bucket_up(span->to_ms, span->step_ms);
}

/* The counters' last values before the span are wanted, too. */
static bool is_near(const struct history_span *span, int64_t unix_ms)
{
    return unix_ms >= bucket_of(span->from_ms, span->step_ms) - STORE_SLOT_MS;
}

static bool is_set_back(struct past_points *points)
{
    const struct past_moment *moment;
    int64_t last_ms = INT64_MIN;
    bool is_back = false;

    past_reader_seek(points->reader, 0);
    while (!is_back && (moment = past_reader_next(points->reader))) {
        is_back = moment->unix_ms < last_ms;
        last_ms = moment->unix_ms;
    }
    return is_back;
}

static int compare_places(const void *a, const void *b)
{
    const struct place *one = a, *other = b;

    if (one->unix_ms != other->unix_ms)
        return one->unix_ms < other->unix_ms ? -1 : 1;
    return one->taken_ns < other->taken_ns ? -1 : one->taken_ns > other->taken_ns;
}

static int find_places(struct past_points *points)
{
    const struct past_moment *moment;
    size_t room = 0;

    points->n_places = 0;
    past_reader_seek(points->reader, 0);
    while ((moment = past_reader_next(points->reader))) {
        if (points->n_places == room) {
            struct place *places;

            room = room ? 2 * room : 4096;
            places = realloc(points->places, room * sizeof(*places));
            if (!places)
                return -ENOMEM;
            points->places = places;
        }
        points->places[points->n_places] =
            (struct place){moment->unix_ms, moment->taken_ns, points->n_places};
        points->n_places++;
    }
    qsort(points->places, points->n_places, sizeof(*points->places), compare_places);
    return 0;
}

/* The first whose moment is taken after `since_ns`, or in the order of time the first. */
static void seek(struct past_points *points, uint64_t since_ns)
{
    past_reader_seek(points->reader, since_ns);
    points->next_place = 0;
}

static const struct past_moment *next_moment(struct past_points *points)
{
    if (!points->places)
        return past_reader_next(points->reader);
    while (points->next_place < points->n_places) {
        const struct place *place = &points->places[points->next_place++];
        const struct past_moment *moment;

        if (place == points->places || place->number != place[-1].number + 1)
            past_reader_seek(points->reader, place->taken_ns - 1);
        moment = past_reader_next(points->reader);
        if (moment && moment->taken_ns == place->taken_ns)
            return moment;
        past_reader_seek(points->reader, place->taken_ns); // it has gone meanwhile
    }
    return NULL;
}

static bool is_wanted(const struct history_span *span, const struct past_series *of)
{
    return !span->model[0] || strcmp(span->model, of->served_name) == 0 ||
           strcmp(span->model, of->id) == 0;
}

/* The host first, then by port and name. */
static bool is_before(const struct history_series *a, const struct history_series *b)
{
    if (a->is_host != b->is_host)
        return a->is_host;
    if (a->of.port != b->of.port)
        return a->of.port < b->of.port;
    return strcmp(a->of.served_name, b->of.served_name) < 0;
}

static bool is_there(const struct history_series *series, size_t n, uint32_t number)
{
    for (size_t i = 0; i < n; i++)
        if (series[i].number == (int64_t)number)
            return true;
    return false;
}

static void insert(struct history_series *series, size_t n,
                   const struct history_series *one)
{
    while (n > 0 && is_before(one, &series[n - 1])) {
        series[n] = series[n - 1];
        n--;
    }
    series[n] = *one;
}

static ssize_t find_series(void *ctx, const struct history_span *span,
                           struct history_series *ret, size_t max)
{
    struct past_points *points = ctx;
    const struct past_moment *moment;
    size_t n = 0;

    if (!points->places && is_set_back(points) && find_places(points) < 0)
        return -ENOMEM;
    points->since_ns = UINT64_MAX;
    seek(points, 0);
    while ((moment = next_moment(points))) {
        if (points->since_ns == UINT64_MAX && is_near(span, moment->unix_ms))
            points->since_ns = moment->taken_ns - 1;
        if (!is_in(span, moment->unix_ms))
            continue;
        for (uint32_t i = 0; i < moment->n_rows; i++) {
            struct history_series one = {.number = moment->rows[i].series,
                                         .is_host = moment->rows[i].series == PAST_HOST};

            if (is_there(ret, n, moment->rows[i].series) ||
                (one.is_host && span->model[0]))
                continue;
            if (!one.is_host &&
                (!past_series(points->past, moment->rows[i].series, &one.of) ||
                 !is_wanted(span, &one.of)))
                continue;
            if (n == max)
                return -E2BIG;
            insert(ret, n++, &one);
        }
    }
    return (ssize_t)n;
}

static const struct past_row *row_of(const struct past_moment *moment, int64_t number)
{
    for (uint32_t i = 0; i < moment->n_rows; i++)
        if ((int64_t)moment->rows[i].series == number)
            return &moment->rows[i];
    return NULL;
}

static void begin(struct past_points *points, int64_t number)
{
    seek(points, points->since_ns);
    points->number = number;
    points->ended = points->since_ns == UINT64_MAX;
    points->is_open = false;
    points->preemptions.value = UNKNOWN;
}

/* A sample; 1: it has completed the point `ret`. */
static int add_sample(struct past_points *points, const struct history_span *span,
                      const struct past_moment *moment, const struct past_row *row,
                      struct history_point *ret)
{
    int64_t at_ms = bucket_of(moment->unix_ms, span->step_ms);
    double preempted = bucket_rise(&points->preemptions, moment->unix_ms,
                                   row->figures[PAST_PREEMPTIONS]);
    bool another =
        points->is_open && (!span->step_ms || at_ms != points->open.point.unix_ms);

    if (another)
        bucket_end(&points->open, ret);
    if (another || !points->is_open)
        bucket_begin(&points->open, at_ms);
    points->is_open = true;
    bucket_add(&points->open, row->figures, preempted);
    return another;
}

/* The last one, which no sample has completed. */
static int end(struct past_points *points, struct history_point *ret)
{
    points->ended = true;
    if (!points->is_open)
        return 0;
    bucket_end(&points->open, ret);
    points->is_open = false;
    return 1;
}

static int next_point(struct past_points *points, const struct history_span *span,
                      struct history_point *ret)
{
    const struct past_moment *moment;

    if (points->ended)
        return 0;
    while ((moment = next_moment(points))) {
        const struct past_row *row = row_of(moment, points->number);

        if (row && !is_in(span, moment->unix_ms))
            (void)bucket_rise(&points->preemptions, moment->unix_ms,
                              row->figures[PAST_PREEMPTIONS]); // to count from there
        else if (row && add_sample(points, span, moment, row, ret))
            return 1;
    }
    return end(points, ret);
}

static ssize_t read_points(void *ctx, const struct history_span *span, int64_t number,
                           int64_t *from_ms, struct history_point *ret, size_t max)
{
    struct past_points *points = ctx;
    size_t n = 0;

    if (points->number != number || *from_ms == span->from_ms)
        begin(points, number);
    while (n < max && next_point(points, span, &ret[n]))
        n++;
    if (n)
        *from_ms = MAX(ret[n - 1].unix_ms, span->from_ms) + 1;
    return (ssize_t)n;
}

struct history_source past_points_source(struct past_points *points)
{
    return (struct history_source){find_series, read_points, points};
}
