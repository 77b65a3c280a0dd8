// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_kinds.h"

#include "sim/sim_expo.h"

#include <inttypes.h>
#include <stdio.h>

#define GIB 1073741824.0

typedef void page_fn(const struct sim_view *view, struct buf *out);

struct route {
    const char *path;
    page_fn *write;
    bool is_json;
    int status_without; // what it answers where metrics are off; 0: it does not matter
};

enum { ROUTES_MAX = 4 };

struct sim_kind {
    const char *name;
    const char *owner; // as /v1/models says it; NULL: it has no such page
    struct route routes[ROUTES_MAX];
};

/* Sums over all engines. */
static double sum_of(const struct sim_view *view, enum sim_value value)
{
    double sum = 0;

    for (size_t i = 0; i < sim_load_options(view->load)->engines; i++)
        sum += sim_load_stats(view->load, i)->values[value];
    return sum;
}

static uint64_t used_blocks(const struct sim_view *view)
{
    uint64_t used = 0;

    for (size_t i = 0; i < sim_load_options(view->load)->engines; i++)
        used += sim_load_stats(view->load, i)->used_blocks;
    return used;
}

/* Usable ones: null blocks are vLLM's alone. */
static uint64_t all_blocks(const struct sim_view *view)
{
    const struct sim_load_options *options = sim_load_options(view->load);

    return options->engines * (options->kv_blocks - 1);
}

static uint64_t block_tokens(const struct sim_view *view)
{
    return sim_load_options(view->load)->block_size;
}

/* name{LABEL="model",rest} value */
static void sample(const struct sim_view *view, struct buf *out, const char *name,
                   const char *rest, double value)
{
    buf_printf(out, "%s{model_name=", name);
    sim_expo_quote(out, view->model);
    buf_printf(out, "%s} %.17g\n", rest, value);
}

/* ---- SGLang: a series for each data-parallel rank ---- */

static void write_sglang(const struct sim_view *view, struct buf *out)
{
    const struct sim_load_options *options = sim_load_options(view->load);

    for (size_t i = 0; i < options->engines; i++) {
        const struct sim_stats *stats = sim_load_stats(view->load, i);
        uint64_t tokens = stats->used_blocks * options->block_size;
        uint64_t all = (options->kv_blocks - 1) * options->block_size;
        const struct {
            const char *name;
            double value;
        } rows[] = {
            {"sglang:num_running_reqs", stats->values[SIM_RUNNING]},
            {"sglang:num_queue_reqs", stats->values[SIM_WAITING]},
            {"sglang:num_used_tokens", (double)tokens},
            {"sglang:max_total_num_tokens", (double)all},
            {"sglang:page_size", (double)options->block_size},
            {"sglang:cache_hit_rate", 0},
        };
        char rest[64];

        for (int tp = 0; tp < 2; tp++) { // every rank says the same
            (void)snprintf(rest, sizeof(rest), ",dp_rank=\"%zu\",tp_rank=\"%d\"", i, tp);
            for (size_t row = 0; row < ARRAY_LEN(rows); row++)
                sample(view, out, rows[row].name, rest, rows[row].value);
        }
    }
    sample(view, out, "sglang:prompt_tokens_total", "", sum_of(view, SIM_PREFIX_QUERIES));
    sample(view, out, "sglang:cached_tokens_total", ",cache_source=\"device\"",
           sum_of(view, SIM_PREFIX_HITS));
}

static void write_sglang_info(const struct sim_view *view, struct buf *out)
{
    buf_printf(out, "{\"page_size\":%" PRIu64 ",\"internal_states\":[",
               block_tokens(view));
    for (size_t i = 0; i < sim_load_options(view->load)->engines; i++) {
        buf_add_str(out, i ? "," : "");
        buf_add_str(out, "{\"memory_usage\":{\"weight\":1.25");
        if (view->kv_pool_bytes != UNKNOWN)
            buf_printf(out, ",\"kvcache\":%.2f", (double)view->kv_pool_bytes / GIB);
        buf_add_str(out, "}}");
    }
    buf_add_str(out, "]}");
}

/* ---- TensorRT-LLM ---- */

static void write_trtllm(const struct sim_view *view, struct buf *out)
{
    double hits = sum_of(view, SIM_PREFIX_HITS) / (double)block_tokens(view);
    double queries = sum_of(view, SIM_PREFIX_QUERIES) / (double)block_tokens(view);
    const struct {
        const char *name;
        double value;
    } rows[] = {
        {"trtllm_num_requests_running", sum_of(view, SIM_RUNNING)},
        {"trtllm_num_requests_waiting", sum_of(view, SIM_WAITING)},
        {"trtllm_kv_cache_used_blocks", (double)used_blocks(view)},
        {"trtllm_kv_cache_max_blocks", (double)all_blocks(view)},
        {"trtllm_kv_cache_tokens_per_block", (double)block_tokens(view)},
        {"trtllm_kv_cache_reused_blocks_total", hits},
        {"trtllm_kv_cache_missed_blocks_total", queries - hits},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        sample(view, out, rows[i].name, ",engine_type=\"trtllm\"", rows[i].value);
}

/* Whoever reads it takes it from the next. */
static void write_trtllm_queue(const struct sim_view *view, struct buf *out)
{
    ++*view->metrics_taken;
    buf_printf(out, "[{\"iter\":%" PRIu64 "}]", *view->metrics_taken);
}

/* ---- Triton ---- */

static void write_triton(const struct sim_view *view, struct buf *out)
{
    const struct {
        const char *family, *label, *value_name;
        double value;
    } rows[] = {
        {"kv_cache_block_metrics", "kv_cache_block_type", "used",
         (double)used_blocks(view)},
        {"kv_cache_block_metrics", "kv_cache_block_type", "max",
         (double)all_blocks(view)},
        {"kv_cache_block_metrics", "kv_cache_block_type", "tokens_per",
         (double)block_tokens(view)},
        {"request_metrics", "request_type", "scheduled", sum_of(view, SIM_RUNNING)},
        {"request_metrics", "request_type", "waiting", sum_of(view, SIM_WAITING)},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_printf(out, "nv_trt_llm_%s{%s=\"%s\",model=", rows[i].family, rows[i].label,
                   rows[i].value_name);
        sim_expo_quote(out, view->model);
        buf_printf(out, ",version=\"1\"} %.17g\n", rows[i].value);
    }
}

/* ---- llama.cpp ---- */

static void write_llamacpp(const struct sim_view *view, struct buf *out)
{
    double hits = sum_of(view, SIM_PREFIX_HITS);

    buf_printf(out, "llamacpp:requests_processing %.17g\n", sum_of(view, SIM_RUNNING));
    buf_printf(out, "llamacpp:requests_deferred %.17g\n", sum_of(view, SIM_WAITING));
    buf_printf(out, "llamacpp:prompt_tokens_cached_total %.17g\n", hits);
    buf_printf(out, "llamacpp:prompt_tokens_total %.17g\n",
               sum_of(view, SIM_PREFIX_QUERIES) - hits);
    buf_add_str(out, "llamacpp:n_busy_slots_per_decode -nan(ind)\n");
}

/* One slot that holds all that is in use. */
static void write_slots(const struct sim_view *view, struct buf *out)
{
    uint64_t used = used_blocks(view) * block_tokens(view);

    buf_printf(out,
               "[{\"id\":0,\"n_ctx\":%" PRIu64 ",\"is_processing\":%s,"
               "\"n_prompt_tokens_cache\":0,\"n_prompt_tokens_processed\":%" PRIu64
               ",\"next_token\":[{\"n_decoded\":0}]}]",
               all_blocks(view) * block_tokens(view), used ? "true" : "false", used);
}

static void write_props(const struct sim_view *view, struct buf *out)
{
    buf_add_str(out, "{\"total_slots\":1,\"model_alias\":");
    sim_expo_quote(out, view->model);
    buf_add_char(out, '}');
}

/* ---- Ollama, LMDeploy, TGI, NIM, Dynamo ---- */

static void write_lmdeploy(const struct sim_view *view, struct buf *out)
{
    double usage = (double)used_blocks(view) / (double)all_blocks(view);

    sample(view, out, "lmdeploy:gpu_cache_usage_perc", ",engine=\"0\"", usage);
    sample(view, out, "lmdeploy:num_requests_running", ",engine=\"0\"",
           sum_of(view, SIM_RUNNING));
    sample(view, out, "lmdeploy:num_requests_waiting", ",engine=\"0\"",
           sum_of(view, SIM_WAITING));
}

static void write_ollama(const struct sim_view *view, struct buf *out)
{
    buf_add_str(out, "{\"models\":[{\"name\":");
    sim_expo_quote(out, view->model);
    buf_printf(out, ",\"size\":%" PRIu64 ",\"size_vram\":%" PRIu64 "}]}",
               view->vram_bytes, view->vram_bytes);
}

static void write_tgi(const struct sim_view *view, struct buf *out)
{
    buf_printf(out, "tgi_queue_size %.17g\n", sum_of(view, SIM_WAITING));
    buf_printf(out, "tgi_batch_current_size %.17g\n", sum_of(view, SIM_RUNNING));
}

static void write_tgi_info(const struct sim_view *view, struct buf *out)
{
    buf_add_str(out, "{\"model_id\":");
    sim_expo_quote(out, view->model);
    buf_printf(out, ",\"max_batch_total_tokens\":%" PRIu64 "}",
               all_blocks(view) * block_tokens(view));
}

static void write_nim(const struct sim_view *view, struct buf *out)
{
    double usage = (double)used_blocks(view) / (double)all_blocks(view);

    sample(view, out, "gpu_cache_usage_perc", "", usage);
    sample(view, out, "num_requests_running", "", sum_of(view, SIM_RUNNING));
    sample(view, out, "num_requests_waiting", "", sum_of(view, SIM_WAITING));
}

static void write_dynamo(const struct sim_view *view, struct buf *out)
{
    static const char name[] = "dynamo_component_kvstats_";

    buf_printf(out, "%sactive_blocks %" PRIu64 "\n", name, used_blocks(view));
    buf_printf(out, "%stotal_blocks %" PRIu64 "\n", name, all_blocks(view));
    buf_add_str(out, "dynamo_component_inflight_requests{model=");
    sim_expo_quote(out, view->model);
    buf_printf(out, "} %.17g\n", sum_of(view, SIM_RUNNING));
}

// clang-format off
static const struct sim_kind kinds[] = {
    {"sglang", "sglang", {{"/metrics", write_sglang, false, 404},
                          {"/server_info", write_sglang_info, true, 0}}},
    {"trtllm", "tensorrt_llm", {{"/prometheus/metrics", write_trtllm, false, 404},
                                {"/metrics", write_trtllm_queue, true, 0}}},
    {"triton", NULL, {{"/metrics", write_triton, false, 404}}},
    {"llamacpp", "llamacpp", {{"/metrics", write_llamacpp, false, 501},
                              {"/slots", write_slots, true, 0},
                              {"/props", write_props, true, 0}}},
    {"ollama", "library", {{"/api/ps", write_ollama, true, 404}}},
    {"lmdeploy", "lmdeploy", {{"/metrics", write_lmdeploy, false, 404}}},
    {"tgi", NULL, {{"/metrics", write_tgi, false, 404},
                   {"/info", write_tgi_info, true, 0}}},
    {"nim", NULL, {{"/v1/metrics", write_nim, false, 404}}},
    {"dynamo", NULL, {{"/metrics", write_dynamo, false, 404}}},
};
// clang-format on

const struct sim_kind *sim_kind_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static void write_models(const struct sim_kind *kind, const struct sim_view *view,
                         struct buf *out)
{
    buf_add_str(out, "{\"object\":\"list\",\"data\":[{\"id\":");
    sim_expo_quote(out, view->model);
    buf_printf(out, ",\"object\":\"model\",\"owned_by\":\"%s\"}]}", kind->owner);
}

struct sim_answer sim_kind_answer(const struct sim_kind *kind, struct span path,
                                  const struct sim_view *view, struct buf *out)
{
    if (kind->owner && span_is(path, "/v1/models")) {
        write_models(kind, view, out);
        return (struct sim_answer){200, true};
    }
    if (span_is(path, "/sim/metrics_taken")) { // for tests
        buf_printf(out, "%" PRIu64 "\n", *view->metrics_taken);
        return (struct sim_answer){200, false};
    }
    for (size_t i = 0; i < ROUTES_MAX && kind->routes[i].path; i++) {
        const struct route *route = &kind->routes[i];

        if (!span_is(path, route->path))
            continue;
        if (view->no_metrics && route->status_without)
            return (struct sim_answer){route->status_without, true};
        route->write(view, out);
        return (struct sim_answer){200, route->is_json};
    }
    return (struct sim_answer){404, true};
}
