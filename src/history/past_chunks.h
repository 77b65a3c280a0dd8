// SPDX-License-Identifier: Apache-2.0
/*
 * past_chunks.h - encoded moments in a fixed number of chunks, of which the oldest goes
 *
 * Chunks are numbered from 0 as they are begun, moments as they are added; numbers go on
 * whatever is dropped. One thread adds; any may copy what is there. The lock is held for
 * the copy of one chunk at most.
 */
#ifndef HISTORY_PAST_CHUNKS_H
#define HISTORY_PAST_CHUNKS_H

#include "history/past.h"

enum {
    PAST_CHUNK_BYTES = 16 * 1024, // with what is noted about it
    PAST_CHUNK_ROOM = PAST_CHUNK_BYTES - 32,
};

struct past_chunks;

int past_chunks_new(size_t bytes, struct past_chunks **ret) MUST_CHECK;
void past_chunks_free(struct past_chunks *chunks); // takes NULL

struct past_chunks *past_chunks_of(struct past *past);

/* ---- By who adds ---- */

/* Is there a chunk that takes so many bytes more? */
bool past_chunks_have_room(const struct past_chunks *chunks, size_t len);

/* Add a moment to the newest chunk, or as the first of another one. Its chunk's number. */
uint64_t past_chunks_add(struct past_chunks *chunks, uint64_t taken_ns,
                         const uint8_t *bytes, size_t len, bool in_another);
void past_chunks_clear(struct past_chunks *chunks);

/* The lowest number of a chunk that is there; where there is none, of the next one. */
uint64_t past_chunks_oldest(const struct past_chunks *chunks);

/* ---- By anybody ---- */

/* A chunk as far as it has been copied, and the place of who reads it. */
struct past_copy {
    uint64_t chunk;
    uint64_t first_moment; // number of the chunk's first one
    size_t len;            // 0: nothing of it yet
    uint8_t bytes[PAST_CHUNK_ROOM];
};

/* The chunk that has the first moment taken after `since_ns`; the newest: none has. */
void past_chunks_find(struct past_chunks *chunks, uint64_t since_ns,
                      struct past_copy *copy);

/*
 * Copy what was added to the chunk since, or if there is none the next chunk in its place,
 * or if that is gone the oldest there is. False: there is nothing more.
 */
bool past_chunks_copy_on(struct past_chunks *chunks, struct past_copy *copy);

void past_chunks_span(struct past_chunks *chunks, uint64_t *ret_oldest_ns,
                      uint64_t *ret_newest_ns);

#endif
