// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/json.h"

#include <stdio.h>

static const struct json_limits strict = {.bytes = 64, .depth = 3, .values = 6};
static const struct json_limits python = {
    .bytes = 64, .depth = 3, .values = 6, .python = true};

#define S64 "{\"a\":\"01234567890123456789012345678901234567890123456789012345\"}"

// clang-format off
static const struct {
    const char *row, *json;
    const struct json_limits *limits;
    int r;
    const char *result; // written again; of an error a part of what is said
} rows[] = {
    {"empty object", "{}", &strict, 0, "{}"},
    {"blanks around", " \t\r\n{} ", &strict, 0, "{}"},
    {"order is kept", "{\"b\":1,\"a\":2}", &strict, 0, "{\"b\":1,\"a\":2}"},
    {"largest", "{\"a\":9223372036854775807}", &strict, 0, "{\"a\":9223372036854775807}"},
    {"smallest", "{\"a\":-9223372036854775808}", &strict, 0, "{\"a\":-9223372036854775808}"},
    {"too large", "{\"a\":9223372036854775808}", &strict, -EBADMSG, "a number is too large"},
    {"too small", "{\"a\":-9223372036854775809}", &strict, -EBADMSG, "a number is too large"},
    {"too large a fraction", "{\"a\":1e999}", &strict, -EBADMSG, "a number is too large"},
    {"nothing", "", &strict, -EBADMSG, "no JSON"},
    {"cut", "{\"a\":1", &strict, -EBADMSG, "no JSON (line 1, column 6)"},
    {"cut in a text", "{\"a", &strict, -EBADMSG, "no JSON"},
    {"cut after a backslash", "{\"a\\", &strict, -EBADMSG, "no JSON"},
    {"more behind", "{}{}", &strict, -EBADMSG, "no JSON"},
    {"comment", "{}//", &strict, -EBADMSG, "no JSON"},
    {"comma too many", "{\"a\":1,}", &strict, -EBADMSG, "no JSON"},
    {"array", "[1]", &strict, -EBADMSG, "not a JSON object"},
    {"text", "\"a\"", &strict, -EBADMSG, "no JSON"},
    {"null", "null", &strict, -EBADMSG, "no JSON"},
    {"byte order mark", "\xef\xbb\xbf{}", &strict, -EBADMSG, "no JSON"},
    {"no UTF-8", "{\"a\":\"\xff\"}", &strict, -EBADMSG, "no JSON"},
    {"half a surrogate pair", "{\"a\":\"\\ud800\"}", &strict, -EBADMSG, "no JSON"},
    {"NUL", "{\"a\":\"x\\u0000y\"}", &strict, -EBADMSG, "a text has a NUL"},
    {"NUL in a key", "{\"a\\u0000b\":1}", &strict, -EBADMSG, "a text has a NUL"},
    {"key twice", "{\"a\":1,\"a\":1}", &strict, -EBADMSG, "a key is given twice"},
    {"what is wrong is not quoted", "{\"secret", &strict, -EBADMSG, "no JSON (line"},
    {"64 bytes", S64, &strict, 0, S64},
    {"65 bytes", S64 " ", &strict, -EFBIG, "longer than 64 bytes"},
    {"three deep", "{\"a\":[{}]}", &strict, 0, "{\"a\":[{}]}"},
    {"four deep", "{\"a\":[[[]]]}", &strict, -EFBIG, "deeper than 3"},
    {"brackets in a text", "{\"a\":\"[[[[\\\"[\"}", &strict, 0, "{\"a\":\"[[[[\\\"[\"}"},
    {"side by side", "{\"a\":[],\"b\":[]}", &strict, 0, "{\"a\":[],\"b\":[]}"},
    {"six values", "{\"a\":[1,2,3,4,5]}", &strict, 0, "{\"a\":[1,2,3,4,5]}"},
    {"seven", "{\"a\":[1,2,3,4,5,6]}", &strict, -EFBIG, "more than 6 values"},
    {"commas in a text", "{\"a\":\",,,,,,,\"}", &strict, 0, "{\"a\":\",,,,,,,\"}"},
    {"NaN", "{\"a\":NaN}", &strict, -EBADMSG, "no JSON"},
    {"infinity", "{\"a\":-Infinity}", &strict, -EBADMSG, "no JSON"},
    {"NaN of Python", "{\"a\":NaN}", &python, 0, "{\"a\":0.5}"},
    {"infinities of Python", "{\"a\":[-Infinity,Infinity]}", &python, 0, "{\"a\":[0.5,0.5]}"},
    {"NaN in a text", "{\"a\":\"NaN\"}", &python, 0, "{\"a\":\"NaN\"}"},
    {"half a word", "{\"a\":Na", &python, -EBADMSG, "no JSON"},
};
// clang-format on

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct complaint why = {""};
        json_t *root = NULL;
        int r = json_read(span_of(rows[i].json), rows[i].limits, &root, &why);
        char *text = r < 0 ? NULL : json_dumps(root, JSON_COMPACT);

        if (r != rows[i].r)
            fail_msg("[%s] %d (%s)", rows[i].row, r, why.text);
        if (text && strcmp(text, rows[i].result) != 0)
            fail_msg("[%s] %s", rows[i].row, text);
        if (!text && !strstr(why.text, rows[i].result))
            fail_msg("[%s] %s", rows[i].row, why.text);
        assert_null(strstr(why.text, "secret"));
        free(text);
        json_decref(root);
    }
}

/* It is lent: the text is as it was, and need not end with a NUL. */
static void test_text_is_lent(void **state)
{
    char json[] = "{\"a\":NaN}###";
    json_t *root = NULL;
    struct complaint why;

    (void)state;
    assert_int_equal(json_read((struct span){json, 9}, &python, &root, &why), 0);
    assert_string_equal(json, "{\"a\":NaN}###");
    json_decref(root);
}

static void test_json_text(void **state)
{
    json_t *text = json_pack("s", "ab"), *number = json_integer(1);

    (void)state;
    assert_true(span_is(json_text(text), "ab"));
    assert_null(json_text(number).at);
    assert_null(json_text(NULL).at);
    assert_int_equal(json_text(NULL).len, 0);
    json_decref(text);
    json_decref(number);
}

static void test_find(void **state)
{
    json_t *object = json_pack("{s:n,s:i}", "null", "one", 1);

    (void)state;
    assert_non_null(object);
    assert_int_equal(json_integer_value(json_find(object, "one")), 1);
    assert_null(json_find(object, "null"));
    assert_null(json_find(object, "other"));
    assert_null(json_find(NULL, "one"));
    json_decref(object);
}

static const struct {
    const char *json; // in a list
    int r;
    const char *why;
} counts[] = {
    {"[0]", 0, ""},
    {"[7]", 0, ""},
    {"[8]", -EBADMSG, "`size` is not in 0..7"},
    {"[-1]", -EBADMSG, "`size` is not in 0..7"},
    {"[7.0]", -EBADMSG, "`size` is not a whole number"},
    {"[\"7\"]", -EBADMSG, "`size` is not a whole number"},
    {"[null]", -EBADMSG, "`size` is not a whole number"},
    {"[]", -EBADMSG, "`size` is not a whole number"},
};

static void test_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        json_t *list = json_loads(counts[i].json, 0, NULL), *item;
        struct complaint why = {0};
        uint64_t n = 99;
        int r;

        item = json_array_get(list, 0);
        r = json_read_count(item, "size", 7, &n, &why);
        if (r != counts[i].r || strcmp(why.text, counts[i].why) != 0 ||
            n != (r < 0 ? 99 : (uint64_t)json_integer_value(item)))
            fail_msg("[%s] %d, %llu: %s", counts[i].json, r, (unsigned long long)n,
                     why.text);
        json_decref(list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),      cmocka_unit_test(test_text_is_lent),
        cmocka_unit_test(test_json_text), cmocka_unit_test(test_find),
        cmocka_unit_test(test_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
