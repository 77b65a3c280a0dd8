// SPDX-License-Identifier: Apache-2.0
#include "serve/service.h"

#include "net/census.h"
#include "serve/desk.h"

#include <stdatomic.h>

/* A desk, and where it runs. */
struct counter {
    struct desk *desk;
    uv_loop_t *loop; // the caller's, or `own`
    uv_loop_t own;
    uv_thread_t thread;
    uv_async_t wake;
    struct service *service;
    atomic_bool draining;
    atomic_bool closing;
    bool has_thread; // of its own, which may not have been started
    bool started;
};

struct service {
    struct service_options options;
    struct board *board;
    struct census *census;
    struct counter *counters;
    size_t n_counters;
    atomic_size_t undrained; // counters that still have clients
    uv_async_t last_drained;
    bool has_async; // only with threads
    http_drained_fn *drained;
    void *drained_ctx;
};

static void wake_here(void *ctx)
{
    struct counter *counter = ctx;

    desk_deliver(counter->desk);
}

static void wake_there(void *ctx)
{
    struct counter *counter = ctx;

    (void)uv_async_send(&counter->wake); // fails on closing handles only
}

static void on_desk_drained(void *ctx);

static void on_woken(uv_async_t *wake)
{
    struct counter *counter = CONTAINER_OF(wake, struct counter, wake);

    if (counter->closing) {
        desk_close(counter->desk);
        uv_close((uv_handle_t *)wake, NULL);
    } else if (counter->draining) {
        desk_drain(counter->desk, on_desk_drained, counter);
    } else {
        desk_deliver(counter->desk);
    }
}

static int open_loop(struct counter *counter)
{
    int r = uv_loop_init(&counter->own);

    if (r < 0)
        return r;
    r = uv_async_init(&counter->own, &counter->wake, on_woken);
    if (r < 0) {
        (void)uv_loop_close(&counter->own);
        return r;
    }
    counter->has_thread = true;
    counter->loop = &counter->own;
    return 0;
}

static int open_counter(struct service *service, struct counter *counter)
{
    const struct service_options *options = &service->options;
    struct desk_options desk = {
        .server = {.limits = options->limits,
                   .census = service->census,
                   .tls = options->tls,
                   .allow_public = options->allow_public,
                   .socket_mode = options->socket_mode,
                   .several = options->threads > 1,
                   .held = true},
        .board = service->board,
        .nodes = options->nodes,
        .journal = options->journal,
        .observations = options->observations,
        .gate = options->gate,
        .historian = options->historian,
        .interval_ms = options->interval_ms,
        .now_ns = options->now_ns,
        .wake = options->threads ? wake_there : wake_here,
        .ctx = counter,
    };
    int r = 0;

    counter->service = service;
    counter->loop = options->loop;
    if (options->threads)
        r = open_loop(counter);
    desk.server.loop = counter->loop;
    return r < 0 ? r : desk_new(&desk, &counter->desk);
}

static void on_last_drained(uv_async_t *last)
{
    struct service *service = CONTAINER_OF(last, struct service, last_drained);

    service->drained(service->drained_ctx);
}

int service_new(const struct service_options *options, struct service **ret)
{
    const struct board_options board = {.model_id = options->model_id,
                                        .documents = options->documents,
                                        .past = options->past,
                                        .tap = options->tap,
                                        .fleet = options->fleet,
                                        .interval_ms = options->interval_ms,
                                        .now_ns = options->now_ns};
    struct service *service = calloc(1, sizeof(*service));
    size_t n = MAX(options->threads, 1U);
    int r;

    if (!service)
        return -ENOMEM;
    *ret = service;
    service->options = *options;
    r = board_new(&board, &service->board);
    if (r == 0)
        r = census_new(http_limits_of(options->limits).clients, &service->census);
    if (r == 0 && options->threads)
        r = uv_async_init(options->loop, &service->last_drained, on_last_drained);
    if (r < 0)
        return r;
    service->has_async = options->threads > 0;
    service->counters = calloc(n, sizeof(*service->counters));
    if (!service->counters)
        return -ENOMEM;
    while (r == 0 && service->n_counters < n)
        r = open_counter(service, &service->counters[service->n_counters++]);
    return r;
}

int service_listen(struct service *service, const char *address, char *ret_url,
                   size_t url_room, struct complaint *complaint)
{
    return http_server_listen(desk_server(service->counters[0].desk), address, ret_url,
                              url_room, complaint);
}

int service_adopt(struct service *service, int fd, char *ret_url, size_t url_room,
                  struct complaint *complaint)
{
    return http_server_adopt(desk_server(service->counters[0].desk), fd, ret_url,
                             url_room, complaint);
}

static void run_loop(void *ctx)
{
    struct counter *counter = ctx;

    (void)uv_run(counter->loop, UV_RUN_DEFAULT);
}

static int start(struct counter *counter)
{
    int r = 0;

    http_server_release(desk_server(counter->desk));
    if (counter->has_thread)
        r = uv_thread_create(&counter->thread, run_loop, counter);
    counter->started = counter->has_thread && r == 0;
    return r;
}

int service_start(struct service *service)
{
    struct http_server *first = desk_server(service->counters[0].desk);
    int r = 0;

    for (size_t i = 1; r == 0 && i < service->n_counters; i++)
        r = http_server_listen_with(desk_server(service->counters[i].desk), first);
    for (size_t i = 0; r == 0 && i < service->n_counters; i++)
        r = start(&service->counters[i]);
    return r;
}

/* On whichever loop the desk has; the last one tells. */
static void on_desk_drained(void *ctx)
{
    struct counter *counter = ctx;
    struct service *service = counter->service;

    if (atomic_fetch_sub(&service->undrained, 1) > 1)
        return;
    if (counter->started)
        (void)uv_async_send(&service->last_drained);
    else
        service->drained(service->drained_ctx);
}

void service_drain(struct service *service, http_drained_fn *drained, void *ctx)
{
    service->drained = drained;
    service->drained_ctx = ctx;
    service->undrained = service->n_counters;
    for (size_t i = 0; i < service->n_counters; i++) {
        struct counter *counter = &service->counters[i];

        counter->draining = true;
        if (counter->started)
            wake_there(counter);
        else
            desk_drain(counter->desk, on_desk_drained, counter);
    }
}

void service_close(struct service *service)
{
    if (service->has_async)
        uv_close((uv_handle_t *)&service->last_drained, NULL);
    for (size_t i = 0; i < service->n_counters; i++) {
        struct counter *counter = &service->counters[i];

        counter->closing = true;
        if (counter->has_thread)
            wake_there(counter);
        else
            desk_close(counter->desk);
    }
}

/* Let the thread end, or do here what it would have done. */
static void finish(struct counter *counter)
{
    if (counter->started)
        (void)uv_thread_join(&counter->thread);
    else if (counter->has_thread)
        run_loop(counter);
}

void service_free(struct service *service)
{
    if (!service)
        return;
    for (size_t i = 0; i < service->n_counters; i++)
        finish(&service->counters[i]); // all, as any of them posts to all outlets
    for (size_t i = 0; i < service->n_counters; i++) {
        struct counter *counter = &service->counters[i];

        if (counter->has_thread)
            (void)uv_loop_close(counter->loop);
        desk_free(counter->desk);
    }
    free(service->counters);
    board_free(service->board);
    census_free(service->census);
    free(service);
}

int service_publish(struct service *service, const struct snapshot *snapshot)
{
    return board_publish(service->board, snapshot);
}

int service_publish_outage(struct service *service, const struct outage *outage,
                           const struct snapshot *nodes)
{
    return board_publish_outage(service->board, outage, nodes);
}

void service_tell_self(struct service *service, const struct snapshot_self *self)
{
    struct metrics_page *page = board_metrics_page(service->board);

    if (page)
        metrics_page_tell_self(page, self);
}

void service_begin_anew(struct service *service)
{
    board_begin_anew(service->board);
}

const char *service_boot(const struct service *service)
{
    return board_boot(service->board);
}

struct hub_stats service_hub_stats(const struct service *service)
{
    struct hub_stats sum = {0};

    for (size_t i = 0; i < CHANNELS; i++) {
        struct hub_stats stats =
            channel_stats(board_channel(service->board, (enum channel_kind)i));

        sum.subscribers += stats.subscribers;
        sum.frames_sent += stats.frames_sent;
        sum.frames_skipped += stats.frames_skipped;
    }
    return sum;
}

size_t service_limited(const struct service *service, struct snapshot_limited *ret,
                       size_t max)
{
    struct http_server_stats stats = census_stats(service->census);
    size_t n = MIN(max, (size_t)HTTP_LIMITED);

    for (size_t i = 0; i < n; i++)
        ret[i] = (struct snapshot_limited){http_limited_names[i], stats.limited[i]};
    return n;
}
