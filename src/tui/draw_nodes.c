// SPDX-License-Identifier: Apache-2.0
/*
 * draw_nodes.c - the table of a gateway's nodes
 *
 * As that of models: columns keep their widths, and go one after the other where there is
 * no room for all. What is left over is the name's, and then the bars'.
 */
#include "tui/draw_fleet.h"
#include "tui/draw_table.h"
#include "tui/table_shape.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    NAME_LEAST = 15,
    NAME_LEAST_MINI = 8,
    NAME_MOST = 40,
    GATEWAY_MOST = 14,
    BAR_LEAST = 9,
    BAR_MOST = 28,
    COLUMNS_MAX = N_NODE_COLUMNS + 2,
};

/* Columns of the screen: those of the table, and the bars behind their percentages. */
enum { VRAM_BAR = N_NODE_COLUMNS, KV_BAR };

typedef void cell_fn(const struct drawing *drawing, const struct vramscope_node *node,
                     struct cell_words *ret);

static void set_bytes(struct cell_words *ret, int64_t bytes)
{
    bytes_short(ret->text, bytes);
    ret->style = is_known(bytes) ? STYLE_TEXT : STYLE_DIM;
}

static void set_figure(struct cell_words *ret, int64_t bytes, enum vramscope_from from)
{
    const struct vramscope_figure figure = node_figure(bytes, from);

    set_bytes(ret, bytes);
    figure_short(ret->text, &figure);
}

static void set_vram(struct cell_words *ret, const struct vramscope_node *node)
{
    set_figure(ret, node->allocated_bytes, node->vram_from);
}

static void set_kv_used(struct cell_words *ret, const struct vramscope_node *node)
{
    set_figure(ret, node->kv_used_bytes, node->kv_from);
}

static void set_kv_capacity(struct cell_words *ret, const struct vramscope_node *node)
{
    set_figure(ret, node->kv_capacity_bytes, node->kv_from);
}

#define CELL(name, set, value)                                                         \
    static void name(const struct drawing *drawing, const struct vramscope_node *node, \
                     struct cell_words *ret)                                           \
    {                                                                                  \
        (void)drawing;                                                                 \
        set(ret, value);                                                               \
    }
CELL(cell_vram, set_vram, node)
CELL(cell_total, set_bytes, node->total_bytes)
CELL(cell_kv_used, set_kv_used, node)
CELL(cell_kv_capacity, set_kv_capacity, node)
CELL(cell_hit, cell_set_hit, node->prefix_hit_percent)
CELL(cell_running, cell_set_count, node->requests_running)
CELL(cell_waiting, cell_set_waiting, node->requests_waiting)
CELL(cell_gpus, cell_set_count, node->gpus)
CELL(cell_models, cell_set_count, node->models)
CELL(cell_age, cell_set_age, node->age_ms)

static void cell_vram_percent(const struct drawing *drawing,
                              const struct vramscope_node *node, struct cell_words *ret)
{
    double percent = node_value_vram_percent(node);

    (void)drawing;
    percent_short(ret->text, percent);
    ret->style = isnan(percent) ? STYLE_DIM : STYLE_TEXT;
}

static void cell_kv_percent(const struct drawing *drawing,
                            const struct vramscope_node *node, struct cell_words *ret)
{
    cell_set_kv_percent(ret, drawing, node_value_kv_percent(node));
}

/* `drop`: 1 goes first, 0 never. */
static const struct {
    int width;
    bool left;
    int drop;
    cell_fn *cell; // NULL: drawn by hand
} columns[COLUMNS_MAX] = {
    [NODE_COLUMN_GATEWAY] = {GATEWAY_MOST, true, 13, NULL},
    [NODE_COLUMN_NAME] = {0, true, 0, NULL},
    [NODE_COLUMN_STATE] = {NODE_STATE_WIDTH, true, 17, NULL},
    [NODE_COLUMN_VRAM] = {8, false, 15, cell_vram},
    [NODE_COLUMN_TOTAL] = {7, false, 3, cell_total},
    [NODE_COLUMN_VRAM_PERCENT] = {5, false, 4, cell_vram_percent},
    [VRAM_BAR] = {BAR_LEAST, true, 6, NULL},
    [NODE_COLUMN_KV_USED] = {8, false, 12, cell_kv_used},
    [NODE_COLUMN_KV_CAPACITY] = {8, false, 2, cell_kv_capacity},
    [NODE_COLUMN_KV_PERCENT] = {7, false, 16, cell_kv_percent},
    [KV_BAR] = {BAR_LEAST, true, 8, NULL},
    [NODE_COLUMN_HIT] = {6, false, 10, cell_hit},
    [NODE_COLUMN_RUNNING] = {5, false, 11, cell_running},
    [NODE_COLUMN_WAITING] = {5, false, 14, cell_waiting},
    [NODE_COLUMN_GPUS] = {5, false, 7, cell_gpus},
    [NODE_COLUMN_MODELS] = {6, false, 5, cell_models},
    [NODE_COLUMN_AGE] = {5, false, 9, cell_age},
    [NODE_COLUMN_VERSION] = {9, true, 1, NULL},
};

static const int order[COLUMNS_MAX] = {
    NODE_COLUMN_GATEWAY,
    NODE_COLUMN_NAME,
    NODE_COLUMN_STATE,
    NODE_COLUMN_VRAM,
    NODE_COLUMN_TOTAL,
    NODE_COLUMN_VRAM_PERCENT,
    VRAM_BAR,
    NODE_COLUMN_KV_USED,
    NODE_COLUMN_KV_CAPACITY,
    NODE_COLUMN_KV_PERCENT,
    KV_BAR,
    NODE_COLUMN_HIT,
    NODE_COLUMN_RUNNING,
    NODE_COLUMN_WAITING,
    NODE_COLUMN_GPUS,
    NODE_COLUMN_MODELS,
    NODE_COLUMN_AGE,
    NODE_COLUMN_VERSION,
};

_Static_assert((int)COLUMNS_MAX <= (int)TABLE_COLUMNS_MAX, "every column has room");

/* What the name does not need, as the bars share it. */
static void widen(struct table_shape *shape, int name)
{
    int n_bars = table_shape_has(shape, VRAM_BAR) + table_shape_has(shape, KV_BAR), more;

    if (n_bars > 0 && name > NAME_LEAST) {
        more = clamp(0, (name - NAME_LEAST) * 2 / 3 / n_bars, BAR_MOST - BAR_LEAST);
        shape->width[VRAM_BAR] += more;
        shape->width[KV_BAR] += more;
        name -= n_bars * more;
    }
    shape->width[NODE_COLUMN_NAME] = clamp(1, name, NAME_MOST);
}

static struct table_shape shape_of(const struct drawing *drawing)
{
    int room = drawing->canvas->columns;
    int least = drawing->layout == LAYOUT_MINI ? NAME_LEAST_MINI : NAME_LEAST;
    struct table_shape shape = {.gap = 1};

    for (size_t i = 0; i < COLUMNS_MAX; i++) {
        shape.width[i] = columns[i].width;
        shape.drop[i] = columns[i].drop;
        if (order[i] != NODE_COLUMN_GATEWAY || drawing->view->n_hosts > 1)
            shape.shown[shape.n++] = order[i];
    }
    while (room - table_shape_width(&shape) < least && table_shape_drop(&shape))
        ;
    widen(&shape, room - table_shape_width(&shape));
    return shape;
}

static void draw_heading(struct drawing *drawing, int row,
                         const struct table_shape *shape)
{
    const struct node_table *table = &drawing->view->nodes;
    bool falls = node_column_falls(table->sort) != table->reverse;
    const char *sign = falls ? drawing->signs->down : drawing->signs->up;
    struct pen pen = pen_at(drawing, row, 1);

    for (size_t i = 0; i < shape->n; i++) {
        int column = shape->shown[i];
        const char *name =
            column < N_NODE_COLUMNS ? node_column_name((enum node_column)column) : "";

        draw_table_title(&pen, shape->width[column], columns[column].left, name,
                         column == (int)table->sort ? sign : NULL);
        pen_skip(&pen, 1);
    }
}

static int64_t at_least_0(int64_t value)
{
    return MAX(value, (int64_t)0);
}

/* What is in use by whom, and what is free. */
static void put_vram_bar(struct pen *pen, int width, const struct vramscope_node *node)
{
    int64_t models = at_least_0(node->models_bytes),
            other = at_least_0(node->other_bytes);
    int64_t orphan = at_least_0(node->orphan_bytes);
    int64_t rest = at_least_0(node->allocated_bytes);
    int64_t total = at_least_0(node->total_bytes);

    if (!is_known(node->allocated_bytes))
        total = 0; // what is free is not known either
    models = MIN(models, rest);
    other = MIN(other, rest - models);
    orphan = MIN(orphan, rest - models - other);
    rest -= models + other + orphan;
    draw_table_bar(pen, width,
                   (struct bar_part[]){
                       {models, STYLE_WEIGHTS},
                       {other, STYLE_OTHER},
                       {orphan, STYLE_ORPHAN},
                       {rest, STYLE_UNATTRIBUTED},
                       {total - MIN(total, models + other + orphan + rest), STYLE_FREE}},
                   5, total);
}

static void put_kv_bar(struct pen *pen, int width, const struct vramscope_node *node)
{
    int64_t capacity = at_least_0(node->kv_capacity_bytes);
    int64_t used = MIN(at_least_0(node->kv_used_bytes), capacity);

    if (isnan(node_value_kv_percent(node)))
        capacity = 0; // nothing to be told
    draw_table_bar(
        pen, width,
        (struct bar_part[]){{used, STYLE_KV_USED}, {capacity - used, STYLE_KV_FREE}}, 2,
        capacity);
}

static void put_by_hand(struct pen *pen, int width, int column,
                        const struct node_row *row)
{
    char label[HOST_NAME_SIZE];

    switch (column) {
    case NODE_COLUMN_GATEWAY:
        host_label(label, pen->drawing->view, row->host);
        pen_tail(pen, width, STYLE_DIM, label);
        break;
    case NODE_COLUMN_STATE:
        put_node_state(pen, width, row);
        break;
    case NODE_COLUMN_VERSION:
        pen_cut(pen, width, STYLE_DIM, row->node->version ? row->node->version : "--");
        break;
    case VRAM_BAR:
        put_vram_bar(pen, width, row->node);
        break;
    case KV_BAR:
        put_kv_bar(pen, width, row->node);
        break;
    default:
        pen_cut(pen, width, STYLE_TEXT, row->node->node ? row->node->node : "--");
        break;
    }
}

static void draw_row(struct drawing *drawing, int line, const struct table_shape *shape,
                     size_t index)
{
    const struct node_row *row = &drawing->view->nodes.rows[index];
    bool faded = is_node_faded(drawing, row);
    struct pen pen = pen_at(drawing, line, 1);

    for (size_t i = 0; i < shape->n; i++) {
        int column = shape->shown[i], width = shape->width[column];
        struct cell_words words = {"", STYLE_TEXT};

        // Old figures fade, but not whose they are, nor that they are old.
        pen.faded = faded && column != NODE_COLUMN_STATE && column != NODE_COLUMN_NAME;
        if (columns[column].cell) {
            columns[column].cell(drawing, row->node, &words);
            pen_right(&pen, width, words.style, words.text);
        } else {
            put_by_hand(&pen, width, column, row);
        }
        pen_skip(&pen, 1);
    }
    if (index == drawing->view->nodes.selected)
        draw_table_chosen(drawing, line);
}

void draw_nodes(struct drawing *drawing, struct area area)
{
    struct view *view = drawing->view;
    bool is_mini = drawing->layout == LAYOUT_MINI;
    struct area rule = area_top(&area, !is_mini && area.rows > 3);
    struct area heading = area_top(&area, area.rows > 1);
    struct area sum = area_bottom(&area, !is_mini && view->nodes.n_hidden &&
                                             view->nodes.n && area.rows > 4);
    struct table_shape shape = shape_of(drawing);
    bool sorted = table_shape_has(&shape, (int)view->nodes.sort);
    const struct draw_table table = {
        "Nodes", sorted ? NULL : node_column_name(view->nodes.sort), view->nodes.n,
        view->nodes.n_hidden, view->nodes.selected};
    struct pen pen = pen_at(drawing, area.row, 1);

    draw_table_top(view, &table, (size_t)area.rows);
    if (rule.rows)
        draw_table_rule(drawing, rule.row, &table, (size_t)area.rows);
    if (heading.rows)
        draw_heading(drawing, heading.row, &shape);
    if (sum.rows)
        draw_nodes_sum(drawing, sum.row);
    for (size_t i = 0; i < (size_t)area.rows && view->top + i < view->nodes.n; i++)
        draw_row(drawing, area.row + (int)i, &shape, view->top + i);
    if (view->nodes.n || area.rows < 1)
        return;
    pen_print(&pen, STYLE_DIM, "%s",
              view->nodes.n_hidden ? "No node passes the filter: / then Esc clears it."
                                   : "No node has been heard yet.");
}
