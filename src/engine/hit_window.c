// SPDX-License-Identifier: Apache-2.0
#include "engine/hit_window.h"

enum { NS_PER_S = 1000000000 };

/* Clear the seconds between the newest reading and now. */
static void advance(struct hit_window *window, uint64_t now_s)
{
    uint64_t from = window->newest_s + 1;

    if (now_s <= window->newest_s)
        return;
    if (now_s - window->newest_s >= HIT_WINDOW_SECONDS)
        from = now_s - HIT_WINDOW_SECONDS + 1;
    for (uint64_t s = from; s <= now_s; s++)
        window->step[s % HIT_WINDOW_SECONDS] = (struct hit_counts){0};
    window->newest_s = now_s;
}

void hit_window_read(struct hit_window *window, struct hit_counts counters,
                     uint64_t now_ns)
{
    uint64_t now_s = now_ns / NS_PER_S;
    struct hit_counts last = window->last, *step;
    bool back = counters.hits < last.hits || counters.queries < last.queries;
    bool lately = window->has_last && now_s < window->newest_s + HIT_WINDOW_SECONDS;

    if (back)
        hit_window_reset(window);
    advance(window, now_s);
    if (lately && !back) {
        step = &window->step[window->newest_s % HIT_WINDOW_SECONDS];
        step->hits += counters.hits - last.hits;
        step->queries += counters.queries - last.queries;
    }
    window->last = counters;
    window->has_last = true;
}

struct hit_counts hit_window_sum(const struct hit_window *window, uint64_t now_ns)
{
    uint64_t now_s = now_ns / NS_PER_S;
    uint64_t oldest_s = now_s < HIT_WINDOW_SECONDS ? 0 : now_s - HIT_WINDOW_SECONDS + 1;
    struct hit_counts sum = {0};

    for (uint64_t s = oldest_s; s <= MIN(now_s, window->newest_s); s++) {
        sum.hits += window->step[s % HIT_WINDOW_SECONDS].hits;
        sum.queries += window->step[s % HIT_WINDOW_SECONDS].queries;
    }
    return sum;
}

void hit_window_reset(struct hit_window *window)
{
    *window = (struct hit_window){0};
}
