// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/number.h"
#include "sim/sim_page.h"

#define MS_NS 1000000U

enum { LINES_MAX = 4096, NAME_ROOM = 256 };

struct server {
    struct sim_load *load;
    struct sim_page page;
    struct buf text;
};

static void server_start(struct server *server, struct sim_load_options options)
{
    *server = (struct server){.page = {
                                  .model = "Qwen/Qwen3-0.6B",
                                  .kv_pool_bytes = UNKNOWN,
                                  .started_s = 1786928992.76,
                                  .cpu_s = 16.94,
                              }};
    assert_int_equal(sim_load_new(&options, &server->load), 0);
    server->page.load = server->load;
    buf_init(&server->text, SIM_PAGE_BYTES_MAX);
}

static void server_stop(struct server *server)
{
    sim_load_free(server->load);
    buf_done(&server->text);
}

static void server_render(struct server *server)
{
    buf_clear(&server->text);
    sim_page_write(&server->text, &server->page);
    assert_int_equal(server->text.error, 0);
}

/* The next line without its end; false at the end of the page. */
static bool next_line(struct span *text, struct span *ret)
{
    const char *end = text->len ? memchr(text->at, '\n', text->len) : NULL;

    if (!end)
        return false;
    *ret = (struct span){text->at, (size_t)(end - text->at)};
    text->len -= ret->len + 1;
    text->at = end + 1;
    return true;
}

/* The value of the line that begins with `series` and a blank. */
static double value_of(const struct server *server, const char *series)
{
    struct span text = buf_span(&server->text), line;
    size_t len = strlen(series);
    double value;

    while (next_line(&text, &line)) {
        if (line.len <= len || line.at[len] != ' ' || memcmp(line.at, series, len) != 0)
            continue;
        assert_int_equal(
            number_read((struct span){line.at + len + 1, line.len - len - 1}, &value), 0);
        return value;
    }
    fail_msg("there is no %s", series);
    return 0;
}

static bool contains(const struct server *server, const char *words)
{
    return memmem(server->text.data, server->text.len, words, strlen(words)) != NULL;
}

static double of_engine(const struct server *server, const char *family, unsigned engine)
{
    char series[NAME_ROOM];

    assert_true(snprintf(series, sizeof(series),
                         "%s{engine=\"%u\",model_name=\"Qwen/Qwen3-0.6B\"}", family,
                         engine) < (int)sizeof(series));
    return value_of(server, series);
}

static void test_key_lines_say_what_the_load_says(void **state)
{
    static const struct {
        const char *family;
        enum sim_value value;
    } rows[] = {
        {"vllm:num_requests_running", SIM_RUNNING},
        {"vllm:num_requests_waiting", SIM_WAITING},
        {"vllm:kv_cache_usage_perc", SIM_KV_USAGE},
        {"vllm:prefix_cache_queries_total", SIM_PREFIX_QUERIES},
        {"vllm:prefix_cache_hits_total", SIM_PREFIX_HITS},
        {"vllm:num_preemptions_total", SIM_PREEMPTIONS},
        {"vllm:prompt_tokens_total", SIM_PROMPT_TOKENS},
        {"vllm:generation_tokens_total", SIM_GENERATION_TOKENS},
    };
    struct server server;

    (void)state;
    server_start(&server, (struct sim_load_options){3, 4096, 16, SIM_BURST, 5});
    sim_load_advance(server.load, 25000 * (uint64_t)MS_NS);
    server_render(&server);
    for (unsigned engine = 0; engine < 3; engine++) {
        double used = of_engine(&server, "vllm:kv_cache_usage_perc", engine) * 4095;

        assert_true(fabs(used - round(used)) < 1e-6);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            double said = of_engine(&server, rows[i].family, engine);

            assert_true(said ==
                        sim_load_stats(server.load, engine)->values[rows[i].value]);
        }
    }
    server_stop(&server);
}

static void test_cache_config(void **state)
{
    struct server server;

    (void)state;
    server_start(&server, (struct sim_load_options){2, 4096, 16, SIM_IDLE, 1});
    server_render(&server);
    assert_true(contains(&server,
                         "\nvllm:cache_config_info{_block_size_resolved=\"True\","
                         "block_size=\"16\",cache_dtype=\"auto\","));
    assert_true(contains(&server, "kv_cache_max_concurrency=\"2.0\","
                                  "kv_cache_memory_bytes=\"None\","
                                  "kv_cache_size_tokens=\"65536\","));
    assert_true(contains(&server, "num_gpu_blocks=\"8192\","
                                  "num_gpu_blocks_override=\"None\","));
    assert_true(contains(&server, "user_specified_mamba_block_size=\"False\"} 1.0\n"));
    assert_true(contains(&server, ",engine=\"1\",gpu_memory_utilization="));

    server.page.kv_pool_bytes = 8589934592;
    server_render(&server);
    assert_true(contains(&server, "kv_cache_memory_bytes=\"8589934592\""));
    server_stop(&server);
}

#define SERIES "engine=\"0\",model_name=\"Qwen/Qwen3-0.6B\""

static void test_decoys_stand_where_they_do_in_vllm(void **state)
{
    static const char *const parts[] = {
        "# HELP vllm:num_requests_waiting Number of requests waiting to be processed.\n"
        "# TYPE vllm:num_requests_waiting gauge\n"
        "vllm:num_requests_waiting{" SERIES "} 0.0\n"
        "# HELP vllm:num_requests_waiting_by_reason ",
        "# TYPE vllm:num_requests_waiting_by_reason gauge\n"
        "vllm:num_requests_waiting_by_reason{" SERIES ",reason=\"capacity\"} 0.0\n",
        "vllm:prefix_cache_queries_total{" SERIES "} 0.0\n"
        "# HELP vllm:prefix_cache_queries_created Prefix cache queries, in terms of "
        "number "
        "of queried tokens.\n"
        "# TYPE vllm:prefix_cache_queries_created gauge\n"
        "vllm:prefix_cache_queries_created{engine=\"0\",",
        "vllm:engine_sleep_state{" SERIES ",sleep_state=\"awake\"} 1.0\n",
        "vllm:request_success_total{engine=\"0\",finished_reason=\"stop\",model_name=",
        "vllm:time_to_first_token_seconds_bucket{engine=\"0\",le=\"+Inf\",model_name=",
        "http_request_duration_highr_seconds_bucket{le=\"0.01\"} 0.0\n",
        "\nhttp_request_duration_highr_seconds_count 0.0\n",
        "\nprocess_start_time_seconds 1.78692899276e+09\n",
        "\nprocess_cpu_seconds_total 16.94\n",
    };
    struct server server;

    (void)state;
    server_start(&server, (struct sim_load_options){1, 4096, 16, SIM_IDLE, 1});
    server_render(&server);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!contains(&server, parts[i]))
            fail_msg("not found: %s", parts[i]);
    assert_true(of_engine(&server, "vllm:kv_cache_usage_perc", 0) == 0);
    server_stop(&server);
}

/* A gauge may fall; all else, each bucket, count and sum too, may not. */
static bool is_gauge(struct span name)
{
    static const char *const gauges[] = {
        "vllm:num_requests_running", "vllm:num_requests_waiting",
        "vllm:num_requests_waiting_by_reason", "vllm:kv_cache_usage_perc"};

    for (size_t i = 0; i < ARRAY_LEN(gauges); i++)
        if (span_is(name, gauges[i]))
            return true;
    return false;
}

struct series {
    struct span key; // into the page before
    double value;
};

static size_t read_series(struct span text, struct series *series)
{
    struct span line;
    size_t n = 0;

    while (next_line(&text, &line)) {
        const char *blank;
        struct span key, value;

        if (*line.at == '#')
            continue;
        blank = memrchr(line.at, ' ', line.len);
        assert_non_null(blank);
        key = (struct span){line.at, (size_t)(blank - line.at)};
        value = (struct span){blank + 1, line.len - key.len - 1};
        assert_true(n < LINES_MAX);
        assert_int_equal(number_read(value, &series[n].value), 0);
        series[n++].key = key;
    }
    return n;
}

static void compare(const struct series *before, size_t n, const struct series *now)
{
    for (size_t i = 0; i < n; i++) {
        struct span key = before[i].key;
        struct span name = {key.at, strcspn(key.at, "{ ")};

        assert_int_equal(key.len, now[i].key.len);
        assert_memory_equal(key.at, now[i].key.at, key.len);
        if (!is_gauge(name) && now[i].value < before[i].value)
            fail_msg("%.*s fell from %f to %f", (int)key.len, key.at, before[i].value,
                     now[i].value);
    }
}

static void test_nothing_but_gauges_falls(void **state)
{
    static struct series series[2][LINES_MAX];
    struct server server;
    struct buf before;
    size_t n = 0;

    (void)state;
    server_start(&server, (struct sim_load_options){2, 512, 16, SIM_BURST, 3});
    buf_init(&before, SIM_PAGE_BYTES_MAX);
    sim_load_advance(server.load, 10000 * (uint64_t)MS_NS); // all series are there
    for (int i = 0; i < 1000; i++) {
        struct buf last = before;

        sim_load_advance(server.load, 50 * MS_NS);
        server_render(&server);
        if (i > 0) {
            assert_int_equal(read_series(buf_span(&server.text), series[1]), n);
            compare(series[0], n, series[1]);
        }
        before = server.text;
        server.text = last;
        server.text.max = before.max;
        n = read_series(buf_span(&before), series[0]);
    }
    assert_true(n > 700);
    buf_done(&before);
    server_stop(&server);
}

static void test_histograms_are_whole(void **state)
{
    struct server server;
    double last = 0, inf;

    (void)state;
    server_start(&server, (struct sim_load_options){1, 4096, 16, SIM_STEADY, 1});
    sim_load_advance(server.load, 30000 * (uint64_t)MS_NS);
    server_render(&server);
    for (int i = 0; i < 3; i++) {
        static const char *const bounds[] = {"1.0", "10.0", "+Inf"};
        char name[NAME_ROOM];
        double value;

        assert_true(
            snprintf(name, sizeof(name),
                     "vllm:e2e_request_latency_seconds_bucket{engine=\"0\",le=\"%s\""
                     ",model_name=\"Qwen/Qwen3-0.6B\"}",
                     bounds[i]) < (int)sizeof(name));
        value = value_of(&server, name);
        assert_true(value >= last);
        last = value;
    }
    inf = of_engine(&server, "vllm:e2e_request_latency_seconds_count", 0);
    assert_true(inf == last && inf > 100);
    assert_true(inf == of_engine(&server, "vllm:request_prompt_tokens_count", 0));
    assert_true(inf == value_of(&server, "http_request_duration_highr_seconds_count"));
    assert_true(inf == value_of(&server,
                                "http_requests_total{handler=\"/v1/completions\","
                                "method=\"POST\",status=\"2xx\"}"));
    assert_true(of_engine(&server, "vllm:generation_tokens_total", 0) >=
                of_engine(&server, "vllm:request_generation_tokens_sum", 0));
    server_stop(&server);
}

static void test_http_lists_what_was_asked_for(void **state)
{
    struct server server;

    (void)state;
    server_start(&server, (struct sim_load_options){1, 4096, 16, SIM_IDLE, 1});
    server_render(&server);
    assert_false(contains(&server, "/v1/models"));
    server.page.http = (struct sim_http_counts){2, 930};
    server_render(&server);
    assert_true(value_of(&server, "http_requests_total{handler=\"/v1/models\","
                                  "method=\"GET\",status=\"2xx\"}") == 2);
    assert_true(
        value_of(&server, "http_response_size_bytes_sum{handler=\"/v1/models\"}") == 930);
    server_stop(&server);
}

static void test_size_and_sameness(void **state)
{
    struct server a, b;

    (void)state;
    server_start(&a, (struct sim_load_options){1, 4096, 16, SIM_STEADY, 1});
    server_start(&b, (struct sim_load_options){1, 4096, 16, SIM_STEADY, 1});
    sim_load_advance(a.load, 9000 * (uint64_t)MS_NS);
    for (int i = 0; i < 90; i++)
        sim_load_advance(b.load, 100 * MS_NS);
    server_render(&a);
    server_render(&b);
    assert_int_equal(a.text.len, b.text.len);
    assert_memory_equal(a.text.data, b.text.data, a.text.len);
    assert_in_range(a.text.len, 40000, 65000);
    server_stop(&a);
    server_stop(&b);
}

static void test_names_are_escaped(void **state)
{
    struct server server;

    (void)state;
    server_start(&server, (struct sim_load_options){1, 4096, 16, SIM_IDLE, 1});
    server.page.model = "a\"b\\c{d},\xc3\xa4";
    server_render(&server);
    assert_true(
        contains(&server, "{engine=\"0\",model_name=\"a\\\"b\\\\c{d},\xc3\xa4\"} "));
    server_stop(&server);
}

static void test_the_longest_request_fits(void **state)
{
    static const struct sim_load_options small = {1, 100, 16, SIM_IDLE, 1};
    static const struct sim_load_options large = {1, 100000, 16, SIM_IDLE, 1};

    (void)state;
    assert_int_equal(sim_page_max_model_len(&small), 1600);
    assert_int_equal(sim_page_max_model_len(&large), 32768);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_lines_say_what_the_load_says),
        cmocka_unit_test(test_cache_config),
        cmocka_unit_test(test_decoys_stand_where_they_do_in_vllm),
        cmocka_unit_test(test_nothing_but_gauges_falls),
        cmocka_unit_test(test_histograms_are_whole),
        cmocka_unit_test(test_http_lists_what_was_asked_for),
        cmocka_unit_test(test_size_and_sameness),
        cmocka_unit_test(test_names_are_escaped),
        cmocka_unit_test(test_the_longest_request_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
