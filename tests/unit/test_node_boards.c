// SPDX-License-Identifier: Apache-2.0
/*
 * What is asked with ?node= is what that node itself would answer. The routes are real; the
 * fleet behind them and the connections are this file's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "encode/detail.h"
#include "serve/desk.h"
#include "serve/node_boards.h"

#include <math.h>
#include <stdio.h>

#define SECOND UINT64_C(1000000000)

enum {
    NODES = NODE_BOARDS_MAX + 2,
    GOT_MAX = 256 * 1024,
    NODE_SECONDS = 777, // by which a node's clock is ahead of ours
};

static uint64_t now_ns;

static uint64_t get_now_ns(void)
{
    return now_ns;
}

/* ---- A fleet ---- */

static struct node {
    char name[FLEET_NAME_SIZE];
    int r; // what fleet_status() returns
    struct fleet_status status;
    struct buf message;
    bool watched;
} nodes[NODES];

static struct compact_writer writer;
static struct snapshot said; // by the node that spoke last

static struct node *node_of(struct span name)
{
    for (size_t i = 0; i < NODES; i++)
        if (span_is(name, nodes[i].name))
            return &nodes[i];
    return NULL;
}

int fleet_status(struct fleet *fleet, struct span name, uint64_t at_ns,
                 struct fleet_status *ret)
{
    struct node *node = node_of(name);

    (void)fleet;
    assert_int_equal(at_ns, now_ns);
    if (!node)
        return -ENOENT;
    *ret = node->status;
    return node->r;
}

int fleet_read(struct fleet *fleet, struct span name, struct compact_reader *reader,
               struct compact_message *ret, struct fleet_status *ret_status)
{
    struct node *node = node_of(name);

    (void)fleet;
    assert_non_null(node);
    *ret_status = node->status;
    memset(ret, 0xa5, sizeof(*ret)); // nobody holds on to what was in it
    return compact_read(reader, buf_span(&node->message), ret);
}

void fleet_watch(struct fleet *fleet, struct span name, bool watched)
{
    struct node *node = node_of(name);

    (void)fleet;
    if (node)
        node->watched = watched;
}

static void fill_said(const char *name, uint64_t seq)
{
    static char why[128];
    struct snapshot_model *model = &said.models[0];

    memset(&said, 0, sizeof(said));
    said.seq = seq;
    said.taken_ns = now_ns + NODE_SECONDS * SECOND;
    said.unix_ms = 1790000000000 + seq;
    said.gpu_taken_ns = said.taken_ns - 50000000;
    (void)snprintf(why, sizeof(why), "as %s says", name);
    said.total_bytes = figure_of(80, MEASURED, NULL);
    said.allocated_bytes = figure_of(40 + seq, MEASURED, why);
    said.kv_used_bytes = 7;
    said.n_models = 1;
    (void)snprintf(model->served_name, sizeof(model->served_name), "model-of-%s", name);
    snapshot_make_id(model->served_name, model->id);
    model->port = 8000;
    model->state = ENGINE_READY;
    model->page_ns = said.taken_ns - 3 * SECOND;
    model->engine_name = why;
    model->allocated_bytes = figure_of(40, MEASURED, why);
    model->kv_used_bytes = figure_of(7, BY_ENGINE, NULL);
    model->kv_pool_bytes = figure_unknown(why);
    model->kv_pool_per_gpu = figure_unknown(why);
    model->kv_retained_bytes = figure_unknown(why);
}

/* A message of run `boot`; `outage`, if it tells of one. */
static void say(const char *name, const char *boot, uint64_t seq, const char *outage)
{
    struct node *node = node_of(span_of(name));
    struct compact_head head = {.version = "9.8.7", .interval_ms = 250};

    (void)snprintf(head.node, sizeof(head.node), "%s", name);
    (void)snprintf(head.boot, sizeof(head.boot), "%s", boot);
    (void)snprintf(head.outage_reason, sizeof(head.outage_reason), "%s", outage);
    fill_said(name, seq);
    head.unix_ms = said.unix_ms;
    assert_int_equal(compact_write(&writer, &node->message, &head,
                                   outage[0] ? NULL : &said, &said.self, COMPACT_MAX),
                     0);
    node->status.message++;
    node->status.state = outage[0] ? NODE_OUTAGE : NODE_LIVE;
    (void)snprintf(node->status.reason, sizeof(node->status.reason), "%s", outage);
}

/* ---- Connections ---- */

struct got {
    int status; // 0: there was no answer yet
    const struct http_stream_ops *ops;
    void *stream;
    size_t len;
    char text[GOT_MAX];
};

static struct got got;
static http_handler_fn *handler;
static void *handler_ctx;

int __wrap_http_server_new(const struct http_server_options *options,
                           struct http_server **ret);
void __wrap_gate_check(struct gate *gate, const struct http_request *request,
                       const struct gate_peer *peer, uint64_t at_ns,
                       struct gate_verdict *ret);
bool __wrap_http_is_unix(const struct http_conn *conn);
bool __wrap_http_is_tls(const struct http_conn *conn);
void __wrap_http_respond(struct http_conn *conn, const struct http_response *response);
int __wrap_http_start_stream(struct http_conn *conn, const char *type, const char *extra,
                             const struct http_stream_ops *ops, void *stream);
bool __wrap_http_stream_chunked(const struct http_conn *conn);
ssize_t __wrap_http_stream_write(struct http_conn *conn, struct span bytes);
void __wrap_http_stream_close(struct http_conn *conn);

int __wrap_http_server_new(const struct http_server_options *options,
                           struct http_server **ret)
{
    handler = options->handler;
    handler_ctx = options->ctx;
    *ret = NULL;
    return 0;
}

void __wrap_gate_check(struct gate *gate, const struct http_request *request,
                       const struct gate_peer *peer, uint64_t at_ns,
                       struct gate_verdict *ret)
{
    (void)gate, (void)request, (void)peer, (void)at_ns;
    ret->status = 0;
    ret->allow_origin[0] = '\0';
}

bool __wrap_http_is_unix(const struct http_conn *conn)
{
    return conn == NULL;
}

bool __wrap_http_is_tls(const struct http_conn *conn)
{
    return conn == NULL;
}

static void append(struct span bytes)
{
    assert_in_range(bytes.len, 0, sizeof(got.text) - 1 - got.len);
    memcpy(got.text + got.len, bytes.at, bytes.len);
    got.len += bytes.len;
    got.text[got.len] = '\0';
}

void __wrap_http_respond(struct http_conn *conn, const struct http_response *response)
{
    (void)conn;
    assert_int_equal(got.status, 0);
    got.status = response->status;
    append(response->body);
    if (response->release)
        response->release(response->lender);
}

int __wrap_http_start_stream(struct http_conn *conn, const char *type, const char *extra,
                             const struct http_stream_ops *ops, void *stream)
{
    (void)conn, (void)type, (void)extra;
    got.status = 200;
    got.ops = ops;
    got.stream = stream;
    return 0;
}

bool __wrap_http_stream_chunked(const struct http_conn *conn)
{
    return conn != NULL;
}

ssize_t __wrap_http_stream_write(struct http_conn *conn, struct span bytes)
{
    (void)conn;
    append(bytes);
    return (ssize_t)bytes.len;
}

void __wrap_http_stream_close(struct http_conn *conn)
{
    (void)conn;
}

/* ---- A gateway ---- */

static uv_loop_t loop;
static struct snapshot_pool *pool;
static struct board *board; // of the gateway itself
static struct journal *journal;
static struct node_boards *boards;
static struct desk *desk;

static void wake(void *ctx)
{
    (void)ctx;
    desk_deliver(desk);
}

static void open_desk(bool is_gateway)
{
    const struct desk_options options = {.server = {.loop = &loop},
                                         .board = board,
                                         .nodes = is_gateway ? boards : NULL,
                                         .journal = journal,
                                         .interval_ms = 500,
                                         .now_ns = get_now_ns,
                                         .wake = wake};

    assert_int_equal(desk_new(&options, &desk), 0);
}

static void close_desk(void)
{
    desk_close(desk);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    desk_free(desk);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static int set_up(void **state)
{
    const struct board_options of_board = {.interval_ms = 500, .now_ns = get_now_ns};
    const struct node_boards_options of_nodes = {.fleet = (struct fleet *)(void *)nodes,
                                                 .now_ns = get_now_ns};

    (void)state;
    now_ns = 1000 * SECOND;
    memset(nodes, 0, sizeof(nodes));
    for (size_t i = 0; i < NODES; i++) {
        (void)snprintf(nodes[i].name, sizeof(nodes[i].name), "gpu%zu", i);
        nodes[i].status.state = NODE_LIVE;
        buf_init(&nodes[i].message, COMPACT_MAX);
    }
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(snapshot_pool_new(&pool), 0);
    assert_int_equal(journal_new(&journal), 0);
    assert_int_equal(board_new(&of_board, &board), 0);
    assert_int_equal(node_boards_new(&of_nodes, &boards), 0);
    open_desk(true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_desk();
    node_boards_free(boards);
    board_free(board);
    journal_free(journal);
    snapshot_pool_free(pool);
    for (size_t i = 0; i < NODES; i++)
        buf_done(&nodes[i].message);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static void ask_again(const char *path, const char *query, const char *last_event_id)
{
    struct http_request request = {.method = METHOD_GET,
                                   .minor = 0,
                                   .path = span_of(path),
                                   .query = span_of(query),
                                   .last_event_id = span_of(last_event_id)};

    got.status = 0;
    got.len = 0;
    got.text[0] = '\0';
    handler(handler_ctx, NULL, &request);
}

static void ask(const char *path, const char *query)
{
    ask_again(path, query, "");
}

/* The reader goes away. */
static void hang_up(void)
{
    got.ops->closed(got.stream);
}

static size_t count(const char *word)
{
    size_t n = 0;

    for (const char *at = strstr(got.text, word); at; at = strstr(at + 1, word))
        n++;
    return n;
}

static void tick(uint64_t seconds)
{
    now_ns += seconds * SECOND;
    node_boards_tick(boards);
}

/* ---- What is asked ---- */

static const struct {
    const char *path;
    const char *query;
    int status;
    const char *code;
} questions[] = {
    {"/v1/detail", "node=gpu1", 200, "\"boot\":\"b1\""},
    {"/v1/detail", "x=1&node=gpu1&nodes=2", 200, "\"boot\":\"b1\""},
    {"/vram", "node=gpu1", 200, "model-of-gpu1"},
    {"/vram/aggregated", "node=gpu1&window=60", 200, "\"sample_count\":1,"},
    {"/vram/stream", "node=gpu1", 200, "data: {"},
    {"/v1/detail/stream", "node=gpu1", 200, "id: b1-5\n"},
    {"/v1/detail", "node=a%40b", 200, "\"boot\":\"b2\""},
    {"/v1/detail", "node=a@b", 200, "\"boot\":\"b2\""},
    {"/v1/detail", "", 503, "starting"}, // the gateway's own
    {"/vram/aggregated", "node=gpu1&window=0", 400, "bad-parameter"},
    {"/v1/detail", "node=gpu", 404, "no-such-node"},
    {"/v1/detail", "node=gpu1%20", 404, "no-such-node"},
    {"/v1/detail/stream", "node=gpu11111111", 404, "no-such-node"},
    {"/v1/detail", "node=gpu2", 409, "ambiguous-node"},
    {"/v1/detail", "node=gpu2", 409, "call it gpu2@x"},
    {"/v1/detail", "node", 400, "bad-parameter"},
    {"/v1/detail", "node=", 400, "bad-parameter"},
    {"/v1/detail", "node=gpu1&node=gpu1", 400, "bad-parameter"},
    {"/v1/detail", "node=%00", 404, "no-such-node"},
    {"/v1/detail",
     "node="
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678",
     404, "no-such-node"},
    {"/v1/detail",
     "node="
     "01234567890123456789012345678901234567890123456789012345678901234567890123456789",
     400, "bad-parameter"},
    {"/v1/events", "node=gpu1", 200, "\"events\":[]"},
    {"/v1/events", "node=", 400, "bad-parameter"},
    {"/v1/advice", "node=gpu1", 404, "not-found"},
    {"/v1/history", "node=gpu1", 404, "not-found"},
    {"/metrics", "node=gpu1", 404, "not-found"},
    {"/version", "node=gpu1", 200, "vramscoped"},
};

static void test_questions(void **state)
{
    (void)state;
    (void)snprintf(nodes[3].name, sizeof(nodes[3].name), "a@b");
    say("gpu1", "b1", 5, "");
    say("a@b", "b2", 6, "");
    nodes[2].r = -ENOTUNIQ;
    (void)snprintf(nodes[2].status.reason, FLEET_REASON_SIZE, "call it gpu2@x");
    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        ask(questions[i].path, questions[i].query);
        if (got.status != questions[i].status || !strstr(got.text, questions[i].code))
            fail_msg("%s?%s: %d %s", questions[i].path, questions[i].query, got.status,
                     got.text);
        if (got.ops)
            hang_up();
        got.ops = NULL;
    }
    close_desk();
    open_desk(false);
    for (size_t i = 0; i < 14; i++) {
        bool asks = strstr(questions[i].query, "node=") != NULL;

        ask(questions[i].path, questions[i].query);
        assert_int_equal(got.status, asks ? 404 : 503);
        assert_int_equal(count("no-gateway"), asks);
    }
}

/* Its own document: number, run and version are its own, and ages are what they were. */
static void test_same_document(void **state)
{
    const struct detail_origin origin = {"b1", "9.8.7", 250, "gpu1"};
    struct buf want;

    (void)state;
    say("gpu2", "b2", 3, "");
    say("gpu1", "b1", 5, "");
    buf_init(&want, DETAIL_MAX);
    detail_write(&want, &said, &origin);
    buf_add(&want, "\n\0", 2);
    ask("/vram", "node=gpu1"); // nothing is made of the full document yet
    ask("/vram", "node=gpu2");
    ask("/v1/detail", "node=gpu1");
    assert_string_equal(got.text, want.data);
    ask("/vram/aggregated", "node=gpu2");
    assert_int_equal(count("model-of-gpu2"), 1);
    assert_int_equal(count("model-of-gpu1"), 0);
    buf_done(&want);
}

/* ---- As time goes by ---- */

static void test_stream(void **state)
{
    (void)state;
    say("gpu1", "b1", 5, "");
    ask("/v1/detail/stream", "node=gpu1");
    assert_true(nodes[1].watched);
    say("gpu1", "b1", 6, "");
    node_boards_deliver(boards);
    node_boards_deliver(boards);
    tick(1);
    assert_int_equal(count("id: b1-5\n"), 1);
    assert_int_equal(count("id: b1-6\n"), 1);
    say("gpu1", "b1", 6, ""); // once more the same
    node_boards_deliver(boards);
    assert_int_equal(count("id: "), 2);
    say("gpu1", "b2", 1, ""); // another run
    tick(1);
    assert_int_equal(count("id: b2-1\n"), 1);
    hang_up();
    ask_again("/v1/detail/stream", "node=gpu1", "b1-5");
    assert_int_equal(count("id: "), 1);
    assert_int_equal(count("id: b2-1\n"), 1);
    hang_up();
    say("gpu1", "b2", 2, "");
    say("gpu1", "b2", 3, "");
    node_boards_deliver(boards);
    ask_again("/v1/detail/stream", "node=gpu1", "b2-1");
    assert_int_equal(count("id: "), 1);
    assert_int_equal(count("id: b2-3\n"), 1);
    hang_up();
}

/* At once on the edge, then at each tick. */
static void assert_out(const char *code, const char *comment)
{
    static struct got stream;

    node_boards_deliver(boards);
    node_boards_deliver(boards);
    assert_int_equal(count(comment), 1);
    stream = got;
    ask("/v1/detail", "node=gpu1");
    assert_int_equal(got.status, 503);
    assert_int_equal(count(code), 1);
    got = stream;
    tick(1);
    tick(1);
    assert_int_equal(count(comment), 3);
}

static void test_outages(void **state)
{
    (void)state;
    say("gpu1", "b1", 5, "");
    ask("/v1/detail/stream", "node=gpu1");
    nodes[1].status.state = NODE_STALE;
    (void)snprintf(nodes[1].status.reason, FLEET_REASON_SIZE, "silent for 3 s");
    assert_out("node-stale", ": no data (silent for 3 s)\n");
    nodes[1].status.state = NODE_LOST;
    (void)snprintf(nodes[1].status.reason, FLEET_REASON_SIZE, "gone");
    assert_out("node-lost", ": no data (gone)\n");
    say("gpu1", "b1", 6, "no driver");
    assert_out("node-outage", ": no data (no driver)\n");
    assert_int_equal(count("id: "), 1);
    say("gpu1", "b1", 7, "");
    node_boards_deliver(boards);
    assert_int_equal(count("id: b1-7\n"), 1);
    nodes[1].name[0] = 'x'; // forgotten
    tick(1);
    assert_int_equal(count(": no data (there is no such node any more)\n"), 1);
    nodes[1].name[0] = 'g';
    nodes[1].watched = false;
    say("gpu1", "b1", 8, "");
    tick(1);
    assert_true(nodes[1].watched);
    assert_int_equal(count("id: b1-8\n"), 1);
    hang_up();
}

/*
 * There are as many boards as may have readers. Without one it goes after a minute, or
 * after a second to a node that needs it more.
 */
static void test_room(void **state)
{
    char query[32];

    (void)state;
    for (size_t i = 0; i < NODE_BOARDS_MAX + 1; i++) {
        say(nodes[i].name, "b", 1, "");
        (void)snprintf(query, sizeof(query), "node=gpu%zu", i);
        ask("/v1/detail", query);
        assert_int_equal(got.status, i < NODE_BOARDS_MAX ? 200 : 503);
    }
    assert_int_equal(count("busy"), 1);
    ask("/v1/detail/stream", "node=gpu1");
    tick(59);
    assert_true(nodes[0].watched && nodes[1].watched);
    tick(2);
    assert_false(nodes[0].watched);
    assert_true(nodes[1].watched); // it is being read
    ask("/v1/detail", query);
    assert_int_equal(got.status, 200);
    assert_int_equal(count("\"model\":\"model-of-gpu256\""), 1);
    assert_true(nodes[NODE_BOARDS_MAX].watched);
    for (size_t i = 0; i < NODE_BOARDS_MAX; i++) {
        (void)snprintf(query, sizeof(query), "node=gpu%zu", i);
        ask("/v1/detail", query);
        assert_int_equal(got.status, i < NODE_BOARDS_MAX - 1 ? 200 : 503);
    }
    tick(1);
    ask("/v1/detail", query);
    assert_int_equal(got.status, 503);
    tick(1); // the one that was asked for first is of no use any more
    ask("/v1/detail", query);
    assert_int_equal(got.status, 200);
    assert_false(nodes[NODE_BOARDS_MAX].watched);
    assert_true(nodes[0].watched && nodes[1].watched && nodes[2].watched);
    tick(50);
    hang_up();
    tick(59);
    assert_true(nodes[1].watched);
    tick(2);
    assert_false(nodes[1].watched);
}

/* A minute is remembered, of a host with many models, and none of another run. */
static void test_past(void **state)
{
    (void)state;
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        say("gpu1", "b1", seq, "");
        ask("/vram", "node=gpu1");
        now_ns += SECOND / 4;
    }
    ask("/vram/aggregated", "node=gpu1&window=60");
    assert_int_equal(count("\"sample_count\":239,"), 1);
    say("gpu1", "b2", 1, "");
    ask("/vram/aggregated", "node=gpu1&window=60");
    assert_int_equal(count("\"sample_count\":1,"), 1);
}

static void test_events(void **state)
{
    struct event event = {.kind = EVENT_DAEMON_STARTED, .text = "t"};

    (void)state;
    for (int i = 0; i < 6; i++) {
        (void)snprintf(event.node, sizeof(event.node), "gpu%d", i % 2);
        journal_add(journal, &event);
    }
    ask("/v1/events", "node=gpu1&limit=2");
    assert_int_equal(count("\"id\":"), 2);
    assert_int_equal(count("\"id\":4,") + count("\"id\":6,"), 2);
    ask("/v1/events", "node=gpu0&after=2");
    assert_int_equal(count("\"id\":"), 2);
    assert_int_equal(count("\"id\":3,") + count("\"id\":5,"), 2);
    ask("/v1/events", "");
    assert_int_equal(count("\"id\":"), 6);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_questions), TEST(test_same_document), TEST(test_stream),
        TEST(test_outages),   TEST(test_room),          TEST(test_past),
        TEST(test_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
