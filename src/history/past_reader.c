// SPDX-License-Identifier: Apache-2.0
#include "history/past_chunks.h"
#include "history/past_coder.h"

struct past_reader {
    struct past_chunks *chunks;
    uint64_t since_ns; // moments until the first one after it are skipped; 0: none are
    uint64_t moment;   // number of the next one
    uint64_t missed;
    uint64_t chunk; // that the coder is in
    size_t at;      // in the copy's bytes
    struct past_coder coder;
    struct past_copy copy;
};

int past_reader_new(struct past *past, struct past_reader **ret)
{
    struct past_reader *reader = calloc(1, sizeof(*reader));

    if (!reader)
        return -ENOMEM;
    reader->chunks = past_chunks_of(past);
    past_reader_seek(reader, 0);
    *ret = reader;
    return 0;
}

void past_reader_free(struct past_reader *reader)
{
    free(reader);
}

static void begin_chunk(struct past_reader *reader)
{
    reader->chunk = reader->copy.chunk;
    reader->at = 0;
    past_coder_reset(&reader->coder);
}

void past_reader_seek(struct past_reader *reader, uint64_t since_ns)
{
    past_chunks_find(reader->chunks, since_ns, &reader->copy);
    begin_chunk(reader);
    reader->moment = reader->copy.first_moment;
    reader->missed = 0;
    reader->since_ns = since_ns;
}

/* More bytes to read. Where they are another chunk's, moments before it are missed. */
static bool read_on(struct past_reader *reader)
{
    bool more = past_chunks_copy_on(reader->chunks, &reader->copy);

    if (reader->copy.chunk != reader->chunk)
        begin_chunk(reader);
    if (more && reader->at == 0) {
        reader->missed += reader->copy.first_moment - reader->moment;
        reader->moment = reader->copy.first_moment;
    }
    return more;
}

const struct past_moment *past_reader_next(struct past_reader *reader)
{
    const struct past_moment *moment = &reader->coder.last;

    do {
        if (reader->at == reader->copy.len && !read_on(reader))
            return NULL;
        reader->at += past_decode(&reader->coder, reader->copy.bytes + reader->at);
        reader->moment++;
    } while (reader->since_ns && moment->taken_ns <= reader->since_ns);
    reader->since_ns = 0;
    return moment;
}

uint64_t past_reader_missed(struct past_reader *reader)
{
    uint64_t missed = reader->missed;

    reader->missed = 0;
    return missed;
}
