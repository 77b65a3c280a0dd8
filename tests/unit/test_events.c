// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/events.h"

#include <stdio.h>

static const struct {
    const char *query;
    const char *why; // a part of it; NULL: it is a good one
    struct events_query want;
} queries[] = {
    {"", NULL, {0, 256}},
    {"after=0", NULL, {0, 256}},
    {"after=9223372036854775807&limit=1", NULL, {INT64_MAX, 1}},
    {"limit=256&after=12", NULL, {12, 256}},
    {"a=b&after=3&afterwards=9&Limit=0", NULL, {3, 256}},
    {"after=9223372036854775808", "after", {0}},
    {"after=", "after", {0}},
    {"after", "after", {0}},
    {"after=-1", "after", {0}},
    {"after=1&after=2", "after", {0}},
    {"after=x&limit=0", "after", {0}},
    {"limit=0", "limit", {0}},
    {"limit=257", "limit", {0}},
    {"limit=1&limit=1", "limit", {0}},
    {"limit=%31", "limit", {0}},
};

static void test_queries(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        struct events_query got = {0};
        const char *why = "";
        int r = events_read_query(span_of(queries[i].query), &got, &why);

        if (r != (queries[i].why ? -EINVAL : 0) || got.after != queries[i].want.after ||
            got.limit != queries[i].want.limit ||
            (queries[i].why && !strstr(why, queries[i].why)))
            fail_msg("[%s] %d after %llu limit %zu: %s", queries[i].query, r,
                     (unsigned long long)got.after, got.limit, why);
    }
}

static struct journal *journal;
static struct buf out;

static void assert_written(uint64_t after, size_t limit, const char *want)
{
    struct events_query query = {after, limit};

    buf_clear(&out);
    assert_int_equal(events_write(journal, &query, "", "0123", &out), 0);
    assert_int_equal(out.error, 0);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, want);
}

#define ONE(id)                                                                       \
    "{\"id\":" id ",\"unix_ms\":7,\"kind\":\"daemon_started\",\"severity\":\"info\"," \
    "\"model\":null,\"model_id\":null,\"port\":null,\"device\":null,\"text\":\"t\"}"

static void test_document(void **state)
{
    const struct event event = {.kind = EVENT_DAEMON_STARTED, .unix_ms = 7, .text = "t"};

    (void)state;
    assert_int_equal(journal_new(&journal), 0);
    buf_init(&out, EVENTS_BODY_MAX);
    assert_written(0, 256, "{\"boot\":\"0123\",\"events\":[]}\n");
    for (int i = 0; i < 3; i++)
        journal_add(journal, &event);
    assert_written(0, 2, "{\"boot\":\"0123\",\"events\":[" ONE("2") "," ONE("3") "]}\n");
    assert_written(2, 256, "{\"boot\":\"0123\",\"events\":[" ONE("3") "]}\n");
    assert_written(3, 256, "{\"boot\":\"0123\",\"events\":[]}\n");
    buf_done(&out);
    journal_free(journal);
}

/* The largest there can be has room. */
static void test_full(void **state)
{
    struct event event = {.kind = EVENT_KV_CAPACITY_CHANGED, .unix_ms = INT64_MAX};
    struct events_query query = {0, JOURNAL_EVENTS};

    (void)state;
    event.port = UINT16_MAX;
    memset(event.served_name, '"', sizeof(event.served_name) - 1);
    memset(event.device, '"', sizeof(event.device) - 1);
    memset(event.text, '"', sizeof(event.text) - 1);
    assert_int_equal(journal_new(&journal), 0);
    buf_init(&out, EVENTS_BODY_MAX);
    for (int i = 0; i < JOURNAL_EVENTS; i++)
        journal_add(journal, &event);
    assert_int_equal(events_write(journal, &query, "", "0123456789abcdef", &out), 0);
    assert_int_equal(out.error, 0);
    printf("the largest answer: %zu bytes of %d\n", out.len, EVENTS_BODY_MAX);
    assert_in_range(out.len, JOURNAL_EVENTS * 1000, EVENTS_BODY_MAX);
    buf_done(&out);
    journal_free(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
