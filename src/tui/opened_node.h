// SPDX-License-Identifier: Apache-2.0
/*
 * opened_node.h - a node of a gateway that the person looks at: its stream, and the view of
 * the fleet that lies below
 */
#ifndef TUI_OPENED_NODE_H
#define TUI_OPENED_NODE_H

#include "tui/tui.h"
#include "tui/view.h"

struct opened_node {
    struct tui_source source;
    struct host *host;  // NULL: none is open
    struct view *fleet; // as it was left; owned
};

/*
 * Open the chosen node of `view`, which then is a view of that host alone; `options` has
 * open_node. Its hosts are `opened`'s.
 */
int opened_node_open(struct opened_node *opened, const struct tui_options *options,
                     struct view *view, struct complaint *why) MUST_CHECK;

/* Back to the fleet, with the looks that the person has chosen since; none may be open. */
void opened_node_close(struct opened_node *opened, const struct tui_options *options,
                       struct view *view);

#endif
