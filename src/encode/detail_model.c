// SPDX-License-Identifier: Apache-2.0
#include "encode/detail_parts.h"
#include "encode/json.h"

#include <math.h>

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

/* Over several nodes, what is known of some and what of others has no difference. */
static struct figure rest(const struct snapshot_model *model,
                          const struct fleet_model *sum)
{
    if (sum && sum->allocated_unknown > 0)
        return figure_unknown(model->allocated_bytes.why);
    if (sum && sum->kv_pool_unknown > 0)
        return figure_unknown(model->kv_pool_bytes.why);
    return difference(model->allocated_bytes, model->kv_pool_bytes);
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;

    if (a == UNKNOWN || b == UNKNOWN || __builtin_mul_overflow(a, b, &product))
        return UNKNOWN;
    return product;
}

/* Of what an engine says itself; of a sum, what any of them says. */
static const char *said(const struct snapshot_model *model, const struct fleet_model *sum,
                        uint64_t one, uint64_t other)
{
    bool known = sum ? one != UNKNOWN || other != UNKNOWN : model->page.engines > 0;

    return provenance_name(known ? BY_ENGINE : FROM_NOWHERE);
}

static const char *kv_reason(const struct snapshot_model *model)
{
    const struct engine_page *page = &model->page;

    if (page->engines == 0)
        return model->kv_used_bytes.why;
    return page->kv_why ? page->kv_why : page->kv_caveat;
}

static void write_kv(struct buf *out, const struct snapshot_model *model,
                     const struct fleet_model *sum)
{
    const struct engine_page *page = &model->page;
    bool counted = !sum && page->engines > 0;

    detail_begin(out, "kv_cache");
    detail_figure(out, "used_bytes", model->kv_used_bytes);
    detail_figure(out, "capacity_bytes", model->kv_pool_bytes);
    detail_figure(out, "retained_bytes", model->kv_retained_bytes);
    json_put_text_or_null(out, "source", model->kv_source);
    json_put_text(out, "from", said(model, sum, page->kv_used_blocks, page->kv_blocks));
    json_put_decimal(out, "usage_ratio", page->kv_usage_ratio, 6);
    json_put_number(out, "used_blocks", page->kv_used_blocks);
    json_put_number(out, "blocks", page->kv_blocks);
    json_put_number(out, "block_tokens", page->kv_block_tokens);
    json_put_number(out, "capacity_tokens", times(page->kv_size_tokens, page->engines));
    json_put_number(out, "data_parallel_engines", counted ? page->engines : UNKNOWN);
    json_put_text_or_null(out, "dtype", page->kv_dtype);
    json_put_text_or_null(out, "reason", kv_reason(model));
    detail_end(out);
}

static bool is_count(double value)
{
    return value >= 0 && value < (double)INT64_MAX; // NAN is not
}

static void write_window(struct buf *out, const char *name, struct hit_counts counts)
{
    bool known = is_count(counts.hits) && is_count(counts.queries);

    detail_begin(out, name);
    json_put_number(out, "hits", known ? (uint64_t)counts.hits : UNKNOWN);
    json_put_number(out, "queries", known ? (uint64_t)counts.queries : UNKNOWN);
    json_put_decimal(out, "hit_percent",
                     known && counts.queries > 0 ? 100 * counts.hits / counts.queries
                                                 : (double)NAN,
                     2);
    detail_end(out);
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
    detail_begin(out, "prefix_cache");
    json_put_text(out, "from", provenance_name(how));
    write_window(out, "minute", counted ? model->prefix_minute : not_known);
    write_window(out, "five_minutes", counted ? model->prefix_five_minutes : not_known);
    write_window(out, "lifetime", page->prefix);
    detail_end(out);
}

static void write_requests(struct buf *out, const struct snapshot_model *model,
                           const struct fleet_model *sum)
{
    const struct engine_page *page = &model->page;

    detail_begin(out, "requests");
    json_put_text(out, "from",
                  said(model, sum, page->requests_running, page->requests_waiting));
    json_put_number(out, "running", page->requests_running);
    json_put_number(out, "waiting", page->requests_waiting);
    json_put_number(out, "preemptions", page->preemptions);
    detail_end(out);
}

static void write_server(struct buf *out, const struct snapshot *snapshot,
                         const struct snapshot_model *model)
{
    json_put_text(out, "model", model->served_name);
    json_put_text(out, "model_id", model->id);
    json_put_text_or_null(out, "engine", model->engine_name);
    json_put_number(out, "port", model->port);
    json_put_number(out, "pid", model->pid ? model->pid : UNKNOWN);
    json_put_text_or_null(out, "container_id", model->container_id);
    json_put_text_or_null(out, "pod_uid", model->pod_uid);
    json_put_text(out, "state", engine_state_name(model->state));
    json_put_text_or_null(out, "reason", model->why);
    detail_boolean(out, "stale", model->stale);
    detail_age(out, "age_ms", model->page_ns, snapshot->taken_ns);
}

void detail_model(struct buf *out, const struct snapshot *snapshot,
                  const struct snapshot_model *model, const struct fleet_model *sum)
{
    buf_add_char(out, '{');
    write_server(out, snapshot, model);
    json_put_number(out, "scrape_interval_ms", // of a sum there is none
                    model->pace_ns ? model->pace_ns / NS_PER_MS : UNKNOWN);
    json_put_number(out, "max_model_len", model->max_model_len);
    write_device_list(out, model->devices);
    detail_begin(out, "vram");
    detail_figure(out, "allocated_bytes", model->allocated_bytes);
    detail_figure(out, "kv_pool_bytes", model->kv_pool_bytes);
    detail_figure(out, "rest_bytes", rest(model, sum));
    detail_end(out);
    write_kv(out, model, sum);
    write_requests(out, model, sum);
    write_prefix(out, model);
    if (sum) {
        json_put_number(out, "nodes", sum->nodes);
        json_put_number(out, "nodes_ready", sum->ready);
    }
    detail_end(out);
}
