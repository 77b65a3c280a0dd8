// SPDX-License-Identifier: Apache-2.0
/*
 * draw_models.c - the table of models
 *
 * Columns keep their widths, so that figures stay where they are while they change; where
 * there is no room for all, they go one after the other, as `drop` says, until a model's
 * name has enough. What is left over is the name's, and on wide canvases a bar's.
 */
#include "tui/draw_parts.h"
#include "tui/draw_table.h"
#include "tui/model_value.h"
#include "tui/table_shape.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum {
    LEAST = 60, // columns, to have more than the small table
    LEAST_WITH_HOSTS = 72,
    HOST_MOST = 14,
    HOST_MOST_WIDE = 20,
    HOST_MOST_MINI = 9,
    NAME_LEAST = 20,
    NAME_LEAST_MINI = 8,
    NAME_WANTED = 36,
    NAME_MOST = 60,
    VRAM_MINI = 6,
    BAR_LEAST = 8,
    BAR_MOST = 24,
    NODES_WIDTH = 9, // 4096/4096
};

typedef void cell_fn(const struct drawing *drawing, const struct row *row,
                     struct cell_words *ret);

static void set_figure(struct cell_words *ret, const struct vramscope_figure *figure)
{
    figure_short(ret->text, figure);
    ret->style = figure_style(figure);
}

static void cell_port(const struct drawing *drawing, const struct row *row,
                      struct cell_words *ret)
{
    (void)drawing;
    ret->style = STYLE_DIM;
    if (row->model->port == 0)
        snprintf(ret->text, sizeof(ret->text), "unix");
    else
        snprintf(ret->text, sizeof(ret->text), "%" PRId64, row->model->port);
}

/* How many devices from `at` on have neighboring numbers, and are whole ones of one maker. */
static size_t neighbors(const struct vramscope_detail *detail,
                        const struct vramscope_model *model, size_t at)
{
    size_t n = 1;

    for (; at + n < model->n_devices; n++) {
        const struct vramscope_device *first = device_of(detail, model->devices[at]);
        const struct vramscope_device *next = device_of(detail, model->devices[at + n]);

        if (!first || !next || is_known(first->instance) || is_known(next->instance) ||
            next->index != first->index + (int64_t)n ||
            strcmp(text_or_empty(next->backend), text_or_empty(first->backend)) != 0)
            break;
    }
    return n;
}

/* Of a gateway's row: on how many nodes it is ready, of those that it is on. */
static void set_nodes(const struct vramscope_model *model, struct cell_words *ret)
{
    bool all = model->nodes_ready == model->nodes;

    ret->style = all ? STYLE_TEXT : STYLE_WARNING;
    if (is_known(model->nodes_ready))
        snprintf(ret->text, sizeof(ret->text), "%" PRId64 "/%" PRId64, model->nodes_ready,
                 model->nodes);
    else
        snprintf(ret->text, sizeof(ret->text), "?/%" PRId64, model->nodes);
}

/* Numbers as the driver's: "0,1"; of neighbors "0-3"; an instance is "2/1". */
static void cell_gpus(const struct drawing *drawing, const struct row *row,
                      struct cell_words *ret)
{
    const struct vramscope_model *model = row->model;
    const struct vramscope_detail *detail = detail_of(drawing, row->host);
    size_t at = 0, run;

    ret->style = model->n_devices ? STYLE_TEXT : STYLE_DIM;
    snprintf(ret->text, sizeof(ret->text), "--");
    if (is_known(model->nodes))
        set_nodes(model, ret);
    for (size_t i = 0; i < model->n_devices && at < sizeof(ret->text) - 1; i += run) {
        const struct vramscope_device *device = device_of(detail, model->devices[i]);
        char number[DEVICE_LABEL_SIZE] = "?";

        run = neighbors(detail, model, i);
        run = run > 2 ? run : 1;
        if (device)
            device_number(number, detail, device);
        at += (size_t)snprintf(ret->text + at, sizeof(ret->text) - at, "%s%s",
                               i ? "," : "", number);
        if (run > 1 && at < sizeof(ret->text))
            at += (size_t)snprintf(ret->text + at, sizeof(ret->text) - at, "-%" PRId64,
                                   device->index + (int64_t)run - 1);
    }
}

#define CELL(name, set, value)                                             \
    static void name(const struct drawing *drawing, const struct row *row, \
                     struct cell_words *ret)                               \
    {                                                                      \
        (void)drawing;                                                     \
        set(ret, value);                                                   \
    }
CELL(cell_vram, set_figure, &row->model->allocated)
CELL(cell_kv_capacity, set_figure, &row->model->kv_capacity)
CELL(cell_hit, cell_set_hit, row->model->prefix_minute.hit_percent)
CELL(cell_running, cell_set_count, row->model->requests_running)
CELL(cell_waiting, cell_set_waiting, row->model->requests_waiting)
CELL(cell_preempted, cell_set_count, row->model->requests_preemptions)
CELL(cell_age, cell_set_age, row->model->age_ms)

static void cell_kv_used(const struct drawing *drawing, const struct row *row,
                         struct cell_words *ret)
{
    (void)drawing;
    set_figure(ret, &row->model->kv_used);
    if (ret->style == STYLE_TEXT)
        ret->style = STYLE_STRONG;
}

static void cell_kv_percent(const struct drawing *drawing, const struct row *row,
                            struct cell_words *ret)
{
    cell_set_kv_percent(ret, drawing, 100 * row->model->kv_usage_ratio);
}

/* `drop`: 1 goes first, 0 never. */
static const struct {
    int width;
    bool left;
    int drop;
    cell_fn *cell; // NULL: drawn by hand
} columns[N_COLUMNS] = {
    [COLUMN_HOST] = {0, true, 10, NULL},
    [COLUMN_MODEL] = {0, true, 0, NULL},
    [COLUMN_PORT] = {5, false, 5, cell_port},
    [COLUMN_GPUS] = {6, true, 4, cell_gpus},
    [COLUMN_STATE] = {13, true, 12, NULL},
    [COLUMN_VRAM] = {9, false, 11, cell_vram},
    [COLUMN_KV_USED] = {7, false, 9, cell_kv_used},
    [COLUMN_KV_CAPACITY] = {7, false, 3, cell_kv_capacity},
    [COLUMN_KV_PERCENT] = {7, false, 0, cell_kv_percent},
    [COLUMN_HIT] = {7, false, 8, cell_hit},
    [COLUMN_RUNNING] = {4, false, 7, cell_running},
    [COLUMN_WAITING] = {4, false, 6, cell_waiting},
    [COLUMN_PREEMPTED] = {7, false, 1, cell_preempted},
    [COLUMN_AGE] = {4, false, 2, cell_age},
};

/* On a small canvas: what matters most comes first, the rest can be cut. */
static const enum column mini_columns[] = {COLUMN_HOST, COLUMN_MODEL, COLUMN_KV_PERCENT,
                                           COLUMN_VRAM, COLUMN_STATE};

_Static_assert((int)N_COLUMNS <= (int)TABLE_COLUMNS_MAX, "every column has room");

struct shape {
    struct table_shape table;
    int bar; // no bar: 0
    bool is_mini;
};

/* On a small canvas a state is a short word; a sign where a host needs its place too. */
static void choose_mini(struct shape *shape, int room, bool hosts)
{
    for (size_t i = hosts ? 0 : 1; i < ARRAY_LEN(mini_columns); i++)
        shape->table.shown[shape->table.n++] = (int)mini_columns[i];
    shape->is_mini = true;
    shape->table.width[COLUMN_STATE] = room < (hosts ? 50 : 40) ? 1 : 10;
    shape->table.width[COLUMN_HOST] =
        MIN(shape->table.width[COLUMN_HOST], (int)HOST_MOST_MINI);
    shape->table.width[COLUMN_VRAM] = VRAM_MINI;
    while (room - table_shape_width(&shape->table) < NAME_LEAST_MINI &&
           table_shape_drop(&shape->table))
        ;
    shape->table.width[COLUMN_MODEL] = MAX(1, room - table_shape_width(&shape->table));
}

static struct shape shape_of(const struct drawing *drawing)
{
    int room = drawing->canvas->columns;
    bool hosts = drawing->view->n_hosts > 1;
    struct shape shape = {.table = {.gap = 1}};
    int name;

    for (size_t i = 0; i < N_COLUMNS; i++) {
        shape.table.width[i] = columns[i].width;
        shape.table.drop[i] = columns[i].drop;
    }
    if (drawing->view->has_gateway)
        shape.table.width[COLUMN_GPUS] = NODES_WIDTH;
    if (hosts)
        shape.table.width[COLUMN_HOST] =
            host_label_width(drawing->view, room < 120 ? HOST_MOST : HOST_MOST_WIDE);
    if (room < (hosts ? LEAST_WITH_HOSTS : LEAST)) {
        choose_mini(&shape, room, hosts);
        return shape;
    }
    for (enum column i = 0; i < N_COLUMNS; i++)
        if (i != COLUMN_HOST || hosts)
            shape.table.shown[shape.table.n++] = (int)i;
    while (room - table_shape_width(&shape.table) < NAME_LEAST &&
           table_shape_drop(&shape.table))
        ;
    shape.table.gap = 2;
    if (room - table_shape_width(&shape.table) < NAME_WANTED)
        shape.table.gap = 1;
    name = MAX(1, room - table_shape_width(&shape.table));
    if (name >= NAME_WANTED + BAR_LEAST + shape.table.gap) {
        shape.bar = clamp(BAR_LEAST, name - NAME_WANTED - shape.table.gap, BAR_MOST);
        name = MIN((int)NAME_MOST, name - shape.bar - shape.table.gap);
    }
    shape.table.width[COLUMN_MODEL] = name;
    return shape;
}

/* On a small canvas the line above tells the unit. */
static const char *heading_of(const struct view *view, const struct shape *shape,
                              enum column column)
{
    if (column == COLUMN_GPUS && view->has_gateway)
        return view->has_host ? "GPU/ND" : "NODES";
    return shape->is_mini && column == COLUMN_VRAM ? "VRAM" : column_name(column);
}

static void draw_heading(struct drawing *drawing, int row, const struct shape *shape)
{
    const struct view *view = drawing->view;
    bool falls = column_falls(view->sort) != view->reverse;
    const char *sign = falls ? drawing->signs->down : drawing->signs->up;
    struct pen pen = pen_at(drawing, row, 1);

    for (size_t i = 0; i < shape->table.n; i++) {
        enum column column = (enum column)shape->table.shown[i];

        draw_table_title(&pen, shape->table.width[column], columns[column].left,
                         heading_of(view, shape, column),
                         column == view->sort ? sign : NULL);
        if (column == COLUMN_KV_PERCENT && shape->bar)
            pen_skip(&pen, shape->table.gap + shape->bar);
        pen_skip(&pen, shape->table.gap);
    }
}

static void put_state(struct pen *pen, int width, const struct row *row)
{
    struct state_words words = state_words(pen->drawing, row);
    int end = pen->column + MIN(width, pen_room(pen)), all = pen->end;

    pen->end = end;
    pen_print(pen, words.style, "%s ", words.sign);
    pen_print(pen, words.is_badge ? STYLE_BADGE : STYLE_TEXT, "%s",
              width < columns[COLUMN_STATE].width ? words.brief : words.word);
    pen->end = all;
    pen_to(pen, end);
}

static void put_kv_bar(struct pen *pen, int width, const struct row *row)
{
    double ratio = row->model->kv_usage_ratio;
    int64_t used = (int64_t)(1000000 * fmin(fmax(ratio, 0), 1)), rest = 1000000 - used;

    draw_table_bar(pen, width,
                   (struct bar_part[]){{used, STYLE_KV_USED}, {rest, STYLE_KV_FREE}}, 2,
                   isnan(ratio) ? 0 : 1000000);
}

static void put_cell(struct pen *pen, const struct shape *shape, enum column column,
                     const struct row *row)
{
    struct cell_words words = {"", STYLE_TEXT};
    char label[HOST_NAME_SIZE];
    int width = shape->table.width[column];

    if (column == COLUMN_HOST) {
        host_label(label, pen->drawing->view, row->host);
        pen_tail(pen, width, STYLE_DIM, label);
    } else if (column == COLUMN_MODEL) {
        pen_fit(pen, width, STYLE_TEXT, row->model->model);
    } else if (column == COLUMN_STATE) {
        put_state(pen, width, row);
    } else {
        columns[column].cell(pen->drawing, row, &words);
        if (columns[column].left)
            pen_cut(pen, width, words.style, words.text);
        else
            pen_right(pen, width, words.style, words.text);
    }
}

static void draw_row(struct drawing *drawing, int line, const struct shape *shape,
                     size_t index)
{
    const struct row *row = &drawing->view->rows[index];
    bool faded = is_faded(drawing, row->host);
    struct pen pen = pen_at(drawing, line, 1);

    for (size_t i = 0; i < shape->table.n; i++) {
        // Old figures fade, but not that they are old.
        pen.faded = (faded || row->model->stale) && shape->table.shown[i] != COLUMN_STATE;
        put_cell(&pen, shape, (enum column)shape->table.shown[i], row);
        if (shape->table.shown[i] == COLUMN_KV_PERCENT && shape->bar) {
            pen_skip(&pen, shape->table.gap);
            put_kv_bar(&pen, shape->bar, row);
        }
        pen_skip(&pen, shape->table.gap);
    }
    if (index == drawing->view->selected)
        draw_table_chosen(drawing, line);
}

/* Why there is no row. */
static const char *words_of_none(const struct drawing *drawing)
{
    const struct view *view = drawing->view;

    if (view->n_rows_hidden)
        return "No model passes the filter: / then Esc clears it.";
    for (size_t i = 0; i < view->n_hosts; i++)
        if (view->shown[i] && view->shown[i]->outage)
            return "No node has figures.";
    return view->has_gateway ? "No node serves a model."
                             : "No model server has been found.";
}

void draw_models(struct drawing *drawing, struct area area)
{
    struct view *view = drawing->view;
    struct area rule = area_top(&area, drawing->layout != LAYOUT_MINI && area.rows > 3);
    struct area heading = area_top(&area, area.rows > 1);
    struct shape shape = shape_of(drawing);
    bool sorted = table_shape_has(&shape.table, (int)view->sort);
    const struct draw_table table = {"Models", sorted ? NULL : column_name(view->sort),
                                     view->n_rows, view->n_rows_hidden, view->selected};
    struct pen pen = pen_at(drawing, area.row, 1);

    draw_table_top(view, &table, (size_t)area.rows);
    if (rule.rows)
        draw_table_rule(drawing, rule.row, &table, (size_t)area.rows);
    if (heading.rows)
        draw_heading(drawing, heading.row, &shape);
    for (size_t i = 0; i < (size_t)area.rows && view->top + i < view->n_rows; i++)
        draw_row(drawing, area.row + (int)i, &shape, view->top + i);
    if (view->n_rows || area.rows < 1)
        return;
    pen_print(&pen, STYLE_DIM, "%s", words_of_none(drawing));
}
