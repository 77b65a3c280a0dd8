// SPDX-License-Identifier: Apache-2.0
#include "encode/event_list.h"

#include "encode/json.h"

#include <assert.h>

static_assert(EVENT_JSON_MAX >= 2 * ENGINE_NAME_MAX + ENGINE_NAME_MAX + 2 * GPU_UUID_MAX +
                                    2 * FLEET_NAME_SIZE + 2 * EVENT_TEXT_SIZE + 256,
              "a quoted byte takes two at most");

static void write_event(struct buf *out, const struct event *event)
{
    char id[ENGINE_NAME_MAX + 1];

    snapshot_make_id(event->served_name, id);
    buf_add_char(out, '{');
    json_put_number(out, "id", event->id);
    json_put_number(out, "unix_ms", (uint64_t)MAX(event->unix_ms, (int64_t)0));
    json_put_text(out, "kind", event_name(event->kind));
    json_put_text(out, "severity", event_severity_name(event_severity(event->kind)));
    json_put_text_or_null(out, "model", event->served_name);
    json_put_text_or_null(out, "model_id", id);
    json_put_number(out, "port", event->served_name[0] ? event->port : UNKNOWN);
    json_put_text_or_null(out, "device", event->device);
    if (event->node[0])
        json_put_text(out, "node", event->node);
    json_put_text(out, "text", event->text);
    buf_add_char(out, '}');
}

void event_list_write(struct buf *out, const struct event *events, size_t n)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_event(out, &events[i]);
    }
    buf_add_char(out, ']');
}
