// SPDX-License-Identifier: Apache-2.0
/* The document of a gateway. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "encode/detail.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

static struct detail_origin origin = {
    .boot = "0123456789abcdef", .version = "1.2.3", .interval_ms = 500};

static struct snapshot_pool *pool;
static struct snapshot *snapshot;
static struct snapshot_fleet *fleet;
static struct buf out;

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, FLEET_DETAIL_MAX + 1);
    if (snapshot_pool_new(&pool) < 0)
        return -1;
    snapshot = snapshot_new(pool);
    if (!snapshot || snapshot_make_fleet(snapshot, FLEET_NODES_MAX, FLEET_MODELS_MAX) < 0)
        return -1;
    fleet = snapshot->fleet;
    fleet->kv_pool_bytes = figure_of(900, DERIVED, NULL);
    snapshot->total_bytes = figure_of(2000, MEASURED, NULL);
    snapshot->allocated_bytes = figure_of(1800, MEASURED, NULL);
    origin.node = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    snapshot_unref(snapshot);
    snapshot_pool_free(pool);
    buf_done(&out);
    return 0;
}

/* Strict JSON on one line, kept in `out` with a NUL; read. */
static json_t *read_document(void)
{
    json_error_t error;
    json_t *json;

    buf_clear(&out);
    detail_write(&out, snapshot, &origin);
    assert_int_equal(out.error, 0);
    assert_null(memchr(out.data, '\n', out.len));
    json = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &error);
    buf_add_char(&out, '\0');
    if (!json)
        fail_msg("%s at %d", error.text, error.position);
    return json;
}

static void expect(const char *row, const char *part)
{
    json_decref(read_document());
    if (!strstr(out.data, part))
        fail_msg("[%s] no %s in %s", row, part, out.data);
}

static struct fleet_node *add_node(const char *name, enum node_state node_state)
{
    struct fleet_node *node = &fleet->nodes[fleet->n_nodes++];

    *node = (struct fleet_node){
        .state = node_state,
        .counted = node_state == NODE_LIVE || node_state == NODE_STALE,
        .nodes = 1,
        .interval_ms = 500,
        .seq = 17,
        .started_unix_ms = 1790000000000,
        .heard_ns = 1,
        .age_ns = 120999999,
        .clock_offset_ms = -3,
        .messages = 11,
        .malformed = 12,
        .dropped = 13,
        .n_devices = 8,
        .n_models = 4,
        .total_bytes = figure_of(1000, MEASURED, NULL),
        .allocated_bytes = figure_of(900, MEASURED, NULL),
        .models_bytes = 800,
        .other_bytes = 90,
        .orphan_bytes = 20,
        .unattributed_bytes = -10,
        .kv_used_bytes = 300,
        .kv_used_how = ESTIMATED,
        .kv_unknown = 1,
        .kv_pool_bytes = figure_of(500, DERIVED, NULL),
        .hit_percent = 25.5,
        .requests_running = 6,
        .requests_waiting = 0,
    };
    (void)snprintf(node->name, sizeof(node->name), "%s", name);
    (void)snprintf(node->machine, sizeof(node->machine), "00ff");
    (void)snprintf(node->boot, sizeof(node->boot), "abcd");
    (void)snprintf(node->version, sizeof(node->version), "1.2.0");
    fleet->by_state[node_state]++;
    return node;
}

/* A node of which nothing was ever read. */
static void add_unreadable(const char *name)
{
    struct fleet_node *node = &fleet->nodes[fleet->n_nodes++];
    struct figure unknown = figure_unknown("never told");

    *node = (struct fleet_node){
        .state = NODE_UNREADABLE,
        .nodes = 1,
        .age_ns = UNKNOWN,
        .malformed = 7,
        .total_bytes = unknown,
        .allocated_bytes = unknown,
        .models_bytes = UNKNOWN,
        .other_bytes = UNKNOWN,
        .orphan_bytes = UNKNOWN,
        .kv_used_bytes = UNKNOWN,
        .kv_pool_bytes = unknown,
        .hit_percent = (double)NAN,
        .requests_running = UNKNOWN,
        .requests_waiting = UNKNOWN,
    };
    (void)snprintf(node->name, sizeof(node->name), "%s", name);
    (void)snprintf(node->reason, sizeof(node->reason), "it is of format 9");
    fleet->by_state[NODE_UNREADABLE]++;
}

static struct fleet_model *add_model(const char *name)
{
    struct fleet_model *model = &fleet->models[fleet->n_models++];

    *model = (struct fleet_model){
        .port = 8000,
        .engine_name = "vllm",
        .nodes = 5,
        .ready = 4,
        .state = ENGINE_READY,
        .allocated_bytes = figure_of(700, MEASURED, NULL),
        .kv_used_bytes = figure_of(200, DERIVED, NULL),
        .kv_pool_bytes = figure_of(400, BY_ENGINE, NULL),
        .kv_used_blocks = 10,
        .kv_blocks = 40,
        .requests_running = 3,
        .requests_waiting = UNKNOWN,
        .preemptions = 0,
        .prefix_minute = {1, 4},
        .prefix_five_minutes = {2, 5},
        .prefix_lifetime = {3, 6},
    };
    (void)snprintf(model->served_name, sizeof(model->served_name), "%s", name);
    snapshot_make_id(name, model->id);
    return model;
}

static void test_nodes(void **state)
{
    (void)state;
    add_node("gpu1", NODE_LIVE)->name_taken = true;
    (void)add_node("gpu2", NODE_LOST);
    add_unreadable("gpu3");
    expect("live",
           "\"nodes\":[{\"node\":\"gpu1\",\"state\":\"live\",\"reason\":null,"
           "\"counted\":true,\"gateway\":false,\"nodes\":1,\"name_taken\":true,"
           "\"age_ms\":120,\"interval_ms\":500,\"clock_offset_ms\":-3,"
           "\"version\":\"1.2.0\",\"machine\":\"00ff\",\"boot\":\"abcd\",\"seq\":17,"
           "\"started_unix_ms\":1790000000000,\"messages\":11,\"malformed\":12,"
           "\"dropped\":13,\"gpus\":8,\"models\":4,\"vram\":{\"total_bytes\":1000,"
           "\"allocated_bytes\":900,\"from\":\"measured\",\"models_bytes\":800,"
           "\"other_bytes\":90,"
           "\"orphan_bytes\":20,\"unattributed_bytes\":-10},\"kv_cache\":{"
           "\"used_bytes\":300,\"capacity_bytes\":500,\"from\":\"estimated\","
           "\"unknown_models\":1},"
           "\"prefix_cache\":{\"hit_percent\":25.5},\"requests\":{\"running\":6,"
           "\"waiting\":0}},{\"node\":\"gpu2\",\"state\":\"lost\",");
    expect("of which nothing is known",
           ",{\"node\":\"gpu3\",\"state\":\"unreadable\",\"reason\":\"it is of format "
           "9\",\"counted\":false,\"gateway\":false,\"nodes\":1,\"name_taken\":false,"
           "\"age_ms\":null,\"interval_ms\":null,\"clock_offset_ms\":null,"
           "\"version\":null,\"machine\":null,\"boot\":null,\"seq\":null,"
           "\"started_unix_ms\":null,\"messages\":0,\"malformed\":7,\"dropped\":0,"
           "\"gpus\":null,\"models\":null,\"vram\":{\"total_bytes\":null,"
           "\"allocated_bytes\":null,\"from\":\"unknown\",\"models_bytes\":null,"
           "\"other_bytes\":null,"
           "\"orphan_bytes\":null,\"unattributed_bytes\":null},\"kv_cache\":{"
           "\"used_bytes\":null,\"capacity_bytes\":null,\"from\":\"unknown\","
           "\"unknown_models\":null},"
           "\"prefix_cache\":{\"hit_percent\":null},\"requests\":{\"running\":null,"
           "\"waiting\":null}}],\"nodes_left_out\":0,\"events\":[]");
}

static void test_sums(void **state)
{
    (void)state;
    (void)add_node("gpu1", NODE_LIVE);
    (void)add_node("gpu2", NODE_STALE);
    (void)add_node("gpu3", NODE_STALE);
    (void)add_node("gpu4", NODE_LOST);
    fleet->n_counted = 3;
    fleet->n_devices = 24;
    fleet->kv_pool_unknown = 2;
    fleet->requests_running = UNKNOWN;
    fleet->requests_waiting = 4;
    fleet->models_left_out = 6;
    fleet->link = (struct fleet_link){true, 21, 22, 23, 24, 25, 26, 27};
    expect("sums",
           "\"gpu\":{\"age_ms\":null,\"sources\":[]},\"devices\":[],\"models\":[],"
           "\"processes\":[],\"processes_left_out\":0,\"models_left_out\":6,"
           "\"fleet\":{\"nodes\":4,\"live\":1,\"stale\":2,\"outage\":0,\"unreadable\":0,"
           "\"lost\":1,\"counted\":3,\"gpus\":24,\"kv_pool_bytes\":{\"value\":900,"
           "\"from\":\"derived\",\"error\":0,\"reason\":null},"
           "\"kv_pool_unknown_models\":2,\"requests\":{\"running\":null,\"waiting\":4},"
           "\"nats\":{\"connected\":true,\"reconnects\":21,\"messages\":22,\"bytes\":23,"
           "\"malformed\":24,\"dropped\":25,\"refused\":26,\"missed\":27}},\"nodes\":[");
}

/* None of them counts: why, and all that is known of them. */
static void test_outage(void **state)
{
    static const char NODES[] = "\"nodes\":[{\"node\":\"gpu1\",\"state\":\"lost\",";

    (void)state;
    (void)add_node("gpu1", NODE_LOST);
    snapshot->total_bytes = snapshot->allocated_bytes = figure_unknown("on no node");
    snapshot->kv_used_bytes = UNKNOWN;
    snapshot->hit_percent = (double)NAN;
    expect("not yet", NODES);
    assert_null(strstr(out.data, "\"outage\":{"));
    fleet->outage.code = "no-nodes";
    fleet->outage.remedy = "look";
    (void)snprintf(fleet->outage.reason, sizeof(fleet->outage.reason), "1 \"lost\"");
    expect("why", "\"nodes_left_out\":0,\"outage\":{\"code\":\"no-nodes\",\"message\":"
                  "\"1 \\\"lost\\\"\",\"remedy\":\"look\"},\"events\":[");
    expect("nodes", NODES);
    expect("totals", "\"vram\":{\"total_bytes\":{\"value\":null,\"from\":\"unknown\","
                     "\"error\":null,\"reason\":\"on no node\"}");
    expect("the others", "\"kv_cache\":{\"used_bytes\":null,\"unknown_models\":0},"
                         "\"prefix_cache\":{\"hit_percent\":null,");
    fleet->outage.remedy = "";
    expect("nothing helps", "\"remedy\":null},");
}

/* The keys of a host's rows, and what is not known of a sum is null. */
static void test_rows(void **state)
{
    struct fleet_model *model = add_model("Qwen/Qwen3-0.6B");

    (void)state;
    snapshot->n_models = 1; // of those who know no fleets
    memset(&snapshot->models[0], 0, sizeof(snapshot->models[0]));
    (void)snprintf(snapshot->models[0].served_name, 8, "another");
    expect("row", "\"models\":[{\"model\":\"Qwen/Qwen3-0.6B\","
                  "\"model_id\":\"Qwen-Qwen3-0-6B\",\"engine\":\"vllm\",\"port\":8000,"
                  "\"pid\":null,\"container_id\":null,\"pod_uid\":null,"
                  "\"state\":\"ready\",\"reason\":null,\"stale\":false,\"age_ms\":null,"
                  "\"scrape_interval_ms\":null,\"max_model_len\":null,\"devices\":[],");
    expect("rest", "\"rest_bytes\":{\"value\":300,\"from\":\"derived\",\"error\":0,");
    expect("blocks", "\"from\":\"engine\",\"usage_ratio\":0.25,\"used_blocks\":10,"
                     "\"blocks\":40,\"block_tokens\":null,\"capacity_tokens\":null,"
                     "\"data_parallel_engines\":null,\"dtype\":null,");
    expect("requests", "\"requests\":{\"from\":\"engine\",\"running\":3,\"waiting\":null,"
                       "\"preemptions\":0}");
    expect("end", "\"lifetime\":{\"hits\":3,\"queries\":6,\"hit_percent\":50.0}},"
                  "\"nodes\":5,\"nodes_ready\":4}],\"processes\":[]");
    assert_null(strstr(out.data, "another"));

    model->ready = 0; // they sleep, and still say what is in their pages
    expect("none is ready", "\"from\":\"engine\",\"usage_ratio\":0.25,");
    model->kv_used_blocks = model->kv_blocks = UNKNOWN;
    model->requests_running = UNKNOWN;
    expect("blocks of none", "\"from\":\"unknown\",\"usage_ratio\":null,");
    expect("requests of none", "\"requests\":{\"from\":\"unknown\",\"running\":null,");
}

/* A sum says of how many nodes it is not known. */
static void test_parts_of_rows(void **state)
{
    struct fleet_model *model = add_model("m");

    (void)state;
    model->kv_pool_unknown = 2;
    expect("of some", "\"kv_pool_bytes\":{\"value\":400,\"from\":\"engine\",\"error\":0,"
                      "\"reason\":\"not known on 2 of its 5 nodes\"},\"rest_bytes\":{"
                      "\"value\":null,\"from\":\"unknown\",\"error\":null,"
                      "\"reason\":\"not known on 2 of its 5 nodes\"}");
    model->allocated_bytes = figure_unknown("it is known on no node");
    model->allocated_unknown = 5;
    expect("of none",
           "\"allocated_bytes\":{\"value\":null,\"from\":\"unknown\",\"error\":null,"
           "\"reason\":\"it is known on no node\"}");
}

static void test_events(void **state)
{
    struct event *event = snapshot->events;

    (void)state;
    snapshot->n_events = 2;
    memset(event, 0, 2 * sizeof(*event));
    event[0].kind = EVENT_NODE_LOST;
    (void)snprintf(event[0].node, sizeof(event[0].node), "gpu17");
    (void)snprintf(event[0].text, sizeof(event[0].text), "gone");
    event[1].kind = EVENT_DAEMON_STARTED;
    (void)snprintf(event[1].text, sizeof(event[1].text), "here");
    expect("of a node",
           "\"kind\":\"node_lost\",\"severity\":\"critical\",\"model\":null,"
           "\"model_id\":null,\"port\":null,\"device\":null,\"node\":\"gpu17\","
           "\"text\":\"gone\"},");
    expect("of itself", "\"device\":null,\"text\":\"here\"}");
}

/* A host's document, and that of one node, have nothing of a gateway's. */
static void test_host(void **state)
{
    static const char *const keys[] = {"\"fleet\"", "\"nodes", "\"models_left_out\"",
                                       "\"node\""};

    (void)state;
    snapshot->fleet = NULL;
    json_decref(read_document());
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_null(strstr(out.data, keys[i]));
    origin.node = "gpu\"17";
    expect("of one node",
           "\"boot\":\"0123456789abcdef\",\"node\":\"gpu\\\"17\",\"seq\":0,");
}

/* The byte that takes most room in JSON of those that text_clean() leaves. */
static void fill(char *text, size_t room)
{
    memset(text, '"', room - 1);
    text[room - 1] = '\0';
}

#define FILL(field) fill(field, sizeof(field))

static void test_names(void **state)
{
    json_t *json;
    struct fleet_node *node = add_node("a\"\\b\n\x7f", NODE_OUTAGE);

    (void)state;
    FILL(node->reason);
    json = read_document();
    node = &fleet->nodes[0];
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(json, "nodes"), 0), "node")),
                        node->name);
    assert_non_null(strstr(out.data, "\"node\":\"a\\\"\\\\b\\u000a\\u007f\","));
    json_decref(json);
}

static void fill_fleet(bool absurd)
{
    for (uint32_t i = 0; i < FLEET_MODELS_MAX; i++) {
        struct fleet_model *model = add_model("org/a-model-of-70B-Instruct");

        model->kv_pool_unknown = absurd ? 1 : 0;
        if (!absurd)
            continue;
        FILL(model->served_name);
        memset(model->id, '-', ENGINE_NAME_MAX);
        model->prefix_minute = model->prefix_lifetime = (struct hit_counts){9e18, 9e18};
        model->kv_used_blocks = model->requests_running = INT64_MAX;
    }
    for (uint32_t i = 0; i < FLEET_NODES_MAX; i++) {
        char name[16];
        struct fleet_node *node;

        (void)snprintf(name, sizeof(name), "gpu%04u", i);
        node = add_node(name, absurd ? NODE_UNREADABLE : NODE_LIVE);
        node->total_bytes.value = node->allocated_bytes.value = UINT64_C(687194767360);
        node->models_bytes = node->kv_used_bytes = UINT64_C(343597383680);
        (void)snprintf(node->machine, sizeof(node->machine), "%032u", i);
        (void)snprintf(node->boot, sizeof(node->boot), "%016u", i);
        if (!absurd)
            continue;
        memset(node->name + 7, '"', sizeof(node->name) - 8);
        node->name[sizeof(node->name) - 1] = '\0';
        FILL(node->reason);
        FILL(node->version);
        node->messages = node->malformed = node->dropped = INT64_MAX;
        node->unattributed_bytes = INT64_MIN;
    }
    snapshot->n_events = SNAPSHOT_EVENTS_MAX;
    for (size_t i = 0; i < SNAPSHOT_EVENTS_MAX; i++) {
        struct event *event = &snapshot->events[i];

        *event = (struct event){.id = INT64_MAX, .unix_ms = INT64_MAX, .port = 65535};
        FILL(event->served_name);
        FILL(event->device);
        FILL(event->node);
        FILL(event->text);
    }
    if (!absurd)
        return;
    fleet->outage.code = fleet->outage.remedy = "as long as any";
    FILL(fleet->outage.reason);
}

static size_t length(const json_t *json, const char *key)
{
    return json_array_size(json_object_get(json, key));
}

static void test_full(void **state)
{
    json_t *json;

    (void)state;
    fill_fleet(false);
    json = read_document();
    assert_int_equal(length(json, "nodes"), FLEET_NODES_MAX);
    assert_int_equal(length(json, "models"), FLEET_MODELS_MAX);
    assert_int_equal(json_integer_value(json_object_get(json, "nodes_left_out")), 0);
    json_decref(json);
    printf("4096 nodes: %zu bytes\n", out.len - 1);
}

/* What nodes say of themselves makes no document that nobody gets. */
static void test_absurd(void **state)
{
    json_t *json;
    size_t written;

    (void)state;
    fill_fleet(true);
    json = read_document();
    written = length(json, "nodes");
    assert_in_range(written, 1000, FLEET_NODES_MAX - 1);
    assert_int_equal(json_integer_value(json_object_get(json, "nodes_left_out")),
                     FLEET_NODES_MAX - written);
    assert_int_equal(length(json, "models"), FLEET_MODELS_MAX);
    assert_int_equal(length(json, "events"), SNAPSHOT_EVENTS_MAX);
    assert_non_null(json_object_get(json, "self"));
    json_decref(json);
    assert_in_range(out.len - 1, FLEET_DETAIL_MAX - 128 * 1024, FLEET_DETAIL_MAX);
    printf("of %zu absurd ones: %zu bytes\n", written, out.len - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nodes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sums, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_of_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_events, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_absurd, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
