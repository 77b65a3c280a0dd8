// SPDX-License-Identifier: Apache-2.0
#include "peer.h"

#include "base/number.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    OUT_MAX = 1 << 20,
    READ_MAX = 16384,
    WAIT_MIN_MS = 250, // as publish/connection.c has them
    WAIT_MAX_MS = 4000,
};

int peer_add_server(struct peer_servers *servers, struct span url)
{
    static const char scheme[] = "nats://";
    struct sockaddr_in *at = &servers->at[servers->n];
    const char *colon;
    char host[INET_ADDRSTRLEN];
    uint64_t port;
    size_t len;

    if (servers->n == PEER_SERVERS_MAX || url.len < sizeof(scheme) ||
        memcmp(url.at, scheme, sizeof(scheme) - 1) != 0)
        return -EINVAL;
    url = (struct span){url.at + sizeof(scheme) - 1, url.len - (sizeof(scheme) - 1)};
    colon = memchr(url.at, ':', url.len);
    len = colon ? (size_t)(colon - url.at) : sizeof(host);
    if (len >= sizeof(host))
        return -EINVAL;
    memcpy(host, url.at, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, &at->sin_addr) != 1 ||
        number_read_u64((struct span){colon + 1, url.len - len - 1}, UINT16_MAX, &port) <
            0)
        return -EINVAL;
    at->sin_family = AF_INET;
    at->sin_port = htons((uint16_t)port);
    servers->n++;
    return 0;
}

static uint64_t random_of(struct peer *peer)
{
    peer->random ^= peer->random << 13;
    peer->random ^= peer->random >> 7;
    return peer->random ^= peer->random << 17;
}

void peer_init(struct peer *peer, const struct peer_servers *servers, int epoll,
               uint64_t random, uint64_t start_ns)
{
    *peer = (struct peer){.servers = servers,
                          .epoll = epoll,
                          .fd = -1,
                          .random = random | 1,
                          .retry_ns = start_ns};
    for (int i = 0; i < 8; i++)
        (void)random_of(peer); // alike seeds, unlike numbers
    buf_init(&peer->out, OUT_MAX);
}

void peer_done(struct peer *peer)
{
    if (peer->fd >= 0)
        (void)close(peer->fd);
    buf_done(&peer->out);
}

static void hang_up(struct peer *peer)
{
    if (peer->fd >= 0)
        (void)close(peer->fd);
    peer->fd = -1;
    peer->state = PEER_WAITING;
    peer->line_len = 0;
    buf_clear(&peer->out); // nothing old is sent later
}

/* As a node does: twice as long after each failure, the half of it chance. */
static void wait_a_while(struct peer *peer, uint64_t now_ns)
{
    unsigned doublings = MIN(peer->failures, 8U);
    uint64_t most = MIN((uint64_t)WAIT_MIN_MS << doublings, (uint64_t)WAIT_MAX_MS);

    hang_up(peer);
    peer->tried = 0;
    peer->retry_ns = now_ns + (most / 2 + random_of(peer) % (most / 2 + 1)) * 1000000;
}

static int start_connecting(struct peer *peer)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data = {.ptr = peer}};
    const struct sockaddr_in *at = &peer->servers->at[peer->server];
    const int on = 1;

    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (peer->fd < 0)
        return neg_errno();
    (void)setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(peer->fd, (const struct sockaddr *)at, sizeof(*at)) < 0 &&
        errno != EINPROGRESS)
        return neg_errno();
    return epoll_ctl(peer->epoll, EPOLL_CTL_ADD, peer->fd, &event) < 0 ? neg_errno() : 0;
}

/* The next of the servers at once, in an order that chance begins; then a pause. */
static void try_next(struct peer *peer, uint64_t now_ns)
{
    hang_up(peer);
    while (peer->tried < peer->servers->n) {
        peer->server = (unsigned)((peer->tried ? peer->server + 1 : random_of(peer)) %
                                  peer->servers->n);
        peer->tried++;
        if (start_connecting(peer) == 0) {
            peer->state = PEER_CONNECTING;
            return;
        }
        hang_up(peer);
    }
    peer->failures++;
    wait_a_while(peer, now_ns);
}

static void lose(struct peer *peer, uint64_t now_ns)
{
    if (peer->state == PEER_CONNECTING) {
        try_next(peer, now_ns);
        return;
    }
    peer->failures++;
    wait_a_while(peer, now_ns);
}

void peer_tick(struct peer *peer, uint64_t now_ns)
{
    if (peer->state == PEER_WAITING && now_ns >= peer->retry_ns)
        try_next(peer, now_ns);
}

/* False: the connection is of no more use. */
static bool flush(struct peer *peer)
{
    struct buf *out = &peer->out;
    ssize_t n;

    if (out->error)
        return false;
    while (out->len) {
        n = send(peer->fd, out->data, out->len, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        memmove(out->data, out->data + n, out->len - (size_t)n);
        out->len -= (size_t)n;
    }
    return true;
}

static void greet(struct peer *peer)
{
    peer->state = PEER_GREETING;
    peer->confirmed = false;
    buf_printf(&peer->out,
               "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false,"
               "\"protocol\":1,\"lang\":\"C\",\"name\":\"vramscoped\"}\r\n"
               "SUB %s 1\r\nPING\r\n",
               peer->claim);
}

static bool begins(const struct peer *peer, const char *word)
{
    size_t len = strlen(word);

    return peer->line_len >= len && memcmp(peer->line, word, len) == 0;
}

/* Lines that are a message, or its payload, are of no interest. */
static void take_line(struct peer *peer)
{
    if (begins(peer, "PING")) {
        buf_add_str(&peer->out, "PONG\r\n");
    } else if (begins(peer, "PONG")) {
        peer->connections += peer->state == PEER_GREETING;
        peer->state = PEER_LIVE;
        peer->confirmed = true;
        peer->failures = 0;
    } else if (begins(peer, "INFO") && peer->state == PEER_CONNECTING) {
        greet(peer);
    } else if (begins(peer, "-ERR")) {
        if (peer->errors++ == 0)
            (void)snprintf(peer->error, sizeof(peer->error), "%.*s", (int)peer->line_len,
                           peer->line);
    }
    peer->line_len = 0;
}

static void take_bytes(struct peer *peer, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\n')
            take_line(peer);
        else if (bytes[i] != '\r' && peer->line_len < sizeof(peer->line))
            peer->line[peer->line_len++] = bytes[i];
    }
}

void peer_on_ready(struct peer *peer, uint64_t now_ns)
{
    static char bytes[READ_MAX];
    ssize_t n;

    if (peer->fd < 0)
        return;
    for (;;) {
        n = recv(peer->fd, bytes, sizeof(bytes), 0);
        if (n <= 0)
            break;
        take_bytes(peer, bytes, (size_t)n);
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR && errno != ENOTCONN) ||
        !flush(peer))
        lose(peer, now_ns);
}

void peer_publish(struct peer *peer, const char *subject, struct span payload,
                  bool confirm, uint64_t now_ns)
{
    buf_printf(&peer->out, "PUB %s %zu\r\n", subject, payload.len);
    buf_add(&peer->out, payload.at, payload.len);
    buf_add_str(&peer->out, confirm ? "\r\nPING\r\n" : "\r\n");
    if (confirm)
        peer->confirmed = false;
    if (!flush(peer))
        lose(peer, now_ns);
}
