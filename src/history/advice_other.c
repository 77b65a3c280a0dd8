// SPDX-License-Identifier: Apache-2.0
#include "history/advice_case.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum {
    LOW_HIT_PERCENT = 20,      // below it a prefix cache saves little
    LONG_BLOCK_TOKENS = 128,   // a hit is of whole blocks: few short prompts fill one
    UNIFIED_FREE_PERCENT = 10, // of the host's memory: less is soon none
    SUM_SIZE = 200,
};

#define LOW_HIT_BUSY_MS ADVICE_LEAST_MS // with requests running
#define LOW_HIT_QUERIES 100000.0 // tokens, since the engine began: some prompts' worth

/* Who has prefix caching off counts no queries, and has no hit rate. */
bool advise_hit_rate(const struct advice_case *it, struct advice *ret)
{
    const struct observation *seen = it->seen;
    const struct engine_page *page = &it->model->page;

    if (!(seen->hit_percent < LOW_HIT_PERCENT) || seen->busy_ms < LOW_HIT_BUSY_MS ||
        !(page->prefix.queries >= LOW_HIT_QUERIES) || page->prefix_from_ratio)
        return false;
    advice_begin(it, ADVICE_LOW_HIT_RATE, SEVERITY_INFO, ret);
    advice_title(ret, "%.1f %% of prompt tokens are found in the prefix cache",
                 seen->hit_percent);
    advice_tell_observed(it, ret);
    advice_line(ret, "with requests running%s: %" PRIu64 " s / 3600 = %.2f hours",
                seen->from_slots ? ", at most" : "", seen->busy_ms / 1000,
                (double)seen->busy_ms / 3.6e6);
    advice_line(ret, "hit rate while there were queries: %.2f %%, below %d %%",
                seen->hit_percent, LOW_HIT_PERCENT);
    advice_line(ret, "since the engine began: %.0f of %.0f tokens were found",
                page->prefix.hits, page->prefix.queries);
    advice_text(ret, "A prompt hits as far as it begins like an earlier one: put what is "
                     "the same (instructions, documents) before what differs, and send "
                     "turns of one conversation to the same server.");
    if (page->kv_block_tokens != UNKNOWN && page->kv_block_tokens >= LONG_BLOCK_TOKENS)
        advice_text(ret,
                    " Only whole blocks are found, and one is %" PRIu64
                    " tokens here: a shorter beginning never is.",
                    page->kv_block_tokens);
    if (advice_is_short(it))
        advice_text(ret,
                    " The pool was full at times, so that cached prefixes gave way.");
    return true;
}

static bool is_on(const struct snapshot_model *model, uint32_t device)
{
    return model->devices >> device & 1;
}

/* Of those on the device, the one seen longest; NULL: none was seen long enough. */
static const struct advice_case *longest_on(const struct advice_cases *all,
                                            uint32_t device)
{
    const struct advice_case *longest = NULL;

    for (size_t i = 0; i < all->n; i++)
        if (is_on(all->at[i].model, device) &&
            (!longest || all->at[i].seen->observed_ms > longest->seen->observed_ms))
            longest = &all->at[i];
    return longest;
}

/* Of a device, not of a model. */
static void begin_on(const struct advice_case *longest, enum advice_kind kind,
                     uint32_t device, struct advice *ret)
{
    advice_begin(longest, kind, SEVERITY_WARNING, ret);
    ret->served_name[0] = '\0';
    ret->port = 0;
    memcpy(ret->device, longest->snapshot->devices[device].uuid, sizeof(ret->device));
}

/*
 * Its part of each of its GPUs, which has to be free when it starts; NAN: not known. Only
 * releases that can be ordered a pool in bytes are sure to look for it: older ones counted
 * what others hold as a part of their own share.
 */
static double share_of(const struct snapshot_model *model, uint32_t device)
{
    if (!is_on(model, device) || !model->page.kv_memory_option)
        return (double)NAN;
    return model->page.gpu_memory_utilization;
}

/* "0.600 + 0.500", with their sum in thousandths, and how many they are. */
struct shares {
    char terms[SUM_SIZE]; // "": they are too many for a line
    uint64_t sum;
    size_t n;
};

static struct shares shares_on(const struct snapshot *snapshot, uint32_t device)
{
    struct shares shares = {.n = 0};
    size_t len = 0;

    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        double share = share_of(&snapshot->models[i], device);

        if (isnan(share))
            continue;
        if (len < sizeof(shares.terms))
            len += (size_t)snprintf(shares.terms + len, sizeof(shares.terms) - len,
                                    "%s%.3f", shares.n ? " + " : "", share);
        shares.sum += (uint64_t)lround(share * ADVICE_THOUSAND);
        shares.n++;
    }
    if (len >= sizeof(shares.terms))
        shares.terms[0] = '\0';
    return shares;
}

static const struct event *find_collision(const struct snapshot *snapshot,
                                          uint32_t device)
{
    for (uint32_t i = snapshot->n_events; i-- > 0;) {
        const struct event *event = &snapshot->events[i];

        if (event->kind == EVENT_START_COLLISION && event->device[0] &&
            strcmp(event->device, snapshot->devices[device].uuid) == 0)
            return event;
    }
    return NULL;
}

static void tell_shares(const struct snapshot *snapshot, uint32_t device,
                        struct advice *ret)
{
    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        const struct snapshot_model *model = &snapshot->models[i];

        if (!isnan(share_of(model, device)))
            advice_line(ret, "%s, port %u: --gpu-memory-utilization %.3f",
                        advice_name(model).text, (unsigned)model->port,
                        model->page.gpu_memory_utilization);
    }
}

bool advise_start(const struct advice_cases *all, uint32_t device, struct advice *ret)
{
    const struct advice_case *longest = longest_on(all, device);
    const struct event *collision = find_collision(all->snapshot, device);
    struct shares shares = shares_on(all->snapshot, device);
    bool too_much = shares.n > 1 && shares.sum > ADVICE_THOUSAND;

    if (!longest || (!too_much && !collision))
        return false;
    begin_on(longest, ADVICE_START_COLLISION, device, ret);
    if (too_much) {
        advice_title(ret, "The shares of %zu engines on one GPU add up to %.3f", shares.n,
                     (double)shares.sum / ADVICE_THOUSAND);
        advice_line(ret, "shares of this GPU: %s%s%.3f, more than 1", shares.terms,
                    shares.terms[0] ? " = " : "", (double)shares.sum / ADVICE_THOUSAND);
        tell_shares(all->snapshot, device, ret);
        advice_text(ret, "vLLM starts only where its share of the GPU is free: started "
                         "again, one of them may find that the others hold it. Give them "
                         "shares that add up to no more than 1.");
    } else {
        advice_title(ret, "Engines on one GPU were started at the same time");
    }
    if (collision)
        advice_text(ret,
                    "%sTwo were seen starting at once: each measures what is free while "
                    "the other takes it. Start the next when the one before is ready.",
                    *ret->text ? " " : "");
    return true;
}

static bool is_ordered_in_bytes(const struct snapshot *snapshot, uint32_t device)
{
    for (uint32_t i = 0; i < snapshot->n_models; i++)
        if (is_on(&snapshot->models[i], device) &&
            snapshot->models[i].page.kv_memory_bytes == UNKNOWN)
            return false;
    return true;
}

bool advise_unified(const struct advice_cases *all, uint32_t device, struct advice *ret)
{
    const struct snapshot_device *it = &all->snapshot->devices[device];
    const struct advice_case *longest = longest_on(all, device);
    uint64_t total = it->mem_total_bytes, used = it->mem_used_bytes, free;
    bool scarce;

    if (!it->unified || !longest || total == UNKNOWN || used == UNKNOWN || used > total ||
        it->kv_pool_bytes.how == FROM_NOWHERE)
        return false;
    free = total - used;
    scarce = free < total / 100 * UNIFIED_FREE_PERCENT;
    if (!scarce && is_ordered_in_bytes(all->snapshot, device))
        return false;
    begin_on(longest, ADVICE_UNIFIED_MEMORY, device, ret);
    ret->severity = scarce ? SEVERITY_WARNING : SEVERITY_INFO;
    advice_title(ret, "KV pools of %s are in the host's own memory",
                 advice_gib(it->kv_pool_bytes.value).text);
    advice_line(ret,
                "free of the host's memory: %" PRIu64 " - %" PRIu64 " = %" PRIu64
                " bytes (%s)",
                total, used, free, advice_gib(free).text);
    advice_line(ret, "KV pools of its models: %" PRIu64 " bytes (%s)",
                it->kv_pool_bytes.value, advice_gib(it->kv_pool_bytes.value).text);
    advice_text(ret,
                "This GPU has no memory of its own: a KV pool takes what programs and "
                "the file cache of the host would have, and what they hold when "
                "vLLM starts changes the pool it makes. Order its size in bytes "
                "(--kv-cache-memory-bytes) rather than as a share of all memory.");
    return true;
}
