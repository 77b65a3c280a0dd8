// SPDX-License-Identifier: Apache-2.0
#include "daemon/event_log.h"

#include "base/log.h"

static void log_event(const struct event *event)
{
    const char *name = event_name(event->kind);

    switch (event_severity(event->kind)) {
    case SEVERITY_CRITICAL:
        log_error("%s: %s", name, event->text);
        break;
    case SEVERITY_WARNING:
        log_warning("%s: %s", name, event->text);
        break;
    case SEVERITY_INFO:
        log_info("%s: %s", name, event->text);
        break;
    }
}

/* What a node says of itself stands in its own log. */
static bool is_ours(const struct event *event)
{
    switch (event->kind) {
    case EVENT_NODE_FOUND:
    case EVENT_NODE_LOST:
    case EVENT_NODE_BACK:
    case EVENT_NODE_NAME_TAKEN:
        return true;
    default:
        return !event->node[0];
    }
}

void event_log(struct journal *journal, uint64_t *told)
{
    struct event event;

    while (journal_next(journal, *told, &event)) {
        if (is_ours(&event))
            log_event(&event);
        *told = event.id;
    }
}
