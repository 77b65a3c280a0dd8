// SPDX-License-Identifier: Apache-2.0
/* Documents of a gateway, and of one of its nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "fleet_file.h"

static void check_node(const struct vramscope_node *node)
{
    assert_string_equal(node->node, "gpu005");
    assert_string_equal(node->state, "stale");
    assert_string_equal(node->reason, "its figures are 3.4 s old");
    assert_true(node->counted);
    assert_false(node->gateway);
    assert_int_equal(node->nodes, 1);
    assert_false(node->name_taken);
    assert_int_equal(node->interval_ms, 500);
    assert_int_equal(node->clock_offset_ms, 2);
    assert_string_equal(node->version, "0.1.0");
    assert_int_equal(strlen(node->machine), 32);
    assert_int_equal(strlen(node->boot), 16);
    assert_int_equal(node->seq, 1005);
    assert_int_equal(node->started_unix_ms, 1790000005000);
    assert_int_equal(node->messages, 12005);
    assert_int_equal(node->malformed, 0);
    assert_int_equal(node->dropped, 0);
    assert_int_equal(node->gpus, 8);
    assert_int_equal(node->total_bytes, 687194767360);
    assert_int_equal(node->orphan_bytes, 0);
    assert_int_equal(node->unattributed_bytes, 1000000000);
    assert_int_equal(node->kv_used_bytes, 5000000000);
    assert_int_equal(node->kv_capacity_bytes, 320000000000);
    assert_int_equal(node->kv_unknown_models, 0);
    assert_float_equal(node->prefix_hit_percent, 15.25, 0.001);
    assert_int_equal(node->requests_running, 5);
    assert_int_equal(node->requests_waiting, 5);
}

static void check_fleet(const struct vramscope_fleet *fleet)
{
    assert_int_equal(fleet->nodes, 40);
    assert_int_equal(fleet->live, 29);
    assert_int_equal(fleet->stale, 4);
    assert_int_equal(fleet->outage, 2);
    assert_int_equal(fleet->unreadable, 1);
    assert_int_equal(fleet->lost, 4);
    assert_int_equal(fleet->counted, 32);
    assert_int_equal(fleet->gpus, 1208);
    assert_int_equal(fleet->kv_pool.value, 10240000000000);
    assert_int_equal(fleet->kv_pool.from, VRAMSCOPE_FROM_DERIVED);
    assert_int_equal(fleet->kv_pool_unknown_models, 2);
    assert_int_equal(fleet->requests_running, 650);
    assert_int_equal(fleet->requests_waiting, 60);
    assert_true(fleet->nats_connected);
    assert_int_equal(fleet->nats_reconnects, 2);
    assert_int_equal(fleet->nats_messages, 1234567);
    assert_int_equal(fleet->nats_bytes, 345678901);
    assert_int_equal(fleet->nats_malformed, 17);
    assert_int_equal(fleet->nats_dropped, 44);
    assert_int_equal(fleet->nats_refused, 0);
    assert_int_equal(fleet->nats_missed, 5);
}

static void test_gateway(void **state)
{
    const struct vramscope_detail *detail = fleet_document("fleet.json");

    (void)state;
    assert_non_null(detail->fleet);
    check_fleet(detail->fleet);
    assert_null(detail->node);
    assert_int_equal(detail->n_nodes, 40);
    check_node(detail->nodes[5]);
    assert_int_equal(detail->models_left_out, 0);
    assert_int_equal(detail->n_models, 12);
    assert_int_equal(detail->models[0]->nodes, 41);
    assert_int_equal(detail->models[0]->nodes_ready, 41);
    assert_null(detail->events[0]->node);
    assert_string_equal(detail->events[1]->node, "gpu002");
    vramscope_detail_unref(detail);
}

/* What was never heard is not known, and not 0. */
static void test_silent_node(void **state)
{
    const struct vramscope_detail *detail =
        detail_of_text("{\"fleet\":{},\"nodes\":[{\"node\":\"gpu1\",\"state\":\"lost\","
                       "\"age_ms\":null,\"vram\":{\"total_bytes\":null}}]}");
    const struct vramscope_node *node = detail->nodes[0];

    (void)state;
    assert_string_equal(node->node, "gpu1");
    assert_null(node->version);
    assert_false(node->counted);
    assert_int_equal(node->age_ms, VRAMSCOPE_UNKNOWN);
    assert_int_equal(node->total_bytes, VRAMSCOPE_UNKNOWN);
    assert_int_equal(node->kv_used_bytes, VRAMSCOPE_UNKNOWN);
    assert_int_equal(node->requests_running, VRAMSCOPE_UNKNOWN);
    assert_true(isnan(node->prefix_hit_percent));
    assert_int_equal(detail->fleet->nodes, VRAMSCOPE_UNKNOWN);
    assert_false(detail->fleet->nats_connected);
    vramscope_detail_unref(detail);
}

/* A host's document has none of it; one node's is a host's with its name. */
static void test_node_and_host(void **state)
{
    const struct vramscope_detail *detail = fleet_document("node.json");

    (void)state;
    assert_null(detail->fleet);
    assert_int_equal(detail->n_nodes, 0);
    assert_non_null(detail->node);
    assert_int_equal(detail->models_left_out, VRAMSCOPE_UNKNOWN);
    assert_int_equal(detail->models[0]->nodes, VRAMSCOPE_UNKNOWN);
    assert_int_equal(detail->models[0]->nodes_ready, VRAMSCOPE_UNKNOWN);
    vramscope_detail_unref(detail);

    detail = detail_of_text("{\"fleet\":null}");
    assert_null(detail->fleet);
    assert_null(detail->node);
    vramscope_detail_unref(detail);
}

static const struct {
    const char *json, *why;
} refused[] = {
    {"{\"fleet\":[]}", "fleet: an object is due"},
    {"{\"fleet\":{\"lost\":-1}}", "fleet.lost: 0 or more is due"},
    {"{\"fleet\":{\"nats\":{\"connected\":1}}}",
     "fleet.nats.connected: true or false is due"},
    {"{\"nodes\":{}}", "nodes: an array is due"},
    {"{\"nodes\":[{},{\"vram\":{\"total_bytes\":0.5}}]}",
     "nodes[1].vram.total_bytes: a whole number is due"},
    {"{\"nodes\":[{\"prefix_cache\":{\"hit_percent\":101}}]}",
     "nodes[0].prefix_cache.hit_percent: 0 to 100 is due"},
    {"{\"models\":[{\"nodes\":\"1\"}]}", "models[0].nodes: a number is due"},
    {"{\"node\":7}", "node: a text is due"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        const struct vramscope_detail *detail = NULL;
        char why[256] = "";
        int r = vramscope_detail_parse(refused[i].json, strlen(refused[i].json), &detail,
                                       why, sizeof(why));

        if (r != -EBADMSG || strcmp(why, refused[i].why) != 0 || detail)
            fail_msg("%s is %d: %s", refused[i].json, r, why);
    }
}

/* The largest fleet fits, with the most that its nodes and rows may say. */
static void test_largest(void **state)
{
    const struct vramscope_detail *detail = fleet_of(4096, 512);

    (void)state;
    assert_int_equal(detail->n_nodes, 4096);
    assert_int_equal(detail->n_models, 512);
    assert_string_equal(detail->nodes[4095]->node, "gpu4095");
    vramscope_detail_unref(detail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gateway),       cmocka_unit_test(test_silent_node),
        cmocka_unit_test(test_node_and_host), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_largest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
