// SPDX-License-Identifier: Apache-2.0
/*
 * node_boards.h - a gateway's boards of single nodes, for those who ask for ?node=
 *
 * A node that nobody asks for has none. One is made at the first question, published to
 * from the node's messages as they come, and given back when it has had no reader for a
 * minute, or to another node when there is no room and it has had none for a second. What
 * is published there is what the node itself would: its boot, its numbers, its version. A
 * node that is silent, or has no figures, is an outage with the reason.
 */
#ifndef SERVE_NODE_BOARDS_H
#define SERVE_NODE_BOARDS_H

#include "fleet/fleet.h"
#include "serve/board.h"

enum { NODE_BOARDS_MAX = 256 };

struct node_boards;

struct node_boards_options {
    struct fleet *fleet; // lent
    enum seed_model_id model_id;
    uint64_t (*now_ns)(void);
};

int node_boards_new(const struct node_boards_options *options,
                    struct node_boards **ret) MUST_CHECK;
void node_boards_free(struct node_boards *boards); // after all outlets; takes NULL

/*
 * The board of a node, with its newest message; any thread. It is that node's for a second
 * at least, and for as long as it has a reader. -ENOENT: there is no such node; -ENOTUNIQ:
 * two publish under that name: `why` (FLEET_REASON_SIZE) says what to call them. -EBUSY: as
 * many as may be have readers.
 */
int node_boards_get(struct node_boards *boards, struct span name, struct board **ret,
                    char *why) MUST_CHECK;

/* A node that is watched has said something new: publish it. On the publishing thread. */
void node_boards_deliver(struct node_boards *boards);

/* Each tick, on the same thread: tell readers of nodes that are silent. */
void node_boards_tick(struct node_boards *boards);

#endif
