// SPDX-License-Identifier: Apache-2.0
#include "serve/service.h"

#include "encode/detail.h"
#include "encode/json.h"
#include "serve/channel.h"
#include "version.h"

#include <stdio.h>
#include <sys/random.h>

enum {
    BODY_MAX = 8 * 1024,
    FRESH_INTERVALS = 3,
    NS_PER_MS = 1000000,
    DETAIL_PAST = 60, // documents kept for those who come back: half a minute of them
    DETAIL_EVENT_MAX = DETAIL_MAX + 128,
};

static const char JSON_TYPE[] = "application/json";
static const char NO_STORE[] = "Cache-Control: no-store\r\n";

struct service {
    struct service_options options;
    struct http_server *server;
    struct channel *seed;
    struct channel *detail;
    const struct snapshot
        *snapshot;   // the newest; NULL before the first, and in an outage
    char boot[17];   // of this run: 16 hexadecimal digits
    struct buf body; // of the answer being made
    char code[32];   // of the outage
    char reason[256];
    char remedy[256];
};

static void answer_json(struct service *service, struct http_conn *conn, int status,
                        const char *extra)
{
    struct http_response response = {.status = status,
                                     .type = JSON_TYPE,
                                     .extra = extra,
                                     .body = buf_span(&service->body)};

    http_respond(conn, &response);
}

/* {"error":{"code":...,"message":...,"remedy":...}} */
static void answer_error(struct service *service, struct http_conn *conn, int status,
                         const struct outage *error, const char *extra)
{
    struct buf *body = &service->body;

    buf_clear(body);
    buf_add_str(body, "{\"error\":{\"code\":");
    json_string(body, error->code);
    buf_add_str(body, ",\"message\":");
    json_string(body, error->reason);
    if (error->remedy[0]) {
        buf_add_str(body, ",\"remedy\":");
        json_string(body, error->remedy);
    }
    buf_add_str(body, "}}\n");
    answer_json(service, conn, status, extra);
}

static void answer_outage(struct service *service, struct http_conn *conn)
{
    struct outage outage = {service->code, service->reason, service->remedy};

    answer_error(service, conn, 503, &outage,
                 "Retry-After: 1\r\nCache-Control: no-store\r\n");
}

/* Only a document that outgrows its ceiling, or want of memory, comes here. */
static void answer_failure(struct service *service, struct http_conn *conn)
{
    static const struct outage error = {"failed", "the document could not be made", ""};

    answer_error(service, conn, 503, &error, "Retry-After: 1\r\n");
}

static void get_stream(struct service *service, struct http_conn *conn,
                       const struct http_request *request)
{
    if (channel_answer_stream(service->seed, conn, request) < 0)
        answer_failure(service, conn);
}

static void get_vram(struct service *service, struct http_conn *conn,
                     const struct http_request *request)
{
    (void)request;
    if (channel_answer_once(service->seed, conn) < 0)
        answer_failure(service, conn);
}

static void get_detail_stream(struct service *service, struct http_conn *conn,
                              const struct http_request *request)
{
    if (channel_answer_stream(service->detail, conn, request) < 0)
        answer_failure(service, conn);
}

static void get_detail(struct service *service, struct http_conn *conn,
                       const struct http_request *request)
{
    (void)request;
    if (channel_answer_once(service->detail, conn) < 0)
        answer_failure(service, conn);
}

static uint64_t age_ms(uint64_t then_ns, uint64_t now_ns)
{
    return (now_ns - MIN(then_ns, now_ns)) / NS_PER_MS;
}

/* Healthy is who has fresh figures, not who has a listening socket. */
static void get_healthz(struct service *service, struct http_conn *conn,
                        const struct http_request *request)
{
    const struct snapshot *snapshot = service->snapshot;
    uint64_t now_ns = service->options.now_ns();
    struct buf *body = &service->body;
    uint64_t age, gpu_age = 0;
    bool fresh;

    (void)request;
    age = age_ms(snapshot->taken_ns, now_ns);
    if (snapshot->gpu_taken_ns)
        gpu_age = age_ms(snapshot->gpu_taken_ns, now_ns);
    fresh =
        age <= FRESH_INTERVALS * service->options.interval_ms &&
        gpu_age <= MAX(FRESH_INTERVALS * service->options.interval_ms, (uint64_t)2000);

    buf_clear(body);
    buf_printf(body, "{\"status\":\"%s\",\"snapshot_age_ms\":%llu",
               fresh ? "ok" : "stale", (unsigned long long)age);
    if (snapshot->gpu_taken_ns)
        buf_printf(body, ",\"gpu_age_ms\":%llu", (unsigned long long)gpu_age);
    buf_add_str(body, "}\n");
    answer_json(service, conn, fresh ? 200 : 503,
                fresh ? NO_STORE : "Retry-After: 1\r\nCache-Control: no-store\r\n");
}

static void get_readyz(struct service *service, struct http_conn *conn,
                       const struct http_request *request)
{
    (void)request;
    buf_clear(&service->body);
    buf_add_str(&service->body, "{\"status\":\"ready\"}\n");
    answer_json(service, conn, 200, NO_STORE);
}

static void get_version(struct service *service, struct http_conn *conn,
                        const struct http_request *request)
{
    (void)request;
    buf_clear(&service->body);
    buf_add_str(&service->body,
                "{\"name\":\"vramscoped\",\"version\":\"" VRAMSCOPE_VERSION "\"}\n");
    answer_json(service, conn, 200, NULL);
}

static const struct {
    const char *path;
    void (*get)(struct service *service, struct http_conn *conn,
                const struct http_request *request);
    bool always; // else 503 with the reason while there is no snapshot
} routes[] = {
    {"/vram/stream", get_stream, false}, {"/vram", get_vram, false},
    {"/v1/detail", get_detail, false},   {"/v1/detail/stream", get_detail_stream, false},
    {"/healthz", get_healthz, false},    {"/readyz", get_readyz, false},
    {"/version", get_version, true},
};

static void answer_method(struct service *service, struct http_conn *conn,
                          enum http_method method)
{
    static const char allow[] = "Allow: GET, HEAD, OPTIONS\r\n";
    static const struct http_response options = {.status = 204, .extra = allow};
    static const struct outage error = {"method-not-allowed",
                                        "nothing here can be changed: use GET", ""};

    if (method == METHOD_OPTIONS)
        http_respond(conn, &options);
    else
        answer_error(service, conn, 405, &error, allow);
}

static void on_request(void *ctx, struct http_conn *conn,
                       const struct http_request *request)
{
    static const struct outage not_found = {
        "not-found",
        "no such route: try /vram/stream, /vram, /healthz, /readyz, /version", ""};
    struct service *service = ctx;

    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!span_is(request->path, routes[i].path))
            continue;
        if (request->method != METHOD_GET && request->method != METHOD_HEAD)
            answer_method(service, conn, request->method);
        else if (!routes[i].always && !service->snapshot)
            answer_outage(service, conn);
        else
            routes[i].get(service, conn, request);
        return;
    }
    if (request->method == METHOD_OPTIONS && span_is(request->path, "*"))
        answer_method(service, conn, METHOD_OPTIONS);
    else
        answer_error(service, conn, 404, &not_found, NULL);
}

static void remember_outage(struct service *service, const struct outage *outage)
{
    (void)snprintf(service->code, sizeof(service->code), "%s", outage->code);
    (void)snprintf(service->reason, sizeof(service->reason), "%s", outage->reason);
    (void)snprintf(service->remedy, sizeof(service->remedy), "%s", outage->remedy);
}

static void write_seed(void *ctx, struct buf *out, const struct snapshot *snapshot)
{
    const struct service *service = ctx;

    seed_write(out, snapshot, service->options.model_id);
}

static void write_detail(void *ctx, struct buf *out, const struct snapshot *snapshot)
{
    const struct service *service = ctx;
    struct detail_origin origin = {.boot = service->boot,
                                   .version = VRAMSCOPE_VERSION,
                                   .interval_ms = service->options.interval_ms};

    detail_write(out, snapshot, &origin);
}

static void make_boot(struct service *service)
{
    uint64_t number = service->options.now_ns();

    (void)!getrandom(&number, sizeof(number), GRND_NONBLOCK); // the time will do as well
    (void)snprintf(service->boot, sizeof(service->boot), "%016llx",
                   (unsigned long long)number);
}

static int open_channels(struct service *service)
{
    struct channel_options seed = {.loop = service->options.loop,
                                   .write = write_seed,
                                   .ctx = service,
                                   .event_max = SEED_EVENT_MAX,
                                   .now_ns = service->options.now_ns};
    struct channel_options detail = {.loop = service->options.loop,
                                     .write = write_detail,
                                     .ctx = service,
                                     .event_max = DETAIL_EVENT_MAX,
                                     .past = DETAIL_PAST,
                                     .lazy = true,
                                     .boot = service->boot,
                                     .now_ns = service->options.now_ns};
    int r = channel_new(&seed, &service->seed);

    return r < 0 ? r : channel_new(&detail, &service->detail);
}

int service_new(const struct service_options *options, struct service **ret)
{
    static const struct outage starting = {"starting", "no snapshot has been taken yet",
                                           ""};
    struct service *service = calloc(1, sizeof(*service));
    struct http_server_options server = {
        .loop = options->loop,
        .handler = on_request,
        .ctx = service,
        .limits = options->limits,
        .allow_public = options->allow_public,
        .held = true,
    };
    int r;

    if (!service)
        return -ENOMEM;
    service->options = *options;
    buf_init(&service->body, BODY_MAX);
    remember_outage(service, &starting);
    make_boot(service);
    r = open_channels(service);
    if (r == 0)
        r = http_server_new(&server, &service->server);
    if (r < 0) {
        service_free(service);
        return r;
    }
    *ret = service;
    return 0;
}

int service_listen(struct service *service, const char *address, char *ret_url,
                   size_t url_room, struct complaint *complaint)
{
    return http_server_listen(service->server, address, ret_url, url_room, complaint);
}

void service_start(struct service *service)
{
    http_server_release(service->server);
}

void service_close(struct service *service)
{
    channel_close(service->seed);
    channel_close(service->detail);
    http_server_close(service->server);
}

void service_free(struct service *service)
{
    if (!service)
        return;
    channel_free(service->seed);
    channel_free(service->detail);
    snapshot_unref(service->snapshot);
    http_server_free(service->server);
    buf_done(&service->body);
    free(service);
}

int service_publish(struct service *service, const struct snapshot *snapshot)
{
    int seed, detail;

    snapshot_unref(service->snapshot);
    service->snapshot = snapshot_ref(snapshot);
    seed = channel_publish(service->seed, snapshot);
    detail = channel_publish(service->detail, snapshot);
    return seed < 0 ? seed : detail;
}

int service_publish_outage(struct service *service, const struct outage *outage)
{
    int seed, detail;

    remember_outage(service, outage);
    snapshot_unref(service->snapshot);
    service->snapshot = NULL;
    seed = channel_publish_outage(service->seed, service->reason);
    detail = channel_publish_outage(service->detail, service->reason);
    return seed < 0 ? seed : detail;
}

struct hub_stats service_hub_stats(const struct service *service)
{
    struct hub_stats a = channel_stats(service->seed), b = channel_stats(service->detail);

    return (struct hub_stats){a.subscribers + b.subscribers,
                              a.frames_sent + b.frames_sent,
                              a.frames_skipped + b.frames_skipped};
}

size_t service_limited(const struct service *service, struct snapshot_limited *ret,
                       size_t max)
{
    struct http_server_stats stats = http_server_stats(service->server);
    size_t n = MIN(max, (size_t)HTTP_LIMITED);

    for (size_t i = 0; i < n; i++)
        ret[i] = (struct snapshot_limited){http_limited_names[i], stats.limited[i]};
    return n;
}
