// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/engine.h"

#include <math.h>

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define INTERVAL (500 * MS)

static struct engine_page page_of(bool asleep, double hits, double queries)
{
    struct engine_page page;

    engine_page_clear(&page);
    page.engines = 1;
    page.asleep = asleep;
    page.prefix = (struct hit_counts){hits, queries};
    return page;
}

static void take(struct engine *engine, uint64_t took_ns, uint64_t now_ns)
{
    struct engine_page page = page_of(false, 0, 0);

    engine_take_page(engine, &page, took_ns, now_ns);
}

static void begin(struct engine *engine)
{
    engine_init(engine, "http://127.0.0.1:8000", 8000, INTERVAL);
}

enum event { INIT, PAGE, ASLEEP, REFUSED, SILENT, NOT_YET, DISABLED, OTHER, RESTART };

static const enum engine_failure failures[] = {
    [REFUSED] = ENGINE_FAIL_REFUSED, [SILENT] = ENGINE_FAIL_SILENT,
    [NOT_YET] = ENGINE_FAIL_NOT_YET, [DISABLED] = ENGINE_FAIL_DISABLED,
    [OTHER] = ENGINE_FAIL_OTHER,
};

/* One life of a server: after each event it is so. */
static const struct {
    const char *row;
    enum event event;
    enum engine_state state;
    bool why, nobody_listens;
} story[] = {
    {"not yet asked", INIT, ENGINE_STARTING, false, false},
    {"nobody listens yet", REFUSED, ENGINE_UNREACHABLE, true, true},
    {"the port is open, the engine loads", SILENT, ENGINE_STARTING, true, false},
    {"it says that it is not ready", NOT_YET, ENGINE_STARTING, true, false},
    {"garbage", OTHER, ENGINE_UNREACHABLE, true, false},
    {"ready", PAGE, ENGINE_READY, false, false},
    {"silent once it was ready", SILENT, ENGINE_UNREACHABLE, true, false},
    {"503 once it was ready", NOT_YET, ENGINE_UNREACHABLE, true, false},
    {"back", PAGE, ENGINE_READY, false, false},
    {"put to sleep", ASLEEP, ENGINE_SLEEPING, true, false},
    {"unreachable asleep", OTHER, ENGINE_UNREACHABLE, true, false},
    {"still asleep", ASLEEP, ENGINE_SLEEPING, true, false},
    {"awake", PAGE, ENGINE_READY, false, false},
    {"gone", REFUSED, ENGINE_UNREACHABLE, true, true},
    {"another process", RESTART, ENGINE_STARTING, true, false},
    {"which loads", SILENT, ENGINE_STARTING, true, false},
    {"and has no metrics", DISABLED, ENGINE_METRICS_DISABLED, true, false},
    {"and is busy: it did answer", SILENT, ENGINE_UNREACHABLE, true, false},
    {"a ready one", PAGE, ENGINE_READY, false, false},
    {"is replaced", RESTART, ENGINE_STARTING, true, false},
};

static void play(struct engine *engine, enum event event, uint64_t now_ns)
{
    struct engine_page page = page_of(event == ASLEEP, 0, 0);

    if (event == INIT)
        begin(engine);
    else if (event == RESTART)
        engine_restarted(engine);
    else if (event == PAGE || event == ASLEEP)
        engine_take_page(engine, &page, MS, now_ns);
    else
        engine_take_failure(engine, failures[event], "a phrase", now_ns);
}

static void test_states(void **state)
{
    struct engine engine;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(story); i++) {
        play(&engine, story[i].event, (i + 1) * S);
        if (engine.state != story[i].state || (engine.why[0] != 0) != story[i].why ||
            engine.nobody_listens != story[i].nobody_listens)
            fail_msg("[%s] %s, '%s', nobody listens %d", story[i].row,
                     engine_state_name(engine.state), engine.why, engine.nobody_listens);
    }
}

/* Answers one after the other, in ms; the pace after the last of them. */
static const struct {
    const char *row;
    uint64_t interval_ms;
    uint32_t took_ms[12]; // up to a 0
    uint64_t pace_ms;
} paces[] = {
    {"cheap", 500, {1}, 500},
    {"just as cheap as needed", 500, {5}, 500},
    {"dear", 500, {7}, 700},
    {"very dear", 500, {50}, 5000},
    {"beyond the limit", 500, {51}, 5000},
    {"far beyond", 500, {30000}, 5000},
    {"the quickest counts", 500, {90, 7, 90}, 700},
    {"a slow answer among quick ones", 500, {6, 6, 6, 900}, 600},
    {"the quickest of eight", 500, {6, 20, 20, 20, 20, 20, 20, 20}, 600},
    {"the ninth drops the first", 500, {6, 20, 20, 20, 20, 20, 20, 20, 20}, 2000},
    {"quicker again", 500, {20, 20, 20, 20, 20, 20, 20, 20, 20, 8}, 800},
    {"a long interval is never shortened", 60000, {1}, 60000},
    {"nor by dear answers", 60000, {50}, 60000},
    {"a short interval", 100, {1}, 100},
    {"a short interval, dear", 100, {2}, 200},
};

static void test_pace(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paces); i++) {
        struct engine engine;

        engine_init(&engine, "http://h", 1, paces[i].interval_ms * MS);
        for (size_t n = 0; n < 12 && paces[i].took_ms[n]; n++)
            take(&engine, paces[i].took_ms[n] * MS, 100 * S);
        if (engine.pace_ns != paces[i].pace_ms * MS)
            fail_msg("[%s] %d ms", paces[i].row, (int)(engine.pace_ns / MS));
    }
}

static void test_due(void **state)
{
    struct engine engine;

    (void)state;
    begin(&engine);
    assert_true(engine_is_due(&engine, 0)); // never asked
    take(&engine, 2 * MS, 10 * S);          // asked at 9.998 s
    assert_false(engine_is_due(&engine, 10 * S));
    assert_false(engine_is_due(&engine, 10 * S + 372 * MS));
    assert_true(engine_is_due(&engine, 10 * S + 373 * MS)); // a quarter early
    assert_true(engine_is_due(&engine, 20 * S));

    begin(&engine);
    take(&engine, 20 * MS, 10 * S);
    assert_false(engine_is_due(&engine, 11 * S));
    assert_true(engine_is_due(&engine, 12 * S));

    // A failure costs nothing known: the pace stays, counted from the end.
    engine_take_failure(&engine, ENGINE_FAIL_OTHER, "", 20 * S);
    assert_false(engine_is_due(&engine, 21 * S));
    assert_true(engine_is_due(&engine, 22 * S));
}

/* Age of the figures, in a pace of 500 ms. */
static const struct {
    uint64_t age_ms;
    bool known, stale;
} ages[] = {
    {0, true, false},   {500, true, false}, {1499, true, false}, {1500, true, true},
    {1501, true, true}, {4999, true, true}, {5000, false, true}, {60000, false, true},
};

static void test_ages(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ages); i++) {
        struct engine engine;
        uint64_t now = 10 * S + ages[i].age_ms * MS;

        begin(&engine);
        assert_false(engine_has_figures(&engine, now));
        assert_true(engine_is_stale(&engine, now));
        take(&engine, MS, 10 * S);
        engine_take_failure(&engine, ENGINE_FAIL_OTHER, "busy", 10 * S);
        if (engine_has_figures(&engine, now) != ages[i].known ||
            engine_is_stale(&engine, now) != ages[i].stale)
            fail_msg("[%d ms]", (int)ages[i].age_ms);
    }
}

/* A slow pace makes figures last longer: 3 and 10 of its own. */
static void test_ages_follow_pace(void **state)
{
    struct engine engine;

    (void)state;
    begin(&engine);
    take(&engine, 50 * MS, 100 * S);
    assert_false(engine_is_stale(&engine, 114 * S));
    assert_true(engine_is_stale(&engine, 115 * S));
    assert_true(engine_has_figures(&engine, 149 * S));
    assert_false(engine_has_figures(&engine, 150 * S));
    assert_true(engine_has_figures(&engine, 99 * S)); // a clock that stands still
}

static void test_restart_forgets(void **state)
{
    struct engine_page page = page_of(false, 10, 20);
    struct engine engine;

    (void)state;
    begin(&engine);
    engine_take_page(&engine, &page, 40 * MS, 10 * S);
    page.prefix = (struct hit_counts){15, 30};
    memcpy(page.served_name, "old", sizeof("old"));
    engine_take_page(&engine, &page, 40 * MS, 11 * S);
    engine_take_failure(&engine, ENGINE_FAIL_REFUSED, "Connection refused", 12 * S);
    engine_restarted(&engine);

    assert_false(engine_has_figures(&engine, 12 * S));
    assert_int_equal(engine.state, ENGINE_STARTING);
    assert_string_equal(engine.why, "restarted");
    assert_string_equal(engine.page.served_name, "");
    assert_false(engine.answered);
    assert_false(engine.nobody_listens);
    assert_true(isnan(engine.page.prefix.queries));
    assert_int_equal(engine.pace_ns, INTERVAL);
    assert_int_equal(hit_window_sum(&engine.minute, 12 * S).queries, 0);
    assert_true(engine_is_due(&engine, 12 * S));
    assert_string_equal(engine.url, "http://127.0.0.1:8000"); // that it keeps
    assert_int_equal(engine.port, 8000);

    // Its counters begin anew, however large: no difference to those of the old one.
    page.prefix = (struct hit_counts){1000, 2000};
    engine_take_page(&engine, &page, MS, 13 * S);
    assert_int_equal(hit_window_sum(&engine.minute, 13 * S).queries, 0);
    assert_int_equal(engine.pace_ns, INTERVAL);
}

/* Which pages feed the window. */
static void test_window(void **state)
{
    struct engine_page page = page_of(false, 10, 20);
    struct engine engine;

    (void)state;
    begin(&engine);
    engine_take_page(&engine, &page, MS, 10 * S);
    page = page_of(false, 12, 24);
    engine_take_page(&engine, &page, MS, 11 * S);
    assert_int_equal(hit_window_sum(&engine.minute, 11 * S).queries, 4);

    page = page_of(false, (double)NAN, (double)NAN);
    engine_take_page(&engine, &page, MS, 12 * S);
    page = page_of(false, 100, 200);
    page.prefix_from_ratio = true;
    engine_take_page(&engine, &page, MS, 13 * S);
    assert_int_equal(hit_window_sum(&engine.minute, 13 * S).queries, 4);

    page = page_of(false, 13, 26);
    engine_take_page(&engine, &page, MS, 14 * S);
    assert_int_equal(hit_window_sum(&engine.minute, 14 * S).queries, 6);

    page = page_of(false, 1, 2); // went back
    engine_take_page(&engine, &page, MS, 15 * S);
    assert_int_equal(hit_window_sum(&engine.minute, 15 * S).queries, 0);
    page = page_of(false, 2, 5);
    engine_take_page(&engine, &page, MS, 16 * S);
    assert_int_equal(hit_window_sum(&engine.minute, 16 * S).queries, 3);
}

static void test_long_words(void **state)
{
    char url[2 * ENGINE_URL_MAX], why[2 * ENGINE_WHY_MAX];
    struct engine engine;

    (void)state;
    memset(url, 'u', sizeof(url));
    memset(why, 'w', sizeof(why));
    url[sizeof(url) - 1] = why[sizeof(why) - 1] = '\0';
    engine_init(&engine, url, 1, INTERVAL);
    engine_take_failure(&engine, ENGINE_FAIL_OTHER, why, S);
    assert_int_equal(strlen(engine.url), ENGINE_URL_MAX - 1);
    assert_int_equal(strlen(engine.why), ENGINE_WHY_MAX - 1);
}

static void test_names(void **state)
{
    static const char *const names[] = {"loading",  "starting",         "ready",
                                        "sleeping", "metrics-disabled", "unreachable",
                                        "?"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_string_equal(engine_state_name((enum engine_state)i), names[i]);
}

/* Who was found and not named: how long it is left alone after its n-th answer. */
static void test_strangers(void **state)
{
    static const struct {
        enum engine_failure failure;
        uint64_t waits_ns[ENGINE_STRANGE_MAX + 1]; // UINT64_MAX: for good
    } rows[] = {
        {ENGINE_FAIL_DISABLED, {2 * S, 8 * S, 32 * S, 128 * S, UINT64_MAX, UINT64_MAX}},
        {ENGINE_FAIL_OTHER, {2 * S, 8 * S, 32 * S, 128 * S, UINT64_MAX, UINT64_MAX}},
        {ENGINE_FAIL_SILENT, {2 * S, 8 * S, 30 * S, 30 * S, 30 * S, 30 * S}},
        {ENGINE_FAIL_NOT_YET, {S / 2, S / 2, S / 2, S / 2, S / 2, S / 2}},
        {ENGINE_FAIL_REFUSED, {S / 2, S / 2, S / 2, S / 2, S / 2, S / 2}},
    };
    struct engine_page page;
    struct engine engine;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        engine_init(&engine, "http://x", 1, S / 2);
        engine.unnamed = true;
        for (size_t n = 0; n <= ENGINE_STRANGE_MAX; n++) {
            uint64_t wait = rows[i].waits_ns[n];

            engine_take_failure(&engine, rows[i].failure, "why", S);
            if (engine.due_ns != (wait == UINT64_MAX ? wait : S + wait))
                fail_msg("row %zu, answer %zu: %llu", i, n,
                         (unsigned long long)engine.due_ns);
        }
        engine.unnamed = false; // named: asked all the same
        engine_take_failure(&engine, rows[i].failure, "why", S);
        assert_int_equal(engine.due_ns, S + S / 2);
        engine.unnamed = true; // known to be an engine: likewise
        engine_page_clear(&page);
        engine_take_page(&engine, &page, MS, S);
        engine_take_failure(&engine, rows[i].failure, "why", S);
        assert_int_equal(engine.due_ns, S + S / 2);
        assert_int_equal(engine.strange, 0);
    }
}

/* For who pays for it, which is none of the engine's lives alone. */
static void test_scrapes_are_counted(void **state)
{
    struct engine engine;

    (void)state;
    begin(&engine);
    take(&engine, MS, 1 * S);
    take(&engine, MS, 2 * S);
    engine_take_failure(&engine, ENGINE_FAIL_SILENT, "", 3 * S);
    engine_restarted(&engine);
    engine_take_failure(&engine, ENGINE_FAIL_DISABLED, "", 4 * S);
    take(&engine, MS, 5 * S);
    assert_int_equal(engine.scrapes.read, 3);
    assert_int_equal(engine.scrapes.failed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_ages),
        cmocka_unit_test(test_ages_follow_pace),
        cmocka_unit_test(test_restart_forgets),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_scrapes_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
