// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

#include "base/text.h"
#include "engine/engine_kind.h"

#include <assert.h>
#include <math.h>

/* More than there can be. Of hits: sums of doubles stay exact enough, and finite. */
struct limits {
    uint64_t bytes;
    double hits;
};

static const struct limits of_host = {UINT64_C(1) << 54, 1e18};    // 16 PiB
static const struct limits of_gateway = {UINT64_C(1) << 60, 1e24}; // 1 EiB

static const char SAYS_NOT[] = "the node does not say";
static const char SAYS_TOO_MUCH[] = "the node says more than there can be";
static const char ESTIMATED_THERE[] = "it is an estimate of the node";
static const char PARTLY_THERE[] = "the node knows it in part";

/* Sentences of a message go with it: ours stay. */
static struct figure believe(struct figure figure, const struct limits *limits)
{
    if (figure.how == FROM_NOWHERE)
        return figure_unknown(SAYS_NOT);
    if (figure.value > limits->bytes)
        return figure_unknown(SAYS_TOO_MUCH);
    figure.why = figure.how == ESTIMATED ? ESTIMATED_THERE
                 : figure.why            ? PARTLY_THERE
                                         : NULL;
    return figure;
}

/* Of those that are known. */
uint64_t fleet_add_count(uint64_t sum, uint64_t count)
{
    if (count == UNKNOWN)
        return sum;
    return sum == UNKNOWN ? count : MIN(add_saturating(sum, count), (uint64_t)INT64_MAX);
}

static struct hit_counts believe_hits(struct hit_counts counts,
                                      const struct limits *limits)
{
    bool sound =
        counts.hits >= 0 && counts.queries >= 0 && counts.queries <= limits->hits;

    if (!sound)
        return (struct hit_counts){(double)NAN, (double)NAN};
    counts.hits = fmin(counts.hits, counts.queries);
    return counts;
}

void fleet_add_hits(struct hit_counts *sum, struct hit_counts more)
{
    if (isnan(more.queries))
        return;
    sum->hits += more.hits;
    sum->queries += more.queries;
}

uint32_t fleet_add_few(uint32_t sum, uint32_t more)
{
    return more > UINT32_MAX - sum ? UINT32_MAX : sum + more;
}

static uint64_t believe_count(uint64_t count, const struct limits *limits)
{
    return count > limits->bytes ? UNKNOWN : count;
}

static uint64_t add_to_hash(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211U;
    return hash * 1099511628211U; // the end of a text counts
}

/* The same in whatever order they are told. */
static uint64_t hash_devices(const struct snapshot *snapshot, uint64_t seed)
{
    uint64_t hash = 0;

    for (uint32_t i = 0; i < snapshot->n_devices; i++) {
        uint64_t one = add_to_hash(seed, snapshot->devices[i].uuid);

        hash += one ^ one >> 31;
    }
    return snapshot->n_devices && !hash ? 1 : hash;
}

static uint32_t keep_name(struct run *run, const char *name)
{
    size_t at = run->names.len;

    buf_add(&run->names, name, strlen(name) + 1);
    return (uint32_t)at;
}

static uint32_t hash_row(const char *id, uint16_t port, uint64_t seed)
{
    uint64_t hash = add_to_hash(seed, id);

    hash = (hash ^ port) * 1099511628211U;
    return (uint32_t)(hash ^ hash >> 32);
}

static const char *kind_name(const char *said)
{
    const struct engine_kind *kind = said ? engine_kind_named(span_of(said)) : NULL;

    return kind ? kind->name : NULL;
}

static const struct limits *limits_of(const struct fleet_node *node)
{
    return node->is_gateway ? &of_gateway : &of_host;
}

static void keep_row(struct run *run, const struct snapshot_model *model)
{
    const struct limits *limits = limits_of(&run->node);
    struct node_row row = {
        .hash = hash_row(model->id, model->port, run->hash_seed),
        .port = model->port,
        .stale = model->stale,
        .state = model->state,
        .engine_name = kind_name(model->engine_name),
        .allocated_bytes = believe(model->allocated_bytes, limits),
        .kv_used_bytes = believe(model->kv_used_bytes, limits),
        .kv_pool_bytes = believe(model->kv_pool_bytes, limits),
        .kv_used_blocks = believe_count(model->page.kv_used_blocks, limits),
        .kv_blocks = believe_count(model->page.kv_blocks, limits),
        .requests_running = believe_count(model->page.requests_running, limits),
        .requests_waiting = believe_count(model->page.requests_waiting, limits),
        .preemptions = believe_count(model->page.preemptions, limits),
        .prefix_minute = believe_hits(model->prefix_minute, limits),
        .prefix_five_minutes = believe_hits(model->prefix_five_minutes, limits),
        .prefix_lifetime = believe_hits(model->page.prefix, limits),
    };

    row.served_name = keep_name(run, model->served_name);
    row.id = keep_name(run, model->id);
    run->rows[run->n_rows++] = row;
    fleet_add_hits(&run->minute, row.prefix_minute);
    fleet_add_hits(&run->five_minutes, row.prefix_five_minutes);
    fleet_add_hits(&run->lifetime, row.prefix_lifetime);
    figure_add(&run->node.kv_pool_bytes, row.kv_pool_bytes, &run->node.kv_unknown);
    run->node.kv_used_how = MAX(run->node.kv_used_how, row.kv_used_bytes.how);
    run->node.requests_running =
        fleet_add_count(run->node.requests_running, row.requests_running);
    run->node.requests_waiting =
        fleet_add_count(run->node.requests_waiting, row.requests_waiting);
}

static int make_rows(struct run *run, size_t n)
{
    struct node_row *grown;

    if (n <= run->rows_room)
        return 0;
    grown = realloc(run->rows, n * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    run->rows = grown;
    run->rows_room = n;
    return 0;
}

void fleet_no_figures(struct fleet_node *node)
{
    static const char NONE[] = "the node has no figures";

    node->n_devices = node->n_models = 0;
    node->total_bytes = node->allocated_bytes = figure_unknown(NONE);
    node->kv_pool_bytes = figure_unknown(NONE);
    node->models_bytes = node->other_bytes = node->orphan_bytes = UNKNOWN;
    node->unattributed_bytes = 0;
    node->kv_used_bytes = UNKNOWN;
    node->kv_used_how = FROM_NOWHERE;
    node->kv_unknown = 0;
    node->hit_percent = (double)NAN;
    node->requests_running = node->requests_waiting = UNKNOWN;
}

static void forget_figures(struct run *run)
{
    fleet_no_figures(&run->node);
    run->n_rows = 0;
    run->gpus = 0;
    run->pool_unknown = 0;
    run->models_left_out = 0;
    run->minute = run->five_minutes = run->lifetime = (struct hit_counts){0};
    buf_clear(&run->names);
}

/* Both or none, as on a host: how much of what is in use. */
static void keep_memory(struct fleet_node *node, const struct snapshot *snapshot)
{
    const struct limits *limits = limits_of(node);

    node->total_bytes = believe(snapshot->total_bytes, limits);
    node->allocated_bytes = believe(snapshot->allocated_bytes, limits);
    if (node->allocated_bytes.how != FROM_NOWHERE &&
        node->total_bytes.how != FROM_NOWHERE &&
        node->allocated_bytes.value > node->total_bytes.value)
        node->allocated_bytes = figure_unknown(SAYS_TOO_MUCH);
    if (node->allocated_bytes.how == FROM_NOWHERE)
        return;
    node->models_bytes = believe_count(snapshot->models_bytes, limits);
    node->other_bytes = believe_count(snapshot->other_bytes, limits);
    node->orphan_bytes = believe_count(snapshot->orphan_bytes, limits);
    node->unattributed_bytes = snapshot->unattributed_bytes;
}

/* Its own percentage, which may be of a time before the last minutes. */
static void keep_hits(struct run *run, const struct snapshot *snapshot)
{
    if (snapshot->hit_percent_in_window || run->lifetime.queries > 0)
        run->node.hit_percent = snapshot->hit_percent;
}

static void keep_hits_of_all(struct hit_counts *sum, struct hit_counts said,
                             const struct limits *limits)
{
    said = believe_hits(said, limits);
    if (!isnan(said.queries))
        *sum = said;
}

/* What it says of all its models, where it does, in place of what its rows come to. */
static void keep_sums(struct run *run, const struct compact_head *head)
{
    struct fleet_node *node = &run->node;
    const struct limits *limits = limits_of(node);
    uint64_t running = believe_count(head->requests_running, limits);
    uint64_t waiting = believe_count(head->requests_waiting, limits);
    struct figure pool = believe(head->kv_pool_bytes, limits);

    node->requests_running = running == UNKNOWN ? node->requests_running : running;
    node->requests_waiting = waiting == UNKNOWN ? node->requests_waiting : waiting;
    if (pool.how != FROM_NOWHERE)
        node->kv_pool_bytes = pool;
    if (head->kv_pool_unknown != UNKNOWN)
        run->pool_unknown = (uint32_t)MIN(head->kv_pool_unknown, UINT64_C(0xffffffff));
    keep_hits_of_all(&run->minute, head->prefix_minute, limits);
    keep_hits_of_all(&run->five_minutes, head->prefix_five_minutes, limits);
    keep_hits_of_all(&run->lifetime, head->prefix_lifetime, limits);
}

/* The sum of none that is known is not 0. Of a gateway's rows each may be many models. */
static void keep_kv_used(struct fleet_node *node, const struct snapshot *snapshot)
{
    uint64_t used = believe_count(snapshot->kv_used_bytes, limits_of(node));
    bool of_some = snapshot->kv_unknown == 0 || snapshot->kv_unknown < node->n_models ||
                   snapshot->kv_used_bytes > 0 ||
                   (node->is_gateway && node->kv_used_how != FROM_NOWHERE);

    node->kv_used_bytes = of_some ? used : UNKNOWN;
    node->kv_unknown = snapshot->kv_unknown;
    if (!node->is_gateway &&
        (node->kv_used_bytes == UNKNOWN || snapshot->kv_unknown > node->n_models))
        node->kv_unknown = node->n_models;
}

static void keep_figures(struct run *run, const struct compact_message *message)
{
    const struct snapshot *snapshot = &message->snapshot;
    struct fleet_node *node = &run->node;

    node->seq = snapshot->seq;
    node->n_devices = message->head.gateway ? message->head.gpus : snapshot->n_devices;
    run->models_left_out = MIN(message->head.models_left_out, 1U << 20);
    node->n_models = snapshot->n_models + run->models_left_out;
    keep_memory(node, snapshot);
    if (node->n_models == 0)
        node->kv_pool_bytes = figure_of(0, DERIVED, NULL);
    for (uint32_t i = 0; i < snapshot->n_models; i++)
        keep_row(run, &snapshot->models[i]);
    run->pool_unknown = node->kv_unknown + run->models_left_out;
    keep_kv_used(node, snapshot);
    keep_sums(run, &message->head);
    if (run->pool_unknown && node->kv_pool_bytes.how != FROM_NOWHERE)
        node->kv_pool_bytes.why = PARTLY_THERE;
    run->gpus = hash_devices(snapshot, run->hash_seed);
    keep_hits(run, snapshot);
}

/* Only gateways sum up others. */
static void keep_via(struct run *run, const struct compact_head *head)
{
    size_t n = head->gateway ? MIN(head->via.n, (uint32_t)FLEET_VIA_MAX) : 0;

    run->n_via = head->gateway ? head->via.n : 0;
    run->via.max = sizeof(head->via.ids);
    buf_clear(&run->via);
    buf_add(&run->via, head->via.ids, n * sizeof(head->via.ids[0]));
}

static void keep_head(struct run *run, const struct compact_head *head)
{
    struct fleet_node *node = &run->node;

    static_assert(sizeof(node->version) == sizeof(head->version), "it is copied");
    memcpy(node->version, head->version, sizeof(head->version));
    node->started_unix_ms = head->started_unix_ms;
    node->interval_ms = head->interval_ms;
    node->is_gateway = head->gateway;
    node->nodes = head->gateway ? head->nodes : 1;
    run->unix_ms = head->unix_ms;
    keep_via(run, head);
    (void)text_clean(run->outage, sizeof(run->outage), span_of(head->outage_reason));
}

int fleet_keep(struct run *run, struct span bytes, const struct compact_message *message)
{
    int r;

    keep_head(run, &message->head);
    forget_figures(run);
    run->has_figures = false;
    run->message.max = run->names.max = COMPACT_MAX;
    buf_clear(&run->message);
    buf_add(&run->message, bytes.at, bytes.len);
    r = make_rows(run, message->snapshot.n_models);
    if (r == 0 && !run->message.error && message->has_figures)
        keep_figures(run, message);
    if (r < 0 || run->message.error || run->names.error || run->via.error) {
        forget_figures(run);
        buf_clear(&run->message);
        return -ENOMEM;
    }
    run->has_figures = message->has_figures;
    return 0;
}
