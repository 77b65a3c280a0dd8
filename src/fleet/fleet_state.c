// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    DRIFT = 5000, // clocks of two machines differ by one part in so many
    INTERVAL_MAX_MS = 60000,
    INTERVALS_STALE = 3,
    INTERVALS_LOST = 10,
    SLEPT_MS = 1000, // a clock that went on so much farther than the other
};

#define MS_NS UINT64_C(1000000)

static int64_t wall_less_own(const struct snapshot *snapshot)
{
    return (int64_t)(snapshot->unix_ms - snapshot->taken_ns / MS_NS);
}

/*
 * The least that our clock has been ahead of the node's is the quickest way here; by what
 * it is ahead of that, a message was late. Clocks drift, so the least creeps up. A machine
 * that slept lost time on its clock, as its wall clock, which goes on, tells: it begins
 * anew. So it does where somebody set the wall clock, which does no harm for long.
 */
void fleet_measure_delay(struct node_delay *delay, const struct snapshot *snapshot,
                         uint64_t now_ns)
{
    int64_t ahead = (int64_t)(now_ns - snapshot->taken_ns);
    int64_t wall = wall_less_own(snapshot), slept;

    if (delay->has_base) {
        int64_t creep = (int64_t)(fleet_since(delay->measured_ns, now_ns) / DRIFT);

        if (__builtin_add_overflow(delay->base_ns, creep, &delay->base_ns))
            delay->base_ns = INT64_MAX;
        if (__builtin_sub_overflow(wall, delay->wall_ms, &slept) || slept > SLEPT_MS)
            delay->has_base = false;
    }
    if (!delay->has_base || ahead < delay->base_ns)
        delay->base_ns = ahead;
    delay->has_base = true;
    delay->measured_ns = now_ns;
    delay->wall_ms = wall;
    delay->ns = (uint64_t)ahead - (uint64_t)delay->base_ns;
}

uint64_t fleet_age(const struct run *run, uint64_t now_ns)
{
    if (!run->has_figures)
        return UNKNOWN;
    return add_saturating(fleet_since(run->figures_ns, now_ns), run->delay.ns);
}

uint64_t fleet_interval_ns(const struct run *run)
{
    return MIN(run->node.interval_ms, (uint64_t)INTERVAL_MAX_MS) * MS_NS;
}

static uint64_t limit_ns(const struct run *run, uint64_t least_ns, unsigned intervals)
{
    return MAX(least_ns, intervals * fleet_interval_ns(run));
}

bool fleet_is_silent(const struct run *run, uint64_t now_ns)
{
    return fleet_since(run->node.heard_ns, now_ns) >
           limit_ns(run, FLEET_LOST_NS, INTERVALS_LOST);
}

bool fleet_is_quiet(const struct run *run, uint64_t now_ns)
{
    return fleet_since(run->node.heard_ns, now_ns) >
           limit_ns(run, FLEET_STALE_NS, INTERVALS_STALE);
}

enum node_state fleet_state(const struct name *name, const struct run *run,
                            uint64_t now_ns)
{
    uint64_t age;

    if (!run)
        return fleet_since(name->spoke_ns, now_ns) > FLEET_LOST_NS ? NODE_LOST
                                                                   : NODE_UNREADABLE;
    if (fleet_is_silent(run, now_ns))
        return NODE_LOST;
    if (!run->has_figures)
        return NODE_OUTAGE;
    age = fleet_age(run, now_ns);
    if (age > limit_ns(run, FLEET_LOST_NS, INTERVALS_LOST))
        return NODE_LOST;
    return age > limit_ns(run, FLEET_STALE_NS, INTERVALS_STALE) ? NODE_STALE : NODE_LIVE;
}

/* All of it is silent: nothing is thrown away with it that somebody still says. */
bool fleet_name_is_lost(const struct name *name, uint64_t now_ns)
{
    for (size_t i = 0; i < name->n_runs; i++)
        if (!fleet_is_silent(name->runs[i], now_ns))
            return false;
    return fleet_since(name->spoke_ns, now_ns) > FLEET_LOST_NS;
}

/* Since it last said what can be read. */
static void explain_silence(const struct name *name, const struct run *run,
                            uint64_t now_ns, char ret[FLEET_REASON_SIZE])
{
    uint64_t silent = fleet_since(run->node.heard_ns, now_ns);
    bool late = run->has_figures && run->delay.ns > silent;

    if (late)
        (void)snprintf(ret, FLEET_REASON_SIZE,
                       "its messages come %" PRIu64 " s after they were sent",
                       run->delay.ns / FLEET_SECOND_NS);
    else if (name->unreadable)
        (void)snprintf(ret, FLEET_REASON_SIZE, "for %" PRIu64 " s, %s",
                       silent / FLEET_SECOND_NS, name->unreadable);
    else
        (void)snprintf(ret, FLEET_REASON_SIZE, "it has said nothing for %" PRIu64 " s",
                       silent / FLEET_SECOND_NS);
}

void fleet_explain(const struct name *name, const struct run *run, enum node_state state,
                   uint64_t now_ns, char ret[FLEET_REASON_SIZE])
{
    const char *text = "";

    if (run && (state == NODE_LOST || state == NODE_STALE)) {
        explain_silence(name, run, now_ns, ret);
        return;
    }
    if (!run)
        text = name->unreadable ? name->unreadable : "it has said nothing yet";
    else if (state == NODE_OUTAGE)
        text = run->outage[0] ? run->outage : "it says that it has no figures";
    (void)snprintf(ret, FLEET_REASON_SIZE, "%s", text);
}
