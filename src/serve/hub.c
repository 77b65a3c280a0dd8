// SPDX-License-Identifier: Apache-2.0
#include "serve/hub.h"

#include "net/slices.h"

#include <stdatomic.h>

enum {
    SLICE_DEFAULT = 512,   // some 5 ms of sending
    SLICE_BYTES = 4 << 20, // so are these where they are taken at once, or encrypted
    SLOW_EVENTS = 8,       // as many as came meanwhile: slow, where memory is scarce
};

static const char STREAM_TYPE[] = "text/event-stream";
static const char STREAM_FIELDS[] = "Cache-Control: no-cache, no-transform\r\n"
                                    "X-Accel-Buffering: no\r\n";

struct subscriber {
    struct hub *hub;
    struct http_conn *conn;
    struct subscriber *prev, *next; // of the ring
    struct frame *sending;          // begun and not all taken; NULL: none
    struct frame *newest;           // to send next; NULL: nothing newer came
    uint32_t sent;                  // bytes of `sending` already taken
    uint32_t round;                 // the last in which it was served
    uint64_t seen;                  // count of the last frame it was offered
    uint64_t begun;                 // count of the newest frame when `sending` was begun
    uint64_t replay;    // count of the next kept frame to send; 0: it is up to date
    uint64_t skipped;   // and not yet told
    bool newest_counts; // it would be missed if it were left out
};

/* A frame that is kept, and its number. */
struct past {
    struct frame *frame;
    uint64_t seq;
};

struct hub {
    struct hub_options options;
    struct subscriber *first; // of a ring, whose order is steady: a place is a jitter
    struct subscriber *turn;  // whose turn it is in this round; NULL: the round is over
    struct frame *current;    // what the round is for
    bool current_counts;
    uint32_t round;
    size_t slice_sent; // bytes, in this slice
    struct slices *slices;
    struct past *past; // a ring: the n-th frame is at n modulo options.past
    uint64_t count;    // frames ever sent
    uint64_t kept;     // of them, in the ring
    atomic_size_t subscribers;
    atomic_ullong frames_sent;
    atomic_ullong frames_skipped;
    bool draining;
};

/* Only the loop's thread writes: no need to lock the bus for it. */
static void add(atomic_ullong *sum, uint64_t n)
{
    unsigned long long now = atomic_load_explicit(sum, memory_order_relaxed);

    atomic_store_explicit(sum, now + n, memory_order_relaxed);
}

/* At the end of the round that runs, else of the ring. */
static void join_ring(struct hub *hub, struct subscriber *s)
{
    struct subscriber *after = hub->turn ? hub->turn : hub->first;

    hub->subscribers++;
    s->hub = hub;
    s->round = hub->round;
    s->seen = hub->count;
    if (!after) {
        hub->first = s->prev = s->next = s;
        return;
    }
    s->next = after;
    s->prev = after->prev;
    s->prev->next = s;
    after->prev = s;
}

static void leave_ring(struct subscriber *s)
{
    struct hub *hub = s->hub;
    struct subscriber *next = s->next == s ? NULL : s->next;

    hub->subscribers--;
    if (hub->turn == s)
        hub->turn = next;
    if (hub->first == s)
        hub->first = next;
    s->prev->next = s->next;
    s->next->prev = s->prev;
}

static void subscriber_free(struct subscriber *s)
{
    leave_ring(s);
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

/* Give the socket what it takes of `frame` after the first `sent` bytes: how many. */
static ssize_t push(struct subscriber *s, const struct frame *frame, uint32_t sent,
                    bool *ret_whole)
{
    struct span bytes = bytes_for(s, frame);
    ssize_t n =
        http_stream_write(s->conn, (struct span){bytes.at + sent, bytes.len - sent});

    s->hub->slice_sent += n > 0 ? (size_t)n : 0;
    *ret_whole = n >= 0 && sent + (size_t)n == bytes.len;
    if (*ret_whole)
        add(&s->hub->frames_sent, 1);
    return n;
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
        add(&hub->frames_skipped, oldest - s->replay);
        s->replay = oldest;
    }
    if (s->replay > hub->count) {
        s->replay = 0;
        s->seen = hub->count;
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

static void begin(struct subscriber *s, struct frame *frame)
{
    s->sending = frame;
    s->sent = 0;
    s->begun = s->hub->count;
}

/* Send what is held until nothing is left or no room is; frees a broken subscriber. */
static void flush(struct subscriber *s)
{
    while (s->sending) {
        bool whole;
        ssize_t n = push(s, s->sending, s->sent, &whole);

        if (n < 0) {
            subscriber_drop(s);
            return;
        }
        s->sent += (uint32_t)n;
        if (!whole) {
            http_stream_wait(s->conn);
            return;
        }
        frame_unref(s->sending);
        begin(s, next_frame(s));
    }
    if (s->hub->draining) {
        http_stream_end(s->conn);
        subscriber_free(s);
    }
}

static void on_writable(void *stream)
{
    flush(stream);
}

static void skip(struct subscriber *s, uint64_t frames)
{
    s->skipped += frames;
    add(&s->hub->frames_skipped, frames);
}

/* Nothing is held: `frame` goes straight to the socket, and only its rest is held. */
static void send_now(struct subscriber *s, struct frame *frame)
{
    bool whole;
    ssize_t n = push(s, frame, 0, &whole);

    if (n < 0) {
        subscriber_drop(s);
    } else if (!whole) {
        begin(s, frame_ref(frame));
        s->sent = (uint32_t)n;
        http_stream_wait(s->conn);
    }
}

/* What it holds is of use to few, and there is much of the kind. */
static bool is_too_slow(const struct subscriber *s)
{
    return s->sending && s->hub->count - s->begun > SLOW_EVENTS &&
           frame_is_scarce(s->sending);
}

static void hold(struct subscriber *s, struct frame *frame, bool counts)
{
    if (s->newest && s->newest_counts)
        skip(s, 1);
    frame_unref(s->newest);
    s->newest = frame_ref(frame);
    s->newest_counts = counts;
}

static void offer(struct subscriber *s, struct frame *frame, bool counts)
{
    uint64_t missed = s->hub->count - s->seen;

    if (is_too_slow(s)) {
        http_count_limited(s->conn, LIMITED_slow);
        subscriber_drop(s);
        return;
    }
    s->seen = s->hub->count;
    if (s->replay)
        return; // it comes to this frame in its turn
    if (counts && !missed)
        return; // it has had it of those kept
    if (missed > counts)
        skip(s, missed - counts); // rounds that were over before its turn came
    if (!s->sending && !(s->skipped && s->hub->options.lag_frames)) {
        send_now(s, frame);
        return;
    }
    hold(s, frame, counts);
    if (!s->sending) {
        begin(s, next_frame(s));
        flush(s);
    }
}

/* A number past the newest is of another run, or was never sent. */
static bool is_ahead(const struct hub *hub, uint64_t number)
{
    return hub->kept && number > hub->past[hub->count % hub->options.past].seq;
}

/* Begin with what came after the frame numbered `after`, as far as it is kept. */
static void catch_up(struct subscriber *s, uint64_t after)
{
    struct hub *hub = s->hub;
    uint64_t count = oldest_kept(hub);

    while (count <= hub->count && hub->past[count % hub->options.past].seq <= after)
        count++;
    s->replay = count;
    begin(s, next_frame(s));
    flush(s);
}

/* The round goes on with whose turn it is, until it comes to one who was served. */
static bool serve_slice(void *ctx)
{
    struct hub *hub = ctx;
    unsigned i = 0;

    hub->slice_sent = 0;
    while (hub->turn && i++ < hub->options.slice && hub->slice_sent < SLICE_BYTES) {
        struct subscriber *s = hub->turn;

        if (s->round == hub->round) {
            hub->turn = NULL;
            break;
        }
        s->round = hub->round;
        hub->turn = s->next;
        offer(s, hub->current, hub->current_counts); // may free it
    }
    if (!hub->turn)
        frame_unref(TAKE(hub->current));
    return hub->turn != NULL;
}

int hub_new(const struct hub_options *options, struct hub **ret)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    int r;

    if (!hub)
        return -ENOMEM;
    hub->options = *options;
    if (!hub->options.slice)
        hub->options.slice = SLICE_DEFAULT;
    if (options->past) {
        hub->past = calloc(options->past, sizeof(*hub->past));
        if (!hub->past) {
            free(hub);
            return -ENOMEM;
        }
    }
    r = slices_new(options->loop, serve_slice, hub, &hub->slices);
    if (r < 0) {
        hub_free(hub);
        return r;
    }
    *ret = hub;
    return 0;
}

void hub_close(struct hub *hub)
{
    slices_free(TAKE(hub->slices));
    frame_unref(TAKE(hub->current));
    while (hub->first) {
        struct subscriber *s = hub->first;

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
    slices_free(hub->slices);
    free(hub->past);
    free(hub);
}

void hub_answer_head(struct http_conn *conn)
{
    static const struct http_response head = {
        .status = 200, .type = STREAM_TYPE, .extra = STREAM_FIELDS, .open_ended = true};

    http_respond(conn, &head);
}

void hub_add(struct hub *hub, struct http_conn *conn, struct frame *first,
             const uint64_t *after)
{
    static const struct http_stream_ops ops = {.writable = on_writable,
                                               .closed = on_closed};
    static const struct http_response no_memory = {.status = 503,
                                                   .extra = "Retry-After: 5\r\n"};
    struct subscriber *s = calloc(1, sizeof(*s));

    if (!s || hub->draining) {
        free(s);
        http_respond(conn, &no_memory);
        return;
    }
    if (http_start_stream(conn, STREAM_TYPE, STREAM_FIELDS, &ops, s) < 0) {
        free(s);
        return;
    }
    s->conn = conn;
    join_ring(hub, s);
    if (after && hub->past && !is_ahead(hub, *after))
        catch_up(s, *after);
    else
        send_now(s, first);
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

static void start_round(struct hub *hub, struct frame *frame, bool counts)
{
    frame_unref(hub->current);
    hub->current = frame_ref(frame);
    hub->current_counts = counts;
    hub->round++;
    if (!hub->turn)
        hub->turn = hub->first;
    if (serve_slice(hub))
        slices_start(hub->slices);
}

void hub_send(struct hub *hub, struct frame *frame, uint64_t seq)
{
    hub->count++;
    if (hub->past)
        keep(hub, frame, seq);
    start_round(hub, frame, true);
}

void hub_tell(struct hub *hub, struct frame *frame)
{
    start_round(hub, frame, false);
}

static void say_last(struct subscriber *s, struct frame *last)
{
    s->replay = 0;
    frame_unref(s->newest);
    s->newest = last ? frame_ref(last) : NULL;
    s->newest_counts = false;
    if (!s->sending)
        begin(s, next_frame(s));
    flush(s); // frees it where all was taken
}

void hub_drain(struct hub *hub, struct frame *last)
{
    struct subscriber *s = hub->first;

    if (hub->draining)
        return;
    hub->draining = true;
    hub->turn = NULL;
    frame_unref(TAKE(hub->current));
    for (size_t n = hub->subscribers; n > 0; n--) {
        struct subscriber *next = s->next;

        say_last(s, last);
        s = next;
    }
}

struct hub_stats hub_stats(const struct hub *hub)
{
    return (struct hub_stats){
        .subscribers = hub->subscribers,
        .frames_sent = hub->frames_sent,
        .frames_skipped = hub->frames_skipped,
    };
}
