// SPDX-License-Identifier: Apache-2.0
#include "tui/view_parts.h"

enum {
    CONTROL_C = 3,
    CONTROL_H = 8,
    CONTROL_U = 21,
    DELETE = 127,
    PAGE_LINES = 10, // before anything is drawn
};

static const int refresh_steps_ms[] = {VIEW_REFRESH_MIN_MS, 200, 500, 1000, 2000, 5000,
                                       VIEW_REFRESH_MAX_MS};

/* ---- Moving ---- */

static size_t moved(size_t place, int64_t by, size_t last)
{
    if (by < 0)
        return place > (size_t)-by ? place - (size_t)-by : 0;
    return MIN(place + (size_t)by, last);
}

static void move(struct view *view, int64_t by)
{
    size_t last = view->lines > view->page ? view->lines - view->page : 0;

    if (view->pane == PANE_NONE && view->screen == SCREEN_MODELS)
        view_choose(view, moved(view->selected, by, SIZE_MAX / 2));
    else if (view->pane == PANE_NONE && view->screen == SCREEN_NODES)
        node_table_choose(&view->nodes, moved(view->nodes.selected, by, SIZE_MAX / 2));
    else
        view->top = moved(MIN(view->top, last), by, last);
}

static enum view_wish move_lines(struct view *view, int lines)
{
    move(view, lines);
    return WISH_NOTHING;
}

static enum view_wish move_pages(struct view *view, int pages)
{
    int64_t page = (int64_t)MIN(view->page, (size_t)INT16_MAX);

    if (!page)
        page = PAGE_LINES;
    move(view, pages * page);
    return WISH_NOTHING;
}

static enum view_wish move_to_end(struct view *view, int direction)
{
    move(view, direction * (int64_t)INT32_MAX);
    return WISH_NOTHING;
}

/* ---- Screens and panes ---- */

static enum view_wish quit(struct view *view, int unused)
{
    (void)unused;
    view->quit = true;
    return WISH_NOTHING;
}

static enum view_wish show_screen(struct view *view, int screen)
{
    if (view_has(view, (enum screen)screen))
        view_show(view, (enum screen)screen);
    view->has_moved = true;
    return WISH_NOTHING;
}

static enum view_wish next_screen(struct view *view, int by)
{
    view_show(view, view_neighbor(view, by));
    view->has_moved = true;
    return WISH_NOTHING;
}

static bool has_subject(const struct view *view, enum pane pane)
{
    if (pane == PANE_NODE)
        return node_table_chosen(&view->nodes);
    return pane == PANE_HELP || view_chosen(view);
}

/* The same key opens a pane and closes it; that of a row needs one that is chosen. */
static enum view_wish toggle_pane(struct view *view, int what)
{
    enum pane pane = (enum pane)what;

    if (pane == PANE_EXPLAIN && view->screen == SCREEN_NODES)
        pane = PANE_NODE;
    if (view->pane == pane)
        view_close(view, view->pane);
    else if (has_subject(view, pane))
        view_open(view, pane);
    return WISH_NOTHING;
}

/* Where its own figures cannot be asked for, what the gateway knows of it. */
static enum view_wish open_node(struct view *view)
{
    if (!node_table_chosen(&view->nodes))
        return WISH_NOTHING;
    return view->opens_nodes ? WISH_OPEN : toggle_pane(view, PANE_NODE);
}

static enum view_wish enter(struct view *view, int unused)
{
    (void)unused;
    if (view->pane != PANE_NONE)
        view_close(view, view->pane);
    else if (view->screen == SCREEN_MODELS)
        (void)toggle_pane(view, PANE_DETAIL); // wishes nothing
    else if (view->screen == SCREEN_NODES)
        return open_node(view);
    return WISH_NOTHING;
}

/* ---- Sorting and the filter ---- */

static void sort_nodes_by(struct view *view, int step)
{
    int column = (int)view->nodes.sort;

    do
        column = (column + step + N_NODE_COLUMNS) % N_NODE_COLUMNS;
    while (column == NODE_COLUMN_GATEWAY && view->n_hosts < 2);
    view->nodes.sort = (enum node_column)column;
    view->nodes.reverse = false;
    view_make_rows(view);
}

static enum view_wish sort_by(struct view *view, int step)
{
    int column = (int)view->sort;

    if (view->screen == SCREEN_NODES) {
        sort_nodes_by(view, step);
        return WISH_NOTHING;
    }
    do
        column = (column + step + N_COLUMNS) % N_COLUMNS;
    while (column == COLUMN_HOST && view->n_hosts < 2);
    view->sort = (enum column)column;
    view->reverse = false;
    view_make_rows(view);
    return WISH_NOTHING;
}

static enum view_wish reverse_sort(struct view *view, int unused)
{
    bool *reverse = view->screen == SCREEN_NODES ? &view->nodes.reverse : &view->reverse;

    (void)unused;
    *reverse = !*reverse;
    view_make_rows(view);
    return WISH_NOTHING;
}

/* While it is not understood, as in the middle of a word, the one before it holds. */
static void use_filter(struct view *view)
{
    view->filter_fault[0] = '\0';
    if (filter_parse(span_of(view->input), &view->filter, view->filter_fault,
                     sizeof(view->filter_fault)) == 0)
        view_make_rows(view);
}

static void drop_filter(struct view *view)
{
    view->typing = false;
    view->input[0] = '\0';
    use_filter(view);
}

static enum view_wish type_filter(struct view *view, int unused)
{
    (void)unused;
    view_show(view, view->screen == SCREEN_NODES ? SCREEN_NODES : SCREEN_MODELS);
    view->typing = true;
    view->has_moved = true;
    return WISH_NOTHING;
}

static size_t encode(int sign, char ret[4])
{
    unsigned code = (unsigned)sign;

    if (code < 0x80) {
        ret[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        ret[0] = (char)(0xc0 | code >> 6);
        ret[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        ret[0] = (char)(0xe0 | code >> 12);
        ret[1] = (char)(0x80 | (code >> 6 & 0x3f));
        ret[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    ret[0] = (char)(0xf0 | code >> 18);
    ret[1] = (char)(0x80 | (code >> 12 & 0x3f));
    ret[2] = (char)(0x80 | (code >> 6 & 0x3f));
    ret[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

static void append(struct view *view, int sign)
{
    size_t len = strlen(view->input), sign_len;
    char text[4];

    sign_len = encode(sign, text);
    if (len + sign_len >= sizeof(view->input))
        return;
    memcpy(view->input + len, text, sign_len);
    view->input[len + sign_len] = '\0';
    use_filter(view);
}

static void take_back(struct view *view)
{
    size_t len = strlen(view->input);

    while (len > 0 && ((unsigned char)view->input[len - 1] & 0xc0) == 0x80)
        len--;
    view->input[len ? len - 1 : 0] = '\0';
    use_filter(view);
}

static bool is_sign(int key)
{
    return key >= ' ' && key < KEY_CODE_FIRST && !(key >= DELETE && key < 0xa0) &&
           !(key >= 0xd800 && key < 0xe000);
}

/* Keys that mean what they always do while the filter is typed. */
static bool is_always_heard(int key)
{
    return key == KEY_CODE_UP || key == KEY_CODE_DOWN || key == KEY_CODE_PAGE_UP ||
           key == KEY_CODE_PAGE_DOWN || key == KEY_CODE_F10 || key == CONTROL_C;
}

/* A key while the filter is typed; false: it is not one of typing. */
static bool type_key(struct view *view, int key)
{
    if (is_sign(key)) {
        append(view, key);
        return true;
    }
    switch (key) {
    case KEY_CODE_BACKSPACE:
    case CONTROL_H:
    case DELETE:
        take_back(view);
        return true;
    case CONTROL_U:
        view->input[0] = '\0';
        use_filter(view);
        return true;
    case KEY_CODE_ENTER:
    case '\r':
    case '\n':
        view->typing = view->filter_fault[0] != '\0';
        return true;
    case KEY_CODE_ESCAPE:
        drop_filter(view);
        return true;
    default:
        return !is_always_heard(key);
    }
}

/* What is open is closed, the last first. */
static enum view_wish escape(struct view *view, int unused)
{
    (void)unused;
    if (view->pane != PANE_NONE)
        view_close(view, view->pane);
    else if (view->filter.n)
        drop_filter(view);
    else if (view->screen != view_home(view))
        view_show(view, view_home(view));
    else if (view->gateway)
        return WISH_LEAVE;
    else
        view->quit = true;
    return WISH_NOTHING;
}

/* Whatever is open in it. */
static enum view_wish leave_node(struct view *view, int unused)
{
    (void)unused;
    return view->gateway ? WISH_LEAVE : WISH_NOTHING;
}

/* ---- Time and looks ---- */

static enum view_wish wish(struct view *view, int what)
{
    (void)view;
    return (enum view_wish)what;
}

static enum view_wish wish_of_recording(struct view *view, int what)
{
    return view->is_recording ? (enum view_wish)what : WISH_NOTHING;
}

/* A recording is held itself, a stream goes on behind what is shown. */
static enum view_wish hold(struct view *view, int unused)
{
    (void)unused;
    if (view->is_recording)
        view->held = !view->held;
    else
        view->paused = !view->paused;
    return view->is_recording ? WISH_HOLD : WISH_NOTHING;
}

static enum view_wish refresh_by(struct view *view, int step)
{
    int last = ARRAY_LEN(refresh_steps_ms) - 1, at = 0;

    while (at < last && refresh_steps_ms[at] < view->refresh_ms)
        at++;
    at += step;
    view->refresh_ms = refresh_steps_ms[at < 0 ? 0 : MIN(at, last)];
    return WISH_NOTHING;
}

static enum view_wish next_theme(struct view *view, int unused)
{
    size_t at = 0;

    (void)unused;
    while (at < n_themes && &themes[at] != view->theme)
        at++;
    if (n_themes)
        view->theme = &themes[at < n_themes ? (at + 1) % n_themes : 0];
    return WISH_NOTHING;
}

static enum view_wish next_glyphs(struct view *view, int unused)
{
    (void)unused;
    view->glyphs = (enum glyphs)((view->glyphs + 1) % N_GLYPHS);
    return WISH_NOTHING;
}

// clang-format off
static const struct {
    int key;
    enum view_wish (*act)(struct view *view, int argument);
    int argument;
} bindings[] = {
    {'q', quit, 0}, {CONTROL_C, quit, 0}, {KEY_CODE_F10, quit, 0},
    {KEY_CODE_ESCAPE, escape, 0},
    {'?', toggle_pane, PANE_HELP}, {'h', toggle_pane, PANE_HELP},
    {KEY_CODE_F1, toggle_pane, PANE_HELP},
    {'e', toggle_pane, PANE_EXPLAIN},
    {KEY_CODE_ENTER, enter, 0}, {'\r', enter, 0}, {'\n', enter, 0},

    {KEY_CODE_UP, move_lines, -1}, {'k', move_lines, -1},
    {KEY_CODE_DOWN, move_lines, 1}, {'j', move_lines, 1},
    {KEY_CODE_PAGE_UP, move_pages, -1}, {KEY_CODE_PAGE_DOWN, move_pages, 1},
    {KEY_CODE_HOME, move_to_end, -1}, {'g', move_to_end, -1},
    {KEY_CODE_END, move_to_end, 1}, {'G', move_to_end, 1},

    {KEY_CODE_TAB, next_screen, 1}, {'\t', next_screen, 1},
    {KEY_CODE_BACK_TAB, next_screen, -1},
    {KEY_CODE_BACKSPACE, leave_node, 0}, {CONTROL_H, leave_node, 0}, {DELETE, leave_node, 0},
    {'0', show_screen, SCREEN_NODES}, {'n', show_screen, SCREEN_NODES},
    {'1', show_screen, SCREEN_MODELS}, {'2', show_screen, SCREEN_DEVICES},
    {'3', show_screen, SCREEN_PROCESSES}, {'4', show_screen, SCREEN_EVENTS},
    {'a', show_screen, SCREEN_EVENTS},

    {'s', sort_by, 1}, {'>', sort_by, 1}, {KEY_CODE_F1 + 5, sort_by, 1},
    {'<', sort_by, -1},
    {'S', reverse_sort, 0}, {'r', reverse_sort, 0},
    {'/', type_filter, 0}, {KEY_CODE_F1 + 3, type_filter, 0},

    {'p', hold, 0}, {' ', hold, 0},
    {'[', wish_of_recording, WISH_SLOWER}, {']', wish_of_recording, WISH_FASTER},
    {KEY_CODE_LEFT, wish_of_recording, WISH_BACK},
    {KEY_CODE_RIGHT, wish_of_recording, WISH_FORWARD},
    {'w', wish, WISH_WRITE},
    {'+', refresh_by, 1}, {'-', refresh_by, -1},
    {'t', next_theme, 0}, {'c', next_glyphs, 0},
};
// clang-format on

enum view_wish view_key(struct view *view, int key)
{
    if (view->typing && type_key(view, key))
        return WISH_NOTHING;
    for (size_t i = 0; i < ARRAY_LEN(bindings); i++)
        if (bindings[i].key == key)
            return bindings[i].act(view, bindings[i].argument);
    return WISH_NOTHING;
}
