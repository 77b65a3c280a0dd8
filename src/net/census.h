// SPDX-License-Identifier: Apache-2.0
/*
 * census.h - who is connected, over all servers that share the limits
 *
 * Servers on several threads count here, so that a limit is one limit however many serve.
 */
#ifndef NET_CENSUS_H
#define NET_CENSUS_H

#include "net/http_server.h"
#include "net/peers.h"

/* Room for `max_clients` connections. */
int census_new(size_t max_clients, struct census **ret) MUST_CHECK;
void census_free(struct census *census);

/* One more connection. False: it is refused, which is counted. */
bool census_enter(struct census *census, const struct peer_address *peer,
                  const struct http_limits *limits);
void census_leave(struct census *census, const struct peer_address *peer);

/* One more stream. False: there are `max`, which is counted. */
bool census_begin_stream(struct census *census, size_t max);
void census_end_stream(struct census *census);

void census_count(struct census *census, enum http_limited what);

struct http_server_stats census_stats(struct census *census);

#endif
