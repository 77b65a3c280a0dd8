// SPDX-License-Identifier: Apache-2.0
#include "daemon/gpu_feed.h"

#include "net/ticker.h"

struct gpu_feed {
    uv_loop_t *loop;
    struct gpu_link *link;
    uv_poll_t poll;
    bool polled;
    bool ending; // freed when the poll handle is closed
    void (*lost)(void *ctx);
    void *ctx;
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_poll_closed(uv_handle_t *handle)
{
    struct gpu_feed *feed =
        CONTAINER_OF((uv_poll_t *)(void *)handle, struct gpu_feed, poll);

    feed->polled = false;
    if (feed->ending)
        free(feed);
}

static void close_poll(struct gpu_feed *feed)
{
    if (feed->polled && !uv_is_closing((uv_handle_t *)&feed->poll))
        uv_close((uv_handle_t *)&feed->poll, on_poll_closed);
}

/* The worker's socket comes and goes; the poll handle follows it, one check behind. */
static void watch(struct gpu_feed *feed)
{
    int fd = gpu_link_fd(feed->link);

    if (fd < 0 || feed->polled)
        return;
    if (uv_poll_init(feed->loop, &feed->poll, fd) < 0)
        return;
    feed->polled = true;
    (void)uv_poll_start(&feed->poll, UV_READABLE, on_readable);
}

static void check(struct gpu_feed *feed, uint64_t now_ns)
{
    int r = gpu_link_check(feed->link, now_ns);

    if (r < 0)
        feed->lost(feed->ctx);
    if (r > 0)
        close_poll(feed);
    watch(feed);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct gpu_feed *feed = CONTAINER_OF(poll, struct gpu_feed, poll);
    uint64_t now_ns = ticker_now_ns();

    (void)status;
    (void)events;
    if (gpu_link_receive(feed->link, now_ns) < 0)
        check(feed, now_ns);
}

int gpu_feed_new(uv_loop_t *loop, const struct gpu_link_options *options,
                 void (*lost)(void *ctx), void *ctx, struct gpu_feed **ret)
{
    struct gpu_feed *feed = calloc(1, sizeof(*feed));
    int r;

    if (!feed)
        return -ENOMEM;
    feed->loop = loop;
    feed->lost = lost;
    feed->ctx = ctx;
    r = gpu_link_new(options, ticker_now_ns(), &feed->link);
    if (r < 0) {
        free(feed);
        return r;
    }
    watch(feed);
    *ret = feed;
    return 0;
}

void gpu_feed_free(struct gpu_feed *feed)
{
    if (!feed)
        return;
    feed->ending = true;
    close_poll(feed);
    gpu_link_free(feed->link);
    if (!feed->polled)
        free(feed);
}

void gpu_feed_request(struct gpu_feed *feed, uint64_t now_ns)
{
    check(feed, now_ns);
    gpu_link_request(feed->link, now_ns);
}

struct gpu_link *gpu_feed_link(struct gpu_feed *feed)
{
    return feed->link;
}
