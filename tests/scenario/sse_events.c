// SPDX-License-Identifier: Apache-2.0
/*
 * Reads a stream of server-sent events from standard input, in pieces of as many bytes as
 * the argument says, and writes each event as a line of JSON: [name, data, last id].
 */
#include "wire/sse.h"

#include <jansson.h>
#include <stdio.h>

enum { EVENT_MAX = 1 << 20, STREAM_MAX = 1 << 22 };

static json_t *text_of(struct span text)
{
    return json_stringn(text.len ? text.at : "", text.len);
}

static int print_event(void *ctx, const struct sse_event *event)
{
    OWNED(json_decrefp) json_t *line = json_array();

    (void)ctx;
    if (!line || json_array_append_new(line, text_of(event->name)) < 0 ||
        json_array_append_new(line, text_of(event->data)) < 0 ||
        json_array_append_new(line, text_of(event->id)) < 0)
        return -ENOMEM;
    if (json_dumpf(line, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF)
        return -EIO;
    return 0;
}

int main(int argc, char **argv)
{
    const struct sse_handler handler = {.event = print_event};
    static char stream[STREAM_MAX];
    size_t piece = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    size_t len = fread(stream, 1, sizeof(stream), stdin);
    struct sse *sse;
    int r;

    if (piece == 0)
        piece = sizeof(stream);
    r = sse_new(&handler, EVENT_MAX, (struct span){NULL, 0}, &sse);
    if (r < 0)
        return 1;
    for (size_t at = 0; r == 0 && at < len; at += piece)
        r = sse_feed(sse, (struct span){stream + at, MIN(piece, len - at)});
    sse_free(sse);
    if (r < 0)
        (void)fprintf(stderr, "%s\n", strerror(-r));
    return r < 0;
}
