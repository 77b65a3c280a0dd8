// SPDX-License-Identifier: Apache-2.0
/*
 * discover.h - which socket of a server is the one to ask, and under which address
 *
 * Pure: decides on facts that the host has told. A server is found by its command line or
 * by the titles of its workers, never by knocking at ports. Of the sockets that its tree
 * listens on only one that can be its own is asked: the rendezvous ports of workers are
 * not for strangers, and a request there can end a job.
 */
#ifndef JOIN_DISCOVER_H
#define JOIN_DISCOVER_H

#include "host/listeners.h"
#include "host/network.h"
#include "host/port_proxy.h"

enum {
    DISCOVER_URL_MAX = 80,
    DISCOVER_PORT_DEFAULT = 8000, // where none is known
    DISCOVER_PORT_LEAST = 1024,   // below it nobody is asked
    DISCOVER_REJECTED_MAX = 8,    // sockets of one server; then it is asked no more
};

struct discover_server {
    uint32_t uid;
    uint16_t port;         // that it was told to listen on; 0: not known
    uint16_t default_port; // where it listens when not told; 0: not known
    bool mute;             // it has no port that may be asked
    bool tls;              // likewise: with a certificate
    bool holds_gpu;        // some process of its tree holds device memory
    unsigned n_rejected;
    uint64_t rejected[DISCOVER_REJECTED_MAX]; // inodes of sockets that are no engine's
};

/* Whose servers are asked besides root's. */
struct discover_users {
    uint32_t own_uid;
    const uint32_t *others; // whom the operator names
    size_t n_others;
};

/*
 * Whether it may be asked: who runs it is one of these, or it holds device memory, which
 * nobody can pretend. Everybody can name a process "vllm serve".
 */
bool discover_may_ask(const struct discover_server *server,
                      const struct discover_users *users);

bool discover_is_rejected(const struct discover_server *server, uint64_t inode);

/*
 * The socket to ask: index in `listeners`, or -1. `held` (n of them) are those that its
 * process holds; n < 0: that is not for us to see, and a socket of its user on its port
 * is taken for it. None that was rejected is taken again.
 */
int discover_socket(const struct discover_server *server,
                    const struct host_listeners *listeners, const uint32_t *held, int n);

/*
 * Where to ask. `own` are our addresses; `network` is NULL on our own network, else the
 * addresses of the server's. -EHOSTUNREACH when its socket takes connections from within
 * alone, or is bound to an address that is not where it is: any user may do so, and we
 * would knock at a third party.
 */
int discover_url(const struct discover_server *server, const struct host_listener *socket,
                 const struct host_addresses *network, const struct host_addresses *own,
                 char ret[DISCOVER_URL_MAX]) MUST_CHECK;

/* The host's port that a proxy hands on to `port` in the network; 0: there is none. */
uint16_t discover_host_port(const struct host_addresses *network, uint16_t port,
                            const struct host_port_proxy *proxies, size_t n);

#endif
