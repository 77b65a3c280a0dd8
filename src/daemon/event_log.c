// SPDX-License-Identifier: Apache-2.0
#include "daemon/event_log.h"

#include "base/clock.h"
#include "base/log.h"

enum { LINES_PER_SECOND = 5, LINES_AT_ONCE = 100 };

#define LINE_NS (NS_PER_S / LINES_PER_SECOND)

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
    return !event->node[0] || event_is_of_fleet(event->kind);
}

/* Each line costs its share of a second. */
static bool may_write(struct event_log *log, uint64_t now_ns)
{
    uint64_t paid = MAX(log->paid_until_ns, now_ns) + LINE_NS;

    if (paid - now_ns > LINES_AT_ONCE * LINE_NS)
        return false;
    log->paid_until_ns = paid;
    return true;
}

void event_log_write(struct event_log *log, struct journal *journal, uint64_t now_ns)
{
    struct event event;
    size_t more = 0;

    for (; journal_next(journal, log->told, &event); log->told = event.id) {
        if (!is_ours(&event))
            continue;
        if (may_write(log, now_ns))
            log_event(&event);
        else
            more++;
    }
    if (more)
        log_warning("%zu events more than are told here: see /v1/events", more);
}
