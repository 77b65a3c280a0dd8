// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/history_answer.h"

#include <math.h>
#include <stdio.h>

#define START_MS INT64_C(1790000000250)

/* Series of that many points each, as a store or the past would give them. */
struct fake {
    size_t n_series;
    size_t n_points;
    const char *name;
    int fails; // the second call for points, if negative
    int calls;
};

static ssize_t fake_series(void *ctx, const struct history_span *span,
                           struct history_series *ret, size_t max)
{
    const struct fake *fake = ctx;

    (void)span;
    if (fake->n_series > max)
        return -E2BIG;
    for (size_t i = 0; i < fake->n_series; i++) {
        ret[i] = (struct history_series){.number = (int64_t)i, .is_host = i == 0};
        if (i == 0)
            continue;
        (void)snprintf(ret[i].of.served_name, sizeof(ret[i].of.served_name), "%s",
                       fake->name);
        snapshot_make_id(ret[i].of.served_name, ret[i].of.id);
        ret[i].of.port = (uint16_t)(8000 + i);
    }
    return (ssize_t)fake->n_series;
}

static ssize_t fake_points(void *ctx, const struct history_span *span, int64_t number,
                           int64_t *from_ms, struct history_point *ret, size_t max)
{
    static const struct history_figure unknown = {(double)NAN, (double)NAN, (double)NAN};
    struct fake *fake = ctx;
    size_t n = 0;

    if (fake->calls++ == 1 && fake->fails < 0)
        return fake->fails;
    for (int64_t at = *from_ms; n < max && at < span->from_ms + (int64_t)fake->n_points;
         at++) {
        ret[n] = (struct history_point){.unix_ms = at, .count = 2, .preemptions = 1};
        for (size_t i = 0; i < PAST_FIGURES; i++)
            ret[n].figures[i] = unknown;
        ret[n].figures[PAST_ALLOCATED_BYTES] =
            (struct history_figure){1e12 + 0.5, 1e12, 1e12 + 1};
        ret[n].figures[PAST_HIT_PPM] = (struct history_figure){543210.5, 0, 1000000};
        ret[n].figures[PAST_REQUESTS_RUNNING] =
            (struct history_figure){(double)number + 0.25, 0, 3};
        if (at % 2)
            ret[n].preemptions = (double)NAN;
        *from_ms = at + 1;
        n++;
    }
    return (ssize_t)n;
}

static int write_all_pieces(struct fake *fake, enum history_format format,
                            struct buf *whole)
{
    const struct history_source source = {fake_series, fake_points, fake};
    struct history_query query = {
        .span = {.from_ms = START_MS, .to_ms = START_MS + 60000, .step_ms = 1},
        .format = format};
    struct history_answer *answer = NULL;
    struct buf piece;
    int r;

    buf_init(&piece, HISTORY_PIECE_BYTES);
    buf_init(whole, 64 << 20);
    assert_int_equal(history_answer_new(&query, &source, &answer), 0);
    do {
        buf_clear(&piece);
        r = history_answer_next(answer, &piece);
        assert_true(piece.len <= HISTORY_PIECE_BYTES && (r < 0 || piece.len > 0));
        buf_add(whole, piece.data, piece.len);
    } while (r > 0);
    history_answer_free(answer);
    buf_done(&piece);
    buf_add_char(whole, '\0');
    assert_int_equal(whole->error, 0);
    return r;
}

static void expect(struct fake *fake, enum history_format format, const char *text)
{
    struct buf whole;

    assert_int_equal(write_all_pieces(fake, format, &whole), 0);
    assert_string_equal(whole.data, text);
    buf_done(&whole);
}

#define COLUMNS(q)                                                                    \
    q "count" q "," q "allocated_vram_bytes_avg" q "," q "allocated_vram_bytes_min" q \
      "," q "allocated_vram_bytes_max" q "," q "used_kv_cache_bytes_avg" q "," q      \
      "used_kv_cache_bytes_min" q "," q "used_kv_cache_bytes_max" q "," q             \
      "kv_pool_bytes_avg" q "," q "kv_pool_bytes_min" q "," q "kv_pool_bytes_max" q   \
      "," q "prefix_cache_hit_rate_avg" q "," q "prefix_cache_hit_rate_min" q "," q   \
      "prefix_cache_hit_rate_max" q "," q "num_requests_running_avg" q "," q          \
      "num_requests_running_min" q "," q "num_requests_running_max" q "," q           \
      "num_requests_waiting_avg" q "," q "num_requests_waiting_min" q "," q           \
      "num_requests_waiting_max" q "," q "preemptions" q

#define JSON_HEAD                                                                    \
    "{\"from_ms\":1790000000250,\"to_ms\":1790000060250,\"step_ms\":1,\"columns\":[" \
    "\"unix_ms\"," COLUMNS("\"") "],\"series\":["

static void test_json(void **state)
{
    struct fake nothing = {.n_series = 0};
    struct fake fake = {.n_series = 2, .n_points = 2, .name = "org/\"a\\b\""};

    (void)state;
    expect(&nothing, HISTORY_JSON, JSON_HEAD "]}\n");
    expect(&fake, HISTORY_JSON,
           JSON_HEAD
           "{\"model\":null,\"model_id\":null,\"port\":null,\"points\":["
           "[1790000000250,2,1000000000001,1000000000000,1000000000001,null,null,null,"
           "null,null,null,54.3211,0.0,100.0,0.25,0,3,null,null,null,1],"
           "[1790000000251,2,1000000000001,1000000000000,1000000000001,null,null,null,"
           "null,null,null,54.3211,0.0,100.0,0.25,0,3,null,null,null,null]]},"
           "{\"model\":\"org/\\\"a\\\\b\\\"\",\"model_id\":\"org--a-b-\",\"port\":8001,"
           "\"points\":["
           "[1790000000250,2,1000000000001,1000000000000,1000000000001,null,null,null,"
           "null,null,null,54.3211,0.0,100.0,1.25,0,3,null,null,null,1],"
           "[1790000000251,2,1000000000001,1000000000000,1000000000001,null,null,null,"
           "null,null,null,54.3211,0.0,100.0,1.25,0,3,null,null,null,null]]}]}\n");
}

#define FIGURES(mean)                                                            \
    ",2,1000000000001,1000000000000,1000000000001,,,,,,,54.3211,0.0,100.0," mean \
    ",0,3,,,,1\r\n"

/* What a spreadsheet could take for a formula is a text to it. */
static void test_csv(void **state)
{
    static const struct {
        const char *name, *cells;
    } names[] = {
        {"org/plain-1.5", "org/plain-1.5,org-plain-1-5"},
        {"a,b", "\"a,b\",a-b"},
        {"a\"b", "\"a\"\"b\",a-b"},
        {"=1+1", "\"'=1+1\",\"'-1-1\""},
        {"+x", "\"'+x\",\"'-x\""},
        {"-x", "\"'-x\",\"'-x\""},
        {"@SUM(A1)", "\"'@SUM(A1)\",\"'-SUM-A1-\""},
        {"=HYPERLINK(\"http://x\")",
         "\"'=HYPERLINK(\"\"http://x\"\")\",\"'-HYPERLINK--http---x--\""},
        {"caf\xc3\xa9;x", "\"caf\xc3\xa9;x\",caf--x"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct fake fake = {.n_series = 2, .n_points = 1, .name = names[i].name};
        char text[2048];

        (void)snprintf(
            text, sizeof(text),
            "time,model,model_id,port," COLUMNS(
                "") "\r\n"
                    "2026-09-21T14:13:20.250Z,,," FIGURES(
                        "0.25") "2026-09-21T14:13:20.250Z,%s,8001" FIGURES("1.25"),
            names[i].cells);
        expect(&fake, HISTORY_CSV, text);
    }
}

/* Long answers come in pieces; nothing is lost between two, whatever the names are. */
static void test_pieces(void **state)
{
    char longest[ENGINE_NAME_MAX + 1];
    struct fake fake = {.n_series = 5, .n_points = 2000, .name = longest};

    (void)state;
    memset(longest, '"', ENGINE_NAME_MAX);
    longest[ENGINE_NAME_MAX] = '\0';
    for (int format = HISTORY_JSON; format <= HISTORY_CSV; format++) {
        struct buf whole;
        size_t lines = 0, points = 0;

        assert_int_equal(write_all_pieces(&fake, (enum history_format)format, &whole), 0);
        for (size_t i = 0; i < whole.len; i++) {
            lines += whole.data[i] == '\n';
            points += whole.data[i] == '[';
        }
        if (format == HISTORY_CSV)
            assert_int_equal(lines, 1 + 5 * 2000);
        else
            assert_int_equal(points, 2 + 5 + 5 * 2000);
        buf_done(&whole);
    }
}

static void test_many_series(void **state)
{
    struct fake fake = {.n_series = STORE_SERIES_MAX + 1, .n_points = 1, .name = "x"};
    struct buf whole;

    (void)state;
    assert_int_equal(write_all_pieces(&fake, HISTORY_CSV, &whole), 0);
    buf_done(&whole);
    fake.n_series++;
    assert_int_equal(write_all_pieces(&fake, HISTORY_CSV, &whole), -E2BIG);
    buf_done(&whole);
}

static void test_failure(void **state)
{
    struct fake fake = {.n_series = 2, .n_points = 1, .name = "x", .fails = -EIO};
    struct buf whole;

    (void)state;
    assert_int_equal(write_all_pieces(&fake, HISTORY_JSON, &whole), -EIO);
    buf_done(&whole);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),    cmocka_unit_test(test_csv),
        cmocka_unit_test(test_pieces),  cmocka_unit_test(test_many_series),
        cmocka_unit_test(test_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
