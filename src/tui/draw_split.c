// SPDX-License-Identifier: Apache-2.0
#include "tui/draw_split.h"

static const struct {
    const char *name, *brief;
    enum style style;
} parts[N_PARTS] = {
    [PART_MODELS] = {"models", "models", STYLE_WEIGHTS},
    [PART_WEIGHTS] = {"weights etc.", "weights", STYLE_WEIGHTS},
    [PART_KV_USED] = {"KV used", "KV used", STYLE_KV_USED},
    [PART_KV_FREE] = {"KV free", "KV free", STYLE_KV_FREE},
    [PART_OTHER] = {"other", "other", STYLE_OTHER},
    [PART_ORPHAN] = {"orphan", "orphan", STYLE_ORPHAN},
    [PART_UNATTRIBUTED] = {"unattributed", "unattr.", STYLE_UNATTRIBUTED},
    [PART_USED] = {"in use, by whom is not told", "in use", STYLE_UNATTRIBUTED},
    [PART_FREE] = {"free", "free", STYLE_FREE},
    [PART_RESERVED] = {"reserved", "reserved", STYLE_DIM},
};

static const struct vramscope_figure no_figure = {
    VRAMSCOPE_UNKNOWN, VRAMSCOPE_FROM_UNKNOWN, VRAMSCOPE_UNKNOWN, NULL};

struct split split_none(void)
{
    struct split split = {.total = VRAMSCOPE_UNKNOWN,
                          .used = VRAMSCOPE_UNKNOWN,
                          .kv_pool = no_figure,
                          .kv_used = no_figure};

    for (size_t i = 0; i < N_PARTS; i++)
        split.parts[i] = VRAMSCOPE_UNKNOWN;
    return split;
}

static int64_t at_least_0(int64_t value)
{
    return is_known(value) ? MAX(value, (int64_t)0) : 0;
}

static void add_part(struct split *split, enum part part, int64_t bytes)
{
    if (is_known(bytes))
        split->parts[part] = sum_of(split->parts[part], at_least_0(bytes));
}

static void add_figure(struct vramscope_figure *sum,
                       const struct vramscope_figure *figure)
{
    if (!is_figure_known(figure))
        return;
    sum->value = sum_of(sum->value, figure->value);
    sum->from = MAX(sum->from, figure->from); // the less certain come later
}

/* The models' part: weights, KV used, KV free, as far as they can be told apart. */
static void add_models(struct split *split, const struct vramscope_device *device)
{
    int64_t models = at_least_0(device->models_bytes), pool, used;

    if (!is_figure_known(&device->kv_pool)) {
        add_part(split, models ? PART_MODELS : PART_WEIGHTS, models);
        return;
    }
    pool = MIN(at_least_0(device->kv_pool.value), models);
    used = is_figure_known(&device->kv_used) ? at_least_0(device->kv_used.value) : 0;
    used = MIN(used, pool);
    add_part(split, PART_WEIGHTS, models - pool);
    add_part(split, PART_KV_USED, used);
    add_part(split, PART_KV_FREE, pool - used);
}

void split_add(struct split *split, const struct vramscope_device *device)
{
    int64_t total = at_least_0(device->total_bytes),
            used = at_least_0(device->used_bytes);
    int64_t reserved = MIN(at_least_0(device->reserved_bytes), total);

    split->devices++;
    split->unified |= device->unified;
    add_figure(&split->kv_pool, &device->kv_pool);
    add_figure(&split->kv_used, &device->kv_used);
    if (!is_known(device->total_bytes) || !is_known(device->used_bytes)) {
        split->unknown++;
        return;
    }
    split->total = sum_of(split->total, total);
    split->used = sum_of(split->used, used);
    if (is_known(device->models_bytes)) {
        add_models(split, device);
        add_part(split, PART_OTHER, device->other_bytes);
        add_part(split, PART_ORPHAN, device->orphan_bytes);
        add_part(split, PART_UNATTRIBUTED, device->unattributed_bytes);
    } else {
        add_part(split, PART_USED, used);
    }
    add_part(split, PART_FREE, total - MIN(used, total - reserved) - reserved);
    if (is_known(device->reserved_bytes))
        add_part(split, PART_RESERVED, reserved);
}

void put_bar(struct pen *pen, int width, const struct split *split)
{
    const struct drawing *drawing = pen->drawing;
    struct place place = {pen->row, pen->column, MIN(width, pen_room(pen))};
    struct bar_part bar[N_PARTS];
    size_t n = 0;

    pen_skip(pen, width);
    if (place.width < 1 || !is_known(split->total) || split->total <= 0)
        return;
    for (size_t i = 0; i < N_PARTS; i++)
        if (is_known(split->parts[i]) && i != PART_RESERVED) // that stays blank
            bar[n++] = (struct bar_part){split->parts[i], parts[i].style};
    bar_draw(drawing->canvas, place, drawing->view->glyphs, bar, n, split->total);
    if (pen->faded)
        canvas_tint(drawing->canvas, place, STYLE_DIM);
}

bool next_device(const struct drawing *drawing, struct cursor *at,
                 const struct vramscope_device **ret, const struct host **ret_host)
{
    for (; at->host < drawing->view->n_hosts; at->host++, at->device = 0) {
        const struct vramscope_detail *detail = drawing->view->shown[at->host];

        if (!detail || at->device >= detail->n_devices)
            continue;
        *ret = detail->devices[at->device++];
        *ret_host = drawing->view->hosts[at->host];
        return true;
    }
    return false;
}

size_t count_devices(const struct drawing *drawing)
{
    size_t n = 0;

    for (size_t i = 0; i < drawing->view->n_hosts; i++)
        if (drawing->view->shown[i])
            n += drawing->view->shown[i]->n_devices;
    return n;
}

/* Models of which more, and of which less is known are drawn alike: they are named once. */
static bool is_in_legend(const struct split *split, size_t part)
{
    int64_t bytes = split->parts[part];
    bool is_usual = part == PART_WEIGHTS || part == PART_KV_USED ||
                    part == PART_KV_FREE || part == PART_OTHER || part == PART_FREE;

    if (!is_known(bytes) || part == PART_RESERVED)
        return false;
    if (part == PART_MODELS && is_known(split->parts[PART_WEIGHTS]))
        return false;
    return is_usual || bytes > 0;
}

void draw_legend(struct drawing *drawing, int row)
{
    bool is_wide = drawing->canvas->columns >= 110;
    const struct vramscope_device *device;
    struct split split = split_none();
    struct pen pen = pen_at(drawing, row, 1);
    const struct host *host;
    struct cursor at = {0};

    pen.faded = true;
    while (next_device(drawing, &at, &device, &host)) {
        split_add(&split, device);
        pen.faded &= is_driver_faded(drawing, host);
    }
    for (size_t i = 0; i < N_PARTS; i++) {
        const char *name = is_wide ? parts[i].name : parts[i].brief;

        if (is_wide && i == PART_WEIGHTS && is_known(split.parts[PART_MODELS]))
            name = "weights etc., or models whose KV is not known";

        if (!is_in_legend(&split, i))
            continue;
        if (pen_room(&pen) < (int)strlen(name) + 2)
            break;
        pen_print(&pen, parts[i].style, "%s",
                  bar_sign(parts[i].style, drawing->view->glyphs));
        pen_print(&pen, STYLE_DIM, " %s", name);
        pen_skip(&pen, is_wide ? 3 : 2);
    }
}
