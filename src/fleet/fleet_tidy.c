// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

#include <inttypes.h>
#include <stdio.h>

#define FORGET_NS (FLEET_FORGET_S * FLEET_SECOND_NS)
#define QUIET_NS (5 * FLEET_SECOND_NS) // after the first message all nodes are found

static bool is_lost(const struct name *name, const struct run *run, uint64_t now_ns)
{
    return fleet_state(name, run, now_ns) == NODE_LOST;
}

static void tell_lost(struct fleet *fleet, const struct name *name, const struct run *run,
                      uint64_t now_ns, uint64_t unix_ms)
{
    char called[FLEET_NAME_SIZE], reason[FLEET_REASON_SIZE];

    fleet_call(name, run, called);
    fleet_explain(name, run, NODE_LOST, now_ns, reason);
    fleet_tell(fleet, EVENT_NODE_LOST, called, unix_ms, "node %s is lost: %s", called,
               reason);
}

/* A run that is lost goes where another of its name is there; of all lost ones one stays. */
static void drop_lost(struct fleet *fleet, struct name *name, uint64_t now_ns,
                      uint64_t unix_ms)
{
    struct run *shown[FLEET_RUNS_MAX], *stays = NULL;
    size_t n = fleet_shown(name, shown);

    for (size_t i = 0; i < n; i++)
        if (!stays || is_lost(name, stays, now_ns) > is_lost(name, shown[i], now_ns) ||
            (is_lost(name, stays, now_ns) == is_lost(name, shown[i], now_ns) &&
             fleet_began_later(shown[i], stays)))
            stays = shown[i];
    for (size_t i = name->n_runs; i-- > 0;) {
        struct run *run = name->runs[i];

        if (run == stays || !is_lost(name, run, now_ns))
            continue;
        if (!run->superseded_ns && !is_lost(name, stays, now_ns))
            tell_lost(fleet, name, run, now_ns, unix_ms);
        fleet_drop_run(name, i);
    }
}

/* Gateways of one fleet share a name on purpose. */
static void tell_taken(struct fleet *fleet, struct name *name, uint64_t now_ns,
                       uint64_t unix_ms)
{
    struct run *shown[FLEET_RUNS_MAX];
    size_t n = fleet_shown(name, shown);
    bool taken = n > 1 && !fleet_best_gateway(name, now_ns), told = name->told_taken;
    char one[FLEET_NAME_SIZE], other[FLEET_NAME_SIZE];

    name->told_taken = taken;
    if (!taken || told)
        return;
    fleet_call(name, shown[0], one);
    fleet_call(name, shown[1], other);
    fleet_tell(fleet, EVENT_NODE_NAME_TAKEN, name->text, unix_ms,
               "two nodes publish as %s: they are %s and %s here", name->text, one,
               other);
}

static void tell_found(struct fleet *fleet, const struct name *name,
                       const struct run *run, uint64_t now_ns, uint64_t unix_ms)
{
    if (fleet_since(fleet->began_ns, now_ns) <= MAX(QUIET_NS, 2 * fleet_interval_ns(run)))
        return;
    if (run->node.is_gateway)
        fleet_tell(fleet, EVENT_NODE_FOUND, name->text, unix_ms,
                   "gateway %s with %" PRIu32 " nodes publishes", name->text,
                   run->node.nodes);
    else
        fleet_tell(fleet, EVENT_NODE_FOUND, name->text, unix_ms,
                   "node %s with %" PRIu32 " GPUs publishes", name->text,
                   run->node.n_devices);
}

/* A name, by the best that is under it. One of which nothing could be read is not told of. */
static void tell_state(struct fleet *fleet, struct name *name, uint64_t now_ns,
                       uint64_t unix_ms)
{
    struct run *shown[FLEET_RUNS_MAX];
    bool lost = true;
    size_t n = fleet_shown(name, shown);

    for (size_t i = 0; i < n; i++)
        lost = lost && is_lost(name, shown[i], now_ns);
    if (n == 0)
        return;
    if (lost && name->told == TOLD_PRESENT)
        tell_lost(fleet, name, shown[0], now_ns, unix_ms);
    else if (!lost && name->told == TOLD_LOST)
        fleet_tell(fleet, EVENT_NODE_BACK, name->text, unix_ms, "node %s is back",
                   name->text);
    else if (!lost && name->told == TOLD_NOTHING)
        tell_found(fleet, name, shown[0], now_ns, unix_ms);
    name->told = lost ? TOLD_LOST : TOLD_PRESENT;
}

/* Somebody may wait for one that is watched. */
static bool may_forget(const struct name *name, uint64_t now_ns)
{
    return !name->watched && fleet_name_is_lost(name, now_ns) &&
           fleet_since(name->spoke_ns, now_ns) > FORGET_NS;
}

static size_t kept_by(const struct name *name)
{
    size_t bytes = 0;

    for (size_t i = 0; i < name->n_runs; i++)
        bytes += name->runs[i]->message.room;
    return bytes;
}

void fleet_tidy(struct fleet *fleet, uint64_t now_ns, uint64_t unix_ms)
{
    for (size_t i = fleet->n_names; i-- > 0;)
        if (may_forget(fleet->names[i], now_ns))
            fleet_remove(fleet, i);
    fleet->kept_bytes = 0;
    for (size_t i = 0; i < fleet->n_names; i++) {
        drop_lost(fleet, fleet->names[i], now_ns, unix_ms);
        tell_taken(fleet, fleet->names[i], now_ns, unix_ms);
        tell_state(fleet, fleet->names[i], now_ns, unix_ms);
        fleet->kept_bytes += kept_by(fleet->names[i]);
    }
    fleet_tell_rest(fleet, unix_ms);
}
