// SPDX-License-Identifier: Apache-2.0
#include "daemon/front.h"

#include "base/log.h"
#include "history/historian.h"
#include "net/ticker.h"
#include "net/tls.h"

#include <sys/resource.h>

enum {
    DESCRIPTORS_BESIDE_CLIENTS = 128,
    DESCRIPTORS_OF_LOOP = 6, // beside the sockets that it listens on
    URL_MAX = 160,
    LISTEN_MAX = CONFIG_LISTEN_MAX + SERVICE_MANAGER_SOCKETS_MAX,
};

struct front {
    struct gate *gate;
    struct service *service;
    struct tls *tls;       // NULL: plain
    struct tls *fresh_tls; // to take its place; NULL: none
    char urls[LISTEN_MAX][URL_MAX];
    size_t n_urls;
    const char *public_url; // the first that other hosts reach; NULL: none
};

/* A client more than descriptors is a client whose connection is closed without a word. */
int front_raise_descriptors(const struct config *config, struct complaint *complaint)
{
    size_t listeners = config->listen.n + SERVICE_MANAGER_SOCKETS_MAX;
    rlim_t wanted = config->max_clients + DESCRIPTORS_BESIDE_CLIENTS +
                    config->fanout_threads * (listeners + DESCRIPTORS_OF_LOOP);
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return complain(complaint, neg_errno(), "cannot read the limit of descriptors");
    if (limit.rlim_cur >= wanted)
        return 0;
    limit.rlim_cur = MIN(wanted, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
        return complain(
            complaint, -EMFILE,
            "--max-clients %llu needs %llu descriptors in all, but the limit is %llu: "
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

static bool has_tls(const struct config *config)
{
    return config->tls_cert != NULL;
}

/* Other hosts may reach us where the token keeps strangers out and TLS keeps it secret. */
static bool may_be_public(const struct config *config)
{
    return config->allow_public || (config->token.given && has_tls(config));
}

static struct gate_options gate_options_of(const struct config *config)
{
    return (struct gate_options){
        .hosts = (const char *const *)config->allow_hosts.at,
        .n_hosts = config->allow_hosts.n,
        .origins = (const char *const *)config->allow_origins.at,
        .n_origins = config->allow_origins.n,
        .token_sha256 = config->token.given ? config->token.sha256 : NULL,
    };
}

static int open_gate(struct front *front, const struct config *config,
                     struct complaint *complaint)
{
    struct gate_options options = gate_options_of(config);
    int r = gate_new(&options, &front->gate);

    return r < 0 ? complain(complaint, r, "cannot check clients: %s", strerror(-r)) : 0;
}

static bool is_public_url(const char *url)
{
    const char *host = strstr(url, "://");

    return host && strncmp(host, "://127.", 7) != 0 && strncmp(host, "://[::1]:", 9) != 0;
}

/* Another address is listened on, under the last URL. */
static void note_url(struct front *front)
{
    const char *url = front->urls[front->n_urls++];

    gate_listens_on(front->gate, url);
    if (!front->public_url && is_public_url(url))
        front->public_url = url;
}

static int adopt_sockets(struct front *front, struct service_manager *manager,
                         struct complaint *complaint)
{
    for (size_t i = 0; i < service_manager_sockets(manager); i++) {
        int fd = service_manager_take_socket(manager, i, complaint);
        int r = fd < 0 ? fd
                       : service_adopt(front->service, fd, front->urls[front->n_urls],
                                       URL_MAX, complaint);

        if (r < 0)
            return r;
        note_url(front);
    }
    return 0;
}

static int listen_on(struct front *front, const char *address,
                     struct complaint *complaint)
{
    int r = service_listen(front->service, address, front->urls[front->n_urls], URL_MAX,
                           complaint);

    if (r < 0)
        return r;
    gate_listens_on(front->gate, address);
    note_url(front);
    return 0;
}

static int listen_on_all(struct front *front, const struct config *config,
                         struct service_manager *manager, struct complaint *complaint)
{
    bool passed = service_manager_sockets(manager) > 0;
    int r = adopt_sockets(front, manager, complaint);

    for (size_t i = 0; r == 0 && i < config->listen.n; i++)
        if (!passed || !config->listen_is_default)
            r = listen_on(front, config->listen.at[i], complaint);
    return r;
}

/* Who asked for it with --allow-public is told once what it means. */
static void warn_of_public(const struct front *front, const struct config *config)
{
    bool token = config->token.given, tls = has_tls(config);

    if (!front->public_url || (token && tls))
        return;
    log_warning(
        "other hosts can reach %s: %s", front->public_url,
        token ? "the token and all figures cross the network readable by anyone on "
                "the way (no --tls-cert)"
        : tls ? "anyone there can read all figures (no --token-file)"
              : "anyone there can read all figures, and change them on the way (no "
                "--token-file, no --tls-cert)");
}

/* A certificate that is usable but doubtful is for a person to know. */
static int warn_of(int r, const struct complaint *complaint)
{
    if (r > 0)
        log_warning("%s", complaint->text);
    return MIN(r, 0);
}

static int open_tls(const struct config *config, struct tls **ret,
                    struct complaint *complaint)
{
    if (!config->tls_cert)
        return 0;
    return warn_of(tls_new(config->tls_cert, config->tls_key, complaint, ret), complaint);
}

static size_t read_observations(void *ctx, struct observation *ret, size_t max)
{
    return historian_observations(ctx, ret, max);
}

static int open_service(struct front *front, const struct front_options *front_options,
                        struct complaint *complaint)
{
    const struct config *config = front_options->config;
    struct service_options options = {
        .loop = front_options->loop,
        .limits = limits_of(config),
        .tls = front->tls,
        .allow_public = may_be_public(config),
        .gate = front->gate,
        .threads = (unsigned)config->fanout_threads,
        .socket_mode = (uint32_t)config->socket_mode,
        .model_id =
            config->model_id == MODEL_ID_SERVED ? SEED_SERVED_NAME : SEED_IDENTIFIER,
        .past = front_options->past,
        .tap = front_options->tap,
        .historian = front_options->historian,
        .journal = front_options->journal,
        .nodes = front_options->nodes,
        .fleet = front_options->nodes != NULL,
        .interval_ms = config->interval_ms,
        .now_ns = ticker_now_ns,
    };
    int r;

    if (!front_options->nodes) // those of a gateway's nodes are theirs
        options.observations =
            (struct observations_source){read_observations, front_options->historian};
    r = service_new(&options, &front->service);
    if (r < 0)
        return complain(complaint, r, "out of memory");
    r = listen_on_all(front, config, front_options->manager, complaint);
    if (r == 0)
        warn_of_public(front, config);
    return r;
}

/* What is listened on stays, and needs what it needed. */
static int check_sockets(const struct front *front, const struct config *config,
                         struct complaint *complaint)
{
    if ((front->tls != NULL) != has_tls(config))
        return complain(complaint, -EOPNOTSUPP,
                        "--tls-cert: TLS begins and ends with a restart");
    if (front->public_url && !may_be_public(config))
        return complain(complaint, -EACCES,
                        "other hosts can reach %s: that needs --token-file with "
                        "--tls-cert and --tls-key, or --allow-public",
                        front->public_url);
    return 0;
}

static int check_gate(const struct config *config, struct complaint *complaint)
{
    struct gate_options options = gate_options_of(config);
    struct gate *trial = NULL;
    int r = gate_new(&options, &trial);

    gate_free(trial);
    return r < 0 ? complain(complaint, r, "cannot check clients: %s", strerror(-r)) : 0;
}

int front_prepare(struct front *front, const struct config *config,
                  struct complaint *complaint)
{
    int r = check_sockets(front, config, complaint);

    tls_free(TAKE(front->fresh_tls));
    if (r == 0)
        r = check_gate(config, complaint);
    return r < 0 ? r : open_tls(config, &front->fresh_tls, complaint);
}

void front_commit(struct front *front, const struct config *config)
{
    struct gate_options options = gate_options_of(config);

    if (front->fresh_tls)
        tls_replace(front->tls, TAKE(front->fresh_tls));
    (void)!gate_apply(front->gate, &options); // as it was tried
}

int front_open(const struct front_options *options, struct front **ret,
               struct complaint *complaint)
{
    struct front *front = calloc(1, sizeof(*front));
    int r;

    if (!front)
        return complain(complaint, -ENOMEM, "out of memory");
    *ret = front; // closed and freed by the caller, whatever was opened
    r = open_gate(front, options->config, complaint);
    if (r == 0)
        r = open_tls(options->config, &front->tls, complaint);
    return r < 0 ? r : open_service(front, options, complaint);
}

int front_check(const struct config *config, struct complaint *complaint)
{
    struct tls *tls = NULL;
    int r = open_tls(config, &tls, complaint);

    tls_free(tls);
    return r;
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
    gate_free(front->gate);
    tls_free(front->tls);
    tls_free(front->fresh_tls);
    free(front);
}

struct service *front_service(struct front *front)
{
    return front->service;
}
