// SPDX-License-Identifier: Apache-2.0
/*
 * view_parts.h - how keys change a view; shared by view.c and keys.c alone
 */
#ifndef TUI_VIEW_PARTS_H
#define TUI_VIEW_PARTS_H

#include "tui/view.h"

/* Choose a row, the last one where there are not so many. */
void view_choose(struct view *view, size_t place);

/* Open a pane, or with PANE_NONE close all; the screen below stays where it was. */
void view_open(struct view *view, enum pane pane);

/* Close a pane; those below it stay open. */
void view_close(struct view *view, enum pane pane);

/* Go to a screen, without a pane; it is where it was left. */
void view_show(struct view *view, enum screen screen);

/* The next of the screens that are there, or with -1 the one before. */
enum screen view_neighbor(const struct view *view, int by);

/* Filter and sort what is shown once more. */
void view_make_rows(struct view *view);

#endif
