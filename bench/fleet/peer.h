// SPDX-License-Identifier: Apache-2.0
/*
 * peer.h - one client of a NATS server on loopback, which publishes: no thread, no library
 *
 * What a node of vramscope sends and hears (docs/fleet.md), and no more of the protocol.
 * As a node's, each message is followed by a PING, whose answer says that the server has
 * taken it, and a lost connection is tried again at the same rising intervals.
 */
#ifndef FLEET_PEER_H
#define FLEET_PEER_H

#include "base/buf.h"

#include <netinet/in.h>

enum { PEER_SERVERS_MAX = 8, PEER_LINE_SIZE = 80 };

enum peer_state { PEER_WAITING, PEER_CONNECTING, PEER_GREETING, PEER_LIVE };

struct peer_servers {
    struct sockaddr_in at[PEER_SERVERS_MAX];
    size_t n;
};

struct peer {
    const struct peer_servers *servers;
    int epoll, fd;
    enum peer_state state;
    unsigned server;   // that it is connected to, or tries
    size_t tried;      // of the servers, in this attempt
    unsigned failures; // one after the other
    uint64_t retry_ns; // when to try again
    uint64_t random;
    char claim[96];            // the subject on which it hears of others of its name
    struct buf out;            // what has not been sent
    char line[PEER_LINE_SIZE]; // the begin of the one that is being read
    size_t line_len;
    bool confirmed; // nothing sent is without an answer
    uint64_t connections, errors;
    char error[PEER_LINE_SIZE]; // the first that the server told; "": none
};

/* "nats://127.0.0.1:4222"; -EINVAL: another kind of address. */
int peer_add_server(struct peer_servers *servers, struct span url) MUST_CHECK;

/* Its epoll event's pointer is the peer. It tries for the first time at `start_ns`. */
void peer_init(struct peer *peer, const struct peer_servers *servers, int epoll,
               uint64_t random, uint64_t start_ns);
void peer_done(struct peer *peer);

/* Try to connect, where it is time to. */
void peer_tick(struct peer *peer, uint64_t now_ns);

/* Something can be read or written. What it lost, it tries again. */
void peer_on_ready(struct peer *peer, uint64_t now_ns);

/* Only of one that is PEER_LIVE. With `confirm` the server is asked whether it has it. */
void peer_publish(struct peer *peer, const char *subject, struct span payload,
                  bool confirm, uint64_t now_ns);

#endif
