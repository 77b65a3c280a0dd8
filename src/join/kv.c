// SPDX-License-Identifier: Apache-2.0
#include "join/kv.h"

#include <math.h>

#include "join/kv_sources.h"

static uint64_t gpus_per_engine(const struct join_engine *engine, uint32_t gpus_seen,
                                const char **ret_why)
{
    uint64_t gpus = engine->gpus != UNKNOWN ? engine->gpus : gpus_seen;
    uint32_t engines = engine->engine->page.engines;

    if (gpus == 0)
        *ret_why =
            "on how many GPUs it runs is not visible: set `gpus` in the config file";
    else if (gpus % engines != 0)
        *ret_why = "its GPUs do not divide evenly among its data-parallel engines";
    else
        return gpus / engines;
    return 0;
}

static const char NOT_TOLD_APART[] =
    "vLLM does not tell cached blocks without a request from free ones";
static const char NOT_TOLD[] = "what is cached and held by no request is not told";

static void all_unknown(struct kv_bytes *kv, const char *why)
{
    kv->used = kv->pool = figure_unknown(why);
}

/* The answer as figures over all engines. */
static void apply(const struct kv_question *q, const struct kv_answer *answer,
                  struct kv_bytes *ret)
{
    const struct engine_page *page = q->page;
    struct figure *used = &ret->used, *pool = &ret->pool;

    *used = *pool = figure_of(UNKNOWN, answer->how, answer->caveat);
    pool->error = kv_scale(answer->error, page->engines, 1, 1);
    if (answer->block_bytes != UNKNOWN)
        pool->value = kv_scale(page->kv_blocks, answer->block_bytes, 1, 1);
    else
        pool->value = kv_scale(answer->pool_bytes, page->engines, 1, 1);
    if (pool->value == UNKNOWN)
        return;

    used->error = pool->error == UNKNOWN
                      ? UNKNOWN
                      : (uint64_t)ceil(page->kv_usage_ratio * (double)pool->error);
    if (answer->used_bytes != UNKNOWN)
        used->value = answer->used_bytes;
    else if (answer->block_bytes != UNKNOWN)
        used->value = kv_scale(page->kv_used_blocks, answer->block_bytes, 1, 1);
    else if (kv_are_counted(page))
        used->value = kv_scale(page->kv_used_blocks, pool->value, 1, page->kv_blocks);
    else {
        used->value = (uint64_t)round(page->kv_usage_ratio * (double)pool->value);
        used->how = ESTIMATED;
        used->error = UNKNOWN;
        used->why =
            used->why ? used->why : "by the ratio alone: its blocks are not known";
    }
}

/* NULL, or why such a pool cannot be. */
static const char *contradiction(const struct kv_question *q, const struct kv_bytes *kv)
{
    if (kv->pool.value == UNKNOWN || kv->used.value == UNKNOWN ||
        kv->pool.value > q->holder->limit_bytes)
        return "its KV pool would be larger than all GPUs: not believed";
    if (kv->used.value > kv->pool.value)
        return "more of its KV pool would be in use than there is: not believed";
    if (kv->pool.value > q->holder->held_bytes)
        return "its KV pool would be larger than what its processes hold: not believed";
    return NULL;
}

static const struct kv_answer no_answer = {UNKNOWN, UNKNOWN, UNKNOWN, 0,
                                           DERIVED, NULL,    false};

/* Ask one after the other. Of the reasons of those that cannot answer the first counts. */
static void ask_all(const struct kv_question *q, struct kv_bytes *ret)
{
    const char *first_why = NULL;

    for (size_t i = 0; i < kv_sources_n; i++) {
        struct kv_answer answer = no_answer;
        const char *why = NULL;

        if (kv_sources[i].ask(q, &answer, &why)) {
            apply(q, &answer, ret);
            why = contradiction(q, ret);
            if (!why) {
                ret->source = kv_sources[i].name;
                ret->same_on_each_gpu = answer.same_on_each_gpu;
                return;
            }
        }
        first_why = first_why ? first_why : why;
    }
    all_unknown(ret, first_why ? first_why
                               : "the size of its KV blocks is not known: set "
                                 "`kv_bytes_per_block` in the config file");
}

/* One build counts it, per rank; vLLM itself does not tell. */
static struct figure retained_of(const struct kv_question *q)
{
    uint64_t bytes = q->page->kv_retained_bytes;

    if (bytes == UNKNOWN)
        return figure_unknown(kv_doubt_kind(q) ? NOT_TOLD : NOT_TOLD_APART);
    if (q->gpus == 0)
        return figure_unknown(q->gpus_why);
    return figure_of(kv_scale(bytes, q->gpus, 1, 1), BY_ENGINE, NULL);
}

struct kv_bytes kv_bytes_of(const struct join_engine *engine,
                            const struct kv_holder *holder, uint64_t now_ns)
{
    const struct engine_page *page = &engine->engine->page;
    struct kv_question q = {.engine = engine, .page = page, .holder = holder};
    struct kv_bytes kv = {.retained = figure_unknown(NOT_TOLD_APART), .groups = UNKNOWN};

    all_unknown(&kv, "the engine has not told its KV-cache usage");
    if (!engine_has_figures(engine->engine, now_ns) || page->engines == 0)
        return kv;
    if (page->asleep) {
        kv.used = kv.pool = figure_of(0, BY_ENGINE, "asleep: its KV pool is unmapped");
        return kv;
    }
    if (isnan(page->kv_usage_ratio)) {
        all_unknown(&kv, page->kv_why);
        return kv;
    }

    q.gpus = gpus_per_engine(engine, holder->gpus, &q.gpus_why);
    ask_all(&q, &kv);
    if (page->kv_caveat && kv.used.how != FROM_NOWHERE) {
        kv.used.how = ESTIMATED;
        kv.used.why = page->kv_caveat;
        kv.used.error = UNKNOWN;
    }
    kv.retained = retained_of(&q);
    kv.groups = kv_groups_of(&q);
    if (kv.used.how == FROM_NOWHERE && page->kv_usage_ratio <= 0)
        kv.used = figure_of(0, DERIVED, "no block is held by a request");
    return kv;
}
