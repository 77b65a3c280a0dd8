// SPDX-License-Identifier: Apache-2.0
#include "wire/sse.h"

#include "wire/utf8.h"

enum { UTF8_GROWTH = 3 }; // U+FFFD in place of one byte

struct sse {
    struct sse_handler handler;
    size_t event_max;
    size_t event_bytes; // of the lines of the event that is not finished
    struct buf torn;    // the beginning of a line whose end is to come
    struct buf data;    // a LF after each line
    struct buf name;
    struct buf next_id; // what the next event's end makes the last id
    struct buf last_id;
    struct buf text; // of a comment
    int retry_ms;
    bool begun;    // the first line is over: no byte order mark may come
    bool after_cr; // a LF that comes now ends no line
    int error;
};

static void copy(struct buf *to, struct span bytes)
{
    buf_clear(to);
    buf_add(to, bytes.at, bytes.len);
}

/* The text buffers' own error becomes the parser's. */
static int set_text(struct buf *to, struct span value)
{
    buf_clear(to);
    utf8_repair(to, value);
    return to->error == -E2BIG ? -ENAMETOOLONG : to->error;
}

int sse_new(const struct sse_handler *handler, size_t event_max, struct span last_id,
            struct sse **ret)
{
    struct sse *sse = calloc(1, sizeof(*sse));
    int r;

    if (!sse)
        return -ENOMEM;
    sse->handler = *handler;
    sse->event_max = event_max;
    sse->retry_ms = -1;
    buf_init(&sse->torn, event_max);
    buf_init(&sse->data, UTF8_GROWTH * event_max + 1);
    buf_init(&sse->name, SSE_NAME_MAX);
    buf_init(&sse->next_id, SSE_ID_MAX);
    buf_init(&sse->last_id, SSE_ID_MAX);
    buf_init(&sse->text, UTF8_GROWTH * event_max);
    r = set_text(&sse->last_id, last_id);
    copy(&sse->next_id, buf_span(&sse->last_id));
    r = r < 0 ? r : sse->next_id.error;
    if (r < 0) {
        sse_free(sse);
        return r;
    }
    *ret = sse;
    return 0;
}

void sse_free(struct sse *sse)
{
    if (!sse)
        return;
    buf_done(&sse->torn);
    buf_done(&sse->data);
    buf_done(&sse->name);
    buf_done(&sse->next_id);
    buf_done(&sse->last_id);
    buf_done(&sse->text);
    free(sse);
}

static int fault_of(const struct buf *buf)
{
    return buf->error == -E2BIG ? -EFBIG : buf->error;
}

static int add_data(struct sse *sse, struct span value)
{
    utf8_repair(&sse->data, value);
    buf_add_char(&sse->data, '\n');
    return fault_of(&sse->data);
}

static int set_id(struct sse *sse, struct span value)
{
    if (value.len && memchr(value.at, '\0', value.len))
        return 0;
    return set_text(&sse->next_id, value);
}

static int set_retry(struct sse *sse, struct span value)
{
    int ms = 0;

    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return 0;
        ms = MIN(ms * 10 + (value.at[i] - '0'), (int)SSE_RETRY_MAX);
    }
    if (value.len)
        sse->retry_ms = ms;
    return 0;
}

static int take_comment(struct sse *sse, struct span value)
{
    int r;

    if (!sse->handler.comment)
        return 0;
    r = set_text(&sse->text, value);
    return r < 0 ? r : sse->handler.comment(sse->handler.ctx, buf_span(&sse->text));
}

static int take_field(struct sse *sse, struct span field, struct span value)
{
    if (span_is(field, "data"))
        return add_data(sse, value);
    if (span_is(field, "event"))
        return set_text(&sse->name, value);
    if (span_is(field, "id"))
        return set_id(sse, value);
    if (span_is(field, "retry"))
        return set_retry(sse, value);
    return 0;
}

/*
 * An empty line: the event is complete. Without any `data` line there is none. Its id is
 * the last one only when the handler has taken it, so that it can come again.
 */
static int end_event(struct sse *sse)
{
    struct sse_event event = {.name = buf_span(&sse->name),
                              .id = buf_span(&sse->next_id)};
    int r = 0;

    if (sse->data.len) {
        if (event.name.len == 0)
            event.name = span_of("message");
        event.data = (struct span){sse->data.data, sse->data.len - 1};
        r = sse->handler.event(sse->handler.ctx, &event);
    }
    if (r >= 0) {
        copy(&sse->last_id, buf_span(&sse->next_id));
        r = fault_of(&sse->last_id);
    }
    buf_clear(&sse->data);
    buf_clear(&sse->name);
    sse->event_bytes = 0;
    return r;
}

/* A whole line, without its end. */
static int take_line(struct sse *sse, struct span line)
{
    const char *colon;
    struct span field = line, value = {"", 0};
    int r;

    if (!sse->begun && line.len >= 3 && memcmp(line.at, "\xef\xbb\xbf", 3) == 0)
        line = field = (struct span){line.at + 3, line.len - 3};
    sse->begun = true;
    if (line.len == 0)
        return end_event(sse);

    sse->event_bytes += line.len;
    colon = memchr(line.at, ':', line.len);
    if (colon) {
        field.len = (size_t)(colon - line.at);
        value = (struct span){colon + 1, line.len - field.len - 1};
    }
    if (colon == line.at) {
        r = take_comment(sse, value);
    } else {
        if (value.len && *value.at == ' ')
            value = (struct span){value.at + 1, value.len - 1};
        r = take_field(sse, field, value);
    }
    if (sse->data.len == 0 && sse->name.len == 0)
        sse->event_bytes = 0; // nothing of it is kept
    return r;
}

/* The rest of a line that may have begun in an earlier piece. */
static int finish_line(struct sse *sse, struct span rest)
{
    int r;

    if (sse->torn.len + rest.len > sse->event_max - sse->event_bytes)
        return -EFBIG;
    if (sse->torn.len == 0)
        return take_line(sse, rest);
    buf_add(&sse->torn, rest.at, rest.len);
    r = sse->torn.error ? fault_of(&sse->torn) : take_line(sse, buf_span(&sse->torn));
    buf_clear(&sse->torn);
    return r;
}

static int keep_torn(struct sse *sse, struct span rest)
{
    if (sse->torn.len + rest.len > sse->event_max - sse->event_bytes)
        return -EFBIG;
    buf_add(&sse->torn, rest.at, rest.len);
    return fault_of(&sse->torn);
}

static const char *find(const char *at, const char *end, char c)
{
    const char *found = at < end ? memchr(at, c, (size_t)(end - at)) : NULL;

    return found ? found : end;
}

/* The next CR and the next LF are looked for once each, so that no byte is read often. */
static int take_lines(struct sse *sse, struct span bytes)
{
    const char *at = bytes.at, *end = bytes.at + bytes.len;
    const char *cr = find(at, end, '\r'), *lf = find(at, end, '\n');

    while (at < end) {
        const char *stop = cr < lf ? cr : lf;
        int r;

        if (stop == end)
            return keep_torn(sse, (struct span){at, (size_t)(end - at)});
        r = finish_line(sse, (struct span){at, (size_t)(stop - at)});
        if (r < 0)
            return r;
        at = stop + 1;
        if (stop == cr && at == end)
            sse->after_cr = true;
        if (stop == cr && at == lf)
            at++;
        if (cr < at)
            cr = find(at, end, '\r');
        if (lf < at)
            lf = find(at, end, '\n');
    }
    return 0;
}

int sse_feed(struct sse *sse, struct span bytes)
{
    if (sse->error || bytes.len == 0)
        return sse->error;
    if (sse->after_cr && *bytes.at == '\n')
        bytes = (struct span){bytes.at + 1, bytes.len - 1};
    sse->after_cr = false;
    sse->error = bytes.len ? take_lines(sse, bytes) : 0;
    return sse->error;
}

void sse_restart(struct sse *sse)
{
    buf_clear(&sse->torn);
    buf_clear(&sse->data);
    buf_clear(&sse->name);
    copy(&sse->next_id, buf_span(&sse->last_id));
    sse->event_bytes = 0;
    sse->begun = false;
    sse->after_cr = false;
    sse->error = 0;
}

struct span sse_last_id(const struct sse *sse)
{
    return buf_span(&sse->last_id);
}

int sse_retry_ms(const struct sse *sse)
{
    return sse->retry_ms;
}
