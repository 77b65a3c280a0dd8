// SPDX-License-Identifier: Apache-2.0
#include "tui/view.h"

#include "tui/columns.h"
#include "tui/model_value.h"
#include "tui/view_parts.h"

#include <stdio.h>

enum { REFRESH_MS = 100 };

void view_init(struct view *view, struct host **hosts, size_t n_hosts)
{
    memset(view, 0, sizeof(*view));
    view->hosts = hosts;
    view->n_hosts = MIN(n_hosts, (size_t)VIEW_HOSTS_MAX);
    view->sort = COLUMN_VRAM;
    view->refresh_ms = REFRESH_MS;
}

void view_done(struct view *view)
{
    for (size_t i = 0; i < VIEW_HOSTS_MAX; i++) {
        vramscope_detail_unref(view->shown[i]);
        view->shown[i] = NULL;
    }
    view->n_rows = view->n_rows_hidden = 0;
    view->hosts = NULL;
    view->n_hosts = 0;
    view->selected_host = NULL;
}

static void take_documents(struct view *view)
{
    for (size_t i = 0; i < view->n_hosts; i++) {
        const struct vramscope_detail *before = view->shown[i];
        const struct vramscope_detail *now = view->hosts[i]->detail;

        if (now == before)
            continue;
        view->shown[i] = now ? vramscope_detail_ref(now) : NULL;
        vramscope_detail_unref(before);
    }
}

static void add_rows(struct view *view, uint32_t host_index)
{
    const struct vramscope_detail *detail = view->shown[host_index];
    const struct host *host = view->hosts[host_index];

    for (size_t i = 0; detail && i < detail->n_models; i++) {
        const struct vramscope_model *model = detail->models[i];

        if (view->n_rows == VIEW_ROWS_MAX ||
            !filter_passes(&view->filter, host->name, model))
            view->n_rows_hidden++;
        else
            view->rows[view->n_rows++] =
                (struct row){host, model, host_index, (uint32_t)i};
    }
}

/* A longer id than can be kept is known by its beginning. */
static bool is_chosen(const struct view *view, const struct row *row)
{
    return row->host == view->selected_host && row->model->port == view->selected_port &&
           strncmp(text_or_empty(row->model->model_id), view->selected_id,
                   sizeof(view->selected_id) - 1) == 0;
}

void view_choose(struct view *view, size_t place)
{
    const struct row *row;

    if (!view->n_rows)
        return;
    view->selected = MIN(place, view->n_rows - 1);
    row = &view->rows[view->selected];
    view->selected_host = row->host;
    view->selected_port = row->model->port;
    (void)snprintf(view->selected_id, sizeof(view->selected_id), "%s",
                   text_or_empty(row->model->model_id));
}

/* The uppermost of these is seen. */
static void show_panes(struct view *view, unsigned panes)
{
    enum pane pane = PANE_NONE;

    for (enum pane i = PANE_NONE; i <= PANE_HELP; i++)
        if (panes & 1u << i)
            pane = i;
    view->panes = panes;
    if (pane == view->pane)
        return;
    if (view->pane == PANE_NONE)
        view->tops[view->screen] = view->top;
    view->pane = pane;
    view->top = pane == PANE_NONE ? view->tops[view->screen] : 0;
    view->lines = view->page = 0;
}

void view_open(struct view *view, enum pane pane)
{
    unsigned below = (1u << pane) - 1;

    show_panes(view, pane == PANE_NONE ? 0 : (view->panes & below) | 1u << pane);
}

void view_close(struct view *view, enum pane pane)
{
    show_panes(view, view->panes & ~(1u << pane));
}

void view_show(struct view *view, enum screen screen)
{
    view_open(view, PANE_NONE);
    if (screen == view->screen)
        return;
    view->tops[view->screen] = view->top;
    view->screen = screen;
    view->top = view->tops[screen];
    view->lines = view->page = 0;
}

/*
 * Where the chosen model has come to lie. When it is gone the row at its place is chosen,
 * and what a pane has told of it ends; when all are gone it may come back.
 */
static void follow_choice(struct view *view)
{
    for (size_t i = 0; i < view->n_rows; i++) {
        if (!is_chosen(view, &view->rows[i]))
            continue;
        view->selected = i;
        return;
    }
    view_close(view, PANE_DETAIL);
    view_close(view, PANE_EXPLAIN);
    view_choose(view, view->selected);
}

void view_make_rows(struct view *view)
{
    view->n_rows = view->n_rows_hidden = 0;
    for (uint32_t i = 0; i < view->n_hosts; i++)
        add_rows(view, i);
    rows_sort(view->rows, view->n_rows, view->sort, view->reverse);
    follow_choice(view);
}

void view_refresh(struct view *view, int64_t now_unix_ms)
{
    if (!view->paused) {
        take_documents(view);
        view->now_unix_ms = now_unix_ms;
    }
    view_make_rows(view);
}

const struct row *view_chosen(const struct view *view)
{
    return view->selected < view->n_rows ? &view->rows[view->selected] : NULL;
}
