// SPDX-License-Identifier: Apache-2.0
/*
 * desk_nodes.h - what a desk answers of single nodes: ?node=gpu17
 *
 * Views of the boards that were asked of it are kept, as the boards are: whose a board is
 * is settled anew at each question. All calls are made from the desk's thread.
 */
#ifndef SERVE_DESK_NODES_H
#define SERVE_DESK_NODES_H

#include "serve/board_view.h"
#include "serve/node_boards.h"

struct desk_nodes;

/* `options` but for the board. */
int desk_nodes_new(struct node_boards *boards, const struct board_view_options *options,
                   struct desk_nodes **ret) MUST_CHECK;
void desk_nodes_deliver(struct desk_nodes *nodes); // these take NULL: there is no gateway
void desk_nodes_drain(struct desk_nodes *nodes);
void desk_nodes_close(struct desk_nodes *nodes);
void desk_nodes_free(struct desk_nodes *nodes);

/* 1: the query asks for the node called `name` (FLEET_NAME_SIZE); 0: it does not. -EINVAL */
int desk_nodes_read_query(struct span query, char *name) MUST_CHECK;

void desk_nodes_answer_bad_name(struct http_conn *conn);
void desk_nodes_answer_no_gateway(struct http_conn *conn);

/* NULL: the client has its answer, as there is no such node, or no room for it. */
struct board_view *desk_nodes_find(struct desk_nodes *nodes, const char *name,
                                   struct http_conn *conn);

#endif
