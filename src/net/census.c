// SPDX-License-Identifier: Apache-2.0
#include "net/census.h"

#include <pthread.h>
#include <stdatomic.h>

struct census {
    pthread_mutex_t lock; // of peers, clients and accepted
    struct peers *peers;
    size_t clients;
    uint64_t accepted;
    atomic_size_t streams;
    atomic_ullong limited[HTTP_LIMITED];
};

int census_new(size_t max_clients, struct census **ret)
{
    struct census *census = calloc(1, sizeof(*census));
    int r;

    if (!census)
        return -ENOMEM;
    r = peers_new(max_clients, &census->peers);
    if (r < 0) {
        free(census);
        return r;
    }
    (void)pthread_mutex_init(&census->lock, NULL); // cannot fail
    *ret = census;
    return 0;
}

void census_free(struct census *census)
{
    if (!census)
        return;
    (void)pthread_mutex_destroy(&census->lock);
    peers_free(census->peers);
    free(census);
}

bool census_enter(struct census *census, const struct peer_address *peer,
                  const struct http_limits *limits)
{
    enum http_limited over = HTTP_LIMITED;

    (void)pthread_mutex_lock(&census->lock);
    if (census->clients >= limits->clients) {
        over = LIMITED_clients;
    } else if (peers_add(census->peers, peer, limits->clients_per_ip) < 0) {
        over = LIMITED_per_ip;
    } else {
        census->clients++;
        census->accepted++;
    }
    (void)pthread_mutex_unlock(&census->lock);
    if (over != HTTP_LIMITED)
        census_count(census, over);
    return over == HTTP_LIMITED;
}

void census_leave(struct census *census, const struct peer_address *peer)
{
    (void)pthread_mutex_lock(&census->lock);
    peers_remove(census->peers, peer);
    census->clients--;
    (void)pthread_mutex_unlock(&census->lock);
}

bool census_begin_stream(struct census *census, size_t max)
{
    if (atomic_fetch_add(&census->streams, 1) < max)
        return true;
    census_end_stream(census);
    census_count(census, LIMITED_streams);
    return false;
}

void census_end_stream(struct census *census)
{
    (void)atomic_fetch_sub(&census->streams, 1);
}

void census_count(struct census *census, enum http_limited what)
{
    (void)atomic_fetch_add_explicit(&census->limited[what], 1, memory_order_relaxed);
}

struct http_server_stats census_stats(struct census *census)
{
    struct http_server_stats stats = {.streams = census->streams};

    (void)pthread_mutex_lock(&census->lock);
    stats.clients = census->clients;
    stats.accepted = census->accepted;
    (void)pthread_mutex_unlock(&census->lock);
    for (size_t i = 0; i < HTTP_LIMITED; i++)
        stats.limited[i] = census->limited[i];
    return stats;
}
