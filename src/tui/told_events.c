// SPDX-License-Identifier: Apache-2.0
#include "tui/told_events.h"

bool told_events_add(struct told_events *told, int64_t id, int64_t unix_ms)
{
    // From the newest backwards: what a document repeats was told last.
    for (uint32_t i = 1; i <= told->n; i++) {
        const struct told_event *event =
            &told->events[(told->next + TOLD_EVENTS_MAX - i) % TOLD_EVENTS_MAX];

        if (event->id == id && event->unix_ms == unix_ms)
            return false;
    }
    told->events[told->next] = (struct told_event){id, unix_ms};
    told->next = (told->next + 1) % TOLD_EVENTS_MAX;
    told->n = MIN(told->n + 1, (uint32_t)TOLD_EVENTS_MAX);
    return true;
}
