// SPDX-License-Identifier: Apache-2.0
/*
 * kv_sources.h - who can say how large a KV block is; private to kv.c and kv_sources.c
 *
 * A source is a function and a line in kv_sources[]. It answers of one data-parallel
 * engine, and what it says is still held against the driver (kv.c).
 */
#ifndef JOIN_KV_SOURCES_H
#define JOIN_KV_SOURCES_H

#include "join/kv.h"

/* What is known when a source is asked. */
struct kv_question {
    const struct join_engine *engine;
    const struct engine_page *page;
    const struct kv_holder *holder;
    uint64_t gpus;        // of one data-parallel engine; 0: not known
    const char *gpus_why; // why not
};

/*
 * What a source answers, of one data-parallel engine over all its GPUs: the bytes of a
 * block, or those of the pool where that is all it knows.
 */
struct kv_answer {
    uint64_t block_bytes; // UNKNOWN: pool_bytes counts
    uint64_t pool_bytes;
    uint64_t
        used_bytes; // UNKNOWN: by blocks; else the engine's own count, of all engines
    uint64_t error; // pool_bytes is off by this at most; UNKNOWN: no bound is known
    enum provenance how;
    const char *caveat;
    bool same_on_each_gpu; // it was told of each GPU, and that is the same on all
};

/*
 * True: *ret is filled. False: it cannot answer, and *ret_why (a literal, or NULL for "was
 * not asked to") says why not.
 */
typedef bool kv_source_fn(const struct kv_question *q, struct kv_answer *ret,
                          const char **ret_why);

struct kv_source {
    const char *name;
    kv_source_fn *ask;
};

extern const struct kv_source kv_sources[]; // in the order of trust
extern const size_t kv_sources_n;

/*
 * Block ids that a token takes at most, by its config; UNKNOWN. Only of engines that do not
 * tell how many tokens fit: it is for working that out.
 */
uint64_t kv_groups_of(const struct kv_question *q);

/* a * b * c / d, rounded to nearest; UNKNOWN when that is no int64. */
static inline uint64_t kv_scale(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    unsigned __int128 product = (unsigned __int128)a * b, result;

    if (a == UNKNOWN || b == UNKNOWN || c == UNKNOWN ||
        __builtin_mul_overflow(product, (unsigned __int128)c, &product))
        return UNKNOWN;
    result = (product + d / 2) / d;
    return result > INT64_MAX ? UNKNOWN : (uint64_t)result;
}

static inline bool kv_are_counted(const struct engine_page *page)
{
    return page->kv_blocks != UNKNOWN && page->kv_used_blocks != UNKNOWN;
}

/* NULL, or why its blocks do not follow from its model: they are those of another kind. */
static inline const char *kv_doubt_kind(const struct kv_question *q)
{
    const struct engine_kind *kind = q->engine->engine->kind;

    return kind ? kind->shape_why : NULL;
}

#endif
