// SPDX-License-Identifier: Apache-2.0
/* What a gateway writes is what the client reads: each member of a fleet and its nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/decode.h"
#include "encode/detail.h"

#include <math.h>
#include <stdio.h>

#define COPY(field, text) (void)snprintf(field, sizeof(field), "%s", text)

static struct snapshot snapshot; // too large for a stack
static struct snapshot_fleet fleet;
static struct fleet_node nodes[2];
static struct fleet_model models[1];
static struct buf out;
static uint32_t next_number;

/* No two are the same, so that none is taken for another. */
static uint32_t number(void)
{
    return next_number++;
}

static void fill_node(struct fleet_node *node)
{
    *node = (struct fleet_node){
        .state = NODE_STALE,
        .counted = true,
        .name_taken = true,
        .is_gateway = true,
        .nodes = number(),
        .interval_ms = number(),
        .seq = number(),
        .started_unix_ms = number(),
        .heard_ns = 1,
        .age_ns = number() * UINT64_C(1000000),
        .clock_offset_ms = -5,
        .messages = number(),
        .malformed = number(),
        .dropped = number(),
        .n_devices = number(),
        .n_models = number(),
        .total_bytes = figure_of(number(), MEASURED, NULL),
        .allocated_bytes = figure_of(number(), ESTIMATED, "so"),
        .models_bytes = number(),
        .other_bytes = number(),
        .orphan_bytes = number(),
        .unattributed_bytes = -7,
        .kv_used_bytes = number(),
        .kv_used_how = BY_ENGINE,
        .kv_pool_bytes = figure_of(number(), DERIVED, NULL),
        .kv_unknown = number(),
        .hit_percent = 12.5,
        .requests_running = number(),
        .requests_waiting = number(),
    };
    COPY(node->name, "gpu17@1a2b3c4d");
    COPY(node->reason, "it has said nothing for 3 s");
    COPY(node->version, "1.2.3");
    COPY(node->machine, "00ff");
    COPY(node->boot, "abcd");
}

static void fill_nobody(struct fleet_node *node)
{
    const struct figure unknown = figure_unknown("never told");

    *node = (struct fleet_node){
        .state = NODE_UNREADABLE,
        .nodes = 1,
        .age_ns = UNKNOWN,
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
    COPY(node->name, "gpu3");
}

static void fill_model(struct fleet_model *model)
{
    *model = (struct fleet_model){
        .port = 8000,
        .nodes = number(),
        .ready = number(),
        .allocated_bytes = figure_of(number(), MEASURED, NULL),
        .kv_used_bytes = figure_of(number(), DERIVED, NULL),
        .kv_pool_bytes = figure_of(number(), DERIVED, NULL),
    };
    COPY(model->served_name, "org/m");
    snapshot_make_id(model->served_name, model->id);
}

static int set_up(void **state)
{
    (void)state;
    next_number = 1000;
    buf_init(&out, FLEET_DETAIL_MAX);
    memset(&snapshot, 0, sizeof(snapshot));
    fleet = (struct snapshot_fleet){
        .by_state = {number(), number(), number(), number(), number()},
        .n_counted = number(),
        .n_devices = number(),
        .n_nodes = ARRAY_LEN(nodes),
        .n_models = ARRAY_LEN(models),
        .models_left_out = number(),
        .kv_pool_bytes = figure_of(number(), DERIVED, "so"),
        .kv_pool_unknown = number(),
        .requests_running = number(),
        .requests_waiting = UNKNOWN,
        .link = {true, number(), number(), number(), number(), number(), number(),
                 number()},
        .nodes = nodes,
        .models = models,
    };
    fill_node(&nodes[0]);
    fill_nobody(&nodes[1]);
    fill_model(&models[0]);
    snapshot.fleet = &fleet;
    snapshot.n_events = 1;
    snapshot.events[0] = (struct event){.id = 1, .kind = EVENT_NODE_LOST, .node = "gpu3"};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&out);
    return 0;
}

static const struct vramscope_detail *written_and_read(const char *node)
{
    const struct detail_origin origin = {
        .boot = "0123456789abcdef", .version = "1.2.3", .interval_ms = 500, .node = node};
    const struct vramscope_detail *detail = NULL;
    struct complaint why = {""};

    buf_clear(&out);
    detail_write(&out, &snapshot, &origin);
    assert_int_equal(out.error, 0);
    if (decode_detail(buf_span(&out), &detail, &why) != 0)
        fail_msg("%s: %.*s", why.text, (int)out.len, out.data);
    return detail;
}

static void test_sums(void **state)
{
    const struct vramscope_detail *detail = written_and_read(NULL);
    const struct vramscope_fleet *got = detail->fleet;
    const struct fleet_link *link = &fleet.link;

    (void)state;
    assert_non_null(got);
    assert_null(detail->node);
    assert_int_equal(got->nodes, fleet.n_nodes);
    assert_int_equal(got->lost, fleet.by_state[NODE_LOST]);
    assert_int_equal(got->unreadable, fleet.by_state[NODE_UNREADABLE]);
    assert_int_equal(got->outage, fleet.by_state[NODE_OUTAGE]);
    assert_int_equal(got->stale, fleet.by_state[NODE_STALE]);
    assert_int_equal(got->live, fleet.by_state[NODE_LIVE]);
    assert_int_equal(got->counted, fleet.n_counted);
    assert_int_equal(got->gpus, fleet.n_devices);
    assert_int_equal(got->kv_pool.value, fleet.kv_pool_bytes.value);
    assert_int_equal(got->kv_pool.from, VRAMSCOPE_FROM_DERIVED);
    assert_int_equal(got->kv_pool_unknown_models, fleet.kv_pool_unknown);
    assert_int_equal(got->requests_running, fleet.requests_running);
    assert_int_equal(got->requests_waiting, VRAMSCOPE_UNKNOWN);
    assert_true(got->nats_connected);
    assert_int_equal(got->nats_reconnects, link->reconnects);
    assert_int_equal(got->nats_messages, link->messages);
    assert_int_equal(got->nats_bytes, link->bytes);
    assert_int_equal(got->nats_malformed, link->malformed);
    assert_int_equal(got->nats_dropped, link->dropped);
    assert_int_equal(got->nats_refused, link->refused);
    assert_int_equal(got->nats_missed, link->missed);
    assert_int_equal(detail->models_left_out, fleet.models_left_out);
    assert_int_equal(detail->nodes_left_out, 0);
    assert_int_equal(detail->n_models, 1);
    assert_int_equal(detail->models[0]->nodes, models[0].nodes);
    assert_int_equal(detail->models[0]->nodes_ready, models[0].ready);
    assert_string_equal(detail->events[0]->node, "gpu3");
    vramscope_detail_unref(detail);
}

static void test_node(void **state)
{
    const struct vramscope_detail *detail = written_and_read(NULL);
    const struct fleet_node *want = &nodes[0];
    const struct vramscope_node *got;

    (void)state;
    assert_int_equal(detail->n_nodes, 2);
    got = detail->nodes[0];
    assert_string_equal(got->node, want->name);
    assert_string_equal(got->state, "stale");
    assert_string_equal(got->reason, want->reason);
    assert_true(got->counted && got->gateway && got->name_taken);
    assert_int_equal(got->nodes, want->nodes);
    assert_int_equal(got->age_ms, want->age_ns / 1000000);
    assert_int_equal(got->interval_ms, want->interval_ms);
    assert_int_equal(got->clock_offset_ms, -5);
    assert_string_equal(got->version, want->version);
    assert_string_equal(got->machine, want->machine);
    assert_string_equal(got->boot, want->boot);
    assert_int_equal(got->seq, want->seq);
    assert_int_equal(got->started_unix_ms, want->started_unix_ms);
    assert_int_equal(got->messages, want->messages);
    assert_int_equal(got->malformed, want->malformed);
    assert_int_equal(got->dropped, want->dropped);
    assert_int_equal(got->gpus, want->n_devices);
    assert_int_equal(got->models, want->n_models);
    assert_int_equal(got->total_bytes, want->total_bytes.value);
    assert_int_equal(got->allocated_bytes, want->allocated_bytes.value);
    assert_int_equal(got->vram_from, VRAMSCOPE_FROM_ESTIMATED);
    assert_int_equal(got->models_bytes, want->models_bytes);
    assert_int_equal(got->other_bytes, want->other_bytes);
    assert_int_equal(got->orphan_bytes, want->orphan_bytes);
    assert_int_equal(got->unattributed_bytes, -7);
    assert_int_equal(got->kv_used_bytes, want->kv_used_bytes);
    assert_int_equal(got->kv_capacity_bytes, want->kv_pool_bytes.value);
    assert_int_equal(got->kv_from, VRAMSCOPE_FROM_DERIVED); // the less certain
    assert_int_equal(got->kv_unknown_models, want->kv_unknown);
    assert_true(got->prefix_hit_percent == 12.5);
    assert_int_equal(got->requests_running, want->requests_running);
    assert_int_equal(got->requests_waiting, want->requests_waiting);
    vramscope_detail_unref(detail);
}

static void test_nobody(void **state)
{
    const struct vramscope_detail *detail = written_and_read(NULL);
    const struct vramscope_node *got = detail->nodes[1];
    const int64_t unknown[] = {
        got->age_ms,
        got->interval_ms,
        got->clock_offset_ms,
        got->seq,
        got->started_unix_ms,
        got->gpus,
        got->models,
        got->total_bytes,
        got->allocated_bytes,
        got->models_bytes,
        got->other_bytes,
        got->orphan_bytes,
        got->kv_used_bytes,
        got->kv_capacity_bytes,
        got->kv_unknown_models,
        got->unattributed_bytes,
        got->requests_running,
        got->requests_waiting,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        if (unknown[i] != VRAMSCOPE_UNKNOWN)
            fail_msg("number %zu is %lld", i, (long long)unknown[i]);
    assert_null(got->reason);
    assert_null(got->version);
    assert_null(got->machine);
    assert_null(got->boot);
    assert_true(isnan(got->prefix_hit_percent));
    assert_int_equal(got->vram_from, VRAMSCOPE_FROM_UNKNOWN);
    assert_int_equal(got->kv_from, VRAMSCOPE_FROM_UNKNOWN);
    vramscope_detail_unref(detail);
}

static void test_outage(void **state)
{
    const struct vramscope_detail *detail = written_and_read(NULL);

    (void)state;
    assert_null(detail->outage);
    vramscope_detail_unref(detail);
    fleet.outage = (struct fleet_outage){.code = "no-nodes", .remedy = ""};
    COPY(fleet.outage.reason, "none of 2 nodes has figures");
    snapshot.allocated_bytes = figure_unknown("it is known on no node");
    snapshot.kv_used_bytes = UNKNOWN;
    detail = written_and_read(NULL);
    assert_non_null(detail->outage);
    assert_string_equal(detail->outage->code, "no-nodes");
    assert_string_equal(detail->outage->message, "none of 2 nodes has figures");
    assert_null(detail->outage->remedy);
    assert_int_equal(detail->n_nodes, 2);
    assert_int_equal(detail->allocated.value, VRAMSCOPE_UNKNOWN);
    assert_string_equal(detail->allocated.reason, "it is known on no node");
    assert_int_equal(detail->kv_used_bytes, VRAMSCOPE_UNKNOWN);
    vramscope_detail_unref(detail);
}

static void test_one_alone(void **state)
{
    const struct vramscope_detail *detail;

    (void)state;
    snapshot.fleet = NULL;
    detail = written_and_read("gpu17");
    assert_string_equal(detail->node, "gpu17");
    assert_null(detail->fleet);
    vramscope_detail_unref(detail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sums, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_node, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_alone, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
