// SPDX-License-Identifier: Apache-2.0
/*
 * engine_vllm.c - what a vLLM metrics page means
 *
 * vLLM exports its KV use as a fraction (0..1, in spite of "perc") of the blocks that
 * live requests hold, and the number of blocks in the labels of cache_config_info: as the
 * sum over the data-parallel engines behind this front end, repeated on every engine's
 * series, each engine's null block included, which no request can hold. So an engine with
 * N blocks uses usage * (N - 1) of them, a whole number on every real page.
 */
#include "engine/page_parts.h"

#include "base/number.h"
#include "base/text.h"

#include <math.h>

/* Where a sample's value goes. Two names for one figure have each a place of their own. */
enum figure {
    KV_USAGE,       // since v0.9.2
    KV_USAGE_OLD,   // until v0.11
    PREFIX_QUERIES, // since v0.9.2
    PREFIX_HITS,
    PREFIX_QUERIES_OLD, // first V1 releases; both in v0.9.2 to v0.11
    PREFIX_HITS_OLD,
    PREFIX_RATE, // V0 had only a ratio; -1: prefix caching is off
    PROMPT_TOKENS,
    CPU_USAGE, // V0 only: its mark
    RUNNING,
    WAITING,
    PREEMPTIONS,
    KV_CAPACITY, // bytes; in forks and proposals
    KV_ACTIVE,   // bytes, with KV_CAPACITY then of one rank
    KV_RETAINED, // likewise
    FIGURES,     // from here on: not a plain figure of a series
    CACHE_CONFIG = FIGURES,
    SLEEP_STATE,
};

/* Ray Serve's agent prints the same families behind a prefix of its own. */
#define NAMES_OF(FAMILY)                                         \
    FAMILY("kv_cache_usage_perc", KV_USAGE)                      \
    FAMILY("gpu_cache_usage_perc", KV_USAGE_OLD)                 \
    FAMILY("prefix_cache_queries_total", PREFIX_QUERIES)         \
    FAMILY("prefix_cache_hits_total", PREFIX_HITS)               \
    FAMILY("gpu_prefix_cache_queries_total", PREFIX_QUERIES_OLD) \
    FAMILY("gpu_prefix_cache_hits_total", PREFIX_HITS_OLD)       \
    FAMILY("gpu_prefix_cache_hit_rate", PREFIX_RATE)             \
    FAMILY("prompt_tokens_total", PROMPT_TOKENS)                 \
    FAMILY("cpu_cache_usage_perc", CPU_USAGE)                    \
    FAMILY("num_requests_running", RUNNING)                      \
    FAMILY("num_requests_waiting", WAITING)                      \
    FAMILY("num_preemptions_total", PREEMPTIONS)                 \
    FAMILY("kv_cache_capacity_bytes", KV_CAPACITY)               \
    FAMILY("kv_cache_active_bytes", KV_ACTIVE)                   \
    FAMILY("kv_cache_inactive_cached_bytes", KV_RETAINED)        \
    FAMILY("cache_config_info", CACHE_CONFIG)                    \
    FAMILY("engine_sleep_state", SLEEP_STATE)

static const char *const names[] = {
#define FAMILY(name, figure) "vllm:" name,
    NAMES_OF(FAMILY)
#undef FAMILY
#define FAMILY(name, figure) "ray_vllm:" name,
        NAMES_OF(FAMILY)
#undef FAMILY
};

static const uint8_t figures[] = {
#define FAMILY(name, figure) figure,
    NAMES_OF(FAMILY)
#undef FAMILY
};

/* What a series tells beside its figures. */
struct series_state {
    bool usage_by_pid; // KV_USAGE came once per API server process
    bool has_sleep_state;
    bool awake;
};

struct cache_config {
    char engine[SERIES_LABEL_MAX];
    uint64_t blocks;       // UNKNOWN: "None", as before v0.8.5
    uint64_t memory_bytes; // UNKNOWN: not ordered in bytes
    uint64_t block_tokens;
    uint64_t size_tokens;
    double memory_utilization; // NAN: not given
    bool memory_option;        // the label of memory_bytes is there, with a number or not
    char dtype[ENGINE_DTYPE_MAX + 1];
    bool skips_layers;
    bool blocks_ordered;
};

struct vllm_page {
    struct model_name_note model;
    uint32_t n_configs;
    struct series_state states[ENGINE_SERIES_MAX]; // of `series`
    struct series_set series;
    struct cache_config configs[ENGINE_SERIES_MAX];
};

/* The labels that matter, as written; at == NULL: absent. */
struct labels {
    struct span engine;
    struct span model_name;
    struct span pid;
    struct span sleep_state;
    struct span num_gpu_blocks;
    struct span kv_cache_memory_bytes;
    struct span block_size;
    struct span kv_cache_size_tokens;
    struct span cache_dtype;
    struct span kv_cache_dtype_skip_layers;
    struct span num_gpu_blocks_override;
    struct span gpu_memory_utilization;
};

/* Exact names: mamba_block_size, hash_block_size and others end like those wanted. */
static const struct label_place label_places[] = {
    {"engine", offsetof(struct labels, engine)},
    {"model_name", offsetof(struct labels, model_name)},
    {"pid", offsetof(struct labels, pid)},
    {"sleep_state", offsetof(struct labels, sleep_state)},
    {"num_gpu_blocks", offsetof(struct labels, num_gpu_blocks)},
    {"kv_cache_memory_bytes", offsetof(struct labels, kv_cache_memory_bytes)},
    {"block_size", offsetof(struct labels, block_size)},
    {"kv_cache_size_tokens", offsetof(struct labels, kv_cache_size_tokens)},
    {"cache_dtype", offsetof(struct labels, cache_dtype)},
    {"num_gpu_blocks_override", offsetof(struct labels, num_gpu_blocks_override)},
    {"gpu_memory_utilization", offsetof(struct labels, gpu_memory_utilization)},
    {"kv_cache_dtype_skip_layers", offsetof(struct labels, kv_cache_dtype_skip_layers)},
};

static struct series_state *state_of(struct vllm_page *page, const struct series *series)
{
    return &page->states[series - page->series.at];
}

/*
 * Releases before November 2025 repeated the usage once per API server process (label
 * pid), all but the newest of them stale: the largest is the one not yet gone to 0.
 */
static int set_usage_by_pid(struct vllm_page *page, struct series *series, double value)
{
    uint16_t given = series->given;

    state_of(page, series)->usage_by_pid = true;
    series_set_largest(series, KV_USAGE, value);
    series->given = given; // it is not twice the same
    return 0;
}

static const char TWICE[] = "the same series twice with different values";

/* Several models behind one port are several series: their counts add up. */
static int set_figure(struct series *series, enum figure figure, double value,
                      bool several_models)
{
    bool again = series->given & (1U << figure);
    double before = series->figure[figure];

    if (again && several_models)
        value += before;
    else if (again && (before < value || before > value))
        return -EBADMSG;
    series->given = (uint16_t)(series->given | (1U << figure));
    series->figure[figure] = value;
    return 0;
}

static int set_sleep_state(struct series_state *series, const struct labels *labels,
                           double value, bool several_models)
{
    bool awake = value > 0;

    if (!span_is(labels->sleep_state, "awake") || isnan(value))
        return 0;
    if (series->has_sleep_state && series->awake != awake && !several_models)
        return -EBADMSG;
    series->awake = awake || (series->has_sleep_state && series->awake);
    series->has_sleep_state = true;
    return 0;
}

/* A part of the whole, above 0; NAN: it is none. */
static double part_in(struct span text)
{
    double value;

    if (!text.at || number_read(text, &value) < 0 || !(value > 0 && value <= 1))
        return (double)NAN;
    return value;
}

/* A list of layers, as Python prints it; a checkpoint can name them as well as a flag. */
static bool names_layers(struct span text)
{
    return text.len && !span_is(text, "None") && !span_is(text, "[]") &&
           !span_is(text, "()");
}

static int note_config(struct vllm_page *page, const struct labels *labels,
                       const char **ret_why)
{
    struct cache_config *config;

    if (page->n_configs == ENGINE_SERIES_MAX || labels->engine.len >= SERIES_LABEL_MAX) {
        *ret_why = SERIES_TOO_MANY;
        return -E2BIG;
    }
    config = &page->configs[page->n_configs++];
    *config = (struct cache_config){0};
    if (labels->engine.len)
        memcpy(config->engine, labels->engine.at, labels->engine.len);
    config->blocks = count_in(labels->num_gpu_blocks, BLOCKS_MAX);
    config->memory_bytes = count_in(labels->kv_cache_memory_bytes, BYTES_MAX);
    config->memory_option = labels->kv_cache_memory_bytes.at != NULL;
    config->memory_utilization = part_in(labels->gpu_memory_utilization);
    config->block_tokens = count_in(labels->block_size, BLOCKS_MAX);
    config->size_tokens = count_in(labels->kv_cache_size_tokens, BYTES_MAX);
    if (labels->cache_dtype.at)
        (void)text_clean(config->dtype, sizeof(config->dtype), labels->cache_dtype);
    config->blocks_ordered =
        count_in(labels->num_gpu_blocks_override, BLOCKS_MAX) != UNKNOWN;
    config->skips_layers = names_layers(labels->kv_cache_dtype_skip_layers);
    return 0;
}

static int vllm_sample(void *state, unsigned name, struct span text, double value,
                       const char **ret_why)
{
    struct vllm_page *page = state;
    enum figure figure = figures[name % ARRAY_LEN(figures)];
    struct series *series;
    struct labels labels = {0};

    *ret_why = "malformed labels";
    if (labels_read(text, label_places, ARRAY_LEN(label_places), &labels) < 0)
        return -EBADMSG;
    if (figure == CACHE_CONFIG)
        return note_config(page, &labels, ret_why);

    if (labels.model_name.at)
        model_name_note(&page->model, labels.model_name);
    series = series_of(&page->series, labels.engine);
    if (!series) {
        *ret_why = SERIES_TOO_MANY;
        return -E2BIG;
    }
    *ret_why = TWICE;
    if (figure == SLEEP_STATE)
        return set_sleep_state(state_of(page, series), &labels, value,
                               page->model.several);
    if (figure == KV_USAGE && labels.pid.at)
        return set_usage_by_pid(page, series, value);
    return set_figure(series, figure, value, page->model.several);
}

static bool is_asleep(const struct vllm_page *page, uint32_t series)
{
    return page->states[series].has_sleep_state && !page->states[series].awake;
}

static double first_known(double a, double b)
{
    return isnan(a) ? b : a;
}

/* The usage of one engine, 0..1; NAN: unknown. */
static double usage_of(const struct vllm_page *page, uint32_t series)
{
    const double *figure = page->series.at[series].figure;
    double now = figure[KV_USAGE], old = figure[KV_USAGE_OLD];
    bool by_pid = page->states[series].usage_by_pid;

    if (is_asleep(page, series))
        return 0;
    return ratio_of(by_pid ? first_known(old, now) : first_known(now, old));
}

/* Blocks of one engine: the label is the sum over all of them, and says so on each. */
static uint64_t blocks_per_engine(const struct vllm_page *page, const char **ret_why)
{
    uint64_t sum = UNKNOWN;

    for (uint32_t i = 0; i < page->n_configs; i++) {
        uint64_t blocks = page->configs[i].blocks;

        if (i > 0 && blocks != sum) {
            *ret_why = "num_gpu_blocks differs between engines";
            return UNKNOWN;
        }
        sum = blocks;
    }
    if (page->n_configs > 1 && page->n_configs != page->series.n)
        *ret_why = "vllm:cache_config_info is of other engines than the rest";
    else if (sum == UNKNOWN || sum == 0)
        *ret_why = "no num_gpu_blocks in vllm:cache_config_info";
    else if (sum % page->series.n != 0)
        *ret_why = "num_gpu_blocks is not a multiple of the number of engines";
    else
        return sum / page->series.n;
    return UNKNOWN;
}

/* What a label says, if it says the same of all engines. */
static uint64_t agreed(const struct vllm_page *page, size_t at)
{
    uint64_t first = UNKNOWN;

    for (uint32_t i = 0; i < page->n_configs; i++) {
        uint64_t value =
            *(const uint64_t *)(const void *)((const char *)&page->configs[i] + at);

        if (i > 0 && value != first)
            return UNKNOWN;
        first = value;
    }
    return first;
}

static void finish_config(const struct vllm_page *page, struct engine_page *ret)
{
    ret->kv_memory_bytes = agreed(page, offsetof(struct cache_config, memory_bytes));
    ret->kv_block_tokens = agreed(page, offsetof(struct cache_config, block_tokens));
    ret->kv_size_tokens = agreed(page, offsetof(struct cache_config, size_tokens));
    if (page->n_configs) {
        memcpy(ret->kv_dtype, page->configs[0].dtype, sizeof(ret->kv_dtype));
        ret->kv_memory_option = page->configs[0].memory_option;
        ret->gpu_memory_utilization = page->configs[0].memory_utilization;
    }
    for (uint32_t i = 0; i < page->n_configs; i++) {
        if (!(fabs(page->configs[i].memory_utilization - ret->gpu_memory_utilization) <=
              0))
            ret->gpu_memory_utilization = (double)NAN;
        if (strcmp(page->configs[i].dtype, page->configs[0].dtype) != 0)
            ret->kv_dtype[0] = '\0';
        ret->kv_skips_layers = ret->kv_skips_layers || page->configs[i].skips_layers;
        ret->kv_blocks_ordered =
            ret->kv_blocks_ordered || page->configs[i].blocks_ordered;
    }
}

/* V0 had no null block; V1 never counts it as used or usable. */
static uint64_t used_blocks(const struct series *series, double usage, uint64_t blocks)
{
    bool v0 = series->given & (1U << CPU_USAGE);

    return (uint64_t)llround(usage * (double)(v0 ? blocks : blocks - 1));
}

static const char NO_USAGE[] = "no usable vllm:kv_cache_usage_perc";

static void finish_kv(const struct vllm_page *page, struct engine_page *ret)
{
    uint64_t per_engine = blocks_per_engine(page, &ret->kv_why), used = 0;
    double sum = 0;

    finish_config(page, ret);
    for (uint32_t i = 0; i < page->series.n; i++) {
        const struct series *series = &page->series.at[i];
        double usage = usage_of(page, i);

        sum += usage; // one unknown makes it unknown
        if (per_engine != UNKNOWN && !isnan(usage))
            used += used_blocks(series, usage, per_engine);
        if (page->states[i].usage_by_pid && isnan(series->figure[KV_USAGE_OLD]))
            ret->kv_caveat = "the largest of several API servers' values, perhaps stale";
    }
    if (isnan(sum)) {
        ret->kv_why = NO_USAGE;
        return;
    }
    ret->kv_usage_ratio = sum / page->series.n;
    if (per_engine == UNKNOWN)
        return;
    ret->kv_blocks = per_engine * page->series.n;
    ret->kv_used_blocks = used;
}

/* Hits and queries under one release's names: those of two have different units. */
static struct hit_counts counters_of(const struct vllm_page *page, enum figure hits,
                                     enum figure queries)
{
    return (struct hit_counts){series_sum(&page->series, hits),
                               series_sum(&page->series, queries)};
}

static void finish_prefix(const struct vllm_page *page, struct engine_page *ret)
{
    double rate = series_sum(&page->series, PREFIX_RATE) / page->series.n;
    double prompts = series_sum(&page->series, PROMPT_TOKENS);
    struct hit_counts counts = counters_of(page, PREFIX_HITS, PREFIX_QUERIES);

    if (isnan(counts.hits) || isnan(counts.queries))
        counts = counters_of(page, PREFIX_HITS_OLD, PREFIX_QUERIES_OLD);
    if (isnan(counts.queries) && rate <= 1) {
        counts = (struct hit_counts){rate * prompts, prompts};
        ret->prefix_from_ratio = true;
    }
    ret->prefix = hits_of(counts.hits, counts.queries);
}

static void vllm_finish(void *state, struct engine_page *ret)
{
    const struct vllm_page *page = state;

    engine_page_clear(ret);
    memcpy(ret->served_name, page->model.name, sizeof(page->model.name));
    ret->engines = page->series.n;
    if (page->series.n == 0) {
        ret->kv_why = NO_USAGE;
        return;
    }

    ret->asleep = true;
    for (uint32_t i = 0; i < page->series.n; i++)
        ret->asleep = ret->asleep && is_asleep(page, i);
    ret->requests_running = count_of(series_sum(&page->series, RUNNING), COUNT_MAX);
    ret->requests_waiting = count_of(series_sum(&page->series, WAITING), COUNT_MAX);
    ret->preemptions = count_of(series_sum(&page->series, PREEMPTIONS), COUNT_MAX);
    ret->kv_capacity_bytes = count_of(series_sum(&page->series, KV_CAPACITY), BYTES_MAX);
    ret->kv_active_bytes = count_of(series_sum(&page->series, KV_ACTIVE), BYTES_MAX);
    ret->kv_retained_bytes = count_of(series_sum(&page->series, KV_RETAINED), BYTES_MAX);
    for (uint32_t i = 0; i < page->series.n; i++)
        if (page->series.at[i].given & (1U << KV_ACTIVE | 1U << KV_RETAINED))
            ret->kv_bytes_per_rank = true;
    finish_prefix(page, ret);
    if (page->model.several)
        ret->kv_why = "several models behind one port: the pool is not told apart";
    else
        finish_kv(page, ret);
}

const struct engine_kind engine_vllm = {
    .name = "vllm",
    .owner = "vllm",
    .names = {[ENGINE_PART_PAGE] = {names, ARRAY_LEN(names)}},
    .off_why = "its metrics page has no engine metrics (is it started with "
               "--disable-log-stats?)",
    .empty_is_off = true,
    .filter_path = "/metrics/",
    .questions = {[ENGINE_ASK_VERSION] = "/version",
                  [ENGINE_ASK_MODELS] = "/v1/models",
                  [ENGINE_ASK_SETTINGS] = "/server_info?config_format=json"},
    .asks = 1U << ENGINE_ASK_VERSION | 1U << ENGINE_ASK_MODELS,
    .page_size = sizeof(struct vllm_page),
    .page_zeroed = offsetof(struct vllm_page, series.at),
    .sample = vllm_sample,
    .finish = vllm_finish,
};
