// SPDX-License-Identifier: Apache-2.0
#include "serve/answers.h"

#include "encode/json.h"

enum { ERROR_BODY_MAX = 8 * 1024 };

void answer_json(struct http_conn *conn, int status, const struct buf *body,
                 const char *extra)
{
    struct http_response response = {.status = status,
                                     .type = "application/json",
                                     .extra = extra,
                                     .body = buf_span(body)};

    http_respond(conn, &response);
}

static void release_frame(void *frame)
{
    frame_unref(frame);
}

void answer_frame(struct http_conn *conn, const struct http_response *response,
                  struct frame *frame)
{
    struct http_response lending = *response;
    bool scarce = frame_is_scarce(frame);

    lending.release = release_frame;
    lending.lender = frame;
    http_respond(conn, &lending);
    if (scarce)
        (void)http_take_back(conn); // one for one: a request has at most one made
}

void answer_error(struct http_conn *conn, int status, const struct outage *error,
                  const char *extra)
{
    OWNED(buf_done) struct buf body;

    buf_init(&body, ERROR_BODY_MAX);
    buf_add_str(&body, "{\"error\":{\"code\":");
    json_quote(&body, error->code);
    buf_add_str(&body, ",\"message\":");
    json_quote(&body, error->reason);
    if (error->remedy[0]) {
        buf_add_str(&body, ",\"remedy\":");
        json_quote(&body, error->remedy);
    }
    buf_add_str(&body, "}}\n");
    answer_json(conn, status, &body, extra);
}

void answer_failure(struct http_conn *conn)
{
    static const struct outage error = {"failed", "the document could not be made", ""};

    answer_error(conn, 503, &error, "Retry-After: 1\r\n");
}

void answer_document(struct http_conn *conn, int r, const struct buf *body)
{
    if (r < 0 || body->error)
        answer_failure(conn);
    else
        answer_json(conn, 200, body, ANSWER_NO_STORE);
}
