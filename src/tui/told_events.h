// SPDX-License-Identifier: Apache-2.0
/*
 * told_events.h - which events of a daemon have been told already
 *
 * A daemon tells its newest events in document after document. An event is known again by
 * its id and its time together: ids alone begin anew with a daemon that keeps no history,
 * and a recording that goes back tells the same ones again.
 */
#ifndef TUI_TOLD_EVENTS_H
#define TUI_TOLD_EVENTS_H

#include "base/base.h"

enum { TOLD_EVENTS_MAX = 512 }; // the newest are known; more than any answer holds

struct told_events {
    struct told_event {
        int64_t id, unix_ms;
    } events[TOLD_EVENTS_MAX]; // a ring
    uint32_t next, n;
};

/* Whether it is a new one; it is known from here on. */
bool told_events_add(struct told_events *told, int64_t id, int64_t unix_ms);

#endif
