// SPDX-License-Identifier: Apache-2.0
/*
 * answers.h - documents and errors as answers
 */
#ifndef SERVE_ANSWERS_H
#define SERVE_ANSWERS_H

#include "base/buf.h"
#include "net/http_server.h"
#include "serve/frame.h"
#include "serve/outage.h"

#define ANSWER_NO_STORE "Cache-Control: no-store\r\n"

/* What is in `body`; `extra` as in http_response. */
void answer_json(struct http_conn *conn, int status, const struct buf *body,
                 const char *extra);

/* {"error":{"code":...,"message":...,"remedy":...}} */
void answer_error(struct http_conn *conn, int status, const struct outage *error,
                  const char *extra);

/* A document that outgrows its ceiling, want of memory, or an outage just now. */
void answer_failure(struct http_conn *conn);

/* A document, unless `r` or its buffer says that it could not be made. */
void answer_document(struct http_conn *conn, int r, const struct buf *body);

/*
 * The body is in `frame`, of which the reference is taken. While frames are scarce, others
 * who have been reading theirs for longest lose them.
 */
void answer_frame(struct http_conn *conn, const struct http_response *response,
                  struct frame *frame);

#endif
