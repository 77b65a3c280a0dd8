// SPDX-License-Identifier: Apache-2.0
#include "history/watch_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum {
    SIZE_TEXT = 80,
    SETTLE_MS = 2 * 1000, // an engine says that it sleeps once it does
};

/* ---- Pages ---- */

/* What counts anew is counted from where the counter is now, with what was counted. */
static void shift_counter(struct track *track, uint64_t count)
{
    uint64_t counted =
        track->preemptions == UNKNOWN ? 0 : track->preemptions - track->resting_at;

    track->resting_at = count - counted; // modulo 2^64, as the difference is told
    track->preemptions = count;
}

static bool tell_preempting(struct watch *watch, const struct track *track, bool begins)
{
    uint64_t count = track->preemptions - track->resting_at;
    uint64_t took_ns = track->preempted_ns - MIN(track->resting_ns, track->preempted_ns);
    char place[WATCH_PLACE_SIZE], passed[WATCH_TIME_SIZE];

    watch_place(place, track);
    watch_time(passed, took_ns);
    if (begins)
        return watch_tell(watch, EVENT_PREEMPTING, watch_about(track),
                          "%s preempts requests: %" PRIu64 " in %s", place, count,
                          passed);
    return watch_tell(watch, EVENT_PREEMPTING_OVER, watch_about(track),
                      "%s preempts no more: it was %" PRIu64 " in %s", place, count,
                      passed);
}

static void see_preemptions(struct watch *watch, struct track *track)
{
    const struct engine_page *page = &track->row->page;
    uint64_t count = page->preemptions, page_ns = track->row->page_ns;
    bool preempting;

    if (count == UNKNOWN)
        return;
    if (track->preemptions == UNKNOWN || count < track->preemptions ||
        page->engines != track->page_engines)
        shift_counter(track, count);
    if (count > track->preemptions)
        track->preempted_ns = page_ns;
    track->preemptions = count;
    preempting = track->preempted_ns &&
                 (page_ns - track->preempted_ns) / NS_PER_MS < WATCH_PREEMPTING_MS;
    if (condition_is_due(&track->preempting, preempting, 0, watch->now_ns) &&
        tell_preempting(watch, track, preempting))
        condition_was_told(&track->preempting, watch->now_ns);
    if (preempting || track->preempting.told)
        return;
    track->resting_at = count;
    track->resting_ns = page_ns;
    track->preempted_ns = 0;
}

static bool tell_kv_high(struct watch *watch, const struct track *track, bool high)
{
    const struct snapshot_model *row = track->row;
    char place[WATCH_PLACE_SIZE], used[WATCH_BYTES_SIZE], pool[WATCH_BYTES_SIZE];
    char bytes[SIZE_TEXT] = "";

    watch_place(place, track);
    if (row->kv_used_bytes.how != FROM_NOWHERE && row->kv_pool_bytes.how != FROM_NOWHERE)
        (void)snprintf(bytes, sizeof(bytes), ", %s of %s",
                       watch_bytes(used, row->kv_used_bytes.value),
                       watch_bytes(pool, row->kv_pool_bytes.value));
    if (high)
        return watch_tell(watch, EVENT_KV_HIGH, watch_about(track),
                          "%s: KV cache above %d %% for %d s: %.0f %%%s", place,
                          WATCH_KV_HIGH_PERCENT, WATCH_KV_MS / 1000,
                          100 * row->page.kv_usage_ratio, bytes);
    return watch_tell(watch, EVENT_KV_HIGH_OVER, watch_about(track),
                      "%s: KV cache below %d %% for %d s: %.0f %%%s", place,
                      WATCH_KV_LOW_PERCENT, WATCH_KV_MS / 1000,
                      100 * row->page.kv_usage_ratio, bytes);
}

/* Where nothing was known for longer than the slowest pace, its minute begins anew. */
static void see_kv_high(struct watch *watch, struct track *track)
{
    double percent = 100 * track->row->page.kv_usage_ratio;
    bool high = track->kv_high.told ? percent >= WATCH_KV_LOW_PERCENT
                                    : percent >= WATCH_KV_HIGH_PERCENT;

    if (isnan(percent))
        return;
    if (watch_passed_ms(watch, track->kv_seen_ns) > WATCH_GAP_MS)
        track->kv_high.since_ns = 0;
    track->kv_seen_ns = watch->now_ns;
    if (condition_is_due(&track->kv_high, high, WATCH_KV_MS, watch->now_ns) &&
        tell_kv_high(watch, track, high))
        condition_was_told(&track->kv_high, watch->now_ns);
}

/* "10.0 GiB (1000 blocks)" */
static const char *capacity_text(char ret[SIZE_TEXT], struct figure pool, uint64_t blocks)
{
    char size[WATCH_BYTES_SIZE];

    watch_bytes(size, pool.value);
    if (blocks == UNKNOWN)
        (void)snprintf(ret, SIZE_TEXT, "%s", size);
    else if (pool.how == FROM_NOWHERE)
        (void)snprintf(ret, SIZE_TEXT, "%" PRIu64 " blocks", blocks);
    else
        (void)snprintf(ret, SIZE_TEXT, "%s (%" PRIu64 " blocks)", size, blocks);
    return ret;
}

/* Bytes are comparable where the same source says how large a block is. */
static bool has_other_bytes(const struct track *track)
{
    struct figure before = track->pool, now = track->row->kv_pool_bytes;
    const char *source = track->row->kv_source;
    uint64_t difference;

    if (before.how == FROM_NOWHERE || before.how != now.how || !source ||
        !track->pool_source || strcmp(source, track->pool_source) != 0)
        return false;
    difference =
        before.value > now.value ? before.value - now.value : now.value - before.value;
    return difference > add_saturating(before.error, now.error);
}

static void keep_capacity(struct track *track)
{
    const struct snapshot_model *row = track->row;

    if (row->kv_pool_bytes.how != FROM_NOWHERE) {
        track->pool = row->kv_pool_bytes;
        track->pool_source = row->kv_source;
    }
    if (row->page.kv_blocks != UNKNOWN)
        track->blocks = row->page.kv_blocks;
    track->pool_engines = row->page.engines;
    track->pool_known = true;
}

static bool tell_capacity(struct watch *watch, const struct track *track)
{
    const struct snapshot_model *row = track->row;
    char place[WATCH_PLACE_SIZE], before[SIZE_TEXT], now[SIZE_TEXT];

    watch_place(place, track);
    return watch_tell(watch, EVENT_KV_CAPACITY_CHANGED, watch_about(track),
                      "%s: KV capacity %s -> %s", place,
                      capacity_text(before, track->pool, track->blocks),
                      capacity_text(now, row->kv_pool_bytes, row->page.kv_blocks));
}

static bool has_other_capacity(const struct track *track)
{
    uint64_t blocks = track->row->page.kv_blocks;

    return (track->blocks != UNKNOWN && blocks != UNKNOWN && track->blocks != blocks) ||
           has_other_bytes(track);
}

/* How large a block of it is may be found out a little later: that is waited for. */
static bool is_capacity_due(struct watch *watch, struct track *track)
{
    bool waits =
        track->pool.how != FROM_NOWHERE && track->row->kv_pool_bytes.how == FROM_NOWHERE;

    if (track->other_pool_ns == 0)
        track->other_pool_ns = watch->now_ns;
    return (!waits || watch_passed_ms(watch, track->other_pool_ns) >= WATCH_GAP_MS) &&
           pause_is_over(track->capacity_told_ns, watch->now_ns);
}

/* A page that lacks one of its data-parallel engines is about a part of the capacity. */
static void see_capacity(struct watch *watch, struct track *track)
{
    if (track->row->state != ENGINE_READY ||
        (track->pool_engines && track->pool_engines != track->row->page.engines))
        return;
    if (track->pool_known && has_other_capacity(track)) {
        if (!is_capacity_due(watch, track) || !tell_capacity(watch, track))
            return;
        track->capacity_told_ns = watch->now_ns;
    }
    track->other_pool_ns = 0;
    keep_capacity(track);
}

uint64_t page_queries(const struct engine_page *page)
{
    double queries = page->prefix.queries;

    if (page->prefix_from_ratio || !(queries >= 0 && queries < (double)INT64_MAX))
        return UNKNOWN;
    return (uint64_t)queries;
}

/* Once for each page: what was said before is not said again. */
void watch_see_page(struct watch *watch, struct track *track)
{
    const struct snapshot_model *row = track->row;

    if (row->page.engines == 0 || row->page_ns == track->page_ns)
        return;
    see_preemptions(watch, track);
    see_kv_high(watch, track);
    see_capacity(watch, track);
    track->page_ns = row->page_ns;
    track->page_engines = row->page.engines;
    track->queries = page_queries(&row->page);
}

/* ---- Memory ---- */

void watch_tell_drop(struct watch *watch, struct track *track)
{
    char place[WATCH_PLACE_SIZE], from[WATCH_BYTES_SIZE], to[WATCH_BYTES_SIZE];

    if (!pause_is_over(track->drop_told_ns, watch->now_ns))
        return;
    watch_place(place, track);
    if (!watch_tell(watch, EVENT_MEMORY_DROPPED, watch_about(track),
                    "%s: its GPU memory fell from %s to %s", place,
                    watch_bytes(from, track->dropped_from),
                    watch_bytes(to, track->dropped_to)))
        return;
    track->dropped = false;
    track->drop_told_ns = watch->now_ns;
}

/* The more of the two ticks before; UNKNOWN: neither is known. */
static uint64_t held_before(const struct track *track)
{
    uint64_t a = track->held_bytes[0], b = track->held_bytes[1];

    if (a == UNKNOWN || b == UNKNOWN)
        return MIN(a, b);
    return MAX(a, b);
}

static bool is_drop(uint64_t before, uint64_t now)
{
    return now < before && before - now > WATCH_DROP_BYTES &&
           before - now > before / WATCH_DROP_PART;
}

static void note_drop(struct watch *watch, struct track *track, uint64_t bytes)
{
    uint64_t before = held_before(track);

    if (bytes == UNKNOWN)
        return;
    track->dropped = track->dropped && is_drop(track->dropped_from, bytes);
    if (before == UNKNOWN || !is_drop(before, bytes) || !track->was_ready ||
        engine_starts(track->row->state) || track->row->state == ENGINE_SLEEPING)
        return;
    if (!track->dropped) {
        track->dropped_ns = watch->now_ns;
        track->dropped_from = before;
    }
    track->dropped = true;
    track->dropped_to = bytes;
}

/* An engine put to sleep gives memory back before its page says that it sleeps. */
static bool is_drop_due(const struct watch *watch, const struct track *track)
{
    const struct snapshot_model *row = track->row;

    if (row->state == ENGINE_READY && row->page_ns > track->dropped_ns)
        return (row->page_ns - track->dropped_ns) / NS_PER_MS >= SETTLE_MS;
    return watch_passed_ms(watch, track->dropped_ns) >= WATCH_SLEEP_MS;
}

void watch_see_memory(struct watch *watch, struct track *track)
{
    struct figure held = track->row->allocated_bytes;
    uint64_t bytes = held.how == MEASURED ? held.value : UNKNOWN;

    if (!watch->steady)
        track->held_bytes[0] = track->held_bytes[1] = UNKNOWN;
    note_drop(watch, track, bytes);
    track->held_bytes[1] = track->held_bytes[0];
    track->held_bytes[0] = bytes;
    if (track->row->state == ENGINE_SLEEPING)
        track->dropped = false;
    if (track->dropped && is_drop_due(watch, track))
        watch_tell_drop(watch, track);
}
