// SPDX-License-Identifier: Apache-2.0
#include "daemon/front.h"

#include "base/log.h"
#include "net/ticker.h"

#include <sys/resource.h>

enum {
    DESCRIPTORS_BESIDE_CLIENTS = 128,
    URL_MAX = 160,
    LISTEN_MAX = CONFIG_LISTEN_MAX + SERVICE_MANAGER_SOCKETS_MAX,
};

struct front {
    struct service *service;
    char urls[LISTEN_MAX][URL_MAX];
    size_t n_urls;
};

/* A client more than descriptors is a client whose connection is closed without a word. */
static int raise_descriptors(const struct config *config, struct complaint *complaint)
{
    rlim_t wanted = config->max_clients + DESCRIPTORS_BESIDE_CLIENTS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return complain(complaint, neg_errno(), "cannot read the limit of descriptors");
    if (limit.rlim_cur >= wanted)
        return 0;
    limit.rlim_cur = MIN(wanted, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
        return complain(
            complaint, -EMFILE,
            "--max-clients %llu needs %llu descriptors, but the limit is %llu: "
            "raise it (ulimit -n, LimitNOFILE=) or serve fewer clients",
            (unsigned long long)config->max_clients, (unsigned long long)wanted,
            (unsigned long long)limit.rlim_max);
    return 0;
}

static struct http_limits limits_of(const struct config *config)
{
    return (struct http_limits){.clients = config->max_clients,
                                .clients_per_ip = config->max_clients_per_ip,
                                .streams = config->max_streams,
                                .requests = config->max_requests,
                                .head_ms = config->head_timeout_ms,
                                .idle_ms = config->idle_timeout_ms,
                                .stalled_ms = config->stall_timeout_ms};
}

static int adopt_sockets(struct front *front, struct service_manager *manager,
                         struct complaint *complaint)
{
    for (size_t i = 0; i < service_manager_sockets(manager); i++) {
        int fd = service_manager_take_socket(manager, i, complaint);
        int r = fd < 0 ? fd
                       : service_adopt(front->service, fd, front->urls[front->n_urls++],
                                       URL_MAX, complaint);

        if (r < 0)
            return r;
    }
    return 0;
}

static int listen_on_all(struct front *front, const struct config *config,
                         struct service_manager *manager, struct complaint *complaint)
{
    bool passed = service_manager_sockets(manager) > 0;
    int r = adopt_sockets(front, manager, complaint);

    for (size_t i = 0; r == 0 && i < config->n_listen; i++)
        if (!passed || !config->listen_is_default)
            r = service_listen(front->service, config->listen[i],
                               front->urls[front->n_urls++], URL_MAX, complaint);
    return r;
}

static int open_service(struct front *front, uv_loop_t *loop, const struct config *config,
                        struct service_manager *manager, struct complaint *complaint)
{
    struct service_options options = {
        .loop = loop,
        .limits = limits_of(config),
        .allow_public = config->allow_public,
        .threads = (unsigned)config->fanout_threads,
        .socket_mode = (uint32_t)config->socket_mode,
        .model_id =
            config->model_id == MODEL_ID_SERVED ? SEED_SERVED_NAME : SEED_IDENTIFIER,
        .interval_ms = config->interval_ms,
        .now_ns = ticker_now_ns,
    };
    int r = service_new(&options, &front->service);

    if (r < 0)
        return complain(complaint, r, "out of memory");
    return listen_on_all(front, config, manager, complaint);
}

int front_open(uv_loop_t *loop, const struct config *config,
               struct service_manager *manager, struct front **ret,
               struct complaint *complaint)
{
    struct front *front = calloc(1, sizeof(*front));
    int r;

    if (!front)
        return complain(complaint, -ENOMEM, "out of memory");
    *ret = front; // closed and freed by the caller, whatever was opened
    r = raise_descriptors(config, complaint);
    return r < 0 ? r : open_service(front, loop, config, manager, complaint);
}

int front_start(struct front *front)
{
    int r = service_start(front->service);

    if (r < 0)
        return r;
    for (size_t i = 0; i < front->n_urls; i++)
        log_info("listening on %s", front->urls[i]);
    return 0;
}

void front_drain(struct front *front, http_drained_fn *drained, void *ctx)
{
    service_drain(front->service, drained, ctx);
}

void front_close(struct front *front)
{
    if (front && front->service)
        service_close(front->service);
}

void front_free(struct front *front)
{
    if (!front)
        return;
    service_free(front->service);
    free(front);
}

struct service *front_service(struct front *front)
{
    return front->service;
}
