// SPDX-License-Identifier: Apache-2.0
#include "tui/opened_node.h"

#include "tui/model_value.h"

#include <stdio.h>

/* What the person has chosen of how all is drawn. */
static void take_looks(struct view *view, const struct view *from)
{
    view->theme = from->theme;
    view->glyphs = from->glyphs;
    view->refresh_ms = from->refresh_ms;
    view->now_unix_ms = from->now_unix_ms;
}

int opened_node_open(struct opened_node *opened, const struct tui_options *options,
                     struct view *view, struct complaint *why)
{
    const struct node_row *row = node_table_chosen(&view->nodes);
    const struct tui_source *gateway = &options->sources[row->host_index];
    const char *name = text_or_empty(row->node->node), *of = row->host->name;
    struct view *fleet = malloc(sizeof(*fleet));
    int r = fleet ? tui_host_new(name, &opened->host) : -ENOMEM;

    if (r == 0)
        r = options->open_node(options->ctx, gateway, name, &opened->source);
    if (r < 0) {
        tui_host_free(TAKE(opened->host));
        free(fleet);
        return complain(why, r, "%s: %s", name, strerror(-r));
    }
    (void)snprintf(opened->host->name, sizeof(opened->host->name), "%s", name);
    *fleet = *view;
    opened->fleet = fleet;
    view_init(view, &opened->host, 1);
    take_looks(view, fleet);
    view->gateway = of;
    return 0;
}

void opened_node_close(struct opened_node *opened, const struct tui_options *options,
                       struct view *view)
{
    if (!opened->host)
        return;
    options->close_node(options->ctx, &opened->source);
    take_looks(opened->fleet, view);
    view_done(view);
    *view = *opened->fleet;
    free(opened->fleet);
    tui_host_free(opened->host);
    *opened = (struct opened_node){.host = NULL};
}
