// SPDX-License-Identifier: Apache-2.0
#include "join/discover.h"

#include <stdio.h>

bool discover_may_ask(const struct discover_server *server,
                      const struct discover_users *users)
{
    for (size_t i = 0; i < users->n_others; i++)
        if (users->others[i] == server->uid)
            return true;
    return server->uid == 0 || server->uid == users->own_uid || server->holds_gpu;
}

bool discover_is_rejected(const struct discover_server *server, uint64_t inode)
{
    for (unsigned i = 0; i < server->n_rejected; i++)
        if (server->rejected[i] == inode)
            return true;
    return false;
}

/* No socket is asked that cannot be it. */
static bool may_be(const struct discover_server *server,
                   const struct host_listener *socket)
{
    if (socket->port < DISCOVER_PORT_LEAST || discover_is_rejected(server, socket->inode))
        return false;
    return server->port == 0 || socket->port == server->port;
}

/* Not held as far as we may see: its user's, on its very port. */
static int find_by_user(const struct discover_server *server,
                        const struct host_listeners *listeners)
{
    uint16_t port = server->port ? server->port : server->default_port;

    port = port ? port : DISCOVER_PORT_DEFAULT;
    for (uint32_t i = 0; i < listeners->n; i++)
        if (listeners->at[i].port == port && listeners->at[i].uid == server->uid &&
            may_be(server, &listeners->at[i]))
            return (int)i;
    return -1;
}

int discover_socket(const struct discover_server *server,
                    const struct host_listeners *listeners, const uint32_t *held, int n)
{
    if (server->mute || server->n_rejected == DISCOVER_REJECTED_MAX)
        return -1;
    if (n < 0)
        return find_by_user(server, listeners);
    for (int i = 0; i < n; i++)
        if (may_be(server, &listeners->at[held[i]]))
            return (int)held[i];
    return -1;
}

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_v4(const uint8_t *address)
{
    return memcmp(address, v4_prefix, sizeof(v4_prefix)) == 0;
}

static bool is_any(const uint8_t *address)
{
    static const uint8_t zero[HOST_ADDRESS_SIZE];

    return memcmp(address, zero, sizeof(zero)) == 0 ||
           (is_v4(address) && memcmp(address + 12, zero, 4) == 0);
}

static bool is_loopback(const uint8_t *address)
{
    static const uint8_t v6[HOST_ADDRESS_SIZE] = {[15] = 1};

    return memcmp(address, v6, sizeof(v6)) == 0 || (is_v4(address) && address[12] == 127);
}

static bool is_among(const struct host_addresses *network, const uint8_t *address)
{
    for (uint32_t i = 0; i < network->n; i++)
        if (memcmp(network->at[i], address, HOST_ADDRESS_SIZE) == 0)
            return true;
    return false;
}

/* Whether what is asked at `address` is in that network. */
static bool is_there(const uint8_t *address, const struct host_addresses *network,
                     const struct host_addresses *own)
{
    if (network)
        return is_among(network, address) && !own->incomplete && !is_among(own, address);
    return is_loopback(address) || own->incomplete || is_among(own, address);
}

/* Where a socket on any address is reached. */
static const uint8_t *reach(const struct host_addresses *network,
                            const struct host_addresses *own)
{
    static const uint8_t here[HOST_ADDRESS_SIZE] = {
        [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    const uint8_t *found = NULL;

    if (!network)
        return here;
    for (uint32_t i = 0; i < network->n; i++) {
        const uint8_t *address = network->at[i];

        if (is_there(address, network, own) && (!found || is_v4(address))) {
            found = address;
            if (is_v4(address))
                break;
        }
    }
    return found;
}

static void write_host(const uint8_t *address, char *ret, size_t room)
{
    size_t len = 0;

    if (is_v4(address)) {
        (void)snprintf(ret, room, "%u.%u.%u.%u", address[12], address[13], address[14],
                       address[15]);
        return;
    }
    for (int i = 0; i < HOST_ADDRESS_SIZE; i += 2)
        len += (size_t)snprintf(ret + len, room - len, "%s%x", i ? ":" : "[",
                                (unsigned)(address[i] << 8 | address[i + 1]));
    (void)snprintf(ret + len, room - len, "]");
}

int discover_url(const struct discover_server *server, const struct host_listener *socket,
                 const struct host_addresses *network, const struct host_addresses *own,
                 char ret[DISCOVER_URL_MAX])
{
    const uint8_t *address = socket->address;
    char host[48];

    if (is_any(address))
        address = reach(network, own);
    if (!address || !is_there(address, network, own))
        return -EHOSTUNREACH;
    write_host(address, host, sizeof(host));
    (void)snprintf(ret, DISCOVER_URL_MAX, "%s://%s:%u", server->tls ? "https" : "http",
                   host, socket->port);
    return 0;
}

uint16_t discover_host_port(const struct host_addresses *network, uint16_t port,
                            const struct host_port_proxy *proxies, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (proxies[i].container_port == port &&
            is_among(network, proxies[i].container_address))
            return proxies[i].host_port;
    return 0;
}
