// SPDX-License-Identifier: Apache-2.0
/*
 * found_server.h - one server that discovery.c follows, and where it listens
 *
 * Which socket is looked up when the sockets of its network have changed. One that has
 * gone is not asked any more, since whoever opens its port next may be anybody.
 */
#ifndef DAEMON_FOUND_SERVER_H
#define DAEMON_FOUND_SERVER_H

#include "daemon/discovery.h"

enum {
    FOUND_MEMBERS_MAX = 4, // processes with a server's command line below its root
    FOUND_PATH_SIZE = DISCOVER_URL_MAX - 5, // "unix:" goes before it
};

struct found_server {
    struct discovered found;
    struct discover_server facts;
    struct host_process members[FOUND_MEMBERS_MAX]; // servers by their command line too
    unsigned n_members;
    bool own_network;
    bool own_users; // its network may be another, but not of its user's making
    struct host_addresses addresses; // of its own network, when that is not ours
    uint64_t network;                // fingerprint of these
    uint64_t looked_at;              // fingerprint of the sockets that were looked at
    unsigned looks;
    uint16_t port;                   // of its socket, in its own network
    char unix_path[FOUND_PATH_SIZE]; // that it was told to listen on instead; or ""
};

/* Changes whenever a socket comes or goes. */
uint64_t found_server_fingerprint(const struct host_listeners *listeners);

/*
 * Look its socket up again if it is gone, or is none. `listeners` are those of its
 * network, `sockets` their fingerprint.
 */
void found_server_look(struct found_server *server, struct host *host,
                       const struct host_listeners *listeners, uint64_t sockets);

/* Likewise in a network of its own, whose addresses may be given to it late. */
void found_server_look_inside(struct found_server *server, struct host *host,
                              struct host_listeners *scratch);

/*
 * Look for the socket that its command line names, in our own file system and of its own
 * user. Only for a server in no container whose user is trusted: a path leads anywhere.
 */
void found_server_look_at_path(struct found_server *server);

/* The port of the host. A proxy may come before the server or after it, and go. */
void found_server_find_port(struct found_server *server,
                            const struct host_port_proxy *proxies, size_t n);

#endif
