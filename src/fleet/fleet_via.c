// SPDX-License-Identifier: Apache-2.0
/*
 * Loops of uplinks. A gateway says of which others its sum is made, and does not count one
 * that says it of this gateway: each would add to the other's sums without end. It passes
 * on those of the gateways that it does not count, too. So all in a loop go on to see it,
 * and none of them counts another, until an uplink is taken out of it.
 */
#include "fleet/fleet_parts.h"

#include <stdio.h>

static uint64_t add_to_hash(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211U;
    return hash;
}

void fleet_publish_as(struct fleet *fleet, const char *prefix, const char *node)
{
    uint64_t hash = add_to_hash(14695981039346656037U, prefix);

    hash = add_to_hash(add_to_hash(hash, "."), node);
    fleet->via_id = hash ? hash : 1;
}

/* By bisection; *ret_at: where it is, or would be. */
static bool find(const struct fleet_via *via, uint64_t id, uint32_t *ret_at)
{
    uint32_t low = 0, high = via->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (via->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_at = low;
    return low < via->n && via->ids[low] == id;
}

static uint64_t id_of(const struct run *run, size_t i)
{
    uint64_t id;

    memcpy(&id, run->via.data + i * sizeof(id), sizeof(id));
    return id;
}

static size_t count_ids(const struct run *run)
{
    return run->via.len / sizeof(uint64_t);
}

static bool has(const struct run *run, uint64_t id)
{
    for (size_t i = 0; i < count_ids(run); i++)
        if (id_of(run, i) == id)
            return true;
    return false;
}

/* All of them, or none where there is no room. */
static bool add_all(struct fleet_via *via, const struct run *run)
{
    uint32_t n = via->n, at;

    if (run->n_via > FLEET_VIA_MAX)
        return false;
    for (size_t i = 0; i < count_ids(run); i++)
        n += !find(via, id_of(run, i), &at);
    if (n > FLEET_VIA_MAX)
        return false;
    for (size_t i = 0; i < count_ids(run); i++) {
        if (find(via, id_of(run, i), &at))
            continue;
        memmove(&via->ids[at + 1], &via->ids[at], (via->n++ - at) * sizeof(via->ids[0]));
        via->ids[at] = id_of(run, i);
    }
    return true;
}

static bool is_heard(const struct summing *sum, uint32_t i)
{
    const struct run *run = sum->runs[i];

    return run && run->n_via && sum->nodes[i].state != NODE_LOST;
}

const char *fleet_explain_loop(enum loop loop)
{
    static const char found[] = "it sums up this gateway: a loop of uplinks";
    static const char hidden[] =
        "more than 256 gateways are summed up with it: a loop could not be told";

    return loop == LOOP_FOUND ? found : loop == LOOP_HIDDEN ? hidden : "";
}

/* For the log, once; a complaint that waits is not lost over another. */
static void complain_of(struct fleet *fleet, const char *name, struct run *run)
{
    if (run->loop == run->told_loop || (run->loop && fleet->loop_complaint[0]))
        return;
    run->told_loop = run->loop;
    if (run->loop)
        (void)snprintf(fleet->loop_complaint, sizeof(fleet->loop_complaint),
                       "gateway %s is not counted: %s", name,
                       fleet_explain_loop(run->loop));
}

/* Those that say little come first: one that names too many keeps out itself alone. */
static void find_loops(struct fleet *fleet, struct fleet_via *via)
{
    struct summing *sum = &fleet->sum;

    for (uint32_t most = 1, least = 0; least <= FLEET_VIA_MAX; least = most, most *= 2) {
        for (uint32_t i = 0; i < sum->n; i++) {
            struct run *run = sum->runs[i];

            if (!is_heard(sum, i) || run->n_via <= least ||
                (run->n_via > most && most <= FLEET_VIA_MAX))
                continue;
            if (!add_all(via, run))
                run->loop = LOOP_HIDDEN;
            if (has(run, fleet->via_id))
                run->loop = LOOP_FOUND;
        }
    }
}

void fleet_find_loops(struct fleet *fleet, struct fleet_via *ret)
{
    struct summing *sum = &fleet->sum;

    ret->n = 0;
    if (!fleet->via_id)
        return;
    ret->ids[ret->n++] = fleet->via_id;
    for (uint32_t i = 0; i < sum->n; i++)
        if (sum->runs[i])
            sum->runs[i]->loop = LOOP_NONE;
    find_loops(fleet, ret);
    for (uint32_t i = 0; i < sum->n; i++)
        if (sum->runs[i])
            complain_of(fleet, sum->nodes[i].name, sum->runs[i]);
}
