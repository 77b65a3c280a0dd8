// SPDX-License-Identifier: Apache-2.0
/*
 * http_conn.h - one connection of an http_server; private to net/
 *
 * http_server.c accepts and keeps time, census.c counts; http_conn.c reads and has requests handled,
 * http_response.c answers, http_stream.c streams.
 * A connection keeps no buffers of its own while nothing is half read or half sent.
 */
#ifndef NET_HTTP_CONN_H
#define NET_HTTP_CONN_H

#include "net/census.h"
#include "net/deadline.h"
#include "net/http_server.h"
#include "net/peers.h"
#include "net/transport.h"

enum {
    SCRATCH_BYTES = 2 * HTTP_HEAD_MAX,
    STREAM_INPUT_MAX = 32 * 1024, // taken from a stream's peer between two writes to it
};

enum conn_wait { WAIT_HEAD, WAIT_IDLE, WAIT_STALLED, WAIT_LINGER, CONN_WAITS };

enum conn_state {
    CONN_HANDSHAKING,
    CONN_READING,   // waiting for, or in the middle of, a request head
    CONN_ANSWERING, // part of a response is still to be sent
    CONN_STREAMING,
    CONN_LINGERING, // all is said; reading until the peer has seen it and closed
    CONN_CLOSED,    // the handle is being closed
};

struct http_conn {
    uv_poll_t poll;
    struct deadline deadline;
    struct http_server *server;
    struct http_conn *prev, *next; // all connections of the server
    const struct http_stream_ops *ops;
    void *stream;
    const char *allow_origin; // of the request being handled; NULL: our own pages alone
    char *in;                 // bytes read and not yet parsed
    char *out;                // bytes of a response not yet sent; then those of `lent`
    struct span lent;         // the rest of a body that is not ours
    void (*release)(void *lender); // NULL: nothing is lent
    void *lender;
    uint64_t lent_at_ms;
    uint32_t in_len;
    uint32_t in_scanned;
    uint32_t out_len;
    uint32_t out_sent;
    struct peer_address peer;
    struct transport transport;
    uint16_t requests;
    uint8_t state; // enum conn_state
    uint8_t minor;
    bool head_only;
    bool keep_alive;
    bool answered;
    bool deaf; // a stream whose input waits until it is next written to
};

struct http_server {
    struct http_server_options options;
    struct census *census;
    struct census *own_census; // NULL: it is another's
    struct http_conn *conns;
    struct acceptor *acceptors;
    struct deadline_list waits[CONN_WAITS];
    uv_timer_t timer;
    uv_timer_t pause; // runs while nobody is accepted
    int reserve_fd;   // given up for a moment when no descriptor is left
    bool draining;
    bool closing;
    http_drained_fn *drained;
    void *drained_ctx;
    uint64_t date_s;
    char date[40];
    char scratch[SCRATCH_BYTES]; // what is being read, on any connection
};

/* Owns `fd` from here on, even on failure. `tls` NULL: plain. */
int http_conn_open(struct http_server *server, int fd, const struct peer_address *peer,
                   struct tls *tls) MUST_CHECK;

/* Close it and tell the stream's owner; `abort` throws away what the peer has not read. */
void http_conn_close(struct http_conn *conn);
void http_conn_abort(struct http_conn *conn);

/* Close it; if it has a stream, its owner knows. */
void http_conn_release(struct http_conn *conn);

/* The head that was begun is not complete in time: 408. */
void http_conn_time_out(struct http_conn *conn);

/* Wait for these events, and no others. */
void http_conn_poll(struct http_conn *conn, int events);

/* After reading or sending: begin whatever the connection waits for now. */
void http_conn_next(struct http_conn *conn);

/* Take the whole requests that it has sent, and no more; its stream goes on. */
void http_conn_drain(struct http_conn *conn);

/* A deadline of kind `wait` begins; the server's timer is set accordingly. */
void http_server_wait(struct http_server *server, struct http_conn *conn,
                      enum conn_wait wait);

/* The connection is gone: uncount it. */
void http_server_forget(struct http_server *server, struct http_conn *conn);

#endif
