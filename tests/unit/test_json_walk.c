// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "wire/json_walk.h"

#include <stdio.h>

/* "path=value" or "path='text'" of each value told, in order. */
static int write_value(void *ctx, struct span path, struct span text, double value)
{
    struct buf *out = ctx;

    buf_add(out, path.at, path.len);
    if (text.at)
        buf_printf(out, "='%.*s' ", (int)text.len, text.at);
    else
        buf_printf(out, "=%g ", value);
    return 0;
}

#define DEEP8 "[[[[[[[["
#define DEEP32 DEEP8 DEEP8 DEEP8 DEEP8
#define END8 "]]]]]]]]"
#define END32 END8 END8 END8 END8

// clang-format off
static const struct {
    const char *text;
    int r;
    const char *told;
} rows[] = {
    {"1", 0, "=1 "},
    {" \t\r\n-1.5e2 ", 0, "=-150 "},
    {"{}", 0, ""},
    {"[]", 0, ""},
    {"{\"a\":1,\"b\":{\"c\":\"x\",\"d\":[]}}", 0, "a=1 b.c='x' "},
    {"[1,[2,3],{\"a\":4}]", 0, "[]=1 [][]=2 [][]=3 []=nan [].a=4 "},
    {"{\"m\":[{\"n\":1},{\"n\":2}]}", 0, "m[]=nan m[].n=1 m[]=nan m[].n=2 "},
    {"{ \"a\" : [ true , false , null ] }", 0, "a[]=1 a[]=0 a[]=nan "},
    {"\"a\\\"b\\\\\"", 0, "='a\\\"b\\\\' "},
    {"[NaN,1e999,-Infinity]", -EBADMSG, "[]=nan []=nan "},
    {"{\"a.b\":1,\"\":2}", 0, "a.b=1 =2 "},
    {"", -EBADMSG, ""},
    {" ", -EBADMSG, ""},
    {"{", -EBADMSG, ""},
    {"[", -EBADMSG, ""},
    {"[1", -EBADMSG, "[]=1 "},
    {"[1,", -EBADMSG, "[]=1 "},
    {"[1,]", -EBADMSG, "[]=1 "},
    {"[1 2]", -EBADMSG, "[]=1 "},
    {"{\"a\"}", -EBADMSG, ""},
    {"{\"a\":}", -EBADMSG, ""},
    {"{a:1}", -EBADMSG, ""},
    {"{\"a\":1,}", -EBADMSG, "a=1 "},
    {"{\"a\":1]", -EBADMSG, "a=1 "},
    {"1 1", -EBADMSG, "=1 "},
    {"\"cut", -EBADMSG, ""},
    {"\"cut\\", -EBADMSG, ""},
    {"\"line\nfeed\"", -EBADMSG, ""},
    {"tru", -EBADMSG, ""},
    {"0x10", -EBADMSG, ""},
    {DEEP32 "1" END32, 0, "[][][][][][][][][][][][][][][][][][][][][][][][][][][][][][][][]=1 "},
    {DEEP32 "[1]" END32, -E2BIG, ""},
};
// clang-format on

static void test_walk(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out;
        int r;

        buf_init(&out, 4096);
        r = json_walk(span_of(rows[i].text), write_value, &out);
        buf_add_char(&out, '\0');
        if (r != rows[i].r || strcmp(out.data, rows[i].told) != 0)
            fail_msg("[%s] %d: %s", rows[i].text, r, out.data);
        buf_done(&out);
    }
}

static int count(void *ctx, struct span path, struct span text, double value)
{
    (void)text;
    (void)value;
    assert_true(path.len <= JSON_WALK_PATH);
    return ++*(int *)ctx == 3 ? -EINTR : 0;
}

static void test_a_reader_ends_it(void **state)
{
    int n = 0;

    (void)state;
    assert_int_equal(json_walk(span_of("[1,2,3,4]"), count, &n), -EINTR);
    assert_int_equal(n, 3);
}

/* What is behind too long a path is passed over, and what follows it is told again. */
static void test_long_paths(void **state)
{
    char text[512];
    int n = 0;

    (void)state;
    (void)snprintf(text, sizeof(text), "{\"%0200d\":{\"a\":1,\"b\":[2]},\"c\":3}", 0);
    assert_int_equal(json_walk(span_of(text), count, &n), 0);
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_a_reader_ends_it),
        cmocka_unit_test(test_long_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
