// SPDX-License-Identifier: Apache-2.0
#include "net/fetch.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

enum {
    REQUEST_MAX = 4096,
    PIECE_BYTES = 64 * 1024,
    DRIP_MS = 30,
};

/* What a server does after it has answered. */
enum after {
    THEN_LISTEN, // for the next request
    THEN_CLOSE,
    THEN_RESET,
    THEN_DRIP, // byte by byte, for ever
};

struct script {
    const char *head;
    const char *fill; // sent again and again, `fill_bytes` in all
    size_t fill_bytes;
    const char *tail;
    enum after after;
};

/* A thread that answers each request by the script, one connection after the other. */
struct server {
    struct script script;
    pthread_t thread;
    int listener;
    int conn; // -1: none
    pthread_mutex_t lock;
    unsigned conns;
    unsigned requests;
    char request[REQUEST_MAX]; // the latest
    uint16_t port;
    bool stopping;
};

static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool send_fill(int fd, const struct script *script)
{
    static const char spaces[] = "";
    const char *unit = script->fill ? script->fill : spaces;
    size_t len = strlen(unit), left = script->fill_bytes, piece = 0;
    OWNED(free_str) char *bytes = malloc(PIECE_BYTES);

    if (!bytes || len == 0)
        return len == 0;
    for (; piece + len <= PIECE_BYTES; piece += len)
        memcpy(bytes + piece, unit, len);
    for (; left; left -= MIN(left, piece))
        if (!send_all(fd, bytes, MIN(left, piece)))
            return false;
    return true;
}

static void drip(int fd)
{
    struct pollfd gone = {.fd = fd, .events = POLLRDHUP};

    while (send_all(fd, "x", 1) && poll(&gone, 1, DRIP_MS) == 0)
        continue;
}

/* One request: true when another may follow. */
static bool answer(struct server *server, int fd)
{
    static const struct linger reset = {.l_onoff = 1};
    const struct script *script = &server->script;
    char request[REQUEST_MAX] = "";
    size_t len = 0;

    while (!strstr(request, "\r\n\r\n")) {
        ssize_t n = recv(fd, request + len, sizeof(request) - 1 - len, 0);

        if (n <= 0)
            return false;
        len += (size_t)n;
        request[len] = '\0';
    }
    pthread_mutex_lock(&server->lock);
    server->requests++;
    memcpy(server->request, request, len + 1);
    pthread_mutex_unlock(&server->lock);

    if (!send_all(fd, script->head, strlen(script->head)) || !send_fill(fd, script) ||
        !send_all(fd, script->tail ? script->tail : "",
                  script->tail ? strlen(script->tail) : 0))
        return false;
    if (script->after == THEN_DRIP)
        drip(fd);
    if (script->after == THEN_RESET)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    return script->after == THEN_LISTEN;
}

static bool remember(struct server *server, int fd)
{
    bool stopping;

    pthread_mutex_lock(&server->lock);
    server->conn = fd;
    server->conns += fd >= 0;
    stopping = server->stopping;
    pthread_mutex_unlock(&server->lock);
    return !stopping;
}

static void *serve(void *ctx)
{
    struct server *server = ctx;

    for (;;) {
        int fd = accept(server->listener, NULL, NULL);

        if (fd < 0)
            return NULL;
        if (remember(server, fd))
            while (answer(server, fd))
                continue;
        (void)remember(server, -1);
        close_fd(&fd);
    }
}

static uint16_t listen_on_loopback(int fd, int backlog)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t len = sizeof(name);

    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, len), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    return ntohs(name.sin_port);
}

static struct server *server_start(const struct script *script)
{
    struct server *server = calloc(1, sizeof(*server));

    assert_non_null(server);
    server->script = *script;
    server->conn = -1;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server->port = listen_on_loopback(server->listener, 16);
    assert_int_equal(pthread_mutex_init(&server->lock, NULL), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
    return server;
}

static void server_stop(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    (void)shutdown(server->listener, SHUT_RDWR);
    if (server->conn >= 0)
        (void)shutdown(server->conn, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    close_fd(&server->listener);
    free(server);
}

/* One fetch and what became of it. */
struct pull {
    struct fetch *fetch;
    struct fetch_result result;
    unsigned done;
    unsigned again; // how often more to start it from done()
    uint64_t bytes;
    bool refuse;
    char url[128];
};

static int on_body(void *ctx, struct span bytes)
{
    struct pull *pull = ctx;

    pull->bytes += bytes.len;
    return pull->refuse ? -EBADMSG : 0;
}

static void on_done(void *ctx, const struct fetch_result *result)
{
    struct pull *pull = ctx;

    pull->result = *result;
    pull->done++;
    if (pull->again && result->outcome == FETCH_OK) {
        pull->again--;
        assert_int_equal(fetch_start(pull->fetch, pull->url), 0);
    }
}

struct world {
    uv_loop_t loop;
    struct fetcher *fetcher;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(fetcher_new(&world->loop, &world->fetcher), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    fetcher_free(world->fetcher);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    free(world);
    return 0;
}

static void pull_start(struct world *world, struct pull *pull, const char *scheme,
                       uint16_t port)
{
    struct fetch_options options = {
        .bearer = "secret", .body = on_body, .done = on_done, .ctx = pull};

    assert_int_equal(fetch_new(world->fetcher, &options, &pull->fetch), 0);
    (void)snprintf(pull->url, sizeof(pull->url), "%s://127.0.0.1:%u/metrics", scheme,
                   port);
    assert_int_equal(fetch_start(pull->fetch, pull->url), 0);
    assert_int_equal(pull->done, 0);
}

static void pull_finish(struct world *world, const struct pull *pull, unsigned done)
{
    while (pull->done < done)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
}

#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define HTTP_100 "HTTP/1.1 100 Continue\r\n\r\n"
#define EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
#define K "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BODY_MAX_TEXT "8388608"
#define FIELD "X: y\r\n"

// clang-format off
static const struct {
    const char *row;
    struct script script;
    enum fetch_outcome outcome;
    long status;
    uint64_t bytes; // of the body
    const char *why;
    bool refuse; // the consumer does
} rows[] = {
    {"plain", {.head = OK_2}, FETCH_OK, 200, 2, "", false},
    {"empty", {.head = EMPTY "\r\n"}, FETCH_OK, 200, 0, "", false},
    {"chunks", {.head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     "1\r\no\r\n1;x=y\r\nk\r\n0\r\nTrailer: x\r\n\r\n"}, FETCH_OK, 200, 2, "", false},
    {"until it closes", {.head = "HTTP/1.1 200 OK\r\n\r\nok", .after = THEN_CLOSE},
     FETCH_OK, 200, 2, "", false},
    {"1.0", {.head = "HTTP/1.0 200 OK\r\n\r\nok", .after = THEN_CLOSE}, FETCH_OK, 200, 2, "",
     false},
    {"identity", {.head = EMPTY "Content-Encoding: Identity \r\n\r\n"}, FETCH_OK, 200, 0, "",
     false},
    {"largest body", {.head = "HTTP/1.1 200 OK\r\nContent-Length: " BODY_MAX_TEXT "\r\n\r\n",
     .fill = K, .fill_bytes = FETCH_BODY_MAX}, FETCH_OK, 200, FETCH_BODY_MAX, "", false},
    {"100 fields", {.head = EMPTY, .fill = FIELD, .fill_bytes = 99 * 6, .tail = "\r\n"},
     FETCH_OK, 200, 0, "", false},
    {"four interim responses", {.head = HTTP_100 HTTP_100 HTTP_100 HTTP_100 OK_2}, FETCH_OK,
     200, 2, "", false},

    {"not found", {.head = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"},
     FETCH_STATUS, 404, 0, "HTTP status 404", false},
    {"server error", {.head = "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n"}, FETCH_STATUS,
     500, 0, "HTTP status 500", false},
    {"no content", {.head = "HTTP/1.1 204 No Content\r\n\r\n"}, FETCH_STATUS, 204, 0,
     "HTTP status 204", false},
    {"redirect", {.head = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n"
     "Content-Length: 0\r\n\r\n"}, FETCH_STATUS, 302, 0, "HTTP status 302", false},
    {"unauthorized", {.head = "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=x\r\n"
     "Content-Length: 0\r\n\r\n"}, FETCH_STATUS, 401, 0, "HTTP status 401", false},

    {"gzip", {.head = EMPTY "Content-Encoding: gzip\r\n\r\n"}, FETCH_BAD, 200, 0, "encoded",
     false},
    {"gzip in lower case", {.head = EMPTY "content-encoding:gzip\r\n\r\n"}, FETCH_BAD, 200, 0,
     "encoded", false},
    {"identity, then gzip", {.head = EMPTY "Content-Encoding: identity, gzip\r\n\r\n"},
     FETCH_BAD, 200, 0, "encoded", false},
    {"something like identity", {.head = EMPTY "Content-Encoding: identityx\r\n\r\n"},
     FETCH_BAD, 200, 0, "encoded", false},
    {"gzip for the transfer", {.head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n"
     "\r\n0\r\n\r\n"}, FETCH_BAD, 200, 0, "encoded", false},

    {"body too large, as it says", {.head = "HTTP/1.1 200 OK\r\nContent-Length: 8388609\r\n"
     "\r\n", .fill = K, .fill_bytes = FETCH_BODY_MAX + 1}, FETCH_BAD, 200, UINT64_MAX,
     "8 MiB", false},
    {"body without end", {.head = "HTTP/1.1 200 OK\r\n\r\n", .fill = K,
     .fill_bytes = 4 * FETCH_BODY_MAX}, FETCH_BAD, 200, UINT64_MAX, "8 MiB", false},
    {"error page without end", {.head = "HTTP/1.1 503 x\r\n\r\n", .fill = K,
     .fill_bytes = 4 * FETCH_BODY_MAX}, FETCH_BAD, 503, 0, "8 MiB", false},
    {"101 fields", {.head = EMPTY, .fill = FIELD, .fill_bytes = 100 * 6, .tail = "\r\n"},
     FETCH_BAD, 200, 0, "100 fields", false},
    {"head too large", {.head = EMPTY, .fill = "X: " K K K K "\r\n", .fill_bytes = 17000},
     FETCH_BAD, 200, 0, "16 KiB", false},
    {"field too large", {.head = EMPTY "X: ", .fill = K, .fill_bytes = 17000,
     .tail = "\r\n\r\n"}, FETCH_BAD, 200, 0, "16 KiB", false},
    {"field without end", {.head = EMPTY "X: ", .fill = K, .fill_bytes = 1024 * 1024},
     FETCH_BAD, 200, 0, "16 KiB", false},
    {"status line without end", {.head = "HTTP/1.1 200 ", .fill = K, .fill_bytes = 1024 * 1024},
     FETCH_BAD, 0, 0, "16 KiB", false},
    {"five interim responses", {.head = HTTP_100 HTTP_100 HTTP_100 HTTP_100 HTTP_100 OK_2},
     FETCH_BAD, 200, 0, "interim", false},
    {"trailer without end", {.head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
     .fill = FIELD, .fill_bytes = 6 * 10000}, FETCH_BAD, 200, 0, "100 fields", false},

    {"torn body", {.head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
     .after = THEN_CLOSE}, FETCH_BAD, 200, 2, "", false},
    {"torn chunk", {.head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
     .after = THEN_CLOSE}, FETCH_BAD, 200, 2, "", false},
    {"no last chunk", {.head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
     .after = THEN_CLOSE}, FETCH_BAD, 200, 2, "", false},
    {"bad chunk", {.head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
     .after = THEN_CLOSE}, FETCH_BAD, 200, 0, "", false},
    {"torn head", {.head = "HTTP/1.1 200 OK\r\nX", .after = THEN_CLOSE}, FETCH_BAD, 200, 0, "",
     false},
    {"nothing", {.head = "", .after = THEN_CLOSE}, FETCH_BAD, 0, 0, "", false},
    {"reset", {.head = "", .after = THEN_RESET}, FETCH_BAD, 0, 0, "", false},
    {"reset in the body", {.head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
     .after = THEN_RESET}, FETCH_BAD, 200, 0, "", false},
    {"no HTTP", {.head = "SSH-2.0-x\r\n", .after = THEN_CLOSE}, FETCH_BAD, 0, 0, "", false},
    {"HTTP of the future", {.head = "HTTP/4 200\r\n\r\n", .after = THEN_CLOSE}, FETCH_BAD, 0, 0,
     "", false},
    {"negative length", {.head = "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
     .after = THEN_CLOSE}, FETCH_BAD, 200, 0, "", false},
    {"refused by the consumer", {.head = OK_2}, FETCH_BAD, 200, 2, "malformed", true},

    {"silent", {.head = ""}, FETCH_SILENT, 0, 0, "no answer", false},
    {"status line in drops", {.head = "HTTP/1.1 200 ", .after = THEN_DRIP}, FETCH_SLOW, 0, 0,
     "not complete", false},
    {"head in drops", {.head = "HTTP/1.1 200 OK\r\nX: ", .after = THEN_DRIP}, FETCH_SLOW, 200, 0,
     "not complete", false},
    {"body in drops", {.head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
     .after = THEN_DRIP}, FETCH_SLOW, 200, UINT64_MAX, "not complete", false},
    {"body that never comes", {.head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"},
     FETCH_SLOW, 200, 0, "not complete", false},
};
// clang-format on

/* Says what is wrong; the number of it. */
static unsigned check_row(size_t i, const struct pull *pull)
{
    const struct fetch_result *result = &pull->result;

    if (pull->done == 1 && result->outcome == rows[i].outcome &&
        result->status == rows[i].status &&
        (rows[i].bytes == UINT64_MAX || pull->bytes == rows[i].bytes) &&
        strstr(result->why, rows[i].why) &&
        (result->why[0] == '\0') == (result->outcome == FETCH_OK) &&
        result->took_ns > 0 && result->took_ns < 1900000000)
        return 0;
    print_error("[%s] is outcome %d, status %ld, %ju bytes, %ju ns: %s\n", rows[i].row,
                result->outcome, result->status, (uintmax_t)pull->bytes,
                (uintmax_t)result->took_ns, result->why);
    return 1;
}

/* All at once: whatever one server does, the others' fetches do not feel it. */
static void test_answers(void **state)
{
    static struct pull pulls[ARRAY_LEN(rows)];
    struct server *servers[ARRAY_LEN(rows)];
    struct world *world = *state;
    unsigned wrong = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        servers[i] = server_start(&rows[i].script);
        pulls[i] = (struct pull){.refuse = rows[i].refuse};
        pull_start(world, &pulls[i], "http", servers[i]->port);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        pull_finish(world, &pulls[i], 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        wrong += check_row(i, &pulls[i]);
        assert_int_equal(servers[i]->conns, 1);
        assert_int_equal(servers[i]->requests, 1); // a redirect is not followed
        fetch_free(pulls[i].fetch);
        server_stop(servers[i]);
    }
    assert_int_equal(wrong, 0);
}

static void test_request(void **state)
{
    struct server *server = server_start(&(struct script){.head = OK_2});
    struct world *world = *state;
    struct pull pull = {0};

    pull_start(world, &pull, "http", server->port);
    assert_int_equal(fetch_start(pull.fetch, pull.url), -EBUSY);
    pull_finish(world, &pull, 1);
    assert_int_equal(strncmp(server->request, "GET /metrics HTTP/1.1\r\n", 23), 0);
    assert_non_null(strstr(server->request, "\r\nAuthorization: Bearer secret\r\n"));
    assert_non_null(strstr(server->request, "\r\nAccept: text/plain"));
    assert_null(strcasestr(server->request, "Accept-Encoding"));
    assert_null(strcasestr(server->request, "Cookie"));
    fetch_free(pull.fetch);
    server_stop(server);
}

static void test_connection_is_kept(void **state)
{
    struct server *server = server_start(&(struct script){.head = OK_2});
    struct world *world = *state;
    struct pull pull = {.again = 4};

    pull_start(world, &pull, "http", server->port);
    pull_finish(world, &pull, 5);
    assert_int_equal(pull.result.outcome, FETCH_OK);
    assert_int_equal(pull.bytes, 10);
    assert_int_equal(server->requests, 5);
    assert_int_equal(server->conns, 1);

    pull.refuse = true;
    assert_int_equal(fetch_start(pull.fetch, pull.url), 0);
    pull_finish(world, &pull, 6);
    assert_int_equal(pull.result.outcome, FETCH_BAD);
    pull.refuse = false;
    assert_int_equal(fetch_start(pull.fetch, pull.url), 0);
    pull_finish(world, &pull, 7);
    assert_int_equal(pull.result.outcome, FETCH_OK); // nothing of the bad one is left
    fetch_free(pull.fetch);
    server_stop(server);
}

/* Those of all, whichever of them ends last. */
static void test_all_connections_are_kept(void **state)
{
    enum { SERVERS = 20, ROUNDS = 3 };
    static struct pull pulls[SERVERS];
    struct server *servers[SERVERS];
    struct world *world = *state;

    for (size_t i = 0; i < SERVERS; i++) {
        servers[i] = server_start(&(struct script){.head = OK_2});
        pull_start(world, &pulls[i], "http", servers[i]->port);
    }
    for (unsigned round = 1; round <= ROUNDS; round++) {
        for (size_t i = 0; i < SERVERS; i++)
            pull_finish(world, &pulls[i], round);
        for (size_t i = 0; round < ROUNDS && i < SERVERS; i++)
            assert_int_equal(fetch_start(pulls[i].fetch, pulls[i].url), 0);
    }
    for (size_t i = 0; i < SERVERS; i++) {
        assert_int_equal(servers[i]->requests, ROUNDS);
        assert_int_equal(servers[i]->conns, 1);
        fetch_free(pulls[i].fetch);
        server_stop(servers[i]);
    }
}

/* Whatever comes behind a response is not taken for the next one. */
static void test_excess_ends_the_connection(void **state)
{
    struct server *server = server_start(&(struct script){.head = OK_2 OK_2});
    struct world *world = *state;
    struct pull pull = {.again = 2};

    pull_start(world, &pull, "http", server->port);
    pull_finish(world, &pull, 3);
    assert_int_equal(pull.result.outcome, FETCH_OK);
    assert_int_equal(pull.bytes, 6);
    assert_int_equal(server->requests, 3);
    assert_int_equal(server->conns, 3);
    fetch_free(pull.fetch);
    server_stop(server);
}

static void test_connection_closed_meanwhile(void **state)
{
    struct server *server =
        server_start(&(struct script){.head = OK_2, .after = THEN_CLOSE});
    struct world *world = *state;
    struct pull pull = {.again = 4};

    pull_start(world, &pull, "http", server->port);
    pull_finish(world, &pull, 5);
    assert_int_equal(pull.result.outcome, FETCH_OK);
    assert_int_equal(server->conns, 5);
    fetch_free(pull.fetch);
    server_stop(server);
}

/* A server that answered once and hangs now is silent: somebody does accept there. */
static void test_silent_on_a_kept_connection(void **state)
{
    struct server *server = server_start(&(struct script){.head = OK_2});
    struct world *world = *state;
    struct pull pull = {0};

    pull_start(world, &pull, "http", server->port);
    pull_finish(world, &pull, 1);
    server->script.head = ""; // the thread waits for a request
    assert_int_equal(fetch_start(pull.fetch, pull.url), 0);
    pull_finish(world, &pull, 2);
    assert_int_equal(pull.result.outcome, FETCH_SILENT);
    fetch_free(pull.fetch);
    server_stop(server);
}

static void test_nobody_listens(void **state)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint16_t port = listen_on_loopback(fd, 1);
    struct world *world = *state;
    struct pull pull = {0};

    close_fd(&fd);
    pull_start(world, &pull, "http", port);
    pull_finish(world, &pull, 1);
    assert_int_equal(pull.result.outcome, FETCH_REFUSED);
    assert_string_equal(pull.result.why, "Connection refused");
    assert_int_equal(pull.result.status, 0);
    fetch_free(pull.fetch);
}

/* A full backlog drops what would connect: given up after 300 ms, long before 1 s. */
static void test_nobody_accepts(void **state)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint16_t port = listen_on_loopback(fd, 0);
    struct world *world = *state;
    struct pull pulls[3] = {0};

    for (size_t i = 0; i < ARRAY_LEN(pulls); i++)
        pull_start(world, &pulls[i], "http", port);
    for (size_t i = 0; i < ARRAY_LEN(pulls); i++)
        pull_finish(world, &pulls[i], 1);
    for (size_t i = 0; i < ARRAY_LEN(pulls); i++) {
        if (pulls[i].result.outcome == FETCH_REFUSED)
            assert_true(pulls[i].result.took_ns < 800000000);
        else
            assert_int_equal(pulls[i].result.outcome, FETCH_SILENT);
        fetch_free(pulls[i].fetch);
    }
    assert_int_equal(pulls[2].result.outcome, FETCH_REFUSED);
    close_fd(&fd);
}

static void test_tls_to_a_plain_server(void **state)
{
    struct server *server = server_start(&(struct script){.head = ""});
    struct world *world = *state;
    struct pull pull = {0};

    server->script.after = THEN_CLOSE;
    pull_start(world, &pull, "https", server->port);
    pull_finish(world, &pull, 1);
    assert_true(pull.result.outcome != FETCH_OK);
    assert_int_equal(server->requests, 0);
    fetch_free(pull.fetch);
    server_stop(server);
}

static void test_other_schemes(void **state)
{
    static const char *const urls[] = {"file:///etc/hostname", "ftp://127.0.0.1/x",
                                       "gopher://127.0.0.1/x", "", "http://"};
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct pull pull = {0};
        struct fetch_options options = {.body = on_body, .done = on_done, .ctx = &pull};

        assert_int_equal(fetch_new(world->fetcher, &options, &pull.fetch), 0);
        assert_int_equal(fetch_start(pull.fetch, urls[i]), 0);
        pull_finish(world, &pull, 1);
        assert_true(pull.result.outcome == FETCH_BAD ||
                    pull.result.outcome == FETCH_FAILED);
        assert_int_equal(pull.bytes, 0);
        fetch_free(pull.fetch);
    }
}

static void test_proxy_is_ignored(void **state)
{
    struct server *server = server_start(&(struct script){.head = OK_2});
    struct world *world = *state;
    struct pull pull = {0};

    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
    pull_start(world, &pull, "http", server->port);
    pull_finish(world, &pull, 1);
    assert_int_equal(pull.result.outcome, FETCH_OK);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(unsetenv("ALL_PROXY"), 0);
    fetch_free(pull.fetch);
    server_stop(server);
}

static void test_freed_in_flight(void **state)
{
    struct server *server = server_start(&(struct script){.head = ""});
    struct world *world = *state;
    struct pull early = {0}, late = {0};

    pull_start(world, &early, "http", server->port);
    fetch_free(early.fetch);
    pull_start(world, &late, "http", server->port);
    for (int i = 0; i < 20; i++) {
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    fetch_free(late.fetch);
    (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(early.done + late.done, 0);
    server_stop(server);
}

static void test_long_bearer(void **state)
{
    char bearer[4097]; // the longest that config/ lets through
    struct fetch_options options = {.bearer = bearer, .body = on_body, .done = on_done};
    struct world *world = *state;
    struct fetch *fetch = NULL;

    memset(bearer, 'x', sizeof(bearer) - 1);
    bearer[sizeof(bearer) - 1] = '\0';
    assert_int_equal(fetch_new(world->fetcher, &options, &fetch), 0);
    fetch_free(fetch);
    fetch_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_answers),
        TEST(test_request),
        TEST(test_connection_is_kept),
        TEST(test_all_connections_are_kept),
        TEST(test_excess_ends_the_connection),
        TEST(test_connection_closed_meanwhile),
        TEST(test_silent_on_a_kept_connection),
        TEST(test_nobody_listens),
        TEST(test_nobody_accepts),
        TEST(test_tls_to_a_plain_server),
        TEST(test_other_schemes),
        TEST(test_proxy_is_ignored),
        TEST(test_freed_in_flight),
        TEST(test_long_bearer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
