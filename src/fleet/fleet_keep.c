// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

#include "base/text.h"
#include "engine/engine_kind.h"

#include <assert.h>
#include <math.h>

/* More counts than any engine can have: sums of doubles stay exact enough, and finite. */
#define HITS_MAX 1e18

static const char SAYS_NOT[] = "the node does not say";
static const char SAYS_TOO_MUCH[] = "the node says more than there can be";
static const char ESTIMATED_THERE[] = "it is an estimate of the node";
static const char PARTLY_THERE[] = "the node knows it in part";

/* Sentences of a message go with it: ours stay. */
struct figure fleet_believe(struct figure figure)
{
    if (figure.how == FROM_NOWHERE)
        return figure_unknown(SAYS_NOT);
    if (figure.value > FLEET_BYTES_MAX)
        return figure_unknown(SAYS_TOO_MUCH);
    figure.why = figure.how == ESTIMATED ? ESTIMATED_THERE
                 : figure.why            ? PARTLY_THERE
                                         : NULL;
    return figure;
}

/* The weakest of the parts tells where the sum comes from. */
void fleet_add_figure(struct figure *sum, struct figure figure, uint32_t *unknown)
{
    if (figure.how == FROM_NOWHERE) {
        ++*unknown;
        return;
    }
    if (sum->how == FROM_NOWHERE) {
        *sum = figure;
        return;
    }
    if (sum->value + figure.value > (uint64_t)INT64_MAX) {
        ++*unknown;
        return;
    }
    sum->value += figure.value;
    sum->error = add_saturating(sum->error, figure.error);
    if (figure.how > sum->how || !sum->why)
        sum->why = figure.why;
    sum->how = MAX(sum->how, figure.how);
}

/* Of those that are known. */
uint64_t fleet_add_count(uint64_t sum, uint64_t count)
{
    if (count == UNKNOWN || count > FLEET_BYTES_MAX)
        return sum;
    return sum == UNKNOWN ? count : MIN(sum + count, (uint64_t)INT64_MAX);
}

static struct hit_counts believe_hits(struct hit_counts counts)
{
    bool sound = counts.hits >= 0 && counts.queries >= 0 && counts.queries <= HITS_MAX;

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

static uint64_t believe_count(uint64_t count)
{
    return count > FLEET_BYTES_MAX ? UNKNOWN : count;
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

static void keep_row(struct run *run, const struct snapshot_model *model)
{
    struct node_row row = {
        .hash = hash_row(model->id, model->port, run->hash_seed),
        .port = model->port,
        .stale = model->stale,
        .state = model->state,
        .engine_name = kind_name(model->engine_name),
        .allocated_bytes = fleet_believe(model->allocated_bytes),
        .kv_used_bytes = fleet_believe(model->kv_used_bytes),
        .kv_pool_bytes = fleet_believe(model->kv_pool_bytes),
        .kv_used_blocks = believe_count(model->page.kv_used_blocks),
        .kv_blocks = believe_count(model->page.kv_blocks),
        .requests_running = believe_count(model->page.requests_running),
        .requests_waiting = believe_count(model->page.requests_waiting),
        .preemptions = believe_count(model->page.preemptions),
        .prefix_minute = believe_hits(model->prefix_minute),
        .prefix_five_minutes = believe_hits(model->prefix_five_minutes),
        .prefix_lifetime = believe_hits(model->page.prefix),
    };

    row.served_name = keep_name(run, model->served_name);
    row.id = keep_name(run, model->id);
    run->rows[run->n_rows++] = row;
    fleet_add_hits(&run->minute, row.prefix_minute);
    fleet_add_hits(&run->five_minutes, row.prefix_five_minutes);
    fleet_add_hits(&run->lifetime, row.prefix_lifetime);
    fleet_add_figure(&run->node.kv_pool_bytes, row.kv_pool_bytes, &run->node.kv_unknown);
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
    run->minute = run->five_minutes = run->lifetime = (struct hit_counts){0};
    buf_clear(&run->names);
}

/* Both or none, as on a host: how much of what is in use. */
static void keep_memory(struct fleet_node *node, const struct snapshot *snapshot)
{
    node->total_bytes = fleet_believe(snapshot->total_bytes);
    node->allocated_bytes = fleet_believe(snapshot->allocated_bytes);
    if (node->allocated_bytes.how != FROM_NOWHERE &&
        node->total_bytes.how != FROM_NOWHERE &&
        node->allocated_bytes.value > node->total_bytes.value)
        node->allocated_bytes = figure_unknown(SAYS_TOO_MUCH);
    if (node->allocated_bytes.how == FROM_NOWHERE)
        return;
    node->models_bytes = believe_count(snapshot->models_bytes);
    node->other_bytes = believe_count(snapshot->other_bytes);
    node->orphan_bytes = believe_count(snapshot->orphan_bytes);
    node->unattributed_bytes = snapshot->unattributed_bytes;
}

/* Its own percentage, which may be of a time before the last minutes. */
static void keep_hits(struct run *run, const struct snapshot *snapshot)
{
    if (snapshot->hit_percent_in_window || run->lifetime.queries > 0)
        run->node.hit_percent = snapshot->hit_percent;
}

/* Of more rows than it tells. */
static void keep_requests(struct fleet_node *node, const struct compact_head *head)
{
    uint64_t running = believe_count(head->requests_running);
    uint64_t waiting = believe_count(head->requests_waiting);

    node->requests_running = running == UNKNOWN ? node->requests_running : running;
    node->requests_waiting = waiting == UNKNOWN ? node->requests_waiting : waiting;
}

static void keep_figures(struct run *run, const struct compact_message *message)
{
    const struct snapshot *snapshot = &message->snapshot;
    struct fleet_node *node = &run->node;
    uint32_t pool_unknown;

    node->seq = snapshot->seq;
    node->n_devices = message->head.gateway ? message->head.gpus : snapshot->n_devices;
    node->n_models = snapshot->n_models + MIN(message->head.models_left_out, 1U << 20);
    keep_memory(node, snapshot);
    if (node->n_models == 0)
        node->kv_pool_bytes = figure_of(0, DERIVED, NULL);
    for (uint32_t i = 0; i < snapshot->n_models; i++)
        keep_row(run, &snapshot->models[i]);
    pool_unknown = node->kv_unknown + node->n_models - snapshot->n_models;
    if (pool_unknown && node->kv_pool_bytes.how != FROM_NOWHERE)
        node->kv_pool_bytes.why = PARTLY_THERE;
    run->pool_unknown = pool_unknown;
    // Of a gateway's rows each may be many models.
    node->kv_unknown = message->head.gateway ? snapshot->kv_unknown
                                             : MIN(snapshot->kv_unknown, node->n_models);
    if (node->kv_unknown == 0 || node->kv_unknown < node->n_models ||
        snapshot->kv_used_bytes > 0) // of none is not 0
        node->kv_used_bytes = believe_count(snapshot->kv_used_bytes);
    run->gpus = hash_devices(snapshot, run->hash_seed);
    keep_hits(run, snapshot);
    if (message->head.gateway)
        keep_requests(node, &message->head);
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
    if (r < 0 || run->message.error || run->names.error) {
        forget_figures(run);
        buf_clear(&run->message);
        return -ENOMEM;
    }
    run->has_figures = message->has_figures;
    return 0;
}
