// SPDX-License-Identifier: Apache-2.0
/*
 * draw_help.c - the line of keys, and all of them with what the signs mean
 */
#include "tui/draw_parts.h"

#include "tui/display_text.h"

struct help {
    const char *key, *what;
};

static const struct help model_keys[] = {
    {"Enter", "detail"}, {"e", "explain"}, {"/", "filter"}, {"s", "sort"},
    {"Tab", "devices"},  {"p", "pause"},   {"?", "help"},   {"q", "quit"},
};

static const struct help node_keys[] = {
    {"Enter", "open"}, {"e", "about it"}, {"/", "filter"}, {"s", "sort"},
    {"Tab", "models"}, {"p", "pause"},    {"?", "help"},   {"q", "quit"},
};

static const struct help opened_keys[] = {
    {"Esc", "back to the fleet"}, {"Enter", "detail"}, {"e", "explain"}, {"/", "filter"},
    {"Tab", "devices"},           {"?", "help"},       {"q", "quit"},
};

static const struct help screen_keys[] = {
    {"Tab", "next screen"}, {"Esc", "models"}, {"p", "pause"},
    {"?", "help"},          {"q", "quit"},
};

static const struct help fleet_keys[] = {
    {"Tab", "next screen"}, {"Esc", "nodes"}, {"/", "filter"}, {"s", "sort"},
    {"p", "pause"},         {"?", "help"},    {"q", "quit"},
};

static const struct help pane_keys[] = {
    {"Esc", "back"}, {"e", "explain"}, {"PgDn", "more"}, {"p", "pause"}, {"?", "help"},
};

static const struct help recording_keys[] = {
    {"Space", "hold"},  {"<-/->", "10 s"}, {"[ ]", "speed"}, {"e", "explain"},
    {"Tab", "devices"}, {"?", "help"},     {"q", "quit"},
};

static const struct help *keys_of(const struct view *view, size_t *ret_n)
{
#define KEYS(table)                \
    do {                           \
        *ret_n = ARRAY_LEN(table); \
        return table;              \
    } while (0)
    if (view->pane != PANE_NONE)
        KEYS(pane_keys);
    if (view->is_recording)
        KEYS(recording_keys);
    if (view->screen == SCREEN_NODES)
        KEYS(node_keys);
    if (view_home(view) == SCREEN_NODES)
        KEYS(fleet_keys);
    if (view->screen != SCREEN_MODELS)
        KEYS(screen_keys);
    if (view->gateway)
        KEYS(opened_keys);
    KEYS(model_keys);
#undef KEYS
}

static void draw_typing(struct drawing *drawing, int row)
{
    const struct view *view = drawing->view;
    bool nodes = view->screen == SCREEN_NODES;
    struct pen pen = pen_at(drawing, row, 1);

    pen_print(&pen, STYLE_KEY, "/ ");
    pen_print(&pen, STYLE_STRONG, "%s%s", view->input, drawing->signs->cursor);
    pen_skip(&pen, 2);
    if (view->filter_fault[0])
        pen_print(&pen, STYLE_WARNING, "%s %s", drawing->signs->alarm,
                  view->filter_fault);
    else if (!view->input[0])
        pen_print(&pen, STYLE_DIM, "%s",
                  nodes ? "a word, or kv%>80 & state=stale & node~gpu1"
                        : "a word, or kv%>80 & state=sleeping & vram>40GiB");
    else
        pen_print(&pen, STYLE_DIM, "%zu shown, %zu hidden  Enter keeps it, Esc clears it",
                  nodes ? view->nodes.n : view->n_rows,
                  nodes ? view->nodes.n_hidden : view->n_rows_hidden);
}

/* Keys that do not fit as a whole are left out, from the end. */
void draw_keys(struct drawing *drawing, int row)
{
    struct pen pen = pen_at(drawing, row, 1);
    const struct help *keys;
    size_t n;

    if (drawing->view->typing) {
        draw_typing(drawing, row);
        return;
    }
    keys = keys_of(drawing->view, &n);
    for (size_t i = 0; i < n; i++) {
        if (pen_room(&pen) < (int)(strlen(keys[i].key) + strlen(keys[i].what)) + 2)
            return;
        pen_print(&pen, STYLE_KEY, "%s", keys[i].key);
        pen_print(&pen, STYLE_DIM, " %s", keys[i].what);
        pen_skip(&pen, 3);
    }
}

static const struct help keys[] = {
    {"Up Down j k", "choose a model, or scroll"},
    {"PgUp PgDn g G", "a page; to the first or the last"},
    {"Enter", "detail of the chosen model"},
    {"e", "explain: where each of its numbers comes from"},
    {"Tab 1 2 3 4", "models, devices, processes, events"},
    {"s S", "sort by the next column; the other way round"},
    {"/", "filter: a word, or kv%>80 & state=sleeping"},
    {"p Space", "pause the screen; what happens is still taken in"},
    {"+ -", "draw less or more often"},
    {"t c", "next theme; next set of signs"},
    {"w", "write the screen into a file"},
    {"<- -> [ ]", "in a recording: ten seconds back or on; slower or faster"},
    {"Esc q", "back; quit"},
};

/* With a gateway alone. */
static const struct help fleet[] = {
    {"0 n", "nodes: Enter opens one, Esc goes back, e tells about it"},
    {"LOST", "nothing has come from it for ten seconds: it is in no sum"},
    {"UNREADABLE", "what it says cannot be read here: it is in no sum"},
    {"OUTAGE", "it says that it has no figures, and why: e"},
    {"STALE", "nothing has come for two seconds; its figures still count"},
    {"NAME TAKEN", "another machine publishes under its name"},
    {"UNCOUNTED", "it is heard, and in no sum: e tells why"},
    {"NODES", "of a model: on how many nodes it is ready, of those it is on"},
};

static const struct help words[] = {
    {"--", "not known: never shown as 0"},
    {"~", "worked out, or estimated: e tells which, and how far off"},
    {"GiB", "1,073,741,824 bytes; MiB 1,048,576"},
    {"KV used", "blocks of the KV cache that live requests hold"},
    {"KV%", "the same as a part of all blocks; marked from 70% and 85% on"},
    {"VRAM", "what the processes hold; nearly all of a GPU is usual for vLLM"},
    {"weights etc.", "VRAM less the KV cache: weights, activations, graphs, contexts"},
    {"orphan", "held by workers of an engine whose server is gone"},
    {"unattributed", "in use by no process that the driver lists"},
    {"STALE", "an engine's figures are three scrapes old, or older"},
    {"SLEEPING", "it answers, and its KV cache is unmapped"},
    {"NO METRICS", "it answers, without any metric of an engine"},
};

static void write_list(struct sheet *sheet, const struct help *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct pen pen = sheet_line(sheet);

        pen_skip(&pen, 2);
        pen_fit(&pen, 14, STYLE_KEY, list[i].key);
        pen_skip(&pen, 1);
        pen_print(&pen, STYLE_TEXT, "%s", list[i].what);
    }
}

/* Where there is not much room, a sentence may need two lines. */
static void write_narrow(struct sheet *sheet, const struct help *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sheet_wrap(sheet, 0, STYLE_KEY, "%s", list[i].key);
        sheet_wrap(sheet, 2, STYLE_TEXT, "%s", list[i].what);
    }
}

static void write_help(struct sheet *sheet, const void *ctx)
{
    bool narrow = sheet->drawing->canvas->columns < 80;
    void (*write)(struct sheet *, const struct help *, size_t) =
        narrow ? write_narrow : write_list;

    (void)ctx;
    write(sheet, keys, ARRAY_LEN(keys));
    (void)sheet_line(sheet);
    if (sheet->drawing->view->has_gateway) {
        write(sheet, fleet, ARRAY_LEN(fleet));
        (void)sheet_line(sheet);
    }
    write(sheet, words, ARRAY_LEN(words));
}

void draw_help(struct drawing *drawing, struct area area)
{
    sheet_draw(drawing, area, (struct sheet_look){"Help", NULL}, write_help, NULL);
}
