// SPDX-License-Identifier: Apache-2.0
#include "join/kv.h"

#include <math.h>

static struct figure unknown(const char *why)
{
    return (struct figure){UNKNOWN, FROM_NOWHERE, why};
}

/* Where the size of the pool comes from. */
struct source {
    uint64_t pool_per_gpu; // bytes; UNKNOWN: per_block is given instead
    uint64_t per_block;    // bytes on one GPU
    enum provenance how;
    const char *caveat;
};

static bool find_source(const struct join_engine *engine, struct source *ret)
{
    const struct engine_page *page = &engine->engine->page;

    *ret = (struct source){UNKNOWN, UNKNOWN, DERIVED, NULL};
    if (engine->kv_bytes_per_block != UNKNOWN) {
        ret->per_block = engine->kv_bytes_per_block;
        return true;
    }
    ret->how = ESTIMATED;
    ret->caveat = "less than one block of error: the pool is given, not the block";
    if (engine->kv_pool_bytes_per_gpu != UNKNOWN)
        ret->pool_per_gpu = engine->kv_pool_bytes_per_gpu;
    else
        ret->pool_per_gpu = page->kv_memory_bytes;
    return ret->pool_per_gpu != UNKNOWN;
}

/* GPUs of one data-parallel engine; 0 with *ret_why when that cannot be known. */
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

/* a * b * c / d, saturating at UNKNOWN; rounded to nearest. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    unsigned __int128 product = (unsigned __int128)a * b, result;

    if (__builtin_mul_overflow(product, (unsigned __int128)c, &product))
        return UNKNOWN;
    result = (product + d / 2) / d;
    return result > UNKNOWN ? UNKNOWN : (uint64_t)result;
}

/* By blocks when they are counted, else by the fraction of the pool. */
static void measure(const struct engine_page *page, const struct source *source,
                    uint64_t gpus, struct kv_bytes *ret)
{
    bool counted = page->kv_blocks != UNKNOWN && page->kv_used_blocks != UNKNOWN;

    if (source->per_block != UNKNOWN) {
        if (!counted) {
            ret->used = ret->pool = unknown(page->kv_why);
            return;
        }
        ret->pool.value = scale(page->kv_blocks, source->per_block, gpus, 1);
        ret->used.value = scale(page->kv_used_blocks, source->per_block, gpus, 1);
        return;
    }
    ret->pool.value = scale(source->pool_per_gpu, gpus, page->engines, 1);
    if (counted)
        ret->used.value =
            scale(page->kv_used_blocks, ret->pool.value, 1, page->kv_blocks);
    else
        ret->used.value = (uint64_t)(page->kv_usage_ratio * (double)ret->pool.value);
}

struct kv_bytes kv_bytes_of(const struct join_engine *engine, uint32_t gpus_seen,
                            uint64_t limit_bytes, uint64_t now_ns)
{
    const struct engine_page *page = &engine->engine->page;
    struct kv_bytes kv = {.used = unknown("the engine has not told its KV-cache usage")};
    struct source source;
    const char *why = NULL;
    uint64_t gpus;

    kv.pool = kv.used;
    if (!engine_has_figures(engine->engine, now_ns) || page->engines == 0)
        return kv;
    if (isnan(page->kv_usage_ratio)) {
        kv.used = kv.pool = unknown(page->kv_why);
        return kv;
    }
    if (page->asleep) {
        kv.used = (struct figure){0, BY_ENGINE, "asleep: its KV pool is unmapped"};
        kv.pool = kv.used;
        return kv;
    }

    gpus = gpus_per_engine(engine, gpus_seen, &why);
    if (!find_source(engine, &source))
        why = "the size of its KV blocks is not known: set `kv_bytes_per_block` in the "
              "config file";
    if (why) {
        kv.used = kv.pool = unknown(why);
    } else {
        kv.used = kv.pool = (struct figure){0, source.how, source.caveat};
        if (page->kv_caveat)
            kv.used = (struct figure){0, ESTIMATED, page->kv_caveat};
        measure(page, &source, gpus, &kv);
    }
    if (kv.pool.value != UNKNOWN && kv.pool.value > limit_bytes)
        kv.used = kv.pool = unknown("more than the memory of all GPUs: not believed");
    if (kv.used.how == FROM_NOWHERE && page->kv_usage_ratio <= 0)
        kv.used = (struct figure){0, DERIVED, "no block is held by a request"};
    return kv;
}
