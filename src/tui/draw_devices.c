// SPDX-License-Identifier: Apache-2.0
/*
 * draw_devices.c - a stacked bar for each device, or one for many, and what its parts mean
 *
 * However many devices there are, the lines given are enough: two or three of them share
 * a line where the canvas is wide, else those of a host are one bar, and what is left out
 * is counted.
 */
#include "tui/draw_split.h"

#include <stdio.h>

enum {
    LABEL_SIZE = HOST_NAME_SIZE + DEVICE_LABEL_SIZE,
    COLUMN_LEAST = 50, // of cells, to have several devices in a line
    MERGED_ABOVE = 4,  // devices, on a canvas that is not large
    PART_WIDTH = 7,    // "   74.9", " ~102.4"
    WHOLE_WIDTH = 5,   // "191.7", and with "~" one more
    FREE_WIDTH = 6,
    KIND_WIDTH = 12,
    KIND_WIDTH_WIDE = 24,
};

static enum style free_style(const struct split *split)
{
    int64_t free_bytes = split->parts[PART_FREE];

    if (!is_known(free_bytes) || split->total <= 0)
        return STYLE_DIM;
    return free_bytes < split->total / 50 ? STYLE_CRITICAL : STYLE_TEXT;
}

/* "74.9 of 79.6" in columns of their own, or "--" where neither is known. */
static void put_pair(struct pen *pen, const char *part, const char *whole,
                     int whole_width)
{
    bool known = strcmp(part, "--") != 0, any = known || strcmp(whole, "--") != 0;

    if (pen_room(pen) < PART_WIDTH + 4 + MAX(whole_width, (int)strlen(whole)))
        return; // of the two neither, since one could be taken for the other
    pen_right(pen, PART_WIDTH, known ? STYLE_STRONG : STYLE_DIM, part);
    pen_print(pen, STYLE_DIM, "%s", any ? " of " : "    ");
    pen_right(pen, whole_width, STYLE_TEXT, any ? whole : "");
}

/* The columns of a line. */
struct widths {
    int label, kind, whole; // no kind: 0
    bool kv, free;
};

/* `longest` are the longest of each; sums of several devices are longer than one's figures. */
static struct widths widths_of(int room, struct widths longest, bool merged)
{
    struct widths widths = {.label = clamp(0, MAX(7, longest.label), room / 3),
                            .whole = merged ? WHOLE_WIDTH + 1 : WHOLE_WIDTH,
                            .kv = room >= 64,
                            .free = room >= 140};

    if (room >= 100)
        widths.kind =
            MIN(longest.kind, (int)(widths.free ? KIND_WIDTH_WIDE : KIND_WIDTH));
    return widths;
}

static int figures_width(const struct widths *widths)
{
    int pair = PART_WIDTH + 4 + widths->whole;

    return pair + 5 + (widths->kv ? 3 + pair + 1 : 0) +
           (widths->free ? 6 + FREE_WIDTH : 0);
}

/* Used of total in GiB, then as there is room the KV cache, and what is free. */
static void put_figures(struct pen *pen, const struct split *split,
                        const struct widths *widths)
{
    char first[FIGURE_TEXT_SIZE], second[FIGURE_TEXT_SIZE];
    enum style style = free_style(split);

    bytes_short(first, split->used);
    bytes_short(second, split->total);
    put_pair(pen, first, second, widths->whole);
    pen_print(pen, STYLE_DIM, " GiB");
    pen_print(pen, style, "%s",
              style == STYLE_CRITICAL ? pen->drawing->signs->alarm : " ");
    if (widths->kv) {
        figure_short(first, &split->kv_used);
        figure_short(second, &split->kv_pool);
        pen_print(pen, STYLE_DIM, " KV");
        put_pair(pen, first, second, widths->whole + 1);
    }
    if (!widths->free)
        return;
    bytes_short(first, split->parts[PART_FREE]);
    pen_print(pen, STYLE_DIM, "  free");
    pen_right(pen, FREE_WIDTH, style, first);
}

/* One device or several: label, what it is, bar, figures. */
static void put_split(struct pen *pen, const char *label, const char *kind,
                      const struct split *split, const struct widths *widths)
{
    pen_tail(pen, widths->label, STYLE_TEXT, label);
    pen_skip(pen, 1);
    if (widths->kind) {
        pen_cut(pen, widths->kind, STYLE_DIM, kind);
        pen_skip(pen, 1);
    }
    put_bar(pen, MAX(1, pen_room(pen) - figures_width(widths)), split);
    put_figures(pen, split, widths);
}

/* The host is named where there are several. */
static void full_label(const struct drawing *drawing, const struct host *host,
                       const struct vramscope_device *device, char ret[LABEL_SIZE])
{
    char name[HOST_NAME_SIZE], label[DEVICE_LABEL_SIZE];
    bool several = drawing->view->n_hosts > 1;

    host_label(name, drawing->view, host);
    device_label(label, detail_of(drawing, host), device);
    snprintf(ret, LABEL_SIZE, "%s%s%s", several ? name : "", several ? " " : "", label);
}

static void put_device(struct pen *pen, const struct vramscope_device *device,
                       const struct host *host, struct widths longest)
{
    struct widths widths = widths_of(pen_room(pen), longest, false);
    struct split split = split_none();
    char label[LABEL_SIZE], kind[DEVICE_KIND_SIZE];

    full_label(pen->drawing, host, device, label);
    device_kind(kind, device);
    split_add(&split, device);
    pen->faded = is_driver_faded(pen->drawing, host);
    if (split.unknown && device->reason) {
        pen_tail(pen, widths.label, STYLE_TEXT, label);
        pen_print(pen, STYLE_DIM, " %s  --  ", kind);
        pen_cut(pen, pen_room(pen), STYLE_DIM, device->reason);
        return;
    }
    put_split(pen, label, kind, &split, &widths);
}

/* All devices of a host in one line, or of all hosts where `only` is NULL. */
static void put_merged(struct pen *pen, const struct host *only, struct widths longest)
{
    struct widths widths = widths_of(pen_room(pen), longest, true);
    const struct vramscope_device *device;
    struct split split = split_none();
    const struct host *host;
    struct cursor at = {0};
    char name[HOST_NAME_SIZE] = "", kind[DEVICE_KIND_SIZE];

    while (next_device(pen->drawing, &at, &device, &host)) {
        if (only && host != only)
            continue;
        split_add(&split, device);
        pen->faded |= is_driver_faded(pen->drawing, host);
    }
    snprintf(kind, sizeof(kind), "%zu GPUs", split.devices);
    if (only)
        host_label(name, pen->drawing->view, only);
    put_split(pen, only ? name : kind, kind, &split, &widths);
}

/* How the devices are put into lines. */
struct plan {
    size_t devices;
    int per_line, lines;
    bool by_host, all_in_one;
    size_t left_out; // devices, or hosts
};

static size_t hosts_with_devices(const struct drawing *drawing)
{
    size_t n = 0;

    for (size_t i = 0; i < drawing->view->n_hosts; i++)
        n += drawing->view->shown[i] && drawing->view->shown[i]->n_devices > 0;
    return n;
}

static struct plan plan_of(const struct drawing *drawing, int most)
{
    struct plan plan = {.devices = count_devices(drawing), .per_line = 1};
    size_t hosts = hosts_with_devices(drawing), n = plan.devices, places;

    most = MAX(most, 1);
    if (n > (size_t)most && hosts > 1) {
        plan.by_host = true;
        n = hosts;
    } else if (n > MERGED_ABOVE && drawing->layout != LAYOUT_FULL) {
        plan.all_in_one = true;
        n = 1;
    } else if (n > (size_t)most) {
        plan.per_line = MAX(1, drawing->canvas->columns / COLUMN_LEAST);
    }
    places = (size_t)most * (size_t)plan.per_line;
    if (n > places) {
        places = (size_t)(most - 1) * (size_t)plan.per_line; // a line says how many more
        plan.left_out = n - places;
        plan.lines = most;
    } else {
        plan.lines = (int)((n + (size_t)plan.per_line - 1) / (size_t)plan.per_line);
    }
    return plan;
}

int device_lines(const struct drawing *drawing, int most)
{
    bool legend = most > 2;
    int lines = plan_of(drawing, most - legend).lines;

    return lines ? lines + legend : 0;
}

static void draw_left_out(struct drawing *drawing, int row, const struct plan *plan)
{
    struct pen pen = pen_at(drawing, row, 1);

    pen_print(&pen, STYLE_DIM, "and %zu more %s: Tab", plan->left_out,
              plan->by_host ? "hosts" : "devices");
}

static void draw_by_host(struct drawing *drawing, struct area area)
{
    const struct view *view = drawing->view;
    struct widths longest = {.label = host_label_width(view, HOST_NAME_SIZE), .kind = 7};

    for (size_t i = 0; i < view->n_hosts && area.rows > 0; i++) {
        const struct vramscope_detail *detail = view->shown[i];
        struct pen pen = pen_at(drawing, area.row, 1);

        if (!detail || detail->n_devices == 0)
            continue;
        put_merged(&pen, view->hosts[i], longest);
        (void)area_top(&area, 1);
    }
}

static struct widths longest_of(const struct drawing *drawing)
{
    const struct vramscope_device *device;
    const struct host *host;
    struct cursor at = {0};
    struct widths longest = {0};
    char label[LABEL_SIZE], kind[DEVICE_KIND_SIZE];

    while (next_device(drawing, &at, &device, &host)) {
        full_label(drawing, host, device, label);
        device_kind(kind, device);
        longest.label = MAX(longest.label, (int)strlen(label));
        longest.kind = MAX(longest.kind, (int)strlen(kind));
    }
    return longest;
}

/* Column by column, as meters are read: down, then over. */
static void draw_each(struct drawing *drawing, struct area area, int per_line)
{
    int width = drawing->canvas->columns / per_line;
    struct widths longest = longest_of(drawing);
    const struct vramscope_device *device;
    const struct host *host;
    struct cursor at = {0};

    for (int i = 0; i < area.rows * per_line; i++) {
        struct pen pen =
            pen_at(drawing, area.row + i % area.rows, i / area.rows * width + 1);

        pen.end = MIN(pen.end, pen.column + width - 2);
        if (!next_device(drawing, &at, &device, &host))
            break;
        put_device(&pen, device, host, longest);
    }
}

void draw_devices(struct drawing *drawing, struct area area)
{
    struct area legend = area_bottom(&area, area.rows > 1);
    struct plan plan = plan_of(drawing, area.rows);
    struct area more = area_bottom(&area, plan.left_out > 0 && area.rows > 1);
    struct pen pen = pen_at(drawing, area.row, 1);

    if (area.rows < 1)
        return;
    if (plan.all_in_one)
        put_merged(&pen, NULL, (struct widths){0});
    else if (plan.by_host)
        draw_by_host(drawing, area);
    else
        draw_each(drawing, area, plan.per_line);
    if (more.rows)
        draw_left_out(drawing, more.row, &plan);
    if (legend.rows)
        draw_legend(drawing, legend.row);
}
