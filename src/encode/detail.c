// SPDX-License-Identifier: Apache-2.0
#include "encode/detail.h"

#include "encode/event_list.h"
#include "encode/json.h"

#include <math.h>
#include <stdio.h>

enum { NS_PER_MS = 1000000 };

/* `,"key":`, or without the comma after an opening brace. */
static void key(struct buf *out, const char *name)
{
    if (out->len && out->data[out->len - 1] != '{')
        buf_add_char(out, ',');
    buf_add_char(out, '"');
    buf_add_str(out, name);
    buf_add_str(out, "\":");
}

static void number(struct buf *out, const char *name, uint64_t value)
{
    key(out, name);
    json_u64(out, value);
}

static void signed_number(struct buf *out, const char *name, int64_t value)
{
    key(out, name);
    if (value < 0)
        buf_add_char(out, '-');
    buf_add_u64(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static void decimal(struct buf *out, const char *name, double value, unsigned decimals)
{
    key(out, name);
    json_fixed(out, value, decimals);
}

static void text(struct buf *out, const char *name, const char *value)
{
    key(out, name);
    json_quote(out, value);
}

/* A text, or null where there is nothing to say. */
static void reason(struct buf *out, const char *name, const char *value)
{
    key(out, name);
    if (value && value[0])
        json_quote(out, value);
    else
        buf_add_str(out, "null");
}

static void boolean(struct buf *out, const char *name, bool value)
{
    key(out, name);
    buf_add_str(out, value ? "true" : "false");
}

static void begin(struct buf *out, const char *name)
{
    key(out, name);
    buf_add_char(out, '{');
}

static void end(struct buf *out)
{
    buf_add_char(out, '}');
}

/* {"value":N|null,"from":"measured","error":N|null,"reason":null|"..."} */
static void figure(struct buf *out, const char *name, struct figure figure)
{
    begin(out, name);
    number(out, "value", figure.value);
    text(out, "from", provenance_name(figure.how));
    number(out, "error", figure.error);
    reason(out, "reason", figure.why);
    end(out);
}

static void age(struct buf *out, const char *name, uint64_t then_ns, uint64_t now_ns)
{
    number(out, name, then_ns ? (now_ns - MIN(then_ns, now_ns)) / NS_PER_MS : UNKNOWN);
}

static void write_totals(struct buf *out, const struct snapshot *snapshot)
{
    begin(out, "vram");
    figure(out, "total_bytes", snapshot->total_bytes);
    figure(out, "allocated_bytes", snapshot->allocated_bytes);
    number(out, "models_bytes", snapshot->models_bytes);
    number(out, "other_bytes", snapshot->other_bytes);
    number(out, "orphan_bytes", snapshot->orphan_bytes);
    signed_number(out, "unattributed_bytes", snapshot->unattributed_bytes);
    end(out);

    begin(out, "kv_cache");
    number(out, "used_bytes", snapshot->kv_used_bytes);
    number(out, "unknown_models", snapshot->kv_unknown);
    end(out);

    begin(out, "prefix_cache");
    decimal(out, "hit_percent", snapshot->hit_percent, 2);
    boolean(out, "in_window", snapshot->hit_percent_in_window);
    end(out);
}

static void write_source(struct buf *out, const struct gpu_source_state *source)
{
    buf_add_char(out, '{');
    text(out, "backend", source->backend);
    text(out, "verdict", gpu_verdict_name((enum gpu_verdict)source->verdict));
    reason(out, "driver_version", source->driver_version);
    reason(out, "reason", source->reason);
    end(out);
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
    figure(out, name, sum);
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
    text(out, "backend", snapshot->sources[device->source].backend);
    number(out, "index", device->index);
    text(out, "uuid", device->uuid);
    reason(out, "parent_uuid", device->parent_uuid);
    number(out, "instance",
           device->instance == GPU_NO_INSTANCE ? UNKNOWN : device->instance);
    text(out, "name", device->name);
    boolean(out, "unified", device->unified);
    number(out, "total_bytes", device->mem_total_bytes);
    number(out, "used_bytes", device->mem_used_bytes);
    number(out, "reserved_bytes", device->mem_reserved_bytes);
    number(out, "processes_bytes", device->processes_bytes);
    number(out, "models_bytes", device->models_bytes);
    device_figure(out, "kv_pool_bytes", device->kv_pool_bytes, device->kv_pool_unknown,
                  device->n_models);
    device_figure(out, "kv_used_bytes", device->kv_used_bytes, device->kv_used_unknown,
                  device->n_models);
    number(out, "other_bytes", device->other_bytes);
    number(out, "orphan_bytes", device->orphan_bytes);
    if (device->mem_used_bytes == UNKNOWN)
        number(out, "unattributed_bytes", UNKNOWN);
    else
        signed_number(out, "unattributed_bytes", device->unattributed_bytes);
    text(out, "from", provenance_name(provenance_of(device)));
    reason(out, "reason", device->reason);
    end(out);
}

static void write_gpus(struct buf *out, const struct snapshot *snapshot)
{
    begin(out, "gpu");
    age(out, "age_ms", snapshot->gpu_taken_ns, snapshot->taken_ns);
    key(out, "sources");
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < snapshot->n_sources; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_source(out, &snapshot->sources[i]);
    }
    buf_add_char(out, ']');
    end(out);

    key(out, "devices");
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < snapshot->n_devices; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_device(out, snapshot, &snapshot->devices[i]);
    }
    buf_add_char(out, ']');
}

/* Indices into `devices`. */
static void write_device_list(struct buf *out, uint64_t devices)
{
    key(out, "devices");
    buf_add_char(out, '[');
    for (unsigned i = 0; devices; i++, devices >>= 1) {
        if (!(devices & 1))
            continue;
        buf_add_u64(out, i);
        if (devices >> 1)
            buf_add_char(out, ',');
    }
    buf_add_char(out, ']');
}

/* As exact as the less exact of the two. */
static struct figure difference(struct figure whole, struct figure part)
{
    bool estimated = whole.how == ESTIMATED || part.how == ESTIMATED;

    if (whole.how == FROM_NOWHERE)
        return figure_unknown(whole.why);
    if (part.how == FROM_NOWHERE)
        return figure_unknown(part.why);
    if (part.value > whole.value)
        return figure_unknown("the KV pool is larger than what its processes hold");
    return (struct figure){
        .value = whole.value - part.value,
        .how = estimated ? ESTIMATED : DERIVED,
        .why = estimated && part.how != ESTIMATED ? whole.why : part.why,
        .error = add_saturating(whole.error, part.error),
    };
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;

    if (a == UNKNOWN || b == UNKNOWN || __builtin_mul_overflow(a, b, &product))
        return UNKNOWN;
    return product;
}

static void write_kv(struct buf *out, const struct snapshot_model *model)
{
    const struct engine_page *page = &model->page;

    begin(out, "kv_cache");
    figure(out, "used_bytes", model->kv_used_bytes);
    figure(out, "capacity_bytes", model->kv_pool_bytes);
    figure(out, "retained_bytes", model->kv_retained_bytes);
    reason(out, "source", model->kv_source);
    text(out, "from", provenance_name(page->engines ? BY_ENGINE : FROM_NOWHERE));
    decimal(out, "usage_ratio", page->kv_usage_ratio, 6);
    number(out, "used_blocks", page->kv_used_blocks);
    number(out, "blocks", page->kv_blocks);
    number(out, "block_tokens", page->kv_block_tokens);
    number(out, "capacity_tokens", times(page->kv_size_tokens, page->engines));
    number(out, "data_parallel_engines", page->engines ? page->engines : UNKNOWN);
    reason(out, "dtype", page->kv_dtype);
    if (page->engines == 0)
        reason(out, "reason", model->kv_used_bytes.why);
    else
        reason(out, "reason", page->kv_why ? page->kv_why : page->kv_caveat);
    end(out);
}

static bool is_count(double value)
{
    return value >= 0 && value < (double)INT64_MAX; // NAN is not
}

static void write_window(struct buf *out, const char *name, struct hit_counts counts)
{
    bool known = is_count(counts.hits) && is_count(counts.queries);

    begin(out, name);
    number(out, "hits", known ? (uint64_t)counts.hits : UNKNOWN);
    number(out, "queries", known ? (uint64_t)counts.queries : UNKNOWN);
    decimal(out, "hit_percent",
            known && counts.queries > 0 ? 100 * counts.hits / counts.queries
                                        : (double)NAN,
            2);
    end(out);
}

/* Where the engine has no counters, nobody has counted: that is not a count of nothing. */
static void write_prefix(struct buf *out, const struct snapshot_model *model)
{
    static const struct hit_counts not_known = {(double)NAN, (double)NAN};
    const struct engine_page *page = &model->page;
    enum provenance how = page->prefix_from_ratio ? ESTIMATED : BY_ENGINE;
    bool counted;

    if (isnan(page->prefix.queries))
        how = FROM_NOWHERE;
    counted = how == BY_ENGINE;
    begin(out, "prefix_cache");
    text(out, "from", provenance_name(how));
    write_window(out, "minute", counted ? model->prefix_minute : not_known);
    write_window(out, "five_minutes", counted ? model->prefix_five_minutes : not_known);
    write_window(out, "lifetime", page->prefix);
    end(out);
}

static void write_requests(struct buf *out, const struct snapshot_model *model)
{
    const struct engine_page *page = &model->page;

    begin(out, "requests");
    text(out, "from", provenance_name(page->engines ? BY_ENGINE : FROM_NOWHERE));
    number(out, "running", page->requests_running);
    number(out, "waiting", page->requests_waiting);
    number(out, "preemptions", page->preemptions);
    end(out);
}

static void write_model(struct buf *out, const struct snapshot *snapshot,
                        const struct snapshot_model *model)
{
    buf_add_char(out, '{');
    text(out, "model", model->served_name);
    text(out, "model_id", model->id);
    reason(out, "engine", model->engine_name);
    number(out, "port", model->port);
    number(out, "pid", model->pid ? model->pid : UNKNOWN);
    reason(out, "container_id", model->container_id);
    reason(out, "pod_uid", model->pod_uid);
    text(out, "state", engine_state_name(model->state));
    reason(out, "reason", model->why);
    boolean(out, "stale", model->stale);
    age(out, "age_ms", model->page_ns, snapshot->taken_ns);
    number(out, "scrape_interval_ms", model->pace_ns / NS_PER_MS);
    number(out, "max_model_len", model->max_model_len);
    write_device_list(out, model->devices);
    begin(out, "vram");
    figure(out, "allocated_bytes", model->allocated_bytes);
    figure(out, "kv_pool_bytes", model->kv_pool_bytes);
    figure(out, "rest_bytes", difference(model->allocated_bytes, model->kv_pool_bytes));
    end(out);
    write_kv(out, model);
    write_requests(out, model);
    write_prefix(out, model);
    end(out);
}

static void write_process(struct buf *out, const struct snapshot_process *process)
{
    static const char *const owners[] = {
        [OWNER_OTHER] = "other", [OWNER_ENGINE] = "engine", [OWNER_ORPHAN] = "orphan"};
    bool has_engine = process->owner == OWNER_ENGINE;

    buf_add_char(out, '{');
    number(out, "pid", process->pid);
    reason(out, "comm", process->comm);
    number(out, "device", process->device);
    number(out, "bytes", process->bytes);
    text(out, "owner", owners[process->owner]);
    number(out, "port", has_engine ? process->port : UNKNOWN);
    end(out);
}

static void write_processes(struct buf *out, const struct snapshot *snapshot)
{
    key(out, "processes");
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < snapshot->n_processes; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_process(out, &snapshot->processes[i]);
    }
    buf_add_char(out, ']');
    number(out, "processes_left_out", snapshot->processes_left_out);
}

static void write_nats(struct buf *out, const struct snapshot_nats *nats)
{
    if (!nats->used) {
        reason(out, "nats", NULL);
        return;
    }
    begin(out, "nats");
    boolean(out, "connected", nats->connected);
    boolean(out, "name_taken", nats->name_taken);
    number(out, "published", nats->published);
    number(out, "skipped", nats->skipped);
    number(out, "too_large", nats->too_large);
    number(out, "events", nats->events);
    number(out, "reconnects", nats->reconnects);
    end(out);
}

static void write_self(struct buf *out, const struct snapshot_self *self)
{
    begin(out, "self");
    number(out, "rss_bytes", self->rss_bytes);
    decimal(out, "cpu_seconds", self->cpu_seconds, 3);
    decimal(out, "late_ms", 1000 * self->late_seconds, 3);
    number(out, "subscribers", self->subscribers);
    number(out, "frames_sent", self->frames_sent);
    number(out, "frames_skipped", self->frames_skipped);
    number(out, "worker_restarts", self->worker_restarts);
    number(out, "history_errors", self->history_errors);
    write_nats(out, &self->nats);
    begin(out, "limited");
    for (size_t i = 0; i < self->n_limited; i++)
        number(out, self->limited[i].what, self->limited[i].total);
    end(out);
    end(out);
}

void detail_write(struct buf *out, const struct snapshot *snapshot,
                  const struct detail_origin *origin)
{
    buf_add_char(out, '{');
    number(out, "schema", DETAIL_SCHEMA);
    text(out, "version", origin->version);
    text(out, "boot", origin->boot);
    number(out, "seq", snapshot->seq);
    number(out, "unix_ms", snapshot->unix_ms);
    number(out, "interval_ms", origin->interval_ms);
    write_totals(out, snapshot);
    write_gpus(out, snapshot);
    key(out, "models");
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_model(out, snapshot, &snapshot->models[i]);
    }
    buf_add_char(out, ']');
    write_processes(out, snapshot);
    key(out, "events");
    event_list_write(out, snapshot->events, snapshot->n_events);
    write_self(out, &snapshot->self);
    end(out);
}
