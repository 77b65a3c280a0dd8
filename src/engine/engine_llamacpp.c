// SPDX-License-Identifier: Apache-2.0
/*
 * engine_llamacpp.c - what llama.cpp's server says
 *
 * Its metrics page lost the use of the KV cache in 2025; what is in use, /slots tells by
 * slot. Of a slot at work the tokens taken from the cache, those processed and those
 * generated are in its KV cache; what an idle one keeps for reuse is not in use. Windows
 * builds print "-nan(ind)".
 */
#include "engine/page_parts.h"

#include <math.h>

enum figure {
    RUNNING,
    WAITING,
    KV_USAGE, // until May 2025, and in forks
    PROMPT,
    CACHED,
    PAGE_FIGURES,
    SLOT = PAGE_FIGURES, // another slot begins
    SLOT_CTX,
    SLOT_BUSY,
    SLOT_STATE, // as it was told before: 1 is at work
    SLOT_PAST,  // likewise: tokens in its cache
    SLOT_PROMPT,
    SLOT_PROCESSED,
    SLOT_CACHED,
    SLOT_DECODED,
    SLOT_FIGURES = SLOT_DECODED - SLOT,
    NAME_ALIAS = SLOT_DECODED + 1,
    NAME_PATH,
};

static const char *const names[] = {
    "llamacpp:requests_processing",        "llamacpp:requests_deferred",
    "llamacpp:kv_cache_usage_ratio",       "llamacpp:prompt_tokens_total",
    "llamacpp:prompt_tokens_cached_total",
};

static const char *const slot_names[] = {
    "[]",
    "[].n_ctx",
    "[].is_processing",
    "[].state",
    "[].n_past",
    "[].n_prompt_tokens",
    "[].n_prompt_tokens_processed",
    "[].n_prompt_tokens_cache",
    "[].next_token[].n_decoded",
    "[].next_token.n_decoded",
};

static const char *const settings_names[] = {"model_alias", "model_path"};

static const uint8_t figures[] = {
    RUNNING,     WAITING,      KV_USAGE,     PROMPT,     CACHED,      SLOT,
    SLOT_CTX,    SLOT_BUSY,    SLOT_STATE,   SLOT_PAST,  SLOT_PROMPT, SLOT_PROCESSED,
    SLOT_CACHED, SLOT_DECODED, SLOT_DECODED, NAME_ALIAS, NAME_PATH,
};

struct llamacpp_page {
    struct model_name_note path; // by its file alone
    unsigned n_slots;
    bool unclear; // a slot at work does not say what it holds
    double ctx;   // tokens that all slots may hold
    double used;
    double slot[SLOT_FIGURES + 1]; // of the slot that is being read, by figure - SLOT
    struct plain_page plain;
};

static double slot_figure(const struct llamacpp_page *page, enum figure figure)
{
    return page->slot[figure - SLOT];
}

/* Tokens in the KV cache of the slot that has been read; NAN: it does not say. */
static double slot_used(const struct llamacpp_page *page)
{
    double decoded = slot_figure(page, SLOT_DECODED);
    double held = slot_figure(page, SLOT_CACHED) + slot_figure(page, SLOT_PROCESSED);

    if (!(slot_figure(page, SLOT_BUSY) > 0) && !(slot_figure(page, SLOT_STATE) > 0))
        return 0;
    if (slot_figure(page, SLOT_PAST) >= 0)
        return slot_figure(page, SLOT_PAST);
    if (isnan(held))
        held = slot_figure(page, SLOT_PROMPT);
    return held + (isnan(decoded) ? 0 : decoded);
}

static void end_slot(struct llamacpp_page *page)
{
    double used = slot_used(page), ctx = slot_figure(page, SLOT_CTX);

    if (page->n_slots == 0)
        return;
    if (!(used >= 0) || !(ctx >= 1) || used > ctx)
        page->unclear = true;
    page->used += used;
    page->ctx += ctx;
}

static void take_slot(struct llamacpp_page *page, enum figure figure, double value)
{
    if (figure != SLOT) {
        page->slot[figure - SLOT] = value;
        return;
    }
    end_slot(page);
    page->n_slots++;
    for (unsigned i = 0; i <= SLOT_FIGURES; i++)
        page->slot[i] = (double)NAN;
}

/* "/models/a-7b.gguf" is "a-7b.gguf". */
static void take_path(struct llamacpp_page *page, struct span text)
{
    const char *slash = text.len ? memrchr(text.at, '/', text.len) : NULL;

    if (slash)
        text = (struct span){slash + 1, text.len - (size_t)(slash + 1 - text.at)};
    if (text.len)
        model_name_note(&page->path, text);
}

static int llamacpp_sample(void *state, unsigned name, struct span text, double value,
                           const char **ret_why)
{
    static const struct plain_labels labels = {.model = "model"};
    struct llamacpp_page *page = state;
    enum figure figure = figures[name];

    if (figure < PAGE_FIGURES)
        return plain_sample(&page->plain, &labels, figure, text, value, ret_why);
    if (figure == NAME_ALIAS)
        plain_take_name(&page->plain, text);
    else if (figure == NAME_PATH)
        take_path(page, text);
    else
        take_slot(page, figure, value);
    return 0;
}

static void finish_slots(struct llamacpp_page *page, struct engine_page *ret)
{
    end_slot(page);
    if (page->n_slots == 0) {
        ret->kv_why = "llama.cpp tells the use of its KV cache at /slots alone, which it "
                      "does not answer (is it started with --no-slots?)";
        return;
    }
    ret->kv_why = "what its slots say of the tokens that they hold cannot be";
    if (page->unclear || page->ctx > TOKENS_MAX)
        return;
    ret->kv_why = NULL;
    ret->kv_usage_ratio = page->used / page->ctx;
    ret->kv_size_tokens = count_of(page->ctx, BYTES_MAX);
    if (page->n_slots > 1)
        ret->kv_caveat = "its slots may share one KV cache (--kv-unified): it is then "
                         "fuller than told";
}

static void llamacpp_finish(void *state, struct engine_page *ret)
{
    struct llamacpp_page *page = state;
    const struct series_set *set = &page->plain.series;
    double cached = series_sum_given(set, CACHED);

    plain_finish(&page->plain, ret);
    if (!ret->served_name[0])
        memcpy(ret->served_name, page->path.name, sizeof(ret->served_name));
    ret->requests_running = count_of(series_sum_given(set, RUNNING), COUNT_MAX);
    ret->requests_waiting = count_of(series_sum_given(set, WAITING), COUNT_MAX);
    ret->prefix = hits_of(cached, cached + series_sum_given(set, PROMPT));
    ret->kv_usage_ratio = ratio_of(series_sum_given(set, KV_USAGE));
    if (isnan(ret->kv_usage_ratio))
        finish_slots(page, ret);
    else
        ret->kv_caveat = "it counts what idle slots keep for reuse as used";
}

const struct engine_kind engine_llamacpp = {
    .name = "llamacpp",
    .owner = "llamacpp",
    .names = {[ENGINE_PART_PAGE] = {names, ARRAY_LEN(names)},
              [ENGINE_PART_LIVE] = {slot_names, ARRAY_LEN(slot_names)},
              [ENGINE_PART_SETTINGS] = {settings_names, ARRAY_LEN(settings_names)}},
    .live_path = "/slots",
    .off_why = "it has no metrics page: llama-server is to be started with --metrics",
    .shape_why = "llama.cpp does not tell the bytes of its KV cache: set "
                 "`kv_pool_bytes_per_gpu` in the config file",
    .questions = {[ENGINE_ASK_SETTINGS] = "/props"},
    .asks = 1U << ENGINE_ASK_SETTINGS,
    .page_size = sizeof(struct llamacpp_page),
    .page_zeroed = offsetof(struct llamacpp_page, plain.series.at),
    .sample = llamacpp_sample,
    .finish = llamacpp_finish,
};
