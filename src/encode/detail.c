// SPDX-License-Identifier: Apache-2.0
#include "encode/detail.h"

#include "encode/detail_parts.h"
#include "encode/event_list.h"
#include "encode/json.h"

#include <stdio.h>

static void write_totals(struct buf *out, const struct snapshot *snapshot)
{
    detail_begin(out, "vram");
    detail_figure(out, "total_bytes", snapshot->total_bytes);
    detail_figure(out, "allocated_bytes", snapshot->allocated_bytes);
    json_put_number(out, "models_bytes", snapshot->models_bytes);
    json_put_number(out, "other_bytes", snapshot->other_bytes);
    json_put_number(out, "orphan_bytes", snapshot->orphan_bytes);
    detail_signed(out, "unattributed_bytes", snapshot->unattributed_bytes);
    detail_end(out);

    detail_begin(out, "kv_cache");
    json_put_number(out, "used_bytes", snapshot->kv_used_bytes);
    json_put_number(out, "unknown_models", snapshot->kv_unknown);
    detail_end(out);

    detail_begin(out, "prefix_cache");
    json_put_decimal(out, "hit_percent", snapshot->hit_percent, 2);
    detail_boolean(out, "in_window", snapshot->hit_percent_in_window);
    detail_end(out);
}

static void write_source(struct buf *out, const struct gpu_source_state *source)
{
    buf_add_char(out, '{');
    json_put_text(out, "backend", source->backend);
    json_put_text(out, "verdict", gpu_verdict_name((enum gpu_verdict)source->verdict));
    json_put_text_or_null(out, "driver_version", source->driver_version);
    json_put_text_or_null(out, "reason", source->reason);
    detail_end(out);
}

/* A sum over models; where it is not known, of how many of them that is. */
static void device_figure(struct buf *out, const char *name, struct figure sum,
                          uint32_t unknown, uint32_t models)
{
    char why[256];

    if (sum.how == FROM_NOWHERE && models > 1) {
        (void)snprintf(why, sizeof(why), "not known of %u of its %u models: %s", unknown,
                       models, sum.why);
        sum.why = why;
    }
    detail_figure(out, name, sum);
}

static enum provenance provenance_of(const struct snapshot_device *device)
{
    if (device->mem_used_bytes == UNKNOWN)
        return FROM_NOWHERE;
    return device->used_is_estimate ? ESTIMATED : MEASURED;
}

static void write_device(struct buf *out, const struct snapshot *snapshot,
                         const struct snapshot_device *device)
{
    buf_add_char(out, '{');
    json_put_text(out, "backend", snapshot->sources[device->source].backend);
    json_put_number(out, "index", device->index);
    json_put_text(out, "uuid", device->uuid);
    json_put_text_or_null(out, "parent_uuid", device->parent_uuid);
    json_put_number(out, "instance",
                    device->instance == GPU_NO_INSTANCE ? UNKNOWN : device->instance);
    json_put_text(out, "name", device->name);
    detail_boolean(out, "unified", device->unified);
    json_put_number(out, "total_bytes", device->mem_total_bytes);
    json_put_number(out, "used_bytes", device->mem_used_bytes);
    json_put_number(out, "reserved_bytes", device->mem_reserved_bytes);
    json_put_number(out, "processes_bytes", device->processes_bytes);
    json_put_number(out, "models_bytes", device->models_bytes);
    device_figure(out, "kv_pool_bytes", device->kv_pool_bytes, device->kv_pool_unknown,
                  device->n_models);
    device_figure(out, "kv_used_bytes", device->kv_used_bytes, device->kv_used_unknown,
                  device->n_models);
    json_put_number(out, "other_bytes", device->other_bytes);
    json_put_number(out, "orphan_bytes", device->orphan_bytes);
    if (device->mem_used_bytes == UNKNOWN)
        json_put_number(out, "unattributed_bytes", UNKNOWN);
    else
        detail_signed(out, "unattributed_bytes", device->unattributed_bytes);
    json_put_text(out, "from", provenance_name(provenance_of(device)));
    json_put_text_or_null(out, "reason", device->reason);
    detail_end(out);
}

static void write_gpus(struct buf *out, const struct snapshot *snapshot)
{
    detail_begin(out, "gpu");
    detail_age(out, "age_ms", snapshot->gpu_taken_ns, snapshot->taken_ns);
    json_put_key(out, "sources");
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < snapshot->n_sources; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_source(out, &snapshot->sources[i]);
    }
    buf_add_char(out, ']');
    detail_end(out);

    json_put_key(out, "devices");
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < snapshot->n_devices; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_device(out, snapshot, &snapshot->devices[i]);
    }
    buf_add_char(out, ']');
}

static void write_models(struct buf *out, const struct snapshot *snapshot)
{
    json_put_key(out, "models");
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < snapshot->n_models && !snapshot->fleet; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        detail_model(out, snapshot, &snapshot->models[i], NULL);
    }
    if (snapshot->fleet)
        detail_fleet_models(out, snapshot);
    buf_add_char(out, ']');
}

static void write_process(struct buf *out, const struct snapshot_process *process)
{
    static const char *const owners[] = {
        [OWNER_OTHER] = "other", [OWNER_ENGINE] = "engine", [OWNER_ORPHAN] = "orphan"};
    bool has_engine = process->owner == OWNER_ENGINE;

    buf_add_char(out, '{');
    json_put_number(out, "pid", process->pid);
    json_put_text_or_null(out, "comm", process->comm);
    json_put_number(out, "device", process->device);
    json_put_number(out, "bytes", process->bytes);
    json_put_text(out, "owner", owners[process->owner]);
    json_put_number(out, "port", has_engine ? process->port : UNKNOWN);
    detail_end(out);
}

static void write_processes(struct buf *out, const struct snapshot *snapshot)
{
    json_put_key(out, "processes");
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < snapshot->n_processes; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_process(out, &snapshot->processes[i]);
    }
    buf_add_char(out, ']');
    json_put_number(out, "processes_left_out", snapshot->processes_left_out);
}

static void write_nats(struct buf *out, const struct snapshot_nats *nats)
{
    if (!nats->used) {
        json_put_text_or_null(out, "nats", NULL);
        return;
    }
    detail_begin(out, "nats");
    detail_boolean(out, "connected", nats->connected);
    detail_boolean(out, "name_taken", nats->name_taken);
    json_put_number(out, "published", nats->published);
    json_put_number(out, "skipped", nats->skipped);
    json_put_number(out, "too_large", nats->too_large);
    json_put_number(out, "events", nats->events);
    json_put_number(out, "reconnects", nats->reconnects);
    detail_end(out);
}

static void write_self(struct buf *out, const struct snapshot_self *self)
{
    detail_begin(out, "self");
    json_put_number(out, "rss_bytes", self->rss_bytes);
    json_put_decimal(out, "cpu_seconds", self->cpu_seconds, 3);
    json_put_decimal(out, "late_ms", 1000 * self->late_seconds, 3);
    json_put_number(out, "subscribers", self->subscribers);
    json_put_number(out, "frames_sent", self->frames_sent);
    json_put_number(out, "frames_skipped", self->frames_skipped);
    json_put_number(out, "worker_restarts", self->worker_restarts);
    json_put_number(out, "history_errors", self->history_errors);
    write_nats(out, &self->nats);
    detail_begin(out, "limited");
    for (size_t i = 0; i < self->n_limited; i++)
        json_put_number(out, self->limited[i].what, self->limited[i].total);
    detail_end(out);
    detail_end(out);
}

void detail_write(struct buf *out, const struct snapshot *snapshot,
                  const struct detail_origin *origin)
{
    size_t start = out->len;

    buf_add_char(out, '{');
    json_put_number(out, "schema", DETAIL_SCHEMA);
    json_put_text(out, "version", origin->version);
    json_put_text(out, "boot", origin->boot);
    if (origin->node)
        json_put_text(out, "node", origin->node);
    json_put_number(out, "seq", snapshot->seq);
    json_put_number(out, "unix_ms", snapshot->unix_ms);
    json_put_number(out, "interval_ms", origin->interval_ms);
    write_totals(out, snapshot);
    write_gpus(out, snapshot);
    write_models(out, snapshot);
    write_processes(out, snapshot);
    if (snapshot->fleet)
        detail_fleet(out, snapshot, start);
    json_put_key(out, "events");
    event_list_write(out, snapshot->events, snapshot->n_events);
    write_self(out, &snapshot->self);
    detail_end(out);
}
