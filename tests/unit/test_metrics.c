// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "encode/metrics.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>

#define S UINT64_C(1000000000)

static struct snapshot snapshot; // too large for a stack
static struct metrics_writer writer;
static struct buf out;

static int set_up(void **state)
{
    (void)state;
    metrics_writer_init(&writer);
    buf_init(&out, METRICS_MAX);
    memset(&snapshot, 0, sizeof(snapshot));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    metrics_writer_done(&writer);
    buf_done(&out);
    return 0;
}

/* With a NUL. */
static const char *page_of(const struct metrics_facts *facts, enum metrics_format format)
{
    buf_clear(&out);
    metrics_write(&writer, &out, facts, format);
    assert_int_equal(out.error, 0);
    buf_add_char(&out, '\0');
    return out.data;
}

static const char *page(enum metrics_format format)
{
    const struct metrics_facts facts = {
        .version = "1.2.3", .snapshot = &snapshot, .sample_unix_ms = 1790000000123};

    return page_of(&facts, format);
}

static struct snapshot_device *add_device(const char *uuid)
{
    struct snapshot_device *device = &snapshot.devices[snapshot.n_devices];

    *device = (struct snapshot_device){
        .index = snapshot.n_devices++,
        .instance = GPU_NO_INSTANCE,
        .mem_total_bytes = 1000,
        .mem_used_bytes = 900,
        .mem_reserved_bytes = 10,
        .models_bytes = 700,
        .other_bytes = 100,
        .orphan_bytes = 50,
        .unattributed_bytes = 50,
        .kv_pool_bytes = figure_of(400, DERIVED, NULL),
        .kv_used_bytes = figure_of(200, DERIVED, NULL),
    };
    (void)snprintf(device->uuid, sizeof(device->uuid), "%s", uuid);
    (void)snprintf(device->name, sizeof(device->name), "Some GPU");
    return device;
}

static struct snapshot_model *add_model(const char *name, uint16_t port)
{
    struct snapshot_model *model = &snapshot.models[snapshot.n_models++];

    *model = (struct snapshot_model){
        .port = port,
        .state = ENGINE_READY,
        .page_ns = 9 * S,
        .pace_ns = S / 2,
        .scrapes = {.read = 7, .failed = 2, .last_ns = 1500000, .total_ns = 12345678},
        .allocated_bytes = figure_of(711, MEASURED, NULL),
        .kv_pool_bytes = figure_of(422, BY_ENGINE, NULL),
        .kv_used_bytes = figure_of(233, DERIVED, NULL),
        .kv_retained_bytes = figure_of(30, BY_ENGINE, NULL),
        .prefix_minute = {1, 4},
        .prefix_five_minutes = {2, 3},
    };
    (void)snprintf(model->served_name, sizeof(model->served_name), "%s", name);
    snapshot_make_id(name, model->id);
    engine_page_clear(&model->page);
    model->page.kv_usage_ratio = 0.5;
    model->page.requests_running = 3;
    model->page.requests_waiting = 0;
    model->page.preemptions = 5;
    model->page.prefix = (struct hit_counts){9007199254740993.0, 1e16};
    return model;
}

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
#define QWEN "{model=\"Qwen/Qwen3-0.6B\",model_id=\"Qwen-Qwen3-0-6B\",port=\"8000\""

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

/* Does a line start so? */
static bool has_line(const char *text, const char *start)
{
    char line[600];

    (void)snprintf(line, sizeof(line), "\nvramscope_%s", start);
    return strstr(text, line);
}

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

static void fill_text(char *text, size_t size)
{
    memset(text, '"', size - 1);
    text[size - 1] = '\0';
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

static struct snapshot_fleet fleet;
static struct fleet_node nodes[FLEET_NODES_MAX];
static struct fleet_model sums[FLEET_MODELS_MAX];

static struct fleet_node *add_node(const char *name, enum node_state node_state)
{
    struct fleet_node *node = &nodes[fleet.n_nodes++];

    *node = (struct fleet_node){
        .state = node_state,
        .counted = node_state == NODE_LIVE || node_state == NODE_STALE,
        .nodes = 1,
        .heard_ns = 9 * S,
        .age_ns = S / 10,
        .clock_offset_ms = -3,
        .messages = 11,
        .malformed = 12,
        .dropped = 13,
        .n_devices = 8,
        .n_models = 4,
        .total_bytes = figure_of(1000, MEASURED, NULL),
        .allocated_bytes = figure_of(900, MEASURED, NULL),
        .kv_used_bytes = 300,
        .kv_pool_bytes = figure_of(500, DERIVED, NULL),
        .hit_percent = 25,
        .requests_running = 6,
        .requests_waiting = 7,
    };
    (void)snprintf(node->name, sizeof(node->name), "%s", name);
    (void)snprintf(node->machine, sizeof(node->machine), "00ff");
    (void)snprintf(node->version, sizeof(node->version), "1.2.3");
    fleet.by_state[node_state]++;
    return node;
}

static struct fleet_model *add_sum(const char *name, uint16_t port)
{
    struct fleet_model *sum = &sums[fleet.n_models++];

    *sum = (struct fleet_model){
        .port = port,
        .nodes = 3,
        .ready = 2,
        .state = ENGINE_READY,
        .allocated_bytes = figure_of(711, MEASURED, NULL),
        .kv_used_bytes = figure_of(233, DERIVED, NULL),
        .kv_pool_bytes = figure_of(422, BY_ENGINE, NULL),
        .kv_used_blocks = 10,
        .kv_blocks = 40,
        .requests_running = 3,
        .requests_waiting = UNKNOWN,
        .preemptions = 5,
        .prefix_minute = {1, 4},
        .prefix_five_minutes = {(double)NAN, (double)NAN},
        .prefix_lifetime = {10, 40},
    };
    (void)snprintf(sum->served_name, sizeof(sum->served_name), "%s", name);
    snapshot_make_id(name, sum->id);
    return sum;
}

/* A gateway's; its few rows for those who know no fleets are on no page. */
static void fill_fleet(void)
{
    memset(&snapshot, 0, sizeof(snapshot));
    memset(&fleet, 0, sizeof(fleet));
    snapshot.fleet = &fleet;
    fleet.nodes = nodes;
    fleet.models = sums;
    snapshot.taken_ns = 10 * S;
    snapshot.total_bytes = figure_of(2000, MEASURED, NULL);
    snapshot.allocated_bytes = figure_of(1800, MEASURED, NULL);
    snapshot.kv_used_bytes = 600;
    (void)add_model("Qwen/Qwen3-0.6B", 8000);
    (void)add_node("gpu1", NODE_LIVE);
    add_node("gpu2", NODE_STALE)->age_ns = 3 * S;
    (void)add_node("gpu3", NODE_LOST);
    add_node("gpu4", NODE_UNREADABLE)->age_ns = UNKNOWN;
    nodes[3].heard_ns = 0;
    nodes[3].machine[0] = '\0';
    (void)add_sum("Qwen/Qwen3-0.6B", 8000);
    fleet.link = (struct fleet_link){true, 21, 22, 23, 24, 25, 26, 27};
    fleet.models_left_out = 2;
}

static const struct {
    const char *line; // its start
    bool there;
} of_fleets[] = {
    {"vram_total_bytes 2000\n", true},
    {"kv_cache_used_bytes 600\n", true},
    {"gpu_", false},
    {"model_allocated_bytes" QWEN "} 711\n", true},
    {"model_allocated_bytes" QWEN ",duplicate", false},
    {"model_kv_cache_usage_ratio" QWEN "} 0.25\n", true},
    {"model_requests_running" QWEN "} 3\n", true},
    {"model_requests_waiting", false},
    {"model_prefix_cache_hit_ratio" QWEN ",window=\"1m\"} 0.25\n", true},
    {"model_prefix_cache_hit_ratio" QWEN ",window=\"5m\"", false},
    {"model_figures_age_seconds", false},
    {"model_nodes" QWEN "} 3\n", true},
    {"model_nodes_ready" QWEN "} 2\n", true},
    {"engine_scrape", false},
    {"node_up{node=\"gpu1\"} 1\n", true},
    {"node_up{node=\"gpu2\"} 1\n", true},
    {"node_up{node=\"gpu3\"} 0\n", true},
    {"node_up{node=\"gpu4\"} 0\n", true},
    {"node_info{node=\"gpu1\",version=\"1.2.3\",machine=\"00ff\"} 1\n", true},
    {"node_info{node=\"gpu4\"", false},
    {"node_age_seconds{node=\"gpu2\"} 3\n", true},
    {"node_age_seconds{node=\"gpu4\"", false},
    {"node_clock_offset_seconds{node=\"gpu1\"} -0.003\n", true},
    {"node_clock_offset_seconds{node=\"gpu4\"", false},
    {"node_gpus{node=\"gpu1\"} 8\n", true},
    {"node_gpus{node=\"gpu3\"", false},
    {"node_models{node=\"gpu2\"} 4\n", true},
    {"node_vram_total_bytes{node=\"gpu1\"} 1000\n", true},
    {"node_vram_total_bytes{node=\"gpu3\"", false},
    {"node_vram_allocated_bytes{node=\"gpu1\"} 900\n", true},
    {"node_kv_cache_used_bytes{node=\"gpu1\"} 300\n", true},
    {"node_kv_cache_capacity_bytes{node=\"gpu1\"} 500\n", true},
    {"node_requests_running{node=\"gpu1\"} 6\n", true},
    {"node_requests_waiting{node=\"gpu1\"} 7\n", true},
    {"node_requests_waiting{node=\"gpu4\"", false},
    {"node_prefix_cache_hit_ratio{node=\"gpu1\"} 0.25\n", true},
    {"node_messages_total{node=\"gpu3\"} 11\n", true},
    {"node_malformed_total{node=\"gpu4\"} 12\n", true},
    {"node_dropped_total{node=\"gpu1\"} 13\n", true},
    {"fleet_nodes{state=\"live\"} 1\n", true},
    {"fleet_nodes{state=\"lost\"} 1\n", true},
    {"fleet_nodes{state=\"outage\"} 0\n", true},
    {"fleet_nodes_left_out 0\n", true},
    {"fleet_models_left_out 2\n", true},
    {"fleet_connected 1\n", true},
    {"fleet_reconnects_total 21\n", true},
    {"fleet_messages_total 22\n", true},
    {"fleet_bytes_total 23\n", true},
    {"fleet_malformed_total 24\n", true},
    {"fleet_dropped_total 25\n", true},
    {"fleet_refused_total 26\n", true},
    {"fleet_missed_total 27\n", true},
};

static void test_gateway(void **state)
{
    (void)state;
    fill_fleet();
    (void)page(METRICS_TEXT);
    for (size_t i = 0; i < ARRAY_LEN(of_fleets); i++)
        if (has_line(out.data, of_fleets[i].line) != of_fleets[i].there)
            fail_msg("%s is%s there", of_fleets[i].line,
                     of_fleets[i].there ? " not" : "");
    sums[0].kv_used_bytes = figure_unknown("no size");
    assert_false(has_line(page(METRICS_TEXT), "kv_cache_used_bytes "));
    assert_non_null(strstr(page(METRICS_OPENMETRICS),
                           "# TYPE vramscope_fleet_bytes counter\n"
                           "# UNIT vramscope_fleet_bytes bytes\n"
                           "vramscope_fleet_bytes_total 23\n"));
    snapshot.fleet = NULL;
    assert_null(strstr(page(METRICS_TEXT), "vramscope_node_"));
    assert_null(strstr(page(METRICS_TEXT), "vramscope_fleet_"));
    assert_false(has_line(page(METRICS_TEXT), "model_nodes"));
}

static void test_names_of_nodes(void **state)
{
    (void)state;
    fill_fleet();
    (void)snprintf(nodes[0].name, sizeof(nodes[0].name), "a\"}\n1");
    fill_text(nodes[1].name, sizeof(nodes[1].name)); // cut: both look the same
    nodes[2] = nodes[1];
    assert_true(has_line(page(METRICS_TEXT), "node_up{node=\"a\\\"}\xef\xbf\xbd"
                                             "1\"} 1\n"));
    assert_non_null(strstr(out.data, "\",duplicate=\"2\"} 1\n"));
    assert_null(strstr(out.data, "duplicate=\"3\""));
}

/* As many as there can be; of those whose names are absurd, as many as there is room for. */
static void fill_largest_fleet(bool absurd)
{
    fill_fleet();
    fleet.n_nodes = fleet.n_models = 0;
    for (uint32_t i = 0; i < FLEET_NODES_MAX; i++) {
        char name[FLEET_NAME_SIZE];

        (void)snprintf(name, sizeof(name), "gpu%04u", i);
        if (absurd)
            memset(name + 7, '"', sizeof(name) - 8);
        name[sizeof(name) - 1] = '\0';
        add_node(name, NODE_LIVE)->total_bytes.value = UNKNOWN - 1;
    }
    for (uint16_t i = 0; i < FLEET_MODELS_MAX; i++) {
        struct fleet_model *sum = add_sum("org/model", i);

        if (!absurd)
            continue;
        fill_text(sum->served_name, sizeof(sum->served_name));
        memset(sum->id, '-', ENGINE_NAME_MAX);
    }
}

static void test_the_largest_fleet(void **state)
{
    (void)state;
    buf_done(&out);
    buf_init(&out, FLEET_METRICS_MAX);
    fill_largest_fleet(false);
    (void)page(METRICS_OPENMETRICS);
    assert_true(has_line(out.data, "node_dropped_total{node=\"gpu4095\"} 13\n"));
    assert_true(has_line(out.data, "fleet_nodes_left_out 0\n"));
    printf("4096 nodes: %zu bytes\n", out.len);

    fill_largest_fleet(true);
    (void)page(METRICS_OPENMETRICS);
    assert_false(has_line(out.data, "fleet_nodes_left_out 0\n"));
    assert_true(has_line(out.data, "node_up{node=\"gpu0000"));
    assert_true(strcmp(out.data + out.len - strlen("# EOF\n") - 1, "# EOF\n") == 0);
    printf("of absurd names: %zu bytes\n", out.len);
}

/* Boards and rules stand on these: a name is never changed or taken away. */
static const char *const names[] = {
    "build_info",
    "up",
    "last_sample_timestamp_seconds",
    "tick_lateness_seconds",
    "resident_memory_bytes",
    "cpu_seconds_total",
    "subscribers",
    "frames_sent_total",
    "frames_skipped_total",
    "worker_restarts_total",
    "nats_connected",
    "nats_name_taken",
    "nats_published_total",
    "nats_skipped_total",
    "nats_too_large_total",
    "nats_events_total",
    "nats_reconnects_total",
    "limited_total",
    "vram_total_bytes",
    "vram_allocated_bytes",
    "vram_models_bytes",
    "vram_other_bytes",
    "vram_orphan_bytes",
    "vram_unattributed_bytes",
    "kv_cache_used_bytes",
    "kv_cache_unknown_models",
    "prefix_cache_hit_ratio",
    "gpu_figures_age_seconds",
    "gpu_info",
    "gpu_memory_total_bytes",
    "gpu_memory_used_bytes",
    "gpu_memory_reserved_bytes",
    "gpu_memory_models_bytes",
    "gpu_memory_other_bytes",
    "gpu_memory_orphan_bytes",
    "gpu_memory_unattributed_bytes",
    "gpu_kv_cache_capacity_bytes",
    "gpu_kv_cache_used_bytes",
    "model_allocated_bytes",
    "model_kv_cache_capacity_bytes",
    "model_kv_cache_used_bytes",
    "model_kv_cache_retained_bytes",
    "model_kv_cache_usage_ratio",
    "model_prefix_cache_hit_ratio",
    "model_prefix_cache_hits_total",
    "model_prefix_cache_queries_total",
    "model_requests_running",
    "model_requests_waiting",
    "model_preemptions_total",
    "model_state",
    "model_stale",
    "model_figures_age_seconds",
    "engine_up",
    "engine_scrape_interval_seconds",
    "engine_scrape_duration_seconds",
    "engine_scrapes_total",
    "engine_scrape_seconds_total",
    "model_nodes",
    "model_nodes_ready",
    "node_up",
    "node_info",
    "node_age_seconds",
    "node_clock_offset_seconds",
    "node_gpus",
    "node_models",
    "node_vram_total_bytes",
    "node_vram_allocated_bytes",
    "node_kv_cache_used_bytes",
    "node_kv_cache_capacity_bytes",
    "node_requests_running",
    "node_requests_waiting",
    "node_prefix_cache_hit_ratio",
    "node_messages_total",
    "node_malformed_total",
    "node_dropped_total",
    "fleet_nodes",
    "fleet_nodes_left_out",
    "fleet_models_left_out",
    "fleet_connected",
    "fleet_reconnects_total",
    "fleet_messages_total",
    "fleet_bytes_total",
    "fleet_malformed_total",
    "fleet_dropped_total",
    "fleet_refused_total",
    "fleet_missed_total",
};

enum kind { GAUGE, COUNTER, INFO };

static const struct {
    const char *name;
    enum kind kind;
    const char *unit;
    const char *help;
} table[] = {
#define METRIC(of, name, kind, unit, more, value, help) {#name, kind, unit, help},
#include "encode/metrics.def"
#undef METRIC
};

static bool ends_in(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);

    return len >= n && memcmp(text + len - n, end, n) == 0;
}

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (i >= ARRAY_LEN(table) || strcmp(table[i].name, names[i]) != 0)
            fail_msg("%s is not in its place", names[i]);
    assert_int_equal(ARRAY_LEN(table), ARRAY_LEN(names)); // a new one belongs here, too
}

/* What the formats ask of names, which promtool looks at only for the older one. */
static void test_conventions(void **state)
{
    static const char *const endings[] = {
        [GAUGE] = "", [COUNTER] = "_total", [INFO] = "_info"};
    static const char *const units[] = {"bytes", "seconds", "ratio"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *name = table[i].name;
        size_t len = strlen(name) - strlen(endings[table[i].kind]);

        if (!ends_in(name, strlen(name), endings[table[i].kind]))
            fail_msg("%s is a counter or info by its type alone", name);
        if (!ends_in(name, len, table[i].unit))
            fail_msg("%s does not end in its unit", name);
        for (size_t j = 0; j < ARRAY_LEN(units); j++)
            if (ends_in(name, len, units[j]) && strcmp(units[j], table[i].unit) != 0)
                fail_msg("%s has a unit that is not said", name);
        if (table[i].kind == GAUGE &&
            (ends_in(name, len, "_total") || ends_in(name, len, "_info")))
            fail_msg("%s is no counter", name);
        if (strpbrk(table[i].help, "\\\"\n|"))
            fail_msg("what %s is would have to be escaped", name);
    }
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
        cmocka_unit_test_setup_teardown(test_gateway, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_of_nodes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_largest_fleet, set_up, tear_down),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_conventions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
