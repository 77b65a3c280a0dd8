// SPDX-License-Identifier: Apache-2.0
/*
 * gateway.h - what a gateway has in place of a GPU and engines: the nodes it hears of
 *
 * The subscriber's thread hands messages to the fleet; the tick asks that for the sums. A
 * node that somebody watches is published as soon as it has said something, by the loop.
 */
#ifndef DAEMON_GATEWAY_H
#define DAEMON_GATEWAY_H

#include "base/complaint.h"
#include "config/config.h"
#include "history/journal.h"
#include "serve/node_boards.h"

#include <uv.h>

struct gateway;

/* Its thread gives up its own rights, so it starts while there are some to give up. */
int gateway_open(const struct config *config, uv_loop_t *loop, struct gateway **ret,
                 struct complaint *complaint) MUST_CHECK;

/* For the front; it outlives that. */
struct node_boards *gateway_boards(struct gateway *gateway);

/*
 * Is it too early to say what there is? Nodes that publish have been heard when their
 * longest usual interval has passed since there was a connection.
 */
bool gateway_is_waiting(struct gateway *gateway, uint64_t now_ns);

/*
 * Fill `snapshot` but for its number and what it says of the program itself, put what has
 * happened into the journal, and tell readers of single nodes. -ENODATA: there are no
 * figures; why is in `snapshot->fleet->outage`.
 */
int gateway_tick(struct gateway *gateway, struct journal *journal, uint64_t now_ns,
                 uint64_t unix_ms, struct snapshot *snapshot) MUST_CHECK;

void gateway_stop(struct gateway *gateway);  // takes NULL, as the others
bool gateway_ended(struct gateway *gateway); // its thread; then it may be freed
void gateway_free(struct gateway *gateway);  // after the front

#endif
