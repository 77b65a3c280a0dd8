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
    view->nodes.sort = NODE_COLUMN_STATE;
    view->refresh_ms = REFRESH_MS;
}

void view_done(struct view *view)
{
    for (size_t i = 0; i < VIEW_HOSTS_MAX; i++) {
        vramscope_detail_unref(view->shown[i]);
        view->shown[i] = NULL;
    }
    view->n_rows = view->n_rows_hidden = 0;
    node_table_clear(&view->nodes);
    view->nodes.selected_host = NULL;
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
    const struct filter *filter =
        view->screen == SCREEN_NODES ? &view->other.filter : &view->filter;
    const struct vramscope_detail *detail = view->shown[host_index];
    const struct host *host = view->hosts[host_index];

    for (size_t i = 0; detail && i < detail->n_models; i++) {
        const struct vramscope_model *model = detail->models[i];

        if (view->n_rows == VIEW_ROWS_MAX || !filter_passes(filter, host->name, model))
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

bool view_has(const struct view *view, enum screen screen)
{
    if (screen == SCREEN_NODES)
        return view->has_gateway;
    return view->has_host || !view->has_gateway ||
           (screen != SCREEN_DEVICES && screen != SCREEN_PROCESSES);
}

enum screen view_home(const struct view *view)
{
    return view->has_gateway && !view->has_host ? SCREEN_NODES : SCREEN_MODELS;
}

enum screen view_neighbor(const struct view *view, int by)
{
    static const enum screen order[N_SCREENS] = {
        SCREEN_NODES, SCREEN_MODELS, SCREEN_DEVICES, SCREEN_PROCESSES, SCREEN_EVENTS};
    int at = 0;

    while (order[at] != view->screen)
        at++;
    do
        at = (at + by + N_SCREENS) % N_SCREENS;
    while (!view_has(view, order[at]));
    return order[at];
}

/* Nodes and models are filtered each by what was typed for them. */
static void change_filter(struct view *view)
{
    struct typed now = {.filter = view->filter};

    memcpy(now.input, view->input, sizeof(now.input));
    memcpy(now.fault, view->filter_fault, sizeof(now.fault));
    memcpy(view->input, view->other.input, sizeof(view->input));
    memcpy(view->filter_fault, view->other.fault, sizeof(view->filter_fault));
    view->filter = view->other.filter;
    view->other = now;
}

void view_show(struct view *view, enum screen screen)
{
    view_open(view, PANE_NONE);
    if (screen == view->screen)
        return;
    if ((screen == SCREEN_NODES) != (view->screen == SCREEN_NODES))
        change_filter(view);
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

static void make_node_rows(struct view *view)
{
    bool here = view->screen == SCREEN_NODES;
    const struct filter *filter = here ? &view->filter : &view->other.filter;

    node_table_clear(&view->nodes);
    for (uint32_t i = 0; i < view->n_hosts; i++)
        if (view->shown[i])
            node_table_add(&view->nodes, view->hosts[i], i, view->shown[i], filter);
    if (!node_table_settle(&view->nodes))
        view_close(view, PANE_NODE);
}

void view_make_rows(struct view *view)
{
    view->n_rows = view->n_rows_hidden = 0;
    for (uint32_t i = 0; i < view->n_hosts; i++)
        add_rows(view, i);
    rows_sort(view->rows, view->n_rows, view->sort, view->reverse);
    follow_choice(view);
    make_node_rows(view);
}

/* What the documents that are shown are of; the person who has chosen a screen stays. */
static void look_for_gateways(struct view *view)
{
    view->has_gateway = view->has_host = false;
    for (size_t i = 0; i < view->n_hosts; i++) {
        view->has_gateway |= view->shown[i] && view->shown[i]->fleet;
        view->has_host |= view->shown[i] && !view->shown[i]->fleet;
    }
    if (!view->has_moved && !view->typing && view->pane == PANE_NONE &&
        view->screen == SCREEN_MODELS && view_home(view) == SCREEN_NODES)
        view_show(view, SCREEN_NODES);
    if (!view_has(view, view->screen))
        view_show(view, view_home(view));
}

void view_refresh(struct view *view, int64_t now_unix_ms)
{
    if (!view->paused) {
        take_documents(view);
        view->now_unix_ms = now_unix_ms;
    }
    look_for_gateways(view);
    view_make_rows(view);
}

const struct row *view_chosen(const struct view *view)
{
    return view->selected < view->n_rows ? &view->rows[view->selected] : NULL;
}
