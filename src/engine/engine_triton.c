// SPDX-License-Identifier: Apache-2.0
/*
 * engine_triton.c - what Triton says of models that run in its TensorRT-LLM back end
 *
 * One family holds all figures of the KV cache, told apart by a label. Models of other
 * back ends have none.
 */
#include "engine/page_parts.h"

#include <math.h>

enum figure { USED, BLOCKS, BLOCK_TOKENS, FRACTION, WAITING, SCHEDULED, FIGURES };

static const char *const names[] = {
    "nv_trt_llm_kv_cache_block_metrics",
    "nv_trt_llm_request_metrics",
};

static const struct {
    const char *label;
    enum figure figure;
} rows[] = {
    {"used", USED},         {"max", BLOCKS},      {"tokens_per", BLOCK_TOKENS},
    {"fraction", FRACTION}, {"waiting", WAITING}, {"scheduled", SCHEDULED},
};

struct triton_page {
    struct model_name_note model;
    struct series_set models; // by name and version
};

struct labels {
    struct span model;
    struct span block_type;
    struct span request_type;
};

static const struct label_place label_places[] = {
    {"model", offsetof(struct labels, model)},
    {"kv_cache_block_type", offsetof(struct labels, block_type)},
    {"request_type", offsetof(struct labels, request_type)},
};

static int triton_sample(void *state, unsigned name, struct span text, double value,
                         const char **ret_why)
{
    struct triton_page *page = state;
    struct labels labels = {0};
    struct span type;
    struct series *series;

    *ret_why = "malformed labels";
    if (labels_read(text, label_places, ARRAY_LEN(label_places), &labels) < 0)
        return -EBADMSG;
    if (labels.model.at)
        model_name_note(&page->model, labels.model);
    // Of two models the figures of the KV cache are not added up: one series will do.
    series = series_of(&page->models, (struct span){NULL, 0});
    type = name == 0 ? labels.block_type : labels.request_type;
    for (size_t i = 0; series && i < ARRAY_LEN(rows); i++)
        if (span_is(type, rows[i].label) && (rows[i].figure < WAITING) == (name == 0)) {
            double *figure = &series->figure[rows[i].figure];

            *figure = isnan(*figure) ? value : *figure + value;
        }
    return 0;
}

static void triton_finish(void *state, struct engine_page *ret)
{
    const struct triton_page *page = state;
    const double *figure = page->models.at[0].figure;

    engine_page_clear(ret);
    memcpy(ret->served_name, page->model.name, sizeof(page->model.name));
    ret->engines = 1;
    ret->kv_why = "none of its models runs in the TensorRT-LLM back end, whose KV cache "
                  "alone Triton tells";
    if (page->models.n == 0)
        return;
    ret->requests_running = count_of(figure[SCHEDULED], COUNT_MAX);
    ret->requests_waiting = count_of(figure[WAITING], COUNT_MAX);
    ret->kv_why = "several models behind one port: their pools are not told apart";
    if (page->model.several)
        return;
    ret->kv_block_tokens = count_of(figure[BLOCK_TOKENS], BLOCKS_MAX);
    page_set_blocks(ret, figure[USED], figure[BLOCKS]);
    if (ret->kv_blocks == UNKNOWN)
        ret->kv_usage_ratio = ratio_of(figure[FRACTION]);
    ret->kv_why =
        ret->kv_blocks == UNKNOWN ? "no usable nv_trt_llm_kv_cache_block_metrics" : NULL;
}

const struct engine_kind engine_triton = {
    .name = "triton",
    .names = {[ENGINE_PART_PAGE] = {names, ARRAY_LEN(names)}},
    .off_why = "it has no metrics page: tritonserver is to be started without "
               "--allow-metrics=false",
    .shape_why = "Triton does not tell the bytes of a KV block: set "
                 "`kv_bytes_per_block` in the config file",
    .page_size = sizeof(struct triton_page),
    .page_zeroed = offsetof(struct triton_page, models.at),
    .sample = triton_sample,
    .finish = triton_finish,
};
