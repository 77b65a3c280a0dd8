// SPDX-License-Identifier: Apache-2.0
/*
 * publishing.h - a publisher, and connections, made of the configuration
 */
#ifndef DAEMON_PUBLISHING_H
#define DAEMON_PUBLISHING_H

#include "config/config.h"
#include "publish/publisher.h"

/* Where servers of NATS are, and what to show them: lent by the configuration. */
void publishing_connection(const struct config *config, struct connection_options *ret);

/*
 * *ret is NULL where nothing is to be published: without a server, and on a gateway whose
 * sum nobody asked for. `journal` is lent until the end; `told_event` is the id of the
 * newest event of runs before.
 */
int publishing_open(const struct config *config, struct journal *journal,
                    uint64_t told_event, const char *boot, struct publisher **ret,
                    struct complaint *complaint) MUST_CHECK;

#endif
