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
    uint64_t replay;       // count of the next kept frame to send; 0: it is up to date
    uint64_t skipped;      // and not yet told
    bool newest_counts;    // it would be missed if it were left out
};

/* A frame that is kept, and its number. */
struct past {
    struct frame *frame;
    uint64_t seq;
};

struct hub {
    struct subscriber **subscribers; // in a steady order: a place in it is a jitter
    size_t room;
    struct hub_options options;
    struct past *past; // a ring: the n-th frame is at n modulo options.past
    uint64_t count;    // frames ever sent
    uint64_t kept;     // of them, in the ring
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

/* A frame for this subscriber alone; NULL: no memory, so it is not told. */
static struct frame *lag_frame(struct subscriber *s)
{
    struct frame *frame = frame_new(s->hub->options.lag_frames);

    if (!frame)
        return NULL;
    buf_printf(frame_text(frame), "event: lag\ndata: {\"skipped\":%llu}\n\n",
               (unsigned long long)s->skipped);
    if (frame_seal(frame) < 0) {
        frame_unref(frame);
        return NULL;
    }
    return frame;
}

/* Count of the oldest frame that is kept. */
static uint64_t oldest_kept(const struct hub *hub)
{
    return hub->count - hub->kept + 1;
}

/* The next kept frame of a subscriber that is catching up, or NULL when it has. */
static struct frame *take_past(struct subscriber *s)
{
    struct hub *hub = s->hub;
    uint64_t oldest = oldest_kept(hub);

    if (s->replay < oldest) {
        s->skipped += oldest - s->replay;
        hub->stats.frames_skipped += oldest - s->replay;
        s->replay = oldest;
    }
    if (s->replay > hub->count) {
        s->replay = 0;
        return NULL;
    }
    return frame_ref(hub->past[s->replay++ % hub->options.past].frame);
}

/* What to send after all of `sending` was taken; NULL: nothing. */
static struct frame *next_frame(struct subscriber *s)
{
    struct frame *frame = s->replay ? take_past(s) : TAKE(s->newest);
    struct frame *lag;

    if (!frame || !s->skipped || !s->hub->options.lag_frames)
        return frame;
    lag = lag_frame(s);
    if (!lag)
        return frame;
    s->skipped = 0;
    if (s->replay) {
        s->replay--; // it comes after the word about those left out
        frame_unref(frame);
    } else {
        s->newest = frame;
    }
    return lag;
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
        s->sending = next_frame(s);
        s->sent = 0;
    }
}

static void on_writable(void *stream)
{
    flush(stream);
}

static void offer(struct subscriber *s, struct frame *frame, bool counts)
{
    if (s->replay)
        return; // it comes to this frame in its turn
    if (s->newest && s->newest_counts) {
        s->hub->stats.frames_skipped++;
        s->skipped++;
    }
    frame_unref(s->newest);
    s->newest = frame_ref(frame);
    s->newest_counts = counts;
    if (!s->sending) {
        s->sending = next_frame(s);
        flush(s);
    }
}

/* Begin with what came after the frame numbered `after`, as far as it is kept. */
static void catch_up(struct subscriber *s, uint64_t after)
{
    struct hub *hub = s->hub;
    uint64_t count = oldest_kept(hub);

    while (count <= hub->count && hub->past[count % hub->options.past].seq <= after)
        count++;
    s->replay = count;
    s->sending = next_frame(s);
    flush(s);
}

int hub_new(const struct hub_options *options, struct hub **ret)
{
    struct hub *hub = calloc(1, sizeof(*hub));

    if (!hub)
        return -ENOMEM;
    hub->options = *options;
    if (options->past) {
        hub->past = calloc(options->past, sizeof(*hub->past));
        if (!hub->past) {
            free(hub);
            return -ENOMEM;
        }
    }
    *ret = hub;
    return 0;
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
    hub_forget(hub);
    free(hub->past);
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

void hub_add(struct hub *hub, struct http_conn *conn, struct frame *first,
             const uint64_t *after)
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
    if (after && hub->past)
        catch_up(s, *after);
    else
        offer(s, first, true);
}

static void keep(struct hub *hub, struct frame *frame, uint64_t seq)
{
    struct past *past = &hub->past[hub->count % hub->options.past];

    frame_unref(past->frame);
    *past = (struct past){frame_ref(frame), seq};
    hub->kept = MIN(hub->kept + 1, (uint64_t)hub->options.past);
}

void hub_forget(struct hub *hub)
{
    for (size_t i = 0; i < hub->options.past; i++)
        frame_unref(TAKE(hub->past[i].frame));
    hub->kept = 0;
}

static void offer_all(struct hub *hub, struct frame *frame, bool counts)
{
    // From the end: a subscriber that breaks is replaced by one that has had its turn.
    for (size_t i = hub->stats.subscribers; i > 0; i--)
        offer(hub->subscribers[i - 1], frame, counts);
}

void hub_send(struct hub *hub, struct frame *frame, uint64_t seq)
{
    hub->count++;
    if (hub->past)
        keep(hub, frame, seq);
    offer_all(hub, frame, true);
}

void hub_tell(struct hub *hub, struct frame *frame)
{
    offer_all(hub, frame, false);
}

struct hub_stats hub_stats(const struct hub *hub)
{
    return hub->stats;
}
