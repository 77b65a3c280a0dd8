// SPDX-License-Identifier: Apache-2.0
/*
 * http_response.h - the bytes of an answer, and their way into the socket; private to net/
 *
 * A response is a head and perhaps a body; what the socket does not take at once is kept
 * in the connection (`out`) until it does, or stays where it is lent. http_respond() is
 * here, too.
 */
#ifndef NET_HTTP_RESPONSE_H
#define NET_HTTP_RESPONSE_H

#include "net/http_conn.h"

enum { RESPONSE_HEAD_MAX = 1536 };

/*
 * Write a head into the RESPONSE_HEAD_MAX bytes at `head`; `framing` is the field that
 * tells where the body ends, or "". Like snprintf(), returns the length it would have.
 */
int http_response_head(struct http_conn *conn, const struct http_response *response,
                       const char *framing, char *head) MUST_CHECK;

/* Send both; http_response_flush() sends what is left then, if there is `out`. */
int http_response_send(struct http_conn *conn, struct span head,
                       struct span body) MUST_CHECK;

/* Its body is lent no more, if one is. */
void http_response_give_back(struct http_conn *conn);

/* Send more of what is left. 1: it was all; 0: there is more. */
int http_response_flush(struct http_conn *conn) MUST_CHECK;

/* Refuse what was read with `status` and close; http_conn_next() must follow. */
void http_response_refuse(struct http_conn *conn, int status);

#endif
