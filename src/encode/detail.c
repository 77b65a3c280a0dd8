// SPDX-License-Identifier: Apache-2.0
#include "encode/detail.h"

#include "encode/event_list.h"
#include "encode/json.h"

#include <math.h>
#include <stdio.h>

enum { NS_PER_MS = 1000000 };

static void signed_number(struct buf *out, const char *name, int64_t value)
{
    json_put_key(out, name);
    if (value < 0)
        buf_add_char(out, '-');
    buf_add_u64(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static void boolean(struct buf *out, const char *name, bool value)
{
    json_put_key(out, name);
    buf_add_str(out, value ? "true" : "false");
}

static void begin(struct buf *out, const char *name)
{
    json_put_key(out, name);
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
    json_put_number(out, "value", figure.value);
    json_put_text(out, "from", provenance_name(figure.how));
    json_put_number(out, "error", figure.error);
    json_put_text_or_null(out, "reason", figure.why);
    end(out);
}

static void age(struct buf *out, const char *name, uint64_t then_ns, uint64_t now_ns)
{
    json_put_number(out, name,
                    then_ns ? (now_ns - MIN(then_ns, now_ns)) / NS_PER_MS : UNKNOWN);
}

static void write_totals(struct buf *out, const struct snapshot *snapshot)
{
    begin(out, "vram");
    figure(out, "total_bytes", snapshot->total_bytes);
    figure(out, "allocated_bytes", snapshot->allocated_bytes);
    json_put_number(out, "models_bytes", snapshot->models_bytes);
    json_put_number(out, "other_bytes", snapshot->other_bytes);
    json_put_number(out, "orphan_bytes", snapshot->orphan_bytes);
    signed_number(out, "unattributed_bytes", snapshot->unattributed_bytes);
    end(out);

    begin(out, "kv_cache");
    json_put_number(out, "used_bytes", snapshot->kv_used_bytes);
    json_put_number(out, "unknown_models", snapshot->kv_unknown);
    end(out);

    begin(out, "prefix_cache");
    json_put_decimal(out, "hit_percent", snapshot->hit_percent, 2);
    boolean(out, "in_window", snapshot->hit_percent_in_window);
    end(out);
}

static void write_source(struct buf *out, const struct gpu_source_state *source)
{
    buf_add_char(out, '{');
    json_put_text(out, "backend", source->backend);
    json_put_text(out, "verdict", gpu_verdict_name((enum gpu_verdict)source->verdict));
    json_put_text_or_null(out, "driver_version", source->driver_version);
    json_put_text_or_null(out, "reason", source->reason);
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
    json_put_text(out, "backend", snapshot->sources[device->source].backend);
    json_put_number(out, "index", device->index);
    json_put_text(out, "uuid", device->uuid);
    json_put_text_or_null(out, "parent_uuid", device->parent_uuid);
    json_put_number(out, "instance",
                    device->instance == GPU_NO_INSTANCE ? UNKNOWN : device->instance);
    json_put_text(out, "name", device->name);
    boolean(out, "unified", device->unified);
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
        signed_number(out, "unattributed_bytes", device->unattributed_bytes);
    json_put_text(out, "from", provenance_name(provenance_of(device)));
    json_put_text_or_null(out, "reason", device->reason);
    end(out);
}

static void write_gpus(struct buf *out, const struct snapshot *snapshot)
{
    begin(out, "gpu");
    age(out, "age_ms", snapshot->gpu_taken_ns, snapshot->taken_ns);
    json_put_key(out, "sources");
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < snapshot->n_sources; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_source(out, &snapshot->sources[i]);
    }
    buf_add_char(out, ']');
    end(out);

    json_put_key(out, "devices");
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
    json_put_key(out, "devices");
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
    json_put_text_or_null(out, "source", model->kv_source);
    json_put_text(out, "from", provenance_name(page->engines ? BY_ENGINE : FROM_NOWHERE));
    json_put_decimal(out, "usage_ratio", page->kv_usage_ratio, 6);
    json_put_number(out, "used_blocks", page->kv_used_blocks);
    json_put_number(out, "blocks", page->kv_blocks);
    json_put_number(out, "block_tokens", page->kv_block_tokens);
    json_put_number(out, "capacity_tokens", times(page->kv_size_tokens, page->engines));
    json_put_number(out, "data_parallel_engines",
                    page->engines ? page->engines : UNKNOWN);
    json_put_text_or_null(out, "dtype", page->kv_dtype);
    if (page->engines == 0)
        json_put_text_or_null(out, "reason", model->kv_used_bytes.why);
    else
        json_put_text_or_null(out, "reason",
                              page->kv_why ? page->kv_why : page->kv_caveat);
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
    json_put_number(out, "hits", known ? (uint64_t)counts.hits : UNKNOWN);
    json_put_number(out, "queries", known ? (uint64_t)counts.queries : UNKNOWN);
    json_put_decimal(out, "hit_percent",
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
    json_put_text(out, "from", provenance_name(how));
    write_window(out, "minute", counted ? model->prefix_minute : not_known);
    write_window(out, "five_minutes", counted ? model->prefix_five_minutes : not_known);
    write_window(out, "lifetime", page->prefix);
    end(out);
}

static void write_requests(struct buf *out, const struct snapshot_model *model)
{
    const struct engine_page *page = &model->page;

    begin(out, "requests");
    json_put_text(out, "from", provenance_name(page->engines ? BY_ENGINE : FROM_NOWHERE));
    json_put_number(out, "running", page->requests_running);
    json_put_number(out, "waiting", page->requests_waiting);
    json_put_number(out, "preemptions", page->preemptions);
    end(out);
}

static void write_model(struct buf *out, const struct snapshot *snapshot,
                        const struct snapshot_model *model)
{
    buf_add_char(out, '{');
    json_put_text(out, "model", model->served_name);
    json_put_text(out, "model_id", model->id);
    json_put_text_or_null(out, "engine", model->engine_name);
    json_put_number(out, "port", model->port);
    json_put_number(out, "pid", model->pid ? model->pid : UNKNOWN);
    json_put_text_or_null(out, "container_id", model->container_id);
    json_put_text_or_null(out, "pod_uid", model->pod_uid);
    json_put_text(out, "state", engine_state_name(model->state));
    json_put_text_or_null(out, "reason", model->why);
    boolean(out, "stale", model->stale);
    age(out, "age_ms", model->page_ns, snapshot->taken_ns);
    json_put_number(out, "scrape_interval_ms", model->pace_ns / NS_PER_MS);
    json_put_number(out, "max_model_len", model->max_model_len);
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
    json_put_number(out, "pid", process->pid);
    json_put_text_or_null(out, "comm", process->comm);
    json_put_number(out, "device", process->device);
    json_put_number(out, "bytes", process->bytes);
    json_put_text(out, "owner", owners[process->owner]);
    json_put_number(out, "port", has_engine ? process->port : UNKNOWN);
    end(out);
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
    begin(out, "nats");
    boolean(out, "connected", nats->connected);
    boolean(out, "name_taken", nats->name_taken);
    json_put_number(out, "published", nats->published);
    json_put_number(out, "skipped", nats->skipped);
    json_put_number(out, "too_large", nats->too_large);
    json_put_number(out, "events", nats->events);
    json_put_number(out, "reconnects", nats->reconnects);
    end(out);
}

static void write_self(struct buf *out, const struct snapshot_self *self)
{
    begin(out, "self");
    json_put_number(out, "rss_bytes", self->rss_bytes);
    json_put_decimal(out, "cpu_seconds", self->cpu_seconds, 3);
    json_put_decimal(out, "late_ms", 1000 * self->late_seconds, 3);
    json_put_number(out, "subscribers", self->subscribers);
    json_put_number(out, "frames_sent", self->frames_sent);
    json_put_number(out, "frames_skipped", self->frames_skipped);
    json_put_number(out, "worker_restarts", self->worker_restarts);
    json_put_number(out, "history_errors", self->history_errors);
    write_nats(out, &self->nats);
    begin(out, "limited");
    for (size_t i = 0; i < self->n_limited; i++)
        json_put_number(out, self->limited[i].what, self->limited[i].total);
    end(out);
    end(out);
}

void detail_write(struct buf *out, const struct snapshot *snapshot,
                  const struct detail_origin *origin)
{
    buf_add_char(out, '{');
    json_put_number(out, "schema", DETAIL_SCHEMA);
    json_put_text(out, "version", origin->version);
    json_put_text(out, "boot", origin->boot);
    json_put_number(out, "seq", snapshot->seq);
    json_put_number(out, "unix_ms", snapshot->unix_ms);
    json_put_number(out, "interval_ms", origin->interval_ms);
    write_totals(out, snapshot);
    write_gpus(out, snapshot);
    json_put_key(out, "models");
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_model(out, snapshot, &snapshot->models[i]);
    }
    buf_add_char(out, ']');
    write_processes(out, snapshot);
    json_put_key(out, "events");
    event_list_write(out, snapshot->events, snapshot->n_events);
    write_self(out, &snapshot->self);
    end(out);
}
