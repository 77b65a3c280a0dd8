// SPDX-License-Identifier: Apache-2.0
#include "snapshot/snapshot.h"

#include <assert.h>

struct shared {
    struct snapshot_pool *pool;
    struct shared *next; // while it is spare
    unsigned refs;
    struct snapshot_fleet fleet; // of the snapshot, where it has one
    struct snapshot snapshot;
};

struct snapshot_pool {
    struct shared *spare;
    size_t lent;
};

void figure_add(struct figure *sum, struct figure figure, uint32_t *unknown)
{
    if (figure.how == FROM_NOWHERE) {
        ++*unknown;
        return;
    }
    if (sum->how == FROM_NOWHERE) {
        *sum = figure;
        return;
    }
    if (add_saturating(sum->value, figure.value) > (uint64_t)INT64_MAX) {
        ++*unknown;
        return;
    }
    sum->value += figure.value;
    sum->error = add_saturating(sum->error, figure.error);
    if (figure.how > sum->how || !sum->why)
        sum->why = figure.why;
    sum->how = MAX(sum->how, figure.how);
}

const char *provenance_name(enum provenance how)
{
    static const char *const names[] = {
        [FROM_NOWHERE] = "unknown", [MEASURED] = "measured",   [BY_ENGINE] = "engine",
        [DERIVED] = "derived",      [ESTIMATED] = "estimated",
    };

    return names[how];
}

static struct shared *shared_of(const struct snapshot *snapshot)
{
    return CONTAINER_OF((uintptr_t)snapshot, struct shared, snapshot);
}

int snapshot_pool_new(struct snapshot_pool **ret)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

void snapshot_pool_free(struct snapshot_pool *pool)
{
    if (!pool)
        return;
    assert(pool->lent == 0);
    while (pool->spare) {
        struct shared *shared = pool->spare;

        pool->spare = shared->next;
        free(shared->fleet.nodes);
        free(shared->fleet.models);
        free(shared);
    }
    free(pool);
}

/* Rows are written as they are counted: they need not be cleared. */
static struct shared *new_shared(void)
{
    struct shared *shared = malloc(sizeof(*shared));

    if (shared)
        shared->fleet = (struct snapshot_fleet){0};
    return shared;
}

struct snapshot *snapshot_new(struct snapshot_pool *pool)
{
    struct shared *shared = pool->spare;

    if (shared)
        pool->spare = shared->next;
    else
        shared = new_shared();
    if (!shared)
        return NULL;
    pool->lent++;
    shared->pool = pool;
    shared->refs = 1;
    memset(&shared->snapshot, 0, offsetof(struct snapshot, sources));
    return &shared->snapshot;
}

const struct snapshot *snapshot_ref(const struct snapshot *snapshot)
{
    shared_of(snapshot)->refs++;
    return snapshot;
}

void snapshot_unref(const struct snapshot *snapshot)
{
    struct shared *shared;

    if (!snapshot)
        return;
    shared = shared_of(snapshot);
    if (--shared->refs > 0)
        return;
    shared->next = shared->pool->spare;
    shared->pool->spare = shared;
    shared->pool->lent--;
}

/* Half as much again, so that a fleet that grows does not ask each time. */
static int make_room(void **rows, size_t *room, size_t wanted, size_t size)
{
    size_t more = wanted + wanted / 2;
    void *grown;

    if (wanted <= *room)
        return 0;
    grown = realloc(*rows, more * size);
    if (!grown)
        return -ENOMEM;
    *rows = grown;
    *room = more;
    return 0;
}

int snapshot_make_fleet(struct snapshot *snapshot, size_t nodes, size_t models)
{
    struct snapshot_fleet *fleet = &shared_of(snapshot)->fleet;
    void *node_rows = fleet->nodes, *model_rows = fleet->models;
    struct snapshot_fleet empty = {.nodes_room = fleet->nodes_room,
                                   .models_room = fleet->models_room};
    int r = make_room(&node_rows, &empty.nodes_room, nodes, sizeof(*fleet->nodes));

    if (r == 0)
        r = make_room(&model_rows, &empty.models_room, models, sizeof(*fleet->models));
    empty.nodes = node_rows;
    empty.models = model_rows;
    *fleet = empty;
    if (r == 0)
        snapshot->fleet = fleet;
    return r;
}

static bool is_identifier(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

void snapshot_make_id(const char *served_name, char id[ENGINE_NAME_MAX + 1])
{
    size_t n = 0;

    for (const char *c = served_name; *c && n < ENGINE_NAME_MAX; c++)
        if (((unsigned char)*c & 0xc0) != 0x80) // one '-' for a character, not for a byte
            id[n++] = is_identifier(*c) ? *c : '-';
    id[n] = '\0';
}
