// SPDX-License-Identifier: Apache-2.0
/*
 * draw_fleet.h - what is drawn of a gateway: its nodes, how many are well, and one of them
 *
 * Only for draw*.c.
 */
#ifndef TUI_DRAW_FLEET_H
#define TUI_DRAW_FLEET_H

#include "tui/draw_parts.h"
#include "tui/node_value.h"

enum { NODE_STATE_WIDTH = 12 };

void draw_nodes(struct drawing *drawing, struct area area);

/* Its state, in words and a sign, in exactly `width` cells. */
void put_node_state(struct pen *pen, int width, const struct node_row *row);

/* What is told of it is not of now. */
bool is_node_faded(const struct drawing *drawing, const struct node_row *row);

/* The sums of the nodes that the filter leaves. */
void draw_nodes_sum(struct drawing *drawing, int row);

/* How many nodes are live, stale, lost. */
void draw_fleet_line(struct drawing *drawing, int row);

/* All that the gateway knows of the chosen node. */
void draw_node_pane(struct drawing *drawing, struct area area);

#endif
