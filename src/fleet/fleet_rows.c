// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

#include "encode/seed.h"

#include <math.h>

enum {
    SEED_ROW = 128, // of a row in that document, without its name
    SEED_REST = 256,
};

enum { ALLOCATED, KV_USED, KV_POOL, FIGURES };

static const char KNOWN_OF_NONE[] = "it is known on no node";

/* The best first: what a user of the model gets. */
static int rank(enum engine_state state)
{
    static const int ranks[ENGINE_STATES] = {
        [ENGINE_READY] = 0,    [ENGINE_SLEEPING] = 1, [ENGINE_METRICS_DISABLED] = 2,
        [ENGINE_STARTING] = 3, [ENGINE_LOADING] = 4,  [ENGINE_UNREACHABLE] = 5,
    };

    return ranks[state];
}

/* NULL: there are as many different ones as may be. */
static struct row_sum *find_row(struct summing *sum, const struct node_row *row,
                                const char *id)
{
    uint32_t at = row->hash % FLEET_ROW_SLOTS;
    struct row_sum *found;

    for (; sum->slots[at]; at = (at + 1) % FLEET_ROW_SLOTS) {
        found = &sum->rows[sum->slots[at] - 1];
        if (found->row.hash == row->hash && found->row.port == row->port &&
            strcmp(found->id, id) == 0)
            return found;
    }
    if (sum->n_rows == FLEET_ROWS_MAX)
        return NULL;
    found = &sum->rows[sum->n_rows];
    sum->slots[at] = ++sum->n_rows;
    *found = (struct row_sum){
        .row = {.hash = row->hash,
                .port = row->port,
                .state = row->state,
                .engine_name = row->engine_name,
                .kv_used_blocks = UNKNOWN,
                .kv_blocks = UNKNOWN,
                .requests_running = UNKNOWN,
                .requests_waiting = UNKNOWN,
                .preemptions = UNKNOWN,
                .prefix_minute = {(double)NAN, (double)NAN},
                .prefix_five_minutes = {(double)NAN, (double)NAN},
                .prefix_lifetime = {(double)NAN, (double)NAN}},
        .id = id,
    };
    for (size_t i = 0; i < FIGURES; i++)
        found->figures[i] = figure_unknown(KNOWN_OF_NONE);
    return found;
}

/* NAN until something is known. */
static void add_hits(struct hit_counts *sum, struct hit_counts more)
{
    if (isnan(more.queries))
        return;
    if (isnan(sum->queries))
        *sum = (struct hit_counts){0};
    fleet_add_hits(sum, more);
}

/* A node may serve a model twice on one port, in two containers: it is one node still. */
static void count_node(struct row_sum *sum, const struct run *run, bool ready)
{
    if (sum->last != run) {
        sum->nodes++;
        sum->last_ready = false;
    }
    sum->last = run;
    sum->ready += ready && !sum->last_ready;
    sum->last_ready = sum->last_ready || ready;
}

static void add_counts(struct node_row *sum, const struct node_row *row)
{
    sum->kv_used_blocks = fleet_add_count(sum->kv_used_blocks, row->kv_used_blocks);
    sum->kv_blocks = fleet_add_count(sum->kv_blocks, row->kv_blocks);
    sum->requests_running = fleet_add_count(sum->requests_running, row->requests_running);
    sum->requests_waiting = fleet_add_count(sum->requests_waiting, row->requests_waiting);
    sum->preemptions = fleet_add_count(sum->preemptions, row->preemptions);
    add_hits(&sum->prefix_minute, row->prefix_minute);
    add_hits(&sum->prefix_five_minutes, row->prefix_five_minutes);
    add_hits(&sum->prefix_lifetime, row->prefix_lifetime);
}

static void add_row(struct summing *sum, const struct run *run,
                    const struct node_row *row)
{
    const char *served_name = run->names.data + row->served_name;
    struct row_sum *to = find_row(sum, row, run->names.data + row->id);

    if (!to) {
        sum->left_out = fleet_add_few(sum->left_out, 1);
        return;
    }
    if (!to->served_name || strcmp(served_name, to->served_name) < 0)
        to->served_name = served_name;
    if (to->row.engine_name != row->engine_name)
        to->row.engine_name = NULL;
    if (rank(row->state) < rank(to->row.state))
        to->row.state = row->state;
    to->row.stale = to->row.stale || row->stale;
    count_node(to, run, row->state == ENGINE_READY);
    figure_add(&to->figures[ALLOCATED], row->allocated_bytes, &to->unknown[ALLOCATED]);
    figure_add(&to->figures[KV_USED], row->kv_used_bytes, &to->unknown[KV_USED]);
    figure_add(&to->figures[KV_POOL], row->kv_pool_bytes, &to->unknown[KV_POOL]);
    add_counts(&to->row, row);
}

void fleet_add_rows(struct summing *sum, const struct run *run)
{
    sum->left_out = fleet_add_few(sum->left_out, run->models_left_out);
    for (size_t i = 0; i < run->n_rows; i++)
        add_row(sum, run, &run->rows[i]);
}

static int by_place(const void *one, const void *other)
{
    const struct row_sum *a = one, *b = other;

    if (a->row.port != b->row.port)
        return a->row.port < b->row.port ? -1 : 1;
    return strcmp(a->id, b->id);
}

/* What is not known is nothing. */
static uint64_t size_of(const struct row_sum *row)
{
    const struct figure *figure = &row->figures[ALLOCATED];

    return figure->how == FROM_NOWHERE ? 0 : figure->value;
}

/* The largest first. */
static int by_size(const void *one, const void *other)
{
    uint64_t bytes = size_of(one), others = size_of(other);

    if (bytes != others)
        return bytes > others ? -1 : 1;
    return by_place(one, other);
}

/* In whichever form the document names models. */
static size_t seed_bytes(const struct row_sum *row)
{
    size_t len = 0;

    for (const char *c = row->served_name; *c; c++)
        len += *c == '"' || *c == '\\' ? 2 : 1;
    return SEED_ROW + MAX(len, strlen(row->id));
}

static void copy_name(char ret[ENGINE_NAME_MAX + 1], const char *name)
{
    size_t len = MIN(strlen(name), (size_t)ENGINE_NAME_MAX);

    memcpy(ret, name, len);
    ret[len] = '\0';
}

static void give_row(const struct row_sum *from, struct fleet_model *ret)
{
    static const char PARTLY[] = "without nodes on which it is not known";
    struct figure figures[FIGURES];

    for (size_t i = 0; i < FIGURES; i++) {
        figures[i] = from->figures[i];
        if (from->unknown[i] && figures[i].how != FROM_NOWHERE)
            figures[i].why = PARTLY;
    }
    *ret = (struct fleet_model){
        .port = from->row.port,
        .engine_name = from->row.engine_name,
        .nodes = from->nodes,
        .ready = from->ready,
        .allocated_unknown = from->unknown[ALLOCATED],
        .kv_used_unknown = from->unknown[KV_USED],
        .kv_pool_unknown = from->unknown[KV_POOL],
        .state = from->row.state,
        .stale = from->row.stale,
        .allocated_bytes = figures[ALLOCATED],
        .kv_used_bytes = figures[KV_USED],
        .kv_pool_bytes = figures[KV_POOL],
        .kv_used_blocks = from->row.kv_used_blocks,
        .kv_blocks = from->row.kv_blocks,
        .requests_running = from->row.requests_running,
        .requests_waiting = from->row.requests_waiting,
        .preemptions = from->row.preemptions,
        .prefix_minute = from->row.prefix_minute,
        .prefix_five_minutes = from->row.prefix_five_minutes,
        .prefix_lifetime = from->row.prefix_lifetime,
        .in_seed = from->in_seed,
    };
    copy_name(ret->served_name, from->served_name);
    copy_name(ret->id, from->id);
}

uint32_t fleet_count_rows(const struct summing *sum)
{
    return MIN(sum->n_rows, (uint32_t)FLEET_MODELS_MAX);
}

/* The largest, in the order in which they are told. */
static void choose_for_seed(void **rows, uint32_t n)
{
    size_t room = SEED_EVENT_MAX - SEED_REST, used = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct row_sum *row = rows[i];

        used += seed_bytes(row);
        row->in_seed = used <= room;
    }
}

void fleet_give_rows(struct summing *sum, struct snapshot *ret)
{
    struct snapshot_fleet *fleet = ret->fleet;
    uint32_t few = MIN(sum->n_rows, (uint32_t)SNAPSHOT_MODELS_MAX);

    for (uint32_t i = 0; i < sum->n_rows; i++)
        sum->order[i] = &sum->rows[i];
    fleet_sort(sum->order, sum->n_rows, by_size);
    fleet->n_models = fleet_count_rows(sum);
    fleet->models_left_out = fleet_add_few(sum->n_rows - fleet->n_models, sum->left_out);
    choose_for_seed(sum->order, fleet->n_models);

    fleet_sort(sum->order, few, by_place);
    for (uint32_t i = 0; i < few; i++) {
        give_row(sum->order[i], &fleet->models[0]);
        fleet_model_to_row(&fleet->models[0], &ret->models[i]);
    }
    ret->n_models = few;
    fleet_sort(sum->order, fleet->n_models, by_place);
    for (uint32_t i = 0; i < fleet->n_models; i++)
        give_row(sum->order[i], &fleet->models[i]);
}
