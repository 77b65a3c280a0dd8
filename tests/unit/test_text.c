// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BAD "\xef\xbf\xbd"

// clang-format off
static const struct {
    const char *row;
    const char *text;
    size_t room;
    const char *clean;
} rows[] = {
    {"plain", "Qwen/Qwen3-0.6B", 64, "Qwen/Qwen3-0.6B"},
    {"empty", "", 64, ""},
    {"two, three and four bytes", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 64,
     "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"C0", "a\tb\nc\033[2J\001", 64, "a" BAD "b" BAD "c" BAD "[2J" BAD},
    {"DEL", "\x7f", 64, BAD},
    {"C1 at both ends, and beside it", "\xc2\x80\xc2\x9f\xc2\xa0", 64, BAD BAD "\xc2\xa0"},
    {"line and paragraph separators", "\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xa7", 64,
     BAD BAD "\xe2\x80\xa7"},
    {"continuation alone", "\x80\xbf", 64, BAD BAD},
    {"bytes that never occur", "\xc0\xc1\xf5\xff\xfe", 64, BAD BAD BAD BAD BAD},
    {"overlong slash", "\xc0\xaf", 64, BAD BAD},
    {"overlong of three", "\xe0\x9f\xbf", 64, BAD BAD BAD},
    {"shortest of three", "\xe0\xa0\x80", 64, "\xe0\xa0\x80"},
    {"last before the surrogates", "\xed\x9f\xbf", 64, "\xed\x9f\xbf"},
    {"surrogate", "\xed\xa0\x80", 64, BAD BAD BAD},
    {"first after the surrogates", "\xee\x80\x80", 64, "\xee\x80\x80"},
    {"overlong of four", "\xf0\x8f\xbf\xbf", 64, BAD BAD BAD BAD},
    {"shortest of four", "\xf0\x90\x80\x80", 64, "\xf0\x90\x80\x80"},
    {"last of all", "\xf4\x8f\xbf\xbf", 64, "\xf4\x8f\xbf\xbf"},
    {"past the last", "\xf4\x90\x80\x80", 64, BAD BAD BAD BAD},
    {"torn at the end", "a\xe2\x82", 64, "a" BAD BAD},
    {"torn, then text", "\xe2\x82z", 64, BAD BAD "z"},
    {"torn, then a character", "\xe2\xc3\xa9", 64, BAD "\xc3\xa9"},
    {"just fits", "abc", 4, "abc"},
    {"cut", "abcd", 4, "abc"},
    {"cut between characters", "ab\xc3\xa9", 4, "ab"},
    {"cut before a replacement", "ab\001", 5, "ab"},
    {"no character fits", "\xf0\x9f\x98\x80", 4, ""},
    {"nothing after a cut", "\xf0\x9f\x98\x80z", 4, ""},
    {"room for the NUL only", "abc", 1, ""},
};
// clang-format on

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].text), n;
        char *dst = malloc(rows[i].room), *src = malloc(len + 1);

        assert_true(dst && src);
        memcpy(src, rows[i].text, len);
        src = realloc(src, MAX(len, (size_t)1)); // reading past it is found
        n = text_clean(dst, rows[i].room, (struct span){src, len});
        if (strcmp(dst, rows[i].clean) != 0 || n != strlen(rows[i].clean))
            fail_msg("[%s] is %zu bytes: %s", rows[i].row, n, dst);
        free(dst);
        free(src);
    }
}

static void test_nul(void **state)
{
    char dst[16];

    (void)state;
    assert_int_equal(text_clean(dst, sizeof(dst), (struct span){"a\0b", 3}), 5);
    assert_string_equal(dst, "a" BAD "b");
    assert_int_equal(text_clean(dst, sizeof(dst), (struct span){NULL, 0}), 0);
}

/* What is clean stays as it is, for any two bytes in a row. */
static void test_clean_twice(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x10000; i++) {
        char src[] = {(char)(i >> 8), (char)i, '\xa8', 'z'}, once[32], twice[32];
        size_t n = text_clean(once, sizeof(once), (struct span){src, sizeof(src)});

        assert_int_equal(text_clean(twice, sizeof(twice), (struct span){once, n}), n);
        assert_string_equal(once, twice);
    }
}

static void test_trim(void **state)
{
    static const struct {
        const char *text, *trimmed;
    } trims[] = {
        {"a b", "a b"}, {" \t a b\r\n", "a b"}, {"\r\n", ""},
        {"", ""},       {"\va\v", "\va\v"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(trims); i++)
        assert_true(span_is(text_trim(span_of(trims[i].text)), trims[i].trimmed));
    assert_int_equal(text_trim((struct span){"\0 ", 2}).len, 1); // a NUL is no blank
    assert_int_equal(text_trim((struct span){NULL, 0}).len, 0);
}

static void test_same_word(void **state)
{
    (void)state;
    assert_true(text_same_word(span_of("Gzip"), "gZIP"));
    assert_false(text_same_word(span_of("gzip"), "gzipped"));
    assert_false(text_same_word(span_of("gzipped"), "gzip"));
    assert_true(text_same_word((struct span){"q=1", 1}, "Q"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_clean_twice), cmocka_unit_test(test_trim),
        cmocka_unit_test(test_same_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
