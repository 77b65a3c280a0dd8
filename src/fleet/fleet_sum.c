// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

/* By name as it is told: "gpu17@..." comes after "gpu17-a", of which "gpu17" is a part. */
static void list(struct summing *sum, struct name *name, struct run *run, uint64_t now_ns)
{
    static const struct fleet_node empty;
    struct fleet_node *node = &sum->nodes[sum->n];
    struct run *shown[FLEET_RUNS_MAX];
    bool several = fleet_shown(name, shown) > 1;

    *node = run ? run->node : empty;
    node->state = fleet_state(name, run, now_ns);
    node->age_ns = run ? fleet_age(run, now_ns) : UNKNOWN;
    node->name_taken = several && !fleet_best_gateway(name, now_ns);
    node->malformed = name->malformed;
    node->dropped = name->dropped;
    if (!several)
        node->messages = name->messages;
    fleet_call(name, run, node->name);
    fleet_explain(name, run, node->state, now_ns, node->reason);
    if (!run)
        fleet_no_figures(node);
    sum->runs[sum->n] = run;
    sum->names[sum->n++] = name;
}

static int by_name(const void *one, const void *other)
{
    const struct fleet_node *a = one, *b = other;

    return strcmp(a->name, b->name);
}

static bool is_in_order(const struct summing *sum)
{
    for (uint32_t i = 1; i < sum->n; i++)
        if (by_name(&sum->nodes[i - 1], &sum->nodes[i]) > 0)
            return false;
    return true;
}

/* What belongs at `at`, and then what belongs where that was, until all of these are. */
static void move_in_place(struct summing *sum, uint32_t at)
{
    struct fleet_node node = sum->nodes[at];
    struct run *run = sum->runs[at];
    struct name *name = sum->names[at];
    uint32_t first = at, from;

    for (;; at = from) {
        from = (uint32_t)((struct fleet_node *)sum->order[at] - sum->nodes);
        sum->order[at] = &sum->nodes[at];
        if (from == first)
            break;
        sum->nodes[at] = sum->nodes[from];
        sum->runs[at] = sum->runs[from];
        sum->names[at] = sum->names[from];
    }
    sum->nodes[at] = node;
    sum->runs[at] = run;
    sum->names[at] = name;
}

/* It is in order but for qualified names. Each row, which is large, is moved once. */
static void put_in_order(struct summing *sum)
{
    static_assert((int)FLEET_NODES_MAX <= (int)FLEET_ROWS_MAX,
                  "there is room to order them");
    if (is_in_order(sum))
        return;
    for (uint32_t i = 0; i < sum->n; i++)
        sum->order[i] = &sum->nodes[i];
    fleet_sort(sum->order, sum->n, by_name);
    for (uint32_t i = 0; i < sum->n; i++)
        if (sum->order[i] != &sum->nodes[i])
            move_in_place(sum, i);
}

static void list_all(struct fleet *fleet, uint64_t now_ns)
{
    struct summing *sum = &fleet->sum;
    struct run *shown[FLEET_RUNS_MAX];

    sum->n = 0;
    for (size_t i = 0; i < fleet->n_names; i++) {
        size_t n = fleet_shown(fleet->names[i], shown);

        if (n == 0)
            list(sum, fleet->names[i], NULL, now_ns);
        for (size_t j = 0; j < n; j++)
            list(sum, fleet->names[i], shown[j], now_ns);
    }
    put_in_order(sum);
}

static bool may_count(const struct fleet_node *node)
{
    return node->state == NODE_LIVE || node->state == NODE_STALE;
}

static uint32_t host_slot(const struct run *run)
{
    uint64_t hash = run->gpus;

    for (const char *c = run->node.machine; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211U;
    return (uint32_t)((hash ^ hash >> 32) % FLEET_HOST_SLOTS);
}

static bool same_host(const struct summing *sum, uint32_t a, uint32_t b)
{
    const struct run *one = sum->runs[a], *other = sum->runs[b];
    bool same_machine =
        one->node.machine[0] && strcmp(one->node.machine, other->node.machine) == 0;

    if (sum->names[a] == sum->names[b] &&
        ((one->node.is_gateway && other->node.is_gateway) ||
         (same_machine && !one->gpus && !other->gpus)))
        return true;
    return same_machine && one->gpus == other->gpus;
}

/* One of two is counted. */
static void settle(struct summing *sum, uint32_t a, uint32_t b)
{
    bool first = fleet_is_better(sum->runs[a], sum->runs[b]);
    struct fleet_node *counted = &sum->nodes[first ? a : b];
    struct fleet_node *other = &sum->nodes[first ? b : a];

    counted->counted = true;
    other->counted = false;
    (void)snprintf(other->reason, sizeof(other->reason), "%.79s is the same %s",
                   counted->name, other->is_gateway ? "fleet" : "machine");
}

/* Whoever is of the same machine and GPUs, under whatever name. */
static void count_host(struct summing *sum, uint32_t node)
{
    uint32_t at = host_slot(sum->runs[node]);

    sum->nodes[node].counted = true;
    if (!sum->runs[node]->gpus)
        return;
    for (; sum->hosts[at]; at = (at + 1) % FLEET_HOST_SLOTS) {
        uint32_t other = sum->hosts[at] - 1;

        if (!same_host(sum, node, other))
            continue;
        settle(sum, node, other);
        if (sum->nodes[node].counted)
            sum->hosts[at] = node + 1;
        return;
    }
    sum->hosts[at] = node + 1;
}

/* Those of one name follow each other. */
static void count_namesakes(struct summing *sum, uint32_t node)
{
    for (uint32_t i = node; i-- > 0 && sum->names[i] == sum->names[node];)
        if (sum->nodes[i].counted && sum->nodes[node].counted && same_host(sum, node, i))
            settle(sum, node, i);
}

/* One in a loop has figures, and does not count. */
static void leave_out(struct snapshot_fleet *fleet, struct fleet_node *node,
                      const struct run *run)
{
    fleet->n_looped++;
    (void)snprintf(node->reason, sizeof(node->reason), "%s",
                   fleet_explain_loop(run->loop));
}

static void choose_counted(struct summing *sum, struct snapshot_fleet *fleet)
{
    memset(sum->hosts, 0, sizeof(sum->hosts));
    for (uint32_t i = 0; i < sum->n; i++) {
        if (!may_count(&sum->nodes[i]))
            continue;
        if (sum->runs[i]->loop)
            leave_out(fleet, &sum->nodes[i], sum->runs[i]);
        else
            count_host(sum, i);
    }
    for (uint32_t i = 0; i < sum->n; i++)
        if (sum->nodes[i].counted)
            count_namesakes(sum, i);
}

/* Where both are known, and how it is made up. What no part explains is the rest. */
static uint32_t add_memory(struct snapshot *ret, const struct fleet_node *node)
{
    uint32_t unknown = 0;

    if (node->total_bytes.how == FROM_NOWHERE ||
        node->allocated_bytes.how == FROM_NOWHERE)
        return 1;
    figure_add(&ret->total_bytes, node->total_bytes, &unknown);
    if (unknown)
        return 1;
    figure_add(&ret->allocated_bytes, node->allocated_bytes, &unknown);
    ret->models_bytes = fleet_add_count(ret->models_bytes, node->models_bytes);
    ret->other_bytes = fleet_add_count(ret->other_bytes, node->other_bytes);
    ret->orphan_bytes = fleet_add_count(ret->orphan_bytes, node->orphan_bytes);
    return 0;
}

static void add_node(struct snapshot *ret, const struct fleet_node *node,
                     const struct run *run)
{
    struct snapshot_fleet *fleet = ret->fleet;
    uint32_t unused = 0;

    fleet->n_counted++;
    fleet->n_devices = fleet_add_few(fleet->n_devices, node->n_devices);
    ret->kv_used_bytes = fleet_add_count(ret->kv_used_bytes, node->kv_used_bytes);
    ret->kv_unknown = fleet_add_few(ret->kv_unknown, node->kv_unknown);
    figure_add(&fleet->kv_pool_bytes, node->kv_pool_bytes, &unused);
    fleet->kv_pool_unknown = fleet_add_few(fleet->kv_pool_unknown, run->pool_unknown);
    fleet->requests_running =
        fleet_add_count(fleet->requests_running, node->requests_running);
    fleet->requests_waiting =
        fleet_add_count(fleet->requests_waiting, node->requests_waiting);
    fleet_add_hits(&fleet->prefix_minute, run->minute);
    fleet_add_hits(&fleet->prefix_five_minutes, run->five_minutes);
    fleet_add_hits(&fleet->prefix_lifetime, run->lifetime);
}

static double percent(struct hit_counts counts)
{
    return fmin(100.0 * counts.hits / counts.queries, 100.0);
}

/* Of the last minute, of the last five, or of all time, as far back as there was a query. */
static void give_hits(struct snapshot *ret)
{
    const struct snapshot_fleet *fleet = ret->fleet;

    ret->hit_percent_in_window =
        fleet->prefix_minute.queries > 0 || fleet->prefix_five_minutes.queries > 0;
    if (fleet->prefix_minute.queries > 0)
        ret->hit_percent = percent(fleet->prefix_minute);
    else if (fleet->prefix_five_minutes.queries > 0)
        ret->hit_percent = percent(fleet->prefix_five_minutes);
    else if (fleet->prefix_lifetime.queries > 0)
        ret->hit_percent = percent(fleet->prefix_lifetime);
}

static void finish(struct snapshot *ret, uint32_t unknown)
{
    static const char PARTLY[] = "without nodes on which it is not known";
    struct snapshot_fleet *fleet = ret->fleet;

    ret->unattributed_bytes = (int64_t)(ret->allocated_bytes.value - ret->models_bytes -
                                        ret->other_bytes - ret->orphan_bytes);
    if (unknown)
        ret->total_bytes.why = ret->allocated_bytes.why = PARTLY;
    if (fleet->kv_pool_unknown && fleet->kv_pool_bytes.how != FROM_NOWHERE)
        fleet->kv_pool_bytes.why = "without models of which it is not known";
}

/* -ENODATA: nobody knows. */
static int add_up(struct summing *sum, struct snapshot *ret)
{
    static const char NONE[] = "it is known on no node";
    uint32_t unknown = 0;

    ret->total_bytes = ret->allocated_bytes = figure_unknown(NONE);
    ret->fleet->kv_pool_bytes = figure_unknown(NONE);
    ret->fleet->requests_running = ret->fleet->requests_waiting = UNKNOWN;
    memset(sum->slots, 0, sizeof(sum->slots));
    sum->n_rows = sum->left_out = 0;
    for (uint32_t i = 0; i < sum->n; i++) {
        const struct run *run = sum->runs[i];

        ret->fleet->by_state[sum->nodes[i].state]++;
        if (!sum->nodes[i].counted)
            continue;
        unknown += add_memory(ret, &sum->nodes[i]);
        add_node(ret, &sum->nodes[i], run);
        fleet_add_rows(sum, run);
    }
    if (ret->allocated_bytes.how == FROM_NOWHERE) {
        ret->kv_used_bytes = UNKNOWN;
        ret->hit_percent = (double)NAN;
        return -ENODATA;
    }
    give_hits(ret);
    finish(ret, unknown);
    return 0;
}

static int sum_up(struct fleet *fleet, uint64_t now_ns, struct snapshot *ret)
{
    struct fleet_link link = ret->fleet ? ret->fleet->link : (struct fleet_link){0};
    int r = snapshot_make_fleet(ret, fleet_count_shown(fleet), FLEET_MODELS_MAX);

    if (r < 0)
        return r;
    link.malformed += fleet->link.malformed;
    link.dropped += fleet->link.dropped;
    link.refused += fleet->link.refused;
    ret->fleet->link = link;
    fleet->sum.nodes = ret->fleet->nodes;
    list_all(fleet, now_ns);
    fleet_find_loops(fleet, &ret->fleet->via);
    choose_counted(&fleet->sum, ret->fleet);
    ret->fleet->n_nodes = fleet->sum.n;
    r = add_up(&fleet->sum, ret);
    fleet_give_rows(&fleet->sum, ret);
    return r;
}

int fleet_sum(struct fleet *fleet, uint64_t now_ns, uint64_t unix_ms,
              struct snapshot *ret)
{
    int r;

    ret->taken_ns = now_ns;
    ret->unix_ms = unix_ms;
    (void)pthread_mutex_lock(&fleet->lock);
    fleet->now_ns = MAX(fleet->now_ns, now_ns);
    fleet_tidy(fleet, now_ns, unix_ms);
    r = sum_up(fleet, now_ns, ret);
    (void)pthread_mutex_unlock(&fleet->lock);
    return r;
}
