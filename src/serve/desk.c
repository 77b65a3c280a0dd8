// SPDX-License-Identifier: Apache-2.0
#include "serve/desk.h"

#include "base/clock.h"
#include "serve/aggregated.h"
#include "serve/answers.h"
#include "serve/desk_nodes.h"
#include "serve/events.h"
#include "serve/history.h"
#include "serve/metrics_accept.h"
#include "serve/page.h"
#include "version.h"

#include <stdio.h>

enum {
    BODY_MAX = SEED_EVENT_MAX + 8 * 1024,
    FRESH_INTERVALS = 3,
};

struct desk {
    struct desk_options options;
    struct http_server *server;
    struct board_view *view;
    struct desk_nodes *nodes;     // NULL: this is no gateway
    struct buf body;              // of the answer being made
    struct history_desk *history; // NULL: nobody keeps one here
};

/* Who asks, and of what. */
struct question {
    struct http_conn *conn;
    const struct http_request *request;
    const char *node;        // the node that it is about; "": none in particular
    struct board_view *view; // of that node's board where there is one, else of our own
};

static void answer_outage(struct board *board, struct http_conn *conn)
{
    struct board_state state = board_state(board);
    struct outage outage = {state.code, state.reason, state.remedy};

    answer_error(conn, 503, &outage, "Retry-After: 1\r\n" ANSWER_NO_STORE);
}

static void answer_why_not(const struct question *question, int r)
{
    if (r == -ENODATA)
        answer_outage(board_view_board(question->view), question->conn);
    else if (r < 0)
        answer_failure(question->conn);
}

static void answer_stream(const struct question *question, enum channel_kind kind)
{
    answer_why_not(question, board_view_answer_stream(question->view, kind,
                                                      question->conn, question->request));
}

static void answer_once(const struct question *question, enum channel_kind kind)
{
    answer_why_not(question,
                   board_view_answer_once(question->view, kind, question->conn));
}

static void get_stream(struct desk *desk, const struct question *question)
{
    (void)desk;
    answer_stream(question, CHANNEL_SEED);
}

static void get_vram(struct desk *desk, const struct question *question)
{
    (void)desk;
    answer_once(question, CHANNEL_SEED);
}

static void get_detail_stream(struct desk *desk, const struct question *question)
{
    (void)desk;
    answer_stream(question, CHANNEL_DETAIL);
}

static void get_detail(struct desk *desk, const struct question *question)
{
    (void)desk;
    answer_once(question, CHANNEL_DETAIL);
}

static void get_aggregated(struct desk *desk, const struct question *question)
{
    static const struct outage bad_window = {
        "bad-parameter", "\"window\" is a whole number of seconds from 1 to 60, once",
        ""};
    unsigned seconds;
    int r;

    if (aggregated_read_window(question->request->query, &seconds) < 0) {
        answer_error(question->conn, 400, &bad_window, NULL);
        return;
    }
    buf_clear(&desk->body);
    r = board_view_write_aggregated(question->view, seconds, desk->options.now_ns(),
                                    &desk->body);
    answer_document(question->conn, r, &desk->body);
}

static void get_history(struct desk *desk, const struct question *question)
{
    static const struct outage none = {
        "not-found", "a recording that is replayed has no history: ask the daemon", ""};
    static const struct outage busy = {
        "busy", "as many answers from history are under way as may be", ""};
    static const struct outage of_one = {
        "busy", "as many answers from history are under way as one address may have", ""};
    struct complaint why = {""};
    const struct outage bad = {"bad-parameter", why.text, ""};
    int r = desk->history ? history_desk_answer(desk->history, question->conn,
                                                question->request, &why)
                          : 0;

    if (!desk->history)
        answer_error(question->conn, 404, &none, NULL);
    else if (r == -EINVAL)
        answer_error(question->conn, 400, &bad, NULL);
    else if (r < 0)
        answer_error(question->conn, 503, r == -EUSERS ? &of_one : &busy,
                     "Retry-After: 5\r\nCache-Control: no-store\r\n");
}

/* In an outage, too: that there is one is what is told then. */
static void get_metrics(struct desk *desk, const struct question *question)
{
    static const struct outage none = {"not-found", "no metrics are made of a recording",
                                       ""};
    struct metrics_page *page = board_metrics_page(desk->options.board);
    enum metrics_format format = metrics_accept(question->request->accept);
    struct http_response response = {.status = 200,
                                     .type = metrics_content_type(format),
                                     .extra =
                                         "Cache-Control: no-store\r\nVary: Accept\r\n"};
    struct frame *frame;

    if (!page) {
        answer_error(question->conn, 404, &none, NULL);
    } else if (metrics_page_get(page, format, &frame) < 0) {
        answer_failure(question->conn);
    } else {
        response.body = frame_event(frame);
        answer_frame(question->conn, &response, frame);
    }
}

static void get_events(struct desk *desk, const struct question *question)
{
    static const struct outage none = {
        "not-found", "no events are noted here: this is a recording being played", ""};
    struct outage bad = {"bad-parameter", "", ""};
    OWNED(buf_done) struct buf body;
    struct events_query query;

    buf_init(&body, EVENTS_BODY_MAX);
    if (!desk->options.journal)
        answer_error(question->conn, 404, &none, NULL);
    else if (events_read_query(question->request->query, &query, &bad.reason) < 0)
        answer_error(question->conn, 400, &bad, NULL);
    else
        answer_document(question->conn,
                        events_write(desk->options.journal, &query, question->node,
                                     board_boot(desk->options.board), &body),
                        &body);
}

static void get_advice(struct desk *desk, const struct question *question)
{
    static const struct outage none = {
        "not-found", "nothing is observed here: this is a recording being played", ""};
    static const struct outage gateway = {
        "not-found", "nothing is observed here: the nodes observe, ask them", ""};
    OWNED(buf_done) struct buf body;

    buf_init(&body, ADVICE_BODY_MAX);
    if (!desk->options.observations.read)
        answer_error(question->conn, 404, desk->nodes ? &gateway : &none, NULL);
    else if (board_is_out(desk->options.board))
        answer_outage(desk->options.board, question->conn);
    else
        answer_document(
            question->conn,
            advice_write(desk->options.board, &desk->options.observations, &body), &body);
}

static uint64_t age_ms(uint64_t then_ns, uint64_t now_ns)
{
    return (now_ns - MIN(then_ns, now_ns)) / NS_PER_MS;
}

/* Healthy is who has fresh figures, not who has a listening socket. */
static void get_healthz(struct desk *desk, const struct question *question)
{
    struct board_state state = board_state(desk->options.board);
    uint64_t now_ns = desk->options.now_ns();
    struct buf *body = &desk->body;
    uint64_t age, gpu_age = 0;
    bool fresh;

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
    answer_json(question->conn, fresh ? 200 : 503, &desk->body,
                fresh ? ANSWER_NO_STORE : "Retry-After: 1\r\n" ANSWER_NO_STORE);
}

static void get_readyz(struct desk *desk, const struct question *question)
{
    (void)question;
    buf_clear(&desk->body);
    buf_add_str(&desk->body, "{\"status\":\"ready\"}\n");
    answer_json(question->conn, 200, &desk->body, ANSWER_NO_STORE);
}

static void get_version(struct desk *desk, const struct question *question)
{
    (void)question;
    buf_clear(&desk->body);
    buf_add_str(&desk->body,
                "{\"name\":\"vramscoped\",\"version\":\"" VRAMSCOPE_VERSION "\"}\n");
    answer_json(question->conn, 200, &desk->body, NULL);
}

/* What `node` means to a route. */
enum of_node {
    OF_NONE,  // nothing
    OF_BOARD, // it is answered from that node's board
    OF_EVENT, // it asks for events of that node; also of one that is no more
    OF_OTHER, // it is asked of the wrong one
};

static const struct {
    const char *path;
    void (*get)(struct desk *desk, const struct question *question);
    bool always; // it sees to itself; else 503 with the reason while there are no figures
    bool open;   // needs no token: tells nothing of models, and probes have none
    enum of_node of_node;
} routes[] = {
    {"/vram/stream", get_stream, false, false, OF_BOARD},
    {"/vram", get_vram, false, false, OF_BOARD},
    {"/vram/aggregated", get_aggregated, false, false, OF_BOARD},
    {"/v1/detail", get_detail, true, false, OF_BOARD},
    {"/v1/detail/stream", get_detail_stream, true, false, OF_BOARD},
    {"/v1/advice", get_advice, true, false, OF_OTHER},
    {"/v1/events", get_events, true, false, OF_EVENT},
    {"/v1/history", get_history, true, false, OF_OTHER},
    {"/metrics", get_metrics, true, false, OF_OTHER},
    {"/healthz", get_healthz, false, true, OF_NONE},
    {"/readyz", get_readyz, false, true, OF_NONE},
    {"/version", get_version, true, false, OF_NONE},
};

/* What there is is told: a person has typed it. */
static void answer_no_route(struct http_conn *conn)
{
    char text[OUTAGE_TEXT_SIZE] = "no such route: try /";
    const struct outage error = {"not-found", text, ""};

    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), ", %s",
                       routes[i].path);
    answer_error(conn, 404, &error, NULL);
}

static void answer_method(struct http_conn *conn, enum http_method method)
{
    static const char allow[] = "Allow: GET, HEAD, OPTIONS\r\n";
    static const struct http_response options = {.status = 204, .extra = allow};
    static const struct outage error = {"method-not-allowed",
                                        "nothing here can be changed: use GET", ""};

    if (method == METHOD_OPTIONS)
        http_respond(conn, &options);
    else
        answer_error(conn, 405, &error, allow);
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
        answer_error(conn, verdict->status, &error, verdict->extra);
    return false;
}

/* The same document is the node's own to give. */
static void answer_ask_node(struct http_conn *conn)
{
    static const struct outage error = {
        "not-found", "a gateway has none of a single node: the node's own is there", ""};

    answer_error(conn, 404, &error, NULL);
}

/* Whose board it is answered from. False: the client has its answer. */
static bool find_node(struct desk *desk, enum of_node of_node, char *name,
                      struct question *question)
{
    int r =
        of_node == OF_NONE ? 0 : desk_nodes_read_query(question->request->query, name);

    if (r == 0)
        return true;
    if (r < 0)
        desk_nodes_answer_bad_name(question->conn);
    else if (!desk->nodes)
        desk_nodes_answer_no_gateway(question->conn);
    else if (of_node == OF_OTHER)
        answer_ask_node(question->conn);
    else if (of_node == OF_BOARD)
        question->view = desk_nodes_find(desk->nodes, name, question->conn);
    return r > 0 && desk->nodes && of_node != OF_OTHER && question->view;
}

static void answer_route(struct desk *desk, struct http_conn *conn,
                         const struct http_request *request, size_t route)
{
    char node[FLEET_NAME_SIZE] = "";
    struct question question = {conn, request, node, desk->view};

    if (!find_node(desk, routes[route].of_node, node, &question))
        return;
    if (!routes[route].always && board_is_out(board_view_board(question.view)))
        answer_outage(board_view_board(question.view), conn);
    else
        routes[route].get(desk, &question);
}

static void answer(struct desk *desk, struct http_conn *conn,
                   const struct http_request *request)
{
    const struct page_file *file = page_find(request->path);
    size_t route = find_route(request->path);
    bool star = request->method == METHOD_OPTIONS && span_is(request->path, "*");

    if (route == ARRAY_LEN(routes) && !file && !star)
        answer_no_route(conn);
    else if (request->method != METHOD_GET && request->method != METHOD_HEAD)
        answer_method(conn, request->method);
    else if (file)
        page_answer(conn, request, file);
    else
        answer_route(desk, conn, request, route);
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

static int open_views(struct desk *desk)
{
    const struct desk_options *options = &desk->options;
    const struct board_view_options view = {.board = options->board,
                                            .loop = options->server.loop,
                                            .wake = options->wake,
                                            .ctx = options->ctx};
    int r = board_view_new(&view, &desk->view);

    for (size_t i = 0; r == 0 && i < CHANNELS; i++)
        r = board_view_open(desk->view, (enum channel_kind)i);
    if (r == 0 && options->nodes)
        r = desk_nodes_new(options->nodes, &view, &desk->nodes);
    return r;
}

int desk_new(const struct desk_options *options, struct desk **ret)
{
    struct http_server_options server = options->server;
    struct desk *desk = calloc(1, sizeof(*desk));
    int r;

    if (!desk)
        return -ENOMEM;
    *ret = desk; // closed and freed by the caller, whatever was opened
    desk->options = *options;
    buf_init(&desk->body, BODY_MAX);
    r = open_views(desk);
    if (r == 0)
        r = open_history(desk);
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
    board_view_deliver(desk->view);
    desk_nodes_deliver(desk->nodes);
}

void desk_drain(struct desk *desk, http_drained_fn *drained, void *ctx)
{
    http_server_drain(desk->server, drained, ctx); // answers who has asked already
    board_view_drain(desk->view);
    desk_nodes_drain(desk->nodes);
}

void desk_close(struct desk *desk)
{
    if (!desk)
        return;
    board_view_close(desk->view);
    desk_nodes_close(desk->nodes);
    history_desk_close(desk->history);
    http_server_close(desk->server);
}

void desk_free(struct desk *desk)
{
    if (!desk)
        return;
    board_view_free(desk->view);
    desk_nodes_free(desk->nodes);
    http_server_free(desk->server);
    history_desk_free(desk->history);
    buf_done(&desk->body);
    free(desk);
}
