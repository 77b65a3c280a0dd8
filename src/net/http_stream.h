// SPDX-License-Identifier: Apache-2.0
/*
 * http_stream.h - a connection whose answer does not end; private to net/
 *
 * http_server.h has what a stream's owner calls: http_start_stream(), http_stream_*().
 * Its peer's bytes are dropped, and read in moderation: once it has sent too many it is
 * not heard until it is next written to.
 */
#ifndef NET_HTTP_STREAM_H
#define NET_HTTP_STREAM_H

#include "net/http_conn.h"

/* Its socket has bytes, or room; by TLS either may be what the other waits for. */
void http_stream_serve(struct http_conn *conn, int events);

/* Its socket has failed, and is about to be closed: was it for its reader's slowness? */
void http_stream_broken(struct http_conn *conn);

#endif
