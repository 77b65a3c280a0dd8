// SPDX-License-Identifier: Apache-2.0
#include "net/http_stream.h"

#include "net/http_response.h"

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
    len = http_response_head(conn, &response,
                             conn->minor ? "Transfer-Encoding: chunked\r\n" : "", head);
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
    http_conn_poll(conn, conn->transport.recv_wants);
    return 0;
}

/* The kernel has the same patience with a reader, and may be the first to lose it. */
static void note_error(struct http_conn *conn, ssize_t n)
{
    if (n == -ETIMEDOUT && conn->state == CONN_STREAMING)
        http_count_limited(conn, LIMITED_stall_time);
}

void http_stream_broken(struct http_conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);

    (void)getsockopt(conn->transport.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    note_error(conn, -error);
}

/* Bytes after the request: read and dropped. False: the connection is gone. */
static bool drop_input(struct http_conn *conn)
{
    ssize_t n = transport_recv(&conn->transport, conn->server->scratch, SCRATCH_BYTES);

    note_error(conn, n);
    if (n > 0 || n == -EAGAIN)
        return true;
    http_conn_abort(conn);
    return false;
}

/* What a stream's connection is polled for: its input in moderation. */
static void poll_stream(struct http_conn *conn, bool writable)
{
    const struct transport *transport = &conn->transport;
    int events =
        (conn->deaf ? 0 : transport->recv_wants) | (writable ? transport->send_wants : 0);

    if (events)
        http_conn_poll(conn, events);
    else
        (void)uv_poll_stop(&conn->poll);
}

static void read_of_stream(struct http_conn *conn, bool writable)
{
    uint8_t wanted = conn->transport.recv_wants;

    if (!drop_input(conn))
        return;
    if (conn->transport.taken >= STREAM_INPUT_MAX) {
        http_count_limited(conn, LIMITED_input);
        conn->deaf = true;
    }
    if (conn->deaf || conn->transport.recv_wants != wanted)
        poll_stream(conn, writable);
}

void http_stream_serve(struct http_conn *conn, int events)
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
    if (end.len && http_response_send(conn, end, (struct span){NULL, 0}) < 0) {
        http_conn_abort(conn);
        return;
    }
    if (conn->out)
        conn->state = CONN_ANSWERING;
    http_conn_next(conn);
}

void http_stream_close(struct http_conn *conn)
{
    http_conn_release(conn);
}
