// SPDX-License-Identifier: Apache-2.0
#include "net/transport.h"

#include "net/tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/uio.h>
#include <uv.h>

/* A head and a body up to this size together go as one record, in one packet. */
enum { JOINED_MAX = 4096 };

static void become_plain(struct transport *transport)
{
    SSL_free(transport->ssl);
    transport->ssl = NULL;
    transport->recv_wants = UV_READABLE;
    transport->send_wants = UV_WRITABLE;
}

int transport_open(struct transport *transport, int fd, struct tls *tls)
{
    *transport = (struct transport){
        .fd = fd, .recv_wants = UV_READABLE, .send_wants = UV_WRITABLE};
    return tls ? tls_begin(tls, transport) : 0;
}

void transport_close(struct transport *transport)
{
    if (transport->ssl && transport->greeted && !transport->failed) {
        ERR_clear_error();
        (void)SSL_shutdown(transport->ssl); // a courtesy: the socket's end comes anyway
        ERR_clear_error();
    }
    become_plain(transport);
    (void)close(transport->fd);
}

void transport_abort(struct transport *transport)
{
    static const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    // Without a reset the kernel would go on offering the unread rest for minutes.
    (void)setsockopt(transport->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    become_plain(transport);
}

/* Why a call gave `r` and no bytes: 0 at the end, -EAGAIN with *wants, or broken. */
static int explain(struct transport *transport, int r, uint8_t *wants)
{
    switch (SSL_get_error(transport->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        *wants = UV_READABLE;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        *wants = UV_WRITABLE;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_clear_error(); // libcurl looks at the same queue
        transport->failed = true;
        return -EPROTO;
    }
}

int transport_handshake(struct transport *transport)
{
    int r, why;

    ERR_clear_error();
    r = SSL_accept(transport->ssl);
    if (r == 1) {
        transport->greeted = true;
        transport->recv_wants = UV_READABLE;
        return 1;
    }
    why = ERR_GET_REASON(ERR_peek_error());
    if (explain(transport, r, &transport->recv_wants) == -EAGAIN)
        return 0;
    become_plain(transport);
    if (why == SSL_R_HTTP_REQUEST)
        return -ENOMSG;
    return transport->taken ? -EPROTO : -ECONNRESET;
}

int transport_shutdown(struct transport *transport)
{
    if (transport->ssl && transport->greeted && !transport->failed) {
        int r;

        ERR_clear_error();
        r = SSL_shutdown(transport->ssl);
        if (r < 0 && explain(transport, r, &transport->send_wants) == -EAGAIN)
            return -EAGAIN;
    }
    become_plain(transport); // what the peer still says is dropped as it comes
    (void)shutdown(transport->fd, SHUT_WR);
    return 0;
}

bool transport_pending(const struct transport *transport)
{
    return transport->ssl && SSL_pending(transport->ssl) > 0;
}

ssize_t transport_recv_tls(struct transport *transport, char *room, size_t len)
{
    int n;

    ERR_clear_error();
    n = SSL_read(transport->ssl, room, (int)MIN(len, (size_t)INT_MAX));
    if (n <= 0)
        return explain(transport, n, &transport->recv_wants);
    transport->recv_wants = UV_READABLE;
    return n;
}

ssize_t transport_send_tls(struct transport *transport, struct span bytes)
{
    size_t sent = 0;

    ERR_clear_error();
    while (sent < bytes.len) {
        size_t left = MIN(bytes.len - sent, (size_t)INT_MAX);
        int n = SSL_write(transport->ssl, bytes.at + sent, (int)left);

        if (n <= 0) {
            n = explain(transport, n, &transport->send_wants);
            if (n == -EAGAIN)
                break;
            return n < 0 ? n : -EPIPE;
        }
        sent += (size_t)n;
    }
    return (ssize_t)sent;
}

static ssize_t send_parts_tls(struct transport *transport, struct span head,
                              struct span body)
{
    char joined[JOINED_MAX];
    ssize_t of_head, of_body;

    if (head.len + body.len <= sizeof(joined)) {
        memcpy(joined, head.at, head.len);
        if (body.len)
            memcpy(joined + head.len, body.at, body.len);
        return transport_send_tls(transport, (struct span){joined, head.len + body.len});
    }
    of_head = transport_send_tls(transport, head);
    if (of_head < 0 || (size_t)of_head < head.len)
        return of_head;
    of_body = transport_send_tls(transport, body);
    return of_body < 0 ? of_body : of_head + of_body;
}

ssize_t transport_sendv(struct transport *transport, struct span head, struct span body)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)head.at, head.len},
                             {(void *)(uintptr_t)body.at, body.len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = body.len ? 2 : 1};
    ssize_t n;

    if (transport->ssl)
        return send_parts_tls(transport, head, body);
    n = sendmsg(transport->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : neg_errno();
    return n;
}
