// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_adds(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1024);
    buf_add_str(&buf, "ab");
    buf_add(&buf, "c\0d", 3);
    buf_add(&buf, NULL, 0);
    buf_add_char(&buf, 'e');
    buf_add_u64(&buf, 0);
    buf_add_u64(&buf, UINT64_MAX);
    buf_printf(&buf, "%s-%d", "x", -7);
    assert_int_equal(buf.error, 0);
    assert_int_equal(buf.len, 2 + 3 + 1 + 1 + 20 + 4);
    assert_memory_equal(buf.data, "abc\0de018446744073709551615x--7", buf.len);
    buf_done(&buf);
    buf_done(NULL);
}

/* Every ceiling is met exactly and never passed, whatever the size of the pieces. */
static void test_ceiling(void **state)
{
    static const char bytes[2048] = "x";

    (void)state;
    for (size_t max = 0; max <= 600; max++)
        for (size_t piece = 1; piece <= 601; piece += 40) {
            size_t fitting = max / piece * piece;
            struct buf buf;

            buf_init(&buf, max);
            for (size_t i = 0; i < max / piece; i++)
                buf_add(&buf, bytes, piece);
            assert_int_equal(buf.error, 0);
            assert_int_equal(buf.len, fitting);
            buf_add(&buf, bytes, piece);
            assert_int_equal(buf.error, -E2BIG);
            assert_int_equal(buf.len, fitting);
            assert_true(buf.room <= max);
            buf_done(&buf);
        }
}

static void test_error_sticks_until_clear(void **state)
{
    struct buf buf;
    char *before;

    (void)state;
    buf_init(&buf, 4);
    buf_add_str(&buf, "abc");
    buf_add_str(&buf, "de");
    assert_int_equal(buf.error, -E2BIG);
    buf_add_char(&buf, 'd'); // which would fit
    buf_add(&buf, NULL, 0);
    assert_null(buf_reserve(&buf, 1));
    assert_true(span_is(buf_span(&buf), "abc"));

    before = buf.data;
    buf_clear(&buf);
    assert_int_equal(buf.error, 0);
    assert_int_equal(buf.len, 0);
    buf_add_str(&buf, "wxyz");
    assert_true(span_is(buf_span(&buf), "wxyz"));
    assert_ptr_equal(buf.data, before);
    buf_done(&buf);
}

/* An error of before is not covered up by a later one. */
static void test_first_error_stays(void **state)
{
    struct buf buf;
    char text[BUF_PRINTF_MAX + 2];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    buf_init(&buf, 4096);
    buf.error = -ENOMEM;
    buf_printf(&buf, "%s", text);
    assert_int_equal(buf.error, -ENOMEM);

    buf_clear(&buf);
    buf_printf(&buf, "%s", text + 1);
    assert_int_equal(buf.error, 0);
    assert_int_equal(buf.len, BUF_PRINTF_MAX);
    buf_printf(&buf, "%s", text);
    assert_int_equal(buf.error, -E2BIG);
    assert_int_equal(buf.len, BUF_PRINTF_MAX);
    buf_done(&buf);
}

static void test_reserve_and_cut(void **state)
{
    struct buf buf;
    char *at;

    (void)state;
    buf_init(&buf, 100000);
    buf_add_str(&buf, "ab");
    at = buf_reserve(&buf, 5000);
    assert_non_null(at);
    memset(at, 'c', 5000);
    assert_int_equal(buf.len, 2);
    buf.len += 5000;
    buf_add_char(&buf, 'd');
    assert_int_equal(buf.len, 5003);
    assert_memory_equal(buf.data, "abc", 3);
    buf_cut(&buf, 9999);
    assert_int_equal(buf.len, 5003);
    buf_cut(&buf, 1);
    assert_true(span_is(buf_span(&buf), "a"));
    buf_cut(&buf, 0);
    assert_int_equal(buf.len, 0);
    buf_done(&buf);
    buf_add_char(&buf, 'x'); // done with: there is no room any more
    assert_int_equal(buf.error, -E2BIG);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adds),
        cmocka_unit_test(test_ceiling),
        cmocka_unit_test(test_error_sticks_until_clear),
        cmocka_unit_test(test_first_error_stays),
        cmocka_unit_test(test_reserve_and_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
