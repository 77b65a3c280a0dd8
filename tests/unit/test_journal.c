// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/journal.h"

#include <pthread.h>
#include <stdio.h>

static struct journal *journal;
static struct event copies[2 * JOURNAL_EVENTS];

static int set_up(void **state)
{
    (void)state;
    return journal_new(&journal);
}

static int tear_down(void **state)
{
    (void)state;
    journal_free(journal);
    return 0;
}

static struct event make_event(enum event_kind kind, int64_t number)
{
    struct event event = {.id = 4711, .kind = kind, .unix_ms = number, .port = 8000};

    (void)snprintf(event.text, sizeof(event.text), "number %lld", (long long)number);
    (void)snprintf(event.served_name, sizeof(event.served_name), "m");
    return event;
}

static void add(enum event_kind kind, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct event event = make_event(kind, (int64_t)i);

        journal_add(journal, &event);
    }
}

/* A copy has the ids from `first` to `last`, none left out. */
static void expect(uint64_t after, size_t max, uint64_t first, uint64_t last)
{
    size_t n = journal_copy(journal, after, copies, max);

    if (n != last + 1 - first)
        fail_msg("%zu events after %llu", n, (unsigned long long)after);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(copies[i].id, first + i);
}

static void test_after_and_max(void **state)
{
    struct event event;

    (void)state;
    expect(0, 10, 1, 0);
    assert_false(journal_next(journal, 0, &event));
    add(EVENT_ENGINE_FOUND, 10);
    expect(0, JOURNAL_EVENTS, 1, 10);
    expect(0, 3, 8, 10); // the newest of them
    expect(7, 3, 8, 10);
    expect(8, 3, 9, 10);
    expect(0, 0, 1, 0);
    expect(10, 10, 1, 0);
    expect(11, 10, 1, 0); // of another run: there is no such id yet
    expect(UINT64_MAX, 10, 1, 0);
    assert_true(journal_next(journal, 0, &event));
    assert_int_equal(event.id, 1);
    assert_true(journal_next(journal, 4, &event));
    assert_int_equal(event.id, 5);
    assert_string_equal(event.text, "number 4");
    assert_int_equal(event.unix_ms, 4);
    assert_int_equal(event.kind, EVENT_ENGINE_FOUND);
    assert_int_equal(event.port, 8000);
    assert_false(journal_next(journal, 10, &event));
}

static void test_full(void **state)
{
    struct event event;

    (void)state;
    for (uint64_t n = 1; n <= 3 * JOURNAL_EVENTS; n++) {
        add(EVENT_ENGINE_LOST, 1);
        expect(0, 2 * JOURNAL_EVENTS, n > JOURNAL_EVENTS ? n - JOURNAL_EVENTS + 1 : 1, n);
    }
    expect(600, 2 * JOURNAL_EVENTS, 601, 768);
    assert_true(journal_next(journal, 1, &event));
    assert_int_equal(event.id, 513);
}

static size_t count(enum event_severity severity)
{
    size_t n = journal_copy(journal, 0, copies, JOURNAL_EVENTS), found = 0;

    for (size_t i = 0; i < n; i++) {
        found += event_severity(copies[i].kind) == severity;
        assert_true(i == 0 || copies[i].id > copies[i - 1].id);
    }
    return found;
}

/* As it comes back from a disk, which has no node, and from the node. */
static void test_once(void **state)
{
    struct event event = make_event(EVENT_GPU_LOST, 5000), there = event;

    (void)state;
    (void)snprintf(event.node, sizeof(event.node), "m");
    event_say_where(&event, there.text);
    there.id = 7;
    journal_restore(journal, &there, 1);
    for (int i = 0; i < 2; i++) {
        journal_add_once(journal, &event);
        event.unix_ms += i ? 0 : 1000;
    }
    expect(0, 10, 7, 7);
    event.unix_ms++; // a second later it is another
    journal_add_once(journal, &event);
    expect(0, 10, 7, 8);
    event.node[0] = '\0';
    journal_add_once(journal, &event);
    expect(0, 10, 7, 9);
}

/* One node that tells much does not push out what the others told. */
static void test_of_one_node(void **state)
{
    size_t others = 0;

    (void)state;
    for (int i = 0; i < JOURNAL_EVENTS + 1000; i++) {
        struct event event = make_event(i % 3 ? EVENT_ENGINE_LOST : EVENT_GPU_LOST, i);

        (void)snprintf(event.node, sizeof(event.node), "gpu%d", i % JOURNAL_EVENTS);
        if (i >= JOURNAL_EVENTS)
            (void)snprintf(event.node, sizeof(event.node), "hostile");
        journal_add(journal, &event);
    }
    assert_int_equal(journal_copy(journal, 0, copies, JOURNAL_EVENTS), JOURNAL_EVENTS);
    for (size_t i = 0; i < JOURNAL_EVENTS; i++)
        others += strcmp(copies[i].node, "hostile") != 0;
    assert_int_equal(others, JOURNAL_EVENTS - JOURNAL_OF_NODE);
}

/* A flood of small news leaves the critical ones, and the newest of all. */
static void test_critical_ones_stay(void **state)
{
    (void)state;
    add(EVENT_ENGINE_FOUND, 5);
    add(EVENT_GPU_LOST, 3);
    add(EVENT_ENGINE_LOST, 1000);
    assert_int_equal(count(SEVERITY_CRITICAL), 3);
    assert_int_equal(count(SEVERITY_WARNING), JOURNAL_EVENTS - 3);
    assert_int_equal(copies[0].id, 6);
    assert_int_equal(copies[2].id, 8);
    assert_int_equal(copies[3].id, 8 + 1000 - (JOURNAL_EVENTS - 3) + 1);
    expect(0, JOURNAL_EVENTS - 3, 8 + 1000 - (JOURNAL_EVENTS - 3) + 1, 1008);
}

/* Of too many critical ones the oldest go, but not before what is not critical. */
static void test_many_critical_ones(void **state)
{
    (void)state;
    add(EVENT_GPU_LOST, 100);
    add(EVENT_ENGINE_LOST, JOURNAL_EVENTS - 100);
    assert_int_equal(count(SEVERITY_CRITICAL), 100);
    add(EVENT_ENGINE_LOST, 1000);
    assert_int_equal(count(SEVERITY_CRITICAL), JOURNAL_CRITICAL);
    assert_int_equal(copies[0].id, 100 - JOURNAL_CRITICAL + 1);
    add(EVENT_GPU_LOST, 1000);
    expect(0, JOURNAL_EVENTS, 1256 + 1000 - JOURNAL_EVENTS + 1, 2256);
}

/* Ids go on where those of the run before end. */
static void test_restore(void **state)
{
    static struct event before[400];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        before[i] = make_event(EVENT_ENGINE_LOST, (int64_t)i);
        before[i].id = 1000 + i;
    }
    before[399].id = 7; // damaged
    journal_restore(journal, before, ARRAY_LEN(before));
    add(EVENT_DAEMON_STARTED, 1);
    expect(0, JOURNAL_EVENTS, 1399 - JOURNAL_EVENTS + 1, 1399);
    assert_int_equal(copies[JOURNAL_EVENTS - 1].kind, EVENT_DAEMON_STARTED);
    assert_int_equal(copies[0].kind, EVENT_ENGINE_LOST);
    assert_string_equal(copies[JOURNAL_EVENTS - 2].text, "number 398");
}

enum { READERS = 3, ADDED = 3000 };

static void *read_all(void *ctx)
{
    uint64_t *ret_wrong = ctx, seen = 0;
    struct event *events = calloc(JOURNAL_EVENTS, sizeof(*events)), event;

    while (events && seen < ADDED) {
        size_t n = journal_copy(journal, seen, events, JOURNAL_EVENTS);

        for (size_t i = 0; i < n; i++) {
            char text[EVENT_TEXT_SIZE];

            (void)snprintf(text, sizeof(text), "number %llu",
                           (unsigned long long)events[i].id - 1);
            *ret_wrong += strcmp(text, events[i].text) != 0 || events[i].id <= seen;
            seen = events[i].id;
        }
        (void)journal_next(journal, seen / 2, &event);
    }
    free(events);
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[READERS];
    uint64_t wrong[READERS] = {0};

    (void)state;
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &wrong[i]), 0);
    add(EVENT_ENGINE_LOST, ADDED);
    for (size_t i = 0; i < READERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_after_and_max, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_of_one_node, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_critical_ones_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_critical_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restore, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
