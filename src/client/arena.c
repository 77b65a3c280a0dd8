// SPDX-License-Identifier: Apache-2.0
#include "client/arena.h"

enum { ALIGNMENT = _Alignof(max_align_t), LATER_BLOCK = 64 * 1024 };

struct arena_block {
    struct arena_block *older;
    size_t size;
    _Alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, size_t block)
{
    *arena = (struct arena){.block = block};
}

void arena_done(struct arena *arena)
{
    struct arena_block *block = arena->newest;

    while (block) {
        struct arena_block *older = block->older;

        free(block);
        block = older;
    }
    *arena = (struct arena){.block = arena->block};
}

static bool add_block(struct arena *arena, size_t at_least)
{
    size_t size = MAX(arena->block, at_least);
    struct arena_block *block;

    if (size > SIZE_MAX - sizeof(*block))
        return false;
    block = calloc(1, sizeof(*block) + size);
    if (!block)
        return false;
    block->older = arena->newest;
    block->size = size;
    arena->newest = block;
    arena->used = 0;
    arena->block = LATER_BLOCK;
    return true;
}

void *arena_take(struct arena *arena, size_t size)
{
    void *taken;

    if (size > SIZE_MAX - ALIGNMENT)
        return NULL;
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!arena->newest || size > arena->newest->size - arena->used)
        if (!add_block(arena, size))
            return NULL;
    taken = arena->newest->data + arena->used;
    arena->used += size;
    return taken;
}

char *arena_take_text(struct arena *arena, struct span text)
{
    char *copy = arena_take(arena, text.len + 1);

    if (copy && text.len)
        memcpy(copy, text.at, text.len);
    return copy;
}
