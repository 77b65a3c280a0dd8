// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "encode/detail.h"

#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>

static const struct detail_origin origin = {
    .boot = "0123456789abcdef", .version = "1.2.3", .interval_ms = 500};

static struct snapshot snapshot; // too large for a stack
static struct buf out;

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, DETAIL_MAX + 1);
    memset(&snapshot, 0, sizeof(snapshot));
    snapshot.total_bytes = figure_of(1000, MEASURED, NULL);
    snapshot.allocated_bytes = figure_of(700, MEASURED, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&out);
    return 0;
}

/*
 * The document of the snapshot: strict JSON on one line (no nan, no integer past int64,
 * no key twice, nothing after its end), kept in `out` with a NUL.
 */
static const char *document(void)
{
    json_error_t error;
    json_t *json;

    buf_clear(&out);
    detail_write(&out, &snapshot, &origin);
    assert_int_equal(out.error, 0);
    assert_null(memchr(out.data, '\n', out.len));
    json = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &error);
    buf_add_char(&out, '\0');
    if (!json)
        fail_msg("%s at %d in %s", error.text, error.position, out.data);
    json_decref(json);
    return out.data;
}

static void expect(const char *row, const char *part)
{
    const char *text = document();

    if (!strstr(text, part))
        fail_msg("[%s] no %s in %s", row, part, text);
}

static struct snapshot_model *add_model(const char *name)
{
    struct snapshot_model *model = &snapshot.models[snapshot.n_models++];

    (void)text_clean(model->served_name, sizeof(model->served_name), span_of(name));
    snapshot_make_id(model->served_name, model->id);
    model->port = 8000;
    model->state = ENGINE_READY;
    model->pace_ns = 500000000;
    model->allocated_bytes = figure_of(0, MEASURED, NULL);
    model->kv_used_bytes = model->kv_pool_bytes = figure_of(0, BY_ENGINE, NULL);
    engine_page_clear(&model->page);
    return model;
}

static void test_empty(void **state)
{
    (void)state;
    assert_string_equal(
        document(),
        "{\"schema\":1,\"version\":\"1.2.3\",\"boot\":\"0123456789abcdef\",\"seq\":0,"
        "\"unix_ms\":0,\"interval_ms\":500,"
        "\"vram\":{\"total_bytes\":{\"value\":1000,\"from\":\"measured\",\"error\":0,"
        "\"reason\":null},"
        "\"allocated_bytes\":{\"value\":700,\"from\":\"measured\",\"error\":0,"
        "\"reason\":null},"
        "\"models_bytes\":0,\"other_bytes\":0,\"orphan_bytes\":0,\"unattributed_bytes\":"
        "0},"
        "\"kv_cache\":{\"used_bytes\":0,\"unknown_models\":0},"
        "\"prefix_cache\":{\"hit_percent\":0.0,\"in_window\":false},"
        "\"gpu\":{\"age_ms\":null,\"sources\":[]},\"devices\":[],\"models\":[],"
        "\"processes\":[],\"processes_left_out\":0,\"events\":[],"
        "\"self\":{\"rss_bytes\":0,\"cpu_seconds\":0.0,\"late_ms\":0.0,\"subscribers\":0,"
        "\"frames_sent\":0,\"frames_skipped\":0,\"worker_restarts\":0,\"history_errors\":"
        "0,"
        "\"nats\":null,\"limited\":{}}}");
}

static void add_unknown_device(void)
{
    struct snapshot_device *device = &snapshot.devices[snapshot.n_devices++];

    device->mem_total_bytes = device->mem_used_bytes = UNKNOWN;
    device->mem_reserved_bytes = device->processes_bytes = UNKNOWN;
    device->instance = GPU_NO_INSTANCE;
}

static const struct {
    const char *row;
    const char *parent_uuid;
    uint32_t instance;
    bool unified;
    const char *json;
} kinds[] = {
    {"a whole GPU", "", GPU_NO_INSTANCE, false,
     "\"uuid\":\"U\",\"parent_uuid\":null,\"instance\":null,\"name\":\"N\",\"unified\":"
     "false,"},
    {"an instance", "GPU-1", 7, false,
     "\"uuid\":\"U\",\"parent_uuid\":\"GPU-1\",\"instance\":7,\"name\":\"N\","
     "\"unified\":false,"},
    {"instance 0 is one", "GPU-1", 0, false, "\"parent_uuid\":\"GPU-1\",\"instance\":0,"},
    {"an instance that cannot be opened", "GPU-1", GPU_NO_INSTANCE, false,
     "\"parent_uuid\":\"GPU-1\",\"instance\":null,"},
    {"the host's memory", "", GPU_NO_INSTANCE, true,
     "\"parent_uuid\":null,\"instance\":null,\"name\":\"N\",\"unified\":true,"},
};

static void test_kinds_of_devices(void **state)
{
    struct snapshot_device *device = &snapshot.devices[0];

    (void)state;
    snapshot.n_sources = 1;
    add_unknown_device();
    memcpy(device->uuid, "U", sizeof("U"));
    memcpy(device->name, "N", sizeof("N"));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        (void)snprintf(device->parent_uuid, sizeof(device->parent_uuid), "%s",
                       kinds[i].parent_uuid);
        device->instance = kinds[i].instance;
        device->unified = kinds[i].unified;
        expect(kinds[i].row, kinds[i].json);
    }
}

/* What lies on a device: what is known, and of how many models it is not. */
static void test_parts_of_devices(void **state)
{
    struct snapshot_device *device = &snapshot.devices[0];

    (void)state;
    snapshot.n_sources = 1;
    add_unknown_device();
    device->mem_used_bytes = 100;
    device->models_bytes = 90;
    device->other_bytes = 20;
    device->orphan_bytes = 5;
    device->unattributed_bytes = -15;
    device->kv_pool_bytes = (struct figure){60, ESTIMATED, "about", 7};
    device->kv_used_bytes = figure_of(12, DERIVED, NULL);
    device->n_models = 2;
    expect(
        "known",
        "\"models_bytes\":90,\"kv_pool_bytes\":{\"value\":60,\"from\":\"estimated\","
        "\"error\":7,\"reason\":\"about\"},\"kv_used_bytes\":{\"value\":12,\"from\":"
        "\"derived\",\"error\":0,\"reason\":null},\"other_bytes\":20,\"orphan_bytes\":5,"
        "\"unattributed_bytes\":-15,\"from\":\"measured\"");
    device->used_is_estimate = true;
    expect("estimated", "\"unattributed_bytes\":-15,\"from\":\"estimated\"");

    device->kv_pool_bytes = device->kv_used_bytes = figure_unknown("hidden");
    device->kv_pool_unknown = 1;
    device->kv_used_unknown = 2;
    expect("of one",
           "\"error\":null,\"reason\":\"not known of 1 of its 2 models: hidden\"}"
           ",\"kv_used_bytes\"");
    expect("of both", "\"reason\":\"not known of 2 of its 2 models: hidden\"},"
                      "\"other_bytes\"");
    device->n_models = device->kv_used_unknown = 1;
    expect("of the only one", "\"error\":null,\"reason\":\"hidden\"},\"other_bytes\"");
}

/* Whatever can be unknown is null. */
static void test_unknown(void **state)
{
    static const struct figure unknown = {UNKNOWN, FROM_NOWHERE, "not told", UNKNOWN};
    struct snapshot_model *model = add_model("m");

    (void)state;
    snapshot.n_sources = 1;
    add_unknown_device();
    snapshot.total_bytes = snapshot.allocated_bytes = unknown;
    snapshot.kv_used_bytes = snapshot.models_bytes = snapshot.other_bytes = UNKNOWN;
    snapshot.hit_percent = (double)NAN;
    snapshot.self = (struct snapshot_self){.rss_bytes = UNKNOWN,
                                           .cpu_seconds = (double)NAN,
                                           .late_seconds = (double)INFINITY};
    model->allocated_bytes = model->kv_used_bytes = model->kv_pool_bytes = unknown;
    model->prefix_minute = (struct hit_counts){(double)NAN, (double)NAN};
    model->prefix_five_minutes = (struct hit_counts){(double)INFINITY, (double)INFINITY};
    model->page.engines = 1; // it answers, and says nothing

    expect("total", "\"total_bytes\":{\"value\":null,\"from\":\"unknown\",\"error\":null,"
                    "\"reason\":\"not told\"}");
    expect("rest", "\"rest_bytes\":{\"value\":null,\"from\":\"unknown\",\"error\":null,"
                   "\"reason\":\"not told\"}");
    expect("sums", "\"kv_cache\":{\"used_bytes\":null,\"unknown_models\":0}");
    expect("rate", "\"hit_percent\":null,\"in_window\"");
    expect("device", "\"total_bytes\":null,\"used_bytes\":null,\"reserved_bytes\":null,"
                     "\"processes_bytes\":null,");
    expect("rest of a device",
           "\"unattributed_bytes\":null,\"from\":\"unknown\",\"reason\":null");
    expect("pid", "\"pid\":null");
    expect("age", "\"age_ms\":null,\"scrape_interval_ms\":500");
    expect("kv", "\"usage_ratio\":null,\"used_blocks\":null,\"blocks\":null,"
                 "\"block_tokens\":null,\"capacity_tokens\":null,"
                 "\"data_parallel_engines\":1,\"dtype\":null");
    expect("requests", "\"running\":null,\"waiting\":null,\"preemptions\":null");
    expect("prefix", "\"prefix_cache\":{\"from\":\"unknown\","
                     "\"minute\":{\"hits\":null,\"queries\":null,\"hit_percent\":null}");
    expect("self", "\"self\":{\"rss_bytes\":null,\"cpu_seconds\":null,\"late_ms\":null");
}

static const struct {
    const char *row;
    struct hit_counts lifetime, minute;
    bool from_ratio;
    const char *json; // up to the minute's end
} windows[] = {
    {"counted",
     {25, 100},
     {1, 8},
     false,
     "\"from\":\"engine\",\"minute\":{\"hits\":1,\"queries\":8,\"hit_percent\":12.5}"},
    {"nothing asked",
     {0, 0},
     {0, 0},
     false,
     "\"from\":\"engine\",\"minute\":{\"hits\":0,\"queries\":0,\"hit_percent\":null}"},
    {"not told: nothing of nothing is no count",
     {(double)NAN, (double)NAN},
     {0, 0},
     false,
     "\"from\":\"unknown\",\"minute\":{\"hits\":null,\"queries\":null,\"hit_percent\":"
     "null}"},
    {"a ratio has no window",
     {25, 100},
     {0, 0},
     true,
     "\"from\":\"estimated\",\"minute\":{\"hits\":null,\"queries\":null,"
     "\"hit_percent\":null}"},
    {"half of it",
     {1, 2},
     {(double)NAN, 8},
     false,
     "\"from\":\"engine\",\"minute\":{\"hits\":null,\"queries\":null,\"hit_percent\":"
     "null}"},
    {"negative",
     {1, 2},
     {-1, 8},
     false,
     "\"from\":\"engine\",\"minute\":{\"hits\":null,\"queries\":null,\"hit_percent\":"
     "null}"},
    {"too many",
     {1, 2},
     {1, 1e300},
     false,
     "\"from\":\"engine\",\"minute\":{\"hits\":null,\"queries\":null,\"hit_percent\":"
     "null}"},
};

static void test_windows(void **state)
{
    struct snapshot_model *model = add_model("m");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
        model->page.prefix = windows[i].lifetime;
        model->page.prefix_from_ratio = windows[i].from_ratio;
        model->prefix_minute = windows[i].minute;
        expect(windows[i].row, windows[i].json);
    }
}

static const struct {
    const char *row;
    struct figure whole, pool;
    const char *json; // of the rest, up to its reason
} rests[] = {
    {"exact",
     {100, MEASURED, NULL, 0},
     {60, BY_ENGINE, NULL, 0},
     "40,\"from\":\"derived\",\"error\":0,\"reason\":null"},
    {"rough pool",
     {100, MEASURED, NULL, 0},
     {60, ESTIMATED, "pool", 7},
     "40,\"from\":\"estimated\",\"error\":7,\"reason\":\"pool\""},
    {"rough whole",
     {100, ESTIMATED, "whole", 5},
     {60, BY_ENGINE, "asleep", 0},
     "40,\"from\":\"estimated\",\"error\":5,\"reason\":\"whole\""},
    {"both rough",
     {100, ESTIMATED, "whole", 5},
     {60, ESTIMATED, "pool", 7},
     "40,\"from\":\"estimated\",\"error\":12,\"reason\":\"pool\""},
    {"no bound",
     {100, ESTIMATED, "whole", UNKNOWN},
     {60, ESTIMATED, "pool", 7},
     "40,\"from\":\"estimated\",\"error\":null,\"reason\":\"pool\""},
    {"nothing left",
     {60, MEASURED, NULL, 0},
     {60, BY_ENGINE, NULL, 0},
     "0,\"from\":\"derived\",\"error\":0,\"reason\":null"},
    {"more than all",
     {60, MEASURED, NULL, 0},
     {61, BY_ENGINE, NULL, 0},
     "null,\"from\":\"unknown\",\"error\":null,\"reason\":\"the KV pool is larger"},
    {"whole unknown",
     {UNKNOWN, FROM_NOWHERE, "hidden", UNKNOWN},
     {60, BY_ENGINE, NULL, 0},
     "null,\"from\":\"unknown\",\"error\":null,\"reason\":\"hidden\""},
    {"pool unknown",
     {60, MEASURED, NULL, 0},
     {UNKNOWN, FROM_NOWHERE, "no size", UNKNOWN},
     "null,\"from\":\"unknown\",\"error\":null,\"reason\":\"no size\""},
};

static void test_rest(void **state)
{
    struct snapshot_model *model = add_model("m");
    char json[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rests); i++) {
        model->allocated_bytes = rests[i].whole;
        model->kv_pool_bytes = rests[i].pool;
        (void)snprintf(json, sizeof(json), "\"rest_bytes\":{\"value\":%s", rests[i].json);
        expect(rests[i].row, json);
    }
}

static void test_unattributed(void **state)
{
    static const struct {
        int64_t value;
        const char *json;
    } rows[] = {
        {0, "\"unattributed_bytes\":0}"},
        {-1, "\"unattributed_bytes\":-1}"},
        {5, "\"unattributed_bytes\":5}"},
        {-INT64_C(3221225472), "\"unattributed_bytes\":-3221225472}"},
        {INT64_MIN, "\"unattributed_bytes\":-9223372036854775808}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snapshot.unattributed_bytes = rows[i].value;
        expect(rows[i].json, rows[i].json);
    }
}

static const struct {
    const char *name, *json;
} names[] = {
    {"a\"b", "\"model\":\"a\\\"b\",\"model_id\":\"a-b\""},
    {"a\\", "\"model\":\"a\\\\\",\"model_id\":\"a-\""},
    {"a\n\ndata: {}\n\n", "\"model_id\":\"a--data------\""},
    {"</script>", "\"model\":\"</script>\""},
    {"\x1b]0;title\a", "\"model\":\"\xef\xbf\xbd]0;title\xef\xbf\xbd\""},
    {"\xff\xfe", "\"model\":\"\xef\xbf\xbd\xef\xbf\xbd\",\"model_id\":\"--\""},
    {"\xe2\x80\xa8x", "\"model\":\"\xef\xbf\xbdx\""},
    {"na\xc3\xafve", "\"model\":\"na\xc3\xafve\",\"model_id\":\"na-ve\""},
};

/* As they come from text_clean(), which all names go through; then one that did not. */
static void test_hostile_names(void **state)
{
    struct snapshot_model *model = add_model("");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snapshot.n_models = 0;
        (void)add_model(names[i].name);
        expect(names[i].json, names[i].json);
    }
    (void)snprintf(model->why, sizeof(model->why), "line\r\nfeed \x7f");
    expect("raw", "\"reason\":\"line\\u000d\\u000afeed \\u007f\"");
}

static void test_states(void **state)
{
    struct snapshot_model *model = add_model("m");

    (void)state;
    for (unsigned i = 0; i < ENGINE_STATES; i++) {
        char json[64];

        model->state = (enum engine_state)i;
        (void)snprintf(json, sizeof(json), "\"state\":\"%s\"",
                       engine_state_name(model->state));
        expect(json, json);
    }
}

static const struct {
    const char *row;
    uint64_t then_ns, now_ns;
    const char *json;
} ages[] = {
    {"never", 0, 5000000, "\"age_ms\":null"},
    {"now", 5000000, 5000000, "\"age_ms\":0"},
    {"three", 2000000, 5000000, "\"age_ms\":3"},
    {"after the beat began", 6000000, 5000000, "\"age_ms\":0"},
};

static void test_ages(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ages); i++) {
        snapshot.gpu_taken_ns = ages[i].then_ns;
        snapshot.taken_ns = ages[i].now_ns;
        expect(ages[i].row, ages[i].json);
    }
}

static void test_device_lists(void **state)
{
    static const struct {
        uint64_t devices;
        const char *json;
    } rows[] = {
        {0, "\"devices\":[],\"vram\""},
        {1, "\"devices\":[0],\"vram\""},
        {0x8000000000000001, "\"devices\":[0,63],\"vram\""},
        {0x16, "\"devices\":[1,2,4],\"vram\""},
        {0x18, "\"devices\":[3,4],\"vram\""},
    };
    struct snapshot_model *model = add_model("m");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        model->devices = rows[i].devices;
        expect(rows[i].json, rows[i].json);
    }
}

static void test_longest_request(void **state)
{
    struct snapshot_model *model = add_model("m");

    (void)state;
    model->max_model_len = 40960;
    expect("known", ",\"max_model_len\":40960,");
    model->max_model_len = UNKNOWN;
    expect("unknown", ",\"max_model_len\":null,");
}

static void test_events(void **state)
{
    struct event *event = snapshot.events;

    (void)state;
    snapshot.n_events = 1;
    event->id = 12;
    event->unix_ms = 1790000000000;
    event->kind = EVENT_ENGINE_LOST;
    event->port = 8000;
    (void)snprintf(event->served_name, sizeof(event->served_name), "Qwen/Qwen3-0.6B");
    (void)snprintf(event->text, sizeof(event->text), "it is \"gone\"");
    expect("of a model",
           ",\"events\":[{\"id\":12,\"unix_ms\":1790000000000,\"kind\":\"engine_lost\","
           "\"severity\":\"warning\",\"model\":\"Qwen/Qwen3-0.6B\","
           "\"model_id\":\"Qwen-Qwen3-0-6B\",\"port\":8000,\"device\":null,"
           "\"text\":\"it is \\\"gone\\\"\"}],");
    event->port = 0;
    expect("on a Unix socket", ",\"port\":0,");
    event->kind = EVENT_GPU_LOST;
    event->served_name[0] = '\0';
    event->unix_ms = -5; // a wall clock that was never set
    (void)snprintf(event->device, sizeof(event->device), "GPU-1");
    snapshot.events[1] = *event;
    snapshot.n_events = 2;
    expect("of a device",
           "},{\"id\":12,\"unix_ms\":0,\"kind\":\"gpu_lost\",\"severity\":\"critical\","
           "\"model\":null,\"model_id\":null,\"port\":null,\"device\":\"GPU-1\",");
}

/* The byte that takes most room in JSON of those that text_clean() leaves. */
static void fill(char *text, size_t room)
{
    memset(text, '"', room - 1);
    text[room - 1] = '\0';
}

#define FILL(field) fill(field, sizeof(field))

static const char LONG_REASON[] =
    "a literal as long as the longest that the program has, and then some: the driver "
    "names "
    "processes that are hidden from here: run on the host or in a container with its pid "
    "namespace (--pid=host)";

static void fill_model(struct snapshot_model *model)
{
    static const struct figure figure = {INT64_MAX, ESTIMATED, LONG_REASON,
                                         INT64_MAX / 2};

    FILL(model->served_name);
    memset(model->id, 'a', sizeof(model->id) - 1);
    FILL(model->why);
    model->port = 65535;
    model->pid = UINT32_MAX;
    model->state = ENGINE_METRICS_DISABLED;
    model->page_ns = 1;
    model->pace_ns = UINT64_MAX - 1;
    model->devices = UINT64_MAX;
    model->allocated_bytes = model->kv_used_bytes = model->kv_pool_bytes = figure;
    model->allocated_bytes.value = INT64_MAX;
    FILL(model->page.kv_dtype);
    model->page.engines = ENGINE_SERIES_MAX;
    model->page.kv_usage_ratio = 0.123456;
    model->page.kv_used_blocks = model->page.kv_blocks = model->page.kv_block_tokens =
        INT64_MAX;
    model->page.kv_size_tokens = INT64_MAX / ENGINE_SERIES_MAX;
    model->page.kv_why = LONG_REASON;
    model->page.requests_running = model->page.requests_waiting =
        model->page.preemptions = INT64_MAX;
    model->page.prefix = model->prefix_minute = model->prefix_five_minutes =
        (struct hit_counts){9e18, 9e18};
}

static void fill_event(struct event *event)
{
    event->id = INT64_MAX;
    event->unix_ms = INT64_MAX;
    event->kind = EVENT_KV_CAPACITY_CHANGED;
    event->port = 65535;
    FILL(event->served_name);
    FILL(event->device);
    FILL(event->text);
}

static void fill_snapshot(void)
{
    snapshot.seq = snapshot.unix_ms = INT64_MAX;
    snapshot.taken_ns = UINT64_MAX - 1;
    snapshot.gpu_taken_ns = 1;
    snapshot.unattributed_bytes = -INT64_MAX;
    snapshot.n_sources = GPU_SOURCES_MAX;
    for (size_t i = 0; i < GPU_SOURCES_MAX; i++) {
        FILL(snapshot.sources[i].backend);
        FILL(snapshot.sources[i].driver_version);
        FILL(snapshot.sources[i].reason);
        snapshot.sources[i].verdict = GPU_VERSION_MISMATCH;
    }
    snapshot.n_devices = GPU_DEVICES_MAX;
    for (size_t i = 0; i < GPU_DEVICES_MAX; i++) {
        struct snapshot_device *device = &snapshot.devices[i];

        FILL(device->uuid);
        FILL(device->parent_uuid);
        device->instance = UINT32_MAX - 1;
        FILL(device->name);
        FILL(device->reason);
        device->index = UINT32_MAX;
        device->mem_total_bytes = device->mem_used_bytes = device->mem_reserved_bytes =
            device->processes_bytes = device->models_bytes = device->other_bytes =
                device->orphan_bytes = INT64_MAX;
        device->unattributed_bytes = INT64_MIN;
        device->n_models = device->kv_pool_unknown = device->kv_used_unknown =
            SNAPSHOT_MODELS_MAX;
        device->kv_pool_bytes = device->kv_used_bytes = figure_unknown(LONG_REASON);
    }
    snapshot.n_models = SNAPSHOT_MODELS_MAX;
    for (size_t i = 0; i < SNAPSHOT_MODELS_MAX; i++)
        fill_model(&snapshot.models[i]);
    snapshot.n_processes = SNAPSHOT_PROCESSES_MAX;
    for (size_t i = 0; i < SNAPSHOT_PROCESSES_MAX; i++) {
        struct snapshot_process *process = &snapshot.processes[i];

        *process =
            (struct snapshot_process){UINT32_MAX, 63, INT64_MAX, "", OWNER_ENGINE, 65535};
        FILL(process->comm);
    }
    snapshot.n_events = SNAPSHOT_EVENTS_MAX;
    for (size_t i = 0; i < SNAPSHOT_EVENTS_MAX; i++)
        fill_event(&snapshot.events[i]);
}

static void test_full(void **state)
{
    (void)state;
    fill_snapshot();
    (void)document();
    if (out.len > DETAIL_MAX) // with its NUL
        fail_msg("%zu bytes of %d", out.len, DETAIL_MAX);
    printf("the largest document: %zu bytes\n", out.len - 1);
}

/* The same facts give the same bytes, whatever the locale and whatever was there before. */
static void test_same_bytes(void **state)
{
    char *before;

    (void)state;
    fill_snapshot();
    snapshot.hit_percent = 12.34;
    before = strdup(document());
    assert_non_null(before);
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); // where there is such a one
    assert_string_equal(document(), before);
    (void)setlocale(LC_ALL, "C");
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kinds_of_devices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_of_devices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_windows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unattributed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_states, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_device_lists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_longest_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_events, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_bytes, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
