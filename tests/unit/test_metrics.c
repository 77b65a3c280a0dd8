// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics_stage.h"

#include <locale.h>
#include <math.h>

/* Everything known, and no two numbers that could be taken for each other. */
static void fill(void)
{
    static const struct snapshot_self self = {
        .rss_bytes = 12000000,
        .cpu_seconds = 1.25,
        .subscribers = 4,
        .frames_sent = 101,
        .frames_skipped = 6,
        .worker_restarts = 1,
        .late_seconds = 0.0005,
        .limited = {{"clients", 8}, {"line", 0}},
        .n_limited = 2,
    };
    struct snapshot_device *part;

    snapshot.self = self;
    snapshot.taken_ns = 10 * S;
    snapshot.gpu_taken_ns = 10 * S - 40000000;
    snapshot.total_bytes = figure_of(2000, MEASURED, NULL);
    snapshot.allocated_bytes = figure_of(1790, MEASURED, NULL);
    snapshot.models_bytes = 1402;
    snapshot.other_bytes = 203;
    snapshot.orphan_bytes = 104;
    snapshot.unattributed_bytes = -19;
    snapshot.kv_used_bytes = 405;
    snapshot.kv_unknown = 1;
    snapshot.hit_percent = 73.45;
    snapshot.hit_percent_in_window = true;
    snapshot.n_sources = 1;
    (void)snprintf(snapshot.sources[0].backend, sizeof(snapshot.sources[0].backend),
                   "nvml");
    (void)add_device("GPU-1");
    part = add_device("MIG-2");
    part->instance = 7;
    part->mem_used_bytes = 890;
    part->unattributed_bytes = 40;
    (void)snprintf(part->parent_uuid, sizeof(part->parent_uuid), "GPU-0");
    (void)add_model("Qwen/Qwen3-0.6B", 8000);
    add_model("other", 8001)->state = ENGINE_LOADING;
}

/* The file's bytes with a NUL. */
static const char *fixture(const char *name)
{
    static char text[64 * 1024];
    char path[4096];
    const char *folder = getenv("SOURCE_FIXTURES_DIR");
    FILE *file;
    size_t n;

    (void)snprintf(path, sizeof(path), "%s/metrics/%s",
                   folder ? folder : "tests/fixtures", name);
    file = fopen(path, "re");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    (void)fclose(file);
    return text;
}

static void check_fixture(const char *name, const char *text)
{
    const char *wanted = fixture(name);
    size_t line = 1;

    for (size_t i = 0; text[i] || wanted[i]; i++) {
        if (text[i] != wanted[i])
            fail_msg("%s, line %zu: \"%.80s\", wanted \"%.80s\"", name, line, text + i,
                     wanted + i);
        line += text[i] == '\n';
    }
}

static void test_whole_pages(void **state)
{
    (void)state;
    fill();
    check_fixture("full.txt", page(METRICS_TEXT));
    check_fixture("full.openmetrics.txt", page(METRICS_OPENMETRICS));
    // A second time from the same writer, which keeps nothing but memory.
    check_fixture("full.txt", page(METRICS_TEXT));
}

static void test_outage(void **state)
{
    struct metrics_facts facts = {.version = "1.2.3"};

    (void)state;
    assert_string_equal(
        page_of(&facts, METRICS_OPENMETRICS),
        "# HELP vramscope_build The version that runs.\n"
        "# TYPE vramscope_build info\n"
        "vramscope_build_info{version=\"1.2.3\"} 1\n"
        "# HELP vramscope_up 1 while there are figures, 0 while there is nothing honest "
        "to say: /readyz tells why.\n"
        "# TYPE vramscope_up gauge\n"
        "vramscope_up 0\n"
        "# EOF\n");
    fill();
    facts.self = &snapshot.self;
    facts.sample_unix_ms = 1790000000123;
    check_fixture("outage.txt", page_of(&facts, METRICS_TEXT));
}

static void test_nats(void **state)
{
    (void)state;
    fill();
    assert_null(strstr(page(METRICS_TEXT), "nats"));
    snapshot.self.nats =
        (struct snapshot_nats){.used = true, .published = 7, .skipped = 3, .events = 2};
    assert_non_null(strstr(page(METRICS_TEXT), "\nvramscope_nats_connected 0\n"));
    assert_non_null(strstr(page(METRICS_TEXT), "\nvramscope_nats_published_total 7\n"));
    assert_non_null(strstr(page(METRICS_TEXT), "\nvramscope_nats_skipped_total 3\n"));
    assert_non_null(strstr(page(METRICS_TEXT), "\nvramscope_nats_too_large_total 0\n"));
}

/* What makes one figure unknown, and the start of the lines that must then be none. */
static struct snapshot_device *device = &snapshot.devices[0];
static struct snapshot_model *model = &snapshot.models[0];

static void no_rss(void)
{
    snapshot.self.rss_bytes = UNKNOWN;
}

static void no_limits(void)
{
    snapshot.self.n_limited = 0;
}

static void no_total(void)
{
    snapshot.total_bytes = figure_unknown("it hides");
}

static void never_set(void)
{
    snapshot.allocated_bytes = (struct figure){0};
}

static void no_gpu(void)
{
    snapshot.gpu_taken_ns = 0;
}

static void no_kv_at_all(void)
{
    snapshot.kv_unknown = snapshot.n_models;
}

static void never_queried(void)
{
    snapshot.hit_percent = 0;
    snapshot.hit_percent_in_window = false;
    for (size_t i = 0; i < snapshot.n_models; i++)
        snapshot.models[i].page.prefix = (struct hit_counts){0, 0};
}

static void no_device_memory(void)
{
    device->mem_total_bytes = device->mem_used_bytes = UNKNOWN;
    device->mem_reserved_bytes = UNKNOWN;
}

static void no_device_kv(void)
{
    device->kv_pool_bytes = device->kv_used_bytes = figure_unknown("");
}

static void no_allocated(void)
{
    model->allocated_bytes = figure_unknown("the driver hides it");
}

static void no_model_kv(void)
{
    model->kv_pool_bytes = model->kv_used_bytes = figure_unknown("");
    model->kv_retained_bytes = figure_unknown("");
}

static void no_page(void)
{
    engine_page_clear(&model->page);
    model->page_ns = 0;
}

static void no_minute(void)
{
    model->prefix_minute = (struct hit_counts){0, 0};
}

static void ratio_alone(void)
{
    model->page.prefix_from_ratio = true;
}

static void no_scrape(void)
{
    model->scrapes = (struct engine_scrapes){0};
}

#define GPU_1 "{uuid=\"GPU-1\",gpu=\"0\"}"

static const struct {
    const char *row;
    void (*make)(void);
    const char *absent[12]; // after "vramscope_"
    const char *still;      // or NULL
} unknowns[] = {
    {"own memory", no_rss, {"resident_memory_bytes"}, "cpu_seconds_total 1.25\n"},
    {"limits", no_limits, {"limited_total"}, NULL},
    {"total", no_total, {"vram_total_bytes"}, "vram_allocated_bytes 1790\n"},
    {"a figure that nobody has set", never_set, {"vram_allocated_bytes"}, NULL},
    {"no GPU on purpose", no_gpu, {"gpu_figures_age_seconds"}, NULL},
    {"KV of no model",
     no_kv_at_all,
     {"kv_cache_used_bytes"},
     "kv_cache_unknown_models 2"},
    {"nothing was looked for",
     never_queried,
     {"prefix_cache_hit_ratio ",
      "model_prefix_cache_hit_ratio" QWEN ",window=\"lifetime"},
     "model_prefix_cache_queries_total" QWEN "} 0\n"},
    {"a device's memory",
     no_device_memory,
     {"gpu_memory_total_bytes" GPU_1, "gpu_memory_used_bytes" GPU_1,
      "gpu_memory_reserved_bytes" GPU_1, "gpu_memory_unattributed_bytes" GPU_1},
     "gpu_memory_models_bytes" GPU_1 " 700\n"},
    {"a device's KV",
     no_device_kv,
     {"gpu_kv_cache_capacity_bytes" GPU_1, "gpu_kv_cache_used_bytes" GPU_1},
     NULL},
    {"what a model holds", no_allocated, {"model_allocated_bytes" QWEN}, NULL},
    {"a model's KV",
     no_model_kv,
     {"model_kv_cache_capacity_bytes" QWEN, "model_kv_cache_used_bytes" QWEN,
      "model_kv_cache_retained_bytes" QWEN},
     NULL},
    {"an engine that says nothing",
     no_page,
     {"model_kv_cache_usage_ratio" QWEN, "model_prefix_cache_hit_ratio" QWEN,
      "model_prefix_cache_hits_total" QWEN, "model_prefix_cache_queries_total" QWEN,
      "model_requests_running" QWEN, "model_requests_waiting" QWEN,
      "model_preemptions_total" QWEN, "model_figures_age_seconds" QWEN},
     "model_state" QWEN ",state=\"ready\"} 1\n"},
    {"no query in a window",
     no_minute,
     {"model_prefix_cache_hit_ratio" QWEN ",window=\"1m\""},
     "model_prefix_cache_hit_ratio" QWEN ",window=\"5m\"} 0.666667\n"},
    {"an engine with a ratio alone",
     ratio_alone,
     {"model_prefix_cache_hit_ratio" QWEN ",window=\"1m\"",
      "model_prefix_cache_hit_ratio" QWEN ",window=\"5m\"",
      "model_prefix_cache_hits_total" QWEN, "model_prefix_cache_queries_total" QWEN},
     "model_prefix_cache_hit_ratio" QWEN ",window=\"lifetime\"} 0.90072\n"},
    {"not yet scraped",
     no_scrape,
     {"engine_scrape_duration_seconds" QWEN},
     "engine_scrapes_total" QWEN ",result=\"ok\"} 0\n"},
};

static void test_unknown_is_absent(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(unknowns); i++) {
        memset(&snapshot, 0, sizeof(snapshot));
        fill();
        for (const char *const *absent = unknowns[i].absent; *absent; absent++)
            if (!has_line(page(METRICS_TEXT), *absent))
                fail_msg("[%s] %s was never there", unknowns[i].row, *absent);
        unknowns[i].make();
        for (const char *const *absent = unknowns[i].absent; *absent; absent++)
            if (has_line(page(METRICS_TEXT), *absent))
                fail_msg("[%s] %s is there", unknowns[i].row, *absent);
        if (unknowns[i].still && !has_line(page(METRICS_TEXT), unknowns[i].still))
            fail_msg("[%s] no %s", unknowns[i].row, unknowns[i].still);
    }
}

/* A family of which no figure is known has no head either; one of which any is, has. */
static void test_no_empty_families(void **state)
{
    (void)state;
    fill();
    model->allocated_bytes = figure_unknown("the driver hides it");
    assert_non_null(strstr(page(METRICS_TEXT),
                           "# TYPE vramscope_model_allocated_bytes gauge\n"
                           "vramscope_model_allocated_bytes{model=\"other\","));
    snapshot.n_models = 0;
    assert_null(strstr(page(METRICS_TEXT), "vramscope_model_"));
}

#define TEN(x) x x x x x x x x x x

static const struct {
    const char *row;
    const char *name;
    const char *label; // its value, as written
} hostile[] = {
    {"quotes and a brace", "a\"}\n1 \"b",
     "a\\\"}\xef\xbf\xbd"
     "1 \\\"b"},
    {"backslashes", "a\\nb\\", "a\\\\nb\\\\"},
    {"line ends", "a\nb\rc",
     "a\xef\xbf\xbd"
     "b\xef\xbf\xbd"
     "c"},
    {"escapes of a terminal", "\033[2J", "\xef\xbf\xbd[2J"},
    {"not UTF-8", "a\xff\xc3", "a\xef\xbf\xbd\xef\xbf\xbd"},
    {"UTF-8", "\xe4\xb8\xad\xc3\xbc", "\xe4\xb8\xad\xc3\xbc"},
    {"nothing", "", ""},
    {"128 bytes", TEN("0123456789ab") "cdefghij", TEN("0123456789ab") "cdefghij"},
    {"129 bytes", TEN("0123456789ab") "cdefghijk", TEN("0123456789ab") "cdefghij"},
    {"cut before a character", TEN("0123456789ab") "cdefghi\xc3\xbc",
     TEN("0123456789ab") "cdefghi"},
    {"cut before an escape", TEN("0123456789ab") "cdefghi\"",
     TEN("0123456789ab") "cdefghi"},
    {"quotes alone", TEN("\"\"\"\"\"\"\"") "",
     TEN("\\\"\\\"\\\"\\\"\\\"\\\"") "\\\"\\\"\\\"\\\""},
};

static void test_hostile_names(void **state)
{
    char wanted[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        memset(&snapshot, 0, sizeof(snapshot));
        add_model(hostile[i].name, 1)->id[0] = '\0';
        (void)snprintf(
            wanted, sizeof(wanted),
            "model_requests_running{model=\"%s\",model_id=\"\",port=\"1\"} 3\n",
            hostile[i].label);
        if (!has_line(page(METRICS_TEXT), wanted))
            fail_msg("[%s] no %s in %s", hostile[i].row, wanted, out.data);
    }
}

/* As of two containers with the same model on the same port. */
static void test_duplicates(void **state)
{
    (void)state;
    fill();
    (void)add_model("Qwen/Qwen3-0.6B", 8000);
    (void)add_model("Qwen/Qwen3-0.6B", 8001);
    (void)add_model("Qwen/Qwen3-0.6B", 8000);
    snapshot.devices[1] = snapshot.devices[0];
    assert_true(has_line(page(METRICS_TEXT), "model_stale" QWEN "} 0\n"));
    assert_true(has_line(out.data, "model_stale" QWEN ",duplicate=\"2\"} 0\n"));
    assert_true(has_line(out.data, "model_stale" QWEN ",duplicate=\"3\"} 0\n"));
    assert_false(has_line(out.data, "model_stale" QWEN ",duplicate=\"4\""));
    assert_false(strstr(out.data, "8001\",duplicate"));
    assert_true(has_line(out.data, "gpu_memory_total_bytes{uuid=\"GPU-1\",gpu=\"0\","
                                   "duplicate=\"2\"} 1000\n"));
}

/* No engine can make the page so large that nobody gets it. */
static void test_the_largest_page(void **state)
{
    (void)state;
    fill();
    for (size_t i = 0; i < GPU_DEVICES_MAX; i++) {
        snapshot.devices[i] = snapshot.devices[1];
        fill_text(snapshot.devices[i].uuid, GPU_UUID_MAX);
        fill_text(snapshot.devices[i].parent_uuid, GPU_UUID_MAX);
        fill_text(snapshot.devices[i].name, GPU_NAME_MAX);
        snapshot.devices[i].mem_total_bytes = UNKNOWN - 1;
    }
    for (size_t i = 0; i < SNAPSHOT_MODELS_MAX; i++) {
        snapshot.models[i] = snapshot.models[0];
        snapshot.models[i].port = UINT16_MAX;
        fill_text(snapshot.models[i].served_name, ENGINE_NAME_MAX + 1);
        memset(snapshot.models[i].id, '-', ENGINE_NAME_MAX);
        snapshot.models[i].allocated_bytes.value = UNKNOWN - 1;
    }
    snapshot.n_devices = GPU_DEVICES_MAX;
    snapshot.n_models = SNAPSHOT_MODELS_MAX;
    (void)page(METRICS_OPENMETRICS);
    assert_true(out.len < METRICS_MAX);
    assert_true(strcmp(out.data + out.len - strlen("# EOF\n") - 1, "# EOF\n") == 0);
}

static const struct {
    const char *row;
    double ratio;
    const char *written; // NULL: absent
} ratios[] = {
    {"none", 0, "0"},
    {"all", 1, "1"},
    {"a third", 1.0 / 3, "0.333333"},
    {"two thirds", 2.0 / 3, "0.666667"},
    {"small", 1e-6, "0.000001"},
    {"smaller", 4e-7, "0"},
    {"no number", (double)NAN, NULL},
    {"without end", (double)INFINITY, NULL},
    {"negative", -0.5, NULL},
    {"absurd", 1e300, NULL},
};

static void test_numbers(void **state)
{
    char wanted[64];

    (void)state;
    (void)setlocale(LC_ALL,
                    "de_DE.UTF-8"); // whose decimal point is a comma, if it is there
    fill();
    for (size_t i = 0; i < ARRAY_LEN(ratios); i++) {
        model->page.kv_usage_ratio = ratios[i].ratio;
        (void)snprintf(wanted, sizeof(wanted), "} %s\n", ratios[i].written);
        (void)page(METRICS_TEXT);
        if (!ratios[i].written && has_line(out.data, "model_kv_cache_usage_ratio" QWEN))
            fail_msg("[%s] is there", ratios[i].row);
        if (ratios[i].written &&
            !strstr(strstr(out.data, "\nvramscope_model_kv_cache_usage_ratio" QWEN),
                    wanted))
            fail_msg("[%s] is not %s", ratios[i].row, ratios[i].written);
    }
    (void)setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_is_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_empty_families, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_duplicates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_largest_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
