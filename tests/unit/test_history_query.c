// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/history_query.h"

#define NOW INT64_C(1790000000123) // 2026-09-21T14:13:20.123Z
#define HOUR INT64_C(3600000)

static struct span text_of(const char *text)
{
    return text ? span_of(text) : (struct span){NULL, 0};
}

static struct history_parameters parameters(const char *from, const char *to,
                                            const char *step)
{
    return (struct history_parameters){
        .from = text_of(from), .to = text_of(to), .step = text_of(step)};
}

static const struct {
    const char *row, *from, *to, *step;
    int64_t from_ms, to_ms, step_ms;
} good[] = {
    {"defaults", NULL, NULL, NULL, NOW - HOUR, NOW, 10000},
    {"relative", "-6h", "-30m", "2", NOW - 6 * HOUR, NOW - HOUR / 2, 2000},
    {"seconds", "-90s", NULL, "500ms", NOW - 90000, NOW, 500},
    {"days", "-2d", NULL, "1h", NOW - 48 * HOUR, NOW, HOUR},
    {"in whole slots", "-2h", NULL, NULL, NOW - 2 * HOUR, NOW, 20000},
    {"as it was asked for", "-2h", NULL, "15s", NOW - 2 * HOUR, NOW, 15000},
    {"full rate", "-10m", NULL, "0", NOW - 600000, NOW, 0},
    {"unix", "1789999000", "1789999999.5", "10", 1789999000000, 1789999999500, 10000},
    {"utc", "2026-09-21T14:00:00Z", "2026-09-21T14%3A00%3A30.25Z", "1s", 1789999200000,
     1789999230250, 1000},
    {"leap day", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z", "5m", 1709164800000,
     1709251200000, 300000},
    {"before to", NULL, "1789999200", NULL, 1789999200000 - HOUR, 1789999200000, 10000},
    {"near 1970", NULL, "10", NULL, 0, 10000, 20},
    {"future", "-1m", "1790000060.123", NULL, NOW - 60000, NOW + 60000, 200},
    {"a month", "-30d", NULL, NULL, NOW - 720 * HOUR, NOW, 2 * HOUR},
    {"years", "0", NULL, NULL, 0, NOW, 35 * 24 * HOUR},
    {"most points", "-110000s", NULL, "10", NOW - 110000000, NOW, 10000},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct history_parameters given =
            parameters(good[i].from, good[i].to, good[i].step);
        struct history_query query;
        struct complaint why = {""};

        if (history_query_read(&given, NOW, 500, &query, &why) < 0)
            fail_msg("[%s] %s", good[i].row, why.text);
        if (query.span.from_ms != good[i].from_ms || query.span.to_ms != good[i].to_ms ||
            query.span.step_ms != good[i].step_ms)
            fail_msg("[%s] %lld %lld %lld", good[i].row, (long long)query.span.from_ms,
                     (long long)query.span.to_ms, (long long)query.span.step_ms);
        assert_string_equal(query.span.model, "");
        assert_int_equal(query.format, HISTORY_JSON);
    }
}

static const struct {
    const char *from, *to, *step, *named, *says;
} bad[] = {
    {"", NULL, NULL, "\"from\"", "RFC 3339"},
    {"yesterday", NULL, NULL, "\"from\"", ""},
    {"-6x", NULL, NULL, "\"from\"", ""},
    {"-h", NULL, NULL, "\"from\"", ""},
    {"-", NULL, NULL, "\"from\"", ""},
    {"--6h", NULL, NULL, "\"from\"", ""},
    {"1e9", NULL, NULL, "\"from\"", ""},
    {"0x10", NULL, NULL, "\"from\"", ""},
    {"nan", NULL, NULL, "\"from\"", ""},
    {"-99999d", NULL, NULL, "\"from\"", ""},
    {"999999999999999", NULL, NULL, "\"from\"", ""},
    {"2026-09-21T14:00:00", NULL, NULL, "\"from\"", ""},
    {"2026-09-21T14:00:00+02:00", NULL, NULL, "\"from\"", ""},
    {"2026-09-21T14:00:00.Z", NULL, NULL, "\"from\"", ""},
    {"2026-09-21T14:00:00.2.5Z", NULL, NULL, "\"from\"", ""},
    {"2026-02-29T00:00:00Z", NULL, NULL, "\"from\"", ""},
    {"2026-09-21T24:00:00Z", NULL, NULL, "\"from\"", ""},
    {"2026-09-21T14:60:00Z", NULL, NULL, "\"from\"", ""},
    {"2026-00-21T14:00:00Z", NULL, NULL, "\"from\"", ""},
    {"1%", NULL, NULL, "\"from\"", ""},
    {"1%3", NULL, NULL, "\"from\"", ""},
    {"1%00", NULL, NULL, "\"from\"", ""},
    {NULL, "1 ", NULL, "\"to\"", ""},
    {"-1h", "-2h", NULL, "\"from\"", "before"},
    {"-1h", "-1h", NULL, "\"from\"", "before"},
    {NULL, "0", NULL, "\"from\"", "before"},
    {NULL, NULL, "", "\"step\"", "366d"},
    {NULL, NULL, "-5", "\"step\"", "366d"},
    {NULL, NULL, "5 s", "\"step\"", "366d"},
    {NULL, NULL, "5S", "\"step\"", "366d"},
    {NULL, NULL, "400d", "\"step\"", "366d"},
    {NULL, NULL, "0.0001", "\"step\"", "366d"},
    {"-6h", NULL, "1s", "\"step\"", "step=2s would do"},
    {"-30d", NULL, "10s", "\"step\"", "step=5m would do"},
    {"-110001s", NULL, "10", "\"step\"", "step=20s would do"},
    {"-2h", NULL, "0", "\"step\"", "step=1s would do"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct history_parameters given = parameters(bad[i].from, bad[i].to, bad[i].step);
        struct history_query query;
        struct complaint why = {""};

        if (history_query_read(&given, NOW, 500, &query, &why) != -EINVAL)
            fail_msg("%zu is taken", i);
        if (strncmp(why.text, bad[i].named, strlen(bad[i].named)) != 0 ||
            !strstr(why.text, bad[i].says))
            fail_msg("%zu: %s", i, why.text);
    }
}

static void test_model_and_format(void **state)
{
    static const struct {
        const char *model, *format;
        bool csv;
        int r;
        const char *name; // decoded, or what the complaint says
        enum history_format wanted;
    } rows[] = {
        {"Qwen%2FQwen3-0.6B", NULL, false, 0, "Qwen/Qwen3-0.6B", HISTORY_JSON},
        {"Qwen/Qwen3-0.6B", "csv", false, 0, "Qwen/Qwen3-0.6B", HISTORY_CSV},
        {"a+b%2Bc", "json", true, 0, "a b+c", HISTORY_JSON},
        {"caf%C3%a9", NULL, true, 0, "caf\xc3\xa9", HISTORY_CSV},
        {"a%1bb", NULL, false, 0,
         "a\xef\xbf\xbd"
         "b",
         HISTORY_JSON},
        {"", NULL, false, -EINVAL, "\"model\"", HISTORY_JSON},
        {"%zz", NULL, false, -EINVAL, "\"model\"", HISTORY_JSON},
        {NULL, "xml", false, -EINVAL, "\"format\"", HISTORY_JSON},
        {NULL, "", false, -EINVAL, "\"format\"", HISTORY_JSON},
    };
    char longest[ENGINE_NAME_MAX + 2];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct history_parameters given = {.model = text_of(rows[i].model),
                                           .format = text_of(rows[i].format),
                                           .accepts_csv = rows[i].csv};
        struct history_query query;
        struct complaint why = {""};

        assert_int_equal(history_query_read(&given, NOW, 500, &query, &why), rows[i].r);
        if (rows[i].r < 0) {
            assert_memory_equal(why.text, rows[i].name, strlen(rows[i].name));
            continue;
        }
        assert_string_equal(query.span.model, rows[i].name);
        assert_int_equal(query.format, rows[i].wanted);
    }
    memset(longest, 'a', sizeof(longest));
    for (size_t len = ENGINE_NAME_MAX; len <= ENGINE_NAME_MAX + 1; len++) {
        struct history_parameters given = {.model = {longest, len}};
        struct history_query query;
        struct complaint why = {""};

        assert_int_equal(history_query_read(&given, NOW, 500, &query, &why),
                         len > ENGINE_NAME_MAX ? -EINVAL : 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_model_and_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
