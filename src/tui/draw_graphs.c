// SPDX-License-Identifier: Apache-2.0
/*
 * draw_graphs.c - the last minutes of one model
 */
#include "tui/draw_parts.h"
#include "tui/model_value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { GRAPH_CELLS_MAX = CANVAS_COLUMNS_MAX, VALUES_MAX = 2 * GRAPH_CELLS_MAX };

#define SHORT_SPAN_MS INT64_C(60000)
#define LONG_SPAN_MS INT64_C(300000)

/* A series over a span of time, ready to be drawn. */
struct curve {
    float values[VALUES_MAX];
    size_t n;
    int64_t span_ms;
    double highest;
};

static size_t history_place(const struct history *history, uint32_t age)
{
    return (history->next + HISTORY_SAMPLES - 1 - age) % HISTORY_SAMPLES;
}

/* A minute, until there is more. */
static int64_t span_of_history(const struct history *history)
{
    int64_t oldest, newest;

    if (history->count == 0)
        return SHORT_SPAN_MS;
    newest = history->unix_ms[history_place(history, 0)];
    oldest = history->unix_ms[history_place(
        history, MIN(history->count, (uint32_t)HISTORY_SAMPLES) - 1)];
    return newest > oldest && newest / 2 - oldest / 2 > SHORT_SPAN_MS / 2 ? LONG_SPAN_MS
                                                                          : SHORT_SPAN_MS;
}

struct moment {
    int64_t unix_ms;
    int64_t interval_ms; // between two documents
};

/*
 * A history has the times of the daemon's clock, which may be another one than ours: now
 * is when the document was made, and as long ago as it came in.
 */
static struct moment moment_of(const struct drawing *drawing, const struct host *host)
{
    const struct vramscope_detail *detail = detail_of(drawing, host);
    int64_t now = drawing->view->now_unix_ms, passed = now - host->last_detail_ms;
    int64_t interval_ms = detail ? MIN(detail->interval_ms, SHORT_SPAN_MS) : 0;

    passed = MIN(passed, LONG_SPAN_MS);
    if (detail && detail->unix_ms > 0 && detail->unix_ms <= HISTORY_TIME_MAX)
        now = detail->unix_ms + MAX(passed, INT64_C(0));
    return (struct moment){now, MAX(INT64_C(500), interval_ms)};
}

/*
 * The newest value of each of `n` equal stretches of time that end now. They lie on a fixed
 * raster of the clock, so that a curve moves by whole steps and keeps its form. A stretch
 * between two samples that are no further apart than usual is no gap: it has the older's.
 */
static void read_curve(const struct history *history, enum history_series series,
                       struct moment now, size_t n, struct curve *ret)
{
    int64_t step, last, carry_ms, now_ms = now.unix_ms;

    ret->n = MIN(n, (size_t)VALUES_MAX);
    ret->span_ms = span_of_history(history);
    ret->highest = 0;
    for (size_t i = 0; i < ret->n; i++)
        ret->values[i] = NAN;
    if (ret->n == 0)
        return;
    step = MAX(INT64_C(1), ret->span_ms / (int64_t)ret->n);
    last = now_ms / step;
    carry_ms = MAX(2 * now.interval_ms, step);
    for (uint32_t age = MIN(history->count, (uint32_t)HISTORY_SAMPLES); age-- > 0;) {
        size_t at = history_place(history, age);
        int64_t then = history->unix_ms[at], from = last - then / step;
        int64_t to = last - MIN(now_ms, sum_of(then, carry_ms)) / step;

        if (then > now_ms || then <= 0 || to >= (int64_t)ret->n)
            continue;
        for (int64_t back = MIN(from, (int64_t)ret->n - 1); back >= MAX(to, INT64_C(0));
             back--)
            ret->values[ret->n - 1 - (size_t)back] = history->values[series][at];
        if (isfinite(history->values[series][at]))
            ret->highest = MAX(ret->highest, (double)history->values[series][at]);
    }
}

/* What is drawn of a model, in the order of the boxes. */
struct graph {
    const char *name, *brief;
    enum history_series series;
    enum style style;
};

static const struct graph graphs[N_GRAPHS] = {
    {"KV used", "KV", HISTORY_KV_USED, STYLE_GRAPH_1},
    {"allocated", "VRAM", HISTORY_ALLOCATED, STYLE_GRAPH_2},
    {"hit rate", "hit rate", HISTORY_HIT_PERCENT, STYLE_GRAPH_3},
};

static int64_t device_total(const struct drawing *drawing, const struct row *row)
{
    const struct vramscope_detail *detail = detail_of(drawing, row->host);
    int64_t total = VRAMSCOPE_UNKNOWN;

    for (size_t i = 0; i < row->model->n_devices; i++) {
        const struct vramscope_device *device = device_of(detail, row->model->devices[i]);

        if (device)
            total = sum_of(total, device->total_bytes);
    }
    return total;
}

/* What a graph shows now, and all there could be. */
struct words {
    const char *name;
    char now[FIGURE_TEXT_SIZE], top[FIGURE_TEXT_SIZE]; // no top: ""
    double full;                                       // height of the graph
};

static void set_words(struct words *words, const struct vramscope_figure *now,
                      const struct vramscope_figure *top)
{
    figure_text(words->now, now);
    words->top[0] = '\0';
    if (!is_figure_known(top))
        return;
    figure_text(words->top, top);
    unit_once(words->now, words->top);
}

/* "KV used 12.4 of 41.2 GiB". */
static bool fits(const struct words *words, int room)
{
    return (int)(strlen(words->name) + strlen(words->now) + strlen(words->top)) + 5 <=
           room;
}

static struct words describe(const struct drawing *drawing, const struct graph *graph,
                             const struct row *row, const struct curve *curve, int room)
{
    const struct vramscope_model *model = row->model;
    const struct vramscope_figure *now = &model->kv_used;
    struct vramscope_figure top = model->kv_capacity;
    struct words words = {graph->name, "", "", 100};

    if (graph->series == HISTORY_HIT_PERCENT) {
        percent_text(words.now, model->prefix_minute.hit_percent);
        return words;
    }
    if (graph->series == HISTORY_ALLOCATED) {
        now = &model->allocated;
        top = (struct vramscope_figure){device_total(drawing, row),
                                        VRAMSCOPE_FROM_MEASURED, 0, NULL};
    }
    set_words(&words, now, &top);
    if (!fits(&words, room))
        words.name = graph->brief;
    if (!fits(&words, room)) {
        figure_text(words.now, now);
        words.top[0] = '\0';
    }
    words.full = MAX(curve->highest, 1.0);
    if (is_figure_known(&top))
        words.full = MAX(words.full, (double)top.value);
    return words;
}

static void fill_curve(const struct drawing *drawing, const struct row *row,
                       enum history_series series, int columns, struct curve *ret)
{
    const struct track *track = host_track(row->host, row->model);

    ret->n = 0;
    ret->highest = 0;
    ret->span_ms = SHORT_SPAN_MS;
    if (track)
        read_curve(&track->history, series, moment_of(drawing, row->host),
                   graph_values(columns, drawing->view->glyphs), ret);
}

/* A number that does not fit is left out: cut, it would be another one. */
static void put_if_fits(struct pen *pen, enum style style, const char *before,
                        const char *text)
{
    if ((int)(strlen(before) + strlen(text)) > pen_room(pen))
        return;
    pen_print(pen, STYLE_DIM, "%s", before);
    pen_print(pen, style, "%s", text);
}

void draw_graph(struct drawing *drawing, struct place place, int rows, size_t which,
                const struct row *row)
{
    const struct graph *graph = &graphs[which];
    struct pen pen = pen_at(drawing, place.row, place.column);
    struct curve curve;
    struct words words;

    if (place.width < 4 || rows < 1)
        return;
    fill_curve(drawing, row, graph->series, place.width, &curve);
    words = describe(drawing, graph, row, &curve, place.width);
    pen.end = MIN(pen.end, place.column + place.width);
    pen.faded = is_faded(drawing, row->host) || row->model->stale;
    pen_print(&pen, STYLE_DIM, "%s ", words.name);
    put_if_fits(&pen, words.now[0] == '-' ? STYLE_DIM : STYLE_STRONG, "", words.now);
    if (words.top[0])
        put_if_fits(&pen, STYLE_TEXT, " of ", words.top);
    place.row++;
    if (rows > 1)
        graph_draw(drawing->canvas, place, rows - 1, drawing->view->glyphs,
                   pen.faded ? STYLE_DIM : graph->style, curve.values, curve.n,
                   words.full);
}

const char *graph_span(const struct row *row)
{
    const struct track *track = host_track(row->host, row->model);

    return track && span_of_history(&track->history) == LONG_SPAN_MS ? "last 5 min"
                                                                     : "last minute";
}

/* Which model it is, and where there are several hosts, of which. */
static void draw_graphs_rule(struct drawing *drawing, int line, const struct row *row)
{
    int columns = drawing->canvas->columns;
    bool several = drawing->view->n_hosts > 1;
    char host[HOST_NAME_SIZE] = "";
    struct pen pen = pen_at(drawing, line, 1);

    draw_rule(drawing, line, "", graph_span(row));
    if (several)
        host_label(host, drawing->view, row->host);
    pen.end = MAX(pen.column, columns - 26 - (several ? (int)strlen(host) + 2 : 0));
    pen_print(&pen, STYLE_HEADING, " %s", text_or_empty(row->model->model));
    pen.end = MAX(pen.column, columns - 15);
    if (row->model->port)
        pen_print(&pen, STYLE_DIM, "  port %" PRId64, row->model->port);
    if (several)
        pen_print(&pen, STYLE_DIM, "  %s", host);
    pen_print(&pen, STYLE_DIM, " ");
}

/* Side by side below a rule that names the model. */
void draw_graphs(struct drawing *drawing, struct area area, const struct row *row)
{
    struct area rule = area_top(&area, 1);
    int width = (drawing->canvas->columns - 1) / N_GRAPHS;

    draw_graphs_rule(drawing, rule.row, row);
    for (int i = 0; i < N_GRAPHS; i++) {
        struct place place = {area.row, 1 + i * width, width - 2};

        draw_graph(drawing, place, area.rows, (size_t)i, row);
    }
}

/* KV used and the hit rate in one line. */
void draw_sparkline(struct drawing *drawing, int line, const struct row *row)
{
    struct pen pen = pen_at(drawing, line, 1);
    bool faded = is_faded(drawing, row->host) || row->model->stale;

    pen.faded = faded;
    for (size_t i = 0; i < N_GRAPHS; i += 2) {
        struct place place = {line, 0, drawing->canvas->columns / 4};
        struct curve curve;
        struct words words;

        fill_curve(drawing, row, graphs[i].series, place.width, &curve);
        words = describe(drawing, &graphs[i], row, &curve, 36);
        pen_print(&pen, STYLE_DIM, "%s ", words.name);
        place.column = pen.column;
        place.width = MIN(place.width, pen_room(&pen));
        graph_draw(drawing->canvas, place, 1, drawing->view->glyphs,
                   faded ? STYLE_DIM : graphs[i].style, curve.values, curve.n,
                   words.full);
        pen_skip(&pen, place.width + 1);
        put_if_fits(&pen, STYLE_STRONG, "", words.now);
        if (words.top[0])
            put_if_fits(&pen, STYLE_TEXT, " of ", words.top);
        pen_skip(&pen, 3);
    }
}
