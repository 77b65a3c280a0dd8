// SPDX-License-Identifier: Apache-2.0
#include "engine/hit_window.h"

#include "base/clock.h"

static uint64_t step_at(const struct hit_window *window, uint64_t now_ns)
{
    return now_ns / NS_PER_S / window->step_s;
}

/* Clear the steps between the newest reading and now. */
static void advance(struct hit_window *window, uint64_t now)
{
    uint64_t from = window->newest + 1;

    if (now <= window->newest)
        return;
    if (now - window->newest >= HIT_WINDOW_STEPS)
        from = now - HIT_WINDOW_STEPS + 1;
    for (uint64_t s = from; s <= now; s++)
        window->step[s % HIT_WINDOW_STEPS] = (struct hit_counts){0};
    window->newest = now;
}

void hit_window_read(struct hit_window *window, struct hit_counts counters,
                     uint64_t now_ns)
{
    uint64_t now = step_at(window, now_ns);
    struct hit_counts last = window->last, *step;
    bool back = counters.hits < last.hits || counters.queries < last.queries;
    bool lately = window->has_last && now < window->newest + HIT_WINDOW_STEPS;

    if (back)
        hit_window_reset(window);
    advance(window, now);
    if (lately && !back) {
        step = &window->step[window->newest % HIT_WINDOW_STEPS];
        step->hits += counters.hits - last.hits;
        step->queries += counters.queries - last.queries;
    }
    window->last = counters;
    window->has_last = true;
}

struct hit_counts hit_window_sum(const struct hit_window *window, uint64_t now_ns)
{
    uint64_t now = step_at(window, now_ns);
    uint64_t oldest = now < HIT_WINDOW_STEPS ? 0 : now - HIT_WINDOW_STEPS + 1;
    struct hit_counts sum = {0};

    for (uint64_t s = oldest; s <= MIN(now, window->newest); s++) {
        sum.hits += window->step[s % HIT_WINDOW_STEPS].hits;
        sum.queries += window->step[s % HIT_WINDOW_STEPS].queries;
    }
    // A page can be made between the two: hits of queries that have left the window.
    sum.hits = MIN(sum.hits, sum.queries);
    return sum;
}

void hit_window_init(struct hit_window *window, uint32_t step_s)
{
    *window = (struct hit_window){.step_s = step_s};
}

void hit_window_reset(struct hit_window *window)
{
    hit_window_init(window, window->step_s);
}
