// SPDX-License-Identifier: Apache-2.0
/*
 * engine_tgi.c - what Text Generation Inference says
 *
 * It tells how many requests wait and run, and how many tokens a batch may have, which is
 * the size of its KV cache; of the use of that cache nothing. What its current batch may
 * come to in the end (tgi_batch_current_max_tokens) is not what is in use.
 */
#include "engine/page_parts.h"

enum figure { WAITING, RUNNING, PAGE_FIGURES, NAME = PAGE_FIGURES, CAPACITY };

static const char *const names[] = {
    [WAITING] = "tgi_queue_size",
    [RUNNING] = "tgi_batch_current_size",
};

static const char *const settings_names[] = {"model_id", "max_batch_total_tokens"};

struct tgi_page {
    double capacity;
    struct plain_page plain;
};

static int tgi_sample(void *state, unsigned name, struct span text, double value,
                      const char **ret_why)
{
    static const struct plain_labels labels = {0};
    struct tgi_page *page = state;

    if (name < PAGE_FIGURES)
        return plain_sample(&page->plain, &labels, name, text, value, ret_why);
    if (name == NAME)
        plain_take_name(&page->plain, text);
    else
        page->capacity = value;
    return 0;
}

static void tgi_finish(void *state, struct engine_page *ret)
{
    const struct tgi_page *page = state;

    plain_finish(&page->plain, ret);
    ret->requests_running =
        count_of(series_sum_given(&page->plain.series, RUNNING), COUNT_MAX);
    ret->requests_waiting =
        count_of(series_sum_given(&page->plain.series, WAITING), COUNT_MAX);
    if (page->capacity >= 1)
        ret->kv_size_tokens = count_of(page->capacity, BYTES_MAX);
    ret->kv_why = "TGI does not tell the use of its KV cache";
}

const struct engine_kind engine_tgi = {
    .name = "tgi",
    .names = {[ENGINE_PART_PAGE] = {names, ARRAY_LEN(names)},
              [ENGINE_PART_SETTINGS] = {settings_names, ARRAY_LEN(settings_names)}},
    .off_why =
        "it has no metrics page: this release of TGI has none, or has it elsewhere",
    .shape_why = "TGI does not tell the bytes of its KV cache",
    .questions = {[ENGINE_ASK_SETTINGS] = "/info"},
    .asks = 1U << ENGINE_ASK_SETTINGS,
    .page_size = sizeof(struct tgi_page),
    .page_zeroed = offsetof(struct tgi_page, plain.series.at),
    .sample = tgi_sample,
    .finish = tgi_finish,
};
