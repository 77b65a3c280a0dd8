// SPDX-License-Identifier: Apache-2.0
#include "net/peers.h"

#include <netinet/in.h>

struct slot {
    struct peer_address address;
    uint32_t count; // 0: free
};

struct peers {
    size_t mask;
    struct slot slots[];
};

int peers_new(size_t max_peers, struct peers **ret)
{
    size_t n = 16;
    struct peers *peers;

    while (n < max_peers * 2)
        n *= 2;
    peers = calloc(1, sizeof(*peers) + n * sizeof(peers->slots[0]));
    if (!peers)
        return -ENOMEM;
    peers->mask = n - 1;
    *ret = peers;
    return 0;
}

void peers_free(struct peers *peers)
{
    free(peers);
}

struct peer_address peer_address_of(const struct sockaddr *address)
{
    struct peer_address peer = {0};

    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 =
            (const struct sockaddr_in6 *)(const void *)address;

        memcpy(peer.bytes, &in6->sin6_addr, sizeof(peer.bytes));
    } else if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;

        peer.bytes[10] = peer.bytes[11] = 0xff;
        memcpy(peer.bytes + 12, &in->sin_addr, 4);
    }
    return peer;
}

bool peer_is_unix(const struct peer_address *address)
{
    static const struct peer_address none;

    return memcmp(address, &none, sizeof(none)) == 0;
}

/* FNV-1a; a crowd of chosen addresses is bounded by the table, which is half empty. */
static size_t home_of(const struct peers *peers, const struct peer_address *address)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (size_t i = 0; i < sizeof(address->bytes); i++)
        hash = (hash ^ address->bytes[i]) * 0x100000001b3U;
    return (size_t)(hash ^ hash >> 32) & peers->mask;
}

/* The address's slot, or the free one where it would go. */
static size_t find(const struct peers *peers, const struct peer_address *address)
{
    size_t i = home_of(peers, address);

    while (peers->slots[i].count &&
           memcmp(&peers->slots[i].address, address, sizeof(*address)) != 0)
        i = (i + 1) & peers->mask;
    return i;
}

int peers_add(struct peers *peers, const struct peer_address *address, size_t max)
{
    struct slot *slot;

    if (peer_is_unix(address))
        return 0;
    slot = &peers->slots[find(peers, address)];
    if (slot->count >= max)
        return -EUSERS;
    slot->address = *address;
    slot->count++;
    return 0;
}

/* Close the gap at `hole`: move back what would no longer be found past it. */
static void close_gap(struct peers *peers, size_t hole)
{
    for (size_t i = (hole + 1) & peers->mask; peers->slots[i].count;
         i = (i + 1) & peers->mask) {
        size_t home = home_of(peers, &peers->slots[i].address);

        if (((i - home) & peers->mask) < ((i - hole) & peers->mask))
            continue;
        peers->slots[hole] = peers->slots[i];
        peers->slots[i].count = 0;
        hole = i;
    }
}

void peers_remove(struct peers *peers, const struct peer_address *address)
{
    size_t i;

    if (peer_is_unix(address))
        return;
    i = find(peers, address);
    if (peers->slots[i].count && --peers->slots[i].count == 0)
        close_gap(peers, i);
}
