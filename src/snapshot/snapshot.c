// SPDX-License-Identifier: Apache-2.0
#include "snapshot/snapshot.h"

#include <assert.h>

struct shared {
    struct snapshot_pool *pool;
    struct shared *next; // while it is spare
    unsigned refs;
    struct snapshot snapshot;
};

struct snapshot_pool {
    struct shared *spare;
    size_t lent;
};

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
        free(shared);
    }
    free(pool);
}

struct snapshot *snapshot_new(struct snapshot_pool *pool)
{
    struct shared *shared = pool->spare;

    if (shared)
        pool->spare = shared->next;
    else
        shared = malloc(sizeof(*shared));
    if (!shared)
        return NULL;
    pool->lent++;
    shared->pool = pool;
    shared->refs = 1;
    // The rows are written as they are counted; only what stands before them is cleared.
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
