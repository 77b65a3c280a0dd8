// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_server.h"

#include "base/clock.h"
#include "sim/sim_expo.h"
#include "sim/sim_file.h"
#include "sim/sim_filter.h"
#include "sim/sim_page.h"

#include <inttypes.h>
#include <time.h>

/* After a longer sleep of the machine the simulation goes on from where it was. */
#define ADVANCE_NS_MAX ((uint64_t)10 * NS_PER_S)

static const char metrics_type[] = "text/plain; version=0.0.4; charset=utf-8";
static const char json_type[] = "application/json";
static const char simulated_version[] = "0.30.0";

struct sim_server {
    const struct sim_options *options;
    struct sim_load *load;
    struct sim_file file;
    uint64_t advanced_ns; // CLOCK_MONOTONIC up to which the load has come
    double started_s;     // Unix time
    struct sim_http_counts http;
    uint64_t metrics_taken; // see sim_kinds.h
    struct sim_filter filter;
    struct buf page, body;
};

typedef void route_fn(struct sim_server *server, struct http_conn *conn,
                      const struct http_request *request);

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now); // these clocks are always there
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static double clock_s(clockid_t clock)
{
    return (double)clock_ns(clock) / NS_PER_S;
}

void sim_server_advance(struct sim_server *server)
{
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

    sim_load_advance(server->load, MIN(now_ns - server->advanced_ns, ADVANCE_NS_MAX));
    server->advanced_ns = now_ns;
}

static void respond(struct http_conn *conn, int status, const char *type,
                    const struct buf *body)
{
    const struct http_response response = {
        .status = status,
        .type = type,
        .body = buf_span(body),
    };

    http_respond(conn, &response);
}

static void refuse(struct http_conn *conn, int status, const char *detail,
                   const char *extra)
{
    const struct http_response response = {
        .status = status,
        .type = json_type,
        .extra = extra,
        .body = span_of(detail),
    };

    http_respond(conn, &response);
}

static void refuse_broken(struct http_conn *conn)
{
    refuse(conn, 500, "{\"detail\":\"Internal Server Error\"}", NULL);
}

static int simulate_page(struct sim_server *server, struct span *ret)
{
    const struct sim_page page = {
        .model = server->options->model,
        .load = server->load,
        .kv_pool_bytes = server->options->kv_pool_bytes,
        .started_s = server->started_s,
        .cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID),
        .http = server->http,
    };

    sim_server_advance(server);
    buf_clear(&server->page);
    sim_page_write(&server->page, &page);
    *ret = buf_span(&server->page);
    return server->page.error;
}

static int find_page(struct sim_server *server, struct span *ret)
{
    int r;

    if (!server->options->page)
        return simulate_page(server, ret);
    r = sim_file_refresh(&server->file);
    *ret = buf_span(&server->file.bytes);
    return r;
}

static void send_page(struct http_conn *conn, struct span page)
{
    const struct http_response response = {
        .status = 200,
        .type = metrics_type,
        .body = page,
    };

    http_respond(conn, &response);
}

static void send_metrics(struct sim_server *server, struct http_conn *conn,
                         const struct http_request *request)
{
    struct span page;

    (void)request; // name[] too: this route of vLLM's does not know it
    if (find_page(server, &page) < 0)
        refuse_broken(conn);
    else
        send_page(conn, page);
}

static void send_filtered(struct sim_server *server, struct http_conn *conn,
                          const struct http_request *request)
{
    struct span page;

    if (sim_filter_read(request->query, &server->filter) < 0 ||
        find_page(server, &page) < 0) {
        refuse_broken(conn);
        return;
    }
    if (server->filter.n == 0) {
        send_page(conn, page);
        return;
    }
    buf_clear(&server->body);
    if (!server->options->no_filter)
        sim_filter_apply(&server->filter, page, &server->body);
    if (server->body.error)
        refuse_broken(conn);
    else
        send_page(conn, buf_span(&server->body));
}

static void write_permission(struct buf *out, uint64_t now_s)
{
    static const struct {
        const char *key, *value;
    } rights[] = {
        {"allow_create_engine", "false"}, {"allow_sampling", "true"},
        {"allow_logprobs", "true"},       {"allow_search_indices", "false"},
        {"allow_view", "true"},           {"allow_fine_tuning", "false"},
        {"organization", "\"*\""},        {"group", "null"},
        {"is_blocking", "false"},
    };

    buf_printf(out,
               "{\"id\":\"modelperm-%016" PRIx64 "\",\"object\":\"model_permission\"",
               now_s * 0x9e3779b97f4a7c15U);
    buf_printf(out, ",\"created\":%" PRIu64, now_s);
    for (size_t i = 0; i < ARRAY_LEN(rights); i++)
        buf_printf(out, ",\"%s\":%s", rights[i].key, rights[i].value);
    buf_add_char(out, '}');
}

static void send_models(struct sim_server *server, struct http_conn *conn,
                        const struct http_request *request)
{
    uint64_t now_s = clock_ns(CLOCK_REALTIME) / NS_PER_S;
    struct buf *out = &server->body;

    (void)request;
    buf_clear(out);
    buf_add_str(out, "{\"object\":\"list\",\"data\":[{\"id\":");
    sim_expo_quote(out, server->options->model);
    buf_printf(out, ",\"object\":\"model\",\"created\":%" PRIu64, now_s);
    buf_add_str(out, ",\"owned_by\":\"vllm\",\"root\":");
    sim_expo_quote(out, server->options->model);
    buf_printf(out, ",\"parent\":null,\"max_model_len\":%" PRIu64 ",\"permission\":[",
               sim_page_max_model_len(&server->options->load));
    write_permission(out, now_s);
    buf_add_str(out, "]}]}");

    server->http.models_requests++;
    server->http.models_bytes += out->len;
    respond(conn, 200, json_type, out);
}

static void send_version(struct sim_server *server, struct http_conn *conn,
                         const struct http_request *request)
{
    (void)request;
    buf_clear(&server->body);
    buf_printf(&server->body, "{\"version\":\"%s\"}", simulated_version);
    respond(conn, 200, json_type, &server->body);
}

static void send_load(struct sim_server *server, struct http_conn *conn,
                      const struct http_request *request)
{
    double n = 0;

    (void)request;
    sim_server_advance(server);
    for (size_t i = 0; i < server->options->load.engines; i++) {
        const double *values = sim_load_stats(server->load, i)->values;

        n += values[SIM_RUNNING] + values[SIM_WAITING];
    }
    buf_clear(&server->body);
    buf_printf(&server->body, "{\"server_load\":%.0f}", n);
    respond(conn, 200, json_type, &server->body);
}

static void send_empty(struct sim_server *server, struct http_conn *conn,
                       const struct http_request *request)
{
    static const struct http_response response = {.status = 200};

    (void)server;
    (void)request;
    http_respond(conn, &response);
}

static const struct {
    const char *path;
    route_fn *send;
} routes[] = {
    {"/metrics", send_metrics}, {"/v1/models", send_models}, {"/version", send_version},
    {"/health", send_empty},    {"/ping", send_empty},       {"/load", send_load},
};

/* vLLM mounts the filtering page at whatever else begins with /metrics. */
static bool is_mounted(struct span path)
{
    static const char mount[] = "/metrics";

    return path.len >= strlen(mount) && memcmp(path.at, mount, strlen(mount)) == 0;
}

static route_fn *find_route(struct span path)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (span_is(path, routes[i].path))
            return routes[i].send;
    return is_mounted(path) ? send_filtered : NULL;
}

/* The answer of a server that is not vLLM. */
static void send_of_kind(struct sim_server *server, struct http_conn *conn,
                         struct span path)
{
    const struct sim_options *options = server->options;
    const struct sim_view view = {
        .model = options->model,
        .load = server->load,
        .vram_bytes = options->vram_bytes,
        .kv_pool_bytes = options->kv_pool_bytes,
        .no_metrics = options->no_metrics,
        .metrics_taken = &server->metrics_taken,
    };
    struct sim_answer answer;

    sim_server_advance(server);
    buf_clear(&server->body);
    answer = sim_kind_answer(options->kind, path, &view, &server->body);
    if (answer.status != 200)
        refuse(conn, answer.status, "{\"error\":{\"message\":\"not here\"}}", NULL);
    else
        respond(conn, 200, answer.is_json ? json_type : metrics_type, &server->body);
}

void sim_server_handle(void *ctx, struct http_conn *conn,
                       const struct http_request *request)
{
    struct sim_server *server = ctx;
    route_fn *send = find_route(request->path);

    if (server->options->kind && request->method == METHOD_GET)
        send_of_kind(server, conn, request->path);
    else if (!send)
        refuse(conn, 404, "{\"detail\":\"Not Found\"}", NULL);
    else if (request->method != METHOD_GET && request->method != METHOD_HEAD)
        refuse(conn, 405, "{\"detail\":\"Method Not Allowed\"}", "Allow: GET\r\n");
    else
        send(ctx, conn, request);
}

int sim_server_new(const struct sim_options *options, struct sim_server **ret,
                   struct complaint *complaint)
{
    struct sim_server *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return complain(complaint, -ENOMEM, "out of memory");
    server->options = options;
    server->advanced_ns = clock_ns(CLOCK_MONOTONIC);
    server->started_s = clock_s(CLOCK_REALTIME);
    sim_file_init(&server->file, options->page);
    buf_init(&server->page, SIM_PAGE_BYTES_MAX);
    buf_init(&server->body, SIM_FILE_BYTES_MAX);

    r = sim_load_new(&options->load, &server->load);
    if (r < 0) {
        (void)complain(complaint, r, "cannot set up the load: %s", strerror(-r));
    } else if (options->page) {
        r = sim_file_refresh(&server->file);
        if (r < 0)
            (void)complain(complaint, r, "--page: cannot read '%s': %s", options->page,
                           strerror(-r));
    }
    if (r < 0) {
        sim_server_free(server);
        return r;
    }
    *ret = server;
    return 0;
}

void sim_server_free(struct sim_server *server)
{
    if (!server)
        return;
    sim_load_free(server->load);
    sim_file_done(&server->file);
    buf_done(&server->page);
    buf_done(&server->body);
    free(server);
}
