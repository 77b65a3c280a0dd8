// SPDX-License-Identifier: Apache-2.0
#include "serve/channel.h"

#include "base/number.h"
#include "serve/answers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define ID "id: "              // of an event, before its JSON
#define WARM_NS 60000000000ULL // rendered on after the last reader has left

enum {
    TRAY_MAX = 8,   // a loop so far behind that more come loses the oldest
    BOOT_SIZE = 65, // of a text that is made here or was read from a recording
};

enum letter_kind { LETTER_EVENT, LETTER_COMMENT, LETTER_FORGET };

/* What an outlet is told. */
struct letter {
    enum letter_kind kind;
    struct frame *frame; // a reference; NULL for LETTER_FORGET
    uint64_t seq;
};

struct tray {
    struct letter letters[TRAY_MAX];
    size_t n;
};

struct outlet {
    struct outlet *next; // of the same channel; stays once it is in the list
    struct channel *channel;
    struct hub *hub;
    struct tray tray; // under the channel's lock
    void (*wake)(void *ctx);
    void *ctx;
};

struct channel {
    struct channel_options options;
    struct frame_pool *frames;
    _Atomic(struct outlet *) outlets; // grows under the lock; read by anybody
    pthread_mutex_t lock;             // of all below, and of the trays
    bool anew;                        // what is published next is of another run
    char boot[BOOT_SIZE];             // of what is published now
    const struct snapshot *snapshot;  // lent; NULL in an outage
    struct frame *newest;             // made from it; NULL: not yet
    struct span id, json;             // within `newest`; without ids the first is empty
    bool kept;                        // hubs keep frames that were rendered before
    uint64_t warm_until_ns;
};

static void lock(struct channel *channel)
{
    (void)pthread_mutex_lock(&channel->lock);
}

static void unlock(struct channel *channel)
{
    (void)pthread_mutex_unlock(&channel->lock);
}

/* Its owner may write another text over it for the next run. */
static void take_boot(struct channel *channel)
{
    const char *boot = channel->options.boot;

    (void)snprintf(channel->boot, sizeof(channel->boot), "%s", boot ? boot : "");
    channel->anew = false;
}

int channel_new(const struct channel_options *options, struct channel **ret)
{
    struct channel *channel = calloc(1, sizeof(*channel));
    int r;

    if (!channel)
        return -ENOMEM;
    channel->options = *options;
    take_boot(channel);
    (void)pthread_mutex_init(&channel->lock, NULL); // cannot fail
    r = frame_pool_new(options->event_max, &channel->frames);
    if (r < 0) {
        channel_free(channel);
        return r;
    }
    *ret = channel;
    return 0;
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    frame_unref(channel->newest);
    frame_pool_free(channel->frames);
    (void)pthread_mutex_destroy(&channel->lock);
    free(channel);
}

static void put(struct tray *tray, struct letter letter)
{
    if (tray->n == TRAY_MAX) {
        frame_unref(tray->letters[0].frame);
        tray->n--;
        memmove(tray->letters, tray->letters + 1, tray->n * sizeof(tray->letters[0]));
    }
    tray->letters[tray->n++] = letter;
}

/* Into every tray; the outlets are woken when the lock is given up. */
static void post(struct channel *channel, enum letter_kind kind, struct frame *frame,
                 uint64_t seq)
{
    for (struct outlet *o = channel->outlets; o; o = o->next)
        put(&o->tray, (struct letter){kind, frame ? frame_ref(frame) : NULL, seq});
}

/* Without the lock: an outlet may see to its tray at once. */
static void wake_all(struct channel *channel)
{
    for (struct outlet *o = channel->outlets; o; o = o->next)
        o->wake(o->ctx);
}

static void forget_newest(struct channel *channel)
{
    frame_unref(channel->newest);
    channel->newest = NULL;
}

/* Encode the snapshot and post it. */
static int render(struct channel *channel)
{
    const struct snapshot *snapshot = channel->snapshot;
    struct frame *frame = frame_new(channel->frames);
    size_t prefix, id_end, json;
    struct buf *text;
    int r;

    if (!frame)
        return -ENOMEM;
    text = frame_text(frame);
    prefix = text->len;
    if (channel->options.boot)
        buf_printf(text, ID "%s-%llu", channel->boot, (unsigned long long)snapshot->seq);
    id_end = text->len;
    if (channel->options.boot)
        buf_add_str(text, "\nretry: 2000\n");
    buf_add_str(text, "data: ");
    json = text->len;
    channel->options.write(channel->options.ctx, text, snapshot);
    channel->json.len = text->len - json;
    buf_add_str(text, "\n\n");
    r = frame_seal(frame);
    if (r < 0) {
        frame_unref(frame);
        return r;
    }
    channel->json.at = frame_event(frame).at + (json - prefix);
    channel->id = (struct span){frame_event(frame).at, id_end - prefix};
    if (channel->options.boot)
        channel->id =
            (struct span){channel->id.at + strlen(ID), channel->id.len - strlen(ID)};
    channel->newest = frame;
    channel->kept = true;
    post(channel, LETTER_EVENT, frame, snapshot->seq);
    return 0;
}

struct hub_stats channel_stats(struct channel *channel)
{
    struct hub_stats sum = {0};

    for (struct outlet *o = channel->outlets; o; o = o->next) {
        struct hub_stats stats = hub_stats(o->hub);

        sum.subscribers += stats.subscribers;
        sum.frames_sent += stats.frames_sent;
        sum.frames_skipped += stats.frames_skipped;
    }
    return sum;
}

static bool is_wanted(const struct channel *channel, size_t subscribers)
{
    return !channel->options.lazy || subscribers ||
           channel->options.now_ns() < channel->warm_until_ns;
}

/* Is there something to forget? Then the outlets are to be woken. */
static bool forget_kept(struct channel *channel)
{
    bool kept = channel->kept;

    if (kept)
        post(channel, LETTER_FORGET, NULL, 0);
    channel->kept = false;
    return kept;
}

int channel_publish(struct channel *channel, const struct snapshot *snapshot)
{
    size_t subscribers = channel_stats(channel).subscribers;
    bool posted = true;
    int r = 0;

    lock(channel);
    forget_newest(channel);
    if (channel->anew)
        take_boot(channel);
    channel->snapshot = snapshot;
    if (subscribers)
        channel->warm_until_ns = channel->options.now_ns() + WARM_NS;
    if (is_wanted(channel, subscribers)) {
        r = render(channel);
    } else { // what is kept is of another time: not what a reader comes back for
        posted = forget_kept(channel);
    }
    unlock(channel);
    if (posted)
        wake_all(channel);
    return r;
}

bool channel_newest(struct channel *channel, struct span *ret_id, struct span *ret_json)
{
    bool there;

    lock(channel);
    there = channel->newest != NULL;
    if (there) {
        *ret_id = channel->id;
        *ret_json = channel->json;
    }
    unlock(channel);
    return there;
}

static int comment(struct channel *channel, const char *reason)
{
    struct frame *frame = frame_new(channel->frames);
    int r;

    if (!frame)
        return -ENOMEM;
    buf_add_str(frame_text(frame), ": no data (");
    buf_add_str(frame_text(frame), reason);
    buf_add_str(frame_text(frame), ")\n\n");
    r = frame_seal(frame);
    if (r == 0)
        post(channel, LETTER_COMMENT, frame, 0);
    frame_unref(frame);
    return r;
}

int channel_publish_outage(struct channel *channel, const char *reason)
{
    int r = 0;

    lock(channel);
    forget_newest(channel);
    channel->snapshot = NULL;
    if (channel_stats(channel).subscribers)
        r = comment(channel, reason);
    unlock(channel);
    wake_all(channel);
    return r;
}

void channel_forget(struct channel *channel)
{
    bool posted;

    lock(channel);
    posted = forget_kept(channel);
    channel->anew = true;
    unlock(channel);
    if (posted)
        wake_all(channel);
}

int outlet_new(struct channel *channel, uv_loop_t *loop, void (*wake)(void *ctx),
               void *ctx, struct outlet **ret)
{
    const struct hub_options hub = {.loop = loop,
                                    .lag_frames =
                                        channel->options.boot ? channel->frames : NULL,
                                    .past = channel->options.past};
    struct outlet *outlet = calloc(1, sizeof(*outlet));
    int r;

    if (!outlet)
        return -ENOMEM;
    r = hub_new(&hub, &outlet->hub);
    if (r < 0) {
        free(outlet);
        return r;
    }
    outlet->wake = wake;
    outlet->ctx = ctx;
    outlet->channel = channel;
    lock(channel);
    outlet->next = channel->outlets;
    channel->outlets = outlet;
    unlock(channel);
    *ret = outlet;
    return 0;
}

/* NULL: no memory, so it is not said. */
static struct frame *bye_frame(struct channel *channel)
{
    struct frame *frame = frame_new(channel->frames);

    if (!frame)
        return NULL;
    buf_add_str(frame_text(frame), "retry: 2000\nevent: bye\ndata: {}\n\n");
    if (frame_seal(frame) == 0)
        return frame;
    frame_unref(frame);
    return NULL;
}

void outlet_drain(struct outlet *outlet)
{
    // The other stream's events are all of one form, for clients that know no other.
    struct frame *bye = outlet->channel->options.boot ? bye_frame(outlet->channel) : NULL;

    hub_drain(outlet->hub, bye);
    frame_unref(bye);
}

void outlet_close(struct outlet *outlet)
{
    if (outlet)
        hub_close(outlet->hub);
}

void outlet_free(struct outlet *outlet)
{
    struct outlet *before;

    if (!outlet)
        return;
    before = outlet->channel->outlets;
    if (before == outlet) {
        outlet->channel->outlets = outlet->next;
    } else {
        while (before->next != outlet)
            before = before->next;
        before->next = outlet->next;
    }
    for (size_t i = 0; i < outlet->tray.n; i++)
        frame_unref(outlet->tray.letters[i].frame);
    hub_free(outlet->hub);
    free(outlet);
}

static void deliver(struct hub *hub, const struct tray *tray)
{
    for (size_t i = 0; i < tray->n; i++) {
        const struct letter *letter = &tray->letters[i];

        switch (letter->kind) {
        case LETTER_EVENT:
            hub_send(hub, letter->frame, letter->seq);
            break;
        case LETTER_COMMENT:
            hub_tell(hub, letter->frame);
            break;
        case LETTER_FORGET:
            hub_forget(hub);
            break;
        }
        frame_unref(letter->frame);
    }
}

/* Under the lock. */
static struct tray take_tray(struct outlet *outlet)
{
    struct tray tray = outlet->tray;

    outlet->tray.n = 0;
    return tray;
}

void outlet_deliver(struct outlet *outlet)
{
    struct tray tray;

    lock(outlet->channel);
    tray = take_tray(outlet);
    unlock(outlet->channel);
    deliver(outlet->hub, &tray);
}

/* Under the lock: the newest frame, made now if need be; the caller's reference. */
static int newest(struct channel *channel, struct frame **ret)
{
    int r = 0;

    if (!channel->newest)
        r = channel->snapshot ? render(channel) : -ENODATA;
    if (r == 0)
        *ret = frame_ref(channel->newest);
    return r;
}

/* Under the lock. "BOOT-SEQ" of this run: the reader wants what came after. */
static bool read_last_id(const struct channel *channel, struct span id, uint64_t *ret)
{
    const char *boot = channel->boot;
    size_t len = strlen(boot);

    if (!channel->options.boot || id.len <= len + 1 || memcmp(id.at, boot, len) != 0 ||
        id.at[len] != '-')
        return false;
    return number_read_u64((struct span){id.at + len + 1, id.len - len - 1}, UINT64_MAX,
                           ret) == 0;
}

int outlet_answer_stream(struct outlet *outlet, struct http_conn *conn,
                         const struct http_request *request)
{
    struct channel *channel = outlet->channel;
    struct frame *first = NULL;
    struct tray tray;
    uint64_t after;
    bool comes_back, made;
    int r;

    lock(channel);
    comes_back = read_last_id(channel, request->last_event_id, &after);
    made = !channel->newest;
    r = newest(channel, &first);
    if (request->method != METHOD_HEAD)
        channel->warm_until_ns = channel->options.now_ns() + WARM_NS;
    tray = take_tray(outlet);
    unlock(channel);
    if (made && r == 0)
        wake_all(channel);
    deliver(outlet->hub, &tray);
    if (r < 0)
        return r;
    if (request->method == METHOD_HEAD)
        hub_answer_head(conn);
    else
        hub_add(outlet->hub, conn, first, comes_back ? &after : NULL);
    frame_unref(first);
    return 0;
}

int outlet_answer_once(struct outlet *outlet, struct http_conn *conn)
{
    struct http_response response = {.status = 200,
                                     .type = "application/json",
                                     .extra = "Cache-Control: no-store\r\n"};
    struct channel *channel = outlet->channel;
    struct frame *frame = NULL;
    bool made;
    int r;

    lock(channel);
    made = !channel->newest;
    r = newest(channel, &frame);
    // With one of the two line feeds that follow it.
    response.body = (struct span){channel->json.at, channel->json.len + 1};
    unlock(channel);
    if (made && r == 0)
        wake_all(channel);
    if (r < 0)
        return r;
    answer_frame(conn, &response, frame);
    return 0;
}
