// SPDX-License-Identifier: Apache-2.0
/*
 * sse.h - parse a stream of server-sent events (WHATWG HTML, 9.2.6)
 *
 * Bytes go in as they come, events come out: however the bytes are split, the events are
 * the same. A byte order mark at the start is skipped, lines end with CR, LF or CRLF,
 * bytes that are no UTF-8 are read as U+FFFD. An event that the end of the stream cuts off is
 * dropped, as the standard has it. No socket, no clock.
 */
#ifndef WIRE_SSE_H
#define WIRE_SSE_H

#include "base/buf.h"

enum {
    SSE_NAME_MAX = 256, // bytes of `event:`
    SSE_ID_MAX = 1024,  // of `id:`
    SSE_RETRY_MAX = 3600 * 1000,
};

/* Lent for the time of the call. */
struct sse_event {
    struct span name; // "message" where the stream gave none
    struct span id;   // the last event id at that point, of this or an earlier event
    struct span data; // its lines joined by LF
};

struct sse_handler {
    /* Negative ends the parsing: sse_feed() returns it, and the event's id does not count. */
    int (*event)(void *ctx, const struct sse_event *event);
    int (*comment)(void *ctx, struct span text); // without the colon; NULL: not wanted
    void *ctx;
};

struct sse; // a parser

/*
 * `event_max`: bytes of one event with all of its lines, comments too. `last_id`: the last event
 * id of the connection before, empty: none. -ENAMETOOLONG: it is too long, as UTF-8.
 */
int sse_new(const struct sse_handler *handler, size_t event_max, struct span last_id,
            struct sse **ret) MUST_CHECK;
void sse_free(struct sse *sse);

/*
 * -EFBIG: a line or an event is too long; -ENAMETOOLONG: a name or an id is; -ENOMEM. Then
 * the parser is dead.
 */
int sse_feed(struct sse *sse, struct span bytes) MUST_CHECK;

/* Start of another connection: what was half there is dropped, the last event id stays. */
void sse_restart(struct sse *sse);

struct span sse_last_id(const struct sse *sse);

/* What `retry:` said last, in ms; -1: nothing. More than SSE_RETRY_MAX is that. */
int sse_retry_ms(const struct sse *sse);

#endif
