// SPDX-License-Identifier: Apache-2.0
/*
 * draw_parts.h - what the files that draw share: pens, lines that scroll, words
 *
 * Only for draw*.c and figure_text.c. Nothing here keeps anything between two drawings but
 * view->top.
 */
#ifndef TUI_DRAW_PARTS_H
#define TUI_DRAW_PARTS_H

#include "tui/draw.h"

enum layout { LAYOUT_MINI, LAYOUT_COMPACT, LAYOUT_FULL };

/* Signs of one cell, in Unicode or ASCII. */
struct signs {
    const char *live, *hollow, *half, *dotted, *cross, *alarm;
    const char *up, *down, *more, *rule, *times, *dot, *chosen, *cursor;
};

struct drawing {
    struct canvas *canvas;
    struct view *view;
    const struct signs *signs;
    enum layout layout;
};

/* Whole lines of the canvas. */
struct area {
    int row, rows;
};

/* Cut so many lines off the top or the bottom of an area; fewer where there are fewer. */
struct area area_top(struct area *area, int rows);
struct area area_bottom(struct area *area, int rows);

int clamp(int low, int value, int high);

/* Writes along a line, as far as its end. */
struct pen {
    struct drawing *drawing;
    int row, column, end;
    bool faded; // figures that are not of now: dim, whatever they mean
};

struct pen pen_at(struct drawing *drawing, int row, int column);
void pen_print(struct pen *pen, enum style style, const char *format, ...)
    PRINTF_LIKE(3, 4);
void pen_right(struct pen *pen, int width, enum style style, const char *text);
void pen_badge(struct pen *pen, const char *text);
void pen_skip(struct pen *pen, int cells);
void pen_to(struct pen *pen, int column); // never back
int pen_room(const struct pen *pen);

/* A text in exactly `width` cells, its end cut off if need be. NULL is "". */
void pen_cut(struct pen *pen, int width, enum style style, const char *text);

/* The same, with the beginning cut off. */
void pen_tail(struct pen *pen, int width, enum style style, const char *text);

/* A name likewise, shortened where it can best be missed. */
void pen_fit(struct pen *pen, int width, enum style style, const char *text);

/* "-- title ------------- note --" over the whole line. */
void draw_rule(struct drawing *drawing, int row, const char *title, const char *note);

/*
 * Lines of which the area shows those from view->top on. `write` is called twice, first
 * to count them; it calls sheet_line() for each, or sheet_wrap().
 */
struct sheet {
    struct drawing *drawing;
    struct area area; // of no rows while they are counted
    size_t top, line;
    const char *said, *said_before; // reasons, for who writes them
};

struct pen sheet_line(struct sheet *sheet);
void sheet_wrap(struct sheet *sheet, int indent, enum style style, const char *format,
                ...) PRINTF_LIKE(4, 5);
typedef void sheet_fn(struct sheet *sheet, const void *ctx);

struct sheet_look {
    const char *title;
    const char *heading; // a line that does not scroll; NULL: none
};

void sheet_draw(struct drawing *drawing, struct area area, struct sheet_look look,
                sheet_fn *write, const void *ctx);

/* As figure_text() and so on, for tables: 12.4 (GiB), 62%. */
void figure_short(char ret[FIGURE_TEXT_SIZE], const struct vramscope_figure *figure);
void bytes_short(char ret[FIGURE_TEXT_SIZE], int64_t bytes);
void percent_short(char ret[FIGURE_TEXT_SIZE], double percent);

/* Of "12.4 GiB" and "41.2 GiB" the first without its unit, if the second has the same. */
void unit_once(char first[FIGURE_TEXT_SIZE], const char *second);
void time_text(char ret[FIGURE_TEXT_SIZE], int64_t unix_ms);

/* a + b, held at the ends of int64; what is not known adds nothing. */
int64_t sum_of(int64_t a, int64_t b);
bool is_known(int64_t value);
bool is_figure_known(const struct vramscope_figure *figure);
enum style figure_style(const struct vramscope_figure *figure);

/* Thresholds of a KV cache's fullness. */
enum style kv_style(double percent);
const char *kv_alarm(const struct drawing *drawing, double percent); // "", or signs

/* The document shown of a host: while the person pauses, not its newest. NULL: none. */
const struct vramscope_detail *detail_of(const struct drawing *drawing,
                                         const struct host *host);

/* "PAUSED", or of a recording "HELD"; NULL: time goes on. */
const char *standstill(const struct view *view);

/* What is drawn of `host` is not of now. */
bool is_faded(const struct drawing *drawing, const struct host *host);

/* It is of now, and there are figures. */
bool has_news(const struct drawing *drawing, const struct host *host);

/* So is what its driver says, which may have fallen silent by itself. */
bool is_driver_faded(const struct drawing *drawing, const struct host *host);
bool is_driver_stale(const struct vramscope_detail *detail);

/* Whether all figures of all hosts together may be added up. */
struct totals {
    int64_t total, allocated, kv_used, kv_capacity, running, waiting, preempted;
    bool kv_worked_out; // some of it is not measured
    int64_t kv_unknown; // models
    double hit_percent;
    bool hit_in_window;
    size_t models, hosts; // with a document
    bool faded;
};

struct totals totals_of(const struct drawing *drawing);

/*
 * The state of a model as it is shown: a sign and a word, which is a badge where somebody
 * should look.
 */
struct state_words {
    const char *sign;
    enum style style; // of the sign
    char word[32];
    char brief[9]; // the same where there is little room
    bool is_badge;
};

struct state_words state_words(const struct drawing *drawing, const struct row *row);

/* What a host is called where there is little room: less of what all hosts share. */
void host_label(char ret[HOST_NAME_SIZE], const struct view *view,
                const struct host *host);
int host_label_width(const struct view *view, int most);

/* A device of a document, by what models and processes say; NULL: it is not there. */
const struct vramscope_device *device_of(const struct vramscope_detail *detail,
                                         int64_t index);

enum { DEVICE_KIND_SIZE = 64 };

/* Its name, as far as it tells one device of a host from another. */
void device_kind(char ret[DEVICE_KIND_SIZE], const struct vramscope_device *device);

/* The parts of the screen. Each takes the lines it is given. */
void draw_title(struct drawing *drawing, int row);
void draw_totals(struct drawing *drawing, int row);
void draw_mini_totals(struct drawing *drawing, struct area area);
int host_banners(const struct drawing *drawing); // lines wanted
void draw_banners(struct drawing *drawing, struct area area);
void draw_no_figures(struct drawing *drawing, struct area area);
bool has_figures(const struct drawing *drawing); // of any host

int device_lines(const struct drawing *drawing, int most); // lines wanted, at most `most`
void draw_devices(struct drawing *drawing, struct area area);
void draw_device_screen(struct drawing *drawing, struct area area);

void draw_models(struct drawing *drawing, struct area area);

enum { N_GRAPHS = 3 }; // KV used, allocated, hit rate

void draw_graph(struct drawing *drawing, struct place place, int rows, size_t which,
                const struct row *row);
const char *graph_span(const struct row *row);
void draw_graphs(struct drawing *drawing, struct area area, const struct row *row);
void draw_sparkline(struct drawing *drawing, int line, const struct row *row);
void draw_detail(struct drawing *drawing, struct area area);
void draw_explain(struct drawing *drawing, struct area area);
void draw_processes(struct drawing *drawing, struct area area);
void draw_last_events(struct drawing *drawing, struct area area);
void draw_events(struct drawing *drawing, struct area area);
void draw_help(struct drawing *drawing, struct area area);
void draw_keys(struct drawing *drawing, int row);

#endif
