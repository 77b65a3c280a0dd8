// SPDX-License-Identifier: Apache-2.0
/*
 * engine_trtllm.c - what trtllm-serve of TensorRT-LLM says
 *
 * Its metrics are at /prometheus/metrics. What it has at /metrics is a queue of statistics
 * that reading empties, which whoever else reads it then misses: it is never asked there.
 */
#include "engine/page_parts.h"

#include <math.h>

enum figure {
    RUNNING,
    WAITING,
    USAGE,
    USED,
    FREE,
    BLOCKS,
    BLOCK_TOKENS,
    REUSED,
    MISSED,
};

static const char *const names[] = {
    [RUNNING] = "trtllm_num_requests_running",
    [WAITING] = "trtllm_num_requests_waiting",
    [USAGE] = "trtllm_kv_cache_utilization",
    [USED] = "trtllm_kv_cache_used_blocks",
    [FREE] = "trtllm_kv_cache_free_blocks",
    [BLOCKS] = "trtllm_kv_cache_max_blocks",
    [BLOCK_TOKENS] = "trtllm_kv_cache_tokens_per_block",
    [REUSED] = "trtllm_kv_cache_reused_blocks_total",
    [MISSED] = "trtllm_kv_cache_missed_blocks_total",
};

static int trtllm_sample(void *page, unsigned name, struct span text, double value,
                         const char **ret_why)
{
    static const struct plain_labels labels = {.model = "model_name"};

    return plain_sample(page, &labels, name, text, value, ret_why);
}

static void trtllm_finish(void *state, struct engine_page *ret)
{
    const struct plain_page *page = state;
    const struct series_set *set = &page->series;
    double blocks = series_sum_given(set, BLOCKS), used = series_sum_given(set, USED);
    double tokens = series_sum_given(set, BLOCK_TOKENS);
    double reused = series_sum_given(set, REUSED) * tokens;

    plain_finish(page, ret);
    ret->requests_running = count_of(series_sum_given(set, RUNNING), COUNT_MAX);
    ret->requests_waiting = count_of(series_sum_given(set, WAITING), COUNT_MAX);
    ret->kv_block_tokens = count_of(tokens, BLOCKS_MAX);
    ret->prefix = hits_of(reused, reused + series_sum_given(set, MISSED) * tokens);
    if (isnan(used))
        used = blocks - series_sum_given(set, FREE);
    page_set_blocks(ret, used, blocks);
    if (ret->kv_blocks != UNKNOWN)
        return;
    ret->kv_usage_ratio = ratio_of(series_sum_given(set, USAGE));
    ret->kv_why = isnan(ret->kv_usage_ratio)
                      ? "it tells its KV cache only once it has answered requests"
                      : "no trtllm_kv_cache_max_blocks: this release does not tell them";
}

const struct engine_kind engine_trtllm = {
    .name = "trtllm",
    .owner = "tensorrt_llm",
    .names = {[ENGINE_PART_PAGE] = {names, ARRAY_LEN(names)}},
    .paths = {"/prometheus/metrics", "/prometheus/metrics/"},
    .off_why = "it has no /prometheus/metrics: trtllm-serve is to be started with "
               "return_perf_metrics: true in its --extra_llm_api_options",
    .shape_why = "TensorRT-LLM does not tell the bytes of a KV block: set "
                 "`kv_bytes_per_block` in the config file",
    .page_size = sizeof(struct plain_page),
    .page_zeroed = offsetof(struct plain_page, series.at),
    .sample = trtllm_sample,
    .finish = trtllm_finish,
};
