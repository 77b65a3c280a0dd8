// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define U UNKNOWN

/* ---- Round trip ---- */

static void test_round_trip(void **state)
{
    const uint64_t rows[][PAST_FIGURES] = {
        {1, 2, 3, 734512, 5, 6, 7},
        {U, U, U, U, U, U, U},
        {(uint64_t)1 << 46, 0, 1, 1000000, 0, 0, 0},
        {UINT64_MAX - 1, 1, 1, 0, 1, 1, 1}, // more than the file can hold: not known
    };
    struct history_point points[8];

    (void)state;
    open_store();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        add_row(START_MS + 500 * (int64_t)i, 1, rows[i]);
    assert_int_equal(store_commit(store), 0);
    for (int again = 0; again < 2; again++) {
        int64_t from_ms = 0;

        assert_int_equal(read_points(1, 0, &from_ms, points, ARRAY_LEN(points)), 4);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            assert_int_equal(points[i].unix_ms, START_MS + 500 * (int64_t)i);
            assert_int_equal(points[i].count, 1);
            for (size_t k = 0; k < STORE_FIGURES; k++)
                assert_figure("full rate", &points[i].figures[k],
                              rows[i][k] > INT64_MAX ? (double)NAN : (double)rows[i][k]);
        }
        assert_true(isnan(points[0].preemptions)); // nobody knows where it stood before
        reopen_store();
    }
    close_store();
}

static struct event make_event(uint64_t id, int64_t unix_ms)
{
    struct event event = {.id = id, .unix_ms = unix_ms, .kind = EVENT_ENGINE_LOST};

    (void)snprintf(event.text, sizeof(event.text), "event %d", (int)id);
    if (id % 2) {
        event.port = 8000;
        (void)snprintf(event.served_name, sizeof(event.served_name), "Qwen/Q'\"3");
        (void)snprintf(event.device, sizeof(event.device), "GPU-1");
    }
    return event;
}

static void assert_event(const struct event *got, const struct event *want)
{
    assert_int_equal(got->id, want->id);
    assert_int_equal(got->unix_ms, want->unix_ms);
    assert_int_equal(got->kind, want->kind);
    assert_int_equal(got->port, want->port);
    assert_string_equal(got->served_name, want->served_name);
    assert_string_equal(got->device, want->device);
    assert_string_equal(got->text, want->text);
}

static void test_events(void **state)
{
    static struct event events[8];

    (void)state;
    open_store();
    assert_int_equal(store_newest_event(store), 0);
    assert_int_equal(store_newest_ms(store), 0);
    assert_int_equal(store_read_events(store, events, ARRAY_LEN(events)), 0);
    for (uint64_t id = 1; id <= 12; id++) {
        struct event event = make_event(id, START_MS + (int64_t)id);

        assert_int_equal(store_add_event(store, &event), 0);
        assert_int_equal(store_add_event(store, &event), 0); // once more: it is the same
    }
    assert_int_equal(store_commit(store), 0);
    reopen_store();
    assert_int_equal(store_newest_event(store), 12);
    assert_int_equal(store_read_events(store, events, ARRAY_LEN(events)), 8);
    for (uint64_t i = 0; i < 8; i++) {
        struct event want = make_event(5 + i, START_MS + 5 + (int64_t)i);

        assert_event(&events[i], &want);
    }
    trim_all(START_MS + 1000 * limits.events_ms);
    assert_int_equal(store_read_events(store, events, ARRAY_LEN(events)), 0);
    reopen_store();
    assert_int_equal(store_newest_event(store), 12); // ids go on
    close_store();
}

/* There is no column of nodes: the text says it. */
static void test_event_of_a_node(void **state)
{
    struct event event = make_event(1, START_MS), got[2];

    (void)state;
    open_store();
    (void)snprintf(event.node, sizeof(event.node), "gpu17");
    (void)snprintf(event.text, sizeof(event.text), "it has begun");
    assert_int_equal(store_add_event(store, &event), 0);
    event.id = 2;
    event.kind = EVENT_NODE_LOST;
    (void)snprintf(event.text, sizeof(event.text), "node gpu17 is lost");
    assert_int_equal(store_add_event(store, &event), 0);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_read_events(store, got, ARRAY_LEN(got)), 2);
    assert_string_equal(got[0].text, "gpu17: it has begun");
    assert_string_equal(got[1].text, "node gpu17 is lost");
    close_store();
}

/* ---- Batches ---- */

static void test_batches(void **state)
{
    struct history_point points[8];
    int64_t from_ms = 0;

    (void)state;
    open_store();
    add_plain(START_MS, 1, 1);
    assert_int_equal(store_commit(store), 0);
    add_plain(START_MS + 500, 1, 2);
    add_plain(START_MS + 500, 2, 2); // a name that goes with the batch
    store_roll_back(store);
    assert_int_equal(read_points(1, 0, &from_ms, points, 8), 1);
    add_plain(START_MS + 1000, 2, 3);
    add_plain(START_MS + 1000, 1, 3);
    close_store(); // commits
    open_again();
    from_ms = 0;
    assert_int_equal(read_points(1, 0, &from_ms, points, 8), 2);
    assert_int_equal(points[1].unix_ms, START_MS + 1001); // its millisecond was taken
    from_ms = 0;
    assert_int_equal(read_points(2, 0, &from_ms, points, 8), 1);
    assert_int_equal(store_commit(store), 0); // of nothing
    close_store();
}

/* A batch that had left a slot behind: after it was given up, it has not. */
static void test_slot_given_up(void **state)
{
    (void)state;
    open_store();
    add_plain(START_MS, 1, 1);
    assert_int_equal(store_commit(store), 0);
    add_plain(START_MS + STORE_SLOT_MS, 1, 1);
    store_roll_back(store);
    assert_int_equal(count_rows("slot"), 0);
    add_plain(START_MS + STORE_SLOT_MS, 1, 1);
    add_plain(START_MS + 2 * STORE_SLOT_MS, 1, 1);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(count_rows("slot"), 4);
    close_store();
}

static void test_series(void **state)
{
    static struct history_series series[8];
    struct history_span span = {.from_ms = START_MS, .to_ms = START_MS + 1000};
    const struct {
        const char *model;
        int n;
    } rows[] = {{"", 4}, {"org/model 2", 1}, {"org-model-2", 1}, {"none", 0}};

    (void)state;
    open_store();
    for (uint32_t model = 3; model > 0; model--)
        add_plain(START_MS + model, model, 1);
    add_plain(START_MS + 5000, 4, 1); // out of the span
    assert_int_equal(store_commit(store), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        (void)snprintf(span.model, sizeof(span.model), "%s", rows[i].model);
        assert_int_equal(store_series(store, &span, series, 8), rows[i].n);
    }
    span.model[0] = '\0';
    assert_int_equal(store_series(store, &span, series, 3), -E2BIG);
    assert_int_equal(store_series(store, &span, series, 8), 4);
    assert_true(series[0].is_host);
    assert_string_equal(series[0].of.served_name, "");
    for (int i = 1; i < 4; i++) {
        assert_false(series[i].is_host);
        assert_int_equal(series[i].of.port, 9000 - (4 - i));
        assert_string_equal(series[i].of.served_name, name_of((uint32_t)(4 - i)));
    }
    close_store();
}

/* ---- Slots and buckets ---- */

/* Rows as a busy host makes them: figures that come and go, gaps, engines begun anew. */
static void add_random(int64_t *unix_ms, size_t n)
{
    static uint64_t counter;

    for (size_t i = 0; i < n; i++) {
        uint64_t figures[PAST_FIGURES];

        *unix_ms += roll() % 50 == 0 ? 3000 + (int64_t)(roll() % 40000) : 500;
        counter = roll() % 60 == 0 ? 0 : counter + (roll() % 4 == 0);
        for (size_t k = 0; k < PAST_FIGURES; k++)
            figures[k] =
                roll() % 7 == 0 ? U : roll() % (k == PAST_HIT_PPM ? 1000001 : 9000);
        figures[PAST_PREEMPTIONS] = roll() % 9 == 0 ? U : counter;
        add_row(*unix_ms, 1 + (uint32_t)(roll() % 3), figures);
    }
}

/* What the points must be, from all rows that were added, in the plainest way. */
static void assert_points(const char *what, uint32_t model, int64_t from_ms,
                          int64_t to_ms, int64_t step_ms, size_t at_a_time)
{
    static struct history_point points[1000];
    struct history_span span = {.from_ms = from_ms, .to_ms = to_ms, .step_ms = step_ms};
    int64_t cursor_ms = from_ms;
    int64_t bucket_ms = store_floor(from_ms, step_ms);

    for (;;) {
        ssize_t n =
            store_points(store, &span, number_of(model), &cursor_ms, points, at_a_time);

        assert_true(n >= 0);
        if (n == 0)
            break;
        for (ssize_t i = 0; i < n; i++) {
            assert_int_equal(points[i].unix_ms % step_ms, 0);
            for (; bucket_ms < points[i].unix_ms; bucket_ms += step_ms)
                assert_nothing(what, model, bucket_ms, bucket_ms + step_ms);
            assert_point(what, model, &points[i], step_ms);
            bucket_ms += step_ms;
        }
    }
    for (; bucket_ms < to_ms; bucket_ms += step_ms)
        assert_nothing(what, model, bucket_ms, bucket_ms + step_ms);
}

static void assert_all(const char *what, int64_t from_ms, int64_t to_ms)
{
    static const int64_t steps_ms[] = {10000, 60000, 500, 3000, 15000, 36000};
    static const size_t at_a_time[] = {1000, 1, 7};

    for (uint32_t model = 0; model <= 3; model++)
        for (size_t i = 0; i < ARRAY_LEN(steps_ms); i++)
            for (size_t k = 0; k < ARRAY_LEN(at_a_time); k++)
                assert_points(what, model, from_ms, to_ms, steps_ms[i], at_a_time[k]);
}

static void test_buckets(void **state)
{
    int64_t unix_ms = START_MS;

    (void)state;
    open_store();
    for (int i = 0; i < 6; i++) {
        add_random(&unix_ms, 150);
        assert_all("in a batch", START_MS, unix_ms + 1);
        assert_int_equal(store_commit(store), 0);
        assert_all("a part", START_MS + 12345, unix_ms - 54321);
        if (i % 2)
            reopen_store(); // in the middle of a slot
        assert_slots("slots");
    }
    assert_all("the end", START_MS - 100000, unix_ms + 100000);
    close_store();
    // Of all samples of a slot, or none: told by there being no number.
    assert_true(count_rows("slot WHERE used_kv_cache_bytes_n > 0") > 0);
    assert_int_equal(count_rows("slot WHERE used_kv_cache_bytes_n IN (0, n)"), 0);
}

/* Where rows at full rate have gone, slots say the same in whole slots. */
static void test_buckets_of_the_old(void **state)
{
    static struct history_point points[4000];
    const int64_t step_ms = 20000;
    int64_t unix_ms = START_MS, from_ms = 0;
    ssize_t n;
    size_t of_slots = 0;
    int64_t full_ms;

    (void)state;
    limits.full_rate_ms = 5 * 60 * 1000;
    open_store();
    add_random(&unix_ms, 3000);
    assert_int_equal(store_commit(store), 0);
    trim_all(unix_ms);
    assert_points("from slots", 0, START_MS, unix_ms, step_ms, 1000);
    assert_points("from slots", 2, START_MS, unix_ms, 3 * step_ms, 3);
    assert_slots("slots, trimmed");
    full_ms = unix_ms - limits.full_rate_ms * 65 / 64 - STORE_SLOT_MS;
    n = read_points(0, 0, &from_ms, points, ARRAY_LEN(points));
    assert_true(n > 0);
    for (ssize_t i = 0; i < n; i++) {
        bool is_slot = points[i].unix_ms < full_ms;

        assert_true(i == 0 || points[i].unix_ms > points[i - 1].unix_ms);
        assert_true(is_slot ? points[i].unix_ms % STORE_SLOT_MS == 0
                            : points[i].count >= 1);
        of_slots += is_slot;
    }
    assert_int_equal(points[n - 1].count, 1);
    assert_true(of_slots > 50);
    assert_int_equal(count_of(points, (size_t)n), 3000); // each row once
    from_ms = 0;
    for (ssize_t i = 0; i < n; i += 7) { // and so in pieces
        struct history_point piece[7];
        ssize_t got = read_points(0, 0, &from_ms, piece, ARRAY_LEN(piece));

        assert_int_equal(got, MIN(n - i, (ssize_t)7));
        for (ssize_t k = 0; k < got; k++)
            assert_int_equal(piece[k].unix_ms, points[i + k].unix_ms);
    }
    close_store();
}

/* ---- Clocks ---- */

static void test_clock_set_back(void **state)
{
    int64_t unix_ms = START_MS;

    (void)state;
    open_store();
    add_random(&unix_ms, 400);
    unix_ms -= 60000; // into slots that were made, at milliseconds that are taken
    add_random(&unix_ms, 50);
    reopen_store();
    add_random(&unix_ms, 50);
    unix_ms -= 3600000;
    add_random(&unix_ms, 100);
    assert_int_equal(store_commit(store), 0);
    assert_slots("set back");
    assert_all("set back", START_MS - 3600000, START_MS + 1200000);
    close_store();
}

/* Rows come into a slot whose own rows are gone: it has those of both times. */
static void test_clock_set_back_far(void **state)
{
    static struct history_point points[100];
    int64_t from_ms;

    (void)state;
    limits.full_rate_ms = 60000;
    open_store();
    for (int i = 0; i < 400; i++)
        add_plain(START_MS + 500 * i, 1, 100);
    assert_int_equal(store_commit(store), 0);
    trim_all(START_MS + 200000);
    for (int i = 0; i < 30; i++) // 15 s: a slot and a half
        add_plain(START_MS + 20000 + 500 * i, 1, 200);
    for (int again = 0; again < 3; again++) { // however often it is begun anew
        from_ms = START_MS + 20000;
        assert_true(read_points(1, 10000, &from_ms, points, 100) > 3);
        assert_int_equal(points[0].count, 40);
        assert_int_equal(points[1].count, 30); // under way
        assert_int_equal(points[2].count, 20);
        assert_true(is_near(points[0].figures[0].mean, 150, 1e-9));
        assert_true(is_near(points[1].figures[0].mean, 4000 / 30.0, 1e-9));
        assert_true(is_near(points[0].figures[0].min, 100, 0));
        assert_true(is_near(points[0].figures[0].max, 200, 0));
        reopen_store();
    }
    add_plain(START_MS + 190000, 1, 300);
    add_plain(START_MS + 20100, 1, 300); // and once more
    add_plain(START_MS + 400000, 1, 300);
    assert_int_equal(store_commit(store), 0);
    from_ms = START_MS + 20000;
    assert_true(read_points(1, 10000, &from_ms, points, 100) > 3);
    assert_int_equal(points[0].count, 41);
    assert_int_equal(points[1].count, 30);
    assert_int_equal(points[2].count, 20);
    close_store();
}

/* What a clock says that was set far ahead is believed after six hours. */
static void test_clock_set_ahead(void **state)
{
    const int64_t year_ms = INT64_C(365) * 86400000, hour_ms = 3600000;
    const int64_t end_ms = START_MS + 7 * hour_ms;
    const struct event event = {.id = 1, .unix_ms = START_MS, .kind = EVENT_GPU_LOST};
    int64_t ms, samples;

    (void)state;
    limits.full_rate_ms = hour_ms;
    limits.slots_ms = limits.events_ms = 12 * hour_ms;
    open_store();
    assert_int_equal(store_add_event(store, &event), 0);
    for (ms = START_MS; ms < end_ms; ms += 10000)
        add_plain(ms, 1, 100);
    assert_int_equal(store_commit(store), 0);
    trim_all(end_ms);
    samples = count_rows("sample WHERE series=1");
    assert_in_range(samples, 360, 362);
    for (ms = 0; ms < 5 * hour_ms; ms += 10000) { // in five hours five grow older
        add_plain(end_ms + year_ms + ms, 1, 100);
        if (ms % hour_ms == 0) {
            assert_int_equal(store_commit(store), 0);
            reopen_store();
            trim_all(end_ms + year_ms + ms);
            assert_int_equal(count_rows("slot WHERE series=1"),
                             (end_ms - START_MS + ms) / 10000);
            assert_int_equal(count_rows("event"), 1);
        }
        if (ms == 0) // but for ten minutes
            assert_in_range(count_rows("sample WHERE series=1"), samples - 60,
                            samples + 1);
    }
    assert_int_equal(store_commit(store), 0);
    trim_all(end_ms + hour_ms / 2); // and back: those are ahead of their time
    assert_int_equal(oldest_of("slot"), START_MS);
    for (; ms < 6 * hour_ms + 20000; ms += 10000)
        add_plain(end_ms + year_ms + ms, 1, 100);
    assert_int_equal(store_commit(store), 0);
    trim_all(end_ms + year_ms + ms);
    assert_int_equal(oldest_of("slot"), end_ms + year_ms);
    assert_int_equal(count_rows("event"), 0);
    close_store();
}

/* A slot that trimming catches under way is made first. */
static void test_trim_under_way(void **state)
{
    static struct history_point points[100];
    int64_t from_ms = 0;

    (void)state;
    open_store();
    for (int i = 0; i < 10; i++)
        add_plain(START_MS + 500 * i, 1, 100);
    assert_int_equal(store_commit(store), 0);
    trim_all(START_MS + 2 * limits.full_rate_ms);
    assert_int_equal(count_rows("sample"), 0);
    for (int i = 10; i < 15; i++)
        add_plain(START_MS + 500 * i, 1, 100);
    assert_int_equal(read_points(1, 10000, &from_ms, points, 100), 1);
    assert_int_equal(points[0].count, 15);
    close_store();
}

/* ---- Limits ---- */

static void test_trim_by_age(void **state)
{
    int64_t oldest_ms, end_ms = START_MS + 4 * 3600000;

    (void)state;
    limits.full_rate_ms = 600000;
    limits.slots_ms = 3600000;
    open_store();
    for (int64_t ms = START_MS; ms < end_ms; ms += 2000) {
        add_plain(ms, 1, 1);
        if (ms - START_MS < 600000)
            add_plain(ms + 1, 2, 1);
    }
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_trim(store, end_ms), 1); // a bounded piece of it
    trim_all(end_ms);
    oldest_ms = oldest_of("sample");
    assert_true(oldest_ms <= end_ms - limits.full_rate_ms);
    assert_true(oldest_ms >= end_ms - limits.full_rate_ms * 65 / 64 - STORE_SLOT_MS);
    oldest_ms = oldest_of("slot");
    assert_true(oldest_ms <= end_ms - limits.slots_ms);
    assert_true(oldest_ms >= end_ms - limits.slots_ms * 65 / 64 - STORE_SLOT_MS);
    assert_int_equal(count_rows("series"), 2); // nothing is left of the other model
    assert_int_equal(store_newest_ms(store), end_ms - 2000);
    add_plain(end_ms, 2, 1); // it comes back
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(count_rows("series"), 3);
    close_store();
}

static off_t size_of_file(void)
{
    struct stat status;

    assert_int_equal(stat(store_path, &status), 0);
    return status.st_size;
}

static void test_trim_by_size(void **state)
{
    int64_t unix_ms = START_MS;

    (void)state;
    limits.bytes = 1 << 20;
    open_store();
    for (int i = 0; i < 60; i++) {
        for (int k = 0; k < 600; k++, unix_ms += 500)
            add_plain(unix_ms, 1 + (uint32_t)k % 3, (uint64_t)i << 40);
        assert_int_equal(store_commit(store), 0);
        trim_all(unix_ms);
    }
    reopen_store(); // with what was in the log
    assert_true(size_of_file() <= 1 << 20);
    assert_true(size_of_file() > 1 << 19);
    assert_int_equal(store_newest_ms(store), unix_ms - 500); // the oldest went
    assert_true(oldest_of("slot") > START_MS);
    limits.bytes = 16384; // less than empty tables have
    reopen_store();
    trim_all(unix_ms);
    assert_int_equal(count_rows("sample") + count_rows("slot"), 0);
    close_store();
}

static void test_names_are_bounded(void **state)
{
    int64_t unix_ms = START_MS;

    (void)state;
    open_store();
    run_sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4096)"
        " INSERT INTO series(model, model_id, port) SELECT 'm' || i, 'm', i FROM n");
    reopen_store();
    add_plain(START_MS, 1, 1);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(count_rows("series"), 4097);
    assert_int_equal(count_rows("sample"), 1); // the host's
    unix_ms += limits.slots_ms * 2;
    trim_all(unix_ms); // none of the names has a row
    add_plain(unix_ms, 1, 1);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(count_rows("series"), 2);
    close_store();
}

/* ---- Files ---- */

static void write_file(const char *path, const void *bytes, size_t len)
{
    OWNED(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
}

/* A store with rows in it, closed. */
static void make_file(int n)
{
    open_store();
    for (int i = 0; i < n; i++)
        add_plain(START_MS + 500 * i, 1, 100);
    close_store();
}

static void damage_all_pages(void)
{
    OWNED(close_fd) int fd = open(store_path, O_WRONLY);
    char junk[4096];

    memset(junk, 0x5a, sizeof(junk));
    assert_true(fd >= 0);
    for (off_t at = 4096; at < size_of_file(); at += 4096)
        assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
}

/* Of some thousand rows in the middle: nothing else reads them when a store is opened. */
static void damage_one_page(void)
{
    OWNED(close_fd) int fd = open(store_path, O_WRONLY);
    char junk[4096];

    memset(junk, 0x5a, sizeof(junk));
    assert_int_equal(
        pwrite(fd, junk, sizeof(junk), store_floor(size_of_file() / 2, sizeof(junk))),
        sizeof(junk));
}

static void damage_end(void)
{
    assert_int_equal(truncate(store_path, size_of_file() / 2), 0);
}

static void damage_beginning(void)
{
    char zeros[4096] = {0};

    write_file(store_path, zeros, sizeof(zeros));
}

static void damage_schema(void)
{
    run_sql("DROP TABLE sample");
}

static void damage_first_page(void)
{
    OWNED(close_fd) int fd = open(store_path, O_WRONLY);
    char junk[3900];

    memset(junk, 0x5a, sizeof(junk));
    assert_int_equal(pwrite(fd, junk, sizeof(junk), 100), sizeof(junk));
}

static void test_damaged_files(void **state)
{
    const struct {
        const char *row;
        void (*damage)(void);
    } rows[] = {{"all pages", damage_all_pages},
                {"a page", damage_one_page},
                {"cut off", damage_end},
                {"zeros", damage_beginning},
                {"a table is gone", damage_schema},
                {"the schema", damage_first_page}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char aside[256];
        struct stat status;

        make_file(2000);
        rows[i].damage();
        (void)snprintf(aside, sizeof(aside), "%s.damaged", store_path);
        (void)unlink(aside);
        if (try_open() < 0)
            fail_msg("[%s] %s", rows[i].row, complaint.text);
        if (!strstr(complaint.text, ".damaged") || stat(aside, &status) < 0)
            fail_msg("[%s] not put aside: %s", rows[i].row, complaint.text);
        assert_int_equal(store_newest_ms(store), 0);
        add_plain(START_MS, 1, 1);
        assert_int_equal(store_commit(store), 0);
        close_store();
        assert_int_equal(try_open(), 0); // it is sound
        assert_string_equal(complaint.text, "");
        assert_int_equal(store_newest_ms(store), START_MS);
        close_store();
        remove_files();
    }
}

/* Damage that is found later: the file goes when the store is closed. */
static void test_damage_while_open(void **state)
{
    static struct history_point points[100];
    int64_t from_ms = 0;
    int r = 0;

    (void)state;
    make_file(20000); // more than is held in memory
    assert_int_equal(try_open(), 0);
    damage_all_pages();
    for (int i = 0; r == 0 && i < 2000; i++) {
        r = try_add(START_MS + 20000000 + 500 * i, 1, 1);
        if (r == 0)
            r = store_commit(store);
        if (r == 0)
            r = (int)MIN(read_points(1, 0, &from_ms, points, 100), (ssize_t)0);
    }
    assert_int_equal(r, -EBADMSG);
    store_roll_back(store);
    close_store();
    assert_int_equal(access(store_path, F_OK), -1);
    assert_int_equal(try_open(), 0);
    close_store();
}

static int reads_left; // of the database, until one fails

static ssize_t failing_read(int fd, void *to, size_t len, off_t at)
{
    if (reads_left-- == 0) {
        errno = EIO;
        return -1;
    }
    return pread(fd, to, len, at);
}

static void fail_read(int n, sqlite3_syscall_ptr read)
{
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);

    reads_left = n;
    assert_int_equal(system->xSetSystemCall(system, "pread", read), SQLITE_OK);
    (void)system->xSetSystemCall(system, "pread64", read); // where it uses that
}

/* A read that the disk fails is no damage of the file: what is in it is there afterwards. */
static void test_disk_that_fails_a_read(void **state)
{
    int failed = 0;

    (void)state;
    make_file(2000);
    for (int n = 0;; n++) {
        bool is_over;
        int r;

        fail_read(n, (sqlite3_syscall_ptr)failing_read);
        r = try_open();
        is_over = reads_left >= 0; // there were fewer
        fail_read(0, NULL);
        if (r == 0)
            close_store();
        if (is_over)
            break;
        failed += r == -EIO;
        assert_int_equal(try_open(), 0);
        assert_string_equal(complaint.text, "");
        assert_true(store_newest_ms(store) > START_MS);
        close_store();
    }
    assert_true(failed > 5);
}

static void test_files_of_others(void **state)
{
    static const char text[] =
        "root:x:0:0:root:/root:/bin/sh\nand much more that is there, "
        "so that it is longer than a hundred bytes in all.....";
    char bytes[512], short_one[3] = "abc";
    struct stat before, after;

    (void)state;
    for (int i = 0; i < 4; i++) {
        const int want[] = {-EBADMSG, -EBADMSG, -EBADMSG, -ENOTSUP};

        if (i == 0)
            write_file(store_path, text, sizeof(text));
        if (i == 1)
            write_file(store_path, short_one, sizeof(short_one));
        if (i == 2)
            run_sql("CREATE TABLE photos(id); PRAGMA journal_mode=WAL");
        if (i == 3) {
            make_file(2000);
            run_sql("PRAGMA user_version=2");
        }
        assert_int_equal(stat(store_path, &before), 0);
        assert_int_equal(try_open(), want[i]);
        assert_non_null(strstr(complaint.text, store_path));
        assert_non_null(strstr(complaint.text, "left as it is"));
        assert_int_equal(stat(store_path, &after), 0);
        assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
        assert_int_equal(before.st_ino, after.st_ino);
        (void)snprintf(bytes, sizeof(bytes), "%s-wal", store_path);
        assert_int_equal(access(bytes, F_OK), -1);
        remove_files();
    }
}

static void test_paths(void **state)
{
    char name[300];
    struct stat status;

    (void)state;
    assert_int_equal(try_open_at("history.db"), -EINVAL);
    assert_int_equal(try_open_at("/tmp/"), -EINVAL);
    assert_int_equal(try_open_at("/nowhere/at/all/h.db"), -ENOENT);
    assert_non_null(strstr(complaint.text, "/nowhere/at/all"));
    make_file(2000);
    assert_int_equal(stat(store_path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    (void)snprintf(name, sizeof(name), "%s/link", store_folder);
    assert_int_equal(symlink(store_path, name), 0);
    assert_int_equal(try_open_at(name), -ELOOP);
    assert_int_equal(try_open_at(store_folder), -EINVAL); // a folder
    (void)snprintf(name, sizeof(name), "%s/way", store_folder);
    assert_int_equal(symlink(store_folder, name), 0);
    (void)snprintf(name, sizeof(name), "%s/way/history.db", store_folder);
    assert_int_equal(try_open_at(name), 0); // the folder may be reached by a link
    assert_int_equal(store_newest_ms(store), START_MS + 1999 * 500);
    close_store();
}

static void test_two_at_once(void **state)
{
    struct store *other = NULL;

    (void)state;
    open_store();
    assert_int_equal(store_open(store_path, &limits, &other, &complaint), -EBUSY);
    assert_non_null(strstr(complaint.text, "another process"));
    add_plain(START_MS, 1, 1);
    close_store();
    assert_int_equal(try_open(), 0);
    close_store();
}

/* Who moves the file away gets a new one begun, not rows into nowhere. */
static void test_moved_away(void **state)
{
    (void)state;
    open_store();
    add_plain(START_MS, 1, 1);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(unlink(store_path), 0);
    assert_int_equal(try_add(START_MS + 500, 1, 1), -ESTALE);
    close_store();
    assert_int_equal(try_open(), 0);
    assert_int_equal(store_newest_ms(store), 0);
    close_store();
}

/* Root may write anywhere. */
static void test_no_right_to_write(void **state)
{
    uid_t uid = geteuid();

    (void)state;
    make_file(2000);
    assert_int_equal(chmod(store_path, 0444), 0);
    assert_int_equal(chmod(store_folder, 0555), 0);
    if (uid == 0)
        assert_int_equal(seteuid(65534), 0);
    assert_int_equal(try_open(), -EACCES); // the lock
    if (uid == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(store_folder, 0777), 0);
    (void)remove_file(".lock");
    if (uid == 0)
        assert_int_equal(seteuid(65534), 0);
    assert_int_equal(try_open(), -EACCES); // the file
    assert_non_null(strstr(complaint.text, "Permission denied"));
    if (uid == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(store_folder, 0700), 0);
}

/* Somebody writes with `sqlite3`: their lock is waited for shortly, and nothing is lost. */
static void test_another_writer(void **state)
{
    sqlite3 *other = NULL;
    struct history_point points[4];
    int64_t from_ms = 0;

    (void)state;
    open_store();
    assert_int_equal(sqlite3_open(store_path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", 0, 0, 0), SQLITE_OK);
    assert_int_equal(try_add(START_MS, 1, 1), -EBUSY);
    assert_int_equal(sqlite3_exec(other, "COMMIT", 0, 0, 0), SQLITE_OK);
    assert_int_equal(try_add(START_MS, 1, 1), 0);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_int_equal(read_points(1, 0, &from_ms, points, 4), 1);
    close_store();
}

/* One who reads and stays: the log grows to its limit, and no further. */
static void test_reader_that_stays(void **state)
{
    sqlite3 *other = NULL;

    (void)state;
    open_store();
    add_plain(START_MS, 1, 1);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(sqlite3_open(store_path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN; SELECT * FROM sample", 0, 0, 0),
                     SQLITE_OK);
    add_plain(START_MS + 500, 1, 1);
    assert_int_equal(store_commit(store), 0);
    store->wal_pages = STORE_WAL_PAGES_MAX + 1; // as if it were
    assert_int_equal(try_add(START_MS + 1000, 1, 1), -EBUSY);
    assert_int_equal(sqlite3_exec(other, "COMMIT", 0, 0, 0), SQLITE_OK);
    assert_int_equal(try_add(START_MS + 1000, 1, 1), 0);
    assert_int_equal(store_commit(store), 0);
    assert_true(store->wal_pages < 100);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_int_equal(count_rows("sample"), 6);
    close_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_store, tear_down_store)
        TEST(test_round_trip),        TEST(test_events),
        TEST(test_event_of_a_node),   TEST(test_batches),
        TEST(test_slot_given_up),     TEST(test_series),
        TEST(test_buckets),           TEST(test_buckets_of_the_old),
        TEST(test_clock_set_back),    TEST(test_clock_set_back_far),
        TEST(test_clock_set_ahead),   TEST(test_trim_under_way),
        TEST(test_trim_by_age),       TEST(test_trim_by_size),
        TEST(test_names_are_bounded), TEST(test_damaged_files),
        TEST(test_damage_while_open), TEST(test_disk_that_fails_a_read),
        TEST(test_files_of_others),   TEST(test_paths),
        TEST(test_two_at_once),       TEST(test_moved_away),
        TEST(test_no_right_to_write), TEST(test_another_writer),
        TEST(test_reader_that_stays),
    };

    return cmocka_run_group_tests(tests, set_up_past, tear_down_past);
}
