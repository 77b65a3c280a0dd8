// SPDX-License-Identifier: Apache-2.0
#include "history/advice_case.h"

#include <inttypes.h>
#include <math.h>

#define BURSTY 1.5         // times what would do 99.9 % of the time
#define CACHING_PERCENT 20 // of hits, from which on prefixes kept are worth a word

static void tell_need(const struct advice_case *it, struct advice *ret)
{
    const struct engine_page *page = &it->model->page;
    uint64_t used = MIN(it->used_blocks, it->blocks);
    uint64_t spared = (used * (100 + ADVICE_MARGIN_PERCENT) + 99) / 100;

    advice_line(
        ret, "with %d %% to spare: %" PRIu64 " x %.2f = %" PRIu64 " blocks, rounded up",
        ADVICE_MARGIN_PERCENT, used, 1 + ADVICE_MARGIN_PERCENT / 100.0, spared);
    if (page->kv_size_tokens != UNKNOWN && page->kv_size_tokens > 0)
        advice_line(ret,
                    "one request of %" PRIu64 " tokens: %" PRIu64 " x %" PRIu64
                    " / %" PRIu64 " = %" PRIu64 " blocks, as the engine counts them",
                    it->model->max_model_len, it->blocks, it->model->max_model_len,
                    page->kv_size_tokens, it->request_blocks);
    else if (it->model->kv_groups == 1)
        advice_line(ret,
                    "one request of %" PRIu64 " tokens: %" PRIu64 " / %" PRIu64
                    " = %" PRIu64 " blocks, rounded up",
                    it->model->max_model_len, it->model->max_model_len,
                    page->kv_block_tokens, it->request_blocks);
    else
        advice_line(ret,
                    "one request of %" PRIu64 " tokens, at most: (%" PRIu64
                    " + 1) x %" PRIu64 " groups of layers = %" PRIu64 " blocks",
                    it->model->max_model_len,
                    it->request_blocks / it->model->kv_groups - 1, it->model->kv_groups,
                    it->request_blocks);
    advice_line(ret,
                "the larger, and one that vLLM keeps back: %" PRIu64 " + 1 = %" PRIu64
                " blocks",
                it->need_blocks - 1, it->need_blocks);
}

static void tell_freed(const struct advice_case *it, struct advice *ret)
{
    uint64_t size = advice_size_bytes(it, it->need_blocks);

    ret->freed_bytes = advice_size_frees(it, it->need_blocks);
    if (it->error > 0)
        advice_line(ret,
                    "frees on each GPU, at least: %" PRIu64 " - %" PRIu64 " - %" PRIu64
                    " = %" PRIu64 " bytes (%s)",
                    it->pool, it->error, size, ret->freed_bytes,
                    advice_gib(ret->freed_bytes).text);
    else
        advice_line(
            ret, "frees on each GPU: %" PRIu64 " - %" PRIu64 " = %" PRIu64 " bytes (%s)",
            it->pool, size, ret->freed_bytes, advice_gib(ret->freed_bytes).text);
}

/* What a model takes on each of its GPUs when its pool is what it needs; UNKNOWN. */
static uint64_t takes_at_need(const struct advice_case *it)
{
    if (!it->is_sized || it->need_blocks == UNKNOWN || it->held == UNKNOWN ||
        it->held < it->pool)
        return UNKNOWN;
    return it->held - (it->pool - it->error) + advice_size_bytes(it, it->need_blocks);
}

static bool fits(const struct advice_case *candidate, const struct advice_case *it,
                 uint64_t room)
{
    uint64_t takes = takes_at_need(candidate);

    return takes != UNKNOWN && takes <= room && candidate->gpus <= it->gpus;
}

/* Another copy of it; else the largest of the others. NULL: none that is known. */
static const struct advice_case *who_fits(const struct advice_cases *all,
                                          const struct advice_case *it, uint64_t room)
{
    const struct advice_case *best = NULL;

    if (fits(it, it, room))
        return it;
    for (size_t i = 0; i < all->n; i++)
        if (fits(&all->at[i], it, room) &&
            (!best || takes_at_need(&all->at[i]) > takes_at_need(best)))
            best = &all->at[i];
    return best;
}

/* Which further model there would be room for. */
static void tell_who_fits(const struct advice_cases *all, const struct advice_case *it,
                          struct advice *ret)
{
    const struct snapshot_device *device = advice_tightest(it);
    const struct advice_case *who;
    uint64_t free, slack, room;

    if (!device)
        return;
    free = add_saturating(advice_device_free(device), ret->freed_bytes);
    slack = advice_device_slack(device);
    if (free == UNKNOWN || free <= slack)
        return;
    room = free - slack;
    advice_line(ret,
                "room then on its fullest GPU, less %d %% of it: %" PRIu64 " + %" PRIu64
                " - %" PRIu64 " = %" PRIu64 " bytes (%s)",
                ADVICE_SLACK_PERCENT, advice_device_free(device), ret->freed_bytes, slack,
                room, advice_gib(room).text);
    who = who_fits(all, it, room);
    if (!who)
        return;
    advice_line(ret,
                "%s%s takes on each GPU: %" PRIu64 " - %s + %" PRIu64 " = %" PRIu64
                " bytes (%s)",
                who == it ? "another copy" : "a copy of ",
                who == it ? "" : advice_name(who->model).text, who->held,
                advice_least_pool(who).text, advice_size_bytes(who, who->need_blocks),
                takes_at_need(who), advice_gib(takes_at_need(who)).text);
    advice_text(ret, " There would then be room for %s%s.",
                who == it ? "another copy of it" : "a copy of ",
                who == it ? "" : advice_name(who->model).text);
}

static void tell_in_words(const struct advice_case *it, struct advice *ret)
{
    uint64_t size = advice_size_bytes(it, it->need_blocks);
    const struct observation *seen = it->seen;

    advice_title(ret, "A KV pool of %s would do, in place of %s", advice_gib(size).text,
                 advice_gib(it->pool).text);
    advice_text(ret, "In %s its requests never held more than %.1f %% of its KV pool.",
                advice_time(seen->observed_ms).text,
                100 * (double)seen->kv_used_max / (double)seen->kv_pool_bytes);
    if (seen->kv_used_p999 != UNKNOWN &&
        (double)seen->kv_used_max > BURSTY * (double)seen->kv_used_p999)
        advice_text(
            ret,
            " It comes in bursts: 99.9 %% of the time %.1f %% were enough, but the "
            "size advised has room for the largest burst.",
            100 * (double)seen->kv_used_p999 / (double)seen->kv_pool_bytes);
    if (it->need_blocks == it->request_blocks + 1)
        advice_text(ret, " The size advised is that of one request of its greatest "
                         "length; a smaller --max-model-len would allow less.");
}

/* What there is to know before one does it. */
static void tell_cautions(const struct advice_case *it, struct advice *ret)
{
    if (it->seen->hit_percent >= CACHING_PERCENT)
        advice_text(ret,
                    " Prefixes are cached in what requests leave of the pool: of %.0f %% "
                    "hits there may be fewer.",
                    it->seen->hit_percent);
    if (isnan(ret->gpu_memory_utilization))
        return;
    if (ret->kv_bytes_per_gpu == UNKNOWN)
        advice_text(ret,
                    " --gpu-memory-utilization is lower by what the pool is smaller: "
                    "all else, what other processes hold too, is taken to be as it "
                    "was when the server started.");
    else
        advice_text(ret,
                    " --gpu-memory-utilization takes the rest (weights, activations, "
                    "graphs) as measured now and is there for vLLM's check at its "
                    "start: the pool is what the bytes say.");
}

bool advise_shrink(const struct advice_cases *all, const struct advice_case *it,
                   struct advice *ret)
{
    uint64_t blocks = advice_shrunk_blocks(it);

    if (blocks == UNKNOWN)
        return false;
    advice_begin(it, ADVICE_SHRINK, SEVERITY_INFO, ret);
    tell_in_words(it, ret);
    advice_tell_observed(it, ret);
    advice_tell_pool(it, ret);
    tell_need(it, ret);
    advice_tell_size(it, blocks, ret);
    tell_freed(it, ret);
    tell_who_fits(all, it, ret);
    advice_tell_command(it, blocks, ret);
    tell_cautions(it, ret);
    return true;
}
