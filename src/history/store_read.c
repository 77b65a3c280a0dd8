// SPDX-License-Identifier: Apache-2.0
#include "history/store_parts.h"

#include "base/text.h"

/* Times that are asked for are brought within what can be counted with. */
#define FAR_MS (INT64_C(1) << 52)

static int newest(struct store *store, enum store_statement which, int64_t *ret)
{
    return store_number(store, which, 0, NULL, 0, ret);
}

int64_t store_newest_ms(struct store *store)
{
    int64_t sample_ms, slot_ms;

    if (newest(store, STORE_NEWEST_SAMPLE, &sample_ms) < 0 ||
        newest(store, STORE_NEWEST_SLOT, &slot_ms) < 0)
        return 0;
    return MAX(sample_ms, slot_ms);
}

uint64_t store_newest_event(struct store *store)
{
    int64_t id;

    return newest(store, STORE_NEWEST_EVENT, &id) < 0 ? 0 : (uint64_t)id;
}

static void copy_text(sqlite3_stmt *row, int column, char *ret, size_t room)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    int len = sqlite3_column_bytes(row, column);

    (void)text_clean(ret, room, (struct span){text ? text : "", (size_t)len});
}

static enum event_kind kind_named(const char *name)
{
    int kind = 0;

    while (kind < EVENT_KINDS && strcmp(event_name((enum event_kind)kind), name) != 0)
        kind++;
    return (enum event_kind)kind;
}

/* False: it is of a kind that we do not know. */
static bool load_event(sqlite3_stmt *row, struct event *ret)
{
    const char *kind = (const char *)sqlite3_column_text(row, 3);

    *ret = (struct event){
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .unix_ms = sqlite3_column_int64(row, 1),
        .port = (uint16_t)sqlite3_column_int(row, 2),
        .kind = kind_named(kind ? kind : ""),
    };
    copy_text(row, 4, ret->served_name, sizeof(ret->served_name));
    copy_text(row, 5, ret->device, sizeof(ret->device));
    copy_text(row, 6, ret->text, sizeof(ret->text));
    return ret->kind != EVENT_KINDS;
}

ssize_t store_read_events(struct store *store, struct event *ret, size_t max)
{
    const int64_t limit = (int64_t)MIN(max, (size_t)INT32_MAX);
    sqlite3_stmt *row = store_bind(store, STORE_EVENTS, 1, &limit);
    size_t n = 0;
    int r;

    for (r = store_step(store, row); r > 0; r = store_step(store, row))
        if (n < max && load_event(row, &ret[n]))
            n++;
    for (size_t i = 0; i < n / 2; i++) { // the newest came first
        struct event other = ret[i];

        ret[i] = ret[n - 1 - i];
        ret[n - 1 - i] = other;
    }
    return r < 0 ? r : (ssize_t)n;
}

static int64_t within_reach(int64_t ms)
{
    int64_t least_ms = MAX(ms, -FAR_MS);

    return MIN(least_ms, FAR_MS);
}

/* Whole buckets: those that have any of the span in them. */
static void widen(const struct history_span *span, int64_t *ret_from_ms,
                  int64_t *ret_to_ms)
{
    int64_t from_ms = within_reach(span->from_ms), to_ms = within_reach(span->to_ms);

    if (span->step_ms > 0) {
        from_ms = store_floor(from_ms, span->step_ms);
        to_ms = store_floor(to_ms + span->step_ms - 1, span->step_ms);
    }
    *ret_from_ms = from_ms;
    *ret_to_ms = to_ms;
}

ssize_t store_series(struct store *store, const struct history_span *span,
                     struct history_series *ret, size_t max)
{
    int64_t between[2];
    sqlite3_stmt *row;
    size_t n = 0;
    int r;

    widen(span, &between[0], &between[1]);
    row = store_bind(store, STORE_SERIES_BETWEEN, ARRAY_LEN(between), between);
    r = sqlite3_bind_text(row, 3, span->model, -1, SQLITE_STATIC);
    if (r != SQLITE_OK)
        return store_file_errno(r, store->db);
    for (r = store_step(store, row); r > 0; r = store_step(store, row)) {
        if (n == max) {
            (void)sqlite3_reset(row); // the rest is not wanted
            return -E2BIG;
        }
        ret[n].number = sqlite3_column_int64(row, 0);
        ret[n].is_host = ret[n].number == PAST_HOST;
        copy_text(row, 1, ret[n].of.served_name, sizeof(ret[n].of.served_name));
        copy_text(row, 2, ret[n].of.id, sizeof(ret[n].of.id));
        ret[n].of.port = (uint16_t)sqlite3_column_int(row, 3);
        n++;
    }
    return r < 0 ? r : (ssize_t)n;
}

/* Rows of both kinds, each in the order of time. */
struct reading {
    struct store *store;
    int64_t from_ms, to_ms, step_ms;
    int64_t samples_from_ms; // those before are not counted, or in slots
    sqlite3_stmt *slots, *samples;
    int has_slot, has_sample; // 1: there is one; 0: no more; negative: an error
    struct store_slot slot;
    struct store_sample sample;
    struct store_counter counter;

    /* The bucket that is being filled, and those that are. */
    struct store_tally tally;
    int64_t key_ms;
    struct history_point *points;
    size_t n, max;
};

static void next_slot(struct reading *in)
{
    in->has_slot = store_step(in->store, in->slots);
    if (in->has_slot > 0)
        store_load_slot(in->slots, &in->slot);
}

/* Those before the beginning tell where the counter stood. */
static void next_sample(struct reading *in)
{
    in->has_sample = store_step(in->store, in->samples);
    while (in->has_sample > 0) {
        store_load_sample(in->samples, &in->sample);
        if (in->sample.unix_ms >= in->samples_from_ms)
            return;
        store_count(&in->sample, &in->counter);
        in->has_sample = store_step(in->store, in->samples);
    }
}

/*
 * A bucket of whole slots is made of slots, and of the rows of the one under way, which
 * is not made yet; any other of all rows at full rate, and slots where there are no such
 * rows. Samples up to the end of the last slot tell whether it has any.
 */
static void begin_reading(struct reading *in, int64_t series)
{
    const struct store *store = in->store;
    int64_t end_ms = store_floor(in->to_ms + STORE_SLOT_MS - 1, STORE_SLOT_MS);
    const int64_t slots[] = {series, in->from_ms, in->to_ms};

    in->samples_from_ms = in->from_ms;
    if (in->step_ms > 0 && in->step_ms % STORE_SLOT_MS == 0) {
        in->samples_from_ms = store->has_slot ? MAX(in->from_ms, store->slot_ms) : end_ms;
        end_ms = MIN(end_ms, store->slot_ms + STORE_SLOT_MS);
    }
    in->slots = store_bind(in->store, STORE_SLOTS, ARRAY_LEN(slots), slots);
    in->samples =
        store_bind(in->store, STORE_SAMPLES, 3,
                   (int64_t[]){series, in->samples_from_ms - STORE_SLOT_MS, end_ms});
    in->counter.value = UNKNOWN;
    next_slot(in);
    next_sample(in);
}

static void end_bucket(struct reading *in)
{
    const struct store_tally *tally = &in->tally;
    const double none = (double)NAN;
    struct history_point *point = &in->points[in->n];

    if (tally->count == 0)
        return;
    point->unix_ms = in->key_ms;
    point->count = tally->count;
    point->preemptions = tally->preemptions;
    for (size_t i = 0; i < PAST_FIGURES; i++) {
        point->figures[i] = (struct history_figure){none, none, none};
        if (i >= STORE_FIGURES || tally->figures[i].known == 0)
            continue;
        point->figures[i].mean = tally->figures[i].sum / (double)tally->figures[i].known;
        point->figures[i].min = tally->figures[i].min;
        point->figures[i].max = tally->figures[i].max;
    }
    in->n++;
    store_tally_init(&in->tally);
}

/* To the bucket of that time; false: there is no room for another. */
static bool enter_bucket(struct reading *in, int64_t unix_ms)
{
    int64_t key_ms = in->step_ms > 0 ? store_floor(unix_ms, in->step_ms) : unix_ms;

    if (in->tally.count > 0 && key_ms == in->key_ms)
        return true;
    end_bucket(in);
    in->key_ms = key_ms;
    return in->n < in->max;
}

/* Do the rows at full rate that come next say what this slot says? */
static bool is_covered(const struct reading *in)
{
    const struct store *store = in->store;

    if (in->has_sample <= 0 ||
        store_floor(in->sample.unix_ms, STORE_SLOT_MS) != in->slot.unix_ms)
        return false;
    return !store->slot_again || in->slot.unix_ms != store->slot_ms;
}

/* Take the row that comes next: 1; 0: there is none, or no room. */
static int take_row(struct reading *in)
{
    while (in->has_slot > 0 && is_covered(in))
        next_slot(in);
    if (in->has_slot < 0 || in->has_sample < 0)
        return in->has_slot < 0 ? in->has_slot : in->has_sample;
    if (in->has_slot && (!in->has_sample || in->slot.unix_ms <= in->sample.unix_ms)) {
        if (!enter_bucket(in, in->slot.unix_ms))
            return 0;
        store_tally_add(&in->tally, &in->slot.tally);
        next_slot(in);
        return 1;
    }
    if (!in->has_sample || in->sample.unix_ms >= in->to_ms)
        return 0;
    if (!enter_bucket(in, in->sample.unix_ms))
        return 0;
    store_tally_sample(&in->tally, &in->sample, &in->counter);
    next_sample(in);
    return 1;
}

ssize_t store_points(struct store *store, const struct history_span *span, int64_t number,
                     int64_t *from_ms, struct history_point *ret, size_t max)
{
    struct history_span rest = *span;
    struct reading in = {.store = store, .points = ret, .max = max};
    int r = store_load(store);

    if (r < 0)
        return r;
    rest.from_ms = MAX(span->from_ms, *from_ms);
    rest.step_ms = MIN(span->step_ms, FAR_MS);
    in.step_ms = rest.step_ms;
    widen(&rest, &in.from_ms, &in.to_ms);
    if (in.from_ms >= in.to_ms || max == 0)
        return 0;
    store_tally_init(&in.tally);
    begin_reading(&in, number);
    do
        r = take_row(&in);
    while (r > 0);
    (void)sqlite3_reset(in.slots);   // the rest is for the next call
    (void)sqlite3_reset(in.samples); // likewise
    if (r < 0)
        return r;
    if (in.n < max) {
        end_bucket(&in);
        *from_ms = in.to_ms;
    } else {
        *from_ms = in.key_ms;
    }
    return (ssize_t)in.n;
}
