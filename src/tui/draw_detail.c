// SPDX-License-Identifier: Apache-2.0
/*
 * draw_detail.c - what there is to know of one model, over its last minutes
 */
#include "tui/draw_parts.h"

#include "tui/display_text.h"

#include <inttypes.h>
#include <stdio.h>

enum { FACT_WIDTH = 24, FACT_SIZE = 48, GRAPH_ROWS_LEAST = 4 };

struct fact {
    const char *label;
    char words[FACT_SIZE];
};

enum { N_FACTS = 12 };

/* Four of each kind, so that they stand below each other where there is room. */
static void list_facts(const struct vramscope_model *model, struct fact facts[N_FACTS])
{
    const char *labels[N_FACTS] = {"VRAM",    "KV used", "KV cap",    "weights",
                                   "KV%",     "running", "waiting",   "preempted",
                                   "hits 1m", "hits 5m", "hits ever", "KV tokens"};

    for (size_t i = 0; i < N_FACTS; i++)
        facts[i] = (struct fact){.label = labels[i]};
    figure_text(facts[0].words, &model->allocated);
    figure_text(facts[1].words, &model->kv_used);
    figure_text(facts[2].words, &model->kv_capacity);
    figure_text(facts[3].words, &model->rest);
    percent_text(facts[4].words, 100 * model->kv_usage_ratio);
    count_text(facts[5].words, model->requests_running);
    count_text(facts[6].words, model->requests_waiting);
    count_text(facts[7].words, model->requests_preemptions);
    percent_text(facts[8].words, model->prefix_minute.hit_percent);
    percent_text(facts[9].words, model->prefix_five_minutes.hit_percent);
    percent_text(facts[10].words, model->prefix_lifetime.hit_percent);
    count_text(facts[11].words, model->kv_capacity_tokens);
}

/* As many a line as fit; the lines used. */
static void draw_facts(struct drawing *drawing, struct area *area, const struct row *row)
{
    int per_line = clamp(1, (drawing->canvas->columns - 1) / FACT_WIDTH, 4),
        left = N_FACTS;
    struct fact facts[N_FACTS], *fact = facts;

    list_facts(row->model, facts);
    while (left > 0 && area->rows > 0) {
        struct pen pen = pen_at(drawing, area_top(area, 1).row, 1);

        pen.faded = is_faded(drawing, row->host) || row->model->stale;
        for (int i = 0; i < per_line && left > 0; i++, left--, fact++) {
            pen_cut(&pen, 10, STYLE_DIM, fact->label);
            if (display_width(span_of(fact->words)) <= pen_room(&pen))
                pen_cut(&pen, FACT_WIDTH - 10,
                        strcmp(fact->words, "--") == 0 ? STYLE_DIM : STYLE_STRONG,
                        fact->words);
        }
    }
}

/* Which process it is, and in which container. */
static void draw_identity(struct drawing *drawing, int line, const struct row *row)
{
    const struct vramscope_model *model = row->model;
    struct state_words state = state_words(drawing, row);
    struct pen pen = pen_at(drawing, line, 1);

    pen_print(&pen, state.style, "%s", state.sign);
    if (state.is_badge)
        pen_badge(&pen, state.word);
    else
        pen_print(&pen, state.style, " %s", state.word);
    if (drawing->view->n_hosts > 1)
        pen_print(&pen, STYLE_TEXT, "  %s", row->host->name);
    if (model->port)
        pen_print(&pen, STYLE_TEXT, "  port %" PRId64, model->port);
    if (is_known(model->pid))
        pen_print(&pen, STYLE_TEXT, "  pid %" PRId64, model->pid);
    if (is_known(model->nodes))
        pen_print(&pen, STYLE_TEXT, "  on %" PRId64 " node%s, ready on %" PRId64,
                  model->nodes, model->nodes == 1 ? "" : "s",
                  MAX(model->nodes_ready, (int64_t)0));
    if (model->container_id)
        pen_print(&pen, STYLE_DIM, "  container %.12s", model->container_id);
    if (model->pod_uid)
        pen_print(&pen, STYLE_DIM, "  pod %s", model->pod_uid);
    if (model->reason) {
        pen_skip(&pen, 2);
        pen_cut(&pen, pen_room(&pen), STYLE_TEXT, model->reason);
    }
}

static void draw_graph_stack(struct drawing *drawing, struct area area,
                             const struct row *row)
{
    int n = clamp(1, area.rows / GRAPH_ROWS_LEAST, N_GRAPHS), each = area.rows / n;

    for (int i = 0; i < n; i++) {
        struct area part = area_top(&area, i == n - 1 ? area.rows : each);
        struct place place = {part.row, 1, drawing->canvas->columns - 2};
        int blank = part.rows > 4 && i < n - 1;

        draw_graph(drawing, place, part.rows - blank, (size_t)i, row);
    }
}

void draw_detail(struct drawing *drawing, struct area area)
{
    const struct row *row = view_chosen(drawing->view);
    struct area rule = area_top(&area, area.rows > 3);
    struct area line = area_top(&area, area.rows > 0);

    if (rule.rows)
        draw_rule(drawing, rule.row,
                  row && row->model->model ? row->model->model : "No model is chosen",
                  row ? graph_span(row) : "");
    if (!row || line.rows == 0)
        return;
    draw_identity(drawing, line.row, row);
    draw_facts(drawing, &area, row);
    (void)area_top(&area, area.rows > 9);
    draw_graph_stack(drawing, area, row);
}
