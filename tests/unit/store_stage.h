// SPDX-License-Identifier: Apache-2.0
/*
 * store_stage.h - a store in a folder of its own, and what was put into it
 *
 * Every row is remembered, so that what comes back can be compared with what a plain loop
 * over all of them makes.
 */
#ifndef STORE_STAGE_H
#define STORE_STAGE_H

#include "history/store_parts.h"

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

enum { STAGE_MODELS = 4, STAGE_ROWS = 1 << 16 };

#define START_MS INT64_C(1790000000000)
#define NONE ((double)NAN)

static struct past *past;
static uint32_t past_numbers[STAGE_MODELS + 1];
static struct store *store;
static struct store_limits limits;
static struct complaint complaint;
static char store_folder[64], store_path[128];
static uint64_t dice;

/* What was added, in the order in which it was. */
static struct stage_row {
    int64_t unix_ms;
    uint32_t model; // 0: the host
    uint64_t figures[PAST_FIGURES];
} stage_rows[STAGE_ROWS];
static size_t n_stage_rows;
static bool is_sorted;

/* The same numbers in each run (xorshift). */
static inline uint64_t roll(void)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice;
}

static const char *name_of(uint32_t model)
{
    static char name[32];

    (void)snprintf(name, sizeof(name), "org/model %u", model);
    return name;
}

/* ---- The file ---- */

static int try_open_at(const char *path)
{
    return store_open(path, &limits, &store, &complaint);
}

static int try_open(void)
{
    return try_open_at(store_path);
}

static void open_again(void)
{
    if (try_open() < 0)
        fail_msg("%s", complaint.text);
    assert_string_equal(complaint.text, "");
}

static void close_store(void)
{
    store_close(store);
    store = NULL;
}

static void reopen_store(void)
{
    close_store();
    open_again();
}

static inline int remove_file(const char *ending)
{
    char name[256];

    (void)snprintf(name, sizeof(name), "%s%s", store_path, ending);
    return unlink(name);
}

static void remove_files(void)
{
    static const char *const endings[] = {
        "", "-wal", "-shm", ".lock", ".damaged", ".damaged-wal", ".new", "/../link",
    };

    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        (void)remove_file(endings[i]);
}

static void open_store(void)
{
    remove_files();
    n_stage_rows = 0;
    open_again();
}

/* As somebody else would. */
static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(store_path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t ask_sql(const char *format, const char *table)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    char sql[128];
    int64_t number;

    (void)snprintf(sql, sizeof(sql), "SELECT %s FROM %s", format, table);
    assert_int_equal(sqlite3_open(store_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    number = sqlite3_column_int64(row, 0);
    assert_int_equal(sqlite3_finalize(row), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return number;
}

static int64_t count_rows(const char *table)
{
    return ask_sql("count(*)", table);
}

static int64_t oldest_of(const char *table)
{
    return ask_sql("min(unix_ms)", table);
}

static void trim_all(int64_t unix_ms)
{
    int r = 1;

    for (int i = 0; r > 0; i++) {
        assert_true(i < 10000);
        r = store_trim(store, unix_ms);
    }
    assert_int_equal(r, 0);
}

/* ---- Rows ---- */

static int try_add_row(int64_t unix_ms, uint32_t model, const uint64_t f[PAST_FIGURES])
{
    static struct past_moment moment;

    moment.unix_ms = unix_ms;
    moment.n_rows = model ? 2 : 1;
    for (uint32_t i = 0; i < moment.n_rows; i++) {
        moment.rows[i].series = i ? past_numbers[model] : PAST_HOST;
        memcpy(moment.rows[i].figures, f, sizeof(moment.rows[i].figures));
    }
    return store_add_moment(store, past, &moment);
}

static bool is_taken(int64_t unix_ms)
{
    for (size_t i = 0; i < n_stage_rows; i++)
        if (stage_rows[i].unix_ms == unix_ms && stage_rows[i].model == 0)
            return true;
    return false;
}

static void remember(int64_t unix_ms, uint32_t model, const uint64_t f[PAST_FIGURES])
{
    struct stage_row *row = &stage_rows[n_stage_rows++];

    assert_true(n_stage_rows < STAGE_ROWS);
    row->unix_ms = unix_ms;
    row->model = model;
    memcpy(row->figures, f, sizeof(row->figures));
    is_sorted = false;
}

/* The host has the same figures as the model. */
static inline void add_row(int64_t unix_ms, uint32_t model,
                           const uint64_t f[PAST_FIGURES])
{
    int64_t placed_ms = unix_ms;

    assert_int_equal(try_add_row(unix_ms, model, f), 0);
    while (is_taken(placed_ms))
        placed_ms++;
    remember(placed_ms, 0, f);
    if (model)
        remember(placed_ms, model, f);
}

static int try_add(int64_t unix_ms, uint32_t model, uint64_t value)
{
    return try_add_row(
        unix_ms, model,
        (uint64_t[]){value, value, value, value % 1000000, value, value, 0});
}

static inline void add_plain(int64_t unix_ms, uint32_t model, uint64_t value)
{
    assert_int_equal(try_add(unix_ms, model, value), 0);
}

/* ---- What comes back ---- */

static int64_t number_of(uint32_t model)
{
    static struct history_series series[STAGE_MODELS + 1];
    struct history_span span = {.from_ms = 0, .to_ms = INT64_MAX};

    if (model == 0)
        return 0;
    (void)snprintf(span.model, sizeof(span.model), "%s", name_of(model));
    assert_int_equal(store_series(store, &span, series, ARRAY_LEN(series)), 1);
    return series[0].number;
}

static ssize_t read_points(uint32_t model, int64_t step_ms, int64_t *from_ms,
                           struct history_point *ret, size_t max)
{
    struct history_span span = {.from_ms = 0, .to_ms = INT64_MAX, .step_ms = step_ms};

    return store_points(store, &span, number_of(model), from_ms, ret, max);
}

static inline uint64_t count_of(const struct history_point *points, size_t n)
{
    uint64_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += points[i].count;
    return count;
}

static inline void assert_figure(const char *what, const struct history_figure *got,
                                 double want)
{
    if (isnan(want) ? !isnan(got->mean) || !isnan(got->min) || !isnan(got->max)
                    : got->mean != want || got->min != want || got->max != want)
        fail_msg("[%s] %g %g %g, not %g", what, got->mean, got->min, got->max, want);
}

static int compare_rows(const void *a, const void *b)
{
    const struct stage_row *x = a, *y = b;

    if (x->unix_ms != y->unix_ms)
        return x->unix_ms < y->unix_ms ? -1 : 1;
    return (x->model > y->model) - (x->model < y->model);
}

/* The first row that a bucket from there on has to do with, if only by its counter. */
static size_t first_row(int64_t from_ms)
{
    size_t low = 0, high = n_stage_rows;

    if (!is_sorted)
        qsort(stage_rows, n_stage_rows, sizeof(stage_rows[0]), compare_rows);
    is_sorted = true;
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (stage_rows[middle].unix_ms < from_ms - 20000)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What one bucket must say. */
static void expect(uint32_t model, int64_t from_ms, int64_t to_ms,
                   struct history_point *ret)
{
    uint64_t known[STORE_FIGURES] = {0}, last = UNKNOWN;
    int64_t last_ms = 0;

    *ret = (struct history_point){.unix_ms = from_ms, .preemptions = NONE};
    for (size_t k = 0; k < PAST_FIGURES; k++)
        ret->figures[k] = (struct history_figure){0, (double)INFINITY, -(double)INFINITY};
    for (size_t i = first_row(from_ms); i < n_stage_rows; i++) {
        const struct stage_row *row = &stage_rows[i];
        uint64_t counter = row->figures[PAST_PREEMPTIONS];

        if (row->unix_ms >= to_ms)
            break;
        if (row->model != model)
            continue;
        if (row->unix_ms >= from_ms) {
            ret->count++;
            for (size_t k = 0; k < STORE_FIGURES; k++) {
                double value = (double)row->figures[k];

                if (row->figures[k] == UNKNOWN)
                    continue;
                known[k]++;
                ret->figures[k].mean += value;
                ret->figures[k].min = fmin(ret->figures[k].min, value);
                ret->figures[k].max = fmax(ret->figures[k].max, value);
            }
            if (counter != UNKNOWN && last != UNKNOWN && row->unix_ms - last_ms <= 10000)
                ret->preemptions = (isnan(ret->preemptions) ? 0 : ret->preemptions) +
                                   (counter > last ? (double)(counter - last) : 0);
        }
        if (counter != UNKNOWN) {
            last = counter;
            last_ms = row->unix_ms;
        }
    }
    for (size_t k = 0; k < STORE_FIGURES; k++)
        ret->figures[k].mean /= (double)known[k];
    for (size_t k = 0; k < STORE_FIGURES; k++)
        if (!known[k])
            ret->figures[k] = (struct history_figure){NONE, NONE, NONE};
}

static bool is_near(double a, double b, double error)
{
    return isnan(a) ? isnan(b) : fabs(a - b) <= error;
}

static void assert_nothing(const char *what, uint32_t model, int64_t from_ms,
                           int64_t to_ms)
{
    struct history_point want;

    expect(model, from_ms, to_ms, &want);
    if (want.count)
        fail_msg("[%s] model %u has nothing at %lld, but %llu rows are there", what,
                 model, (long long)(from_ms - START_MS), (unsigned long long)want.count);
}

/* Means of bytes lie in slots as whole ones: half a byte may be lost. */
static void assert_point(const char *what, uint32_t model,
                         const struct history_point *got, int64_t step_ms)
{
    struct history_point want;
    bool is_equal;

    expect(model, got->unix_ms, got->unix_ms + step_ms, &want);
    is_equal = got->count == want.count && is_near(got->preemptions, want.preemptions, 0);
    for (size_t k = 0; k < STORE_FIGURES; k++)
        is_equal =
            is_equal &&
            is_near(got->figures[k].mean, want.figures[k].mean, k < 3 ? 0.5 : 1e-6) &&
            is_near(got->figures[k].min, want.figures[k].min, 0) &&
            is_near(got->figures[k].max, want.figures[k].max, 0);
    if (is_equal)
        return;
    for (size_t k = 0; k < STORE_FIGURES; k++)
        print_message("%zu: %g %g %g, not %g %g %g\n", k, got->figures[k].mean,
                      got->figures[k].min, got->figures[k].max, want.figures[k].mean,
                      want.figures[k].min, want.figures[k].max);
    fail_msg("[%s] model %u at %lld, step %lld: %llu rows, %g preemptions, not %llu, %g",
             what, model, (long long)(got->unix_ms - START_MS), (long long)step_ms,
             (unsigned long long)got->count, got->preemptions,
             (unsigned long long)want.count, want.preemptions);
}

/* What lies in the table itself, of every slot but the one under way. */
static inline void assert_slots(const char *what)
{
    for (uint32_t model = 0; model <= 3; model++) {
        sqlite3_stmt *row = store->statements[STORE_SLOTS];
        const int64_t between[] = {number_of(model), 0, INT64_MAX};

        row = store_bind(store, STORE_SLOTS, 3, between);
        while (store_step(store, row) > 0) {
            struct store_slot slot;
            struct history_point got = {0};

            store_load_slot(row, &slot);
            if (store->has_slot && slot.unix_ms == store->slot_ms)
                continue;
            got.unix_ms = slot.unix_ms;
            got.count = slot.tally.count;
            got.preemptions = slot.tally.preemptions;
            for (size_t k = 0; k < STORE_FIGURES; k++) {
                bool known = slot.tally.figures[k].known > 0;

                got.figures[k].mean =
                    slot.tally.figures[k].sum / (double)slot.tally.figures[k].known;
                got.figures[k].min = known ? slot.tally.figures[k].min : NONE;
                got.figures[k].max = known ? slot.tally.figures[k].max : NONE;
            }
            assert_point(what, model, &got, STORE_SLOT_MS);
        }
    }
}

/* ---- Before and after ---- */

/* Models get their numbers as they do in the daemon: by being in a snapshot. */
static int set_up_past(void **state)
{
    struct snapshot_pool *pool = NULL;
    struct past_reader *reader = NULL;
    const struct past_moment *moment;
    struct snapshot *snapshot;

    (void)state;
    if (past_new(PAST_BYTES, &past) < 0 || snapshot_pool_new(&pool) < 0)
        return -1;
    snapshot = snapshot_new(pool);
    snapshot->taken_ns = 1;
    for (uint32_t model = 1; model <= STAGE_MODELS; model++) {
        struct snapshot_model *row = &snapshot->models[snapshot->n_models++];

        (void)snprintf(row->served_name, sizeof(row->served_name), "%s", name_of(model));
        snapshot_make_id(row->served_name, row->id);
        row->port = (uint16_t)(9000 - model); // the last one first
    }
    past_add(past, snapshot);
    snapshot_unref(snapshot);
    snapshot_pool_free(pool);
    if (past_reader_new(past, &reader) < 0)
        return -1;
    past_reader_seek(reader, 0);
    moment = past_reader_next(reader);
    for (uint32_t model = 1; moment && model <= STAGE_MODELS; model++)
        past_numbers[model] = moment->rows[model].series;
    past_reader_free(reader);
    return moment ? 0 : -1;
}

static int tear_down_past(void **state)
{
    (void)state;
    past_free(past);
    return 0;
}

static int set_up_store(void **state)
{
    (void)state;
    limits = (struct store_limits){6 * 3600000, INT64_C(30) * 86400000,
                                   INT64_C(30) * 86400000, 512 << 20};
    dice = 88172645463325252;
    (void)snprintf(store_folder, sizeof(store_folder), "/tmp/test-store-XXXXXX");
    if (!mkdtemp(store_folder))
        return -1;
    (void)snprintf(store_path, sizeof(store_path), "%s/history.db", store_folder);
    return 0;
}

static int tear_down_store(void **state)
{
    static const char *const names[] = {"link", "way"};
    char name[128];

    (void)state;
    close_store();
    remove_files();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(name, sizeof(name), "%s/%s", store_folder, names[i]);
        (void)unlink(name);
    }
    return rmdir(store_folder);
}

#endif
