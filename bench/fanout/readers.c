// SPDX-License-Identifier: Apache-2.0
/*
 * readers.c - many subscribers of one stream, in one process: load and referee
 *
 * Connects N readers, waits until each has had its head and the stream is between two ticks,
 * and then records when each reader gets each of the next K events. Every event is checked:
 * one chunk (or, without chunks, up to an empty line) that is `data: {...}` and an empty line.
 * With --pid it reads what the server spent meanwhile. Prints one line of JSON.
 *
 * Two things keep the referee out of the game. An arrival is when the kernel had the packet,
 * not when this program came to it, so that its own backlog is nobody's jitter. And it naps a
 * millisecond and then reads whatever is there: a sleeping reader would be woken by the
 * server's own send(), at the server's expense.
 *
 * Events of an idle host are all alike, so an event is known by its turn alone; arrivals.h
 * tells how a missed one is found.
 *
 * Usage: readers [--readers N] [--ticks K] [--interval MS] [--stalled N] [--pid PID]
 *                [--softirq PID] [--fields] [--probe] PORT PATH
 * --stalled: so many of the N, spread evenly, read nothing from the first tick to the last,
 * and go on afterwards. --softirq: the kernel's thread that takes over network work from a
 * busy processor, ksoftirqd; what it spends is not in the server's figure. --fields: an event
 * may have an `id:` line before its data. --probe: tell how old the figure of the model
 * "probe" is in each event.
 */
#include "arrivals.h"
#include "base/base.h"
#include "pieces.h"
#include "probe.h"
#include "process_cost.h"
#include "readers_options.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum {
    HEADS_AWAITED_MAX = 1024, // a server may be behind by a whole round
    STALLED_BUFFER_BYTES = 4096,
    READY_MAX = 1024,
    NAP_US = 1000,
    QUIET_US = 50 * 1000, // nothing for so long: between two ticks
    CONNECT_LIMIT_US = 120 * 1000 * 1000,
};

enum state { STATE_HEAD, STATE_EVENTS, STATE_STALLED, STATE_CLOSED };

struct reader {
    int fd;
    enum state state;
    bool chunked, stalls;
    char *part; // of an event, or of the head
    size_t part_len;
    size_t events; // that it had in the window
    size_t place;  // among those that do not stall
};

static struct readers_options options;

static struct {
    uint64_t heads, closed, stalled_closed, comments, malformed, done;
    size_t bytes_min, bytes_max;
    uint32_t newest_us;
} seen;

static struct reader readers[READERS_MAX];
static struct arrivals arrivals;
static int epoll;
static struct probe probe;
static int64_t start_ns;
static uint64_t start_monotonic_us; // the same moment
static uint32_t open_us;            // when the window was opened; 0: it is not open

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("readers: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint32_t to_us(int64_t ns)
{
    return (uint32_t)((ns - start_ns) / 1000);
}

/* Of the wall clock, because the kernel's stamps are. */
static uint32_t now_us(void)
{
    return to_us(now_ns(CLOCK_REALTIME));
}

static uint32_t interval_us(void)
{
    return (uint32_t)options.interval_ms * 1000;
}

static void leave(struct reader *r)
{
    *(r->stalls ? &seen.stalled_closed : &seen.closed) += 1;
    (void)close(r->fd);
    free(TAKE(r->part));
    r->state = STATE_CLOSED;
}

static void record(struct reader *r, struct span event, uint32_t us)
{
    seen.newest_us = us;
    if (!open_us || us < open_us || r->stalls || r->events == options.ticks)
        return;
    if (options.probe)
        probe_take(&probe, r->place, event, start_monotonic_us + us);
    arrivals_set(&arrivals, r->events++, r->place, us);
    seen.done += r->events == options.ticks;
    seen.bytes_min = seen.bytes_min ? MIN(seen.bytes_min, event.len) : event.len;
    seen.bytes_max = MAX(seen.bytes_max, event.len);
}

/* All that is whole at the start of `bytes`; what is left is returned. */
static struct span take_events(struct reader *r, struct span bytes, uint32_t us)
{
    while (bytes.len) {
        struct span piece;
        ssize_t n = piece_take(bytes, r->chunked, &piece);

        if (n == 0)
            break;
        if (n < 0) {
            seen.malformed++;
            leave(r);
            return (struct span){NULL, 0};
        }
        if (piece_is_event(piece, options.fields))
            record(r, piece, us);
        else if (piece.at[0] == ':')
            seen.comments++;
        else
            seen.malformed++;
        bytes = (struct span){bytes.at + n, bytes.len - (size_t)n};
    }
    return bytes;
}

static struct span take_head(struct reader *r, struct span bytes)
{
    ssize_t n = piece_take_head(bytes, &r->chunked);

    if (n < 0)
        die("the server answers: %.*s", (int)MIN(bytes.len, (size_t)60), bytes.at);
    if (n > 0) {
        r->state = STATE_EVENTS;
        seen.heads++;
    }
    return (struct span){bytes.at + n, bytes.len - (size_t)n};
}

/* The bytes lie in the scratch buffer, those kept from before first. */
static void take_bytes(struct reader *r, struct span bytes, uint32_t us)
{
    char *part = NULL;

    if (r->state == STATE_HEAD)
        bytes = take_head(r, bytes);
    if (r->state != STATE_HEAD)
        bytes = take_events(r, bytes, us);
    if (r->state == STATE_CLOSED)
        return;
    if (bytes.len) {
        part = malloc(bytes.len);
        if (!part)
            die("out of memory");
        memcpy(part, bytes.at, bytes.len);
    }
    free(r->part);
    r->part = part;
    r->part_len = bytes.len;
}

static uint32_t stamp_of(struct msghdr *message)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    struct timespec stamp;

    if (!control || control->cmsg_type != SCM_TIMESTAMPNS)
        return now_us();
    memcpy(&stamp, CMSG_DATA(control), sizeof(stamp));
    return to_us((int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec);
}

static void on_readable(struct reader *r)
{
    static char scratch[4 * PIECE_MAX];
    static union {
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
        struct cmsghdr align;
    } control;
    struct iovec room = {scratch + r->part_len, sizeof(scratch) - r->part_len};
    struct msghdr message = {.msg_iov = &room,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(r->fd, &message, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        leave(r);
        return;
    }
    if (r->part_len)
        memcpy(scratch, r->part, r->part_len);
    take_bytes(r, (struct span){scratch, r->part_len + (size_t)n}, stamp_of(&message));
}

/* Nap, then read whatever has come. */
static void pump(void)
{
    static struct epoll_event ready[READY_MAX];
    const struct timespec nap = {.tv_nsec = NAP_US * 1000};
    int n;

    (void)nanosleep(&nap, NULL);
    do {
        n = epoll_wait(epoll, ready, READY_MAX, 0);
        for (int i = 0; i < n; i++)
            on_readable(ready[i].data.ptr);
    } while (n == READY_MAX);
}

static void set(int fd, int name, int value)
{
    (void)setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value));
}

static void watch(struct reader *r)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = r}};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, r->fd, &event) < 0)
        die("epoll: %s", strerror(errno));
}

static void connect_one(struct reader *r, const char *request)
{
    static const struct linger reset = {.l_onoff = 1}; // leaves no port in TIME-WAIT
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)options.port)};

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->fd < 0)
        die("socket: %s", strerror(errno));
    set(r->fd, SO_TIMESTAMPNS, 1);
    (void)setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    if (r->stalls)
        set(r->fd, SO_RCVBUF, STALLED_BUFFER_BYTES);
    if (connect(r->fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        send(r->fd, request, strlen(request), MSG_NOSIGNAL) < 0)
        die("connect: %s", strerror(errno));
    watch(r);
}

static void connect_all(void)
{
    char request[512];

    (void)snprintf(request, sizeof(request),
                   "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                   "Accept: text/event-stream\r\n\r\n",
                   options.path, (unsigned)options.port);
    for (uint64_t i = 0; i < options.readers; i++) {
        readers[i].stalls = i * options.stalled / options.readers !=
                            (i + 1) * options.stalled / options.readers;
        readers[i].place = i - i * options.stalled / options.readers;
        connect_one(&readers[i], request);
        while (i + 1 - seen.heads >= HEADS_AWAITED_MAX && now_us() < CONNECT_LIMIT_US)
            pump();
    }
    while (seen.heads < options.readers && now_us() < CONNECT_LIMIT_US)
        pump();
    if (seen.heads < options.readers || seen.closed)
        die("%llu of %llu readers have a head, %llu were closed",
            (unsigned long long)seen.heads, (unsigned long long)options.readers,
            (unsigned long long)seen.closed);
}

static bool is_quiet(uint32_t for_us)
{
    return seen.newest_us && now_us() - seen.newest_us >= for_us;
}

/* So that the window begins and ends between ticks; false: it never is quiet. */
static bool wait_quiet(void)
{
    uint32_t until = now_us() + 4 * interval_us();

    do
        pump();
    while (now_us() < until && (!seen.newest_us || now_us() - seen.newest_us < QUIET_US));
    return now_us() < until;
}

static void stall(bool begin)
{
    for (uint64_t i = 0; i < options.readers; i++) {
        struct reader *r = &readers[i];

        if (!r->stalls || r->state == STATE_CLOSED)
            continue;
        r->state = begin ? STATE_STALLED : STATE_EVENTS;
        if (begin)
            (void)epoll_ctl(epoll, EPOLL_CTL_DEL, r->fd, NULL);
        else
            watch(r);
    }
}

static struct process_cost cost_of(uint64_t pid)
{
    struct process_cost cost = {0};

    if (pid && process_cost_read((pid_t)pid, &cost) < 0)
        die("process %llu is gone", (unsigned long long)pid);
    return cost;
}

/*
 * Until the last tick: every reader has had it, or most have and no more comes. Returns the most memory that
 * the server held meanwhile, looked at each second where some readers stall.
 */
static uint64_t watch_window(void)
{
    uint32_t until = open_us + (uint32_t)(options.ticks + 3) * interval_us();
    uint64_t expected = options.readers - options.stalled;
    uint32_t look_us = open_us;
    uint64_t most_kb = 0;

    while (now_us() < until && seen.done + seen.closed < expected &&
           !(seen.done > expected / 2 && is_quiet(interval_us() / 2))) {
        pump();
        if (options.stalled && now_us() >= look_us) {
            most_kb = MAX(most_kb, cost_of(options.pid).anonymous_kb);
            look_us += 1000 * 1000;
        }
    }
    return most_kb;
}

/* Those who stalled read on; what they held must be whole events, too. */
static void read_on(void)
{
    uint32_t until = now_us() + 4 * interval_us();

    stall(false);
    while (now_us() < until)
        pump();
}

static void print_cost(const struct process_cost *idle, const struct process_cost *before,
                       const struct process_cost *after, uint64_t most_kb)
{
    (void)printf(",\"cpu_s\":%.6f,\"idle_kb\":%llu,\"open_kb\":%llu,"
                 "\"end_kb\":%llu,\"most_kb\":%llu",
                 after->cpu_s - before->cpu_s, (unsigned long long)idle->anonymous_kb,
                 (unsigned long long)before->anonymous_kb,
                 (unsigned long long)after->anonymous_kb, (unsigned long long)most_kb);
}

static void print_events(double seconds)
{
    struct arrivals_faults faults;
    size_t n = 0;

    if (arrivals_settle(&arrivals, &faults) < 0)
        die("out of memory");
    for (uint64_t i = 0; i < options.readers; i++)
        n += readers[i].events;

    (void)printf("{\"readers\":%llu,\"ticks\":%llu,\"seconds\":%.3f,\"events\":%zu,"
                 "\"missed\":%llu,\"extra\":%llu,\"malformed\":%llu,\"comments\":%llu,"
                 "\"closed\":%llu,\"stalled\":%llu,\"stalled_closed\":%llu,"
                 "\"bytes_min\":%zu,\"bytes_max\":%zu",
                 (unsigned long long)options.readers, (unsigned long long)options.ticks,
                 seconds, n, (unsigned long long)faults.missed,
                 (unsigned long long)faults.extra, (unsigned long long)seen.malformed,
                 (unsigned long long)seen.comments, (unsigned long long)seen.closed,
                 (unsigned long long)options.stalled,
                 (unsigned long long)seen.stalled_closed, seen.bytes_min, seen.bytes_max);
    if (arrivals_print(&arrivals) < 0)
        die("out of memory");
    if (options.probe)
        probe_print(&probe);
}

static void measure(void)
{
    struct process_cost idle, before, after;
    double seconds, softirq_s;
    uint64_t most_kb;
    bool quiet;

    idle = cost_of(options.pid);
    connect_all();
    quiet = wait_quiet();
    before = cost_of(options.pid);
    softirq_s = cost_of(options.softirq_pid).cpu_s;
    open_us = now_us();
    stall(true);
    most_kb = watch_window();
    after = cost_of(options.pid);
    softirq_s = cost_of(options.softirq_pid).cpu_s - softirq_s;
    seconds = (now_us() - open_us) / 1e6;
    if (options.stalled)
        read_on();
    print_events(seconds);
    print_cost(&idle, &before, &after, most_kb);
    (void)printf(",\"softirq_s\":%.6f,\"quiet\":%s}\n", softirq_s,
                 quiet ? "true" : "false");
}

int main(int argc, char **argv)
{
    readers_options_read(argc, argv, &options);
    arrivals = (struct arrivals){.ticks = options.ticks,
                                 .readers = options.readers - options.stalled,
                                 .interval_us = interval_us()};
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || arrivals_new(&arrivals) < 0 ||
        (options.probe && probe_new(&probe, options.readers, options.ticks) < 0))
        die("%s", strerror(errno));
    start_ns = now_ns(CLOCK_REALTIME);
    start_monotonic_us = (uint64_t)now_ns(CLOCK_MONOTONIC) / 1000;
    measure();
    return 0;
}
