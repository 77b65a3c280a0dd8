// SPDX-License-Identifier: Apache-2.0
/*
 * transport.h - the bytes of one connection, on a bare socket or through TLS
 *
 * Without TLS each call is one system call. With it a call may wait for the other
 * direction than its own: recv_wants and send_wants say what to poll for after one that
 * did not get through. What was to be sent and was not taken must come first in the next
 * send: OpenSSL may have made a record of it.
 *
 * An idle stream takes about 9 KiB with its session, 16 KiB of resident memory (OpenSSL
 * 3.0; test_transport measures the first), and 17 KiB more while a record waits for its
 * reader. A handshake may take 170 KiB: OpenSSL makes room for the longest hello.
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include "base/base.h"

#include <sys/socket.h>

struct ssl_st; // OpenSSL's
struct tls;

struct transport {
    struct ssl_st *ssl; // NULL: plain
    int fd;             // owned
    uint32_t taken;     // bytes that came from the socket, since its owner last set it
    uint8_t recv_wants; // of enum uv_poll_event
    uint8_t send_wants;
    bool greeted; // the handshake is done
    bool failed;  // the session is broken: nothing more can be said in it
};

/*
 * Owns `fd` on success, and must stay where it is. `tls` NULL: plain. -ENOMEM: `fd` is
 * still the caller's.
 */
int transport_open(struct transport *transport, int fd, struct tls *tls) MUST_CHECK;

/* Close the socket; a peer by TLS is told, if that needs no waiting. */
void transport_close(struct transport *transport);

/* Have the close that follows throw away what the peer has not read yet. */
void transport_abort(struct transport *transport);

/*
 * 1: done; 0: not yet, poll for recv_wants. Negative, after which the transport is plain,
 * and what comes in is to be dropped: -ENOMSG: plain HTTP was spoken; -ECONNRESET: the
 * peer left without a word; -EPROTO: anything else, which the peer was told.
 */
int transport_handshake(struct transport *transport) MUST_CHECK;

/*
 * Say that nothing more will be sent. -EAGAIN: that could not be said yet; poll for
 * send_wants and call again.
 */
int transport_shutdown(struct transport *transport);

/* Has it bytes that no poll will tell of? */
bool transport_pending(const struct transport *transport);

ssize_t transport_recv_tls(struct transport *transport, char *room, size_t len);
ssize_t transport_send_tls(struct transport *transport, struct span bytes);

/* Bytes read, 0 at the end. -EAGAIN: none yet. Any other error: it is broken. */
static inline ssize_t transport_recv(struct transport *transport, char *room, size_t len)
{
    ssize_t n;

    if (transport->ssl)
        return transport_recv_tls(transport, room, len);
    n = recv(transport->fd, room, len, MSG_DONTWAIT);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : neg_errno();
    transport->taken += (uint32_t)n;
    return n;
}

/* Bytes taken, 0 when there is no room. Negative: it is broken. */
static inline ssize_t transport_send(struct transport *transport, struct span bytes)
{
    ssize_t n;

    if (transport->ssl)
        return transport_send_tls(transport, bytes);
    n = send(transport->fd, bytes.at, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : neg_errno();
    return n;
}

/* The same for two parts, one after the other. */
ssize_t transport_sendv(struct transport *transport, struct span head, struct span body);

#endif
