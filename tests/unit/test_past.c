// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/past.h"
#include "history/past_chunks.h"
#include "history/past_coder.h"
#include "test_gpu_allocs.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

#define MS UINT64_C(1000000)
#define U UNKNOWN
#define NONE ((double)NAN)
#define NOBODY (UNKNOWN - 1)

static struct snapshot_pool *pool;
static uint64_t dice;

/* The same numbers in each run (xorshift). */
static uint64_t roll(void)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice;
}

static struct past *make_past(size_t bytes)
{
    struct past *past = NULL;

    assert_int_equal(past_new(bytes, &past), 0);
    return past;
}

static struct past_reader *make_reader(struct past *past)
{
    struct past_reader *reader = NULL;

    assert_int_equal(past_reader_new(past, &reader), 0);
    return reader;
}

static struct snapshot *make_snapshot(uint64_t taken_ns)
{
    struct snapshot *snapshot = snapshot_new(pool);

    assert_non_null(snapshot);
    snapshot->taken_ns = taken_ns;
    snapshot->unix_ms = taken_ns / MS;
    snapshot->allocated_bytes = figure_of(taken_ns / MS, MEASURED, NULL);
    return snapshot;
}

static struct snapshot_model *add_model(struct snapshot *snapshot, const char *name,
                                        uint16_t port)
{
    struct snapshot_model *model = &snapshot->models[snapshot->n_models++];

    memset(model, 0, sizeof(*model));
    (void)snprintf(model->served_name, sizeof(model->served_name), "%s", name);
    snapshot_make_id(model->served_name, model->id);
    model->port = port;
    return model;
}

static void set_figures(struct snapshot_model *model, const uint64_t f[PAST_FIGURES])
{
    model->allocated_bytes.value = f[PAST_ALLOCATED_BYTES];
    model->kv_used_bytes.value = f[PAST_KV_USED_BYTES];
    model->kv_pool_bytes.value = f[PAST_KV_POOL_BYTES];
    model->prefix_minute.queries = f[PAST_HIT_PPM] == U ? 0 : 1e6;
    model->prefix_minute.hits = f[PAST_HIT_PPM] == U ? 0 : (double)f[PAST_HIT_PPM];
    model->page.requests_running = f[PAST_REQUESTS_RUNNING];
    model->page.requests_waiting = f[PAST_REQUESTS_WAITING];
    model->page.preemptions = f[PAST_PREEMPTIONS];
}

static void add_and_drop(struct past *past, const struct snapshot *snapshot)
{
    past_add(past, snapshot);
    snapshot_unref(snapshot);
}

static void add_at(struct past *past, uint64_t taken_ns)
{
    add_and_drop(past, make_snapshot(taken_ns));
}

/* ---- What is added is what is read, whatever it was ---- */

enum { NAMES = 90, KEPT = 3000 };

struct kept {
    uint64_t taken_ns;
    int64_t unix_ms;
    uint32_t n; // models
    uint32_t names[SNAPSHOT_MODELS_MAX];
    uint64_t figures[1 + SNAPSHOT_MODELS_MAX][PAST_FIGURES]; // the host's first
};

static struct kept kept[KEPT];

static uint64_t roll_figure(uint64_t last)
{
    switch (roll() % 8) {
    case 0:
        return roll();
    case 1:
        return U;
    case 2:
        return 0;
    case 3:
        return last + roll() % 100;
    case 4:
        return last - roll() % 100;
    case 5:
        return U - 1 - roll() % 2;
    default:
        return last;
    }
}

/* Models come and go now and then, and two of the same name may stand side by side. */
static void roll_models(struct kept *k, const struct kept *last)
{
    k->n = last->n;
    memcpy(k->names, last->names, sizeof(k->names));
    if (roll() % 10 != 0)
        return;
    k->n = (uint32_t)(roll() % (SNAPSHOT_MODELS_MAX + 1));
    for (uint32_t i = 0; i < k->n; i++)
        if (roll() % 2 || i >= last->n)
            k->names[i] = (uint32_t)(roll() % NAMES);
}

static void roll_moment(struct kept *k, const struct kept *last)
{
    roll_models(k, last);
    k->taken_ns = last->taken_ns + (roll() % 20 ? 500 * MS + roll() % MS : roll() % U);
    k->unix_ms = last->unix_ms + 500;
    if (roll() % 20 == 0)
        k->unix_ms = (int64_t)roll();
    for (uint32_t i = 0; i <= k->n; i++)
        for (size_t f = 0; f < PAST_FIGURES; f++)
            k->figures[i][f] = roll_figure(last->figures[i][f]);
    for (uint32_t i = 0; i <= k->n; i++)
        if (k->figures[i][PAST_HIT_PPM] != U)
            k->figures[i][PAST_HIT_PPM] %= 1000001;
}

static uint64_t wanted_sum(const struct kept *k, size_t figure)
{
    uint64_t sum = k->n ? U : 0;

    for (uint32_t i = 1; i <= k->n; i++) {
        uint64_t value = k->figures[i][figure];

        if (value == U)
            continue;
        sum = sum == U ? 0 : sum;
        if (__builtin_add_overflow(sum, value, &sum))
            return U;
        if (sum == U)
            return U;
    }
    return sum;
}

static void name_of(uint32_t i, char name[32])
{
    (void)snprintf(name, 32, "org/model-%u", i / 2); // on two ports each
}

static void add_kept(struct past *past, struct kept *k)
{
    struct snapshot *snapshot = make_snapshot(k->taken_ns);
    char name[32];

    snapshot->unix_ms = (uint64_t)k->unix_ms;
    snapshot->allocated_bytes.value = k->figures[0][PAST_ALLOCATED_BYTES];
    snapshot->hit_percent = k->figures[0][PAST_HIT_PPM] == U
                                ? NONE
                                : (double)k->figures[0][PAST_HIT_PPM] / 1e4;
    for (uint32_t i = 0; i < k->n; i++) {
        name_of(k->names[i], name);
        set_figures(add_model(snapshot, name, (uint16_t)(8000 + k->names[i] % 2)),
                    k->figures[1 + i]);
    }
    for (size_t f = 0; f < PAST_FIGURES; f++)
        if (f != PAST_ALLOCATED_BYTES && f != PAST_HIT_PPM)
            k->figures[0][f] = wanted_sum(k, f);
    add_and_drop(past, snapshot);
}

/* Whose each series is, for ever. */
static uint32_t owner[1 << 20];

static void assert_series(struct past *past, const struct past_moment *moment,
                          uint32_t row, uint32_t name_number)
{
    uint32_t series = moment->rows[row].series;
    struct past_series of;
    char name[32], id[ENGINE_NAME_MAX + 1];

    name_of(name_number, name);
    assert_in_range(series, 1, ARRAY_LEN(owner) - 1);
    if (!past_series(past, series, &of))
        fail_msg("series %u is forgotten", series);
    assert_string_equal(of.served_name, name);
    snapshot_make_id(name, id);
    assert_string_equal(of.id, id);
    assert_int_equal(of.port, 8000 + name_number % 2);
    if (owner[series] && owner[series] != name_number + 1)
        fail_msg("series %u was of %u, and is of %u", series, owner[series] - 1,
                 name_number);
    owner[series] = name_number + 1;
    for (uint32_t i = 0; i < row; i++)
        assert_int_not_equal(moment->rows[i].series, series);
}

static void assert_kept(struct past *past, const struct past_moment *moment,
                        const struct kept *kept_moment)
{
    static struct kept copy;
    struct kept *k = &copy;

    *k = *kept_moment;
    if (moment && k->figures[0][PAST_PREEMPTIONS] != U) // test_preemptions_of_the_host
        k->figures[0][PAST_PREEMPTIONS] = moment->rows[0].figures[PAST_PREEMPTIONS];
    assert_non_null(moment);
    assert_int_equal(moment->taken_ns, k->taken_ns);
    assert_int_equal(moment->unix_ms, k->unix_ms);
    assert_int_equal(moment->n_rows, 1 + k->n);
    assert_int_equal(moment->rows[0].series, PAST_HOST);
    for (uint32_t i = 0; i < moment->n_rows; i++) {
        assert_memory_equal(moment->rows[i].figures, k->figures[i],
                            sizeof(k->figures[i]));
        if (i > 0)
            assert_series(past, moment, i, k->names[i - 1]);
    }
}

/* Read at once, and some of them later, which is where another chunk has been begun. */
static void test_round_trip(void **state)
{
    static const struct kept none;
    struct past *past = make_past(PAST_BYTES / 8);
    struct past_reader *reader = make_reader(past);
    size_t read = 0;

    (void)state;
    dice = 88172645463325252;
    for (size_t i = 0; i < KEPT; i++) {
        roll_moment(&kept[i], i ? &kept[i - 1] : &none);
        add_kept(past, &kept[i]);
        while (roll() % 10 && read <= i)
            assert_kept(past, past_reader_next(reader), &kept[read++]);
        if (i - read > 6) // a chunk has three at least
            while (read <= i)
                assert_kept(past, past_reader_next(reader), &kept[read++]);
    }
    while (read < KEPT)
        assert_kept(past, past_reader_next(reader), &kept[read++]);
    assert_null(past_reader_next(reader));
    assert_int_equal(past_reader_missed(reader), 0);
    past_reader_free(reader);
    past_free(past);
}

/* Models come, go, begin anew and are not known for a while: what they say has happened. */
static void test_preemptions_of_the_host(void **state)
{
    static const struct {
        uint64_t a, b; // U: not known; NOBODY: it is not there
        uint64_t host;
    } moments[] = {
        {5, NOBODY, 0}, {7, NOBODY, 2},       {7, 100, 2}, {8, 103, 6}, {U, 104, 7},
        {U, U, U},      {10, U, 9},           {10, 90, 9}, {2, 91, 10}, {NOBODY, 91, 10},
        {3, 91, 11},    {NOBODY, NOBODY, 11}, {4, 92, 13},
    };
    struct past *past = make_past(PAST_BYTES);
    struct past_reader *reader = make_reader(past);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
        struct snapshot *snapshot = make_snapshot((i + 1) * 500 * MS);
        const struct past_moment *moment;

        if (moments[i].a != NOBODY)
            add_model(snapshot, "a", 8000)->page.preemptions = moments[i].a;
        if (moments[i].b != NOBODY)
            add_model(snapshot, "b", 8001)->page.preemptions = moments[i].b;
        add_and_drop(past, snapshot);
        moment = past_reader_next(reader);
        assert_non_null(moment);
        if (moment->rows[0].figures[PAST_PREEMPTIONS] != moments[i].host)
            fail_msg("[%zu] %llu", i,
                     (unsigned long long)moment->rows[0].figures[PAST_PREEMPTIONS]);
    }
    past_reader_free(reader);
    past_free(past);
}

/* The largest moment there can be, again and again: the coder's room is enough for it. */
static void test_largest(void **state)
{
    static struct past_moment moments[2];
    static struct past_coder writer, reader;
    static uint8_t bytes[PAST_ENCODED_MAX];

    (void)state;
    memset(&writer, 0, sizeof(writer));
    memset(&reader, 0, sizeof(reader));
    for (size_t i = 0; i < 8; i++) {
        struct past_moment *moment = &moments[i % 2];
        size_t len;

        moment->taken_ns = (i * 3) << 62;
        moment->unix_ms = (int64_t)((i * 5) << 62);
        moment->n_rows = PAST_ROWS_MAX;
        for (uint32_t row = 0; row < PAST_ROWS_MAX; row++) {
            moment->rows[row].series = row ? UINT32_MAX - (uint32_t)i * 100 - row : 0;
            for (size_t f = 0; f < PAST_FIGURES; f++)
                moment->rows[row].figures[f] = UINT64_C(1)
                                               << 63; // of a series that is new
        }
        len = past_encode(&writer, moment, bytes);
        assert_in_range(len, PAST_ROWS_MAX * 60, sizeof(bytes));
        assert_int_equal(past_decode(&reader, bytes), len);
        assert_int_equal(reader.last.taken_ns, moment->taken_ns);
        assert_int_equal(reader.last.unix_ms, moment->unix_ms);
        assert_int_equal(reader.last.n_rows, moment->n_rows);
        assert_memory_equal(reader.last.rows, moment->rows, sizeof(moment->rows));
    }
}

/* ---- The memory goes round ---- */

static size_t read_all(struct past_reader *reader, uint64_t *ret_first_ns,
                       uint64_t *ret_last_ns)
{
    const struct past_moment *moment;
    size_t n = 0;

    *ret_first_ns = *ret_last_ns = 0;
    for (;;) {
        moment = past_reader_next(reader);
        if (!moment)
            return n;
        if (n++ == 0)
            *ret_first_ns = moment->taken_ns;
        else
            assert_int_equal(moment->taken_ns, *ret_last_ns + 500 * MS);
        *ret_last_ns = moment->taken_ns;
    }
}

static void test_oldest_goes(void **state)
{
    struct past *past = make_past(3 * PAST_CHUNK_BYTES);
    struct past_reader *reader = make_reader(past);
    uint64_t first, last, oldest, newest;
    size_t n;

    (void)state;
    past_span(past, &oldest, &newest);
    assert_int_equal(oldest, 0);
    assert_int_equal(newest, 0);
    for (uint64_t i = 1; i <= 20000; i++) {
        add_at(past, i * 500 * MS);
        if (i % 1000)
            continue;
        past_reader_seek(reader, 0);
        n = read_all(reader, &first, &last);
        assert_int_equal(last, i * 500 * MS);
        assert_int_equal(first, (i - n + 1) * 500 * MS);
        past_span(past, &oldest, &newest);
        assert_int_equal(first, oldest);
        assert_int_equal(last, newest);
        assert_true(n == i || n > 2 * PAST_CHUNK_ROOM / 20); // two chunks are full
        assert_true(n < 3 * PAST_CHUNK_ROOM / 4);            // none is larger than it is
    }
    assert_int_equal(past_reader_missed(reader), 0);
    past_reader_free(reader);
    past_free(past);
}

/* Whatever is asked for, there are two chunks. */
static void test_least_size(void **state)
{
    struct past *past = make_past(0);
    struct past_reader *reader = make_reader(past);
    uint64_t first, last;

    (void)state;
    for (uint64_t i = 1; i <= 20000; i++) {
        add_at(past, i * 500 * MS);
        if (i <= 10000 || i % 50)
            continue;
        past_reader_seek(reader, 0);
        assert_in_range(read_all(reader, &first, &last), PAST_CHUNK_ROOM / 20, 10000);
    }
    past_reader_free(reader);
    past_free(past);
    past = NULL;
    assert_int_equal(past_new(SIZE_MAX, &past), -ENOMEM);
    assert_null(past);
    past_free(NULL);
    past_reader_free(NULL);
}

static void test_overtaken(void **state)
{
    struct past *past = make_past(3 * PAST_CHUNK_BYTES);
    struct past_reader *reader = make_reader(past);
    const struct past_moment *moment;
    uint64_t first, last, read = 0, added = 0;

    (void)state;
    while (added < 10)
        add_at(past, ++added * 500 * MS);
    for (; read < 4; read++)
        assert_int_equal(past_reader_next(reader)->taken_ns, (read + 1) * 500 * MS);
    while (added < 30000)
        add_at(past, ++added * 500 * MS);
    for (; read < 10; read++) // what it has a copy of
        assert_int_equal(past_reader_next(reader)->taken_ns, (read + 1) * 500 * MS);
    assert_int_equal(past_reader_missed(reader), 0);
    moment = past_reader_next(reader);
    assert_true(moment->taken_ns > 11 * 500 * MS);
    assert_int_equal(past_reader_missed(reader),
                     moment->taken_ns / (500 * MS) - 1 - read);
    assert_int_equal(past_reader_missed(reader), 0); // told once
    read = moment->taken_ns / (500 * MS);
    assert_int_equal(read_all(reader, &first, &last), added - read);
    assert_int_equal(last, added * 500 * MS);
    assert_int_equal(past_reader_missed(reader), 0);
    past_reader_free(reader);
    past_free(past);
}

/* Where all is dropped between two reads, one in a chunk's middle and one at its end. */
static void test_clear(void **state)
{
    struct past *past = make_past(3 * PAST_CHUNK_BYTES);
    struct past_reader *reader = make_reader(past), *idle = make_reader(past);
    uint64_t first, last;

    (void)state;
    for (uint64_t i = 1; i <= 10; i++)
        add_at(past, i * 500 * MS);
    assert_int_equal(read_all(reader, &first, &last), 10);
    for (uint64_t i = 11; i <= 13; i++)
        add_at(past, i * 500 * MS);
    past_clear(past);
    past_span(past, &first, &last);
    assert_int_equal(last, 0);
    assert_null(past_reader_next(reader));
    assert_null(past_reader_next(idle));
    add_at(past, 7 * 500 * MS); // its time may be any
    add_at(past, 8 * 500 * MS);
    assert_int_equal(read_all(reader, &first, &last), 2);
    assert_int_equal(first, 7 * 500 * MS);
    assert_int_equal(past_reader_missed(reader), 3);
    past_clear(past);
    assert_int_equal(read_all(idle, &first, &last), 0);
    add_at(past, 9 * 500 * MS);
    assert_int_equal(read_all(idle, &first, &last), 1);
    assert_int_equal(past_reader_missed(idle), 15);
    past_reader_free(idle);
    past_reader_free(reader);
    past_free(past);
}

/* ---- From where it is read ---- */

static void assert_window(struct past_reader *reader, uint64_t since_ns, size_t n,
                          uint64_t end_ns)
{
    uint64_t first, last;

    past_reader_seek(reader, since_ns);
    assert_int_equal(read_all(reader, &first, &last), n);
    assert_int_equal(last, n ? end_ns : 0);
    assert_int_equal(past_reader_missed(reader), 0);
}

static void test_seek(void **state)
{
    const uint64_t step_ns = 500 * MS, start_ns = 7000 * MS, end_ns = 11500 * MS;
    struct past *past = make_past(8 * PAST_CHUNK_BYTES);
    struct past_reader *reader = make_reader(past);

    (void)state;
    assert_window(reader, 0, 0, 0);
    assert_window(reader, 1, 0, 0);
    for (uint64_t i = 0; i < 10; i++)
        add_at(past, start_ns + i * step_ns);
    assert_window(reader, 0, 10, end_ns);
    assert_window(reader, start_ns, 9, end_ns); // one as old is not in it
    assert_window(reader, start_ns - 1, 10, end_ns);
    assert_window(reader, 11000 * MS, 1, end_ns);
    assert_window(reader, end_ns, 0, 0);
    add_at(past, end_ns + step_ns); // is what comes next, then
    assert_int_equal(past_reader_next(reader)->taken_ns, end_ns + step_ns);
    assert_window(reader, UINT64_MAX, 0, 0);
    past_clear(past);
    for (uint64_t i = 1; i <= 10000; i++) // over several chunks
        add_at(past, i * step_ns);
    for (uint64_t i = 1; i < 10000; i += 7)
        assert_window(reader, i * step_ns, 10000 - i, 10000 * step_ns);
    past_reader_free(reader);
    past_free(past);
}

/* ---- What a snapshot is in figures ---- */

struct facts {
    uint64_t f[PAST_FIGURES];
};

static const struct {
    const char *row;
    uint64_t allocated;
    double hit_percent;
    uint32_t n_models;
    struct facts models[2], host;
} facts[] = {
    // clang-format off
    {"no models: nothing is used", 5, 0, 0, {{{0}}}, {{5, 0, 0, 0, 0, 0, 0}}},
    {"sums", 9, 73.45, 2, {{{4, 1, 7, 5, 2, 3, 1}}, {{5, 10, 70, 6, 20, 30, 2}}},
     {{9, 11, 77, 734500, 22, 33, 0}}},
    {"one is not known", 9, 50, 2, {{{4, 1, U, 5, U, 3, U}}, {{5, U, 2, U, 20, U, 4}}},
     {{9, 1, 2, 500000, 20, 3, 0}}},
    {"zero is known", 9, 50, 2, {{{0}}, {{U, U, U, U, U, U, U}}}, {{9, 0, 0, 500000, 0, 0, 0}}},
    {"none is known", U, NONE, 2, {{{U, U, U, U, U, U, U}}, {{U, U, U, U, U, U, U}}},
     {{U, U, U, U, U, U, U}}},
    {"a rate too large", 0, 100.5, 0, {{{0}}}, {{0, 0, 0, 1000000, 0, 0, 0}}},
    {"a rate below zero", 0, -1, 0, {{{0}}}, {{0, 0, 0, 0, 0, 0, 0}}},
    {"a third", 0, 100.0 / 3, 0, {{{0}}}, {{0, 0, 0, 333333, 0, 0, 0}}},
    {"too much to count", 1, 0, 2, {{{1, U - 1, 1, 0, 1, 1, 1}}, {{1, 7, 1, 0, 1, 1, 1}}},
     {{1, U, 2, 0, 2, 2, 0}}},
    // clang-format on
};

static void assert_figures(const char *name, const struct past_row *row,
                           const uint64_t want[PAST_FIGURES])
{
    for (size_t i = 0; i < PAST_FIGURES; i++)
        if (row->figures[i] != want[i])
            fail_msg("[%s] series %u, figure %zu is %llu, not %llu", name, row->series, i,
                     (unsigned long long)row->figures[i], (unsigned long long)want[i]);
}

static void test_figures(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        struct past *past = make_past(0);
        struct past_reader *reader = make_reader(past);
        struct snapshot *snapshot = make_snapshot(i);
        const struct past_moment *moment;

        snapshot->allocated_bytes.value = facts[i].allocated;
        snapshot->hit_percent = facts[i].hit_percent;
        for (uint32_t k = 0; k < facts[i].n_models; k++)
            set_figures(add_model(snapshot, "m", (uint16_t)(8000 + k)),
                        facts[i].models[k].f);
        add_and_drop(past, snapshot);
        moment = past_reader_next(reader);
        assert_int_equal(moment->n_rows, 1 + facts[i].n_models);
        assert_figures(facts[i].row, &moment->rows[0], facts[i].host.f);
        for (uint32_t k = 0; k < facts[i].n_models; k++)
            assert_figures(facts[i].row, &moment->rows[1 + k], facts[i].models[k].f);
        past_reader_free(reader);
        past_free(past);
    }
}

/* Where nobody has counted in the last minute, or what is counted is no counter. */
static void test_hit_rate_of_model(void **state)
{
    static const struct {
        struct hit_counts minute;
        double lifetime;
        bool from_ratio;
        uint64_t ppm;
    } rows[] = {
        {{1, 3}, 5, false, 333333}, {{4, 3}, 5, false, 1000000},
        {{0, 0}, 5, false, U},      {{1, 3}, NONE, false, U},
        {{1, 3}, 5, true, U},       {{NONE, NONE}, 5, false, U},
        {{0, 9}, 9, false, 0},
    };
    struct past *past = make_past(0);
    struct past_reader *reader = make_reader(past);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct snapshot *snapshot = make_snapshot(1);
        struct snapshot_model *model = add_model(snapshot, "m", 8000);

        model->prefix_minute = rows[i].minute;
        model->page.prefix.queries = rows[i].lifetime;
        model->page.prefix_from_ratio = rows[i].from_ratio;
        add_and_drop(past, snapshot);
        assert_int_equal(past_reader_next(reader)->rows[1].figures[PAST_HIT_PPM],
                         rows[i].ppm);
    }
    past_reader_free(reader);
    past_free(past);
}

/* ---- Half an hour of a busy host ---- */

enum { BUSY_MODELS = 16, HALF_AN_HOUR = 30 * 60 * 2 };

#define GIB (UINT64_C(1) << 30)

/* Every figure that moves while requests come and go is another in every moment. */
static void add_busy(struct past *past, uint64_t i)
{
    struct snapshot *snapshot = make_snapshot(i * 500 * MS + roll() % (300 * MS / 1000));
    char name[32];

    snapshot->unix_ms = UINT64_C(1790000000000) + i * 500 + roll() % 2;
    snapshot->allocated_bytes.value = 640 * GIB + (i / 20) * 2097152;
    snapshot->hit_percent = (double)(roll() % 10000) / 100;
    for (uint16_t k = 0; k < BUSY_MODELS; k++) {
        const uint64_t f[PAST_FIGURES] = {40 * GIB + (i / 20) * 2097152,
                                          (roll() % 30000) * 1179648,
                                          33 * GIB,
                                          roll() % 1000000,
                                          roll() % 256,
                                          roll() % 100,
                                          i / 3};

        (void)snprintf(name, sizeof(name), "org/model-%u", k);
        set_figures(add_model(snapshot, name, (uint16_t)(8000 + k)), f);
    }
    add_and_drop(past, snapshot);
}

static void test_half_an_hour(void **state)
{
    struct past *past = make_past(PAST_BYTES);
    struct past_reader *reader = make_reader(past);
    uint64_t oldest, newest;
    size_t held = 0;

    (void)state;
    dice = 88172645463325252;
    for (uint64_t i = 0; i < 3 * HALF_AN_HOUR; i++)
        add_busy(past, i);
    past_reader_seek(reader, 0);
    while (past_reader_next(reader))
        held++;
    past_span(past, &oldest, &newest);
    print_message("%zu moments of %d models, %.1f minutes, %.1f bytes each\n", held,
                  BUSY_MODELS, (double)(newest - oldest) / 6e10,
                  (double)PAST_BYTES / (double)held);
    assert_in_range(held, HALF_AN_HOUR * 6 / 5, 3 * HALF_AN_HOUR - 1);
    past_reader_free(reader);
    past_free(past);
}

static void test_nothing_is_allocated(void **state)
{
    struct past *past = make_past(2 * PAST_CHUNK_BYTES);
    struct past_reader *reader = make_reader(past);
    unsigned before;

    (void)state;
    add_busy(past, 0); // the snapshot's pool is warm
    before = allocs;
    for (uint64_t i = 1; i < 2000; i++)
        add_busy(past, i);
    past_reader_seek(reader, 0);
    while (past_reader_next(reader))
        ;
    past_clear(past);
    assert_int_equal(allocs, before);
    past_reader_free(reader);
    past_free(past);
}

/* ---- Names ---- */

static void add_named(struct past *past, uint64_t i, uint32_t first, uint32_t n)
{
    struct snapshot *snapshot = make_snapshot(i * 500 * MS);
    char name[32];

    for (uint32_t k = first; k < first + n; k++) {
        (void)snprintf(name, sizeof(name), "m%u", k);
        (void)add_model(snapshot, name, 1);
    }
    add_and_drop(past, snapshot);
}

static uint32_t rows_of_newest(struct past_reader *reader, uint32_t *ret_series)
{
    const struct past_moment *moment;
    uint32_t n = 0;

    for (moment = past_reader_next(reader); moment; moment = past_reader_next(reader)) {
        n = moment->n_rows - 1;
        *ret_series = n ? moment->rows[n].series : 0;
    }
    return n;
}

static void test_names(void **state)
{
    struct past *past = make_past(0);
    struct past_reader *reader = make_reader(past);
    struct past_series of;
    uint32_t series = 0, number;
    uint64_t i = 0;

    (void)state;
    for (uint32_t k = 0; k < PAST_SERIES_MAX; k += 32)
        add_named(past, ++i, k, 32);
    assert_int_equal(rows_of_newest(reader, &series), 32);
    assert_int_equal(series, PAST_SERIES_MAX);
    add_named(past, ++i, PAST_SERIES_MAX - 2, 4); // two of them have no room for a name
    assert_int_equal(rows_of_newest(reader, &series), 2);
    assert_int_equal(series, PAST_SERIES_MAX);
    for (number = 1; number <= PAST_SERIES_MAX; number++)
        assert_true(past_series(past, number, &of));
    assert_string_equal(of.served_name, "m255");
    assert_false(past_series(past, 0, &of));
    assert_false(past_series(past, PAST_SERIES_MAX + 1, &of));
    assert_false(past_series(past, UINT32_MAX, &of));

    while (i < 10000) // until no moment is left that had them
        add_named(past, ++i, PAST_SERIES_MAX - 1, 1);
    add_named(past, ++i, PAST_SERIES_MAX - 1, 4);
    assert_int_equal(rows_of_newest(reader, &series), 4);
    assert_int_equal(series, PAST_SERIES_MAX + 3); // no number twice
    assert_false(past_series(past, 1, &of));
    assert_true(past_series(past, PAST_SERIES_MAX, &of)); // was there all the time
    assert_string_equal(of.served_name, "m255");
    assert_true(past_series(past, PAST_SERIES_MAX + 3, &of));
    assert_string_equal(of.served_name, "m258");

    past_clear(past);
    assert_false(past_series(past, PAST_SERIES_MAX + 3, &of));
    add_named(past, ++i, 0, 1);
    assert_int_equal(rows_of_newest(reader, &series), 1);
    assert_int_equal(series, PAST_SERIES_MAX + 4);
    past_reader_free(reader);
    past_free(past);
}

/* ---- One adds, others read ---- */

enum { RACED = 40000, READERS = 2 };

struct race {
    struct past *past;
    struct past_reader *reader;
    uint64_t read, missed, wrong, last_ns;
};

/* A row says what it must by its moment's time. */
static bool is_right(const struct past_moment *moment, uint64_t last_ns)
{
    uint64_t i = moment->taken_ns / MS;

    return moment->taken_ns > last_ns && moment->n_rows == 1 + i % 3 &&
           moment->rows[0].figures[PAST_ALLOCATED_BYTES] == i &&
           moment->rows[moment->n_rows - 1].figures[PAST_REQUESTS_RUNNING] ==
               (i % 3 == 2 ? 2 * i
                : i % 3    ? i
                           : 0);
}

static void *read_race(void *ctx)
{
    struct race *race = ctx;
    struct past_series of;

    while (race->last_ns < RACED * MS) {
        const struct past_moment *moment = past_reader_next(race->reader);

        if (!moment)
            continue;
        race->wrong += !is_right(moment, race->last_ns);
        race->last_ns = moment->taken_ns;
        race->read++;
        race->missed += past_reader_missed(race->reader);
        if (moment->n_rows > 1 && past_series(race->past, moment->rows[1].series, &of))
            race->wrong += of.served_name[0] != 'm';
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct past *past = make_past(4 * PAST_CHUNK_BYTES);
    struct race races[READERS] = {{.past = past}, {.past = past}};
    pthread_t threads[READERS];

    (void)state;
    for (size_t i = 0; i < READERS; i++) {
        races[i].reader = make_reader(past);
        assert_int_equal(pthread_create(&threads[i], NULL, read_race, &races[i]), 0);
    }
    for (uint64_t i = 1; i <= RACED; i++) {
        struct snapshot *snapshot = make_snapshot(i * MS);

        for (uint32_t k = 0; k < i % 3; k++) {
            struct snapshot_model *model =
                add_model(snapshot, k ? "m2" : "m1", (uint16_t)(i / 100 % 300));

            model->page.requests_running = k ? 2 * i : i;
        }
        add_and_drop(past, snapshot);
    }
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(races[i].wrong, 0);
        assert_int_equal(races[i].read + races[i].missed, RACED);
        past_reader_free(races[i].reader);
    }
    past_free(past);
}

static int set_up(void **state)
{
    (void)state;
    return snapshot_pool_new(&pool);
}

static int tear_down(void **state)
{
    (void)state;
    snapshot_pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_preemptions_of_the_host),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_oldest_goes),
        cmocka_unit_test(test_least_size),
        cmocka_unit_test(test_overtaken),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_seek),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_hit_rate_of_model),
        cmocka_unit_test(test_half_an_hour),
        cmocka_unit_test(test_nothing_is_allocated),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
