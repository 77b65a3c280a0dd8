// SPDX-License-Identifier: Apache-2.0
#include "snapshot/snapshot.h"

#include "base/text.h"

#include <stdio.h>

static const struct {
    const char *name;
    enum event_severity severity;
} kinds[EVENT_KINDS] = {
#define EVENT(kind, name, severity) [EVENT_##kind] = {name, SEVERITY_##severity},
#include "snapshot/events.def"
#undef EVENT
};

const char *event_name(enum event_kind kind)
{
    return kinds[kind].name;
}

enum event_severity event_severity(enum event_kind kind)
{
    return kinds[kind].severity;
}

const char *event_severity_name(enum event_severity severity)
{
    static const char *const names[] = {
        [SEVERITY_INFO] = "info",
        [SEVERITY_WARNING] = "warning",
        [SEVERITY_CRITICAL] = "critical",
    };

    return names[severity];
}

bool event_is_of_fleet(enum event_kind kind)
{
    return kind == EVENT_NODE_FOUND || kind == EVENT_NODE_LOST ||
           kind == EVENT_NODE_BACK || kind == EVENT_NODE_NAME_TAKEN;
}

void event_say_where(const struct event *event, char ret[EVENT_TEXT_SIZE])
{
    char text[FLEET_NAME_SIZE + EVENT_TEXT_SIZE + 2];
    bool there = !event->node[0] || event_is_of_fleet(event->kind);

    (void)snprintf(text, sizeof(text), "%s%s%s", there ? "" : event->node,
                   there ? "" : ": ", event->text);
    (void)text_clean(ret, EVENT_TEXT_SIZE, span_of(text));
}
