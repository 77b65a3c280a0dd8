// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

#include <stdio.h>

size_t fleet_shown(const struct name *name, struct run *ret[FLEET_RUNS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < name->n_runs; i++)
        if (!name->runs[i]->superseded_ns)
            ret[n++] = name->runs[i];
    return n;
}

static bool same_machine(const struct run *a, const struct run *b)
{
    return a->node.machine[0] && strcmp(a->node.machine, b->node.machine) == 0;
}

/* By what two gateways agree on, whatever they heard first. */
bool fleet_began_later(const struct run *a, const struct run *b)
{
    int order;

    if (a->node.started_unix_ms != b->node.started_unix_ms)
        return a->node.started_unix_ms > b->node.started_unix_ms;
    order = strcmp(a->node.boot, b->node.boot);
    return order ? order > 0 : strcmp(a->node.machine, b->node.machine) > 0;
}

bool fleet_is_better(const struct run *a, const struct run *b)
{
    if (a->node.is_gateway && b->node.is_gateway && a->node.nodes != b->node.nodes)
        return a->node.nodes > b->node.nodes;
    return fleet_began_later(a, b);
}

struct run *fleet_best_gateway(const struct name *name, uint64_t now_ns)
{
    struct run *shown[FLEET_RUNS_MAX], *best = NULL;
    size_t n = fleet_shown(name, shown);

    for (size_t i = 0; i < n; i++) {
        bool quiet = fleet_is_quiet(shown[i], now_ns);

        if (!shown[i]->node.is_gateway)
            return NULL;
        if (!best || quiet < fleet_is_quiet(best, now_ns) ||
            (quiet == fleet_is_quiet(best, now_ns) && fleet_is_better(shown[i], best)))
            best = shown[i];
    }
    return best;
}

static bool same_digits(const char *a, const char *b)
{
    return strncmp(a, b, FLEET_TELLING_DIGITS) == 0;
}

/* "gpu17", or by machine where others go by that, too, or by boot where that is no help. */
void fleet_call(const struct name *name, const struct run *run, char ret[FLEET_NAME_SIZE])
{
    struct run *shown[FLEET_RUNS_MAX];
    size_t n = fleet_shown(name, shown);
    bool by_boot = !run || !run->node.machine[0];

    for (size_t i = 0; i < n && run; i++)
        if (shown[i] != run && same_digits(shown[i]->node.machine, run->node.machine))
            by_boot = true;
    if (n < 2 || !run)
        (void)snprintf(ret, FLEET_NAME_SIZE, "%s", name->text);
    else
        (void)snprintf(ret, FLEET_NAME_SIZE, "%s@%.*s", name->text, FLEET_TELLING_DIGITS,
                       by_boot ? run->node.boot : run->node.machine);
}

struct run *fleet_find_run(const struct name *name, const struct compact_head *head)
{
    for (size_t i = 0; i < name->n_runs; i++)
        if (strcmp(name->runs[i]->node.boot, head->boot) == 0 &&
            strcmp(name->runs[i]->node.machine, head->machine) == 0)
            return name->runs[i];
    return NULL;
}

/* Nobody's digits are those of another by chance. */
bool fleet_is_distinct(const struct name *name, const struct compact_head *head)
{
    for (size_t i = 0; i < name->n_runs; i++) {
        const struct fleet_node *node = &name->runs[i]->node;

        if (same_digits(head->boot, node->boot) ||
            same_digits(head->boot, node->machine) ||
            same_digits(head->machine, node->boot))
            return false;
    }
    return true;
}

/*
 * Whose place a run takes, or which has taken its place: the one that is shown; of several
 * one on its machine, NULL where there is none.
 */
static struct run *find_rival(const struct name *name, const struct run *run)
{
    struct run *shown[FLEET_RUNS_MAX], *other = NULL;
    size_t n = fleet_shown(name, shown), n_others = 0;

    for (size_t i = 0; i < n; i++) {
        if (shown[i] == run)
            continue;
        if (same_machine(shown[i], run))
            return shown[i];
        other = shown[i];
        n_others++;
    }
    return n_others == 1 ? other : NULL;
}

/* What it said goes; that it could speak again stays. */
static void supersede(struct run *run, uint64_t now_ns)
{
    run->superseded_ns = MAX(now_ns, (uint64_t)1);
    fleet_empty_run(run);
}

/* What happened on the machine before is not told again by the run that follows. */
static void inherit_events(struct run *run, const struct run *from)
{
    if (!same_machine(run, from))
        return;
    run->event = from->event;
    run->event_unix_ms = from->event_unix_ms;
}

/* Where several are shown already, one more on another machine is one more node. */
static bool may_show(struct fleet *fleet, struct name *name, uint64_t now_ns)
{
    struct run *shown[FLEET_RUNS_MAX];

    return fleet_shown(name, shown) == 0 || fleet_make_room(fleet, now_ns);
}

/* A gateway that has just begun may not have heard of all its nodes yet. */
static bool knows_less(const struct compact_head *head, const struct run *rival)
{
    return head->gateway && rival->node.is_gateway && head->nodes < rival->node.nodes;
}

static struct run *place_new(struct fleet *fleet, struct name *name,
                             const struct compact_head *head, uint64_t now_ns)
{
    struct run *run = fleet_add_run(name, head, now_ns), *rival;

    if (!run)
        return NULL;
    run->hash_seed = fleet->hash_seed;
    supersede(run, now_ns);
    rival = find_rival(name, run);
    if (!rival) {
        if (!may_show(fleet, name, now_ns)) {
            fleet_drop_run(name, name->n_runs - 1);
            return NULL;
        }
        run->superseded_ns = 0;
        return run;
    }
    inherit_events(run, rival);
    if ((fleet_began_later(run, rival) && !knows_less(head, rival)) ||
        fleet_is_silent(rival, now_ns)) {
        run->watched = rival->watched;
        run->superseded_ns = 0;
        supersede(rival, now_ns);
    }
    return run;
}

/*
 * A run that was replaced goes on to speak. If the other has not, since then, it is the
 * one that is gone, and only its clock was ahead. Else both are there.
 */
static bool show_again(struct fleet *fleet, struct name *name, struct run *run,
                       uint64_t now_ns)
{
    struct run *rival = find_rival(name, run);

    if (rival &&
        (rival->node.heard_ns < run->superseded_ns || fleet_is_silent(rival, now_ns)))
        supersede(rival, now_ns);
    else if (!fleet_make_room(fleet, now_ns))
        return false;
    run->superseded_ns = 0;
    return true;
}

struct run *fleet_place(struct fleet *fleet, struct name *name,
                        const struct compact_head *head, uint64_t now_ns,
                        bool *ret_refused)
{
    struct run *run = fleet_find_run(name, head);

    *ret_refused = false;
    if (!run) {
        run = place_new(fleet, name, head, now_ns);
        *ret_refused = !run;
    } else if (run->superseded_ns &&
               fleet_since(run->superseded_ns, now_ns) >= FLEET_SECOND_NS) {
        *ret_refused = !show_again(fleet, name, run, now_ns);
    }
    return *ret_refused ? NULL : run;
}
