// SPDX-License-Identifier: Apache-2.0
#include "net/http_response.h"

#include <stdio.h>
#include <time.h>

/* A shorter body is copied: it may have been begun together with its head, as one record. */
enum { LENT_MIN = 16 * 1024 };

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
 * An answer that is no page may load and frame nothing, and is in no page but ours. A
 * script that somebody runs in one of them may read the rest of ours.
 */
static const char NO_PAGE[] =
    "default-src 'none'; connect-src 'self'; frame-ancestors 'none'";
static const char SAFE_FIELDS[] = "X-Content-Type-Options: nosniff\r\n"
                                  "Referrer-Policy: no-referrer\r\n";
static const char SAME_ORIGIN[] = "Cross-Origin-Resource-Policy: same-origin\r\n";

int http_response_head(struct http_conn *conn, const struct http_response *response,
                       const char *framing, char *head)
{
    const char *connection = "", *origin = conn->allow_origin;

    if (!conn->keep_alive)
        connection = "Connection: close\r\n";
    else if (conn->minor == 0)
        connection = "Connection: keep-alive\r\n";

    return snprintf(head, RESPONSE_HEAD_MAX,
                    "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s%s%s%s%s"
                    "Content-Security-Policy: %s\r\n%s%s%s\r\n",
                    response->status, reason_of(response->status), date_now(conn->server),
                    response->type ? "Content-Type: " : "",
                    response->type ? response->type : "", response->type ? "\r\n" : "",
                    framing, response->extra ? response->extra : "", connection,
                    SAFE_FIELDS, response->policy ? response->policy : NO_PAGE,
                    origin ? "Access-Control-Allow-Origin: " : SAME_ORIGIN,
                    origin ? origin : "", origin ? "\r\nVary: Origin\r\n" : "");
}

/* Keep what the socket did not take of head and body. */
static int keep_rest(struct http_conn *conn, struct span head, struct span body,
                     size_t sent)
{
    size_t from_head = MIN(sent, head.len), from_body = sent - from_head;
    size_t len = head.len + body.len - sent;

    if (len == 0)
        return 0;
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

int http_response_send(struct http_conn *conn, struct span head, struct span body)
{
    ssize_t n = transport_sendv(&conn->transport, head, body);

    return n < 0 ? (int)n : keep_rest(conn, head, body, (size_t)n);
}

void http_response_give_back(struct http_conn *conn)
{
    if (conn->release)
        conn->release(conn->lender);
    conn->release = NULL;
    conn->lender = NULL;
    conn->lent.len = 0;
}

/* The same, with a body that stays where it is: only what is left of the head is copied. */
static int send_lent(struct http_conn *conn, const struct http_response *response,
                     struct span head)
{
    ssize_t n = transport_sendv(&conn->transport, head, response->body);
    size_t sent = n < 0 ? 0 : (size_t)n, from_head = MIN(sent, head.len);

    conn->release = response->release;
    conn->lender = response->lender;
    conn->lent = (struct span){response->body.at + (sent - from_head),
                               response->body.len - (sent - from_head)};
    conn->lent_at_ms = uv_now(conn->server->options.loop);
    if (n < 0 || conn->lent.len == 0)
        http_response_give_back(conn);
    return n < 0 ? (int)n : keep_rest(conn, head, (struct span){NULL, 0}, from_head);
}

static int send_response(struct http_conn *conn, const struct http_response *response,
                         struct span head, struct span body)
{
    int r = -EMSGSIZE;

    if (head.len < RESPONSE_HEAD_MAX && response->release && body.len >= LENT_MIN)
        return send_lent(conn, response, head);
    if (head.len < RESPONSE_HEAD_MAX)
        r = http_response_send(conn, head, body);
    if (response->release)
        response->release(response->lender);
    return r;
}

void http_respond(struct http_conn *conn, const struct http_response *response)
{
    char head[RESPONSE_HEAD_MAX], framing[48] = "";
    struct span body = conn->head_only ? (struct span){NULL, 0} : response->body;
    int len;

    conn->answered = true;
    if (response->status != 204 && response->status != 304 && !response->open_ended)
        (void)snprintf(framing, sizeof(framing), "Content-Length: %zu\r\n",
                       response->body.len);
    len = http_response_head(conn, response, framing, head);
    // What is negative is too long, too.
    if (send_response(conn, response, (struct span){head, (size_t)len}, body) < 0) {
        conn->keep_alive = false;
        conn->state = CONN_LINGERING; // http_conn_next() will close it
        return;
    }
    if (conn->out || conn->release)
        conn->state = CONN_ANSWERING;
}

/* 1: all of it has been sent. */
static int flush_own(struct http_conn *conn)
{
    ssize_t n =
        transport_send(&conn->transport, (struct span){conn->out + conn->out_sent,
                                                       conn->out_len - conn->out_sent});

    if (n < 0)
        return (int)n;
    conn->out_sent += (uint32_t)n;
    if (conn->out_sent < conn->out_len)
        return 0;
    free(conn->out);
    conn->out = NULL;
    return 1;
}

static int flush_lent(struct http_conn *conn)
{
    ssize_t n = transport_send(&conn->transport, conn->lent);

    if (n < 0)
        return (int)n;
    conn->lent = (struct span){conn->lent.at + n, conn->lent.len - (size_t)n};
    if (conn->lent.len)
        return 0;
    http_response_give_back(conn);
    return 1;
}

int http_response_flush(struct http_conn *conn)
{
    int r = conn->out ? flush_own(conn) : 1;

    return r == 1 && conn->release ? flush_lent(conn) : r;
}

/* Of the bodies that other connections of the server hold; NULL: there is none. */
static struct http_conn *holder_of_oldest(const struct http_conn *conn)
{
    struct http_conn *oldest = NULL;

    for (struct http_conn *c = conn->server->conns; c; c = c->next)
        if (c->lender && c->lender != conn->lender &&
            (!oldest || c->lent_at_ms < oldest->lent_at_ms))
            oldest = c;
    return oldest;
}

bool http_take_back(struct http_conn *conn)
{
    struct http_conn *next = conn->server->conns, *oldest = holder_of_oldest(conn);
    void *lender = oldest ? oldest->lender : NULL;

    if (!oldest)
        return false;
    while (next) {
        struct http_conn *c = next;

        next = c->next;
        if (c->lender != lender)
            continue;
        http_count_limited(c, LIMITED_slow);
        http_conn_abort(c);
    }
    return true;
}

void http_allow_origin(struct http_conn *conn, const char *origin)
{
    conn->allow_origin = origin;
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

void http_response_refuse(struct http_conn *conn, int status)
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
