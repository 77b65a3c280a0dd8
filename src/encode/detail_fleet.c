// SPDX-License-Identifier: Apache-2.0
#include "encode/detail.h"

#include "encode/detail_parts.h"
#include "encode/event_list.h"
#include "encode/json.h"

#include <assert.h>
#include <stdio.h>

enum {
    WHY_SIZE = 80,
    REST_MAX = 64 * 1024, // of the document: events, and what the program says of itself
};

static_assert(SNAPSHOT_EVENTS_MAX * EVENT_JSON_MAX <= REST_MAX / 2,
              "there is room for them however many nodes there are");

/* A sum over nodes, which says of how many of them it is not known. */
static void tell_part(struct figure *sum, uint32_t unknown, uint32_t nodes, char *why)
{
    if (unknown == 0 || sum->how == FROM_NOWHERE)
        return;
    (void)snprintf(why, WHY_SIZE, "not known on %u of its %u nodes", unknown, nodes);
    sum->why = why;
}

static void write_model(struct buf *out, const struct snapshot *snapshot,
                        const struct fleet_model *model)
{
    char allocated_why[WHY_SIZE], used_why[WHY_SIZE], pool_why[WHY_SIZE];
    struct snapshot_model row;

    fleet_model_to_row(model, &row);
    tell_part(&row.allocated_bytes, model->allocated_unknown, model->nodes,
              allocated_why);
    tell_part(&row.kv_used_bytes, model->kv_used_unknown, model->nodes, used_why);
    tell_part(&row.kv_pool_bytes, model->kv_pool_unknown, model->nodes, pool_why);
    detail_model(out, snapshot, &row, model);
}

void detail_fleet_models(struct buf *out, const struct snapshot *snapshot)
{
    const struct snapshot_fleet *fleet = snapshot->fleet;

    for (uint32_t i = 0; i < fleet->n_models; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_model(out, snapshot, &fleet->models[i]);
    }
}

static void write_link(struct buf *out, const struct fleet_link *link)
{
    detail_begin(out, "nats");
    detail_boolean(out, "connected", link->connected);
    json_put_number(out, "reconnects", link->reconnects);
    json_put_number(out, "messages", link->messages);
    json_put_number(out, "bytes", link->bytes);
    json_put_number(out, "malformed", link->malformed);
    json_put_number(out, "dropped", link->dropped);
    json_put_number(out, "refused", link->refused);
    json_put_number(out, "missed", link->missed);
    detail_end(out);
}

static void write_requests(struct buf *out, uint64_t running, uint64_t waiting)
{
    detail_begin(out, "requests");
    json_put_number(out, "running", running);
    json_put_number(out, "waiting", waiting);
    detail_end(out);
}

static void write_sums(struct buf *out, const struct snapshot_fleet *fleet)
{
    static const enum node_state states[] = {NODE_LIVE, NODE_STALE, NODE_OUTAGE,
                                             NODE_UNREADABLE, NODE_LOST};

    detail_begin(out, "fleet");
    json_put_number(out, "nodes", fleet->n_nodes);
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        json_put_number(out, node_state_name(states[i]), fleet->by_state[states[i]]);
    json_put_number(out, "counted", fleet->n_counted);
    json_put_number(out, "gpus", fleet->n_devices);
    detail_figure(out, "kv_pool_bytes", fleet->kv_pool_bytes);
    json_put_number(out, "kv_pool_unknown_models", fleet->kv_pool_unknown);
    write_requests(out, fleet->requests_running, fleet->requests_waiting);
    write_link(out, &fleet->link);
    detail_end(out);
}

/* Whose it is, and how it goes with its messages. */
static void write_identity(struct buf *out, const struct fleet_node *node)
{
    bool heard = node->heard_ns > 0, has_figures = node->age_ns != UNKNOWN;

    json_put_text(out, "node", node->name);
    json_put_text(out, "state", node_state_name(node->state));
    json_put_text_or_null(out, "reason", node->reason);
    detail_boolean(out, "counted", node->counted);
    detail_boolean(out, "gateway", node->is_gateway);
    json_put_number(out, "nodes", node->nodes);
    detail_boolean(out, "name_taken", node->name_taken);
    json_put_number(out, "age_ms", has_figures ? node->age_ns / NS_PER_MS : UNKNOWN);
    json_put_number(out, "interval_ms", node->interval_ms ? node->interval_ms : UNKNOWN);
    if (heard)
        detail_signed(out, "clock_offset_ms", node->clock_offset_ms);
    else
        json_put_number(out, "clock_offset_ms", UNKNOWN);
    json_put_text_or_null(out, "version", node->version);
    json_put_text_or_null(out, "machine", node->machine);
    json_put_text_or_null(out, "boot", node->boot);
    json_put_number(out, "seq", has_figures ? node->seq : UNKNOWN);
    json_put_number(out, "started_unix_ms",
                    node->started_unix_ms ? node->started_unix_ms : UNKNOWN);
    json_put_number(out, "messages", node->messages);
    json_put_number(out, "malformed", node->malformed);
    json_put_number(out, "dropped", node->dropped);
}

/* Plain numbers, and a word for what is less certain: there are thousands of rows. */
static void write_figures(struct buf *out, const struct fleet_node *node)
{
    bool has_figures = node->age_ns != UNKNOWN;

    json_put_number(out, "gpus", has_figures ? node->n_devices : UNKNOWN);
    json_put_number(out, "models", has_figures ? node->n_models : UNKNOWN);
    detail_begin(out, "vram");
    json_put_number(out, "total_bytes", node->total_bytes.value);
    json_put_number(out, "allocated_bytes", node->allocated_bytes.value);
    json_put_text(out, "from", provenance_name(node->allocated_bytes.how));
    json_put_number(out, "models_bytes", node->models_bytes);
    json_put_number(out, "other_bytes", node->other_bytes);
    json_put_number(out, "orphan_bytes", node->orphan_bytes);
    if (has_figures)
        detail_signed(out, "unattributed_bytes", node->unattributed_bytes);
    else
        json_put_number(out, "unattributed_bytes", UNKNOWN);
    detail_end(out);
    detail_begin(out, "kv_cache");
    json_put_number(out, "used_bytes", node->kv_used_bytes);
    json_put_number(out, "capacity_bytes", node->kv_pool_bytes.value);
    json_put_text(out, "from",
                  provenance_name(MAX(node->kv_used_how, node->kv_pool_bytes.how)));
    json_put_number(out, "unknown_models", has_figures ? node->kv_unknown : UNKNOWN);
    detail_end(out);
    detail_begin(out, "prefix_cache");
    json_put_decimal(out, "hit_percent", node->hit_percent, 2);
    detail_end(out);
    write_requests(out, node->requests_running, node->requests_waiting);
}

static void write_node(struct buf *out, const struct fleet_node *node)
{
    buf_add_char(out, '{');
    write_identity(out, node);
    write_figures(out, node);
    detail_end(out);
}

/* As many as there is room for: of 4096 that say as much as they can, not all. */
static void write_nodes(struct buf *out, const struct snapshot_fleet *fleet, size_t end)
{
    uint32_t written = 0;

    json_put_key(out, "nodes");
    buf_add_char(out, '[');
    for (; written < fleet->n_nodes; written++) {
        size_t before = out->len;

        if (written > 0)
            buf_add_char(out, ',');
        write_node(out, &fleet->nodes[written]);
        if (out->len > end) {
            buf_cut(out, before);
            break;
        }
    }
    buf_add_char(out, ']');
    json_put_number(out, "nodes_left_out", fleet->n_nodes - written);
}

static void write_outage(struct buf *out, const struct fleet_outage *outage)
{
    detail_begin(out, "outage");
    json_put_text(out, "code", outage->code);
    json_put_text(out, "message", outage->reason);
    json_put_text_or_null(out, "remedy", outage->remedy);
    detail_end(out);
}

void detail_fleet(struct buf *out, const struct snapshot *snapshot, size_t start)
{
    json_put_number(out, "models_left_out", snapshot->fleet->models_left_out);
    write_sums(out, snapshot->fleet);
    write_nodes(out, snapshot->fleet, start + FLEET_DETAIL_MAX - REST_MAX);
    if (snapshot->fleet->outage.code)
        write_outage(out, &snapshot->fleet->outage);
}
