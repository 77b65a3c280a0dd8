// SPDX-License-Identifier: Apache-2.0
/*
 * draw.h - draw a view onto a canvas of any size, down to one cell
 *
 * From 120 x 30 everything is shown, from 80 x 24 the compact layout, below it the mini
 * one, of which as much is drawn as there is room for. The same view on a canvas of the
 * same size gives the same cells.
 */
#ifndef TUI_DRAW_H
#define TUI_DRAW_H

#include "tui/view.h"

/* Also moves view->top so that the chosen row is seen. */
void draw_view(struct canvas *canvas, struct view *view);

/* ---- Words, of which the commands use the same ---- */

/* The words numbers are shown in: `--` unknown, `~` before what is derived or estimated. */
enum { FIGURE_TEXT_SIZE = 24 };

/* GiB with one decimal, MiB below 0.1 GiB, B for 0. */
void figure_text(char ret[FIGURE_TEXT_SIZE], const struct vramscope_figure *figure);
void bytes_text(char ret[FIGURE_TEXT_SIZE], int64_t bytes);
void count_text(char ret[FIGURE_TEXT_SIZE], int64_t count);
void percent_text(char ret[FIGURE_TEXT_SIZE], double percent);
void age_text(char ret[FIGURE_TEXT_SIZE], int64_t age_ms);

enum { DEVICE_LABEL_SIZE = 64 };

/* "GPU 0", or "GPU 2/1" for an instance; where there are two makers "NV 0" and "AMD 0". */
void device_label(char ret[DEVICE_LABEL_SIZE], const struct vramscope_detail *detail,
                  const struct vramscope_device *device);

/* The same without "GPU". */
void device_number(char ret[DEVICE_LABEL_SIZE], const struct vramscope_detail *detail,
                   const struct vramscope_device *device);

#endif
