// SPDX-License-Identifier: Apache-2.0
/*
 * draw.c - how the lines of a canvas are given to the parts of the screen
 */
#include "tui/draw_fleet.h"

enum {
    FULL_COLUMNS = 120,
    FULL_ROWS = 30,
    COMPACT_COLUMNS = 80,
    COMPACT_ROWS = 24,
    GRAPHS_LEAST = 6,
    GRAPHS_MOST = 10, // of a canvas that is not high
};

static const struct signs unicode_signs = {
    .live = "●",
    .hollow = "○",
    .half = "◐",
    .dotted = "◌",
    .cross = "✕",
    .alarm = "▲",
    .up = "▲",
    .down = "▼",
    .more = "…",
    .rule = "─",
    .times = "×",
    .dot = "·",
    .chosen = "▶",
    .cursor = "▏",
};

static const struct signs ascii_signs = {
    .live = "*",
    .hollow = "o",
    .half = "+",
    .dotted = "?",
    .cross = "x",
    .alarm = "!",
    .up = "^",
    .down = "v",
    .more = ".",
    .rule = "-",
    .times = "x",
    .dot = ".",
    .chosen = ">",
    .cursor = "_",
};

static enum layout layout_of(const struct canvas *canvas)
{
    if (canvas->columns >= FULL_COLUMNS && canvas->rows >= FULL_ROWS)
        return LAYOUT_FULL;
    if (canvas->columns >= COMPACT_COLUMNS && canvas->rows >= COMPACT_ROWS)
        return LAYOUT_COMPACT;
    return LAYOUT_MINI;
}

/*
 * The table has what it needs before the graphs grow, and the graphs have their least
 * before the table has all.
 */
static int graph_rows(const struct drawing *drawing, int rows)
{
    int table = (int)drawing->view->n_rows + 2, spare = rows - table;
    int most = MAX((int)GRAPHS_MOST, drawing->canvas->rows / 3);

    if (drawing->layout == LAYOUT_FULL && rows >= GRAPHS_LEAST + 5)
        return clamp(GRAPHS_LEAST, spare, most);
    return drawing->layout == LAYOUT_COMPACT && spare >= 4 ? MIN(spare, most) : 0;
}

static void draw_model_screen(struct drawing *drawing, struct area area)
{
    int third = drawing->canvas->rows / 3;
    const struct row *row = view_chosen(drawing->view);
    struct area part;

    if (drawing->layout != LAYOUT_MINI) {
        part = area_top(&area, device_lines(drawing, third));
        if (part.rows)
            draw_devices(drawing, part);
    }
    part = area_bottom(&area, row ? graph_rows(drawing, area.rows) : 0);
    if (part.rows) {
        draw_graphs(drawing, part, row);
    } else if (drawing->layout == LAYOUT_COMPACT && row) {
        part = area_bottom(&area, 1);
        draw_sparkline(drawing, part.row, row);
    }
    draw_models(drawing, area);
}

static void draw_body(struct drawing *drawing, struct area area)
{
    const struct view *view = drawing->view;

    if (view->pane == PANE_HELP)
        draw_help(drawing, area);
    else if (view->pane == PANE_EXPLAIN)
        draw_explain(drawing, area);
    else if (view->pane == PANE_DETAIL)
        draw_detail(drawing, area);
    else if (view->pane == PANE_NODE)
        draw_node_pane(drawing, area);
    else if (view->screen == SCREEN_EVENTS)
        draw_events(drawing, area);
    else if (!has_figures(drawing))
        draw_no_figures(drawing, area);
    else if (view->screen == SCREEN_DEVICES)
        draw_device_screen(drawing, area);
    else if (view->screen == SCREEN_PROCESSES)
        draw_processes(drawing, area);
    else if (view->screen == SCREEN_NODES)
        draw_nodes(drawing, area);
    else
        draw_model_screen(drawing, area);
}

/* The lines above and below the body, none of which a small canvas can afford. */
static void draw_frame(struct drawing *drawing, struct area *area)
{
    const struct view *view = drawing->view;
    bool figures = has_figures(drawing), is_mini = drawing->layout == LAYOUT_MINI;
    struct area part;

    if (is_mini && figures) {
        part = area_top(area, area->rows >= 6 ? 2 : area->rows >= 4);
        if (part.rows)
            draw_mini_totals(drawing, part);
    } else if (area->rows > 3) {
        draw_title(drawing, area_top(area, 1).row);
        if (figures)
            draw_totals(drawing, area_top(area, 1).row);
        if (view->has_gateway && area->rows > 3)
            draw_fleet_line(drawing, area_top(area, 1).row);
    }
    if (!is_mini && figures)
        draw_banners(drawing, area_top(area, host_banners(drawing)));
    if (area->rows > 5 || view->typing)
        draw_keys(drawing, area_bottom(area, 1).row);
    if (is_mini || view->screen == SCREEN_EVENTS || view->pane != PANE_NONE)
        return;
    part = area_bottom(area, drawing->layout == LAYOUT_FULL ? 1 + area->rows / 16 : 1);
    draw_last_events(drawing, part);
}

void draw_view(struct canvas *canvas, struct view *view)
{
    bool ascii = view->glyphs == GLYPHS_ASCII;
    struct drawing drawing = {canvas, view, ascii ? &ascii_signs : &unicode_signs,
                              layout_of(canvas)};
    struct area area = {0, canvas->rows};

    canvas_clear(canvas);
    if (canvas->rows < 1 || canvas->columns < 1)
        return;
    draw_frame(&drawing, &area);
    if (area.rows > 0)
        draw_body(&drawing, area);
}
