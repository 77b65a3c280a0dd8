// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "encode/json.h"
#include "encode/seed.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>

/*
 * A strict reader of JSON (RFC 8259) that keeps nothing: each function moves past what
 * it reads and says whether it was that. Escapes other than those of the RFC, control
 * characters, leading zeros, trailing commas and blanks between tokens fail.
 */
static bool skip_word(const char **at, const char *word)
{
    size_t len = strlen(word);

    if (strncmp(*at, word, len) != 0)
        return false;
    *at += len;
    return true;
}

static bool skip_digits(const char **at)
{
    const char *start = *at;

    while (**at >= '0' && **at <= '9')
        ++*at;
    return *at > start;
}

static bool skip_number(const char **at)
{
    (void)skip_word(at, "-");
    if (!skip_word(at, "0") && !skip_digits(at))
        return false;
    return !skip_word(at, ".") || skip_digits(at);
}

static bool skip_string(const char **at)
{
    if (!skip_word(at, "\""))
        return false;
    while (**at && **at != '"') {
        if ((unsigned char)**at < 0x20)
            return false;
        if (*(*at)++ != '\\')
            continue;
        if (**at == 'u') {
            if (strspn(*at + 1, "0123456789abcdefABCDEF") < 4)
                return false;
            *at += 5;
        } else if (!**at || !strchr("\"\\/bfnrt", *(*at)++)) {
            return false;
        }
    }
    return skip_word(at, "\"");
}

static bool skip_value(const char **at, int depth);

static bool skip_members(const char **at, char end, bool keys, int depth)
{
    const char close[] = {end, '\0'};

    if (skip_word(at, close))
        return true;
    do {
        if (keys && (!skip_string(at) || !skip_word(at, ":")))
            return false;
        if (!skip_value(at, depth + 1))
            return false;
    } while (skip_word(at, ","));
    return skip_word(at, close);
}

static bool skip_value(const char **at, int depth)
{
    if (depth > 8)
        return false;
    if (skip_word(at, "{"))
        return skip_members(at, '}', true, depth);
    if (skip_word(at, "["))
        return skip_members(at, ']', false, depth);
    return **at == '"' ? skip_string(at) : skip_number(at); // null never occurs
}

static bool is_json(const char *text)
{
    return skip_value(&text, 0) && *text == '\0';
}

static void test_the_reader_itself(void **state)
{
    static const char *const good[] = {"0",  "-1.50", "\"\\u00e9\\n\"",
                                       "[]", "{}",    "{\"a\":[1,2,{\"b\":\"\"}]}"};
    static const char *const bad[] = {
        "",       "01",   "1.",  ".5",         "[1,]", "{\"a\"}", "\"\\x\"",   "\"a\nb\"",
        "\"open", "null", "nan", "{\"a\":1,}", "[1] ", "[1 ,2]",  "\"\\u12\"", "1e"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!is_json(good[i]))
            fail_msg("[%s] refused", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (is_json(bad[i]))
            fail_msg("[%s] taken", bad[i]);
}

static struct buf out;

/* What is in the buffer now, with its NUL; the buffer begins anew next time. */
static const char *written(void)
{
    buf_add_char(&out, '\0');
    assert_int_equal(out.error, 0);
    return out.data;
}

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, SEED_EVENT_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&out);
    return 0;
}

static const struct {
    double value;
    unsigned decimals;
    const char *text;
} numbers[] = {
    {0, 2, "0.0"},
    {-0.0, 2, "0.0"},
    {100, 2, "100.0"},
    {73.45, 2, "73.45"},
    {100.0 * 2480 / 339968, 2, "0.73"},
    {0.5, 2, "0.5"},
    {0.05, 2, "0.05"},
    {10.1, 2, "10.1"},
    {0.004, 2, "0.0"},
    {0.006, 2, "0.01"},
    {-0.004, 2, "0.0"},
    {-0.25, 2, "-0.25"},
    {99.994, 2, "99.99"},
    {99.996, 2, "100.0"},
    {200.0 / 3, 2, "66.67"},
    {1e-300, 2, "0.0"},
    {4.9e-324, 9, "0.0"},
    {1, 1, "1.0"},
    {0.25, 1, "0.3"},
    {0.123456789, 9, "0.123456789"},
    {0.1, 9, "0.1"},
    {999999999.0, 9, "999999999.0"},
    {1e9, 2, "1000000000.0"},
    {-64e9, 2, "-64000000000.0"},
    {1e9, 9, "null"}, // 18 digits in all are written
    {1e16, 2, "null"},
    {(double)NAN, 2, "null"},
    {(double)INFINITY, 2, "null"},
    {-(double)INFINITY, 2, "null"},
};

static void test_fixed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        buf_clear(&out);
        json_fixed(&out, numbers[i].value, numbers[i].decimals);
        if (strcmp(written(), numbers[i].text) != 0)
            fail_msg("[%g] %s, not %s", numbers[i].value, out.data, numbers[i].text);
    }
}

static const struct {
    const char *text, *json;
} strings[] = {
    {"", "\"\""},
    {"plain", "\"plain\""},
    {"a\"b", "\"a\\\"b\""},
    {"a\\b", "\"a\\\\b\""},
    {"\\\"", "\"\\\\\\\"\""},
    {"a/b", "\"a/b\""},
    {"</script>", "\"</script>\""},
    {"a\nb\tc\x01", "\"a\\u000ab\\u0009c\\u0001\""},
    {"\x1b\x7f", "\"\\u001b\\u007f\""},
    {"\xc3\xa9\xf0\x9f\x99\x82", "\"\xc3\xa9\xf0\x9f\x99\x82\""},
};

static void test_strings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        buf_clear(&out);
        json_quote(&out, strings[i].text);
        if (strcmp(written(), strings[i].json) != 0 || !is_json(out.data))
            fail_msg("[%s] %s", strings[i].json, out.data);
    }
}

static void test_u64(void **state)
{
    (void)state;
    buf_clear(&out);
    json_u64(&out, 0);
    buf_add_char(&out, ' ');
    json_u64(&out, UNKNOWN - 1);
    buf_add_char(&out, ' ');
    json_u64(&out, UNKNOWN);
    assert_string_equal(written(), "0 18446744073709551614 null");
}

static struct figure known(uint64_t value)
{
    return figure_of(value, MEASURED, NULL);
}

static const struct figure nowhere = {UNKNOWN, FROM_NOWHERE, "a reason", UNKNOWN};

static struct snapshot snapshot; // too large for a stack

static void begin(void)
{
    memset(&snapshot, 0, sizeof(snapshot));
    snapshot.total_bytes = known(UINT64_C(85899345920));
    snapshot.allocated_bytes = known(UINT64_C(78571110400));
}

static struct snapshot_model *add_model(const char *name, uint16_t port)
{
    struct snapshot_model *model = &snapshot.models[snapshot.n_models++];

    (void)text_clean(model->served_name, sizeof(model->served_name), span_of(name));
    snapshot_make_id(model->served_name, model->id);
    model->port = port;
    model->allocated_bytes = model->kv_used_bytes = known(0);
    return model;
}

static const char *seed(enum seed_model_id form)
{
    buf_clear(&out);
    seed_write(&out, &snapshot, form);
    return written();
}

static const char example[] =
    "{\"total_vram_bytes\":85899345920,\"allocated_vram_bytes\":78571110400,"
    "\"used_kv_cache_bytes\":0,\"prefix_cache_hit_rate\":73.45,\"models\":[{\"model_id\":"
    "\"Qwen-Qwen3-0-6B\",\"port\":8000,\"allocated_vram_bytes\":78571110400,"
    "\"used_kv_cache_bytes\":0}]}";

static void test_example(void **state)
{
    (void)state;
    begin();
    snapshot.hit_percent = 73.45;
    add_model("Qwen/Qwen3-0.6B", 8000)->allocated_bytes = known(UINT64_C(78571110400));
    assert_string_equal(seed(SEED_IDENTIFIER), example);
    assert_true(is_json(out.data));
    assert_non_null(strstr(seed(SEED_SERVED_NAME), "\"model_id\":\"Qwen/Qwen3-0.6B\","));
}

/* Where a decimal comma is the custom, JSON still has a point. */
static void test_locale(void **state)
{
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8"};
    const char *set = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(commas) && !set; i++)
        set = setlocale(LC_ALL, commas[i]);
    if (!set)
        skip();
    test_example(state);
    (void)setlocale(LC_ALL, "C");
}

static void test_no_models(void **state)
{
    (void)state;
    begin();
    assert_string_equal(seed(SEED_IDENTIFIER),
                        "{\"total_vram_bytes\":85899345920,\"allocated_vram_bytes\":"
                        "78571110400,\"used_kv_cache_bytes\":0,"
                        "\"prefix_cache_hit_rate\":0.0,\"models\":[]}");
}

static void test_unknown_is_0(void **state)
{
    (void)state;
    begin();
    snapshot.total_bytes = snapshot.allocated_bytes = nowhere;
    snapshot.kv_used_bytes = UNKNOWN;
    add_model("m", 1)->allocated_bytes = nowhere;
    snapshot.models[0].kv_used_bytes = nowhere;
    assert_string_equal(
        seed(SEED_IDENTIFIER),
        "{\"total_vram_bytes\":0,\"allocated_vram_bytes\":0,\"used_kv_cache_bytes\":0,"
        "\"prefix_cache_hit_rate\":0.0,\"models\":[{\"model_id\":\"m\",\"port\":1,"
        "\"allocated_vram_bytes\":0,\"used_kv_cache_bytes\":0}]}");
}

static void test_int64(void **state)
{
    (void)state;
    begin();
    snapshot.total_bytes = known(INT64_MAX);
    snapshot.allocated_bytes = known((uint64_t)INT64_MAX + 1);
    snapshot.kv_used_bytes = UNKNOWN - 1;
    add_model("m", UINT16_MAX)->allocated_bytes = known(UNKNOWN - 1);
    snapshot.models[0].kv_used_bytes = known((uint64_t)INT64_MAX - 1);
    assert_string_equal(
        seed(SEED_IDENTIFIER),
        "{\"total_vram_bytes\":9223372036854775807,\"allocated_vram_bytes\":"
        "9223372036854775807,\"used_kv_cache_bytes\":9223372036854775807,"
        "\"prefix_cache_hit_rate\":0.0,\"models\":[{\"model_id\":\"m\",\"port\":65535,"
        "\"allocated_vram_bytes\":9223372036854775807,\"used_kv_cache_bytes\":"
        "9223372036854775806}]}");
}

/* The rate is a number between 0 and 100 with a decimal point, whatever happens. */
static const struct {
    double percent;
    const char *text;
} rates[] = {
    {0, ":0.0,"},           {100, ":100.0,"},
    {73.45, ":73.45,"},     {0.7295, ":0.73,"},
    {-1, ":0.0,"},          {-0.001, ":0.0,"},
    {100.004, ":100.0,"},   {250, ":100.0,"},
    {1e300, ":100.0,"},     {(double)INFINITY, ":100.0,"},
    {(double)NAN, ":0.0,"},
};

static void test_rates(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        const char *found;

        begin();
        snapshot.hit_percent = rates[i].percent;
        found = strstr(seed(SEED_IDENTIFIER), "hit_rate\":");
        assert_non_null(found);
        if (strncmp(found + 9, rates[i].text, strlen(rates[i].text)) != 0)
            fail_msg("[%g] %s", rates[i].percent, found);
    }
}

static const char *const hostile[] = {
    "\"",
    "\\",
    "\\\"},{\"",
    "a\nb\rc",
    "data: x\n\n",
    "\x1b[2J\x7f",
    "\xff\xfe\xc3",
    "\xed\xa0\x80",
    "\xe2\x80\xa8\xe2\x80\xa9",
    "\xc2\x85",
    "caf\xc3\xa9/\xf0\x9f\x99\x82",
    "<script>",
    "%s%n",
    "null",
    " ",
};

static bool is_one_clean_line(const char *text)
{
    static char clean[SEED_EVENT_MAX + 1];

    (void)text_clean(clean, sizeof(clean), span_of(text));
    return strcmp(clean, text) == 0; // valid UTF-8 without a control character
}

static void test_hostile_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++)
        for (int form = SEED_IDENTIFIER; form <= SEED_SERVED_NAME; form++) {
            begin();
            add_model(hostile[i], 1);
            add_model(hostile[i], 2);
            (void)seed((enum seed_model_id)form);
            if (!is_json(out.data) || !is_one_clean_line(out.data))
                fail_msg("[hostile name %zu] %s", i, out.data);
        }
}

static struct snapshot_fleet fleet;
static struct fleet_model rows[FLEET_MODELS_MAX];

static void begin_fleet(void)
{
    begin();
    memset(&fleet, 0, sizeof(fleet));
    fleet.models = rows;
    snapshot.fleet = &fleet;
}

static struct fleet_model *add_row(const char *name, uint16_t port, bool in_seed)
{
    struct fleet_model *row = &rows[fleet.n_models++];

    *row = (struct fleet_model){.port = port, .in_seed = in_seed};
    (void)text_clean(row->served_name, sizeof(row->served_name), span_of(name));
    snapshot_make_id(row->served_name, row->id);
    row->allocated_bytes = known(7);
    row->kv_used_bytes = nowhere;
    return row;
}

/* Rows are the fleet's, those that are marked, in their order. */
static void test_gateway(void **state)
{
    static const char wanted[] =
        "[{\"model_id\":\"a\",\"port\":8000,\"allocated_vram_bytes\":7,"
        "\"used_kv_cache_bytes\":0},{\"model_id\":\"c\",\"port\":8001,"
        "\"allocated_vram_bytes\":7,\"used_kv_cache_bytes\":0}]";
    char whole[512];

    (void)state;
    begin_fleet();
    add_model("of those who know no fleets", 1);
    assert_non_null(strstr(seed(SEED_IDENTIFIER), "\"models\":[]}"));
    (void)add_row("left out", 80, false);
    (void)add_row("a", 8000, true);
    (void)add_row("b", 8000, false);
    (void)add_row("c", 8001, true);
    (void)snprintf(whole, sizeof(whole), "\"models\":%s}", wanted);
    assert_non_null(strstr(seed(SEED_IDENTIFIER), whole));
    assert_true(is_json(out.data));
    buf_clear(&out);
    seed_write_models(&out, &snapshot, SEED_IDENTIFIER);
    assert_string_equal(written(), wanted);
}

/* What is marked and does not fit is left out: the event stays whole. */
static void test_full_gateway(void **state)
{
    char name[ENGINE_NAME_MAX + 1];

    (void)state;
    memset(name, '"', ENGINE_NAME_MAX);
    name[ENGINE_NAME_MAX] = '\0';
    for (size_t skip = 0; skip < 2 * ENGINE_NAME_MAX; skip += 7) { // where the rows end
        begin_fleet();
        add_row(name, 1, true)->served_name[skip % ENGINE_NAME_MAX] = '\0';
        if (skip >= ENGINE_NAME_MAX)
            add_row(name, 2, true)->served_name[skip - ENGINE_NAME_MAX] = '\0';
        while (fleet.n_models < FLEET_MODELS_MAX)
            (void)add_row(name, UINT16_MAX, true);
        (void)seed(SEED_SERVED_NAME);
        if (!is_json(out.data))
            fail_msg("[%zu] is no JSON", skip);
        assert_in_range(out.len - 1 + 8, SEED_EVENT_MAX - 700, SEED_EVENT_MAX - 1);
    }
}

/* As many models as there can be, with the longest names that grow the most. */
static void test_full(void **state)
{
    static const char *const fill[] = {"\"", "\\", "n", "\xf0\x9f\x99\x82", "\x01"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
        char name[4 * ENGINE_NAME_MAX + 1] = "";

        for (size_t at = 0; at < ENGINE_NAME_MAX; at++)
            memcpy(name + at * strlen(fill[i]), fill[i], strlen(fill[i]) + 1);
        begin();
        snapshot.hit_percent = 73.45;
        snapshot.kv_used_bytes = UNKNOWN - 1;
        for (int m = 0; m < SNAPSHOT_MODELS_MAX; m++) {
            struct snapshot_model *model = add_model(name, UINT16_MAX);

            model->allocated_bytes = model->kv_used_bytes = known(UNKNOWN - 1);
        }
        for (int form = SEED_IDENTIFIER; form <= SEED_SERVED_NAME; form++) {
            (void)seed((enum seed_model_id)form);
            if (!is_json(out.data) || !is_one_clean_line(out.data))
                fail_msg("[full of %s] %s", fill[i], out.data);
            // with "data: " before and two line feeds behind it
            assert_in_range(out.len - 1 + 8, 1, SEED_EVENT_MAX - 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_reader_itself),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_u64),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_locale),
        cmocka_unit_test(test_no_models),
        cmocka_unit_test(test_unknown_is_0),
        cmocka_unit_test(test_int64),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_full_gateway),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
