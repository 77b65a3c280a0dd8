// SPDX-License-Identifier: Apache-2.0
#include "daemon/found_server.h"

#include <stdio.h>
#include <sys/stat.h>

enum { OTHERS_EVERY = 2 }; // looks asked for, to one look into another network

uint64_t found_server_fingerprint(const struct host_listeners *listeners)
{
    uint64_t sum = listeners->n;

    for (uint32_t i = 0; i < listeners->n; i++)
        sum = (sum ^ listeners->at[i].inode) * UINT64_C(0x9E3779B97F4A7C15);
    return sum;
}

static bool listens_still(const struct host_listeners *listeners, uint64_t inode)
{
    for (uint32_t i = 0; i < listeners->n; i++)
        if (listeners->at[i].inode == inode)
            return true;
    return false;
}

/*
 * Of what its processes hold of `listeners`, its root's first: an index, or -1. An error:
 * that cannot be told just now, and a socket of its user is not to be taken for its own.
 */
static int choose_socket(struct host *host, const struct found_server *server,
                         const struct host_listeners *listeners, int *ret)
{
    enum { HELD_MAX = 64 };
    const struct host_process *process = &server->found.root;
    uint32_t held[HELD_MAX];

    *ret = -1;
    for (unsigned i = 0; *ret < 0 && i <= server->n_members; i++) {
        int n = host_held_listeners(host, process, listeners, held, HELD_MAX);

        if (host_may_pass(n))
            return n;
        if (n != -ESRCH)
            *ret = discover_socket(&server->facts, listeners, held, n);
        process = &server->members[i];
    }
    return 0;
}

/* An error: it cannot be told just now, and all is as it was. */
static int set_address(struct host *host, struct found_server *server,
                       const struct host_listener *socket)
{
    struct discovered *found = &server->found;
    const struct host_addresses *network =
        server->own_network ? NULL : &server->addresses;
    struct host_addresses own;
    int r = host_read_addresses(host, 0, &own);

    if (host_may_pass(r))
        return r;
    if (r < 0)
        own = (struct host_addresses){.incomplete = true};
    server->port = socket->port;
    found->inode = socket->inode;
    found->port = socket->port;
    found->on_host = server->own_network;
    found->why = NULL;
    if (discover_url(&server->facts, socket, network, &own, found->url) < 0) {
        found->url[0] = '\0';
        found->why = "it listens on the loopback address of its container alone, or on "
                     "one that is not its own";
        if (network && network->n == 0)
            found->why = "its container has no address";
    }
    if (network && !server->own_users) {
        found->url[0] = '\0';
        found->why = "it is in a user namespace, in which addresses prove nothing";
    }
    return 0;
}

/* Whoever opens that port next may be anybody: it is not asked there any more. */
static void forget_address(struct found_server *server)
{
    server->found.inode = 0;
    server->found.url[0] = '\0';
    server->found.why = "its port is not open any more";
}

static void forget_rejected(struct discover_server *facts,
                            const struct host_listeners *listeners)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < facts->n_rejected; i++)
        if (listens_still(listeners, facts->rejected[i]))
            facts->rejected[kept++] = facts->rejected[i];
    facts->n_rejected = kept;
}

void found_server_look(struct found_server *server, struct host *host,
                       const struct host_listeners *listeners, uint64_t sockets)
{
    const struct discovered *found = &server->found;
    bool listens =
        found->inode && (listeners->incomplete || listens_still(listeners, found->inode));
    int at, r;

    if (server->looked_at == sockets ||
        (listens && found->url[0] && !discover_is_rejected(&server->facts, found->inode)))
        return;
    if (!listeners->incomplete)
        forget_rejected(&server->facts, listeners);
    r = choose_socket(host, server, listeners, &at);
    if (r == 0 && at >= 0)
        r = set_address(host, server, &listeners->at[at]);
    if (r == 0)
        server->looked_at = sockets; // else once more, soon
    if ((r < 0 || at < 0) && found->inode && !listens)
        forget_address(server);
}

/* Changes whenever an address does. */
static uint64_t fingerprint_of(const struct host_addresses *addresses)
{
    uint64_t sum = addresses->n;

    for (uint32_t i = 0; i < addresses->n; i++)
        for (size_t j = 0; j < HOST_ADDRESS_SIZE; j++)
            sum = (sum ^ addresses->at[i][j]) * UINT64_C(0x9E3779B97F4A7C15);
    return sum;
}

void found_server_look_at_path(struct found_server *server)
{
    struct discovered *found = &server->found;
    struct stat status;
    int r = lstat(server->unix_path, &status) < 0 ? neg_errno() : 0;

    if (host_may_pass(r))
        return;
    if (r < 0 || !S_ISSOCK(status.st_mode) || status.st_uid != server->facts.uid) {
        if (found->inode)
            forget_address(server);
        return;
    }
    found->inode = status.st_ino;
    found->port = 0;
    found->on_host = false;
    found->why = NULL;
    (void)snprintf(found->url, sizeof(found->url), "unix:%s", server->unix_path);
}

void found_server_find_port(struct found_server *server,
                            const struct host_port_proxy *proxies, size_t n)
{
    uint16_t own = server->found.inode ? server->port : server->facts.port;
    uint16_t port = discover_host_port(&server->addresses, own, proxies, n);

    server->found.on_host = port != 0;
    if (port || own)
        server->found.port = port ? port : own;
}

/* The sockets and the addresses of its network, or neither. */
static int read_network(struct found_server *server, struct host *host,
                        struct host_listeners *listeners)
{
    struct host_addresses addresses;
    uint32_t pid = server->found.root.pid;
    int r = host_read_listeners(host, pid, listeners);

    if (r == 0)
        r = host_read_addresses(host, pid, &addresses);
    if (r == 0)
        server->addresses = addresses;
    return r;
}

void found_server_look_inside(struct found_server *server, struct host *host,
                              struct host_listeners *scratch)
{
    uint64_t network;
    int r;

    if (server->looks++ % OTHERS_EVERY != 0)
        return;
    r = read_network(server, host, scratch);
    if (host_may_pass(r)) {
        server->looks = 0; // once more, at the next look; what is known stays
        return;
    }
    if (r < 0) {
        if (server->found.inode)
            forget_address(server);
        return;
    }
    network = fingerprint_of(&server->addresses);
    if (server->network != network)
        server->found.url[0] = '\0'; // it is written anew
    server->network = network;
    found_server_look(server, host, scratch, found_server_fingerprint(scratch) ^ network);
}
