// SPDX-License-Identifier: Apache-2.0
/*
 * draw_fleet.c - a gateway's nodes in words: states, counts, sums, and all of one of them
 */
#include "tui/draw_fleet.h"

#include <inttypes.h>
#include <stdio.h>

struct node_words {
    const char *sign, *word;
    enum style style;
};

/* A sign and a word for each, so that no state hangs on its colour. */
static struct node_words node_words(const struct drawing *drawing,
                                    const struct node_row *row)
{
    const struct signs *signs = drawing->signs;

    if (is_faded(drawing, row->host) && !drawing->view->is_recording)
        return (struct node_words){signs->dotted, "UNHEARD", STYLE_WARNING};
    switch (node_need(row->node)) {
    case NODE_NEED_LOST:
        return (struct node_words){signs->cross, "LOST", STYLE_CRITICAL};
    case NODE_NEED_UNREADABLE:
        return (struct node_words){signs->dotted, "UNREADABLE", STYLE_WARNING};
    case NODE_NEED_OUTAGE:
        return (struct node_words){signs->cross, "OUTAGE", STYLE_WARNING};
    case NODE_NEED_STALE:
        return (struct node_words){signs->alarm, "STALE", STYLE_WARNING};
    case NODE_NEED_NAME_TAKEN:
        return (struct node_words){signs->alarm, "NAME TAKEN", STYLE_WARNING};
    case NODE_NEED_UNCOUNTED:
        return (struct node_words){signs->half, "UNCOUNTED", STYLE_DIM};
    case NODE_NEED_UNKNOWN:
        break;
    case NODE_NEED_NONE:
        return (struct node_words){signs->live, "live", STYLE_GOOD};
    }
    return (struct node_words){signs->dotted, row->node->state ? row->node->state : "--",
                               STYLE_WARNING};
}

bool is_node_faded(const struct drawing *drawing, const struct node_row *row)
{
    enum node_need need = node_need(row->node);

    return is_faded(drawing, row->host) || need <= NODE_NEED_STALE ||
           need == NODE_NEED_UNCOUNTED;
}

void put_node_state(struct pen *pen, int width, const struct node_row *row)
{
    struct node_words words = node_words(pen->drawing, row);
    bool is_badge = words.style == STYLE_WARNING || words.style == STYLE_CRITICAL;
    int end = pen->column + MIN(width, pen_room(pen)), all = pen->end;

    pen->end = end;
    pen_print(pen, words.style, "%s ", words.sign);
    pen_print(pen, is_badge ? STYLE_BADGE : STYLE_TEXT, "%s", words.word);
    pen->end = all;
    pen_to(pen, end);
}

/* ---- All of them ---- */

static int64_t add_known(int64_t sum, int64_t number)
{
    return number > 0 ? sum_of(sum, number) : sum;
}

static struct vramscope_fleet counts_of(const struct drawing *drawing, bool *ret_faded)
{
    const struct view *view = drawing->view;
    struct vramscope_fleet all = {0};

    for (size_t i = 0; i < view->n_hosts; i++) {
        const struct vramscope_fleet *fleet =
            view->shown[i] ? view->shown[i]->fleet : NULL;

        if (!fleet)
            continue;
        *ret_faded |= is_faded(drawing, view->hosts[i]);
        all.nodes = add_known(all.nodes, fleet->nodes);
        all.live = add_known(all.live, fleet->live);
        all.stale = add_known(all.stale, fleet->stale);
        all.outage = add_known(all.outage, fleet->outage);
        all.unreadable = add_known(all.unreadable, fleet->unreadable);
        all.lost = add_known(all.lost, fleet->lost);
        all.counted = add_known(all.counted, fleet->counted);
        all.gpus = add_known(all.gpus, fleet->gpus);
    }
    return all;
}

static void put_number(struct pen *pen, enum style style, const char *sign,
                       int64_t number, const char *what)
{
    char words[FIGURE_TEXT_SIZE];

    count_text(words, number);
    if (pen_room(pen) < (int)(strlen(words) + strlen(what)) + 6)
        return; // half a number is another number
    pen_print(pen, style, "%s%s%s %s  ", sign, *sign ? " " : "", words, what);
}

void draw_fleet_line(struct drawing *drawing, int row)
{
    const struct signs *signs = drawing->signs;
    bool faded = false;
    struct vramscope_fleet all = counts_of(drawing, &faded);
    const struct {
        const char *sign;
        int64_t number;
        const char *what;
        enum style style;
    } states[] = {
        {signs->cross, all.lost, "lost", STYLE_CRITICAL},
        {signs->dotted, all.unreadable, "unreadable", STYLE_WARNING},
        {signs->cross, all.outage, "in an outage", STYLE_WARNING},
        {signs->alarm, all.stale, "stale", STYLE_WARNING},
    };
    struct pen pen = pen_at(drawing, row, 1);

    pen.faded = faded;
    put_number(&pen, STYLE_STRONG, "", all.nodes, all.nodes == 1 ? "node" : "nodes");
    put_number(&pen, all.live ? STYLE_GOOD : STYLE_DIM, signs->live, all.live, "live");
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (states[i].number > 0)
            put_number(&pen, states[i].style, states[i].sign, states[i].number,
                       states[i].what);
    if (all.counted != all.nodes)
        put_number(&pen, STYLE_DIM, "", all.counted, "counted");
    put_number(&pen, STYLE_DIM, "", all.gpus, all.gpus == 1 ? "GPU" : "GPUs");
}

/* Of what is counted alone: lost figures are in no sum. */
static struct vramscope_node sum_nodes(const struct node_table *table, size_t *n_counted)
{
    struct vramscope_node sum = {.total_bytes = VRAMSCOPE_UNKNOWN,
                                 .allocated_bytes = VRAMSCOPE_UNKNOWN,
                                 .kv_used_bytes = VRAMSCOPE_UNKNOWN,
                                 .kv_capacity_bytes = VRAMSCOPE_UNKNOWN,
                                 .requests_running = VRAMSCOPE_UNKNOWN,
                                 .requests_waiting = VRAMSCOPE_UNKNOWN};

    for (size_t i = 0; i < table->n; i++) {
        const struct vramscope_node *node = table->rows[i].node;

        if (!node->counted)
            continue;
        ++*n_counted;
        sum.total_bytes = sum_of(sum.total_bytes, node->total_bytes);
        sum.allocated_bytes = sum_of(sum.allocated_bytes, node->allocated_bytes);
        sum.vram_from = MAX(sum.vram_from, node->vram_from);
        sum.kv_from = MAX(sum.kv_from, node->kv_from);
        sum.kv_used_bytes = sum_of(sum.kv_used_bytes, node->kv_used_bytes);
        sum.kv_capacity_bytes = sum_of(sum.kv_capacity_bytes, node->kv_capacity_bytes);
        sum.requests_running = sum_of(sum.requests_running, node->requests_running);
        sum.requests_waiting = sum_of(sum.requests_waiting, node->requests_waiting);
    }
    return sum;
}

static void put_sum(struct pen *pen, const char *label, const char *part,
                    const char *whole)
{
    if (pen_room(pen) < (int)(strlen(label) + strlen(part) + strlen(whole)) + 8)
        return;
    pen_print(pen, STYLE_DIM, "%s ", label);
    pen_print(pen, STYLE_STRONG, "%s", part);
    if (*whole)
        pen_print(pen, STYLE_DIM, " of %s", whole);
    pen_skip(pen, 2);
}

static void node_bytes_text(char ret[FIGURE_TEXT_SIZE], int64_t bytes,
                            enum vramscope_from from)
{
    const struct vramscope_figure figure = node_figure(bytes, from);

    figure_text(ret, &figure);
}

void draw_nodes_sum(struct drawing *drawing, int row)
{
    const struct node_table *table = &drawing->view->nodes;
    char part[FIGURE_TEXT_SIZE], whole[FIGURE_TEXT_SIZE];
    size_t n_counted = 0;
    struct vramscope_node sum = sum_nodes(table, &n_counted);
    struct pen pen = pen_at(drawing, row, 1);

    pen_print(&pen, STYLE_DIM, "these %zu", table->n);
    if (n_counted != table->n)
        pen_print(&pen, STYLE_DIM, ", %zu counted", n_counted);
    pen_print(&pen, STYLE_DIM, ":  ");
    node_bytes_text(part, sum.allocated_bytes, sum.vram_from);
    bytes_text(whole, sum.total_bytes);
    unit_once(part, whole);
    put_sum(&pen, "VRAM", part, whole);
    node_bytes_text(part, sum.kv_used_bytes, sum.kv_from);
    node_bytes_text(whole, sum.kv_capacity_bytes, sum.kv_from);
    unit_once(part, whole);
    put_sum(&pen, "KV used", part, whole);
    count_text(part, sum.requests_running);
    put_sum(&pen, "running", part, "");
    count_text(part, sum.requests_waiting);
    put_sum(&pen, "waiting", part, "");
}

/* ---- One of them ---- */

static void write_fact(struct sheet *sheet, const char *label, const char *words)
{
    struct pen pen = sheet_line(sheet);

    pen_cut(&pen, 20, STYLE_DIM, label);
    pen_cut(&pen, pen_room(&pen), strcmp(words, "--") == 0 ? STYLE_DIM : STYLE_TEXT,
            words);
}

static void write_bytes(struct sheet *sheet, const char *label, int64_t bytes)
{
    char words[FIGURE_TEXT_SIZE];

    bytes_text(words, bytes);
    write_fact(sheet, label, words);
}

static void write_share(struct sheet *sheet, const char *label, const char *part,
                        const char *whole)
{
    char words[2 * FIGURE_TEXT_SIZE + 8];

    snprintf(words, sizeof(words), "%s of %s", part, whole);
    write_fact(sheet, label, strcmp(whole, "--") == 0 ? part : words);
}

static void write_count(struct sheet *sheet, const char *label, int64_t count)
{
    char words[FIGURE_TEXT_SIZE];

    count_text(words, count);
    write_fact(sheet, label, words);
}

static void write_identity(struct sheet *sheet, const struct vramscope_node *node)
{
    char words[160], age[FIGURE_TEXT_SIZE], every[FIGURE_TEXT_SIZE];

    age_text(age, node->age_ms);
    age_text(every, node->interval_ms);
    snprintf(words, sizeof(words), "%s, new ones every %s", age, every);
    write_fact(sheet, "figures are old", is_known(node->age_ms) ? words : "--");
    write_fact(sheet, "counted",
               node->counted ? "its figures are in the sums" : "not in the sums");
    if (node->name_taken)
        write_fact(sheet, "name",
                   "another node publishes under it, too: --node names one");
    if (node->gateway)
        write_count(sheet, "gateway of nodes", node->nodes);
    write_fact(sheet, "vramscoped", node->version ? node->version : "--");
    write_fact(sheet, "machine", node->machine ? node->machine : "--");
    snprintf(words, sizeof(words), "%.40s, document %" PRId64,
             node->boot ? node->boot : "--", node->seq);
    write_fact(sheet, "run", node->boot && is_known(node->seq) ? words : "--");
    snprintf(words, sizeof(words), "%" PRId64 " ms against the gateway's",
             node->clock_offset_ms);
    write_fact(sheet, "clock", is_known(node->clock_offset_ms) ? words : "--");
}

static void write_figures(struct sheet *sheet, const struct vramscope_node *node)
{
    char words[FIGURE_TEXT_SIZE], all[FIGURE_TEXT_SIZE];

    write_count(sheet, "GPUs", node->gpus);
    write_count(sheet, "models", node->models);
    node_bytes_text(words, node->allocated_bytes, node->vram_from);
    bytes_text(all, node->total_bytes);
    write_share(sheet, "VRAM", words, all);
    write_bytes(sheet, "of models", node->models_bytes);
    write_bytes(sheet, "of others", node->other_bytes);
    write_bytes(sheet, "of orphans", node->orphan_bytes);
    write_bytes(sheet, "unattributed", node->unattributed_bytes);
    node_bytes_text(words, node->kv_used_bytes, node->kv_from);
    node_bytes_text(all, node->kv_capacity_bytes, node->kv_from);
    write_share(sheet, "KV used", words, all);
    if (node->kv_unknown_models > 0)
        write_count(sheet, "KV used unknown of", node->kv_unknown_models);
    percent_text(words, node->prefix_hit_percent);
    write_fact(sheet, "hit rate", words);
    write_count(sheet, "running", node->requests_running);
    write_count(sheet, "waiting", node->requests_waiting);
}

static void write_node(struct sheet *sheet, const void *ctx)
{
    const struct node_row *row = ctx;
    const struct vramscope_node *node = row->node;
    struct pen pen = sheet_line(sheet);

    put_node_state(&pen, NODE_STATE_WIDTH + 4, row);
    if (sheet->drawing->view->n_hosts > 1)
        pen_print(&pen, STYLE_DIM, "  of %s", row->host->name);
    if (node->reason)
        sheet_wrap(sheet, 2, STYLE_TEXT, "%s", node->reason);
    (void)sheet_line(sheet);
    write_identity(sheet, node);
    (void)sheet_line(sheet);
    write_figures(sheet, node);
    (void)sheet_line(sheet);
    write_count(sheet, "messages", node->messages);
    write_count(sheet, "not readable", node->malformed);
    write_count(sheet, "dropped, too many", node->dropped);
}

void draw_node_pane(struct drawing *drawing, struct area area)
{
    const struct node_row *row = node_table_chosen(&drawing->view->nodes);

    if (row)
        sheet_draw(drawing, area,
                   (struct sheet_look){row->node->node ? row->node->node : "--", NULL},
                   write_node, row);
}
