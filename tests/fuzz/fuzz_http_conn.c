// SPDX-License-Identifier: Apache-2.0
/*
 * A whole server, with sockets and a loop that the input scripts: each byte is what comes
 * next for one of eight connections. Whatever it does, every byte it sends is part of a
 * proper answer, each request has one, every wait ends, and nothing is left at the end.
 */
#include "answer_reader.h"
#include "fake_net.h"
#include "net/http_server.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MAX_CLIENTS = 6,
    MAX_PER_IP = 4,
    MAX_STREAMS = 3,
    BIG = 20 * 1024,
    SCRIPT_MAX = 2048,
    CHUNK_MAX = 300,
    HEAD_MS = 5000,
    IDLE_MS = 10000,
    LINGER_MS = 1000,
    STALLED_MS = 15000,
    QUIET_MS = HEAD_MS + IDLE_MS + LINGER_MS + STALLED_MS, // one of each, at most
};

/* What the target knows of one connection. */
struct side {
    struct answer_reader answers;
    struct http_conn *stream; // NULL: there is none
    bool cut; // a stream that could not begin, or was ended where the peer takes nothing
    bool waits;
    uint64_t waits_since_ms;
    size_t rest_len; // of a chunk that the socket did not take
    char rest[CHUNK_MAX];
};

static struct http_server *server;
static struct side sides[FAKE_SOCKETS];
static char big[BIG];
static bool closing;

static struct side *side_of(const struct fake_socket *socket)
{
    return &sides[socket - fake_sockets];
}

void fake_on_sent(struct fake_socket *socket, struct span bytes)
{
    answer_read(&side_of(socket)->answers, bytes);
}

/* An answer cut short must not look whole: only a reset may end it, or the peer has. */
void fake_on_closed(struct fake_socket *socket)
{
    struct side *side = side_of(socket);

    assert(side->cut || closing || socket->abortive || socket->ended || socket->reset ||
           answer_is_whole(&side->answers));
    *side = (struct side){.stream = side->stream}; // whose owner is told yet
}

/* The stream's owner. */

static void drop_stream(struct side *side)
{
    struct http_conn *conn = side->stream;

    side->cut = true;
    side->stream = NULL;
    http_stream_close(conn);
}

static void push_rest(struct side *side)
{
    ssize_t n =
        http_stream_write(side->stream, (struct span){side->rest, side->rest_len});

    if (n < 0) {
        drop_stream(side);
        return;
    }
    assert((size_t)n <= side->rest_len);
    side->rest_len -= (size_t)n;
    memmove(side->rest, side->rest + n, side->rest_len);
    if (n > 0 || !side->waits)
        side->waits_since_ms = fake_now_ms;
    side->waits = side->rest_len > 0;
    if (side->waits)
        http_stream_wait(side->stream);
}

static void on_writable(void *stream)
{
    struct side *side = stream;

    assert(side->stream && side->waits);
    push_rest(side);
}

static void on_stream_closed(void *stream)
{
    struct side *side = stream;

    assert(side->stream);
    side->stream = NULL;
}

static void write_stream(struct side *side, size_t n)
{
    static const char hexadecimal[] = "0123456789abcdef";
    size_t len = 0;

    if (!side->stream || side->rest_len)
        return;
    n = n % 200 + 1;
    if (http_stream_chunked(side->stream)) {
        side->rest[len++] = hexadecimal[n / 16];
        side->rest[len++] = hexadecimal[n % 16];
        memcpy(side->rest + len, "\r\n", 2);
        len += 2;
    }
    memset(side->rest + len, answer_body_byte(BODY_STREAM, 0), n);
    len += n;
    if (http_stream_chunked(side->stream)) {
        memcpy(side->rest + len, "\r\n", 2);
        len += 2;
    }
    side->rest_len = len;
    push_rest(side);
}

static void end_stream(struct side *side, bool properly)
{
    struct http_conn *conn = side->stream;

    if (!conn)
        return;
    side->cut = true; // the last chunk may not fit
    side->stream = NULL;
    if (properly && side->rest_len == 0)
        http_stream_end(conn);
    else
        http_stream_close(conn);
}

/* The routes. */

static void answer_stream(struct http_conn *conn, struct side *side,
                          const struct http_request *request)
{
    static const struct http_stream_ops ops = {.writable = on_writable,
                                               .closed = on_stream_closed};
    static const struct http_response head = {
        .status = 200, .type = "text/event-stream", .open_ended = true};

    if (request->method == METHOD_HEAD) {
        http_respond(conn, &head);
        return;
    }
    side->rest_len = 0;
    side->waits = false;
    if (http_start_stream(conn, "text/event-stream", "X-Extra: 1\r\n", &ops, side) < 0)
        side->cut = true;
    else
        side->stream = conn;
}

static const struct route {
    const char *path;
    enum answer_body body;
    struct http_response response;
} routes[] = {
    {"/a", BODY_TEXT, {.status = 200, .type = "text/plain", .body = {"aaaaaa", 6}}},
    {"/big", BODY_BIG, {.status = 200, .type = "text/plain", .body = {big, BIG}}},
    {"/none", BODY_TEXT, {.status = 204, .extra = "Allow: GET\r\n"}},
    {"/later", BODY_TEXT, {.status = 503, .extra = "Retry-After: 5\r\n"}},
    {"/stream", BODY_STREAM, {0}},
    {"/silent", BODY_TEXT, {0}},
    {"*", BODY_TEXT, {.status = 204}},
    {NULL, BODY_TEXT, {.status = 404, .type = "text/plain", .body = {"aa", 2}}},
};

static void check_request(const struct http_request *request)
{
    assert(request->minor == 0 || request->minor == 1);
    for (const struct span *part = &request->path; part <= &request->sec_fetch_site;
         part++)
        for (size_t i = 0; i < part->len; i++)
            assert(part->at[i] && part->at[i] != '\r' && part->at[i] != '\n');
}

static void on_request(void *ctx, struct http_conn *conn,
                       const struct http_request *request)
{
    struct side *side = side_of(fake_current());
    const struct route *route = routes;

    (void)ctx;
    check_request(request);
    assert(!side->stream && side->answers.n_pending == 0); // one at a time
    while (route->path && !span_is(request->path, route->path))
        route++;
    answer_expect(&side->answers,
                  (struct answer_request){.body = route->body,
                                          .head = request->method == METHOD_HEAD,
                                          .http_10 = request->minor == 0});
    if (route->body == BODY_STREAM)
        answer_stream(conn, side, request);
    else if (route->response.status)
        http_respond(conn, &route->response);
}

/* The script. */

struct script {
    const uint8_t *at, *end;
};

static uint8_t next_byte(struct script *script)
{
    return script->at < script->end ? *script->at++ : 0;
}

static const char *const canned[] = {
    "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /big HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n",
    "HEAD /big HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /stream HTTP/1.0\r\n\r\n",
    "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET /none HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /silent HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /later HTTP/1.1\r\nHost: h\r\n",
    "\r\n",
    "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HEAD /a HTTP/2.0\r\n\r\n",
};

static void deliver_bytes(struct script *script, struct fake_socket *socket)
{
    size_t n = next_byte(script);

    n = MIN(n, (size_t)(script->end - script->at));
    fake_deliver(socket, (struct span){(const char *)script->at, n});
    script->at += n;
}

/* A known request, some times over; the high bits of the byte say how often. */
static void deliver_canned(struct script *script, struct fake_socket *socket)
{
    uint8_t which = next_byte(script);
    struct span request = span_of(canned[which % ARRAY_LEN(canned)]);

    for (unsigned n = 1U << (which >> 4) % 8; n; n--)
        fake_deliver(socket, request);
}

static void deliver_filler(struct script *script, struct fake_socket *socket)
{
    char filler[256];

    memset(filler, next_byte(script), sizeof(filler));
    for (unsigned n = next_byte(script) + 1U; n; n--)
        fake_deliver(socket, (struct span){filler, sizeof(filler)});
}

static void spoil_calls(struct script *script, struct fake_socket *socket)
{
    static const int errors[] = {EAGAIN, EINTR, ECONNRESET, EPIPE, ENOMEM, ETIMEDOUT};
    uint8_t what = next_byte(script);
    int error = errors[what / 4 % ARRAY_LEN(errors)];

    switch (what % 4) {
    case 0:
        socket->recv_error = error;
        break;
    case 1:
        socket->send_error = error;
        break;
    case 2:
        fake_disturb(socket, what & 64 ? -error : 0);
        break;
    default:
        socket->short_read = what / 4 * 16U;
    }
}

static void set_room(struct script *script, struct fake_socket *socket)
{
    if (!socket->slow && socket->connected)
        socket->room = (size_t)next_byte(script) * 16;
    socket->slow |= socket->connected;
}

static void step(struct script *script)
{
    uint8_t what = next_byte(script);
    struct fake_socket *socket = &fake_sockets[what >> 4 & 7];
    struct side *side = side_of(socket);

    switch (what & 15) {
    case 0:
        fake_connect(socket, (uint8_t)((socket - fake_sockets) / 5 + 1));
        break;
    case 1:
        deliver_bytes(script, socket);
        break;
    case 2:
    case 3:
        deliver_canned(script, socket);
        break;
    case 4:
        socket->ended |= socket->connected;
        break;
    case 5:
        socket->reset |= socket->connected;
        break;
    case 6:
        fake_pass(next_byte(script) * 100U);
        break;
    case 7:
        set_room(script, socket);
        break;
    case 8:
        fake_take(socket, next_byte(script) * 64U);
        break;
    case 9:
        fake_take(socket, SIZE_MAX);
        socket->slow = false;
        break;
    case 10:
        write_stream(side, next_byte(script));
        break;
    case 11:
        end_stream(side, next_byte(script) % 2);
        break;
    case 12:
        spoil_calls(script, socket);
        break;
    case 13:
        fake_descriptors_gone = what >> 4 & 1;
        fake_descriptors_taken = what >> 4 & 2;
        break;
    case 14:
        deliver_filler(script, socket);
        break;
    default:
        break; // nothing but a turn of the loop
    }
}

/* For how long the server may hold a connection of which it has heard nothing. */
static uint64_t patience_ms(const struct fake_socket *socket, const struct side *side)
{
    if (side->stream)
        return side->waits ? STALLED_MS : UINT64_MAX;
    if (side->answers.last || socket->shut || (socket->slow && !socket->room) ||
        !answer_is_whole(&side->answers))
        return QUIET_MS;
    return side->answers.any ? IDLE_MS + HEAD_MS : HEAD_MS;
}

/* Nobody holds a connection by doing nothing, nor by sending what is no request. */
static void check(void)
{
    size_t open = 0;

    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        const struct fake_socket *socket = &fake_sockets[i];
        uint64_t since_ms = MAX(socket->heard_ms, sides[i].waits_since_ms);

        open += socket->open;
        if (socket->open)
            assert(fake_now_ms - since_ms <= patience_ms(socket, &sides[i]));
        else
            assert(!sides[i].stream);
    }
    assert(http_server_stats(server).clients == open && open <= MAX_CLIENTS);
}

static void open_server(void)
{
    static uv_loop_t loop;
    struct http_server_options options = {.loop = &loop,
                                          .handler = on_request,
                                          .limits = {.clients = MAX_CLIENTS,
                                                     .clients_per_ip = MAX_PER_IP,
                                                     .streams = MAX_STREAMS}};
    struct complaint complaint;
    char url[8];

    for (size_t i = 0; i < BIG; i++)
        big[i] = answer_body_byte(BODY_BIG, i);
    memset(sides, 0, sizeof(sides));
    closing = false;
    fake_reset();
    assert(http_server_new(&options, &server) == 0);
    assert(http_server_listen(server, "127.0.0.1:0", url, sizeof(url), &complaint) == 0);
}

/* Everybody but the streams is gone after a while; and in the end, so are they. */
static void close_server(void)
{
    fake_descriptors_gone = false;
    fake_turn();
    fake_pass(QUIET_MS + 1);
    check();
    for (size_t i = 0; i < FAKE_SOCKETS; i++)
        assert(!fake_sockets[i].open || sides[i].stream);
    closing = true;
    http_server_close(server);
    fake_turn();
    check();
    assert(fake_all_released());
    http_server_free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, data + MIN(size, (size_t)SCRIPT_MAX)};

    open_server();
    while (script.at < script.end) {
        step(&script);
        fake_turn();
        check();
    }
    close_server();
    return 0;
}
