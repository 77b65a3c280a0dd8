// SPDX-License-Identifier: Apache-2.0
#include "encode/event_list.h"

#include "encode/json.h"

#include <assert.h>

static_assert(EVENT_JSON_MAX >= 2 * ENGINE_NAME_MAX + ENGINE_NAME_MAX + 2 * GPU_UUID_MAX +
                                    2 * EVENT_TEXT_SIZE + 256,
              "a quoted byte takes two at most");

static void text_or_null(struct buf *out, const char *key, const char *text)
{
    buf_add_str(out, key);
    if (text[0])
        json_quote(out, text);
    else
        buf_add_str(out, "null");
}

static void write_time(struct buf *out, int64_t unix_ms)
{
    buf_add_str(out, ",\"unix_ms\":");
    buf_add_u64(out, (uint64_t)MAX(unix_ms, (int64_t)0));
}

static void write_event(struct buf *out, const struct event *event)
{
    char id[ENGINE_NAME_MAX + 1];

    snapshot_make_id(event->served_name, id);
    buf_add_str(out, "{\"id\":");
    buf_add_u64(out, event->id);
    write_time(out, event->unix_ms);
    buf_add_str(out, ",\"kind\":");
    json_quote(out, event_name(event->kind));
    buf_add_str(out, ",\"severity\":");
    json_quote(out, event_severity_name(event_severity(event->kind)));
    text_or_null(out, ",\"model\":", event->served_name);
    text_or_null(out, ",\"model_id\":", id);
    buf_add_str(out, ",\"port\":");
    json_u64(out, event->served_name[0] ? event->port : UNKNOWN);
    text_or_null(out, ",\"device\":", event->device);
    buf_add_str(out, ",\"text\":");
    json_quote(out, event->text);
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
