// SPDX-License-Identifier: Apache-2.0
#include "net/http_conn.h"

#include "net/http_response.h"
#include "net/http_stream.h"

#define HTTPS_ONLY \
    "{\"error\":{\"status\":400,\"message\":\"this port speaks HTTPS only\"}}\n"

static void on_handle_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct http_conn, poll));
}

void http_conn_release(struct http_conn *conn)
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
    http_response_give_back(conn);
    if (conn->stream)
        census_end_stream(conn->server->census);
    http_server_forget(conn->server, conn);
}

void http_conn_close(struct http_conn *conn)
{
    bool streaming = conn->state == CONN_STREAMING;
    const struct http_stream_ops *ops = conn->ops;
    void *stream = conn->stream;

    http_conn_release(conn);
    if (streaming)
        ops->closed(stream);
}

void http_conn_abort(struct http_conn *conn)
{
    transport_abort(&conn->transport);
    http_conn_close(conn);
}

static void on_poll(uv_poll_t *poll, int status, int events);

void http_conn_poll(struct http_conn *conn, int events)
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
    http_conn_poll(conn, events);
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
        http_response_refuse(conn, -r);
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
        http_response_refuse(conn, 500);
    conn->allow_origin = NULL; // lent for this answer
}

bool http_is_unix(const struct http_conn *conn)
{
    return peer_is_unix(&conn->peer);
}

const struct peer_address *http_peer(const struct http_conn *conn)
{
    return &conn->peer;
}

bool http_is_tls(const struct http_conn *conn)
{
    return conn->transport.ssl != NULL;
}

void http_conn_time_out(struct http_conn *conn)
{
    conn->head_only = is_head_request((struct span){conn->in, conn->in_len});
    http_response_refuse(conn, 408);
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
            http_response_refuse(conn, -n);
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
    http_conn_poll(conn, conn->transport.recv_wants);
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
        http_conn_poll(conn, conn->transport.send_wants);
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
            http_conn_release(conn);
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

/* Bytes after the last response: read and dropped. */
static void drop_input(struct http_conn *conn)
{
    ssize_t n = transport_recv(&conn->transport, conn->server->scratch, SCRATCH_BYTES);

    if (n == 0)
        http_conn_release(conn); // it may still be reading
    else if (n < 0 && n != -EAGAIN)
        http_conn_abort(conn);
}

static void flush_response(struct http_conn *conn)
{
    char *scratch = conn->server->scratch;
    int r = http_response_flush(conn);

    if (r < 0) {
        http_conn_abort(conn);
        return;
    }
    if (r == 0) {
        http_conn_next(conn);
        return;
    }
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

void http_conn_drain(struct http_conn *conn)
{
    if (conn->state == CONN_HANDSHAKING) {
        http_conn_close(conn); // it has asked for nothing yet
        return;
    }
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
        if (conn->state == CONN_STREAMING)
            http_stream_broken(conn);
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
        http_stream_serve(conn, events);
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
