// SPDX-License-Identifier: Apache-2.0
#include "serve/desk.h"

#include "encode/json.h"
#include "serve/aggregated.h"
#include "serve/events.h"
#include "serve/history.h"
#include "serve/metrics_accept.h"
#include "serve/page.h"
#include "version.h"

#include <stdio.h>

enum {
    BODY_MAX = SEED_EVENT_MAX + 8 * 1024,
    FRESH_INTERVALS = 3,
    NS_PER_MS = 1000000,
};

static const char JSON_TYPE[] = "application/json";
static const char NO_STORE[] = "Cache-Control: no-store\r\n";

struct desk {
    struct desk_options options;
    struct http_server *server;
    struct outlet *outlets[CHANNELS];
    struct buf body; // of the answer being made
    struct aggregated *aggregated;
    struct history_desk *history; // NULL: nobody keeps one here
};

static void answer_json(struct desk *desk, struct http_conn *conn, int status,
                        const char *extra)
{
    struct http_response response = {.status = status,
                                     .type = JSON_TYPE,
                                     .extra = extra,
                                     .body = buf_span(&desk->body)};

    http_respond(conn, &response);
}

/* {"error":{"code":...,"message":...,"remedy":...}} */
static void answer_error(struct desk *desk, struct http_conn *conn, int status,
                         const struct outage *error, const char *extra)
{
    struct buf *body = &desk->body;

    buf_clear(body);
    buf_add_str(body, "{\"error\":{\"code\":");
    json_quote(body, error->code);
    buf_add_str(body, ",\"message\":");
    json_quote(body, error->reason);
    if (error->remedy[0]) {
        buf_add_str(body, ",\"remedy\":");
        json_quote(body, error->remedy);
    }
    buf_add_str(body, "}}\n");
    answer_json(desk, conn, status, extra);
}

static void answer_outage(struct desk *desk, struct http_conn *conn)
{
    struct board_state state = board_state(desk->options.board);
    struct outage outage = {state.code, state.reason, state.remedy};

    answer_error(desk, conn, 503, &outage,
                 "Retry-After: 1\r\nCache-Control: no-store\r\n");
}

/* A document that outgrows its ceiling, want of memory, or an outage just now. */
static void answer_failure(struct desk *desk, struct http_conn *conn)
{
    static const struct outage error = {"failed", "the document could not be made", ""};

    answer_error(desk, conn, 503, &error, "Retry-After: 1\r\n");
}

static void get_stream(struct desk *desk, struct http_conn *conn,
                       const struct http_request *request)
{
    if (outlet_answer_stream(desk->outlets[CHANNEL_SEED], conn, request) < 0)
        answer_failure(desk, conn);
}

static void get_vram(struct desk *desk, struct http_conn *conn,
                     const struct http_request *request)
{
    (void)request;
    if (outlet_answer_once(desk->outlets[CHANNEL_SEED], conn) < 0)
        answer_failure(desk, conn);
}

static void get_aggregated(struct desk *desk, struct http_conn *conn,
                           const struct http_request *request)
{
    static const struct outage bad_window = {
        "bad-parameter", "\"window\" is a whole number of seconds from 1 to 60, once",
        ""};
    unsigned seconds;
    int r;

    if (aggregated_read_window(request->query, &seconds) < 0) {
        answer_error(desk, conn, 400, &bad_window, NULL);
        return;
    }
    buf_clear(&desk->body);
    r = aggregated_write(desk->aggregated, seconds, desk->options.now_ns(), &desk->body);
    if (r < 0 || desk->body.error)
        answer_failure(desk, conn);
    else
        answer_json(desk, conn, 200, NO_STORE);
}

static void get_detail_stream(struct desk *desk, struct http_conn *conn,
                              const struct http_request *request)
{
    if (outlet_answer_stream(desk->outlets[CHANNEL_DETAIL], conn, request) < 0)
        answer_failure(desk, conn);
}

static void get_detail(struct desk *desk, struct http_conn *conn,
                       const struct http_request *request)
{
    (void)request;
    if (outlet_answer_once(desk->outlets[CHANNEL_DETAIL], conn) < 0)
        answer_failure(desk, conn);
}

static void get_history(struct desk *desk, struct http_conn *conn,
                        const struct http_request *request)
{
    static const struct outage none = {
        "not-found", "a recording that is replayed has no history: ask the daemon", ""};
    static const struct outage busy = {
        "busy", "as many answers from history are under way as may be", ""};
    struct complaint why = {""};
    const struct outage bad = {"bad-parameter", why.text, ""};
    int r = desk->history ? history_desk_answer(desk->history, conn, request, &why) : 0;

    if (!desk->history)
        answer_error(desk, conn, 404, &none, NULL);
    else if (r == -EINVAL)
        answer_error(desk, conn, 400, &bad, NULL);
    else if (r < 0)
        answer_error(desk, conn, 503, &busy,
                     "Retry-After: 5\r\nCache-Control: no-store\r\n");
}

/* In an outage, too: that there is one is what is told then. */
static void get_metrics(struct desk *desk, struct http_conn *conn,
                        const struct http_request *request)
{
    static const struct outage none = {"not-found", "no metrics are made of a recording",
                                       ""};
    struct metrics_page *page = board_metrics_page(desk->options.board);
    enum metrics_format format = metrics_accept(request->accept);
    struct http_response response = {.status = 200,
                                     .type = metrics_content_type(format),
                                     .extra =
                                         "Cache-Control: no-store\r\nVary: Accept\r\n"};
    struct frame *frame;

    if (!page) {
        answer_error(desk, conn, 404, &none, NULL);
    } else if (metrics_page_get(page, format, &frame) < 0) {
        answer_failure(desk, conn);
    } else {
        response.body = frame_event(frame);
        http_respond(conn, &response);
        frame_unref(frame);
    }
}

/* A document with a buffer of its own, as few ask for it and it can be large. `r`: made. */
static void answer_document(struct desk *desk, struct http_conn *conn, int r,
                            const struct buf *body)
{
    if (r < 0 || body->error)
        answer_failure(desk, conn);
    else
        http_respond(conn, &(struct http_response){.status = 200,
                                                   .type = JSON_TYPE,
                                                   .extra = NO_STORE,
                                                   .body = buf_span(body)});
}

static void get_events(struct desk *desk, struct http_conn *conn,
                       const struct http_request *request)
{
    static const struct outage none = {
        "not-found", "no events are noted here: this is a recording being played", ""};
    struct outage bad = {"bad-parameter", "", ""};
    OWNED(buf_done) struct buf body;
    struct events_query query;

    buf_init(&body, EVENTS_BODY_MAX);
    if (!desk->options.journal)
        answer_error(desk, conn, 404, &none, NULL);
    else if (events_read_query(request->query, &query, &bad.reason) < 0)
        answer_error(desk, conn, 400, &bad, NULL);
    else
        answer_document(desk, conn,
                        events_write(desk->options.journal, &query,
                                     board_boot(desk->options.board), &body),
                        &body);
}

static void get_advice(struct desk *desk, struct http_conn *conn,
                       const struct http_request *request)
{
    static const struct outage none = {
        "not-found", "nothing is observed here: this is a recording being played", ""};
    OWNED(buf_done) struct buf body;

    (void)request;
    buf_init(&body, ADVICE_BODY_MAX);
    if (desk->options.observations.read)
        answer_document(
            desk, conn,
            advice_write(desk->options.board, &desk->options.observations, &body), &body);
    else
        answer_error(desk, conn, 404, &none, NULL);
}

static uint64_t age_ms(uint64_t then_ns, uint64_t now_ns)
{
    return (now_ns - MIN(then_ns, now_ns)) / NS_PER_MS;
}

/* Healthy is who has fresh figures, not who has a listening socket. */
static void get_healthz(struct desk *desk, struct http_conn *conn,
                        const struct http_request *request)
{
    struct board_state state = board_state(desk->options.board);
    uint64_t now_ns = desk->options.now_ns();
    struct buf *body = &desk->body;
    uint64_t age, gpu_age = 0;
    bool fresh;

    (void)request;
    age = age_ms(state.taken_ns, now_ns);
    if (state.gpu_taken_ns)
        gpu_age = age_ms(state.gpu_taken_ns, now_ns);
    fresh = age <= FRESH_INTERVALS * desk->options.interval_ms &&
            gpu_age <= MAX(FRESH_INTERVALS * desk->options.interval_ms, (uint64_t)2000);

    buf_clear(body);
    buf_printf(body, "{\"status\":\"%s\",\"snapshot_age_ms\":%llu",
               fresh ? "ok" : "stale", (unsigned long long)age);
    if (state.gpu_taken_ns)
        buf_printf(body, ",\"gpu_age_ms\":%llu", (unsigned long long)gpu_age);
    buf_add_str(body, "}\n");
    answer_json(desk, conn, fresh ? 200 : 503,
                fresh ? NO_STORE : "Retry-After: 1\r\nCache-Control: no-store\r\n");
}

static void get_readyz(struct desk *desk, struct http_conn *conn,
                       const struct http_request *request)
{
    (void)request;
    buf_clear(&desk->body);
    buf_add_str(&desk->body, "{\"status\":\"ready\"}\n");
    answer_json(desk, conn, 200, NO_STORE);
}

static void get_version(struct desk *desk, struct http_conn *conn,
                        const struct http_request *request)
{
    (void)request;
    buf_clear(&desk->body);
    buf_add_str(&desk->body,
                "{\"name\":\"vramscoped\",\"version\":\"" VRAMSCOPE_VERSION "\"}\n");
    answer_json(desk, conn, 200, NULL);
}

static const struct {
    const char *path;
    void (*get)(struct desk *desk, struct http_conn *conn,
                const struct http_request *request);
    bool always; // else 503 with the reason while there is no snapshot
    bool open;   // needs no token: tells nothing of models, and probes have none
} routes[] = {
    {"/vram/stream", get_stream, false, false},
    {"/vram", get_vram, false, false},
    {"/vram/aggregated", get_aggregated, false, false},
    {"/v1/detail", get_detail, false, false},
    {"/v1/detail/stream", get_detail_stream, false, false},
    {"/v1/advice", get_advice, false, false},
    {"/v1/events", get_events, true, false},
    {"/v1/history", get_history, true, false},
    {"/metrics", get_metrics, true, false},
    {"/healthz", get_healthz, false, true},
    {"/readyz", get_readyz, false, true},
    {"/version", get_version, true, false},
};

/* What there is is told: a person has typed it. */
static void answer_no_route(struct desk *desk, struct http_conn *conn)
{
    char text[OUTAGE_TEXT_SIZE] = "no such route: try /";
    const struct outage error = {"not-found", text, ""};

    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), ", %s",
                       routes[i].path);
    answer_error(desk, conn, 404, &error, NULL);
}

static void answer_method(struct desk *desk, struct http_conn *conn,
                          enum http_method method)
{
    static const char allow[] = "Allow: GET, HEAD, OPTIONS\r\n";
    static const struct http_response options = {.status = 204, .extra = allow};
    static const struct outage error = {"method-not-allowed",
                                        "nothing here can be changed: use GET", ""};

    if (method == METHOD_OPTIONS)
        http_respond(conn, &options);
    else
        answer_error(desk, conn, 405, &error, allow);
}

/* Its place in the table; ARRAY_LEN(routes): there is no such route. */
static size_t find_route(struct span path)
{
    size_t i = 0;

    while (i < ARRAY_LEN(routes) && !span_is(path, routes[i].path))
        i++;
    return i;
}

/* Is the client let in? Else it has its answer. */
static bool pass_gate(struct desk *desk, struct http_conn *conn,
                      const struct http_request *request, struct gate_verdict *verdict)
{
    const struct page_file *file = page_find(request->path);
    size_t route = find_route(request->path);
    struct gate_peer peer = {
        .unix_socket = http_is_unix(conn),
        .tls = http_is_tls(conn),
        .open_route = file || (route < ARRAY_LEN(routes) && routes[route].open),
        .page = file && file->is_document,
    };
    struct outage error;

    gate_check(desk->options.gate, request, &peer, desk->options.now_ns(), verdict);
    if (verdict->allow_origin[0])
        http_allow_origin(conn, verdict->allow_origin);
    if (verdict->status == 0)
        return true;
    if (verdict->limited < HTTP_LIMITED)
        http_count_limited(conn, verdict->limited);
    error = (struct outage){verdict->code, verdict->message, verdict->remedy};
    if (verdict->status == 204)
        http_respond(conn,
                     &(struct http_response){.status = 204, .extra = verdict->extra});
    else
        answer_error(desk, conn, verdict->status, &error, verdict->extra);
    return false;
}

static void answer(struct desk *desk, struct http_conn *conn,
                   const struct http_request *request)
{
    const struct page_file *file = page_find(request->path);
    size_t i = find_route(request->path);
    bool star = request->method == METHOD_OPTIONS && span_is(request->path, "*");

    if (i == ARRAY_LEN(routes) && !file && !star)
        answer_no_route(desk, conn);
    else if (request->method != METHOD_GET && request->method != METHOD_HEAD)
        answer_method(desk, conn, request->method);
    else if (file)
        page_answer(conn, request, file);
    else if (!routes[i].always && board_is_out(desk->options.board))
        answer_outage(desk, conn);
    else
        routes[i].get(desk, conn, request);
}

static void on_request(void *ctx, struct http_conn *conn,
                       const struct http_request *request)
{
    struct gate_verdict verdict; // lends the origin until the answer is made

    if (pass_gate(ctx, conn, request, &verdict))
        answer(ctx, conn, request);
}

static int open_history(struct desk *desk)
{
    const struct history_desk_options options = {
        .loop = desk->options.server.loop,
        .historian = desk->options.historian,
        .interval_ms = desk->options.interval_ms,
        .now_ns = desk->options.now_ns,
    };

    return options.historian ? history_desk_new(&options, &desk->history) : 0;
}

int desk_new(const struct desk_options *options, struct desk **ret)
{
    struct http_server_options server = options->server;
    struct desk *desk = calloc(1, sizeof(*desk));
    int r = 0;

    if (!desk)
        return -ENOMEM;
    *ret = desk; // closed and freed by the caller, whatever was opened
    desk->options = *options;
    buf_init(&desk->body, BODY_MAX);
    for (size_t i = 0; r == 0 && i < CHANNELS; i++)
        r = outlet_new(board_channel(options->board, (enum channel_kind)i), server.loop,
                       options->wake, options->ctx, &desk->outlets[i]);
    if (r == 0)
        r = open_history(desk);
    if (r == 0)
        r = aggregated_new(options->board, &desk->aggregated);
    server.handler = on_request;
    server.ctx = desk;
    return r < 0 ? r : http_server_new(&server, &desk->server);
}

struct http_server *desk_server(struct desk *desk)
{
    return desk->server;
}

void desk_deliver(struct desk *desk)
{
    for (size_t i = 0; i < CHANNELS; i++)
        outlet_deliver(desk->outlets[i]);
}

void desk_drain(struct desk *desk, http_drained_fn *drained, void *ctx)
{
    http_server_drain(desk->server, drained, ctx); // answers who has asked already
    for (size_t i = 0; i < CHANNELS; i++)
        outlet_drain(desk->outlets[i]);
}

void desk_close(struct desk *desk)
{
    if (!desk)
        return;
    for (size_t i = 0; i < CHANNELS; i++)
        outlet_close(desk->outlets[i]);
    history_desk_close(desk->history);
    http_server_close(desk->server);
}

void desk_free(struct desk *desk)
{
    if (!desk)
        return;
    for (size_t i = 0; i < CHANNELS; i++)
        outlet_free(desk->outlets[i]);
    http_server_free(desk->server);
    aggregated_free(desk->aggregated);
    history_desk_free(desk->history);
    buf_done(&desk->body);
    free(desk);
}
