// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "model/model_weights.h"

#define TOTAL(text) \
    "{\"metadata\":{\"total_size\":" text "},\"weight_map\":{\"a\":\"b\"}}"

// clang-format off
static const struct {
    const char *row, *json;
    int r;
    uint64_t total;
} rows[] = {
    {"plain", TOTAL("16060522496"), 0, 16060522496},
    {"with blanks", " {\r\n\t\"metadata\" : {\"total_size\" : 7 } , \"weight_map\" : { } } \n", 0,
     7},
    {"behind the map", "{\"weight_map\":{\"}\":\"{\\\"\",\"b\":[1,{}]},"
      "\"metadata\":{\"total_size\":7}}", 0, 7},
    {"with more in it", "{\"metadata\":{\"total_parameters\":3,\"total_size\":7},\"x\":null}", 0,
     7},
    {"not the one in the map", "{\"weight_map\":{\"metadata\":{\"total_size\":1}},"
      "\"metadata\":{\"total_size\":7}}", 0, 7},
    {"integral fraction", TOTAL("16060522496.0"), 0, 16060522496},
    {"with an exponent", TOTAL("1.6e10"), 0, 16000000000},
    {"one", TOTAL("1"), 0, 1},
    {"most", TOTAL("1125899906842624"), 0, UINT64_C(1) << 50},
    {"more", TOTAL("1125899906842625"), -EBADMSG, 0},
    {"zero", TOTAL("0"), -EBADMSG, 0},
    {"zero fraction", TOTAL("0.0"), -EBADMSG, 0},
    {"negative", TOTAL("-1"), -EBADMSG, 0},
    {"negative fraction", TOTAL("-1.0"), -EBADMSG, 0},
    {"a fraction", TOTAL("1.5"), -EBADMSG, 0},
    {"too large a fraction", TOTAL("1e300"), -EBADMSG, 0},
    {"beyond a double", TOTAL("1e400"), -EBADMSG, 0},
    {"2^63", TOTAL("9223372036854775808"), -EBADMSG, 0},
    {"2^63 as a fraction", TOTAL("9223372036854775808.0"), -EBADMSG, 0},
    {"NaN", TOTAL("NaN"), -EBADMSG, 0},
    {"infinite", TOTAL("Infinity"), -EBADMSG, 0},
    {"text", TOTAL("\"16060522496\""), -EBADMSG, 0},
    {"true", TOTAL("true"), -EBADMSG, 0},
    {"list", TOTAL("[7]"), -EBADMSG, 0},
    {"null", TOTAL("null"), -ENOENT, 0},
    {"twice", "{\"metadata\":{\"total_size\":1,\"total_size\":2}}", -EBADMSG, 0},
    {"metadata twice", "{\"metadata\":{\"total_size\":1},\"metadata\":{\"total_size\":1}}",
     -EBADMSG, 0},
    {"no size", "{\"metadata\":{}}", -ENOENT, 0},
    {"no metadata", "{\"weight_map\":{\"metadata\":{\"total_size\":1}}}", -ENOENT, 0},
    {"nothing", "{}", -ENOENT, 0},
    {"metadata is text", "{\"metadata\":\"total_size\"}", -EBADMSG, 0},
    {"metadata is null", "{\"metadata\":null}", -EBADMSG, 0},
    {"empty", "", -EBADMSG, 0},
    {"list of it", "[" TOTAL("7") "]", -EBADMSG, 0},
    {"cut in the map", "{\"metadata\":{\"total_size\":7},\"weight_map\":{\"a\":\"b\"", -EBADMSG, 0},
    {"cut in text", "{\"metadata\":{\"total_size\":7},\"weight_map\":{\"a\":\"b", -EBADMSG, 0},
    {"cut behind an escape", "{\"metadata\":{\"total_size\":7},\"a\\", -EBADMSG, 0},
    {"cut before the end", "{\"metadata\":{\"total_size\":7}", -EBADMSG, 0},
    {"cut behind a comma", "{\"metadata\":{\"total_size\":7},", -EBADMSG, 0},
    {"comma last", "{\"metadata\":{\"total_size\":7},}", -EBADMSG, 0},
    {"no value", "{\"metadata\":}", -EBADMSG, 0},
    {"no colon", "{\"metadata\" 7}", -EBADMSG, 0},
    {"more behind it", TOTAL("7") "x", -EBADMSG, 0},
    {"pointer of Git LFS", "version https://git-lfs.github.com/spec/v1\n", -EBADMSG, 0},
};
// clang-format on

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct complaint why = {""};
        uint64_t total = 77;

        print_message("%s\n", rows[i].row);
        assert_int_equal(model_weights_read(span_of(rows[i].json), &total, &why),
                         rows[i].r);
        assert_int_equal(total, rows[i].r ? 77 : rows[i].total);
        assert_int_equal(rows[i].r != 0, why.text[0] != '\0');
    }
}

/* Every beginning of a text is refused, and none is read past its end. */
static void test_cut(void **state)
{
    static const char whole[] =
        "{\"weight_map\":{\"a\\\"\":[]},\"metadata\":{\"total_size\":7}}";

    (void)state;
    for (size_t len = 0; len < sizeof(whole) - 1; len++) {
        char *copy = malloc(len + 1);
        struct complaint why;
        uint64_t total;

        assert_non_null(copy);
        memcpy(copy + 1, whole, len);
        assert_int_equal(model_weights_read((struct span){copy + 1, len}, &total, &why),
                         -EBADMSG);
        free(copy);
    }
}

static void test_large(void **state)
{
    struct complaint why = {""};
    uint64_t total = 0;
    struct buf json;

    (void)state;
    buf_init(&json, WEIGHTS_INDEX_MAX + 1);
    buf_add_str(&json, "{\"metadata\":{\"total_size\":1369062772000},\"weight_map\":{");
    for (unsigned i = 0; json.len < 20 << 20; i++)
        buf_printf(&json, "\"model.layers.%u.mlp.experts.%u.down_proj.weight\":\"m-%u\",",
                   i, i, i);
    buf_add_str(&json, "\"a\":\"b\"}}");
    assert_int_equal(json.error, 0);
    assert_int_equal(model_weights_read(buf_span(&json), &total, &why), 0);
    assert_int_equal(total, 1369062772000);

    while (json.len < WEIGHTS_INDEX_MAX)
        buf_add_char(&json, ' ');
    assert_int_equal(model_weights_read(buf_span(&json), &total, &why), 0);
    buf_add_char(&json, ' ');
    assert_int_equal(model_weights_read(buf_span(&json), &total, &why), -EFBIG);
    buf_done(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
