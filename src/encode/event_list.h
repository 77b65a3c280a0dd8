// SPDX-License-Identifier: Apache-2.0
/*
 * event_list.h - what happened, as JSON (docs/wire.md): the same wherever it is told
 */
#ifndef ENCODE_EVENT_LIST_H
#define ENCODE_EVENT_LIST_H

#include "base/buf.h"
#include "snapshot/snapshot.h"

/* The longest that one can be: texts whose every byte is escaped, and the rest. */
enum { EVENT_JSON_MAX = 2048 };

/* An array of objects, in the order given. */
void event_list_write(struct buf *out, const struct event *events, size_t n);

#endif
