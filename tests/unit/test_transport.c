// SPDX-License-Identifier: Apache-2.0
#include "net/transport.h"

#include "net/http_conn.h"
#include "net/tls.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include "certificates.h"

enum {
    PATIENCE_MS = 5000,
    BIG = 4 * 1024 * 1024, // more than any socket takes
    GOT_MAX = 5 * 1024 * 1024,
    SMALL_RECEIVER = 2048,
    STREAM_BYTES_MAX = 40 * 1024, // memory of an idle stream
};

#define HOST "Host: h\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

struct world {
    uv_loop_t loop;
    struct http_server *server;
    struct tls *tls;
    SSL_CTX *clients;
    struct http_conn *stream;
    unsigned writable;
    unsigned closed;
    uint16_t port;
    char *big;
};

/*
 * A client whose TLS is apart from its socket, so that each byte can be held back. What
 * goes out lies in one BIO, what comes in is put into the other.
 */
struct client {
    int fd;
    SSL *ssl;
    BIO *in, *out;
    size_t at_once; // bytes sent in one piece
    bool ended;     // by a FIN or a reset
    int error;      // of the socket; 0: a FIN
    int why;        // the handshake failed, by OpenSSL
    size_t len;
    char *got;
};

static void on_writable(void *stream)
{
    ((struct world *)stream)->writable++;
}

static void on_closed(void *stream)
{
    ((struct world *)stream)->closed++;
}

static void on_request(void *ctx, struct http_conn *conn,
                       const struct http_request *request)
{
    static const struct http_stream_ops ops = {.writable = on_writable,
                                               .closed = on_closed};
    struct world *world = ctx;
    struct http_response response = {.status = 200, .type = "text/plain"};

    if (span_is(request->path, "/stream")) {
        world->stream = conn;
        assert_int_equal(http_start_stream(conn, "text/event-stream", "", &ops, world),
                         0);
        return;
    }
    if (span_is(request->path, "/stuffed")) {
        response.body = span_of("hello\n");
        http_respond(conn, &response);
        while (send(conn->transport.fd, world->big, BIG, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
            ; // no room is left for a farewell
        return;
    }
    response.body = span_is(request->path, "/big") ? (struct span){world->big, BIG}
                                                   : span_of("hello\n");
    http_respond(conn, &response);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct http_server_options options = {
        .loop = &world->loop, .handler = on_request, .ctx = world};
    struct complaint complaint;
    char url[64] = "";

    make_certificate_folder();
    put_pair("good", -DAY_S, DAY_S);
    put_pair("other", -DAY_S, DAY_S);
    assert_int_equal(
        tls_new(path_of("good.pem"), path_of("good.key"), &complaint, &world->tls), 0);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    options.tls = world->tls;
    assert_int_equal(http_server_new(&options, &world->server), 0);
    assert_int_equal(
        http_server_listen(world->server, "127.0.0.1:0", url, sizeof(url), &complaint),
        0);
    assert_int_equal(strncmp(url, "https://127.0.0.1:", 18), 0);
    world->port = (uint16_t)strtoul(url + 18, NULL, 10);
    world->clients = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(world->clients, 0);
    world->big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        world->big[i] = (char)('a' + i % 23);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"good.pem", "good.key", "other.pem", "other.key"};
    struct world *world = *state;

    http_server_close(world->server);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    http_server_free(world->server);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    tls_free(world->tls);
    SSL_CTX_free(world->clients);
    remove_certificate_folder(files, ARRAY_LEN(files));
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

static void let_pass(struct world *world, uint64_t ms)
{
    static const struct timespec moment = {.tv_nsec = 100000};
    uint64_t end = now_ms() + ms;

    do {
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        (void)nanosleep(&moment, NULL);
    } while (now_ms() < end);
}

static uint64_t limited(const struct world *world, enum http_limited what)
{
    return http_server_stats(world->server).limited[what];
}

static void open_client(struct world *world, struct client *c, int receive_bytes)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(world->port)};

    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                         .at_once = SIZE_MAX,
                         .got = calloc(1, GOT_MAX),
                         .ssl = SSL_new(world->clients),
                         .in = BIO_new(BIO_s_mem()),
                         .out = BIO_new(BIO_s_mem())};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (receive_bytes)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes,
                         sizeof(receive_bytes));
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
    (void)BIO_set_mem_eof_return(c->in, -1);
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_connect_state(c->ssl);
}

static void close_client(struct client *c)
{
    SSL_free(c->ssl);
    close_fd(&c->fd);
    free(c->got);
    ERR_clear_error();
}

/* Send what the client's TLS has written, in pieces, and let the server see each. */
static void pump_out(struct world *world, struct client *c)
{
    char bytes[8 * 1024];

    for (;;) {
        int n = BIO_read(c->out, bytes, (int)MIN(sizeof(bytes), c->at_once));

        if (n <= 0)
            break;
        (void)!send(c->fd, bytes, (size_t)n, MSG_NOSIGNAL);
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    }
}

static void pump_in(struct client *c)
{
    char bytes[8 * 1024];
    ssize_t n = c->ended ? -1 : recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n > 0) {
        assert_int_equal(BIO_write(c->in, bytes, (int)n), n);
    } else if (!c->ended && (n == 0 || errno != EAGAIN)) {
        c->ended = true;
        c->error = n < 0 ? errno : 0;
    }
}

/* 1: greeted. 0: refused, or the server has gone. */
static int shake_hands(struct world *world, struct client *c)
{
    uint64_t end = now_ms() + PATIENCE_MS;
    int r, error;

    do {
        bool over = c->ended;

        ERR_clear_error();
        r = SSL_do_handshake(c->ssl);
        error = SSL_get_error(c->ssl, r);
        c->why = ERR_GET_REASON(ERR_peek_error());
        pump_out(world, c);
        let_pass(world, 0);
        pump_in(c);
        if (over)
            break;
    } while (r != 1 && error == SSL_ERROR_WANT_READ && now_ms() < end);
    return r == 1;
}

/* Let the server work and read what it sent; false when nothing more can come. */
static bool turn(struct world *world, struct client *c)
{
    bool over = c->ended;
    int n;

    pump_out(world, c);
    let_pass(world, 0);
    pump_in(c);
    do {
        ERR_clear_error();
        n = SSL_read(c->ssl, c->got + c->len, (int)(GOT_MAX - 1 - c->len));
        c->len += (size_t)MAX(n, 0);
    } while (n > 0);
    return !over && SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
}

static void say(struct client *c, const char *text)
{
    assert_int_equal(SSL_write(c->ssl, text, (int)strlen(text)), (int)strlen(text));
}

static void await_bytes(struct world *world, struct client *c, size_t len)
{
    uint64_t end = now_ms() + PATIENCE_MS;

    while (c->len < len && turn(world, c) && now_ms() < end)
        ;
    if (c->len < len)
        fail_msg("%zu bytes instead of %zu, ended %d: %s", c->len, len, c->ended, c->got);
}

static void await_end(struct world *world, struct client *c)
{
    uint64_t end = now_ms() + PATIENCE_MS;

    while (!c->ended && now_ms() < end)
        (void)turn(world, c);
    assert_true(c->ended);
}

static void await_clients(struct world *world, size_t n)
{
    uint64_t end = now_ms() + PATIENCE_MS;

    while (http_server_stats(world->server).clients != n && now_ms() < end)
        let_pass(world, 1);
    assert_int_equal(http_server_stats(world->server).clients, n);
}

static size_t answers_in(const struct client *c)
{
    size_t n = 0;

    for (const char *at = strstr(c->got, "HTTP/1.1 200 "); at;
         at = strstr(at + 1, "HTTP/1.1 200 "))
        n++;
    return n;
}

// clang-format off
/* What a client offers, and what becomes of it: a suite, or an alert. */
static const struct {
    const char *row;
    int version_min, version_max;
    const char *suites;
    const char *protocols; // ALPN, each with its length before it
    const char *suite;
    int alert;
} offers[] = {
    {"TLS 1.0", TLS1_VERSION, TLS1_VERSION, "ALL", NULL, NULL, SSL_AD_PROTOCOL_VERSION},
    {"TLS 1.1", TLS1_1_VERSION, TLS1_1_VERSION, "ALL", NULL,
     NULL, SSL_AD_PROTOCOL_VERSION},
    {"up to TLS 1.1", TLS1_VERSION, TLS1_1_VERSION, "ALL", NULL,
     NULL, SSL_AD_PROTOCOL_VERSION},
    {"TLS 1.2", TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE+AESGCM", NULL,
     "ECDHE-ECDSA-AES256-GCM-SHA384", 0},
    {"TLS 1.2, all suites", TLS1_2_VERSION, TLS1_2_VERSION, "ALL:!AES256:!CHACHA20", NULL,
     "ECDHE-ECDSA-AES128-GCM-SHA256", 0},
    {"ChaCha20", TLS1_2_VERSION, TLS1_2_VERSION, "CHACHA20", NULL,
     "ECDHE-ECDSA-CHACHA20-POLY1305", 0},
    {"CBC", TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE+AES:!AESGCM:!AESCCM", NULL,
     NULL, SSL_AD_HANDSHAKE_FAILURE},
    {"CCM", TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE+AESCCM", NULL,
     NULL, SSL_AD_HANDSHAKE_FAILURE},
    {"no forward secrecy", TLS1_2_VERSION, TLS1_2_VERSION, "kRSA", NULL,
     NULL, SSL_AD_HANDSHAKE_FAILURE},
    {"no authentication", TLS1_2_VERSION, TLS1_2_VERSION, "aNULL", NULL,
     NULL, SSL_AD_HANDSHAKE_FAILURE},
    {"no encryption", TLS1_2_VERSION, TLS1_2_VERSION, "eNULL", NULL,
     NULL, SSL_AD_HANDSHAKE_FAILURE},
    {"TLS 1.3", TLS1_3_VERSION, TLS1_3_VERSION, "ALL", NULL, "TLS_AES_256_GCM_SHA384", 0},
    {"the newest", TLS1_VERSION, TLS1_3_VERSION, "ALL", NULL,
     "TLS_AES_256_GCM_SHA384", 0},
    {"http/1.1", TLS1_2_VERSION, TLS1_3_VERSION, "ALL", "\x08http/1.1",
     "TLS_AES_256_GCM_SHA384", 0},
    {"h2 or http/1.1", TLS1_2_VERSION, TLS1_3_VERSION, "ALL", "\x02h2\x08http/1.1",
     "TLS_AES_256_GCM_SHA384", 0},
    {"h2 alone", TLS1_2_VERSION, TLS1_3_VERSION, "ALL", "\x02h2",
     NULL, SSL_AD_NO_APPLICATION_PROTOCOL},
    {"h2 alone, TLS 1.2", TLS1_2_VERSION, TLS1_2_VERSION, "ALL", "\x02h2",
     NULL, SSL_AD_NO_APPLICATION_PROTOCOL},
};
// clang-format on

static void offer(struct client *c, size_t i)
{
    const char *protocols = offers[i].protocols;

    (void)SSL_set_min_proto_version(c->ssl, offers[i].version_min);
    (void)SSL_set_max_proto_version(c->ssl, offers[i].version_max);
    assert_int_equal(SSL_set_cipher_list(c->ssl, offers[i].suites), 1);
    if (protocols)
        assert_int_equal(SSL_set_alpn_protos(c->ssl, (const unsigned char *)protocols,
                                             (unsigned)strlen(protocols)),
                         0);
}

static void test_offers(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 2 * ARRAY_LEN(offers); i++) {
        size_t row = i / 2;
        uint64_t refused = limited(world, LIMITED_handshake);
        const unsigned char *protocol = NULL;
        unsigned len = 0;
        struct client c;
        int r;

        open_client(world, &c, 0);
        offer(&c, row);
        c.at_once = i % 2 ? 1 : SIZE_MAX; // byte by byte the second time
        r = shake_hands(world, &c);
        if (r != !offers[row].alert ||
            (r == 0 && c.why != SSL_AD_REASON_OFFSET + offers[row].alert))
            fail_msg("[%s] greeted: %d (%d)", offers[row].row, r, c.why);
        if (r == 1) {
            assert_string_equal(SSL_get_cipher_name(c.ssl), offers[row].suite);
            assert_int_equal(SSL_session_reused(c.ssl), 0);
            SSL_get0_alpn_selected(c.ssl, &protocol, &len);
            assert_true(!protocol == !offers[row].protocols);
            assert_true(!len || (len == 8 && memcmp(protocol, "http/1.1", 8) == 0));
            say(&c, GET("/hello"));
            await_bytes(world, &c, 1);
            assert_int_equal(answers_in(&c), 1);
        } else {
            await_end(world, &c);
            assert_int_equal(c.error, 0);
        }
        assert_int_equal(limited(world, LIMITED_handshake) - refused,
                         offers[row].alert != 0);
        close_client(&c);
    }
    await_clients(world, 0);
    assert_int_equal(ERR_peek_error(), 0);
}

/* No ticket, no identifier: there is nothing that could bring a session back. */
static void test_no_resumption(void **state)
{
    struct world *world = *state;

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct client c;

        open_client(world, &c, 0);
        (void)SSL_set_max_proto_version(c.ssl, version);
        assert_int_equal(shake_hands(world, &c), 1);
        say(&c, GET("/hello"));
        await_bytes(world, &c, 1);
        assert_int_equal(SSL_SESSION_is_resumable(SSL_get_session(c.ssl)), 0);
        close_client(&c);
    }
}

static void test_renegotiation(void **state)
{
    struct world *world = *state;
    struct client c;

    open_client(world, &c, 0);
    (void)SSL_set_max_proto_version(c.ssl, TLS1_2_VERSION);
    assert_int_equal(shake_hands(world, &c), 1);
    assert_int_equal(SSL_renegotiate(c.ssl), 1);
    assert_int_equal(shake_hands(world, &c), 0);
    assert_int_equal(c.why, SSL_R_NO_RENEGOTIATION);
    close_client(&c);
    await_clients(world, 0);
}

/* Silence, and bytes that come too slowly: one deadline for all until the first head. */
static void test_stalls(void **state)
{
    static const struct {
        const char *row;
        size_t said;    // of the hello
        uint64_t greet; // after this time; 0: never
        enum http_limited limit;
    } stalls[] = {
        {"silent", 0, 0, LIMITED_handshake},
        {"half a hello", 100, 0, LIMITED_handshake},
        {"no head", 0, 1, LIMITED_head_time},
        {"a late handshake, and no head", 0, 400, LIMITED_head_time},
    };
    struct world *world = *state;

    world->server->waits[WAIT_HEAD].span_ms = 500;
    for (size_t i = 0; i < ARRAY_LEN(stalls); i++) {
        uint64_t before = limited(world, stalls[i].limit), start = now_ms();
        struct client c;
        char hello[128];

        open_client(world, &c, 0);
        let_pass(world, stalls[i].greet);
        if (stalls[i].greet)
            assert_int_equal(shake_hands(world, &c), 1);
        (void)SSL_do_handshake(c.ssl);
        if (stalls[i].said)
            (void)!send(c.fd, hello, (size_t)BIO_read(c.out, hello, 100), MSG_NOSIGNAL);
        while (!c.ended && now_ms() < start + PATIENCE_MS) {
            char *byte = hello;

            // A drop every 5 ms does not begin the deadline anew.
            if (stalls[i].said && BIO_read(c.out, byte, 1) == 1)
                (void)!send(c.fd, byte, 1, MSG_NOSIGNAL);
            let_pass(world, 5);
            pump_in(&c);
        }
        if (!c.ended || now_ms() - start < 490 || now_ms() - start > 850)
            fail_msg("[%s] ended %d after %ju ms", stalls[i].row, c.ended,
                     (uintmax_t)(now_ms() - start));
        assert_int_equal(limited(world, stalls[i].limit) - before, 1);
        close_client(&c);
    }
    await_clients(world, 0);
}

static void test_no_tls(void **state)
{
    static const struct {
        const char *sent;
        const char *answered;
        int counted;
    } rows[] = {
        {GET("/hello"), "HTTP/1.1 400 Bad Request", 1},
        {"HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request", 1},
        {"SSH-2.0-x\r\n", "", 1},
        {"\x16\x03\x01\xff\xff----------------------", "", 1},
        {"\x80\x2e\x01\x03\x01", "", 1},
        {"", "", 0}, // somebody who looks whether the port is open
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t before = limited(world, LIMITED_handshake);
        struct client c;
        ssize_t n = 0;

        open_client(world, &c, 0);
        (void)!send(c.fd, rows[i].sent, strlen(rows[i].sent), MSG_NOSIGNAL);
        (void)shutdown(c.fd, SHUT_WR);
        for (int j = 0; j < 50 && n >= 0 && c.len < GOT_MAX; j++) {
            let_pass(world, 1);
            n = recv(c.fd, c.got + c.len, GOT_MAX - 1 - c.len, MSG_DONTWAIT);
            c.len += (size_t)MAX(n, (ssize_t)0);
            n = n < 0 && errno != EAGAIN ? -1 : 0;
        }
        if (n < 0 || strncmp(c.got, rows[i].answered, strlen(rows[i].answered)) != 0)
            fail_msg("row %zu: %zd, %s", i, n, c.got);
        assert_int_equal(limited(world, LIMITED_handshake) - before, rows[i].counted);
        close_client(&c);
        await_clients(world, 0);
    }
}

static void test_requests_in_one_record(void **state)
{
    struct world *world = *state;
    static char text[16 * 1024];
    struct client c;
    size_t n = 0;

    open_client(world, &c, 0);
    assert_int_equal(shake_hands(world, &c), 1);
    say(&c, GET("/hello") GET("/hello") GET("/hello"));
    while (answers_in(&c) < 3)
        await_bytes(world, &c, c.len + 1);
    for (n = 0; n < 90; n++) // and in one that is large
        memcpy(text + n * strlen(GET("/hello")), GET("/hello"), sizeof(GET("/hello")));
    say(&c, text);
    while (answers_in(&c) < 93)
        await_bytes(world, &c, c.len + 1);

    c.at_once = 1;
    say(&c, GET("/hello"));
    while (answers_in(&c) < 94)
        await_bytes(world, &c, c.len + 1);
    close_client(&c);
}

static void test_large_answer_to_a_late_reader(void **state)
{
    struct world *world = *state;
    struct client c;
    const char *body;

    open_client(world, &c, SMALL_RECEIVER);
    assert_int_equal(shake_hands(world, &c), 1);
    say(&c, GET("/big") GET("/hello"));
    pump_out(world, &c);
    let_pass(world, 30);
    await_bytes(world, &c, 1);
    body = strstr(c.got, "\r\n\r\n") + 4;
    await_bytes(world, &c, (size_t)(body - c.got) + BIG);
    assert_memory_equal(body, world->big, BIG);
    await_bytes(world, &c, (size_t)(body - c.got) + BIG + 100);
    assert_non_null(strstr(body + BIG, "hello\n"));
    close_client(&c);
    await_clients(world, 0);
}

/* The answer is followed by a farewell, which a slow reader gets as well. */
static void test_closing_says_farewell(void **state)
{
    struct world *world = *state;
    struct client c;

    for (int i = 0; i < 2; i++) {
        open_client(world, &c, i ? SMALL_RECEIVER : 0);
        assert_int_equal(shake_hands(world, &c), 1);
        say(&c, i ? "GET /big HTTP/1.0\r\n\r\n" : "GET /hello HTTP/1.0\r\n\r\n");
        await_end(world, &c);
        assert_int_equal(c.error, 0);
        assert_true(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN);
        assert_true(c.len > (i ? (size_t)BIG : 100));
        close_client(&c);
    }
}

/* The farewell waits for room, and the end of the connection for the farewell. */
static void test_closing_waits_for_room(void **state)
{
    struct world *world = *state;
    uint64_t end = now_ms() + PATIENCE_MS;
    struct client c;

    open_client(world, &c, SMALL_RECEIVER);
    assert_int_equal(shake_hands(world, &c), 1);
    say(&c, "GET /stuffed HTTP/1.0\r\n\r\n");
    pump_out(world, &c);
    let_pass(world, 5);
    assert_int_equal(http_server_stats(world->server).clients, 1);
    while (!c.ended && now_ms() < end) {
        let_pass(world, 0);
        pump_in(&c);
    }
    assert_true(c.ended);
    assert_int_equal(c.error, 0); // a reset would throw away what was not read
    close_client(&c);
    await_clients(world, 0);
}

static void open_stream(struct world *world, struct client *c, int receive_bytes)
{
    open_client(world, c, receive_bytes);
    assert_int_equal(shake_hands(world, c), 1);
    say(c, GET("/stream"));
    await_bytes(world, c, 1);
    c->len = 0;
    memset(c->got, 0, GOT_MAX);
}

static void test_stream(void **state)
{
    struct world *world = *state;
    struct complaint complaint;
    struct client c, late;

    open_stream(world, &c, 0);
    assert_int_equal(http_stream_write(world->stream, span_of("2\r\nab\r\n")), 7);
    await_bytes(world, &c, 7);

    // New ones get the new certificate; this stream lives on.
    assert_int_equal(
        reload_tls(world->tls, path_of("other.pem"), path_of("other.key"), &complaint),
        0);
    open_client(world, &late, 0);
    assert_int_equal(shake_hands(world, &late), 1);
    assert_int_not_equal(
        X509_cmp(SSL_get0_peer_certificate(c.ssl), SSL_get0_peer_certificate(late.ssl)),
        0);
    close_client(&late);
    assert_int_equal(http_stream_write(world->stream, span_of("2\r\ncd\r\n")), 7);
    await_bytes(world, &c, 14);

    http_stream_end(world->stream);
    await_end(world, &c);
    assert_int_equal(c.error, 0);
    assert_string_equal(c.got, "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n");
    assert_true(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN);
    close_client(&c);
    assert_int_equal(world->closed, 0);
}

/* Keys may be changed by either side at any time; a stream goes on. */
/* Records without content are taken one a turn: who sends them holds up nobody. */
static void flood_at_once(struct world *world, struct client *c)
{
    char bytes[8 * 1024];
    int n;

    for (int i = 0; i < 100; i++) {
        assert_int_equal(SSL_key_update(c->ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(c->ssl), 1);
    }
    n = BIO_read(c->out, bytes, sizeof(bytes));
    assert_true(n > 2000);
    assert_int_equal(send(c->fd, bytes, (size_t)n, MSG_NOSIGNAL), n);
    (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_true(world->stream->transport.taken > 0);
    assert_true(world->stream->transport.taken < 200);
    let_pass(world, 50);
    assert_int_equal(world->stream->transport.taken, n);
}

static void test_key_updates(void **state)
{
    struct world *world = *state;
    struct client c;
    size_t len = 0;

    open_stream(world, &c, 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(SSL_key_update(c.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(c.ssl), 1);
        pump_out(world, &c);
        let_pass(world, 2);
        assert_int_equal(http_stream_write(world->stream, span_of("1\r\nx\r\n")), 6);
        await_bytes(world, &c, len += 6);
    }
    flood_at_once(world, &c);
    assert_int_equal(limited(world, LIMITED_input), 0);
    for (int i = 0; i < 4000 && !limited(world, LIMITED_input); i++) { // a flood
        assert_int_equal(SSL_key_update(c.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(c.ssl), 1);
        pump_out(world, &c);
    }
    assert_int_equal(limited(world, LIMITED_input), 1);
    assert_int_equal(http_stream_write(world->stream, span_of("1\r\nx\r\n")), 6);
    await_bytes(world, &c, len + 6);
    close_client(&c);
    await_clients(world, 0);
    assert_int_equal(world->closed, 1);
}

/* Write to the stream until nothing more is taken; how much was. */
static size_t fill(struct world *world, size_t from)
{
    size_t sent = from;

    for (;;) {
        ssize_t n = http_stream_write(world->stream,
                                      (struct span){world->big + sent, BIG - sent});

        assert_true(n >= 0);
        if (n == 0)
            return sent;
        sent += (size_t)n;
        assert_true(sent < BIG);
    }
}

static void test_stream_waits_for_its_reader(void **state)
{
    struct world *world = *state;
    struct client c;
    size_t sent = 0;

    open_stream(world, &c, SMALL_RECEIVER);
    for (int i = 0; i < 4; i++) {
        unsigned writable = world->writable;
        uint64_t end = now_ms() + PATIENCE_MS;

        sent = fill(world, sent);
        http_stream_wait(world->stream);
        let_pass(world, 5);
        assert_int_equal(world->writable, writable);
        say(&c, "what a stream's peer says meanwhile is dropped");
        while (world->writable == writable && now_ms() < end)
            (void)turn(world, &c);
        assert_int_equal(world->writable, writable + 1);
    }
    await_bytes(world, &c, sent - 16 * 1024); // the last record may not be out yet
    assert_memory_equal(c.got, world->big, c.len);
    close_client(&c);
    await_clients(world, 0);
    assert_int_equal(world->closed, 1);
}

static void test_stream_whose_reader_stalls(void **state)
{
    struct world *world = *state;
    struct client c;

    world->server->waits[WAIT_STALLED].span_ms = 60;
    open_stream(world, &c, SMALL_RECEIVER);
    (void)fill(world, 0);
    http_stream_wait(world->stream);
    await_clients(world, 0);
    assert_int_equal(world->closed, 1);
    assert_int_equal(limited(world, LIMITED_stall_time), 1);
    while (!c.ended)
        pump_in(&c);
    assert_int_equal(c.error, ECONNRESET);
    close_client(&c);
}

/* Bytes that are no record end the stream at once. */
static void test_garbage_after_the_handshake(void **state)
{
    struct world *world = *state;
    struct client c;

    open_stream(world, &c, 0);
    (void)!send(c.fd, GET("/hello"), strlen(GET("/hello")), MSG_NOSIGNAL);
    await_clients(world, 0);
    assert_int_equal(world->closed, 1);
    assert_int_equal(ERR_peek_error(), 0);
    close_client(&c);
}

static void test_memory_of_a_stream(void **state)
{
    struct world *world = *state;

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct client c;
        size_t with, bytes;

        open_client(world, &c, 0);
        (void)SSL_set_max_proto_version(c.ssl, version);
        assert_int_equal(shake_hands(world, &c), 1);
        say(&c, GET("/stream"));
        await_bytes(world, &c, 1);
        assert_int_equal(http_stream_write(world->stream, span_of("x")), 1);
        await_bytes(world, &c, c.len + 1);
        with = mallinfo2().uordblks;
        http_stream_close(world->stream);
        let_pass(world, 2);
        bytes = with - mallinfo2().uordblks;
        print_message("%zu bytes a stream by %s\n", bytes, SSL_get_version(c.ssl));
        assert_true(bytes < STREAM_BYTES_MAX);
        close_client(&c);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_offers),
        TEST(test_no_resumption),
        TEST(test_renegotiation),
        TEST(test_stalls),
        TEST(test_no_tls),
        TEST(test_requests_in_one_record),
        TEST(test_large_answer_to_a_late_reader),
        TEST(test_closing_says_farewell),
        TEST(test_closing_waits_for_room),
        TEST(test_stream),
        TEST(test_key_updates),
        TEST(test_stream_waits_for_its_reader),
        TEST(test_stream_whose_reader_stalls),
        TEST(test_garbage_after_the_handshake),
        TEST(test_memory_of_a_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
