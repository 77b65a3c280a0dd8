// SPDX-License-Identifier: Apache-2.0
#include "serve/channel.h"

#include "base/number.h"

#define WARM_NS 60000000000ULL // rendered on after the last reader has left

struct channel {
    struct channel_options options;
    struct frame_pool *frames;
    struct hub *hub;
    const struct snapshot *snapshot; // lent; NULL in an outage
    struct frame *newest;            // made from it; NULL: not yet
    struct span json;                // within `newest`
    uint64_t warm_until_ns;
};

int channel_new(const struct channel_options *options, struct channel **ret)
{
    struct channel *channel = calloc(1, sizeof(*channel));
    struct hub_options hub = {.loop = options->loop, .past = options->past};
    int r;

    if (!channel)
        return -ENOMEM;
    channel->options = *options;
    r = frame_pool_new(options->event_max, &channel->frames);
    if (r == 0) {
        hub.lag_frames = options->boot ? channel->frames : NULL;
        r = hub_new(&hub, &channel->hub);
    }
    if (r < 0) {
        channel_free(channel);
        return r;
    }
    *ret = channel;
    return 0;
}

void channel_close(struct channel *channel)
{
    if (channel && channel->hub)
        hub_close(channel->hub);
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    hub_free(channel->hub);
    frame_unref(channel->newest);
    frame_pool_free(channel->frames);
    free(channel);
}

static void forget_newest(struct channel *channel)
{
    frame_unref(channel->newest);
    channel->newest = NULL;
}

/* Encode the snapshot and send it to whoever streams. */
static int render(struct channel *channel)
{
    const struct snapshot *snapshot = channel->snapshot;
    struct frame *frame = frame_new(channel->frames);
    size_t prefix, json;
    struct buf *text;
    int r;

    if (!frame)
        return -ENOMEM;
    text = frame_text(frame);
    prefix = text->len;
    if (channel->options.boot)
        buf_printf(text, "id: %s-%llu\nretry: 2000\n", channel->options.boot,
                   (unsigned long long)snapshot->seq);
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
    channel->newest = frame;
    hub_send(channel->hub, frame, snapshot->seq);
    return 0;
}

static bool is_wanted(const struct channel *channel)
{
    return !channel->options.lazy || hub_stats(channel->hub).subscribers ||
           channel->options.now_ns() < channel->warm_until_ns;
}

int channel_publish(struct channel *channel, const struct snapshot *snapshot)
{
    forget_newest(channel);
    channel->snapshot = snapshot;
    if (hub_stats(channel->hub).subscribers)
        channel->warm_until_ns = channel->options.now_ns() + WARM_NS;
    if (is_wanted(channel))
        return render(channel);
    hub_forget(channel->hub); // of another time: not what a reader comes back for
    return 0;
}

int channel_publish_outage(struct channel *channel, const char *reason)
{
    struct frame *frame;
    int r;

    forget_newest(channel);
    channel->snapshot = NULL;
    if (!hub_stats(channel->hub).subscribers)
        return 0;
    frame = frame_new(channel->frames);
    if (!frame)
        return -ENOMEM;
    buf_add_str(frame_text(frame), ": no data (");
    buf_add_str(frame_text(frame), reason);
    buf_add_str(frame_text(frame), ")\n\n");
    r = frame_seal(frame);
    if (r == 0)
        hub_tell(channel->hub, frame);
    frame_unref(frame);
    return r;
}

/* "BOOT-SEQ" of this run: the reader has seen it, and wants what came after. */
static bool read_last_id(const struct channel *channel, struct span id, uint64_t *ret)
{
    const char *boot = channel->options.boot;
    size_t len = boot ? strlen(boot) : 0;

    if (!boot || id.len <= len + 1 || memcmp(id.at, boot, len) != 0 || id.at[len] != '-')
        return false;
    return number_read_u64((struct span){id.at + len + 1, id.len - len - 1}, UINT64_MAX,
                           ret) == 0;
}

static int ensure_newest(struct channel *channel)
{
    if (channel->newest)
        return 0;
    if (!channel->snapshot)
        return -ENODATA;
    return render(channel);
}

int channel_answer_stream(struct channel *channel, struct http_conn *conn,
                          const struct http_request *request)
{
    uint64_t after;
    bool comes_back = read_last_id(channel, request->last_event_id, &after);
    int r = ensure_newest(channel);

    if (r < 0)
        return r;
    if (request->method == METHOD_HEAD) {
        hub_answer_head(conn);
        return 0;
    }
    channel->warm_until_ns = channel->options.now_ns() + WARM_NS;
    hub_add(channel->hub, conn, channel->newest, comes_back ? &after : NULL);
    return 0;
}

int channel_answer_once(struct channel *channel, struct http_conn *conn)
{
    struct http_response response = {.status = 200,
                                     .type = "application/json",
                                     .extra = "Cache-Control: no-store\r\n"};
    int r = ensure_newest(channel);

    if (r < 0)
        return r;
    // With one of the two line feeds that follow it.
    response.body = (struct span){channel->json.at, channel->json.len + 1};
    http_respond(conn, &response);
    return 0;
}

struct hub_stats channel_stats(const struct channel *channel)
{
    return hub_stats(channel->hub);
}
