// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/number.h"
#include "serve/hub.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

enum {
    CLIENTS = 40,
    FEW = 4, // of them
    PATIENCE_MS = 5000,
    QUIET_MS = 30,
    SMALL = 20,         // bytes of an event that any socket takes
    LARGE = 400 * 1000, // of one that a socket with a small receiver never takes at once
    SMALL_RECEIVER = 4096,
    GOT_MAX = 16 * LARGE,
};

/* A reader on a real socket: all bytes it got, head and chunks included. */
struct client {
    int fd;
    bool ended;
    size_t len;
    char *got;
};

/* A hub behind a server on loopback, whose every GET is a subscription. */
struct world {
    uv_loop_t loop;
    struct http_server *server;
    struct hub *hub;
    struct frame_pool *frames;
    struct frame *first; // what a new reader gets
    uint16_t port;
    struct client clients[CLIENTS];
};

/* With Last-Event-ID, here a plain number, the reader comes back. */
static void on_request(void *ctx, struct http_conn *conn,
                       const struct http_request *request)
{
    struct world *world = ctx;
    uint64_t after;
    bool back = number_read_u64(request->last_event_id, UINT64_MAX, &after) == 0;

    hub_add(world->hub, conn, world->first, back ? &after : NULL);
}

static struct frame *make_frame(struct world *world, const char *head, size_t size)
{
    struct frame *frame = frame_new(world->frames);
    struct buf *text = frame_text(frame);
    size_t start = text->len;

    buf_add_str(text, head);
    while (text->len - start < size - 2)
        buf_add_char(text, 'x');
    buf_add_str(text, "\n\n");
    assert_int_equal(frame_seal(frame), 0);
    return frame;
}

static void send_size(struct world *world, uint64_t seq, size_t size)
{
    struct frame *frame;
    char head[32];

    (void)snprintf(head, sizeof(head), "data: %llu ", (unsigned long long)seq);
    frame = make_frame(world, head, size);
    hub_send(world->hub, frame, seq);
    frame_unref(world->first);
    world->first = frame;
}

static void send_small(struct world *world, uint64_t from, uint64_t to)
{
    for (uint64_t seq = from; seq <= to; seq++)
        send_size(world, seq, SMALL);
}

static void send_large(struct world *world, uint64_t from, uint64_t to)
{
    for (uint64_t seq = from; seq <= to; seq++)
        send_size(world, seq, LARGE);
}

static void tell(struct world *world)
{
    struct frame *frame = make_frame(world, ": ", 4);

    hub_tell(world->hub, frame);
    frame_unref(frame);
}

static void new_hub(struct world *world, size_t past, bool tells)
{
    struct hub_options options = {
        .loop = &world->loop, .past = past, .lag_frames = tells ? world->frames : NULL};

    assert_int_equal(hub_new(&options, &world->hub), 0);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct http_server_options options = {.loop = &world->loop,
                                          .handler = on_request,
                                          .ctx = world,
                                          .limits.clients = CLIENTS,
                                          .limits.clients_per_ip = CLIENTS};
    struct complaint complaint;
    char url[64] = "";

    assert_non_null(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(http_server_new(&options, &world->server), 0);
    assert_int_equal(
        http_server_listen(world->server, "127.0.0.1:0", url, sizeof(url), &complaint),
        0);
    world->port = (uint16_t)strtoul(url + strlen("http://127.0.0.1:"), NULL, 10);
    assert_int_equal(frame_pool_new(LARGE, &world->frames), 0);
    for (size_t i = 0; i < CLIENTS; i++)
        world->clients[i].fd = -1;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < CLIENTS; i++) {
        close_fd(&world->clients[i].fd);
        free(world->clients[i].got);
    }
    hub_close(world->hub);
    http_server_close(world->server);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    http_server_free(world->server);
    hub_free(world->hub);
    frame_unref(world->first);
    frame_pool_free(world->frames); // asserts that every frame was given back
    assert_int_equal(uv_loop_close(&world->loop), 0);
    free(world);
    return 0;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void turn(struct world *world)
{
    static const struct timespec moment = {.tv_nsec = 100000};

    (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    (void)nanosleep(&moment, NULL);
}

static void take(struct client *c)
{
    ssize_t n;

    if (c->ended)
        return;
    n = recv(c->fd, c->got + c->len, GOT_MAX - 1 - c->len, MSG_DONTWAIT);
    if (n > 0)
        c->len += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        c->ended = true;
    c->got[c->len] = '\0';
}

/* A reader that is subscribed, and has read nothing yet but what the kernel took. */
static struct client *subscribe(struct world *world, size_t i, const char *request)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(world->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    size_t before = hub_stats(world->hub).subscribers;
    struct client *c = &world->clients[i];
    int room = SMALL_RECEIVER;

    free(c->got);
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    c->got = malloc(GOT_MAX);
    assert_non_null(c->got);
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    assert_int_equal(connect(c->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(c->fd, request, strlen(request), MSG_NOSIGNAL),
                     (ssize_t)strlen(request));
    for (uint64_t end = now_ms() + PATIENCE_MS;
         hub_stats(world->hub).subscribers == before && now_ms() < end;)
        turn(world);
    assert_int_equal(hub_stats(world->hub).subscribers, before + 1);
    return c;
}

static struct client *new_reader(struct world *world, size_t i)
{
    return subscribe(world, i, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

static struct client *comes_back(struct world *world, size_t i, uint64_t after)
{
    char request[128];

    (void)snprintf(request, sizeof(request),
                   "GET / HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: %llu\r\n\r\n",
                   (unsigned long long)after);
    return subscribe(world, i, request);
}

/* One event, or what there is of it, in a word: "7", "lag:3", ":" for a comment. */
static void describe(const char *event, size_t len, struct buf *ret)
{
    static const char data[] = "data: ", lag[] = "event: lag\ndata: {\"skipped\":";
    struct span text = {event, len};

    buf_add_char(ret, ' ');
    if (len >= sizeof(lag) && memcmp(event, lag, sizeof(lag) - 1) == 0) {
        buf_add_str(ret, "lag:");
        text = (struct span){event + sizeof(lag) - 1, len - sizeof(lag) + 1};
    } else if (len >= sizeof(data) && memcmp(event, data, sizeof(data) - 1) == 0) {
        text = (struct span){event + sizeof(data) - 1, len - sizeof(data) + 1};
    } else {
        buf_add_char(ret, *event == ':' ? ':' : '?');
        return;
    }
    for (size_t i = 0; i < text.len && text.at[i] >= '0' && text.at[i] <= '9'; i++)
        buf_add_char(ret, text.at[i]);
}

/* All whole events that the reader got; "." is the end of the body, "?" is a mess. */
static void describe_all(const struct client *c, struct buf *ret)
{
    const char *at = strstr(c->got, "\r\n\r\n");
    bool chunked = strstr(c->got, "Transfer-Encoding: chunked") != NULL;

    buf_clear(ret);
    at = at ? at + 4 : c->got + c->len;
    while (at < c->got + c->len) {
        size_t left = c->len - (size_t)(at - c->got), size;
        const char *event = at;
        char *end;

        if (chunked) {
            size = strtoul(at, &end, 16);
            event = end + 2;
            if ((size_t)(event - at) + size + 2 > left)
                break;
            if (memcmp(end, "\r\n", 2) != 0 || memcmp(event + size, "\r\n", 2) != 0)
                buf_add_str(ret, " ?");
        } else {
            end = strstr(at, "\n\n");
            if (!end)
                break;
            size = (size_t)(end + 2 - at);
        }
        if (size == 0)
            buf_add_str(ret, " .");
        else
            describe(event, size, ret);
        at = event + size + (chunked ? 2 : 0);
    }
    buf_add_char(ret, '\0');
}

/* The reader reads, until it has got these events, and these alone. */
static void expect_row(struct world *world, struct client *c, const char *row,
                       const char *events)
{
    uint64_t end = now_ms() + PATIENCE_MS, quiet = 0;
    struct buf got;
    bool same = false;

    buf_init(&got, 4096);
    while (now_ms() < end && (!quiet || now_ms() < quiet)) {
        turn(world);
        take(c);
        describe_all(c, &got);
        same = strcmp(got.data + (got.len > 1), events) == 0;
        if (same && !quiet)
            quiet = now_ms() + QUIET_MS;
        else if (!same)
            quiet = 0;
    }
    if (!same)
        fail_msg("[%s] got \"%s\", not \"%s\"", row, got.data + (got.len > 1), events);
    buf_done(&got);
}

static void expect(struct world *world, struct client *c, const char *events)
{
    expect_row(world, c, "", events);
}

/* It reads until it has got this event, whatever came before. */
static void expect_last(struct world *world, struct client *c, uint64_t seq)
{
    uint64_t end = now_ms() + PATIENCE_MS;
    char event[32];

    (void)snprintf(event, sizeof(event), "data: %llu ", (unsigned long long)seq);
    while (!strstr(c->got, event) && now_ms() < end) {
        turn(world);
        take(c);
    }
    assert_non_null(strstr(c->got, event));
}

static void test_everybody_gets_everything(void **state)
{
    struct world *world = *state;
    struct client *one, *two;

    new_hub(world, 0, false);
    send_small(world, 1, 2);
    one = new_reader(world, 0);
    expect(world, one, "2");
    send_small(world, 3, 3);
    expect(world, one, "2 3");
    two = subscribe(world, 1, "GET / HTTP/1.0\r\n\r\n");
    tell(world);
    send_small(world, 4, 4);
    expect(world, one, "2 3 : 4");
    expect(world, two, "3 : 4");
    assert_null(strstr(two->got, "chunked"));
    assert_int_equal(hub_stats(world->hub).frames_sent, 7);
    assert_int_equal(hub_stats(world->hub).frames_skipped, 0);
    hub_close(world->hub);
    expect(world, one, "2 3 : 4 .");
    assert_int_equal(hub_stats(world->hub).subscribers, 0);
}

static const struct {
    const char *row;
    size_t past;
    uint64_t step, sent, after; // numbers are step, 2 * step, ... sent * step
    const char *events;         // then one more is sent
} resumes[] = {
    {"seen the newest", 4, 1, 3, 3, "4"},
    {"one is new", 4, 1, 3, 2, "3 4"},
    {"all of a ring that is not full", 4, 1, 3, 0, "1 2 3 4"},
    {"a ring just full", 4, 1, 4, 0, "1 2 3 4 5"},
    {"wrapped, all of it", 4, 1, 10, 6, "7 8 9 10 11"},
    {"wrapped, a part", 4, 1, 10, 8, "9 10 11"},
    {"before the ring", 4, 1, 10, 2, "7 8 9 10 11"},
    {"wrapped to its start", 4, 1, 8, 0, "5 6 7 8 9"},
    {"a ring of one", 1, 1, 5, 0, "5 6"},
    {"from the future: the newest", 4, 1, 5, 99, "5 6"},
    {"the largest number", 4, 1, 5, UINT64_MAX, "5 6"},
    {"numbers with gaps", 4, 10, 6, 45, "50 60 70"},
    {"nothing is kept: the newest", 0, 1, 5, 2, "5 6"},
};

static void run_resume(struct world *world, size_t i)
{
    struct client *c;

    for (uint64_t n = 1; n <= resumes[i].sent; n++)
        send_size(world, n * resumes[i].step, SMALL);
    c = comes_back(world, 0, resumes[i].after);
    send_size(world, (resumes[i].sent + 1) * resumes[i].step, SMALL);
    expect_row(world, c, resumes[i].row, resumes[i].events);
    assert_int_equal(hub_stats(world->hub).frames_skipped, 0);
    close_fd(&c->fd);
    hub_close(world->hub);
    hub_free(world->hub);
    frame_unref(TAKE(world->first));
}

static void test_coming_back(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(resumes); i++) {
        new_hub(world, resumes[i].past, true);
        run_resume(world, i);
    }
    new_hub(world, 0, false);
}

/* A round that is not over when the next begins: who waits longest comes first. */
static void test_rounds_in_slices(void **state)
{
    struct hub_options options = {.slice = 1};
    struct world *world = *state;
    struct client *c[3];

    options.loop = &world->loop;
    assert_int_equal(hub_new(&options, &world->hub), 0);
    send_size(world, 0, SMALL);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = new_reader(world, i);
        expect(world, c[i], "0");
    }
    send_size(world, 1, SMALL); // to the first of them, until the loop turns
    send_size(world, 2, SMALL); // to the second
    expect(world, c[2], "0 2");
    expect(world, c[1], "0 2");
    expect(world, c[0], "0 1 2");
    assert_int_equal(hub_stats(world->hub).frames_skipped, 2);
    assert_int_equal(hub_stats(world->hub).frames_sent, 3 + 4);

    send_size(world, 3, SMALL); // a new reader in the middle of a round: told once
    send_size(world, 4, SMALL);
    (void)new_reader(world, 3);
    expect(world, &world->clients[3], "4");
    close_fd(&c[1]->fd); // and one that leaves in the middle
    c[1]->fd = -1;
    send_size(world, 5, SMALL);
    send_size(world, 6, SMALL);
    expect_last(world, c[0], 6);
    expect_last(world, c[2], 6);
    expect_last(world, &world->clients[3], 6);
}

/* Who catches up during a round has had its frame when its turn comes. */
static void test_catching_up_within_a_round(void **state)
{
    struct hub_options options = {.past = 8, .slice = 1};
    struct world *world = *state;
    struct client *back;

    options.loop = &world->loop;
    options.lag_frames = world->frames;
    assert_int_equal(hub_new(&options, &world->hub), 0);
    world->first = make_frame(world, "data: 0 ", SMALL);
    for (size_t i = 0; i < CLIENTS - 1; i++)
        (void)new_reader(world, i);
    send_size(world, 1, SMALL);
    for (size_t i = 0; i < CLIENTS; i++)
        turn(world);
    send_size(world, 2, LARGE);
    for (size_t i = 0; i < CLIENTS; i++)
        turn(world);
    back = comes_back(world, CLIENTS - 1, 1);
    while (back->len < LARGE * 2 / 3) { // it is in the middle of 2
        turn(world);
        take(back);
    }
    send_size(world, 3, SMALL); // the others come before it in this round
    for (size_t i = 0; i < 2 * CLIENTS; i++) {
        turn(world);
        take(back);
    }
    expect(world, back, "2 3");
}

static void test_forgetting(void **state)
{
    struct world *world = *state;
    struct client *c;

    new_hub(world, 4, true);
    hub_forget(world->hub);
    send_small(world, 1, 10);
    hub_forget(world->hub);
    c = comes_back(world, 0, 2);
    expect(world, c, "");
    send_small(world, 11, 12);
    expect(world, c, "11 12");
    expect(world, comes_back(world, 1, 2), "11 12"); // what was sent since is kept
    send_small(world, 13, 16);
    expect(world, comes_back(world, 2, 2), "13 14 15 16");
}

static void test_a_slow_reader_is_told(void **state)
{
    struct world *world = *state;
    struct client *slow, *quick;

    new_hub(world, 0, true);
    send_large(world, 1, 1);
    slow = new_reader(world, 0);
    send_large(world, 2, 2); // waits
    send_large(world, 3, 6); // each replaces the one before
    quick = new_reader(world, 1);
    assert_int_equal(hub_stats(world->hub).frames_skipped, 4);
    expect(world, slow, "1 lag:4 6");
    expect(world, quick, "6");
    send_large(world, 7, 7);
    expect(world, slow, "1 lag:4 6 7"); // told once
    send_large(world, 8, 10);
    expect(world, slow, "1 lag:4 6 7 8 lag:1 10");
    assert_int_equal(hub_stats(world->hub).frames_skipped, 5 + 2);
    expect(world, quick, "6 7 lag:2 10"); // it had yet to read 7
}

static void test_a_hub_that_does_not_tell(void **state)
{
    struct world *world = *state;
    struct client *slow;

    new_hub(world, 0, false);
    send_large(world, 1, 1);
    slow = new_reader(world, 0);
    send_large(world, 2, 6);
    expect(world, slow, "1 6");
    assert_int_equal(hub_stats(world->hub).frames_skipped, 4);
}

/* Nobody misses a comment, but one takes the place of what is old by now. */
static void test_comments_do_not_count(void **state)
{
    struct world *world = *state;
    struct client *slow;

    new_hub(world, 4, true);
    send_large(world, 1, 1);
    slow = new_reader(world, 0);
    for (int i = 0; i < 3; i++)
        tell(world);
    send_large(world, 2, 2);
    assert_int_equal(hub_stats(world->hub).frames_skipped, 0);
    expect(world, slow, "1 2");

    send_large(world, 3, 4);
    tell(world);
    tell(world);
    expect(world, slow, "1 2 3 lag:1 :");
    assert_int_equal(hub_stats(world->hub).frames_skipped, 1);
    expect(world, comes_back(world, 1, 2), "3 4"); // no comment is kept
}

/* One who catches up too slowly falls out of the ring's other end. */
static void test_catching_up_too_slowly(void **state)
{
    struct world *world = *state;
    struct client *slow;

    new_hub(world, 4, true);
    send_large(world, 1, 4);
    slow = comes_back(world, 0, 0); // begins with 1
    send_large(world, 5, 10);       // 7 to 10 are kept
    tell(world);                    // and not for one who is behind
    expect(world, slow, "1 lag:5 7 8 9 10");
    assert_int_equal(hub_stats(world->hub).frames_skipped, 5);
    send_small(world, 11, 12);
    expect(world, slow, "1 lag:5 7 8 9 10 11 12");
    assert_int_equal(hub_stats(world->hub).frames_skipped, 5);
}

/* Forgotten while it catches up: that is skipped like all else. */
static void test_forgetting_what_somebody_waits_for(void **state)
{
    struct world *world = *state;
    struct client *slow;

    new_hub(world, 4, true);
    send_large(world, 1, 4);
    slow = comes_back(world, 0, 0);
    hub_forget(world->hub);
    expect(world, slow, "1");
    send_small(world, 5, 5);
    expect(world, slow, "1 lag:3 5");
}

static void break_connection(struct client *c)
{
    static const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close_fd(&c->fd);
}

/* The hub learns of it while it sends: the others get their event, once. */
static void test_readers_that_break(void **state)
{
    static const bool broken[][FEW] = {
        {true, false, false, false}, {false, true, false, false},
        {false, false, false, true}, {true, true, false, false},
        {false, false, true, true},  {true, false, true, false},
        {true, true, true, true},
    };
    struct world *world = *state;

    for (size_t row = 0; row < ARRAY_LEN(broken); row++) {
        size_t left = 0;

        new_hub(world, 4, true);
        send_small(world, 1, 1);
        for (size_t i = 0; i < FEW; i++)
            expect(world, new_reader(world, i), "1");
        for (size_t i = 0; i < FEW; i++)
            if (broken[row][i])
                break_connection(&world->clients[i]);
            else
                left++;
        send_small(world, 2, 2); // the loop has not turned since
        assert_int_equal(hub_stats(world->hub).subscribers, left);
        for (size_t i = 0; i < FEW; i++)
            if (!broken[row][i])
                expect(world, &world->clients[i], "1 2");
        for (size_t i = 0; i < FEW; i++) { // the rest, one after the other
            if (broken[row][i])
                continue;
            send_small(world, 3 + i, 3 + i);
            expect_last(world, &world->clients[i], 3 + i);
            break_connection(&world->clients[i]);
            left--;
            send_small(world, 3 + i, 3 + i);
            assert_int_equal(hub_stats(world->hub).subscribers, left);
        }
        hub_free(world->hub);
        for (int i = 0; i < 50; i++)
            turn(world);
        frame_unref(TAKE(world->first));
    }
    new_hub(world, 0, false);
}

/* With much unsent, one waiting, and more to catch up with. */
static void test_readers_that_break_when_busy(void **state)
{
    struct world *world = *state;

    new_hub(world, 4, true);
    send_large(world, 1, 3);
    (void)new_reader(world, 0);
    (void)comes_back(world, 1, 1);
    send_large(world, 4, 5);
    break_connection(&world->clients[0]);
    break_connection(&world->clients[1]);
    for (uint64_t end = now_ms() + PATIENCE_MS;
         hub_stats(world->hub).subscribers && now_ms() < end;)
        turn(world);
    assert_int_equal(hub_stats(world->hub).subscribers, 0);
    send_large(world, 6, 6);

    // One that is cut off by the hub itself, in the middle of an event: no last chunk.
    (void)comes_back(world, 2, 3);
    hub_close(world->hub);
    for (uint64_t end = now_ms() + PATIENCE_MS;
         !world->clients[2].ended && now_ms() < end;) {
        turn(world);
        take(&world->clients[2]);
    }
    assert_true(world->clients[2].ended);
    assert_true(world->clients[2].len < LARGE);
}

/* Each ends after what it was in the middle of and the last word; nobody is kept. */
static void run_drain(struct world *world, bool says)
{
    struct client *slow, *catching_up, *quick;
    struct frame *last = make_frame(world, "data: 99 ", SMALL);

    new_hub(world, 4, true);
    send_large(world, 1, 4);
    slow = new_reader(world, 0);
    catching_up = comes_back(world, 1, 1);
    send_large(world, 5, 7);
    send_small(world, 8, 8);
    quick = new_reader(world, 2);
    expect(world, quick, "8");
    hub_drain(world->hub, says ? last : NULL);
    assert_int_equal(hub_stats(world->hub).subscribers, 2);
    expect(world, quick, says ? "8 99 ." : "8 .");
    expect(world, slow, says ? "4 lag:3 99 ." : "4 .");
    expect(world, catching_up, says ? "2 99 ." : "2 .");
    assert_int_equal(hub_stats(world->hub).subscribers, 0);
    assert_int_equal(http_server_stats(world->server).streams, 0);
    assert_true(slow->ended && quick->ended);
    frame_unref(last);
}

static void test_draining(void **state)
{
    run_drain(*state, true);
}

static void test_draining_without_a_word(void **state)
{
    run_drain(*state, false);
}

/* Whoever does not come to the end of one is parted from; without need nobody is. */
static void run_slow(struct world *world, bool scarce)
{
    struct frame *held[FRAMES_LENT_MAX / LARGE + 1];
    struct client *slow, *quick;
    size_t n = scarce ? ARRAY_LEN(held) : 0;

    new_hub(world, 4, true);
    for (size_t i = 0; i < n; i++)
        held[i] = make_frame(world, "data: ", LARGE);
    send_large(world, 1, 1);
    slow = new_reader(world, 0);
    quick = new_reader(world, 1);
    for (uint64_t seq = 2; seq <= 9; seq++) {
        send_large(world, seq, seq);
        expect_last(world, quick, seq);
    }
    assert_int_equal(hub_stats(world->hub).subscribers, 2);
    send_large(world, 10, 10);
    expect_last(world, quick, 10);
    assert_int_equal(hub_stats(world->hub).subscribers, scarce ? 1 : 2);
    assert_int_equal(http_server_stats(world->server).limited[LIMITED_slow], scarce);
    if (scarce)
        assert_null(strstr(slow->got, "data: 10 "));
    else
        expect_last(world, slow, 10);
    for (size_t i = 0; i < n; i++)
        frame_unref(held[i]);
}

static void test_slow_readers_when_frames_are_scarce(void **state)
{
    run_slow(*state, true);
}

static void test_slow_readers_when_there_are_enough(void **state)
{
    run_slow(*state, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everybody_gets_everything, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_coming_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rounds_in_slices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_catching_up_within_a_round, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_forgetting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_slow_reader_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_hub_that_does_not_tell, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_readers_when_frames_are_scarce, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_slow_readers_when_there_are_enough, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_draining, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_draining_without_a_word, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_comments_do_not_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_catching_up_too_slowly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forgetting_what_somebody_waits_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_readers_that_break, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_readers_that_break_when_busy, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
