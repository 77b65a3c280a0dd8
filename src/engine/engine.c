// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <math.h>
#include <stdio.h>

static const char *const state_names[ENGINE_STATES] = {
    [ENGINE_LOADING] = "loading",
    [ENGINE_STARTING] = "starting",
    [ENGINE_READY] = "ready",
    [ENGINE_SLEEPING] = "sleeping",
    [ENGINE_METRICS_DISABLED] = "metrics-disabled",
    [ENGINE_UNREACHABLE] = "unreachable",
};

const char *engine_state_name(enum engine_state state)
{
    return state < ENGINE_STATES ? state_names[state] : "?";
}

void engine_page_clear(struct engine_page *page)
{
    *page = (struct engine_page){
        .kv_usage_ratio = (double)NAN,
        .kv_used_blocks = UNKNOWN,
        .kv_blocks = UNKNOWN,
        .kv_block_tokens = UNKNOWN,
        .kv_size_tokens = UNKNOWN,
        .kv_memory_bytes = UNKNOWN,
        .gpu_memory_utilization = (double)NAN,
        .kv_told_bytes = UNKNOWN,
        .kv_told_error = UNKNOWN,
        .kv_capacity_bytes = UNKNOWN,
        .kv_active_bytes = UNKNOWN,
        .kv_retained_bytes = UNKNOWN,
        .requests_running = UNKNOWN,
        .requests_waiting = UNKNOWN,
        .preemptions = UNKNOWN,
        .prefix = {(double)NAN, (double)NAN},
    };
}

void engine_init(struct engine *engine, const char *url, uint16_t port,
                 uint64_t interval_ns)
{
    *engine = (struct engine){.port = port,
                              .state = ENGINE_STARTING,
                              .interval_ns = interval_ns,
                              .pace_ns = interval_ns};
    (void)snprintf(engine->url, sizeof(engine->url), "%s", url);
    engine_page_clear(&engine->page);
    hit_window_init(&engine->minute, 1);
    hit_window_init(&engine->five_minutes, 5);
}

/* The quickest recent answer is the cost; slower ones waited for the server's own work. */
static void set_pace(struct engine *engine, uint64_t took_ns)
{
    uint64_t quickest = UINT64_MAX;

    engine->recent_ns[engine->n_recent++ % ENGINE_RECENT] = took_ns;
    for (uint32_t i = 0; i < MIN(engine->n_recent, (uint32_t)ENGINE_RECENT); i++)
        quickest = MIN(quickest, engine->recent_ns[i]);
    quickest = MIN(quickest, ENGINE_PACE_MAX_NS / ENGINE_PACE_FACTOR);
    engine->pace_ns = MAX(engine->interval_ns, quickest * ENGINE_PACE_FACTOR);
}

static void read_windows(struct engine *engine, struct hit_counts counts, uint64_t now_ns)
{
    hit_window_read(&engine->minute, counts, now_ns);
    hit_window_read(&engine->five_minutes, counts, now_ns);
}

void engine_take_page(struct engine *engine, const struct engine_page *page,
                      uint64_t took_ns, uint64_t now_ns)
{
    engine->page = *page;
    engine->page_ns = now_ns;
    engine->scrapes.read++;
    engine->strange = 0;
    engine->answered = true;
    engine->nobody_listens = false;
    engine->state = page->asleep ? ENGINE_SLEEPING : ENGINE_READY;
    (void)snprintf(engine->why, sizeof(engine->why), "%s",
                   page->asleep ? "put to sleep: weights offloaded or dropped" : "");
    if (!isnan(page->prefix.queries) && !page->prefix_from_ratio)
        read_windows(engine, page->prefix, now_ns);
    set_pace(engine, took_ns);
    engine->due_ns = now_ns - MIN(took_ns, now_ns) + engine->pace_ns;
}

/*
 * Whoever was not named to us, and has not yet shown that it is an engine, may be anything:
 * it is asked ever more rarely, and in the end not at all. One that says nothing may be
 * a busy engine, and is not given up.
 */
static void leave_alone(struct engine *engine, enum engine_failure failure,
                        uint64_t now_ns)
{
    uint64_t wait_ns;

    if (!engine->unnamed || engine->page_ns)
        return;
    engine->strange += engine->strange < ENGINE_STRANGE_MAX;
    wait_ns = engine->pace_ns << (2 * engine->strange);
    if (failure == ENGINE_FAIL_SILENT)
        engine->due_ns = now_ns + MIN(wait_ns, ENGINE_SILENT_MAX_NS);
    else if (engine->strange == ENGINE_STRANGE_MAX)
        engine->due_ns = UINT64_MAX;
    else
        engine->due_ns = now_ns + wait_ns;
}

void engine_take_failure(struct engine *engine, enum engine_failure failure,
                         const char *why, uint64_t now_ns)
{
    bool starting = (failure == ENGINE_FAIL_SILENT || failure == ENGINE_FAIL_NOT_YET) &&
                    !engine->answered;

    engine->scrapes.failed++;
    engine->nobody_listens = failure == ENGINE_FAIL_REFUSED;
    engine->answered = engine->answered || failure == ENGINE_FAIL_DISABLED;
    if (failure == ENGINE_FAIL_DISABLED)
        engine->state = ENGINE_METRICS_DISABLED;
    else
        engine->state = starting ? ENGINE_STARTING : ENGINE_UNREACHABLE;
    (void)snprintf(engine->why, sizeof(engine->why), "%s", why);
    // A resolver that does not answer keeps a thread of its own waiting each time.
    engine->due_ns = now_ns + (failure == ENGINE_FAIL_UNRESOLVED ? ENGINE_PACE_MAX_NS
                                                                 : engine->pace_ns);
    if (failure == ENGINE_FAIL_DISABLED || failure == ENGINE_FAIL_OTHER ||
        failure == ENGINE_FAIL_SILENT)
        leave_alone(engine, failure, now_ns);
}

void engine_restarted(struct engine *engine)
{
    engine->state = ENGINE_STARTING;
    (void)snprintf(engine->why, sizeof(engine->why), "restarted");
    engine->answered = false;
    engine->nobody_listens = false;
    engine->n_recent = 0;
    engine->strange = 0;
    engine->pace_ns = engine->interval_ns;
    engine->due_ns = 0;
    engine->page_ns = 0;
    engine_page_clear(&engine->page);
    hit_window_reset(&engine->minute);
    hit_window_reset(&engine->five_minutes);
}

bool engine_is_due(const struct engine *engine, uint64_t now_ns)
{
    return now_ns + engine->interval_ns / 4 >= engine->due_ns;
}

static uint64_t age_in_paces(const struct engine *engine, uint64_t now_ns)
{
    return (now_ns - MIN(engine->page_ns, now_ns)) / engine->pace_ns;
}

bool engine_has_figures(const struct engine *engine, uint64_t now_ns)
{
    return engine->page_ns && age_in_paces(engine, now_ns) < ENGINE_FORGET_PACES;
}

bool engine_is_stale(const struct engine *engine, uint64_t now_ns)
{
    return !engine->page_ns || age_in_paces(engine, now_ns) >= ENGINE_STALE_PACES;
}
