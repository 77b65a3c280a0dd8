// SPDX-License-Identifier: Apache-2.0
#include "history/past_chunks.h"

#include <pthread.h>

struct chunk {
    uint64_t first_moment; // number of its first one
    uint64_t first_ns;     // when that was taken
    uint64_t last_ns;      // and the newest
    size_t len;
    uint8_t bytes[PAST_CHUNK_ROOM];
};

_Static_assert(sizeof(struct chunk) <= PAST_CHUNK_BYTES,
               "a chunk is as large as it says");

struct past_chunks {
    pthread_mutex_t lock; // of all below, which who adds may read without it
    uint64_t begun;       // chunks, ever
    uint64_t n;           // of them that are there, the newest
    uint64_t moments;     // added, ever
    size_t n_slots;
    struct chunk slots[]; // chunk i is at i modulo n_slots
};

static void lock(struct past_chunks *chunks)
{
    (void)pthread_mutex_lock(&chunks->lock);
}

static void unlock(struct past_chunks *chunks)
{
    (void)pthread_mutex_unlock(&chunks->lock);
}

int past_chunks_new(size_t bytes, struct past_chunks **ret)
{
    size_t n_slots = MAX(bytes / sizeof(struct chunk), (size_t)2);
    struct past_chunks *chunks;

    if (n_slots > (SIZE_MAX / 2) / sizeof(struct chunk))
        return -ENOMEM;
    chunks = calloc(1, sizeof(*chunks) + n_slots * sizeof(struct chunk));
    if (!chunks)
        return -ENOMEM;
    (void)pthread_mutex_init(&chunks->lock, NULL); // cannot fail
    chunks->n_slots = n_slots;
    *ret = chunks;
    return 0;
}

void past_chunks_free(struct past_chunks *chunks)
{
    if (!chunks)
        return;
    (void)pthread_mutex_destroy(&chunks->lock);
    free(chunks);
}

static struct chunk *chunk_at(struct past_chunks *chunks, uint64_t number)
{
    return &chunks->slots[number % chunks->n_slots];
}

bool past_chunks_have_room(const struct past_chunks *chunks, size_t len)
{
    const struct chunk *newest = &chunks->slots[(chunks->begun - 1) % chunks->n_slots];

    return chunks->n > 0 && PAST_CHUNK_ROOM - newest->len >= len;
}

/* The next chunk, where the oldest was once all places are taken. */
static void begin_chunk(struct past_chunks *chunks, uint64_t taken_ns)
{
    struct chunk *chunk = chunk_at(chunks, chunks->begun++);

    chunks->n = MIN(chunks->n + 1, (uint64_t)chunks->n_slots);
    chunk->first_moment = chunks->moments;
    chunk->first_ns = taken_ns;
    chunk->len = 0;
}

uint64_t past_chunks_add(struct past_chunks *chunks, uint64_t taken_ns,
                         const uint8_t *bytes, size_t len, bool in_another)
{
    struct chunk *newest;

    lock(chunks);
    if (in_another)
        begin_chunk(chunks, taken_ns);
    newest = chunk_at(chunks, chunks->begun - 1);
    memcpy(newest->bytes + newest->len, bytes, len);
    newest->len += len;
    newest->last_ns = taken_ns;
    chunks->moments++;
    unlock(chunks);
    return chunks->begun - 1;
}

void past_chunks_clear(struct past_chunks *chunks)
{
    lock(chunks);
    chunks->n = 0;
    unlock(chunks);
}

uint64_t past_chunks_oldest(const struct past_chunks *chunks)
{
    return chunks->begun - chunks->n;
}

static void begin_copy(struct past_chunks *chunks, uint64_t number,
                       struct past_copy *copy)
{
    copy->chunk = number;
    copy->len = 0;
    copy->first_moment =
        number < chunks->begun ? chunk_at(chunks, number)->first_moment : chunks->moments;
}

void past_chunks_find(struct past_chunks *chunks, uint64_t since_ns,
                      struct past_copy *copy)
{
    uint64_t number;

    lock(chunks);
    number = past_chunks_oldest(chunks);
    while (number + 1 < chunks->begun && chunk_at(chunks, number)->last_ns <= since_ns)
        number++;
    begin_copy(chunks, number, copy);
    unlock(chunks);
}

/* All of the chunk that the copy is of has been copied, or it is gone. */
static bool copy_is_done(struct past_chunks *chunks, const struct past_copy *copy)
{
    if (copy->chunk < past_chunks_oldest(chunks))
        return true;
    return copy->chunk + 1 < chunks->begun &&
           copy->len == chunk_at(chunks, copy->chunk)->len;
}

bool past_chunks_copy_on(struct past_chunks *chunks, struct past_copy *copy)
{
    bool more = false;

    lock(chunks);
    if (copy_is_done(chunks, copy))
        begin_copy(chunks, MAX(copy->chunk + 1, past_chunks_oldest(chunks)), copy);
    if (copy->chunk < chunks->begun) {
        const struct chunk *chunk = chunk_at(chunks, copy->chunk);

        more = copy->len < chunk->len;
        copy->first_moment = chunk->first_moment; // which may not have been there before
        memcpy(copy->bytes + copy->len, chunk->bytes + copy->len, chunk->len - copy->len);
        copy->len = chunk->len;
    }
    unlock(chunks);
    return more;
}

void past_chunks_span(struct past_chunks *chunks, uint64_t *ret_oldest_ns,
                      uint64_t *ret_newest_ns)
{
    *ret_oldest_ns = *ret_newest_ns = 0;
    lock(chunks);
    if (chunks->n > 0) {
        *ret_oldest_ns = chunk_at(chunks, past_chunks_oldest(chunks))->first_ns;
        *ret_newest_ns = chunk_at(chunks, chunks->begun - 1)->last_ns;
    }
    unlock(chunks);
}
