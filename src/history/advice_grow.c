// SPDX-License-Identifier: Apache-2.0
#include "history/advice_case.h"

#include <inttypes.h>

enum { NAMED_MAX = 4 }; // models that could give

static uint64_t a_step_more(const struct advice_case *it)
{
    return (it->blocks * (100 + ADVICE_STEP_PERCENT) + 99) / 100;
}

/* Blocks that there is room for beside what is there now. */
static uint64_t blocks_in(const struct advice_case *it, uint64_t room)
{
    unsigned __int128 bytes = (unsigned __int128)it->pool - it->error + room;

    return (uint64_t)(bytes * it->blocks / (it->pool + it->error));
}

static void tell_shortness(const struct advice_case *it, struct advice *ret)
{
    const struct observation *seen = it->seen;
    double hours = (double)seen->observed_ms / 3.6e6;

    if (seen->preemptions > 0) {
        advice_line(ret, "preemptions: %.0f / %.2f hours = %.1f an hour",
                    seen->preemptions, hours, seen->preemptions / hours);
        advice_text(ret,
                    "In %s %.0f requests were preempted: their blocks were taken from "
                    "them, and what was in them is computed again.",
                    advice_time(seen->observed_ms).text, seen->preemptions);
    }
    if (seen->full_ms >= ADVICE_FULL_LEAST_MS) {
        advice_line(
            ret,
            "%d %% or more in use with requests waiting%s: 100 x %.1f s / %.1f s = "
            "%.2f %% of the time",
            OBSERVATION_FULL_PERCENT, seen->from_slots ? ", at most" : "",
            (double)seen->full_ms / 1000, (double)seen->observed_ms / 1000,
            100 * (double)seen->full_ms / (double)seen->observed_ms);
        advice_text(ret, "%sFor %s%.0f s of %s requests waited before a full KV pool.",
                    *ret->text ? " " : "", seen->from_slots ? "up to " : "",
                    (double)seen->full_ms / 1000, advice_time(seen->observed_ms).text);
    }
    advice_text(ret,
                " How much they would need cannot be seen from a pool that is full.");
}

/* Models on the same GPUs that have more than they need. */
static void tell_who_could_give(const struct advice_cases *all,
                                const struct advice_case *it, struct advice *ret)
{
    unsigned named = 0;

    for (size_t i = 0; i < all->n && named < NAMED_MAX; i++) {
        const struct advice_case *other = &all->at[i];
        uint64_t blocks = advice_shrunk_blocks(other), frees;

        if (blocks == UNKNOWN || !(other->model->devices & it->model->devices))
            continue;
        named++;
        frees = advice_size_frees(other, blocks);
        advice_line(ret, "%s, port %u, could give: %" PRIu64 " bytes (%s) of each GPU",
                    advice_name(other->model).text, (unsigned)other->model->port, frees,
                    advice_gib(frees).text);
        advice_text(ret, " %s on port %u could give %s.", advice_name(other->model).text,
                    (unsigned)other->model->port, advice_gib(frees).text);
    }
}

static void tell_room(const struct snapshot_device *device, struct advice *ret)
{
    uint64_t free = advice_device_free(device), slack = advice_device_slack(device);

    if (free < slack)
        advice_line(ret,
                    "free on its fullest GPU: %" PRIu64
                    " bytes (%s), less than the %d %% "
                    "to be left alone",
                    free, advice_gib(free).text, ADVICE_SLACK_PERCENT);
    else
        advice_line(ret,
                    "room on its fullest GPU, less %d %% of it: %" PRIu64 " - %" PRIu64
                    " = %" PRIu64 " bytes (%s)",
                    ADVICE_SLACK_PERCENT, free, slack, free - slack,
                    advice_gib(free - slack).text);
}

static void tell_step(const struct advice_case *it, struct advice *ret)
{
    uint64_t blocks = a_step_more(it);
    uint64_t takes = advice_size_takes(it, blocks);

    advice_line(
        ret, "a step of %d %% more: %" PRIu64 " x %.2f = %" PRIu64 " blocks, rounded up",
        ADVICE_STEP_PERCENT, it->blocks, 1 + ADVICE_STEP_PERCENT / 100.0, blocks);
    advice_tell_size(it, blocks, ret);
    advice_line(ret, "takes on each GPU, at most: %" PRIu64 " bytes (%s) more", takes,
                advice_gib(takes).text);
}

/* A step, or what there is room for; UNKNOWN: too little. */
static uint64_t grown_blocks(const struct advice_case *it, uint64_t room)
{
    uint64_t step = a_step_more(it), most = MIN(step, blocks_in(it, room));

    if (most * 100 < it->blocks * (100 + ADVICE_STEP_LEAST_PERCENT))
        return UNKNOWN;
    return most;
}

static void tell_size(const struct advice_cases *all, const struct advice_case *it,
                      struct advice *ret)
{
    const struct snapshot_device *device = advice_tightest(it);
    uint64_t room, blocks, size;

    tell_step(it, ret);
    if (!device) {
        advice_text(ret, " What is free on its GPUs is not known.");
        return;
    }
    tell_room(device, ret);
    room = advice_device_room(device);
    blocks = grown_blocks(it, room);
    if (blocks == UNKNOWN) {
        advice_text(ret, " There is no room for more on its GPU.");
        tell_who_could_give(all, it, ret);
        return;
    }
    size = advice_size_bytes(it, blocks);
    advice_title(ret, "KV pool too small: try %s in place of %s", advice_gib(size).text,
                 advice_gib(it->pool).text);
    if (blocks < a_step_more(it)) {
        advice_line(ret, "what there is room for: %" PRIu64 " blocks", blocks);
        advice_tell_size(it, blocks, ret);
        tell_who_could_give(all, it, ret);
    }
    advice_text(ret, " %s is a step; look again after it.", advice_gib(size).text);
    advice_tell_command(it, blocks, ret);
}

static bool is_often_short(const struct observation *seen)
{
    double hours = (double)seen->observed_ms / 3.6e6;

    return seen->preemptions >= ADVICE_PREEMPTIONS_AN_HOUR * hours || // NAN is not
           (seen->full_ms >= ADVICE_FULL_LEAST_MS &&
            seen->full_ms >= seen->observed_ms / ADVICE_FULL_LEAST_PART);
}

bool advise_grow(const struct advice_cases *all, const struct advice_case *it,
                 struct advice *ret)
{
    if (!advice_is_short(it) || !is_often_short(it->seen))
        return false;
    advice_begin(it, ADVICE_GROW, SEVERITY_WARNING, ret);
    advice_title(ret, "KV pool too small for its requests");
    advice_tell_observed(it, ret);
    tell_shortness(it, ret);
    if (it->is_sized) {
        advice_tell_pool(it, ret);
        tell_size(all, it, ret);
    }
    if (!ret->command[0])
        advice_text(ret, " Fewer requests at a time (--max-num-seqs), shorter ones "
                         "(--max-model-len) or --kv-cache-dtype fp8 need less.");
    return true;
}
