// SPDX-License-Identifier: Apache-2.0
/*
 * floor.c - the least that one process can do to send an event to N sockets
 *
 * It accepts, takes whatever comes for a request, answers a head that never changes, and on
 * each tick hands the same bytes to every socket: one system call each and nothing else. A
 * socket without room misses the event. What a server spends beyond this is its own.
 *
 * Usage: floor [--port N] [--bytes N] [--interval MS] [--phase MS] [--how send|uring|fixed]
 * Ticks are at multiples of the interval on the monotonic clock, plus the phase. --bytes is
 * an event's size without the chunk around it. Prints "listening on http://127.0.0.1:PORT".
 */
#include "base/base.h"
#include "base/number.h"

#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

enum {
    SOCKETS_MAX = 20000,
    EVENT_MIN = 64,
    EVENT_MAX = 64 * 1024,
    REQUEST_MAX = 4096,
    READY_MAX = 256,
    RING_ENTRIES = 256, // sends handed over by one system call
};

struct floor {
    int epoll, listener, timer;
    int sockets[SOCKETS_MAX];
    size_t n;
    char event[EVENT_MAX + 32];
    size_t len;
    const struct manner *how;
#ifdef HAVE_LIBURING
    struct io_uring ring;
#endif
};

/* One way to hand the event to every socket. `placed`: socket i is now sockets[i], or gone. */
struct manner {
    const char *name;
    int (*open)(struct floor *floor);
    void (*send)(struct floor *floor);
    void (*placed)(struct floor *floor, size_t i);
};

static int no_open(struct floor *floor)
{
    (void)floor;
    return 0;
}

static void no_place(struct floor *floor, size_t i)
{
    (void)floor;
    (void)i;
}

static void send_each(struct floor *floor)
{
    for (size_t i = 0; i < floor->n; i++)
        (void)send(floor->sockets[i], floor->event, floor->len,
                   MSG_DONTWAIT | MSG_NOSIGNAL); // the readers count what is missed
}

#ifdef HAVE_LIBURING
static int ring_open(struct floor *floor)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN};

    return io_uring_queue_init_params(RING_ENTRIES, &floor->ring, &params);
}

static int fixed_open(struct floor *floor)
{
    int r = ring_open(floor);

    return r < 0 ? r : io_uring_register_files_sparse(&floor->ring, SOCKETS_MAX);
}

static void fixed_place(struct floor *floor, size_t i)
{
    int fd = i < floor->n ? floor->sockets[i] : -1;

    (void)io_uring_register_files_update(&floor->ring, (unsigned)i, &fd, 1);
}

static void ring_submit(struct floor *floor)
{
    struct io_uring_cqe *failed; // only failures are told

    (void)io_uring_submit(&floor->ring);
    while (io_uring_peek_cqe(&floor->ring, &failed) == 0)
        io_uring_cqe_seen(&floor->ring, failed);
}

static void ring_send(struct floor *floor, bool fixed)
{
    for (size_t i = 0; i < floor->n; i++) {
        struct io_uring_sqe *entry = io_uring_get_sqe(&floor->ring);

        if (!entry) {
            ring_submit(floor);
            entry = io_uring_get_sqe(&floor->ring);
        }
        io_uring_prep_send(entry, fixed ? (int)i : floor->sockets[i], floor->event,
                           floor->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
        if (fixed)
            entry->flags |= IOSQE_FIXED_FILE;
    }
    ring_submit(floor);
}

static void ring_send_each(struct floor *floor)
{
    ring_send(floor, false);
}

static void ring_send_fixed(struct floor *floor)
{
    ring_send(floor, true);
}
#endif

static const struct manner manners[] = {
    {"send", no_open, send_each, no_place},
#ifdef HAVE_LIBURING
    {"uring", ring_open, ring_send_each, no_place},
    {"fixed", fixed_open, ring_send_fixed, fixed_place},
#endif
};

/* An event of the stream's form, as one chunk, made once. */
static void make_event(struct floor *floor, size_t bytes)
{
    static const char begin[] = "data: {\"pad\":\"", end[] = "\"}\n\n";
    int head = snprintf(floor->event, 32, "%zx\r\n", bytes);
    char *at = floor->event + head;

    memset(at, 'x', bytes);
    memcpy(at, begin, sizeof(begin) - 1);
    memcpy(at + bytes - (sizeof(end) - 1), end, sizeof(end) - 1);
    memcpy(at + bytes, "\r\n", 2);
    floor->len = (size_t)head + bytes + 2;
}

static int watch(struct floor *floor, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};

    return epoll_ctl(floor->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? neg_errno() : 0;
}

static void accept_all(struct floor *floor)
{
    for (;;) {
        int fd = accept4(floor->listener, NULL, NULL, SOCK_NONBLOCK);

        if (fd < 0)
            return;
        if (watch(floor, fd) < 0)
            (void)close(fd);
    }
}

static void leave(struct floor *floor, int fd)
{
    for (size_t i = 0; i < floor->n; i++)
        if (floor->sockets[i] == fd) {
            floor->sockets[i] = floor->sockets[--floor->n];
            floor->how->placed(floor, i);
            floor->how->placed(floor, floor->n);
            break;
        }
    (void)close(fd);
}

/* A request, whatever it says; or the end. */
static void on_socket(struct floor *floor, int fd)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    char request[REQUEST_MAX];
    ssize_t n = recv(fd, request, sizeof(request), MSG_DONTWAIT);

    if (n <= 0 || floor->n == SOCKETS_MAX ||
        send(fd, head, sizeof(head) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        leave(floor, fd);
        return;
    }
    floor->sockets[floor->n++] = fd;
    floor->how->placed(floor, floor->n - 1);
}

static int open_listener(struct floor *floor, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(at);
    int on = 1;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    floor->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)setsockopt(floor->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    // Accepted sockets inherit it. The server under test has it, too, and it is the cheaper.
    (void)setsockopt(floor->listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(floor->listener, (struct sockaddr *)&at, len) < 0 ||
        listen(floor->listener, UINT16_MAX) < 0 ||
        getsockname(floor->listener, (struct sockaddr *)&at, &len) < 0)
        return neg_errno();
    (void)printf("listening on http://127.0.0.1:%u\n", ntohs(at.sin_port));
    (void)fflush(stdout);
    return watch(floor, floor->listener);
}

static int open_timer(struct floor *floor, uint64_t interval_ms, uint64_t phase_ms)
{
    struct itimerspec when = {0};
    struct timespec now;
    uint64_t first_ms;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    first_ms = ((uint64_t)now.tv_sec * 1000 / interval_ms + 2) * interval_ms + phase_ms;
    when.it_value = (struct timespec){.tv_sec = (time_t)(first_ms / 1000),
                                      .tv_nsec = (long)(first_ms % 1000 * 1000000)};
    when.it_interval = (struct timespec){.tv_sec = (time_t)(interval_ms / 1000),
                                         .tv_nsec = (long)(interval_ms % 1000 * 1000000)};
    floor->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (floor->timer < 0 ||
        timerfd_settime(floor->timer, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        return neg_errno();
    return watch(floor, floor->timer);
}

static void loop(struct floor *floor)
{
    struct epoll_event ready[READY_MAX];
    uint64_t beats;

    for (;;) {
        int n = epoll_wait(floor->epoll, ready, READY_MAX, -1);

        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;

            if (fd == floor->listener)
                accept_all(floor);
            else if (fd != floor->timer)
                on_socket(floor, fd);
            else if (read(fd, &beats, sizeof(beats)) > 0)
                floor->how->send(floor);
        }
    }
}

static const struct manner *manner_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(manners); i++)
        if (strcmp(manners[i].name, name) == 0)
            return &manners[i];
    return NULL;
}

static _Noreturn void usage(void)
{
    (void)fprintf(stderr, "usage: floor [--port N] [--bytes N] [--interval MS] "
                          "[--phase MS] [--how send|uring|fixed]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 0},     {"bytes", required_argument, NULL, 1},
        {"interval", required_argument, NULL, 2}, {"phase", required_argument, NULL, 3},
        {"how", required_argument, NULL, 4},      {0}};
    static const uint64_t most[] = {UINT16_MAX, EVENT_MAX, 60000, 60000};
    uint64_t values[] = {0, 600, 500, 0};
    static struct floor floor;
    const char *how = "send";
    int option, r;

    for (;;) {
        option = getopt_long(argc, argv, "", options, NULL);
        if (option == -1)
            break;
        if (option == 4)
            how = optarg;
        else if (option == '?' ||
                 number_read_u64(span_of(optarg), most[option], &values[option]) < 0)
            usage();
    }
    floor.how = manner_named(how);
    if (optind != argc || values[1] < EVENT_MIN || values[2] == 0 || !floor.how)
        usage();

    make_event(&floor, values[1]);
    floor.epoll = epoll_create1(0);
    r = floor.how->open(&floor);
    if (r == 0)
        r = open_timer(&floor, values[2], values[3]);
    if (r == 0)
        r = open_listener(&floor, (uint16_t)values[0]);
    if (r < 0) {
        (void)fprintf(stderr, "floor: %s\n", strerror(-r));
        return 1;
    }
    loop(&floor);
}
