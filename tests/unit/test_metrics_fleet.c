// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics_stage.h"

#include <math.h>

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
    {"model_preemptions_total", false}, // a counter does not fall
    {"model_prefix_cache_hits_total", false},
    {"model_prefix_cache_queries_total", false},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gateway, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_of_nodes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_largest_fleet, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
