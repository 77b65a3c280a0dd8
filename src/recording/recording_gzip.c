// SPDX-License-Identifier: Apache-2.0
#include "recording/recording_gzip.h"

#include <zlib.h>

enum {
    PIECE_MAX = 64 * 1024,
    GZIP_WINDOW = 15 + 16, // the largest, in a gzip member
    GZIP_MEMORY = 8,       // zlib's default
};

struct recording_gzip {
    recording_piece_fn *put;
    void *ctx;
    bool in_member;
    z_stream deflate;
    unsigned char piece[PIECE_MAX];
};

int recording_gzip_new(enum recording_effort effort, recording_piece_fn *put, void *ctx,
                       struct recording_gzip **ret)
{
    int level = effort == RECORDING_EFFORT_LEAST ? Z_BEST_SPEED : Z_DEFAULT_COMPRESSION;
    struct recording_gzip *gzip = calloc(1, sizeof(*gzip));

    if (!gzip)
        return -ENOMEM;
    if (deflateInit2(&gzip->deflate, level, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        free(gzip);
        return -ENOMEM;
    }
    gzip->put = put;
    gzip->ctx = ctx;
    gzip->deflate.next_out = gzip->piece;
    gzip->deflate.avail_out = sizeof(gzip->piece);
    *ret = gzip;
    return 0;
}

void recording_gzip_free(struct recording_gzip *gzip)
{
    if (!gzip)
        return;
    (void)deflateEnd(&gzip->deflate);
    free(gzip);
}

static int hand_on(struct recording_gzip *gzip)
{
    z_stream *z = &gzip->deflate;
    size_t len = sizeof(gzip->piece) - z->avail_out;

    z->next_out = gzip->piece;
    z->avail_out = sizeof(gzip->piece);
    return gzip->put(gzip->ctx, (struct span){(const char *)gzip->piece, len});
}

/* Compress, and hand on what comes of it: with Z_NO_FLUSH, once there is much of it. */
static int deflate_text(struct recording_gzip *gzip, struct span text, int flush)
{
    z_stream *z = &gzip->deflate;
    int r = 0;

    z->next_in = (unsigned char *)(uintptr_t)text.at;
    z->avail_in = (unsigned)text.len;
    do {
        if (z->avail_out == 0)
            r = hand_on(gzip);
        if (r == 0)
            (void)deflate(z, flush); // fails on a stream that is none
    } while (r == 0 && z->avail_out == 0);
    return r == 0 && flush != Z_NO_FLUSH ? hand_on(gzip) : r;
}

int recording_gzip_add(struct recording_gzip *gzip, struct span text, bool at_once)
{
    gzip->in_member = true;
    return deflate_text(gzip, text, at_once ? Z_SYNC_FLUSH : Z_NO_FLUSH);
}

int recording_gzip_end(struct recording_gzip *gzip)
{
    int r;

    if (!gzip->in_member)
        return 0;
    r = deflate_text(gzip, (struct span){NULL, 0}, Z_FINISH);
    (void)deflateReset(&gzip->deflate);
    gzip->in_member = false;
    return r;
}

bool recording_gzip_in_member(const struct recording_gzip *gzip)
{
    return gzip->in_member;
}
