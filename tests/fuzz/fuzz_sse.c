// SPDX-License-Identifier: Apache-2.0
/* Pieces of any size (the first byte, plus 1) give the same events and the same error. */
#include "wire/sse.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EVENT_MAX = 512 }; // so that small inputs meet it

static void add_part(struct buf *out, char kind, struct span part)
{
    buf_printf(out, "%c%zu:", kind, part.len);
    buf_add(out, part.at, part.len);
}

static int take_event(void *ctx, const struct sse_event *event)
{
    assert(event->name.len > 0 && event->name.len <= SSE_NAME_MAX);
    assert(event->id.len <= SSE_ID_MAX && event->data.len <= 3 * EVENT_MAX);
    add_part(ctx, 'n', event->name);
    add_part(ctx, 'i', event->id);
    add_part(ctx, 'd', event->data);
    return 0;
}

static int take_comment(void *ctx, struct span text)
{
    add_part(ctx, 'c', text);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out[2] = {{.max = 4 * 1024 * 1024}, {.max = 4 * 1024 * 1024}};
    int r[2] = {0, 0};

    for (int i = 0; i < 2 && size; i++) {
        const struct sse_handler handler = {take_event, take_comment, &out[i]};
        size_t piece = i ? *data + 1U : size;
        struct sse *sse;

        if (sse_new(&handler, EVENT_MAX, span_of("first"), &sse) < 0)
            abort();
        for (size_t at = 0; at < size; at += piece)
            r[i] = sse_feed(
                sse, (struct span){(const char *)data + at, MIN(piece, size - at)});
        add_part(&out[i], 'l', sse_last_id(sse));
        buf_printf(&out[i], "r%d", sse_retry_ms(sse));
        sse_free(sse);
    }
    assert(r[0] == r[1] && out[0].len == out[1].len && out[0].error == out[1].error);
    assert(out[0].len == 0 || memcmp(out[0].data, out[1].data, out[0].len) == 0);
    buf_done(&out[0]);
    buf_done(&out[1]);
    return 0;
}
