// SPDX-License-Identifier: Apache-2.0
#include "serve/hub.h"

static const char STREAM_TYPE[] = "text/event-stream";
static const char STREAM_FIELDS[] = "Cache-Control: no-cache, no-transform\r\n"
                                    "X-Accel-Buffering: no\r\n";

struct subscriber {
    struct hub *hub;
    struct http_conn *conn;
    struct frame *sending; // NULL when everything is sent
    struct frame *newest;  // to send next; NULL when nothing newer came
    uint32_t sent;         // bytes of `sending` already taken
    uint32_t place;        // in the hub's array
};

struct hub {
    struct subscriber **subscribers; // in a steady order: a place in it is a jitter
    size_t room;
    struct hub_stats stats;
};

static void subscriber_free(struct subscriber *s)
{
    struct hub *hub = s->hub;
    struct subscriber *last = hub->subscribers[--hub->stats.subscribers];

    hub->subscribers[s->place] = last;
    last->place = s->place;
    frame_unref(s->sending);
    frame_unref(s->newest);
    free(s);
}

static void on_closed(void *stream)
{
    subscriber_free(stream);
}

static void subscriber_drop(struct subscriber *s)
{
    http_stream_close(s->conn);
    subscriber_free(s);
}

static struct span bytes_for(const struct subscriber *s, const struct frame *frame)
{
    return http_stream_chunked(s->conn) ? frame_chunk(frame) : frame_event(frame);
}

/* Give `sending` to the socket: 1 when all of it was taken, 0 when the rest must wait. */
static int push(struct subscriber *s)
{
    struct span bytes = bytes_for(s, s->sending);
    ssize_t n;

    n = http_stream_write(s->conn,
                          (struct span){bytes.at + s->sent, bytes.len - s->sent});
    if (n < 0)
        return (int)n;
    s->sent += (uint32_t)n;
    return s->sent == bytes.len;
}

/* Send what is held until nothing is left or no room is; frees a broken subscriber. */
static void flush(struct subscriber *s)
{
    while (s->sending) {
        int r = push(s);

        if (r < 0) {
            subscriber_drop(s);
            return;
        }
        if (r == 0) {
            http_stream_wait(s->conn);
            return;
        }
        s->hub->stats.frames_sent++;
        frame_unref(s->sending);
        s->sending = TAKE(s->newest);
        s->sent = 0;
    }
}

static void on_writable(void *stream)
{
    flush(stream);
}

static void offer(struct subscriber *s, struct frame *frame)
{
    if (!s->sending) {
        s->sending = frame_ref(frame);
        flush(s);
        return;
    }
    if (s->newest) {
        s->hub->stats.frames_skipped++;
        frame_unref(s->newest);
    }
    s->newest = frame_ref(frame);
}

int hub_new(struct hub **ret)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

void hub_close(struct hub *hub)
{
    while (hub->stats.subscribers) {
        struct subscriber *s = hub->subscribers[hub->stats.subscribers - 1];

        if (s->sending)
            http_stream_close(s->conn);
        else
            http_stream_end(s->conn);
        subscriber_free(s);
    }
}

void hub_free(struct hub *hub)
{
    if (!hub)
        return;
    free(hub->subscribers);
    free(hub);
}

void hub_answer_head(struct http_conn *conn)
{
    static const struct http_response head = {
        .status = 200, .type = STREAM_TYPE, .extra = STREAM_FIELDS, .open_ended = true};

    http_respond(conn, &head);
}

static int grow(struct hub *hub)
{
    size_t room = hub->room ? hub->room * 2 : 64;
    struct subscriber **grown;

    if (hub->stats.subscribers < hub->room)
        return 0;
    grown = reallocarray(hub->subscribers, room, sizeof(struct subscriber *));
    if (!grown)
        return -ENOMEM;
    hub->subscribers = grown;
    hub->room = room;
    return 0;
}

void hub_add(struct hub *hub, struct http_conn *conn, struct frame *first)
{
    static const struct http_stream_ops ops = {.writable = on_writable,
                                               .closed = on_closed};
    static const struct http_response no_memory = {.status = 503,
                                                   .extra = "Retry-After: 5\r\n"};
    struct subscriber *s = calloc(1, sizeof(*s));

    if (!s || grow(hub) < 0) {
        free(s);
        http_respond(conn, &no_memory);
        return;
    }
    if (http_start_stream(conn, STREAM_TYPE, STREAM_FIELDS, &ops, s) < 0) {
        free(s);
        return;
    }
    s->hub = hub;
    s->conn = conn;
    s->place = (uint32_t)hub->stats.subscribers;
    hub->subscribers[hub->stats.subscribers++] = s;
    offer(s, first);
}

void hub_send(struct hub *hub, struct frame *frame)
{
    // From the end: a subscriber that breaks is replaced by one that has had its turn.
    for (size_t i = hub->stats.subscribers; i > 0; i--)
        offer(hub->subscribers[i - 1], frame);
}

struct hub_stats hub_stats(const struct hub *hub)
{
    return hub->stats;
}
