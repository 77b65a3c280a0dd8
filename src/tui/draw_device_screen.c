// SPDX-License-Identifier: Apache-2.0
/*
 * draw_device_screen.c - a card for each device with all of its figures
 */
#include "tui/draw_split.h"

#include <stdio.h>

enum { LABEL_WIDTH = 10, VALUE_WIDTH = 8, CELL_WIDTH = LABEL_WIDTH + VALUE_WIDTH + 1 };

/* Labels and figures in columns that stay where they are from card to card. */
struct grid {
    struct sheet *sheet;
    struct pen pen;
    int at, per_line;
    bool faded;
};

static void grid_put(struct grid *grid, const char *label, const char *words)
{
    if (grid->at++ % grid->per_line == 0) {
        grid->pen = sheet_line(grid->sheet);
        grid->pen.faded = grid->faded;
        pen_skip(&grid->pen, 1);
    }
    pen_cut(&grid->pen, LABEL_WIDTH, STYLE_DIM, label);
    pen_right(&grid->pen, VALUE_WIDTH, strcmp(words, "--") == 0 ? STYLE_DIM : STYLE_TEXT,
              words);
    pen_skip(&grid->pen, 1);
}

static void grid_bytes(struct grid *grid, const char *label, int64_t bytes)
{
    char words[FIGURE_TEXT_SIZE];

    bytes_short(words, bytes);
    grid_put(grid, label, words);
}

static void grid_figure(struct grid *grid, const char *label,
                        const struct vramscope_figure *figure)
{
    char words[FIGURE_TEXT_SIZE];

    figure_short(words, figure);
    grid_put(grid, label, words);
}

/* Whose it is, if the daemon says so. */
static void write_owners(struct grid *grid, const struct vramscope_device *device,
                         const struct split *split)
{
    if (!is_known(device->models_bytes))
        return;
    grid->at = 0;
    if (is_known(split->parts[PART_WEIGHTS]))
        grid_bytes(grid, "weights", split->parts[PART_WEIGHTS]);
    else
        grid_bytes(grid, "models", device->models_bytes);
    grid_figure(grid, "KV pool", &device->kv_pool);
    grid_figure(grid, "KV used", &device->kv_used);
    grid_bytes(grid, "other", device->other_bytes);
    grid_bytes(grid, "orphan", device->orphan_bytes);
    grid_bytes(grid, "unattrib.", device->unattributed_bytes);
}

static void write_figures(struct grid *grid, const struct vramscope_device *device)
{
    struct split split = split_none();

    split_add(&split, device);
    grid_bytes(grid, "total", device->total_bytes);
    grid_bytes(grid, "used", device->used_bytes);
    grid_bytes(grid, "free", split.parts[PART_FREE]);
    grid_bytes(grid, "reserved", device->reserved_bytes);
    grid_bytes(grid, "processes", device->processes_bytes);
    write_owners(grid, device, &split);
}

static void write_title(struct sheet *sheet, const struct vramscope_device *device,
                        const struct host *host)
{
    char label[DEVICE_LABEL_SIZE];
    struct pen pen = sheet_line(sheet);

    device_label(label, detail_of(sheet->drawing, host), device);
    pen.faded = is_driver_faded(sheet->drawing, host);
    if (sheet->drawing->view->n_hosts > 1)
        pen_print(&pen, STYLE_DIM, "%s ", host->name);
    pen_print(&pen, STYLE_STRONG, "%s  ", label);
    pen_print(&pen, STYLE_TEXT, "%s", device->name ? device->name : "");
    if (is_known(device->orphan_bytes) && device->orphan_bytes > 0) {
        pen_print(&pen, STYLE_CRITICAL, "  %s", sheet->drawing->signs->alarm);
        pen_badge(&pen, "ORPHAN");
    }
    pen_print(&pen, STYLE_DIM, "  %s  %s", device->backend ? device->backend : "",
              device->uuid ? device->uuid : "");
}

static void write_card(struct sheet *sheet, const struct vramscope_device *device,
                       const struct host *host)
{
    int columns = sheet->drawing->canvas->columns;
    bool faded = is_driver_faded(sheet->drawing, host);
    struct grid grid = {sheet, {0}, 0, MAX(1, (columns - 1) / CELL_WIDTH), faded};
    struct split split = split_none();
    struct pen pen;

    split_add(&split, device);
    write_title(sheet, device, host);
    pen = sheet_line(sheet);
    pen.faded = faded;
    pen_skip(&pen, 1);
    put_bar(&pen, MAX(1, pen_room(&pen) - 1), &split);
    write_figures(&grid, device);
    if (device->unified)
        sheet_wrap(sheet, 1, STYLE_DIM,
                   "It has no memory of its own: these are the host's, shown once.");
    if (device->reason)
        sheet_wrap(sheet, 1, STYLE_DIM, "%s", device->reason);
    (void)sheet_line(sheet);
}

/* The drivers that were asked, and what they say. */
static void write_sources(struct sheet *sheet, size_t host_index)
{
    const struct view *view = sheet->drawing->view;
    const struct vramscope_detail *detail = view->shown[host_index];

    for (size_t i = 0; detail && i < detail->n_sources; i++) {
        const struct vramscope_source *source = detail->sources[i];

        sheet_wrap(sheet, 0, STYLE_DIM, "%s%s%s: %s%s%s%s%s",
                   view->n_hosts > 1 ? view->hosts[host_index]->name : "",
                   view->n_hosts > 1 ? " " : "", source->backend ? source->backend : "--",
                   source->verdict ? source->verdict : "--",
                   source->driver_version ? ", driver " : "",
                   source->driver_version ? source->driver_version : "",
                   source->reason ? ", " : "", source->reason ? source->reason : "");
    }
}

static void write_cards(struct sheet *sheet, const void *ctx)
{
    const struct vramscope_device *device;
    const struct host *host;
    struct cursor at = {0};

    (void)ctx;
    if (count_devices(sheet->drawing) == 0)
        sheet_wrap(sheet, 0, STYLE_DIM, "No device is seen.");
    while (next_device(sheet->drawing, &at, &device, &host))
        write_card(sheet, device, host);
    for (size_t i = 0; i < sheet->drawing->view->n_hosts; i++)
        write_sources(sheet, i);
}

void draw_device_screen(struct drawing *drawing, struct area area)
{
    struct area legend = area_bottom(&area, area.rows > 8);
    char title[64];

    snprintf(title, sizeof(title), "Devices %zu, memory in GiB", count_devices(drawing));
    sheet_draw(drawing, area, (struct sheet_look){title, NULL}, write_cards, NULL);
    if (legend.rows)
        draw_legend(drawing, legend.row);
}
