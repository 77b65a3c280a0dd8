// SPDX-License-Identifier: Apache-2.0
#include "serve/history.h"

#include "base/clock.h"
#include "base/log.h"
#include "history/history_answer.h"
#include "net/peers.h"
#include "serve/accept.h"
#include "serve/parameters.h"

#include <assert.h>

enum {
    FRAMING_BYTES = 32, // of a chunk
    LOOK_MS = 1000,     // how often it is seen who takes too long
};

static const char JSON_TYPE[] = "application/json";
static const char CSV_TYPE[] = "text/csv; charset=utf-8; header=present";
static const char NO_STORE[] = "Cache-Control: no-store\r\n";

/* An answer under way. */
struct answer {
    struct history_desk *desk;
    struct answer *prev, *next; // of the desk
    struct http_conn *conn;
    struct history_request *request;
    uint64_t until_ns;
    struct buf out; // being sent, a chunk where the body is in chunks
    size_t sent;    // of it
    bool last;      // nothing comes after it
};

struct history_desk {
    struct history_desk_options options;
    struct answer *answers;
    uv_async_t wake;
    uv_timer_t look;
    bool has_wake, has_look;
};

static void free_answer(struct answer *answer)
{
    struct history_desk *desk = answer->desk;

    if (answer->prev)
        answer->prev->next = answer->next;
    else
        desk->answers = answer->next;
    if (answer->next)
        answer->next->prev = answer->prev;
    if (!desk->answers)
        (void)uv_timer_stop(&desk->look);
    history_request_drop(answer->request);
    buf_done(&answer->out);
    free(answer);
}

/* Its reader sees a body without its end. */
static void break_off(struct answer *answer)
{
    http_stream_close(answer->conn);
    free_answer(answer);
}

/* 1: all is sent; 0: there is no room; negative: the answer is gone. */
static int send_out(struct answer *answer)
{
    while (answer->sent < answer->out.len) {
        ssize_t n = http_stream_write(answer->conn,
                                      (struct span){answer->out.data + answer->sent,
                                                    answer->out.len - answer->sent});

        if (n < 0) {
            break_off(answer);
            return -EPIPE;
        }
        if (n == 0) {
            http_stream_wait(answer->conn);
            return 0;
        }
        answer->sent += (size_t)n;
    }
    return 1;
}

/* An empty chunk would be the last. */
static void wrap(struct answer *answer, struct span piece)
{
    bool chunked = http_stream_chunked(answer->conn);

    buf_clear(&answer->out);
    answer->sent = 0;
    if (piece.len == 0)
        return;
    if (chunked)
        buf_printf(&answer->out, "%zx\r\n", piece.len);
    buf_add(&answer->out, piece.at, piece.len);
    if (chunked)
        buf_add_str(&answer->out, "\r\n");
}

/* The next piece, if it is there: 1; 0: not yet; negative: the answer is gone. */
static int take_piece(struct answer *answer)
{
    struct complaint why = {""};
    struct span piece;
    int r = history_request_piece(answer->request, &piece, &why);

    if (r == -EAGAIN)
        return 0;
    if (r >= 0)
        wrap(answer, piece);
    if (r < 0 || answer->out.error) {
        log_warning("an answer from history is broken off: %s",
                    r < 0 ? why.text : "out of memory");
        break_off(answer);
        return -EIO;
    }
    answer->last = r == 0;
    if (!answer->last)
        history_request_next(answer->request); // made while this one is sent
    return 1;
}

static void go_on(struct answer *answer)
{
    while (send_out(answer) > 0) {
        if (answer->last) {
            http_stream_end(answer->conn);
            free_answer(answer);
            return;
        }
        if (take_piece(answer) <= 0)
            return;
    }
}

static void on_writable(void *stream)
{
    go_on(stream);
}

static void on_closed(void *stream)
{
    free_answer(stream);
}

static void on_woken(uv_async_t *wake)
{
    struct history_desk *desk = CONTAINER_OF(wake, struct history_desk, wake);
    struct answer *next;

    for (struct answer *answer = desk->answers; answer; answer = next) {
        next = answer->next;
        if (answer->sent == answer->out.len) // else it waits for room
            go_on(answer);
    }
}

static void on_look(uv_timer_t *look)
{
    struct history_desk *desk = CONTAINER_OF(look, struct history_desk, look);
    uint64_t now_ns = desk->options.now_ns();
    struct answer *next;

    for (struct answer *answer = desk->answers; answer; answer = next) {
        next = answer->next;
        if (now_ns < answer->until_ns)
            continue;
        http_count_limited(answer->conn, LIMITED_history_time); // before it is gone
        break_off(answer);
    }
}

/* On the historian's thread. */
static void on_ready(void *ctx)
{
    struct history_desk *desk = ctx;

    (void)uv_async_send(&desk->wake); // there are no requests when it is being closed
}

static int read_parameter(struct span query, const char *name, struct span *ret,
                          struct complaint *why)
{
    if (parameter_find(query, name, ret) < 0)
        return complain(why, -EINVAL, "\"%s\" has one value, once", name);
    return 0;
}

static int read_query(struct history_desk *desk, const struct http_request *request,
                      struct history_query *ret, struct complaint *why)
{
    static const struct accept_type csv = {"text/csv", "text/*", NULL};
    static const struct accept_type json = {"application/json", "application/*", NULL};
    struct history_parameters given = {.accepts_csv = false};
    struct {
        const char *name;
        struct span *value;
    } const parameters[] = {{"from", &given.from},
                            {"to", &given.to},
                            {"step", &given.step},
                            {"model", &given.model},
                            {"format", &given.format}};

    for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
        int r =
            read_parameter(request->query, parameters[i].name, parameters[i].value, why);

        if (r < 0)
            return r;
    }
    given.accepts_csv = accept_prefers(request->accept, &csv, &json);
    return history_query_read(&given, (int64_t)clock_unix_ms(), desk->options.interval_ms,
                              ret, why);
}

static void link_answer(struct history_desk *desk, struct answer *answer)
{
    answer->desk = desk;
    answer->next = desk->answers;
    if (answer->next)
        answer->next->prev = answer;
    desk->answers = answer;
    if (!answer->next)
        (void)uv_timer_start(&desk->look, on_look, LOOK_MS, LOOK_MS);
}

/* Unix sockets are not counted: all who come by one have one address. */
static struct history_asker asker_of(struct history_desk *desk,
                                     const struct http_conn *conn)
{
    struct history_asker asker = {.ready = on_ready, .ctx = desk};

    static_assert(sizeof(struct peer_address) == HISTORIAN_CLIENT_BYTES, "the same");
    if (!http_is_unix(conn))
        asker.client = (struct span){(const char *)http_peer(conn)->bytes,
                                     sizeof(http_peer(conn)->bytes)};
    return asker;
}

static int start_answer(struct history_desk *desk, struct http_conn *conn,
                        const struct history_query *query, const char *type)
{
    static const struct http_stream_ops ops = {.writable = on_writable,
                                               .closed = on_closed};
    const struct history_asker asker = asker_of(desk, conn);
    struct answer *answer = calloc(1, sizeof(*answer));
    int r;

    if (!answer)
        return -ENOMEM;
    r = historian_ask(desk->options.historian, query, &asker, &answer->request);
    if (r < 0) {
        if (r == -EBUSY || r == -EUSERS)
            http_count_limited(conn, LIMITED_history);
        free(answer);
        return r;
    }
    answer->conn = conn;
    answer->until_ns = desk->options.now_ns() + HISTORIAN_ANSWER_MS * NS_PER_MS;
    buf_init(&answer->out, HISTORY_PIECE_BYTES + FRAMING_BYTES);
    link_answer(desk, answer);
    if (http_start_stream(conn, type, NO_STORE, &ops, answer) < 0)
        free_answer(answer); // it has been answered, or is gone
    return 0;
}

int history_desk_answer(struct history_desk *desk, struct http_conn *conn,
                        const struct http_request *request, struct complaint *why)
{
    struct history_query query;
    int r = read_query(desk, request, &query, why);
    const char *type;

    if (r < 0)
        return r;
    type = query.format == HISTORY_CSV ? CSV_TYPE : JSON_TYPE;
    if (request->method == METHOD_HEAD) {
        http_respond(conn, &(struct http_response){.status = 200,
                                                   .type = type,
                                                   .extra = NO_STORE,
                                                   .open_ended = true});
        return 0;
    }
    return start_answer(desk, conn, &query, type);
}

int history_desk_new(const struct history_desk_options *options,
                     struct history_desk **ret)
{
    struct history_desk *desk = calloc(1, sizeof(*desk));
    int r;

    if (!desk)
        return -ENOMEM;
    *ret = desk; // closed and freed by the caller, whatever was opened
    desk->options = *options;
    r = uv_async_init(options->loop, &desk->wake, on_woken);
    desk->has_wake = r == 0;
    if (r == 0)
        r = uv_timer_init(options->loop, &desk->look);
    desk->has_look = r == 0;
    return r;
}

void history_desk_close(struct history_desk *desk)
{
    if (!desk)
        return;
    while (desk->answers) {
        http_stream_close(desk->answers->conn);
        free_answer(desk->answers);
    }
    if (desk->has_wake)
        uv_close((uv_handle_t *)&desk->wake, NULL);
    if (desk->has_look)
        uv_close((uv_handle_t *)&desk->look, NULL);
}

void history_desk_free(struct history_desk *desk)
{
    free(desk);
}
