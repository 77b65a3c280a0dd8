// SPDX-License-Identifier: Apache-2.0
#include "net/http_server.h"

#include "base/log.h"
#include "net/http_conn.h"
#include "net/listener.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum {
    ACCEPT_BATCH = 64, // connections taken before others get their turn
    LINGER_MS = 1000,
    PAUSE_MS = 100, // in accepting, when the system has no room for more
};

static const struct http_limits DEFAULT_LIMITS = {.clients = 512,
                                                  .clients_per_ip = 64,
                                                  .streams = 256,
                                                  .requests = 100,
                                                  .head_ms = 5000,
                                                  .idle_ms = 10000,
                                                  .stalled_ms = 15000};

const char *const http_limited_names[HTTP_LIMITED] = {
#define LIMIT(name) #name,
#include "net/http_limits.def"
#undef LIMIT
};

/* One listening socket. */
struct acceptor {
    uv_poll_t poll;
    struct acceptor *next;
    struct http_server *server;
    struct tls *tls; // NULL: plain
    char *unix_path; // removed with the socket; NULL for TCP
    int fd;
};

static void on_timer(uv_timer_t *timer);

static uint64_t now_ms(const struct http_server *server)
{
    return uv_now(server->options.loop);
}

/* Set the timer to the first deadline of all. */
static void arm_timer(struct http_server *server)
{
    uint64_t first = UINT64_MAX, now = now_ms(server);

    for (size_t i = 0; i < CONN_WAITS; i++)
        if (server->waits[i].first)
            first = MIN(first, server->waits[i].first->at_ms);
    if (first == UINT64_MAX)
        (void)uv_timer_stop(&server->timer);
    else
        (void)uv_timer_start(&server->timer, on_timer, first > now ? first - now : 0, 0);
}

/* Has the peer still to take some of what it was sent? */
static bool is_behind(const struct http_conn *conn)
{
    int left = 0;

    return ioctl(conn->transport.fd, SIOCOUTQ, &left) == 0 && left > 0;
}

static void on_deadline(struct http_conn *conn, enum conn_wait wait)
{
    struct http_server *server = conn->server;

    if (wait == WAIT_LINGER && is_behind(conn)) {
        http_server_wait(server, conn, WAIT_STALLED);
        return;
    }
    if (wait == WAIT_HEAD)
        http_count_limited(conn, conn->state == CONN_HANDSHAKING ? LIMITED_handshake
                                                                 : LIMITED_head_time);
    else if (wait == WAIT_IDLE)
        http_count_limited(conn, LIMITED_idle_time);
    else if (wait == WAIT_STALLED)
        http_count_limited(conn, LIMITED_stall_time);

    if (wait == WAIT_HEAD && conn->in_len) {
        http_conn_time_out(conn);
    } else if (wait == WAIT_IDLE) {
        conn->keep_alive = false; // the peer may still be reading: no reset
        http_conn_next(conn);
    } else {
        http_conn_abort(conn);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct http_server *server = CONTAINER_OF(timer, struct http_server, timer);
    struct deadline *due;

    for (int i = 0; i < CONN_WAITS; i++)
        for (;;) {
            due = deadline_due(&server->waits[i], now_ms(server));
            if (!due)
                break;
            deadline_clear(due);
            on_deadline(CONTAINER_OF(due, struct http_conn, deadline), (enum conn_wait)i);
        }
    arm_timer(server);
}

void http_server_wait(struct http_server *server, struct http_conn *conn,
                      enum conn_wait wait)
{
    deadline_set(&conn->deadline, &server->waits[wait], now_ms(server));
    // The timer may be early, never late: it looks again and finds the next.
    if (!uv_is_active((uv_handle_t *)&server->timer) ||
        uv_timer_get_due_in(&server->timer) > server->waits[wait].span_ms)
        arm_timer(server);
}

void http_server_forget(struct http_server *server, struct http_conn *conn)
{
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        server->conns = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    census_leave(server->census, &conn->peer);
    if (!server->conns && server->draining && !server->closing)
        server->drained(server->drained_ctx);
}

void http_count_limited(struct http_conn *conn, enum http_limited what)
{
    census_count(conn->server->census, what);
}

/* Over a limit: say so and close at once; lingering would let the crowd hold descriptors. */
static void turn_away(const struct acceptor *acceptor, int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Retry-After: 5\r\nContent-Length: 0\r\n"
                                 "Connection: close\r\n\r\n";

    if (!acceptor->tls) // who speaks TLS would have to be greeted first
        (void)!send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)close(fd);
}

static void admit(const struct acceptor *acceptor, int fd, const struct sockaddr *address)
{
    struct http_server *server = acceptor->server;
    struct peer_address peer = peer_address_of(address);

    if (address->sa_family == AF_UNIX)
        listener_tune_accepted(fd);
    if (!census_enter(server->census, &peer, &server->options.limits))
        turn_away(acceptor, fd);
    else if (http_conn_open(server, fd, &peer, acceptor->tls) < 0)
        census_leave(server->census, &peer);
}

/*
 * No descriptor is left: the backlog would keep the loop awake at full speed. Give up the
 * reserved one, take and close all that wait, and take it back.
 */
static void drain_backlog(struct acceptor *acceptor)
{
    struct http_server *server = acceptor->server;

    (void)close(server->reserve_fd);
    for (int i = 0; i < LISTENER_BACKLOG; i++) {
        int fd = accept4(acceptor->fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
            break;
        census_count(server->census, LIMITED_descriptors);
        (void)close(fd);
    }
    server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void start_all(struct http_server *server);

static void on_pause_over(uv_timer_t *timer)
{
    struct http_server *server = CONTAINER_OF(timer, struct http_server, pause);

    if (server->reserve_fd < 0) // it could not be had back
        server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    start_all(server);
}

/* A socket that stays readable would keep the loop awake at full speed. */
static void pause_accepting(struct http_server *server)
{
    for (struct acceptor *a = server->acceptors; a; a = a->next)
        (void)uv_poll_stop(&a->poll);
    (void)uv_timer_start(&server->pause, on_pause_over, PAUSE_MS, 0);
}

/* For want of descriptors or memory, or for a connection that is gone already? */
static void on_accept_error(struct acceptor *acceptor, int error)
{
    if (error == EMFILE || error == ENFILE)
        drain_backlog(acceptor);
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM)
        pause_accepting(acceptor->server);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct acceptor *acceptor = CONTAINER_OF(poll, struct acceptor, poll);
    struct sockaddr_storage address;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        socklen_t len = sizeof(address);
        int fd = accept4(acceptor->fd, (struct sockaddr *)&address, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            admit(acceptor, fd, (struct sockaddr *)&address);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            on_accept_error(acceptor, errno);
            break;
        }
    }
}

static void start_accepting(struct acceptor *acceptor)
{
    (void)uv_poll_start(&acceptor->poll, UV_READABLE, on_acceptable);
}

static void start_all(struct http_server *server)
{
    for (struct acceptor *a = server->acceptors; a; a = a->next)
        start_accepting(a);
}

struct http_limits http_limits_of(struct http_limits given)
{
    const struct http_limits *d = &DEFAULT_LIMITS;

    return (struct http_limits){
        .clients = given.clients ? given.clients : d->clients,
        .clients_per_ip = given.clients_per_ip ? given.clients_per_ip : d->clients_per_ip,
        .streams = given.streams ? given.streams : d->streams,
        .requests = given.requests ? given.requests : d->requests,
        .head_ms = given.head_ms ? given.head_ms : d->head_ms,
        .idle_ms = given.idle_ms ? given.idle_ms : d->idle_ms,
        .stalled_ms = given.stalled_ms ? given.stalled_ms : d->stalled_ms,
    };
}

int http_server_new(const struct http_server_options *options, struct http_server **ret)
{
    struct http_limits limits = http_limits_of(options->limits);
    struct http_server *server = calloc(1, sizeof(*server));

    if (!server)
        return -ENOMEM;
    if (!options->census && census_new(limits.clients, &server->own_census) < 0) {
        free(server);
        return -ENOMEM;
    }
    server->census = options->census ? options->census : server->own_census;
    server->options = *options;
    server->options.limits = limits;
    server->waits[WAIT_HEAD].span_ms = limits.head_ms;
    server->waits[WAIT_IDLE].span_ms = limits.idle_ms;
    server->waits[WAIT_STALLED].span_ms = limits.stalled_ms;
    server->waits[WAIT_LINGER].span_ms = LINGER_MS;
    (void)uv_timer_init(options->loop, &server->timer);
    (void)uv_timer_init(options->loop, &server->pause);
    server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    *ret = server;
    return 0;
}

/* "http://..." into "https://...", where there is room. */
static void make_secure(char *url, size_t room)
{
    static const size_t scheme = sizeof("http") - 1;
    size_t len = strlen(url);

    if (len < scheme || len + 2 > room)
        return;
    memmove(url + scheme + 1, url + scheme, len - scheme + 1);
    url[scheme] = 's';
}

static bool is_of_unix(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
           address.ss_family == AF_UNIX;
}

static struct listener_options listening(const struct http_server *server)
{
    return (struct listener_options){.allow_public = server->options.allow_public,
                                     .several = server->options.several,
                                     .socket_mode = server->options.socket_mode};
}

/* Owns `fd`, but copies `unix_path`, the file to remove at the end; NULL: none. */
static int add_acceptor(struct http_server *server, int fd, const char *unix_path)
{
    struct acceptor *acceptor = calloc(1, sizeof(*acceptor));

    if (acceptor && unix_path)
        acceptor->unix_path = strdup(unix_path);
    if (!acceptor || (unix_path && !acceptor->unix_path) ||
        uv_poll_init(server->options.loop, &acceptor->poll, fd) < 0) {
        if (acceptor)
            free(acceptor->unix_path);
        free(acceptor);
        (void)close(fd);
        return -ENOMEM;
    }
    acceptor->tls = is_of_unix(fd) ? NULL : server->options.tls;
    acceptor->server = server;
    acceptor->fd = fd;
    acceptor->next = server->acceptors;
    server->acceptors = acceptor;
    if (!server->options.held)
        start_accepting(acceptor);
    return 0;
}

int http_server_listen(struct http_server *server, const char *address, char *ret_url,
                       size_t url_room, struct complaint *complaint)
{
    static const char prefix[] = "unix:";
    struct listener_options options = listening(server);
    bool is_unix = strncmp(address, prefix, sizeof(prefix) - 1) == 0;
    int fd = listener_open(address, &options, ret_url, url_room, complaint);

    if (fd < 0)
        return fd;
    if (add_acceptor(server, fd, is_unix ? address + sizeof(prefix) - 1 : NULL) < 0)
        return complain(complaint, -ENOMEM, "cannot listen on %s: out of memory",
                        address);
    if (server->acceptors->tls)
        make_secure(ret_url, url_room);
    return 0;
}

int http_server_listen_with(struct http_server *server, const struct http_server *first)
{
    for (const struct acceptor *a = first->acceptors; a; a = a->next) {
        int fd = listener_twin(a->fd);
        int r = fd < 0 ? fd : add_acceptor(server, fd, NULL);

        if (r < 0)
            return r;
    }
    return 0;
}

int http_server_adopt(struct http_server *server, int fd, char *ret_url, size_t url_room,
                      struct complaint *complaint)
{
    struct listener_options options = listening(server);
    int r = listener_adopt(fd, &options, ret_url, url_room, complaint);

    if (r < 0) {
        (void)close(fd);
        return r;
    }
    if (add_acceptor(server, fd, NULL) < 0)
        return complain(complaint, -ENOMEM, "cannot listen on %s: out of memory",
                        ret_url);
    if (server->acceptors->tls)
        make_secure(ret_url, url_room);
    return 0;
}

void http_server_release(struct http_server *server)
{
    server->options.held = false;
    start_all(server);
}

static void on_acceptor_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct acceptor, poll));
}

/* The next server replaces one that stays. */
static void remove_socket(const char *path)
{
    if (unlink(path) < 0 && errno != ENOENT)
        log_warning("cannot remove %s: %s", path, strerror(errno));
}

static void stop_listening(struct http_server *server)
{
    while (server->acceptors) {
        struct acceptor *acceptor = server->acceptors;

        server->acceptors = acceptor->next;
        (void)uv_poll_stop(&acceptor->poll);
        uv_close((uv_handle_t *)&acceptor->poll, on_acceptor_closed);
        if (acceptor->unix_path) // first: whoever finds no path makes one
            remove_socket(acceptor->unix_path);
        (void)close(acceptor->fd);
        free(acceptor->unix_path);
    }
    (void)uv_timer_stop(&server->pause);
}

void http_server_drain(struct http_server *server, http_drained_fn *drained, void *ctx)
{
    struct http_conn *next;

    if (server->draining || server->closing)
        return;
    stop_listening(server);
    server->draining = true;
    server->drained = drained;
    server->drained_ctx = ctx;
    if (!server->conns)
        drained(ctx);
    for (struct http_conn *conn = server->conns; conn; conn = next) {
        next = conn->next;
        http_conn_drain(conn);
    }
}

void http_server_close(struct http_server *server)
{
    if (!server || server->closing)
        return;
    server->closing = true;
    stop_listening(server);
    while (server->conns)
        http_conn_close(server->conns);
    uv_close((uv_handle_t *)&server->timer, NULL);
    uv_close((uv_handle_t *)&server->pause, NULL);
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    census_free(server->own_census);
    (void)close(server->reserve_fd);
    free(server);
}

struct http_server_stats http_server_stats(const struct http_server *server)
{
    return census_stats(server->census);
}
