// SPDX-License-Identifier: Apache-2.0
#include "net/http_server.h"

#include "net/http_conn.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <cmocka.h>

enum {
    MAX_CLIENTS = 8,
    MAX_PER_IP = 6,
    PATIENCE_MS = 3000,
    GOT_MAX = 6 * 1024 * 1024,
    BIG = 4 * 1024 * 1024, // more than any socket takes
    MEDIUM = 12 * 1024,    // what a socket takes at once, and a small reader does not
    SMALL_RECEIVER = 2048, // bytes; the kernel makes it a little more
};

/* A stream of the server's, as its owner sees it. */
struct stream {
    struct http_conn *conn;
    int started; // what http_start_stream() returned
    unsigned writable;
    unsigned closed;
    bool close_when_writable;
};

/* Of a body: how often it was given back. */
struct lender {
    unsigned released;
};

/* A server and what its handler has seen. */
struct world {
    uv_loop_t loop;
    struct http_server *server;
    struct stream stream;
    uint16_t port;
    bool by_unix; // the last request
    char *big;
    struct lender *lender; // of the next body that is lent
    bool took_back;        // what the last request did
};

struct client {
    int fd;
    size_t len;
    bool ended;
    int error; // what ended it; 0: the server's FIN
    char got[GOT_MAX];
};

static struct client clients[MAX_CLIENTS + 4];

static void on_writable(void *stream)
{
    struct stream *s = stream;

    s->writable++;
    if (s->close_when_writable)
        http_stream_close(s->conn);
}

static void on_closed(void *stream)
{
    ((struct stream *)stream)->closed++;
}

static const struct http_stream_ops ops = {.writable = on_writable, .closed = on_closed};

static void answer_stream(struct world *world, struct http_conn *conn,
                          const struct http_request *request)
{
    static const struct http_response head = {
        .status = 200, .type = "text/event-stream", .open_ended = true};

    world->stream.conn = conn;
    if (request->method == METHOD_HEAD)
        http_respond(conn, &head);
    else
        world->stream.started = http_start_stream(conn, "text/event-stream",
                                                  "X-Extra: 1\r\n", &ops, &world->stream);
}

static void release(void *lender)
{
    ((struct lender *)lender)->released++;
}

static void on_request(void *ctx, struct http_conn *conn,
                       const struct http_request *request)
{
    struct world *world = ctx;
    struct http_response response = {.status = 200, .type = "text/plain"};

    if (span_is(request->path, "/shared"))
        http_allow_origin(conn, "https://dash.example");
    world->by_unix = http_is_unix(conn);
    if (span_is(request->path, "/hello") || span_is(request->path, "/shared"))
        response.body = span_of("hello\n");
    else if (span_is(request->path, "/big"))
        response.body = (struct span){world->big, BIG};
    else if (span_is(request->path, "/medium"))
        response.body = (struct span){world->big, MEDIUM};
    else if (span_is(request->path, "/lent"))
        response.body = (struct span){world->big, BIG};
    else if (span_is(request->path, "/lent-medium"))
        response.body = (struct span){world->big, MEDIUM};
    else if (span_is(request->path, "/nothing"))
        response = (struct http_response){.status = 204};
    else
        response.status = 404;

    if (request->path.len >= 5 && memcmp(request->path.at, "/lent", 5) == 0) {
        response.release = release;
        response.lender = world->lender;
    }
    if (span_is(request->path, "/take-back"))
        world->took_back = http_take_back(conn);
    if (span_is(request->path, "/stream"))
        answer_stream(world, conn, request);
    else if (!span_is(request->path, "/silent"))
        http_respond(conn, &response);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct http_server_options options = {.loop = &world->loop,
                                          .handler = on_request,
                                          .ctx = world,
                                          .limits.clients = MAX_CLIENTS,
                                          .limits.clients_per_ip = MAX_PER_IP};
    struct complaint complaint;
    char url[64] = "";

    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(http_server_new(&options, &world->server), 0);
    assert_int_equal(
        http_server_listen(world->server, "127.0.0.1:0", url, sizeof(url), &complaint),
        0);
    assert_int_equal(strncmp(url, "http://127.0.0.1:", 17), 0);
    world->port = (uint16_t)strtoul(url + 17, NULL, 10);
    world->big = malloc(BIG);
    assert_non_null(world->big);
    for (size_t i = 0; i < BIG; i++)
        world->big[i] = (char)('a' + i % 23);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        clients[i].fd = -1;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        close_fd(&clients[i].fd);
    http_server_close(world->server);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    http_server_free(world->server);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    free(world->big);
    free(world);
    return 0;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void pause_shortly(void)
{
    static const struct timespec moment = {.tv_nsec = 100000};

    (void)nanosleep(&moment, NULL);
}

/* Let the server do what there is to do, and read what it sent. */
static void turn(struct world *world, struct client *c)
{
    ssize_t n;

    (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    n = c->ended ? -1 : recv(c->fd, c->got + c->len, GOT_MAX - 1 - c->len, MSG_DONTWAIT);
    if (n > 0) {
        c->len += (size_t)n;
        c->got[c->len] = '\0';
    } else if (!c->ended && (n == 0 || errno != EAGAIN)) {
        c->ended = true;
        c->error = n < 0 ? errno : 0;
    } else {
        pause_shortly();
    }
}

/* Only the server has its turns; the client does not read. */
static void let_pass(struct world *world, uint64_t ms)
{
    uint64_t end = now_ms() + ms;

    while (now_ms() < end) {
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        pause_shortly();
    }
}

static int new_socket(int receive_bytes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (receive_bytes)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes,
                         sizeof(receive_bytes));
    return fd;
}

static struct client *connect_from(struct world *world, const char *address, int fd)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
    struct client *c = clients;

    while (c->fd >= 0)
        c++;
    assert_true(c < clients + ARRAY_LEN(clients));
    c->fd = fd;
    c->len = 0;
    c->ended = false;
    c->error = 0;
    c->got[0] = '\0';
    assert_int_equal(inet_pton(AF_INET, address, &from.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(world->port);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return c;
}

static struct client *connect_to(struct world *world)
{
    return connect_from(world, "127.0.0.1", new_socket(0));
}

static void hang_up(struct client *c)
{
    close_fd(&c->fd);
    c->fd = -1;
}

/* The server may have closed already: what it does not take is not sent. */
static void say(struct client *c, const char *text)
{
    (void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL);
}

static void await_bytes(struct world *world, struct client *c, size_t len)
{
    uint64_t end = now_ms() + PATIENCE_MS;

    while (c->len < len && !c->ended && now_ms() < end)
        turn(world, c);
    if (c->len < len)
        fail_msg("%zu bytes came instead of %zu%s", c->len, len,
                 c->ended ? ", ended" : "");
}

static void await_end(struct world *world, struct client *c)
{
    uint64_t end = now_ms() + PATIENCE_MS;

    while (!c->ended && now_ms() < end)
        turn(world, c);
    if (!c->ended)
        fail_msg("the connection is still open after: %s", c->got);
}

static void await_clients(struct world *world, size_t n)
{
    uint64_t end = now_ms() + PATIENCE_MS;

    while (http_server_stats(world->server).clients != n && now_ms() < end)
        let_pass(world, 1);
    assert_int_equal(http_server_stats(world->server).clients, n);
}

/* The statuses of all responses that came, each with a blank behind it. */
static void read_statuses(const struct client *c, char *statuses, size_t room)
{
    size_t n = 0;

    statuses[0] = '\0';
    for (const char *at = strstr(c->got, "HTTP/1.1 "); at && n + 5 < room;
         at = strstr(at + 9, "HTTP/1.1 "))
        n += (size_t)snprintf(statuses + n, room - n, "%.4s", at + 9);
}

#define HOST "Host: h\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

// clang-format off
static const struct {
    const char *row;
    const char *sent;
    const char *statuses;
    bool ends;
} talks[] = {
    {"one request", GET("/hello"), "200 ", false},
    {"nothing there", GET("/x"), "404 ", false},
    {"no content", GET("/nothing"), "204 ", false},
    {"three at once", GET("/hello") GET("/x") GET("/hello"), "200 404 200 ", false},
    {"heads at once", "HEAD /hello HTTP/1.1\r\n" HOST "\r\nHEAD /stream HTTP/1.1\r\n" HOST
     "\r\n" GET("/hello"), "200 200 200 ", false},
    {"one and a half", GET("/hello") "GET /hello HT", "200 ", false},
    {"empty lines before", "\r\n\r\n" GET("/hello") "\r\n" GET("/hello"), "200 200 ", false},
    {"half an empty line after", GET("/hello") "\r", "200 ", false},
    {"another method", "POST /hello HTTP/1.1\r\n" HOST "\r\n", "200 ", false},
    {"close", "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n" GET("/hello"),
     "200 ", true},
    {"1.0", "GET /hello HTTP/1.0\r\n\r\n" GET("/hello"), "200 ", true},
    {"1.0 to be kept", "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200 ", false},
    {"no answer by the handler", GET("/silent") GET("/hello"), "500 ", true},
    {"bad request", "GET /hello HTTP/1.1\r\n\r\n" GET("/hello"), "400 ", true},
    {"bad after good", GET("/hello") "x\r\n\r\n" GET("/hello"), "200 400 ", true},
    {"no method of ours", "BREW /hello HTTP/1.1\r\n" HOST "\r\n", "501 ", true},
    {"another version", "GET /hello HTTP/2.0\r\n" HOST "\r\n", "505 ", true},
    {"version 0.9", "GET /hello\r\n\r\n", "400 ", true},
    {"body", "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 38\r\n\r\n" GET("/hello"),
     "413 ", true},
    {"chunked body", "POST /hello HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n"
     "\r\n" GET("/hello"), "400 ", true},
    {"TLS", "\x16\x03\x01\x02\x01\x01\x02\x03\n", "400 ", true},
};
// clang-format on

static bool says(struct world *world, size_t i, struct client *c)
{
    char statuses[64];
    uint64_t end = now_ms() + PATIENCE_MS;

    do {
        turn(world, c);
        read_statuses(c, statuses, sizeof(statuses));
    } while (now_ms() < end &&
             (strcmp(statuses, talks[i].statuses) != 0 || c->ended != talks[i].ends));
    let_pass(world, 2);
    turn(world, c);
    read_statuses(c, statuses, sizeof(statuses));
    return strcmp(statuses, talks[i].statuses) == 0 && c->ended == talks[i].ends &&
           c->error == 0;
}

/* Who may read one answer is no matter of the next on the same connection. */
static void test_allowed_origin(void **state)
{
    static const char shared[] =
        "\r\nAccess-Control-Allow-Origin: https://dash.example\r\n"
        "Vary: Origin\r\n";
    static const char own[] = "\r\nCross-Origin-Resource-Policy: same-origin\r\n";
    struct world *world = *state;
    struct client *c = connect_to(world);
    const char *second;

    say(c, GET("/shared") GET("/hello") "x\r\n\r\n");
    await_end(world, c);
    assert_non_null(strstr(c->got, shared));
    second = strstr(c->got + 9, "HTTP/1.1 200");
    assert_non_null(second);
    assert_true(strstr(c->got, own) > second);
    assert_null(strstr(second, "Access-Control"));
    assert_null(strstr(second, "Vary"));
    assert_non_null(strstr(strstr(second, "HTTP/1.1 400"), own));
    assert_false(world->by_unix);
}

static void test_talks(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(talks); i++) {
        struct client *c = connect_to(world);

        say(c, talks[i].sent);
        if (!says(world, i, c))
            fail_msg("[%s] ended %d (%s): %s", talks[i].row, c->ended, strerror(c->error),
                     c->got);
        hang_up(c);
    }
    await_clients(world, 0);
}

static void test_talks_byte_by_byte(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(talks); i++) {
        struct client *c = connect_to(world);
        int on = 1;

        (void)setsockopt(c->fd, IPPROTO_TCP, 1, &on, sizeof(on)); // TCP_NODELAY
        for (const char *byte = talks[i].sent; *byte && !c->ended; byte++) {
            (void)!send(c->fd, byte, 1, MSG_NOSIGNAL);
            (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        }
        if (!says(world, i, c))
            fail_msg("[%s] ended %d (%s): %s", talks[i].row, c->ended, strerror(c->error),
                     c->got);
        hang_up(c);
    }
    await_clients(world, 0);
}

/* Requests of any size: `fill` bytes of filling in the line or in a field. */
static void test_limits(void **state)
{
    static const struct {
        const char *row;
        const char *before;
        size_t fill;
        const char *after;
        const char *statuses;
    } rows[] = {
        {"longest line", "GET /", HTTP_LINE_MAX - 16, " HTTP/1.1\r\n" HOST "\r\n",
         "404 "},
        {"line too long", "GET /", HTTP_LINE_MAX - 15, " HTTP/1.1\r\n" HOST "\r\n",
         "414 "},
        {"line without end", "GET /", HTTP_LINE_MAX, "", "414 "},
        {"largest head", "GET / HTTP/1.1\r\n" HOST "X: ", HTTP_HEAD_MAX - 32, "\r\n\r\n",
         "404 "},
        {"head too large", "GET / HTTP/1.1\r\n" HOST "X: ", HTTP_HEAD_MAX - 31,
         "\r\n\r\n", "431 "},
        {"head without end", "GET / HTTP/1.1\r\n" HOST "X: ", HTTP_HEAD_MAX, "", "431 "},
    };
    struct world *world = *state;
    static char text[2 * HTTP_HEAD_MAX];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client *c = connect_to(world);
        size_t n = strlen(rows[i].before);
        char statuses[16];

        memcpy(text, rows[i].before, n);
        memset(text + n, 'x', rows[i].fill);
        memcpy(text + n + rows[i].fill, rows[i].after, strlen(rows[i].after) + 1);
        say(c, text);
        await_bytes(world, c, 1);
        read_statuses(c, statuses, sizeof(statuses));
        if (strcmp(statuses, rows[i].statuses) != 0)
            fail_msg("[%s] %s", rows[i].row, c->got);
        hang_up(c);
    }
}

static void test_response_fields(void **state)
{
    struct world *world = *state;
    struct client *get = connect_to(world), *head = connect_to(world), *old;

    say(get, GET("/hello"));
    await_bytes(world, get, 1);
    assert_non_null(strstr(get->got, "\r\nContent-Length: 6\r\n"));
    assert_non_null(strstr(get->got, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(get->got, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(get->got, " GMT\r\n"));
    assert_null(strstr(get->got, "Connection:"));
    assert_non_null(strstr(get->got, "\r\n\r\nhello\n"));

    say(head, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n");
    await_bytes(world, head, 1);
    assert_non_null(strstr(head->got, "\r\nContent-Length: 6\r\n"));
    assert_string_equal(strstr(head->got, "\r\n\r\n"), "\r\n\r\n");

    head->len = 0;
    say(head, "HEAD /stream HTTP/1.1\r\n" HOST "\r\n");
    await_bytes(world, head, 1);
    assert_null(strstr(head->got, "Content-Length"));
    assert_string_equal(strstr(head->got, "\r\n\r\n"), "\r\n\r\n");

    get->len = 0;
    say(get, GET("/nothing"));
    await_bytes(world, get, 1);
    assert_null(strstr(get->got, "Content-Length"));

    old = connect_to(world);
    say(old, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    await_bytes(world, old, 1);
    assert_non_null(strstr(old->got, "\r\nConnection: keep-alive\r\n"));
    old->len = 0;
    say(old, "GET /hello HTTP/1.0\r\n\r\n");
    await_end(world, old);
    assert_non_null(strstr(old->got, "\r\nConnection: close\r\n"));
}

static void test_requests_of_one_connection(void **state)
{
    struct world *world = *state;
    struct client *c = connect_to(world);
    size_t answers = 0;

    for (int i = 0; i < 100 + 10; i++)
        say(c, GET("/hello"));
    await_end(world, c);
    for (const char *at = c->got; at; at = strstr(at + 1, "HTTP/1.1 200"))
        answers++;
    assert_int_equal(answers, 100);
    assert_non_null(strstr(c->got, "Connection: close"));
}

/* The bytes of world->big, wherever the head before them ends. */
static void assert_body(struct world *world, struct client *c, size_t len)
{
    const char *body = strstr(c->got, "\r\n\r\n");

    assert_non_null(body);
    assert_true((size_t)(c->got + c->len - body - 4) >= len);
    assert_memory_equal(body + 4, world->big, len);
}

static void test_large_answer_to_a_late_reader(void **state)
{
    struct world *world = *state;
    struct client *c = connect_from(world, "127.0.0.1", new_socket(SMALL_RECEIVER));
    size_t head;

    say(c, GET("/big") GET("/hello"));
    let_pass(world, 30);
    await_bytes(world, c, 1);
    head = (size_t)(strstr(c->got, "\r\n\r\n") + 4 - c->got);
    await_bytes(world, c, head + BIG + 100);
    assert_body(world, c, BIG);
    assert_non_null(strstr(c->got + head + BIG, "hello\n"));
    assert_false(c->ended);
}

/* A body that is not copied: given back once, when nobody needs it any more. */
static void test_lent_answers(void **state)
{
    static const struct {
        const char *row, *request;
        unsigned released; // while it is not read
        size_t body;       // that comes; 0: the reader leaves
    } answers[] = {
        {"read late", GET("/lent") GET("/hello"), 0, BIG},
        {"never read", GET("/lent"), 0, 0},
        {"a small one", GET("/lent-medium") GET("/hello"), 1, MEDIUM},
        {"none is sent", "HEAD /lent HTTP/1.1\r\n" HOST "\r\n", 1, 0},
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct client *c = connect_from(world, "127.0.0.1", new_socket(SMALL_RECEIVER));
        struct lender lender = {0};

        world->lender = &lender;
        say(c, answers[i].request);
        let_pass(world, 30);
        if (lender.released != answers[i].released)
            fail_msg("[%s] released %u times", answers[i].row, lender.released);
        if (answers[i].body) {
            await_bytes(world, c, answers[i].body + 400);
            assert_body(world, c, answers[i].body);
            assert_non_null(strstr(c->got + answers[i].body, "hello\n"));
        }
        hang_up(c);
        await_clients(world, 0);
        if (lender.released != 1)
            fail_msg("[%s] released %u times in the end", answers[i].row,
                     lender.released);
    }
}

/* Each time that which was lent first, from all who still read it, and nobody else. */
static void test_taking_back(void **state)
{
    struct world *world = *state;
    struct lender lenders[2] = {{0}, {0}};
    struct client *readers[3], *asks;

    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        world->lender = &lenders[i / 2]; // two have the same
        readers[i] = connect_from(world, "127.0.0.1", new_socket(SMALL_RECEIVER));
        say(readers[i], GET("/lent"));
        let_pass(world, 10);
    }
    asks = connect_to(world);
    say(asks, GET("/take-back"));
    await_bytes(world, asks, 1);
    assert_true(world->took_back);
    assert_int_equal(lenders[0].released, 2);
    assert_int_equal(lenders[1].released, 0);
    await_end(world, readers[0]);
    await_end(world, readers[1]);
    assert_int_equal(readers[1]->error, ECONNRESET);
    await_bytes(world, readers[2], BIG + 100);
    assert_body(world, readers[2], BIG);
    assert_int_equal(lenders[1].released, 1);
    assert_int_equal(http_server_stats(world->server).limited[LIMITED_slow], 2);

    asks->len = 0;
    say(asks, GET("/take-back"));
    await_bytes(world, asks, 1);
    assert_false(world->took_back);
}

/* The connection ends after the response, which must not be cut off by that. */
static void test_closing_waits_for_a_slow_reader(void **state)
{
    struct world *world = *state;
    static const char *const requests[] = {"GET /medium HTTP/1.0\r\n\r\n",
                                           GET("/medium")};

    world->server->waits[WAIT_LINGER].span_ms = 20;
    world->server->waits[WAIT_IDLE].span_ms = 20;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct client *c = connect_from(world, "127.0.0.1", new_socket(SMALL_RECEIVER));

        say(c, requests[i]);
        let_pass(world, 100);
        await_end(world, c);
        assert_int_equal(c->error, 0);
        assert_body(world, c, MEDIUM);
        hang_up(c);
        await_clients(world, 0);
    }
}

static void test_closing_does_not_wait_for_ever(void **state)
{
    struct world *world = *state;
    struct client *c = connect_from(world, "127.0.0.1", new_socket(SMALL_RECEIVER));

    world->server->waits[WAIT_LINGER].span_ms = 20;
    world->server->waits[WAIT_STALLED].span_ms = 60;
    say(c, "GET /medium HTTP/1.0\r\n\r\n");
    await_clients(world, 1);
    await_clients(world, 0);
    assert_int_equal(http_server_stats(world->server).limited[LIMITED_stall_time], 1);
}

/* Having said all it wants, the peer shuts its side and reads at leisure. */
static void test_half_closed_peer(void **state)
{
    struct world *world = *state;
    struct client *c = connect_from(world, "127.0.0.1", new_socket(SMALL_RECEIVER));

    say(c, "GET /medium HTTP/1.0\r\n\r\n");
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    let_pass(world, 50);
    await_end(world, c);
    assert_int_equal(c->error, 0);
    assert_body(world, c, MEDIUM);
}

static void test_deadlines_are_as_documented(void **state)
{
    struct world *world = *state;

    assert_int_equal(world->server->waits[WAIT_HEAD].span_ms, 5000);
    assert_int_equal(world->server->waits[WAIT_IDLE].span_ms, 10000);
    assert_int_equal(world->server->waits[WAIT_STALLED].span_ms, 15000);
    assert_int_equal(world->server->waits[WAIT_LINGER].span_ms, 1000);
}

// clang-format off
/* `first` is said at once, then `drip` every 10 ms: how it ends, and when. */
static const struct {
    const char *row;
    const char *first;
    const char *drip;
    const char *statuses;
    uint64_t deadline_ms; // of waiting for a head; for an idle one it is twice that
    uint64_t end_ms;
} slow_ones[] = {
    {"silent", "", "", "", 100, 100},
    {"half a head", "GET / HT", "", "408 ", 100, 100},
    {"head in drops", "GET / HTTP/1.1\r\n", "X: y\r\n", "408 ", 100, 100},
    {"empty lines", "", "\r\n", "", 100, 100},
    {"idle", GET("/hello"), "", "200 ", 100, 200},
    {"idle, with empty lines", GET("/hello"), "\r\n", "200 ", 100, 200},
    {"second head in drops", GET("/hello"), "x", "200 408 ", 100, 100},
};
// clang-format on

static void test_slow_requests(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(slow_ones); i++) {
        struct http_server_stats stats;
        struct client *c;
        uint64_t start = now_ms(), took;
        char statuses[32];

        world->server->waits[WAIT_HEAD].span_ms = slow_ones[i].deadline_ms;
        world->server->waits[WAIT_IDLE].span_ms = 2 * slow_ones[i].deadline_ms;
        c = connect_to(world);
        say(c, slow_ones[i].first);
        while (!c->ended && now_ms() < start + slow_ones[i].end_ms + PATIENCE_MS) {
            let_pass(world, 10);
            turn(world, c);
            say(c, slow_ones[i].drip);
        }
        took = now_ms() - start;
        read_statuses(c, statuses, sizeof(statuses));
        if (!c->ended || strcmp(statuses, slow_ones[i].statuses) != 0 ||
            took + 5 < slow_ones[i].end_ms || took > slow_ones[i].end_ms + 1000)
            fail_msg("[%s] ended %d after %ju ms: %s", slow_ones[i].row, c->ended,
                     (uintmax_t)took, c->got);
        stats = http_server_stats(world->server);
        assert_int_equal(
            stats.limited[LIMITED_head_time] + stats.limited[LIMITED_idle_time], i + 1);
        hang_up(c);
    }
    await_clients(world, 0);
}

static void assert_turned_away(struct world *world, struct client *c)
{
    await_end(world, c);
    assert_non_null(strstr(c->got, "HTTP/1.1 503 "));
    assert_non_null(strstr(c->got, "\r\nRetry-After: "));
    hang_up(c);
}

static void test_clients_per_address(void **state)
{
    struct world *world = *state;
    struct client *first = connect_to(world), *again;

    for (int i = 1; i < MAX_PER_IP; i++)
        (void)connect_to(world);
    await_clients(world, MAX_PER_IP);
    assert_turned_away(world, connect_to(world));
    assert_int_equal(http_server_stats(world->server).limited[LIMITED_per_ip], 1);

    (void)connect_from(world, "127.0.0.2", new_socket(0));
    await_clients(world, MAX_PER_IP + 1);

    hang_up(first);
    await_clients(world, MAX_PER_IP);
    again = connect_to(world);
    say(again, GET("/hello"));
    await_bytes(world, again, 1);
    assert_int_equal(http_server_stats(world->server).limited[LIMITED_per_ip], 1);
    assert_int_equal(http_server_stats(world->server).accepted, MAX_PER_IP + 2);
}

static void test_clients_in_all(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < MAX_CLIENTS; i++)
        (void)connect_from(world, i % 2 ? "127.0.0.1" : "127.0.0.2", new_socket(0));
    await_clients(world, MAX_CLIENTS);
    assert_turned_away(world, connect_from(world, "127.0.0.3", new_socket(0)));
    assert_int_equal(http_server_stats(world->server).limited[LIMITED_clients], 1);
    hang_up(&clients[0]);
    await_clients(world, MAX_CLIENTS - 1);
    (void)connect_from(world, "127.0.0.3", new_socket(0));
    await_clients(world, MAX_CLIENTS);
}

/* Without descriptors all that wait are closed; with some again all is as before. */
static void test_no_descriptor_left(void **state)
{
    struct world *world = *state;
    struct rlimit before, none;
    struct client *c;
    int sockets[4], next;

    for (size_t i = 0; i < ARRAY_LEN(sockets); i++)
        sockets[i] = new_socket(0);
    next = dup(sockets[0]);
    close_fd(&next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (size_t i = 0; i < ARRAY_LEN(sockets); i++)
        await_end(world, connect_from(world, "127.0.0.1", sockets[i]));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(http_server_stats(world->server).limited[LIMITED_descriptors],
                     ARRAY_LEN(sockets));

    c = connect_to(world);
    say(c, GET("/hello"));
    await_bytes(world, c, 1);
}

static struct client *open_stream(struct world *world, int receive_bytes,
                                  const char *request)
{
    struct client *c = connect_from(world, "127.0.0.1", new_socket(receive_bytes));

    say(c, request);
    await_bytes(world, c, 1);
    assert_non_null(strstr(c->got, "\r\nContent-Type: text/event-stream\r\n"));
    assert_non_null(strstr(c->got, "\r\nX-Extra: 1\r\n"));
    assert_null(strstr(c->got, "Content-Length"));
    assert_int_equal(world->stream.started, 0);
    c->len = 0;
    return c;
}

static void test_stream_in_chunks(void **state)
{
    struct world *world = *state;
    struct client *c = connect_to(world);

    say(c, GET("/stream"));
    await_bytes(world, c, 1);
    assert_non_null(strstr(c->got, "\r\nTransfer-Encoding: chunked\r\n"));
    assert_true(http_stream_chunked(world->stream.conn));
    c->len = 0;
    assert_int_equal(http_stream_write(world->stream.conn, span_of("2\r\nab\r\n")), 7);
    await_bytes(world, c, 7);
    http_stream_end(world->stream.conn);
    await_end(world, c);
    assert_int_equal(c->error, 0);
    assert_string_equal(c->got, "2\r\nab\r\n0\r\n\r\n");
    assert_int_equal(world->stream.closed, 0);
}

static void test_stream_until_the_end(void **state)
{
    struct world *world = *state;
    struct client *c = connect_to(world);

    say(c, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    await_bytes(world, c, 1);
    assert_null(strstr(c->got, "Transfer-Encoding"));
    assert_non_null(strstr(c->got, "\r\nConnection: close\r\n"));
    assert_false(http_stream_chunked(world->stream.conn));
    c->len = 0;
    assert_int_equal(http_stream_write(world->stream.conn, span_of("ab")), 2);
    http_stream_end(world->stream.conn);
    await_end(world, c);
    assert_string_equal(c->got, "ab");
    assert_int_equal(world->stream.closed, 0);
}

static void test_stream_drops_what_it_is_sent(void **state)
{
    struct world *world = *state;
    struct client *c = open_stream(world, 0, GET("/stream") GET("/hello"));

    for (int i = 0; i < 1000; i++)
        say(c, GET("/hello"));
    let_pass(world, 10);
    assert_int_equal(http_stream_write(world->stream.conn, span_of("x")), 1);
    await_bytes(world, c, 1);
    assert_string_equal(c->got, "x");
    assert_int_equal(world->stream.closed, 0);
}

static void await_closed(struct world *world)
{
    await_clients(world, 0);
    let_pass(world, 5);
    assert_int_equal(world->stream.closed, 1);
}

static void test_stream_whose_peer_leaves(void **state)
{
    struct world *world = *state;

    hang_up(open_stream(world, 0, GET("/stream")));
    await_closed(world);
}

static void test_stream_whose_peer_resets(void **state)
{
    static const struct linger reset = {.l_onoff = 1};
    struct world *world = *state;
    struct client *c = open_stream(world, 0, GET("/stream"));

    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    hang_up(c);
    assert_true(http_stream_write(world->stream.conn, span_of("x")) < 0);
    await_closed(world);
}

static void test_stream_when_the_server_closes(void **state)
{
    struct world *world = *state;
    struct client *c = open_stream(world, 0, GET("/stream"));

    http_server_close(world->server);
    assert_int_equal(world->stream.closed, 1);
    await_end(world, c);
}

/* Write until nothing more is taken; returns how much was. */
static size_t fill(struct world *world)
{
    struct span bytes = {world->big, 10000};
    size_t taken = 0;
    ssize_t n;

    do {
        n = http_stream_write(world->stream.conn, bytes);
        assert_true(n >= 0);
        taken += (size_t)n;
    } while (n > 0);
    http_stream_wait(world->stream.conn);
    return taken;
}

static void test_stream_waits_for_its_reader(void **state)
{
    struct world *world = *state;
    struct client *c = open_stream(world, SMALL_RECEIVER, GET("/stream"));
    size_t taken = fill(world);

    let_pass(world, 30);
    assert_int_equal(world->stream.writable, 0);
    await_bytes(world, c, taken);
    let_pass(world, 5);
    assert_int_equal(world->stream.writable, 1); // told once, until it waits again
    taken += fill(world);
    await_bytes(world, c, taken);
    let_pass(world, 5);
    assert_int_equal(world->stream.writable, 2);
    assert_int_equal(world->stream.closed, 0);
}

static void test_streams_in_all(void **state)
{
    struct world *world = *state;
    struct client *c;

    world->server->options.limits.streams = 1;
    (void)open_stream(world, 0, GET("/stream"));
    c = connect_to(world);
    say(c, GET("/stream"));
    await_end(world, c);
    assert_non_null(strstr(c->got, "HTTP/1.1 503 "));
    assert_non_null(strstr(c->got, "\r\nRetry-After: 5\r\n"));
    assert_int_equal(http_server_stats(world->server).streams, 1);
    assert_int_equal(http_server_stats(world->server).limited[LIMITED_streams], 1);
    assert_int_equal(world->stream.started, -EUSERS);

    hang_up(&clients[0]);
    await_clients(world, 0);
    (void)open_stream(world, 0, GET("/stream"));
    assert_int_equal(http_server_stats(world->server).streams, 1);
}

/* What a stream's peer sends is taken in moderation, and never stops the stream. */
static void test_stream_whose_reader_talks(void **state)
{
    struct world *world = *state;
    struct client *c = open_stream(world, 0, GET("/stream"));
    uint64_t deaf;

    for (int i = 1; i <= 3; i++) {
        ssize_t said;

        do {
            said = send(c->fd, world->big, BIG, MSG_DONTWAIT | MSG_NOSIGNAL);
            let_pass(world, 5);
        } while (said > 0);
        deaf = http_server_stats(world->server).limited[LIMITED_input];
        assert_int_equal(deaf, i);
        assert_true(world->stream.conn->transport.taken < 2 * SCRATCH_BYTES);

        c->len = 0;
        assert_int_equal(http_stream_write(world->stream.conn, span_of("1\r\nx\r\n")), 6);
        await_bytes(world, c, 6);
    }

    hang_up(c); // heard with the next write at the latest
    let_pass(world, 5);
    if (http_server_stats(world->server).clients &&
        http_stream_write(world->stream.conn, span_of("1\r\nx\r\n")) < 0)
        http_stream_close(world->stream.conn);
    await_clients(world, 0);
}

static void test_stream_whose_reader_stalls(void **state)
{
    struct world *world = *state;
    struct client *c = open_stream(world, SMALL_RECEIVER, GET("/stream"));

    world->server->waits[WAIT_STALLED].span_ms = 100;
    (void)fill(world);
    let_pass(world, 50);
    assert_int_equal(world->stream.closed, 0);
    await_closed(world);
    assert_int_equal(world->stream.writable, 0);
    assert_int_equal(http_server_stats(world->server).limited[LIMITED_stall_time], 1);
    await_end(world, c);
    assert_int_equal(c->error, ECONNRESET);
}

static void test_stream_that_closes_when_writable(void **state)
{
    struct world *world = *state;
    struct client *c = open_stream(world, SMALL_RECEIVER, GET("/stream"));

    world->stream.close_when_writable = true;
    (void)fill(world);
    await_end(world, c);
    assert_int_equal(world->stream.writable, 1);
    assert_int_equal(world->stream.closed, 0);
}

static void test_unix_socket(void **state)
{
    struct world *world = *state;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/test_http_XXXXXX", address[64], url[64];
    struct complaint complaint;
    struct stat st;
    struct client *c = clients;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/s", folder);
    (void)snprintf(address, sizeof(address), "unix:%s/s", folder);
    assert_int_equal(
        http_server_listen(world->server, address, url, sizeof(url), &complaint), 0);
    assert_string_equal(url, address);

    for (int i = 0; i < MAX_CLIENTS; i++) { // not counted by address
        clients[i].fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        clients[i].ended = false;
        clients[i].len = 0;
        assert_int_equal(connect(clients[i].fd, (struct sockaddr *)&name, sizeof(name)),
                         0);
    }
    await_clients(world, MAX_CLIENTS);
    say(c, GET("/hello"));
    await_bytes(world, c, 1);
    assert_true(world->by_unix);
    http_server_close(world->server);
    assert_int_equal(stat(name.sun_path, &st), -1);
    assert_int_equal(rmdir(folder), 0);
}

static void count_drained(void *ctx)
{
    ++*(int *)ctx;
}

/* Who has asked is answered, who waits for nothing is let go, and a stream goes on. */
static void test_draining(void **state)
{
    struct world *world = *state;
    struct client *stream = open_stream(world, 0, GET("/stream"));
    struct client *asks = connect_to(world), *idle = connect_to(world);
    struct client *half = connect_to(world), *late = NULL;
    int drained = 0;

    late = connect_from(world, "127.0.0.2", new_socket(SMALL_RECEIVER));
    say(late, GET("/big") GET("/hello"));
    await_clients(world, 5);
    let_pass(world, 30);
    say(half, "GET /hello HTTP/1.1\r\nHo");
    say(asks, GET("/hello"));
    http_server_drain(world->server, count_drained, &drained);
    http_server_drain(world->server, count_drained, &drained); // the second is nothing
    await_end(world, asks);
    assert_non_null(strstr(asks->got, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(asks->got, "hello\n"));
    await_end(world, idle);
    await_end(world, half);
    await_end(world, late);
    assert_int_equal(idle->len + half->len, 0);
    assert_int_equal(asks->error + idle->error + half->error + late->error, 0);
    assert_body(world, late, BIG);
    assert_null(strstr(late->got + late->len - 200, "hello\n")); // not begun any more

    for (struct client *c = clients; c < clients + ARRAY_LEN(clients); c++)
        if (c != stream && c->fd >= 0)
            hang_up(c);
    await_clients(world, 1);
    assert_int_equal(drained, 0);
    assert_int_equal(http_stream_write(world->stream.conn, span_of("1\r\nx\r\n")), 6);
    http_stream_end(world->stream.conn);
    await_end(world, stream);
    assert_string_equal(stream->got, "1\r\nx\r\n0\r\n\r\n");
    assert_int_equal(drained, 0); // it may be reading still
    hang_up(stream);
    await_clients(world, 0);
    assert_int_equal(drained, 1);
}

static void test_draining_nobody(void **state)
{
    struct world *world = *state;
    struct sockaddr_in to = {.sin_family = AF_INET};
    int drained = 0, fd = new_socket(0);

    http_server_drain(world->server, count_drained, &drained);
    assert_int_equal(drained, 1);
    let_pass(world, 5);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(world->port);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
    close_fd(&fd);
}

/* The last chunk waits for room like any other bytes. */
static void test_stream_ends_for_a_slow_reader(void **state)
{
    struct world *world = *state;
    struct client *c = open_stream(world, SMALL_RECEIVER, GET("/stream"));
    size_t n = fill(world);

    http_stream_end(world->stream.conn);
    await_end(world, c);
    assert_int_equal(c->error, 0);
    assert_int_equal(c->len, n + 5);
    assert_string_equal(c->got + n, "0\r\n\r\n");
    assert_int_equal(world->stream.closed, 0);
    assert_int_equal(http_server_stats(world->server).streams, 0);
}

/* What fits into a Unix socket is bounded as for TCP, though it is not inherited. */
static void test_unix_reader_that_takes_nothing(void **state)
{
    struct world *world = *state;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/test_http_XXXXXX", address[64], url[64];
    struct complaint complaint;
    int bytes;
    socklen_t len = sizeof(bytes);

    assert_non_null(mkdtemp(folder));
    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/s", folder);
    (void)snprintf(address, sizeof(address), "unix:%s/s", folder);
    assert_int_equal(
        http_server_listen(world->server, address, url, sizeof(url), &complaint), 0);
    clients->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(clients->fd, (struct sockaddr *)&name, sizeof(name)), 0);
    await_clients(world, 1);
    assert_int_equal(getsockopt(world->server->conns->transport.fd, SOL_SOCKET, SO_SNDBUF,
                                &bytes, &len),
                     0);
    assert_int_equal(bytes, 2 * 64 * 1024);
    http_server_close(world->server);
    assert_int_equal(rmdir(folder), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_talks),
        TEST(test_talks_byte_by_byte),
        TEST(test_allowed_origin),
        TEST(test_limits),
        TEST(test_response_fields),
        TEST(test_requests_of_one_connection),
        TEST(test_large_answer_to_a_late_reader),
        TEST(test_lent_answers),
        TEST(test_taking_back),
        TEST(test_closing_waits_for_a_slow_reader),
        TEST(test_closing_does_not_wait_for_ever),
        TEST(test_half_closed_peer),
        TEST(test_deadlines_are_as_documented),
        TEST(test_slow_requests),
        TEST(test_clients_per_address),
        TEST(test_clients_in_all),
        TEST(test_no_descriptor_left),
        TEST(test_stream_in_chunks),
        TEST(test_stream_until_the_end),
        TEST(test_stream_drops_what_it_is_sent),
        TEST(test_stream_ends_for_a_slow_reader),
        TEST(test_draining),
        TEST(test_draining_nobody),
        TEST(test_unix_reader_that_takes_nothing),
        TEST(test_stream_whose_peer_leaves),
        TEST(test_stream_whose_peer_resets),
        TEST(test_stream_when_the_server_closes),
        TEST(test_stream_waits_for_its_reader),
        TEST(test_streams_in_all),
        TEST(test_stream_whose_reader_talks),
        TEST(test_stream_whose_reader_stalls),
        TEST(test_stream_that_closes_when_writable),
        TEST(test_unix_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
