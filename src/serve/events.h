// SPDX-License-Identifier: Apache-2.0
/*
 * events.h - the document of GET /v1/events (docs/wire.md)
 */
#ifndef SERVE_EVENTS_H
#define SERVE_EVENTS_H

#include "encode/event_list.h"
#include "history/journal.h"

enum { EVENTS_BODY_MAX = JOURNAL_EVENTS * EVENT_JSON_MAX + 256 };

struct events_query {
    uint64_t after; // an id: those before it, and it, are known to who asks
    size_t limit;
};

/* -EINVAL: a parameter is none, or not alone; `*ret_why` (a literal) says which. */
int events_read_query(struct span query, struct events_query *ret,
                      const char **ret_why) MUST_CHECK;

/*
 * Append the document, a line; "" for `node`: whatever node events are of. -ENOMEM. Errors
 * of `out` stay there.
 */
int events_write(struct journal *journal, const struct events_query *query,
                 const char *node, const char *boot, struct buf *out) MUST_CHECK;

#endif
