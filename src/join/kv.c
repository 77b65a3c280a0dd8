// SPDX-License-Identifier: Apache-2.0
#include "join/kv.h"

#include <math.h>

static struct figure unknown(const char *why)
{
    return figure_unknown(why);
}

/* Where the size of the pool comes from. */
struct source {
    uint64_t pool_per_gpu; // bytes; UNKNOWN: per_block is given instead
    uint64_t per_block;    // bytes on one GPU
    enum provenance how;
    const char *caveat;
};

static bool are_counted(const struct engine_page *page)
{
    return page->kv_blocks != UNKNOWN && page->kv_used_blocks != UNKNOWN;
}

/* NULL, or what is missing. */
static const char *find_source(const struct join_engine *engine, struct source *ret)
{
    const struct engine_page *page = &engine->engine->page;
    uint64_t pool = engine->kv_pool_bytes_per_gpu;

    if (pool == UNKNOWN)
        pool = page->kv_memory_bytes;
    if (engine->kv_bytes_per_block != UNKNOWN && are_counted(page)) {
        *ret = (struct source){UNKNOWN, engine->kv_bytes_per_block, DERIVED, NULL};
        return NULL;
    }
    if (pool != UNKNOWN) {
        *ret = (struct source){
            pool, UNKNOWN, ESTIMATED,
            "less than one block of error: the pool is given, not the block"};
        return NULL;
    }
    if (engine->kv_bytes_per_block != UNKNOWN)
        return page->kv_why;
    return "the size of its KV blocks is not known: set `kv_bytes_per_block` in the "
           "config file";
}

/* GPUs of one data-parallel engine; 0 with a reason when that cannot be known. */
static uint64_t gpus_per_engine(const struct join_engine *engine, uint32_t gpus_seen,
                                const char **ret_why)
{
    uint64_t gpus = engine->gpus != UNKNOWN ? engine->gpus : gpus_seen;
    uint32_t engines = engine->engine->page.engines;

    if (gpus == 0) {
        *ret_why =
            "on how many GPUs it runs is not visible: set `gpus` in the config file";
        return 0;
    }
    if (gpus % engines != 0) {
        *ret_why = "its GPUs do not divide evenly among its data-parallel engines";
        return 0;
    }
    return gpus / engines;
}

/* a * b * c / d, rounded to nearest; UNKNOWN when that is no int64. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    unsigned __int128 product = (unsigned __int128)a * b, result;

    if (__builtin_mul_overflow(product, (unsigned __int128)c, &product))
        return UNKNOWN;
    result = (product + d / 2) / d;
    return result > INT64_MAX ? UNKNOWN : (uint64_t)result;
}

/* By blocks when they are counted, else by the fraction of the pool. */
static void measure(const struct engine_page *page, const struct source *source,
                    uint64_t gpus, struct kv_bytes *ret)
{
    uint64_t *used = &ret->used.value, *pool = &ret->pool.value;

    if (source->per_block != UNKNOWN) {
        *pool = scale(page->kv_blocks, source->per_block, gpus, 1);
        *used = scale(page->kv_used_blocks, source->per_block, gpus, 1);
        return;
    }
    *pool = scale(source->pool_per_gpu, gpus, page->engines, 1);
    if (*pool == UNKNOWN)
        return;
    if (are_counted(page))
        *used = scale(page->kv_used_blocks, *pool, 1, page->kv_blocks);
    else
        *used = (uint64_t)round(page->kv_usage_ratio * (double)*pool);
}

struct kv_bytes kv_bytes_of(const struct join_engine *engine, uint32_t gpus_seen,
                            uint64_t limit_bytes, uint64_t now_ns)
{
    const struct engine_page *page = &engine->engine->page;
    struct kv_bytes kv = {.used = unknown("the engine has not told its KV-cache usage")};
    struct source source = {UNKNOWN, UNKNOWN, FROM_NOWHERE, NULL};
    const char *why;
    uint64_t gpus;

    kv.pool = kv.used;
    if (!engine_has_figures(engine->engine, now_ns) || page->engines == 0)
        return kv;
    if (page->asleep) {
        kv.used = figure_of(0, BY_ENGINE, "asleep: its KV pool is unmapped");
        kv.pool = kv.used;
        return kv;
    }
    if (isnan(page->kv_usage_ratio)) {
        kv.used = kv.pool = unknown(page->kv_why);
        return kv;
    }

    why = find_source(engine, &source);
    gpus = gpus_per_engine(engine, gpus_seen, &why);
    if (why) {
        kv.used = kv.pool = unknown(why);
    } else {
        kv.used = kv.pool = figure_of(0, source.how, source.caveat);
        if (page->kv_caveat)
            kv.used = figure_of(0, ESTIMATED, page->kv_caveat);
        measure(page, &source, gpus, &kv);
    }
    if (kv.pool.how != FROM_NOWHERE &&
        (kv.pool.value == UNKNOWN || kv.pool.value > limit_bytes))
        kv.used = kv.pool =
            unknown("its KV pool would be larger than all GPUs: not believed");
    if (kv.used.how == FROM_NOWHERE && page->kv_usage_ratio <= 0)
        kv.used = figure_of(0, DERIVED, "no block is held by a request");
    return kv;
}
