// SPDX-License-Identifier: Apache-2.0
/*
 * arena.h - memory for many small things that go all at once
 *
 * A few blocks; what is taken is zeroed and aligned for anything that a document holds.
 */
#ifndef CLIENT_ARENA_H
#define CLIENT_ARENA_H

#include "base/base.h"

struct arena {
    struct arena_block *newest;
    size_t used;  // bytes of the newest block
    size_t block; // bytes of the next one, at least
};

void arena_init(struct arena *arena, size_t block); // takes no memory yet
void arena_done(struct arena *arena);               // frees all that was taken

void *arena_take(struct arena *arena, size_t size); // NULL: no memory

/* A copy with a NUL behind it; NULL: no memory. */
char *arena_take_text(struct arena *arena, struct span text);

#endif
