// SPDX-License-Identifier: Apache-2.0
/*
 * peers.h - how many connections each address has
 *
 * One table of fixed size, made at the start: an address costs nothing once it has left.
 */
#ifndef NET_PEERS_H
#define NET_PEERS_H

#include "base/base.h"

#include <sys/socket.h>

/* An IPv6 address, or an IPv4 one mapped into it; all zero for a Unix socket. */
struct peer_address {
    uint8_t bytes[16];
};

struct peers;

int peers_new(size_t max_peers, struct peers **ret) MUST_CHECK;
void peers_free(struct peers *peers);

struct peer_address peer_address_of(const struct sockaddr *address);
bool peer_is_unix(const struct peer_address *address);

/* Count one more; -EUSERS: `max` are counted already. Unix sockets are not counted. */
int peers_add(struct peers *peers, const struct peer_address *address,
              size_t max) MUST_CHECK;
void peers_remove(struct peers *peers, const struct peer_address *address);

#endif
