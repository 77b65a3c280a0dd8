// SPDX-License-Identifier: Apache-2.0
#include "serve/service.h"

#include "encode/json.h"
#include "version.h"

#include <stdio.h>

enum {
    BODY_MAX = 8 * 1024,
    FRESH_INTERVALS = 3,
    NS_PER_MS = 1000000,
};

static const char JSON_TYPE[] = "application/json";
static const char NO_STORE[] = "Cache-Control: no-store\r\n";

struct service {
    struct service_options options;
    struct http_server *server;
    struct hub *hub;
    struct frame_pool *frames;
    struct frame *newest;            // the event; NULL before the first, and in an outage
    const struct snapshot *snapshot; // what it was made from
    struct buf body;                 // of the answer being made
    char code[32];                   // of the outage
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

static void get_stream(struct service *service, struct http_conn *conn,
                       const struct http_request *request)
{
    if (!service->newest)
        answer_outage(service, conn);
    else if (request->method == METHOD_HEAD)
        hub_answer_head(conn);
    else
        hub_add(service->hub, conn, service->newest);
}

/* The event's JSON: without "data: " and with one of its two line ends. */
static void get_vram(struct service *service, struct http_conn *conn,
                     const struct http_request *request)
{
    struct http_response response = {.status = 200, .type = JSON_TYPE, .extra = NO_STORE};
    struct span event;

    (void)request;
    if (!service->newest) {
        answer_outage(service, conn);
        return;
    }
    event = frame_event(service->newest);
    response.body =
        (struct span){event.at + strlen("data: "), event.len - strlen("data: ") - 1};
    http_respond(conn, &response);
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
    if (!snapshot || !service->newest) {
        answer_outage(service, conn);
        return;
    }
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
    if (!service->newest) {
        answer_outage(service, conn);
        return;
    }
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
} routes[] = {
    {"/vram/stream", get_stream}, {"/vram", get_vram},       {"/healthz", get_healthz},
    {"/readyz", get_readyz},      {"/version", get_version},
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
        if (request->method == METHOD_GET || request->method == METHOD_HEAD)
            routes[i].get(service, conn, request);
        else
            answer_method(service, conn, request->method);
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

int service_new(const struct service_options *options, struct service **ret)
{
    static const struct outage starting = {"starting", "no snapshot has been taken yet",
                                           ""};
    struct service *service = calloc(1, sizeof(*service));
    struct http_server_options server = {
        .loop = options->loop,
        .handler = on_request,
        .ctx = service,
        .max_clients = options->max_clients,
        .max_clients_per_ip = options->max_clients_per_ip,
        .allow_public = options->allow_public,
        .held = true,
    };
    int r;

    if (!service)
        return -ENOMEM;
    service->options = *options;
    buf_init(&service->body, BODY_MAX);
    remember_outage(service, &starting);
    r = frame_pool_new(&service->frames);
    if (r == 0)
        r = hub_new(&service->hub);
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
    hub_close(service->hub);
    http_server_close(service->server);
}

void service_free(struct service *service)
{
    if (!service)
        return;
    hub_free(service->hub);
    frame_unref(service->newest);
    snapshot_unref(service->snapshot);
    frame_pool_free(service->frames);
    http_server_free(service->server);
    buf_done(&service->body);
    free(service);
}

/* Seal and send; on failure the frame is given back. */
static int send_frame(struct service *service, struct frame *frame)
{
    int r = frame_seal(frame);

    if (r < 0)
        frame_unref(frame);
    else
        hub_send(service->hub, frame);
    return r;
}

int service_publish(struct service *service, const struct snapshot *snapshot)
{
    struct frame *frame = frame_new(service->frames);
    struct buf *text;
    int r;

    if (!frame)
        return -ENOMEM;
    text = frame_text(frame);
    buf_add_str(text, "data: ");
    seed_write(text, snapshot, service->options.model_id);
    buf_add_str(text, "\n\n");
    r = send_frame(service, frame);
    if (r < 0)
        return r;

    frame_unref(service->newest);
    service->newest = frame;
    snapshot_unref(service->snapshot);
    service->snapshot = snapshot_ref(snapshot);
    return 0;
}

int service_publish_outage(struct service *service, const struct outage *outage)
{
    struct frame *frame = frame_new(service->frames);
    struct buf *text;
    int r;

    if (!frame)
        return -ENOMEM;
    remember_outage(service, outage);
    text = frame_text(frame);
    buf_add_str(text, ": no data (");
    buf_add_str(text, service->reason);
    buf_add_str(text, ")\n\n");
    r = send_frame(service, frame);
    if (r < 0)
        return r;

    frame_unref(frame);
    frame_unref(service->newest);
    service->newest = NULL;
    return 0;
}

struct hub_stats service_hub_stats(const struct service *service)
{
    return hub_stats(service->hub);
}
