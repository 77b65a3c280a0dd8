// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/sim_filter.h"

static const char page[] = "# HELP a_total A.\n"
                           "# TYPE a_total counter\n"
                           "a_total{x=\"1\"} 1.0\n"
                           "a_total{x=\"2\"} 2.0\n"
                           "# HELP a_created A.\n"
                           "# TYPE a_created gauge\n"
                           "a_created{x=\"1\"} 1.7e+09\n"
                           "# HELP empty Nothing.\n"
                           "# TYPE empty gauge\n"
                           "# HELP b:waiting B.\n"
                           "# TYPE b:waiting gauge\n"
                           "b:waiting 5.0\n"
                           "# HELP b:waiting_by_reason Why.\n"
                           "# TYPE b:waiting_by_reason gauge\n"
                           "b:waiting_by_reason{reason=\"x y\"} 4.0\n"
                           "# HELP h H.\n"
                           "# TYPE h histogram\n"
                           "h_bucket{le=\"+Inf\"} 3.0\n"
                           "h_count 3.0\n"
                           "h_sum 9.5\n";

#define HEAD_A "# HELP a_total A.\n# TYPE a_total counter\n"
#define HEAD_B "# HELP b:waiting B.\n# TYPE b:waiting gauge\n"
#define HEAD_H "# HELP h H.\n# TYPE h histogram\n"

static const struct {
    const char *row;
    const char *query;
    size_t n;
    const char *left;
} rows[] = {
    {"counter", "name[]=a_total", 1,
     HEAD_A "a_total{x=\"1\"} 1.0\na_total{x=\"2\"} 2.0\n"},
    {"family name is no sample name", "name[]=a", 1, ""},
    {"no prefix match", "name[]=b:waiting", 1, HEAD_B "b:waiting 5.0\n"},
    {"escaped brackets and colon", "name%5B%5D=b%3Awaiting", 1, HEAD_B "b:waiting 5.0\n"},
    {"lower-case escapes", "name%5b%5d=b%3awaiting", 1, HEAD_B "b:waiting 5.0\n"},
    {"order of the page, not of the query", "name[]=b:waiting&name[]=a_total", 2,
     HEAD_A "a_total{x=\"1\"} 1.0\na_total{x=\"2\"} 2.0\n" HEAD_B "b:waiting 5.0\n"},
    {"one line of a histogram", "name[]=h_sum", 1, HEAD_H "h_sum 9.5\n"},
    {"head once", "name[]=h_sum&name[]=h_count", 2, HEAD_H "h_count 3.0\nh_sum 9.5\n"},
    {"family without samples before it", "name[]=b:waiting&name[]=empty", 2,
     HEAD_B "b:waiting 5.0\n"},
    {"unknown", "name[]=zzz", 1, ""},
    {"twice the same", "name[]=h_sum&name[]=h_sum", 2, HEAD_H "h_sum 9.5\n"},
    {"empty value", "name[]=", 0, NULL},
    {"empty query", "", 0, NULL},
    {"no value", "name[]", 0, NULL},
    {"other parameter", "name=a_total&x[]=h_sum", 0, NULL},
    {"separators only", "&&&", 0, NULL},
    {"broken escape stays", "name[]=h_sum%", 1, ""},
    {"broken escape in the middle", "name[]=h%zzsum", 1, ""},
    {"plus is a blank", "name[]=h+sum", 1, ""},
    {"second = belongs to the value", "name[]=h_sum=1", 1, ""},
};

static void test_filter(void **state)
{
    static struct sim_filter filter;
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(sim_filter_read(span_of(rows[i].query), &filter), 0);
        if (filter.n != rows[i].n)
            fail_msg("[%s] %zu names", rows[i].row, filter.n);
        if (!rows[i].left)
            continue;
        buf_clear(&out);
        sim_filter_apply(&filter, span_of(page), &out);
        if (!span_is(buf_span(&out), rows[i].left))
            fail_msg("[%s] left '%.*s'", rows[i].row, (int)out.len, out.data);
    }
    buf_done(&out);
}

static void test_long_queries(void **state)
{
    static struct sim_filter filter;
    static char query[SIM_FILTER_QUERY_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(query); i++)
        query[i] = "name[]=a&"[i % 9];
    assert_int_equal(sim_filter_read((struct span){query, sizeof(query) - 1}, &filter),
                     0);
    assert_int_equal(filter.n, (sizeof(query) - 1 + 1) / 9);
    assert_true(filter.n <= SIM_FILTER_NAMES_MAX);
    assert_int_equal(sim_filter_read((struct span){query, sizeof(query)}, &filter),
                     -E2BIG);
}

static void test_broken_pages(void **state)
{
    static const struct {
        const char *row, *page, *left;
    } pages[] = {
        {"empty", "", ""},
        {"no line end", "a 1", "a 1\n"},
        {"comment at the end", "a 1\n# HELP b", "a 1\n"},
        {"comment alone", "#", ""},
        {"no head", "b 1\na 2\n", "a 2\n"},
        {"no value", "a\n", "a\n"},
        {"blank lines", "\n\na 1\n\n", "a 1\n"},
        {"type alone", "# TYPE a gauge\na 1\n", "# TYPE a gauge\na 1\n"},
    };
    static struct sim_filter filter;
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(sim_filter_read(span_of("name[]=a"), &filter), 0);
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        buf_clear(&out);
        sim_filter_apply(&filter, span_of(pages[i].page), &out);
        if (!span_is(buf_span(&out), pages[i].left))
            fail_msg("[%s] left '%.*s'", pages[i].row, (int)out.len, out.data);
    }
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_long_queries),
        cmocka_unit_test(test_broken_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
