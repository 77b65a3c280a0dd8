// SPDX-License-Identifier: Apache-2.0
/*
 * engine_sglang.c - what an SGLang metrics page means
 *
 * SGLang counts tokens: num_used_tokens are those of live requests, without what is kept
 * for reuse, and max_total_num_tokens is the pool of one data-parallel rank. Every rank of
 * tensor parallelism repeats the same value. Its cache_hit_rate is of the last batch alone
 * and falls to 0 while tokens are generated: it is not the hit rate. /server_info tells
 * the pool in GiB with two decimals.
 */
#include "engine/page_parts.h"

#include <assert.h>
#include <math.h>

enum figure {
    RUNNING,
    WAITING,
    USED_TOKENS,
    KV_USED_TOKENS, // as newer releases call them
    USAGE,          // two decimals, of the fullest pool
    CAPACITY,       // tokens
    PAGE_TOKENS,
    PAGES,
    PREFILL, // counters from here on; by label `mode`
    PREFILL_CACHE,
    PREFILL_COMPUTE,
    PROMPT,
    CACHED, // by label `cache_source`
    CACHED_DEVICE,
    CACHED_HOST,
    CACHED_STORAGE,
    FIGURES,
    CACHE_CONFIG = FIGURES,
    IGNORED,
    // of /server_info
    TOLD_PAGE_TOKENS,
    TOLD_KV_GIB,
};

static const char *const names[] = {
    "sglang:num_running_reqs",
    "sglang:num_queue_reqs",
    "sglang:num_used_tokens",
    "sglang:kv_used_tokens",
    "sglang:token_usage",
    "sglang:max_total_num_tokens",
    "sglang:page_size",
    "sglang:num_pages",
    "sglang:realtime_tokens_total",
    "sglang:prompt_tokens_total",
    "sglang:cached_tokens_total",
    "sglang:cache_config_info",
};

static const char *const settings_names[] = {
    "page_size",
    "internal_states[].memory_usage.kvcache",
};

static const uint8_t figures[] = {
    RUNNING,          WAITING,     USED_TOKENS, KV_USED_TOKENS, USAGE,  CAPACITY,
    PAGE_TOKENS,      PAGES,       PREFILL,     PROMPT,         CACHED, CACHE_CONFIG,
    TOLD_PAGE_TOKENS, TOLD_KV_GIB,
};

#define GIB 1073741824.0

static const double told_error_gib = 0.005; // half of its last decimal

static_assert((int)FIGURES <= (int)SERIES_FIGURES_MAX, "each has its place");

struct sglang_page {
    struct model_name_note model;
    bool has_stages; // pipeline stages, which need not hold the same number of layers
    double told_page_tokens; // 0: not told
    double told_kv_gib;      // sum over data-parallel ranks
    unsigned n_told;
    bool has_counts;
    struct series counts;    // counters need not be told by rank
    struct series_set ranks; // data-parallel ones
};

struct labels {
    struct span model_name;
    struct span dp_rank;
    struct span pp_rank;
    struct span mode;
    struct span cache_source;
    struct span page_size;
    struct span num_pages;
};

static const struct label_place label_places[] = {
    {"model_name", offsetof(struct labels, model_name)},
    {"dp_rank", offsetof(struct labels, dp_rank)},
    {"pp_rank", offsetof(struct labels, pp_rank)},
    {"mode", offsetof(struct labels, mode)},
    {"cache_source", offsetof(struct labels, cache_source)},
    {"page_size", offsetof(struct labels, page_size)},
    {"num_pages", offsetof(struct labels, num_pages)},
};

/* Of a family with several series for one rank: which. IGNORED: one that does not count. */
static enum figure by_label(enum figure figure, const struct labels *labels)
{
    static const struct {
        enum figure family;
        const char *label;
        enum figure figure;
    } rows[] = {
        {PREFILL, "prefill_cache", PREFILL_CACHE},
        {PREFILL, "prefill_compute", PREFILL_COMPUTE},
        {CACHED, "device", CACHED_DEVICE},
        {CACHED, "host", CACHED_HOST},
        {CACHED, "storage", CACHED_STORAGE},
    };
    struct span label = figure == PREFILL ? labels->mode : labels->cache_source;

    if (figure != PREFILL && (figure != CACHED || !label.at))
        return figure;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].family == figure && span_is(label, rows[i].label))
            return rows[i].figure;
    return IGNORED;
}

/* Where a counter is kept that is told without its rank. */
static struct series *counts_of(struct sglang_page *page)
{
    for (size_t i = 0; i < SERIES_FIGURES_MAX && !page->has_counts; i++)
        page->counts.figure[i] = (double)NAN;
    page->has_counts = true;
    return &page->counts;
}

/* Of all ranks, and of none in particular. NAN: nobody says it. */
static double count_all(const struct sglang_page *page, enum figure figure)
{
    double sum = series_sum_given(&page->ranks, figure);
    double rest = page->counts.figure[figure];

    if (!(page->counts.given & (1U << figure)))
        return sum;
    return (isnan(sum) ? 0 : sum) + (rest >= 0 ? rest : (double)NAN);
}

static void take_told(struct sglang_page *page, enum figure figure, double value)
{
    if (figure == TOLD_PAGE_TOKENS && value >= 1 && value <= BLOCKS_MAX) {
        page->told_page_tokens = value;
    } else if (figure == TOLD_KV_GIB) {
        page->told_kv_gib += value >= 0 ? value : (double)NAN;
        page->n_told++;
    }
}

static void take_config(struct series *series, const struct labels *labels)
{
    uint64_t tokens = count_in(labels->page_size, BLOCKS_MAX);
    uint64_t pages = count_in(labels->num_pages, BLOCKS_MAX);

    if (tokens != UNKNOWN)
        series_set_largest(series, PAGE_TOKENS, (double)tokens);
    if (pages != UNKNOWN)
        series_set_largest(series, PAGES, (double)pages);
}

static int sglang_sample(void *state, unsigned name, struct span text, double value,
                         const char **ret_why)
{
    struct sglang_page *page = state;
    enum figure figure = figures[name];
    struct labels labels = {0};
    struct series *series;

    if (figure > CACHE_CONFIG) {
        take_told(page, figure, value);
        return 0;
    }
    *ret_why = "malformed labels";
    if (labels_read(text, label_places, ARRAY_LEN(label_places), &labels) < 0)
        return -EBADMSG;
    if (labels.model_name.at)
        model_name_note(&page->model, labels.model_name);
    if (labels.pp_rank.len && !span_is(labels.pp_rank, "0"))
        page->has_stages = true;
    if (figure >= PREFILL && figure < FIGURES && !labels.dp_rank.at)
        series = counts_of(page);
    else
        series = series_of(&page->ranks, labels.dp_rank);
    if (!series) {
        *ret_why = SERIES_TOO_MANY;
        return -E2BIG;
    }
    figure = by_label(figure, &labels);
    if (figure == CACHE_CONFIG && labels.page_size.at)
        take_config(series, &labels);
    else if (figure < FIGURES)
        series_set_largest(series, figure, value);
    return 0;
}

/* Tokens in a page, if it says the same of all ranks. */
static double page_tokens(const struct sglang_page *page)
{
    double tokens = series_sum(&page->ranks, PAGE_TOKENS) / page->ranks.n;

    if (isnan(tokens) && page->told_page_tokens > 0)
        return page->told_page_tokens;
    return tokens >= 1 && tokens <= page->ranks.at[0].figure[PAGE_TOKENS] ? tokens
                                                                          : (double)NAN;
}

static const char NO_PAGE_SIZE[] =
    "SGLang counts the tokens of its KV cache, and does not tell how many are in a page";

static void finish_tokens(const struct sglang_page *page, double used, double capacity,
                          struct engine_page *ret)
{
    double tokens = page_tokens(page), of_each = capacity / page->ranks.n;

    ret->kv_usage_ratio = used / capacity;
    if (of_each <= floor(of_each))
        ret->kv_size_tokens = count_of(of_each, BYTES_MAX);
    if (isnan(tokens)) {
        ret->kv_why = NO_PAGE_SIZE;
        return;
    }
    ret->kv_block_tokens = (uint64_t)tokens;
    page_set_blocks(ret, ceil(used / tokens), floor(capacity / tokens));
    ret->kv_usage_ratio = used / capacity; // of what it counts itself
}

static void finish_kv(const struct sglang_page *page, struct engine_page *ret)
{
    double used = series_sum(&page->ranks, USED_TOKENS);
    double capacity = series_sum(&page->ranks, CAPACITY);
    double usage = series_sum(&page->ranks, USAGE) / page->ranks.n;

    if (isnan(used))
        used = series_sum(&page->ranks, KV_USED_TOKENS);
    if (used <= capacity && capacity >= 1 && capacity <= TOKENS_MAX) {
        finish_tokens(page, used, capacity, ret);
        return;
    }
    ret->kv_usage_ratio = ratio_of(usage);
    ret->kv_why = "no usable sglang:num_used_tokens and sglang:max_total_num_tokens";
    if (!isnan(ret->kv_usage_ratio))
        ret->kv_caveat = "its usage has two decimals, and is that of its fullest pool";
}

/* Of one GPU of each rank. Where stages differ, that of one is not that of all. */
static void finish_told(const struct sglang_page *page, struct engine_page *ret)
{
    double bytes = page->told_kv_gib / page->n_told * GIB;

    if (page->n_told == 0 || page->has_stages || !(bytes > 0))
        return;
    ret->kv_told_bytes = count_of(bytes, BYTES_MAX);
    ret->kv_told_error = (uint64_t)ceil(told_error_gib * GIB);
}

static void finish_prefix(const struct sglang_page *page, struct engine_page *ret)
{
    double cached = 0, prompt = count_all(page, PROMPT);
    double hits = count_all(page, PREFILL_CACHE);
    double computed = count_all(page, PREFILL_COMPUTE);
    bool given = false;

    ret->prefix = hits_of(hits, hits + computed);
    if (!isnan(ret->prefix.queries))
        return;
    for (unsigned figure = CACHED; figure <= CACHED_STORAGE; figure++) {
        double of_source = count_all(page, figure);

        given = given || !isnan(of_source);
        cached += isnan(of_source) ? 0 : of_source;
    }
    if (given)
        ret->prefix = hits_of(cached, prompt);
}

static void sglang_finish(void *state, struct engine_page *ret)
{
    const struct sglang_page *page = state;

    engine_page_clear(ret);
    memcpy(ret->served_name, page->model.name, sizeof(page->model.name));
    ret->engines = MAX(page->ranks.n, 1U);
    ret->kv_why = "it has not told its KV cache yet";
    if (page->ranks.n == 0)
        return;
    ret->kv_why = NULL;
    ret->requests_running = count_of(series_sum_given(&page->ranks, RUNNING), COUNT_MAX);
    ret->requests_waiting = count_of(series_sum_given(&page->ranks, WAITING), COUNT_MAX);
    finish_prefix(page, ret);
    finish_told(page, ret);
    if (page->model.several)
        ret->kv_why = "several models behind one port: the pool is not told apart";
    else
        finish_kv(page, ret);
}

const struct engine_kind engine_sglang = {
    .name = "sglang",
    .owner = "sglang",
    .names = {[ENGINE_PART_PAGE] = {names, ARRAY_LEN(names)},
              [ENGINE_PART_SETTINGS] = {settings_names, ARRAY_LEN(settings_names)}},
    .paths = {"/metrics", "/metrics/"},
    .off_why = "it has no metrics page: SGLang is to be started with --enable-metrics",
    .shape_why = "what a token takes in SGLang's KV cache is not known: set "
                 "`kv_pool_bytes_per_gpu` in the config file",
    .questions = {[ENGINE_ASK_SETTINGS] = "/server_info",
                  [ENGINE_ASK_SETTINGS_OLD] = "/get_server_info"},
    .asks = 1U << ENGINE_ASK_SETTINGS,
    .page_size = sizeof(struct sglang_page),
    .page_zeroed = offsetof(struct sglang_page, ranks.at),
    .sample = sglang_sample,
    .finish = sglang_finish,
};
