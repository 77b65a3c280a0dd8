// SPDX-License-Identifier: Apache-2.0
/*
 * http_server.h - HTTP/1.0 and 1.1 on a libuv loop, for a few routes and many streams
 *
 * The server owns its connections. A handler is called once per request, on the loop's
 * thread, and must answer before it returns: with http_respond(), or by turning the
 * connection into a stream with http_start_stream(). A stream is written by its owner
 * straight into the socket; nothing is queued here, so memory per stream is the
 * connection's own few hundred bytes however slow its reader is.
 *
 * Every wait has a deadline: a head must be complete 5 s after its first chance to be
 * sent, a TLS handshake before it included, an idle connection is closed after 10 s, a
 * reader whose window has been shut for 15 s is reset. Connections are limited in all and
 * per address, streams in all. Whatever is refused or ended by a limit is counted under
 * its name (http_limits.def).
 */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include "base/complaint.h"
#include "net/http_request.h"

#include <uv.h>

struct census;
struct http_conn;
struct http_server;
struct tls;

typedef void http_handler_fn(void *ctx, struct http_conn *conn,
                             const struct http_request *request);

/* Each 0 stands for the default. */
struct http_limits {
    size_t clients;        // at a time; 512
    size_t clients_per_ip; // at a time, from one address; 64
    size_t streams;        // at a time; 256
    size_t requests;       // on one connection; 100
    uint64_t head_ms;      // for a head, from its first chance to be sent; 5000
    uint64_t idle_ms;      // between two requests; 10000
    uint64_t stalled_ms;   // for a reader to take anything; 15000
};

/* The same with the defaults put in. */
struct http_limits http_limits_of(struct http_limits given);

struct http_server_options {
    uv_loop_t *loop;
    http_handler_fn *handler;
    void *ctx;
    struct http_limits limits;
    struct tls *tls;       // for all but Unix sockets, lent; NULL: plain
    struct census *census; // shared with other servers, lent; NULL: one of its own
    bool allow_public;     // listen on addresses that are not loopback
    bool several;          // other servers will listen on the same addresses
    uint32_t socket_mode;  // of a unix:PATH; 0: 0660
    bool held;             // let connections wait until http_server_release()
};

enum http_limited {
#define LIMIT(name) LIMITED_##name,
#include "net/http_limits.def"
#undef LIMIT
    HTTP_LIMITED,
};

extern const char *const http_limited_names[HTTP_LIMITED];

/* Of one moment, and since the start. */
struct http_server_stats {
    size_t clients;
    size_t streams;
    uint64_t accepted;
    uint64_t limited[HTTP_LIMITED];
};

int http_server_new(const struct http_server_options *options,
                    struct http_server **ret) MUST_CHECK;

/*
 * Listen on "HOST:PORT", "[V6]:PORT" or "unix:PATH" and accept from now on. Port 0 picks a free one. On success the
 * address as a URL ("http://127.0.0.1:6767", "unix:/run/x") is written to `ret_url`.
 * -EACCES: not a loopback address and allow_public is off. `complaint` says it in words.
 */
int http_server_listen(struct http_server *server, const char *address, char *ret_url,
                       size_t url_room, struct complaint *complaint) MUST_CHECK;

/* Listen on all addresses of `first`, which is one of `several`; the kernel distributes. */
int http_server_listen_with(struct http_server *server,
                            const struct http_server *first) MUST_CHECK;
/*
 * The same on a listening socket that somebody else has opened, and whose file is theirs.
 * Owns `fd` from here on, even on failure.
 */
int http_server_adopt(struct http_server *server, int fd, char *ret_url, size_t url_room,
                      struct complaint *complaint) MUST_CHECK;

/* With `held`: whoever has connected meanwhile is served now. */
void http_server_release(struct http_server *server);

typedef void http_drained_fn(void *ctx);

/*
 * Stop listening, so that another may take the address; answer the requests that have
 * come whole, finish the answers under way, and part from each connection as its peer has
 * read everything. Streams are their owners' to end. drained(ctx) is called when the last
 * connection is gone, perhaps at once, and not from http_server_close(), which may be
 * called at any time to wait no longer.
 */
void http_server_drain(struct http_server *server, http_drained_fn *drained, void *ctx);

/* Stop listening and close every connection. The loop must turn once more before free. */
void http_server_close(struct http_server *server);
void http_server_free(struct http_server *server);

/* Of all servers that share its census. */
struct http_server_stats http_server_stats(const struct http_server *server);

/* Somebody who asks on `conn` is being refused for `what`. */
void http_count_limited(struct http_conn *conn, enum http_limited what);

struct http_response {
    int status;
    const char *type;   // Content-Type; NULL: no body and no type
    const char *extra;  // more fields, each ending in CRLF; NULL: none
    const char *policy; // Content-Security-Policy; NULL: it may load and frame nothing
    struct span body;   // copied where the socket does not take it at once, unless lent
    bool open_ended;    // the answer to HEAD for a stream: no Content-Length

    // The body is lent, and stays as it is until release(lender) is called, once, perhaps
    // at once. NULL: it is not.
    void (*release)(void *lender);
    void *lender; // NULL: it is never wanted back
};

/* Did the client come by a Unix socket? */
bool http_is_unix(const struct http_conn *conn);

/* Its address, as long as the connection; that of a Unix socket is everybody's there. */
const struct peer_address *http_peer(const struct http_conn *conn);

/* Is what passes between us encrypted? */
bool http_is_tls(const struct http_conn *conn);

/*
 * Pages of `origin` may read the answer to the request being handled; without it, only our
 * own may. Lent until the handler returns; a text of ours, never the request's bytes.
 */
void http_allow_origin(struct http_conn *conn, const char *origin);

/* Answer the request being handled. A HEAD request gets the head alone. */
void http_respond(struct http_conn *conn, const struct http_response *response);

/*
 * Take back the body that was lent for longest on the same server: whoever is still reading
 * it is reset, which is counted. False: there is none but that of `conn`.
 */
bool http_take_back(struct http_conn *conn);

/* Called on the loop's thread; a stream may be closed from within either. */
struct http_stream_ops {
    void (*writable)(void *stream); // there is room again
    void (*closed)(void *stream);   // the peer is gone or was given up; conn is invalid
};

/*
 * Answer with status 200 and an open-ended body of `type`, in chunks when the request was
 * HTTP/1.1. Bytes are then sent with http_stream_write(). What the peer still sends is
 * dropped unread. -EPIPE: the peer left meanwhile; -EUSERS: there are as many streams as
 * there may be, and the request is answered with 503. closed() was not and will not be
 * called then.
 */
int http_start_stream(struct http_conn *conn, const char *type, const char *extra,
                      const struct http_stream_ops *ops, void *stream) MUST_CHECK;

bool http_stream_chunked(const struct http_conn *conn); // the writer makes the chunks

/*
 * Send what fits now: bytes taken, 0 when there is no room. Negative: the connection is
 * broken; the caller then calls http_stream_close().
 */
ssize_t http_stream_write(struct http_conn *conn, struct span bytes);

/* Have writable() called when there is room; the 15 s of a stalled reader start to run. */
void http_stream_wait(struct http_conn *conn);

/*
 * End the body properly, and close when the peer has read it; only between whole chunks.
 * closed() is not called, and the connection is its owner's no more.
 */
void http_stream_end(struct http_conn *conn);

/* Close without calling closed(). */
void http_stream_close(struct http_conn *conn);

#endif
