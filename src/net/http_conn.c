// SPDX-License-Identifier: Apache-2.0
#include "net/http_conn.h"

#include "base/buf.h"

#include <stdio.h>
#include <time.h>

enum { RESPONSE_HEAD_MAX = 1024 };

#define HTTPS_ONLY \
    "{\"error\":{\"status\":400,\"message\":\"this port speaks HTTPS only\"}}\n"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {421, "Misdirected Request"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

static void on_handle_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct http_conn, poll));
}

static void conn_close(struct http_conn *conn)
{
    if (conn->state == CONN_CLOSED)
        return;
    conn->state = CONN_CLOSED;
    deadline_clear(&conn->deadline);
    (void)uv_poll_stop(&conn->poll);
    uv_close((uv_handle_t *)&conn->poll, on_handle_closed);
    transport_close(&conn->transport);
    free(conn->in);
    free(conn->out);
    conn->in = conn->out = NULL;
    if (conn->stream)
        census_end_stream(conn->server->census);
    http_server_forget(conn->server, conn);
}

void http_conn_close(struct http_conn *conn)
{
    bool streaming = conn->state == CONN_STREAMING;
    const struct http_stream_ops *ops = conn->ops;
    void *stream = conn->stream;

    conn_close(conn);
    if (streaming)
        ops->closed(stream);
}

void http_conn_abort(struct http_conn *conn)
{
    transport_abort(&conn->transport);
    http_conn_close(conn);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void conn_poll(struct http_conn *conn, int events)
{
    (void)uv_poll_start(&conn->poll, events, on_poll); // fails on closing handles only
}

/* Say no more, but let the peer read what was said: a plain close could overtake it. */
static void conn_linger(struct http_conn *conn)
{
    int events = UV_READABLE;

    conn->state = CONN_LINGERING;
    if (transport_shutdown(&conn->transport) == -EAGAIN)
        events |= conn->transport.send_wants;
    http_server_wait(conn->server, conn, WAIT_LINGER);
    conn_poll(conn, events);
}

static const char *date_now(struct http_server *server)
{
    time_t now = time(NULL);
    struct tm tm;

    if ((uint64_t)now != server->date_s && gmtime_r(&now, &tm)) {
        (void)strftime(server->date, sizeof(server->date), "%a, %d %b %Y %H:%M:%S GMT",
                       &tm);
        server->date_s = (uint64_t)now;
    }
    return server->date;
}

/*
 * No answer is a page: it may load and frame nothing, and is in no page but ours. A script
 * that somebody runs in one of them may read the rest of ours.
 */
static const char SAFE_FIELDS[] =
    "X-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'none'; connect-src 'self'; "
    "frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n";
static const char SAME_ORIGIN[] = "Cross-Origin-Resource-Policy: same-origin\r\n";

static int write_head(struct http_conn *conn, const struct http_response *response,
                      const char *framing, char *head)
{
    const char *connection = "", *origin = conn->allow_origin;

    if (!conn->keep_alive)
        connection = "Connection: close\r\n";
    else if (conn->minor == 0)
        connection = "Connection: keep-alive\r\n";

    return snprintf(
        head, RESPONSE_HEAD_MAX, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s%s%s%s%s%s%s%s\r\n",
        response->status, reason_of(response->status), date_now(conn->server),
        response->type ? "Content-Type: " : "", response->type ? response->type : "",
        response->type ? "\r\n" : "", framing, response->extra ? response->extra : "",
        connection, SAFE_FIELDS, origin ? "Access-Control-Allow-Origin: " : SAME_ORIGIN,
        origin ? origin : "", origin ? "\r\nVary: Origin\r\n" : "");
}

/* Keep what the socket did not take of head and body. */
static int keep_rest(struct http_conn *conn, struct span head, struct span body,
                     size_t sent)
{
    size_t from_head = MIN(sent, head.len), from_body = sent - from_head;
    size_t len = head.len + body.len - sent;

    conn->out = malloc(len);
    if (!conn->out)
        return -ENOMEM;
    memcpy(conn->out, head.at + from_head, head.len - from_head);
    if (body.len > from_body)
        memcpy(conn->out + head.len - from_head, body.at + from_body,
               body.len - from_body);
    conn->out_len = (uint32_t)len;
    conn->out_sent = 0;
    return 0;
}

static int send_response(struct http_conn *conn, struct span head, struct span body)
{
    ssize_t n = transport_sendv(&conn->transport, head, body);

    if (n < 0)
        return (int)n;
    if ((size_t)n == head.len + body.len)
        return 0;
    return keep_rest(conn, head, body, (size_t)n);
}

void http_respond(struct http_conn *conn, const struct http_response *response)
{
    char head[RESPONSE_HEAD_MAX], framing[48] = "";
    struct span body = conn->head_only ? (struct span){NULL, 0} : response->body;
    int len;

    conn->answered = true;
    if (response->status != 204 && !response->open_ended)
        (void)snprintf(framing, sizeof(framing), "Content-Length: %zu\r\n",
                       response->body.len);
    len = write_head(conn, response, framing, head);
    if (len < 0 || len >= RESPONSE_HEAD_MAX ||
        send_response(conn, (struct span){head, (size_t)len}, body) < 0) {
        conn->keep_alive = false;
        conn->state = CONN_LINGERING; // http_conn_next() will close it
        return;
    }
    if (conn->out)
        conn->state = CONN_ANSWERING;
}

/* Which counter a refusal by the parser, or for its time, belongs to. */
static void count_refusal(struct http_conn *conn, int status)
{
    switch (status) {
    case 408: // counted when it came due
    case 500: // nobody's limit
        break;
    case 413:
        http_count_limited(conn, LIMITED_body);
        break;
    case 414:
        http_count_limited(conn, LIMITED_line);
        break;
    case 431:
        http_count_limited(conn, LIMITED_head);
        break;
    default:
        http_count_limited(conn, LIMITED_malformed);
    }
}

/* Refuse what was read with `status` and close; http_conn_next() must follow. */
static void refuse(struct http_conn *conn, int status)
{
    struct http_response response = {.status = status, .type = "application/json"};
    char body[96];
    int len =
        snprintf(body, sizeof(body), "{\"error\":{\"status\":%d,\"message\":\"%s\"}}\n",
                 status, reason_of(status));

    count_refusal(conn, status);
    conn->keep_alive = false;
    response.body = (struct span){body, (size_t)len};
    http_respond(conn, &response);
}

/* A refused HEAD request gets no body either. */
static bool is_head_request(struct span head)
{
    static const char method[] = "HEAD ";

    return head.len >= sizeof(method) - 1 &&
           memcmp(head.at, method, sizeof(method) - 1) == 0;
}

static void handle_head(struct http_conn *conn, struct span head)
{
    struct http_request request;
    int r = http_request_parse(head, &request);

    conn->answered = false;
    conn->head_only = is_head_request(head);
    deadline_clear(&conn->deadline);
    if (r < 0) {
        refuse(conn, -r);
        return;
    }
    conn->minor = (uint8_t)request.minor;
    conn->keep_alive = request.keep_alive && !conn->server->draining;
    if (++conn->requests >= conn->server->options.limits.requests) {
        conn->keep_alive = false;
        http_count_limited(conn, LIMITED_requests);
    }

    conn->server->options.handler(conn->server->options.ctx, conn, &request);
    if (!conn->answered)
        refuse(conn, 500);
    conn->allow_origin = NULL; // lent for this answer
}

void http_allow_origin(struct http_conn *conn, const char *origin)
{
    conn->allow_origin = origin;
}

bool http_is_unix(const struct http_conn *conn)
{
    static const struct peer_address none;

    return memcmp(&conn->peer, &none, sizeof(none)) == 0;
}

bool http_is_tls(const struct http_conn *conn)
{
    return conn->transport.ssl != NULL;
}

void http_conn_time_out(struct http_conn *conn)
{
    conn->head_only = is_head_request((struct span){conn->in, conn->in_len});
    refuse(conn, 408);
    http_conn_next(conn);
}

/* Keep unparsed bytes for later; there are none once the connection will not go on. */
static int keep_input(struct http_conn *conn, struct span rest, size_t scanned)
{
    char *in = NULL;

    if (rest.len && (conn->state == CONN_READING || conn->state == CONN_ANSWERING)) {
        in = malloc(rest.len);
        if (!in)
            return -ENOMEM;
        memcpy(in, rest.at, rest.len);
    }
    free(conn->in);
    conn->in = in;
    conn->in_len = in ? (uint32_t)rest.len : 0;
    conn->in_scanned = in ? (uint32_t)scanned : 0;
    return 0;
}

/* Handle every complete request at the start of `bytes`; they lie in the scratch buffer. */
static void consume(struct http_conn *conn, struct span bytes, size_t scanned)
{
    while (bytes.len && conn->state == CONN_READING) {
        int n;

        if (bytes.len >= 2 && scanned <= 2 && memcmp(bytes.at, "\r\n", 2) == 0) {
            bytes = (struct span){bytes.at + 2, bytes.len - 2}; // RFC 9112 section 2.2
            scanned = 0;
            continue;
        }
        n = http_head_length(bytes, &scanned);
        if (n == 0)
            break;
        if (n < 0) {
            conn->answered = false;
            conn->head_only = is_head_request(bytes);
            refuse(conn, -n);
            bytes.len = 0;
            break;
        }
        handle_head(conn, (struct span){bytes.at, (size_t)n});
        bytes = (struct span){bytes.at + n, bytes.len - (size_t)n};
        scanned = 0;
        if (!conn->keep_alive)
            break;
    }
    if (conn->state != CONN_CLOSED && keep_input(conn, bytes, scanned) < 0)
        http_conn_abort(conn);
}

/*
 * A head's deadline runs from its first chance to be sent: neither its own bytes nor empty
 * lines before it begin it anew.
 */
static void wait_for_head(struct http_conn *conn)
{
    const struct deadline_list *waits = conn->server->waits, *list = conn->deadline.list;
    bool idle = conn->requests && conn->in_len == 0;

    if (list == &waits[WAIT_HEAD] || (list == &waits[WAIT_IDLE] && idle))
        return;
    http_server_wait(conn->server, conn, idle ? WAIT_IDLE : WAIT_HEAD);
}

static void await_input(struct http_conn *conn)
{
    wait_for_head(conn);
    conn_poll(conn, conn->transport.recv_wants);
}

/* After reading or sending: what is this connection waiting for now? */
void http_conn_next(struct http_conn *conn)
{
    switch ((enum conn_state)conn->state) {
    case CONN_HANDSHAKING:
        await_input(conn);
        break;
    case CONN_READING:
        if (conn->keep_alive)
            await_input(conn);
        else
            conn_linger(conn);
        break;
    case CONN_ANSWERING:
        http_server_wait(conn->server, conn, WAIT_STALLED);
        conn_poll(conn, conn->transport.send_wants);
        break;
    case CONN_LINGERING:
        conn_linger(conn);
        break;
    case CONN_STREAMING:
    case CONN_CLOSED:
        break;
    }
}

static void read_requests(struct http_conn *conn)
{
    char *scratch = conn->server->scratch;
    ssize_t n;

    do {
        if (conn->in_len)
            memcpy(scratch, conn->in, conn->in_len);
        n = transport_recv(&conn->transport, scratch + conn->in_len,
                           SCRATCH_BYTES - conn->in_len);
        if (n == 0 || (n < 0 && n != -EAGAIN)) {
            conn_close(conn);
            return;
        }
        if (n > 0)
            consume(conn, (struct span){scratch, conn->in_len + (size_t)n},
                    conn->in_scanned);
    } while (n > 0 && conn->state == CONN_READING && conn->keep_alive &&
             transport_pending(&conn->transport));
    http_conn_next(conn);
}

/* Answered in plain HTTP, which is what its sender understands. */
static void refuse_plain_http(struct http_conn *conn)
{
    static const struct http_response response = {
        .status = 400,
        .type = "application/json",
        .body = {HTTPS_ONLY, sizeof(HTTPS_ONLY) - 1},
    };

    conn->minor = 1;
    http_respond(conn, &response);
}

static void shake_hands(struct http_conn *conn)
{
    int r = transport_handshake(&conn->transport);

    if (r == 0) {
        http_conn_next(conn);
        return;
    }
    conn->state = CONN_READING;
    if (r > 0) {
        read_requests(conn);
        return;
    }
    if (r != -ECONNRESET)
        http_count_limited(conn, LIMITED_handshake);
    conn->keep_alive = false;
    if (r == -ENOMSG)
        refuse_plain_http(conn);
    http_conn_next(conn); // lingers, so that the peer reads why
}

/* The kernel has the same patience with a reader, and may be the first to lose it. */
static void note_error(struct http_conn *conn, ssize_t n)
{
    if (n == -ETIMEDOUT && conn->state == CONN_STREAMING)
        http_count_limited(conn, LIMITED_stall_time);
}

/* Bytes after the request of a stream, or after the last response: read and dropped. */
static void drop_input(struct http_conn *conn)
{
    ssize_t n = transport_recv(&conn->transport, conn->server->scratch, SCRATCH_BYTES);

    note_error(conn, n);
    if (n == 0 && conn->state == CONN_LINGERING)
        conn_close(conn); // it may still be reading
    else if (n == 0 || (n < 0 && n != -EAGAIN))
        http_conn_abort(conn);
}

/* What a stream's connection is polled for: its input in moderation. */
static void poll_stream(struct http_conn *conn, bool writable)
{
    const struct transport *transport = &conn->transport;
    int events =
        (conn->deaf ? 0 : transport->recv_wants) | (writable ? transport->send_wants : 0);

    if (events)
        conn_poll(conn, events);
    else
        (void)uv_poll_stop(&conn->poll);
}

static void read_of_stream(struct http_conn *conn, bool writable)
{
    uint8_t wanted = conn->transport.recv_wants;

    drop_input(conn);
    if (conn->state != CONN_STREAMING)
        return;
    if (conn->transport.taken >= STREAM_INPUT_MAX) {
        http_count_limited(conn, LIMITED_input);
        conn->deaf = true;
    }
    if (conn->deaf || conn->transport.recv_wants != wanted)
        poll_stream(conn, writable);
}

static void flush_response(struct http_conn *conn)
{
    char *scratch = conn->server->scratch;
    ssize_t n =
        transport_send(&conn->transport, (struct span){conn->out + conn->out_sent,
                                                       conn->out_len - conn->out_sent});

    if (n < 0) {
        http_conn_abort(conn);
        return;
    }
    conn->out_sent += (uint32_t)n;
    if (conn->out_sent < conn->out_len) {
        http_conn_next(conn);
        return;
    }
    free(conn->out);
    conn->out = NULL;
    conn->state = CONN_READING;
    if (conn->keep_alive && conn->in_len) {
        struct span bytes = {scratch, conn->in_len};

        memcpy(scratch, conn->in, conn->in_len);
        consume(conn, bytes, conn->in_scanned);
    }
    if (conn->state == CONN_READING && conn->keep_alive &&
        transport_pending(&conn->transport))
        read_requests(conn);
    else
        http_conn_next(conn);
}

/* A stream's socket has bytes, or room; by TLS either may be what the other waits for. */
static void serve_stream(struct http_conn *conn, int events)
{
    bool waits = conn->deadline.list != NULL;

    if (!conn->deaf && events & conn->transport.recv_wants)
        read_of_stream(conn, waits);
    if (conn->state == CONN_STREAMING && waits && events & conn->transport.send_wants) {
        deadline_clear(&conn->deadline);
        poll_stream(conn, false);
        conn->ops->writable(conn->stream);
    }
}

void http_conn_drain(struct http_conn *conn)
{
    if (conn->state == CONN_READING)
        read_requests(conn);
    if (conn->state != CONN_READING && conn->state != CONN_ANSWERING)
        return;
    conn->keep_alive = false;
    http_conn_next(conn);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct http_conn *conn = CONTAINER_OF(poll, struct http_conn, poll);

    if (status < 0) {
        http_conn_abort(conn);
        return;
    }
    switch ((enum conn_state)conn->state) {
    case CONN_HANDSHAKING:
        shake_hands(conn);
        break;
    case CONN_READING:
        read_requests(conn);
        break;
    case CONN_ANSWERING:
        flush_response(conn);
        break;
    case CONN_LINGERING:
        if (events & UV_WRITABLE)
            conn_linger(conn); // its farewell had no room yet
        else
            drop_input(conn);
        break;
    case CONN_STREAMING:
        serve_stream(conn, events);
        break;
    case CONN_CLOSED:
        break;
    }
}

int http_conn_open(struct http_server *server, int fd, const struct peer_address *peer,
                   struct tls *tls)
{
    struct http_conn *conn = calloc(1, sizeof(*conn));

    if (!conn || transport_open(&conn->transport, fd, tls) < 0) {
        free(conn);
        (void)close(fd);
        return -ENOMEM;
    }
    if (uv_poll_init(server->options.loop, &conn->poll, fd) < 0) {
        transport_close(&conn->transport);
        free(conn);
        return -ENOMEM;
    }
    conn->server = server;
    conn->state = tls ? CONN_HANDSHAKING : CONN_READING;
    conn->peer = *peer;
    conn->keep_alive = true;
    conn->next = server->conns;
    if (conn->next)
        conn->next->prev = conn;
    server->conns = conn;
    http_conn_next(conn);
    return 0;
}

static void refuse_stream(struct http_conn *conn)
{
    static const struct http_response busy = {
        .status = 503, .type = "application/json", .extra = "Retry-After: 5\r\n"};
    struct http_response response = busy;

    conn->keep_alive = false;
    response.body = span_of("{\"error\":{\"code\":\"too-many-streams\",\"message\":"
                            "\"as many streams are open as there may be\"}}\n");
    http_respond(conn, &response);
}

int http_start_stream(struct http_conn *conn, const char *type, const char *extra,
                      const struct http_stream_ops *ops, void *stream)
{
    struct http_response response = {.status = 200, .type = type, .extra = extra};
    char head[RESPONSE_HEAD_MAX];
    int len;

    if (!census_begin_stream(conn->server->census,
                             conn->server->options.limits.streams)) {
        refuse_stream(conn);
        return -EUSERS;
    }
    conn->answered = true;
    conn->keep_alive = conn->minor == 1; // chunks end the body; without them closing does
    len = write_head(conn, &response, conn->minor ? "Transfer-Encoding: chunked\r\n" : "",
                     head);
    if (len < 0 || len >= RESPONSE_HEAD_MAX ||
        transport_send(&conn->transport, (struct span){head, (size_t)len}) != len) {
        census_end_stream(conn->server->census);
        conn->keep_alive = false;
        conn->state = CONN_LINGERING; // http_conn_next() will close it
        return -EPIPE;
    }
    conn->ops = ops;
    conn->stream = stream;
    conn->state = CONN_STREAMING;
    conn->transport.taken = 0;
    deadline_clear(&conn->deadline);
    conn_poll(conn, conn->transport.recv_wants);
    return 0;
}

bool http_stream_chunked(const struct http_conn *conn)
{
    return conn->minor == 1;
}

ssize_t http_stream_write(struct http_conn *conn, struct span bytes)
{
    ssize_t n;

    if (conn->transport.taken) {
        conn->transport.taken = 0;
        conn->deaf = false;
        poll_stream(conn, false);
    }
    n = transport_send(&conn->transport, bytes);
    if (n < 0)
        note_error(conn, n);
    return n;
}

void http_stream_wait(struct http_conn *conn)
{
    http_server_wait(conn->server, conn, WAIT_STALLED);
    poll_stream(conn, true);
}

void http_stream_end(struct http_conn *conn)
{
    static const char last_chunk[] = "0\r\n\r\n";
    struct span end = span_of(http_stream_chunked(conn) ? last_chunk : "");

    census_end_stream(conn->server->census);
    conn->stream = NULL;
    conn->keep_alive = false;
    conn->state = CONN_READING;
    if (end.len && send_response(conn, end, (struct span){NULL, 0}) < 0) {
        http_conn_abort(conn);
        return;
    }
    if (conn->out)
        conn->state = CONN_ANSWERING;
    http_conn_next(conn);
}

void http_stream_close(struct http_conn *conn)
{
    conn_close(conn);
}
