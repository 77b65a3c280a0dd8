// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_gpu_allocs.h"
#include "tui/columns.h"
#include "tui_document.h"

#define START INT64_C(1700000000000)

enum { HOSTS = 2, KEYS_MAX = 24 };

/* A view of two daemons, or of one. */
struct stage {
    struct host *hosts[HOSTS];
    struct view *view;
    int64_t now_ms;
};

static void stage_begin(struct stage *stage, size_t n_hosts)
{
    static const char *const urls[HOSTS] = {"http://z:1", "http://y:1"};

    *stage = (struct stage){.view = malloc(sizeof(struct view)), .now_ms = START};
    assert_non_null(stage->view);
    for (size_t i = 0; i < n_hosts; i++)
        assert_int_equal(tui_host_new(urls[i], &stage->hosts[i]), 0);
    view_init(stage->view, stage->hosts, n_hosts);
}

static void stage_end(struct stage *stage)
{
    if (stage->view)
        view_done(stage->view);
    free(stage->view);
    for (size_t i = 0; i < HOSTS; i++)
        tui_host_free(stage->hosts[i]);
    *stage = (struct stage){0};
}

/* A model a letter; with `rest` of its keys. */
static void stage_take(struct stage *stage, size_t host, const char *models)
{
    const struct vramscope_detail *detail =
        document("{'schema':1,'devices':[{},{},{}],'models':[%s]}", models);
    struct vramscope_event event = {
        .type = VRAMSCOPE_DETAIL, .unix_ms = stage->now_ms, .detail = detail};

    assert_int_equal(host_take(stage->hosts[host], &event), 0);
    vramscope_detail_unref(detail);
}

/* The rows by their models, in brackets the chosen one. */
static const char *rows(const struct view *view)
{
    static char text[256];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < view->n_rows && len < sizeof(text) - 8; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                &view->rows[i] == view_chosen(view) ? "[%s]" : "%s",
                                view->rows[i].model->model);
    return text;
}

#define M(name, rest) "{'model':'" name "','model_id':'" name "','port':1" rest "}"
#define VRAM(n) ",'vram':{'allocated_bytes':{'value':" #n ",'from':'measured'}}"

/* Four models, no two columns of which have the same order. */
static const char four[] = //
    M("a", ",'state':'ready','devices':[0,1],'age_ms':5,"
           "'vram':{'allocated_bytes':{'value':5}},"
           "'kv_cache':{'usage_ratio':0.5,'used_bytes':{'value':4},"
           "'capacity_bytes':{'value':9}},"
           "'requests':{'running':1,'waiting':4,'preemptions':3},"
           "'prefix_cache':{'minute':{'hit_percent':10.0}}") "," //
    M("b", ",'state':'loading','devices':[0],'age_ms':7,"
           "'vram':{'allocated_bytes':{'value':7}},"
           "'kv_cache':{'usage_ratio':0.9,'used_bytes':{'value':2},"
           "'capacity_bytes':{'value':8}},"
           "'requests':{'running':9,'waiting':2,'preemptions':5},"
           "'prefix_cache':{'minute':{'hit_percent':90.0}}") "," //
    M("c", ",'state':'sleeping','devices':[1],'age_ms':6,"
           "'vram':{'allocated_bytes':{'value':5}},"
           "'kv_cache':{'usage_ratio':0.1,'used_bytes':{'value':8},"
           "'capacity_bytes':{'value':10}},"
           "'requests':{'running':4,'waiting':1,'preemptions':3},"
           "'prefix_cache':{'minute':{'hit_percent':40.0}}") ","
                                                             "{'model':'d','model_id':'d'"
                                                             ",'port':0}";

static const struct {
    enum column column;
    const char *name, *rows, *reversed;
} orders[] = {
    {COLUMN_VRAM, "VRAM GiB", "bacd", "acbd"},
    {COLUMN_KV_USED, "KV USED", "cabd", "bacd"},
    {COLUMN_KV_CAPACITY, "KV CAP", "cabd", "bacd"},
    {COLUMN_KV_PERCENT, "KV%", "bacd", "cabd"},
    {COLUMN_HIT, "HIT(1m)", "bcad", "acbd"},
    {COLUMN_RUNNING, "RUN", "bcad", "acbd"},
    {COLUMN_WAITING, "WAIT", "abcd", "cbad"},
    {COLUMN_PREEMPTED, "PREEMPT", "bacd", "acbd"},
    {COLUMN_AGE, "AGE", "bcad", "acbd"},
    {COLUMN_MODEL, "MODEL", "abcd", "dcba"},
    {COLUMN_PORT, "PORT", "dabc", "abcd"},
    {COLUMN_GPUS, "GPU", "bacd", "cabd"},
    {COLUMN_STATE, "STATE", "bacd", "cabd"},
};

/* The columns one after the other; the choice stays on its model all the time. */
static void test_orders(void **state)
{
    struct stage stage;

    (void)state;
    stage_begin(&stage, 1);
    stage_take(&stage, 0, four);
    view_refresh(stage.view, START);
    for (size_t i = 0; i < 2 * ARRAY_LEN(orders); i++) {
        size_t at = i % ARRAY_LEN(orders);
        const char *forward = orders[at].rows;

        for (int reverse = 0; reverse < 2; reverse++) {
            const char *wanted = reverse ? orders[at].reversed : forward;
            char text[8] = "";

            assert_int_equal(stage.view->sort, orders[at].column);
            assert_string_equal(column_name(stage.view->sort), orders[at].name);
            for (size_t j = 0; j < stage.view->n_rows; j++)
                text[j] = stage.view->rows[j].model->model[0];
            if (strcmp(text, wanted) != 0)
                fail_msg("[%s, reverse %d] %s", orders[at].name, reverse, text);
            assert_string_equal(view_chosen(stage.view)->model->model, "b");
            assert_int_equal(view_key(stage.view, 'r'), WISH_NOTHING);
        }
        assert_int_equal(view_key(stage.view, 's'), WISH_NOTHING);
    }
    stage_end(&stage);
}

enum {
    FRESH = 1, // the story begins anew with this line
    TWO = 2,   // with two hosts
};

#define UP KEY_CODE_UP
#define DOWN KEY_CODE_DOWN
#define PAGE_UP KEY_CODE_PAGE_UP
#define PAGE_DOWN KEY_CODE_PAGE_DOWN
#define ENTER KEY_CODE_ENTER
#define ESC KEY_CODE_ESCAPE
#define BACK KEY_CODE_BACKSPACE

/* What comes in, then the keys, then what is there. */
static const struct {
    const char *row;
    unsigned flags;
    const char *models[HOSTS]; // NULL: no document
    int keys[KEYS_MAX];
    const char *rows;
    const char *more; // screen, pane and marks, as state() writes them
} story[] = {
    {"nothing yet", FRESH, {NULL}, {DOWN, 'G', UP}, "", "0"},
    {"no pane of nothing", 0, {NULL}, {ENTER, 'e'}, "", "0"},
    {"models",
     0,
     {M("a", VRAM(3)) "," M("b", VRAM(2)) "," M("c", VRAM(1))},
     {0},
     "[a]bc",
     "0"},
    {"down", 0, {NULL}, {DOWN}, "a[b]c", "0"},
    {"not below the end", 0, {NULL}, {'j', 'j', 'j'}, "ab[c]", "0"},
    {"up", 0, {NULL}, {'k'}, "a[b]c", "0"},
    {"the end", 0, {NULL}, {'G'}, "ab[c]", "0"},
    {"a page", 0, {NULL}, {PAGE_UP}, "[a]bc", "0"},
    {"and down", 0, {NULL}, {PAGE_DOWN}, "ab[c]", "0"},
    {"home", 0, {NULL}, {KEY_CODE_HOME, DOWN}, "a[b]c", "0"},
    {"the chosen one grows",
     0,
     {M("a", VRAM(3)) "," M("b", VRAM(9)) "," M("c", VRAM(1))},
     {0},
     "[b]ac",
     "0"},
    {"and shrinks",
     0,
     {M("a", VRAM(3)) "," M("b", VRAM(0)) "," M("c", VRAM(1))},
     {0},
     "ac[b]",
     "0"},
    {"it vanishes: the nearest",
     0,
     {M("a", VRAM(3)) "," M("c", VRAM(1))},
     {0},
     "a[c]",
     "0"},
    {"which is followed then",
     0,
     {M("a", VRAM(3)) "," M("b", VRAM(4)) "," M("c", VRAM(9))},
     {0},
     "[c]ba",
     "0"},
    {"all vanish", 0, {""}, {0}, "", "0"},
    {"and come back",
     0,
     {M("a", VRAM(3)) "," M("b", VRAM(4)) "," M("c", VRAM(1))},
     {0},
     "ba[c]",
     "0"},

    {"paused", 0, {NULL}, {'p'}, "ba[c]", "0 paused"},
    {"nothing moves", 0, {M("a", VRAM(5))}, {0}, "ba[c]", "0 paused"},
    {"but what the person moves", 0, {""}, {UP, 'r'}, "c[a]b", "0 paused"},
    {"goes on", 0, {M("d", VRAM(5))}, {' '}, "c[a]b", "0"},
    {"with the newest", 0, {NULL}, {0}, "[d]", "0"},

    {"a pane", 0, {NULL}, {ENTER}, "[d]", "0 detail"},
    {"another over it", 0, {NULL}, {'e'}, "[d]", "0 explain"},
    {"and one more", 0, {NULL}, {'?'}, "[d]", "0 help"},
    {"the last is closed first", 0, {NULL}, {ESC}, "[d]", "0 explain"},
    {"then the one below", 0, {NULL}, {ESC}, "[d]", "0 detail"},
    {"its key closes it too", 0, {NULL}, {'e', 'e'}, "[d]", "0 detail"},
    {"so does Enter", 0, {NULL}, {'e', ENTER}, "[d]", "0 detail"},
    {"what is below is not laid over", 0, {NULL}, {'?', 'e'}, "[d]", "0 explain"},
    {"one by one", 0, {NULL}, {ESC, ESC}, "[d]", "0"},
    {"the same key closes it", 0, {NULL}, {'?', 'h'}, "[d]", "0"},
    {"help", 0, {NULL}, {KEY_CODE_F1}, "[d]", "0 help"},
    {"a pane ends with its model", 0, {M("e", "")}, {0}, "[e]", "0 help"},
    {"which help is not of", 0, {NULL}, {'\r', ENTER}, "[e]", "0 detail"},
    {"but this", 0, {M("f", "")}, {0}, "[f]", "0"},
    {"below help too", 0, {NULL}, {ENTER, 'e', '?'}, "[f]", "0 help"},
    {"when it goes", 0, {M("g", "")}, {ESC}, "[g]", "0"},
    {"and another comes", 0, {M("f", "")}, {0}, "[f]", "0"},
    {"screens", 0, {NULL}, {'2'}, "[f]", "1"},
    {"Enter is for models", 0, {NULL}, {ENTER}, "[f]", "1"},
    {"the next", 0, {NULL}, {KEY_CODE_TAB}, "[f]", "2"},
    {"around", 0, {NULL}, {'\t', '\t', KEY_CODE_BACK_TAB}, "[f]", "3"},
    {"there is no ninth", 0, {NULL}, {'9'}, "[f]", "3"},
    {"a screen closes a pane", 0, {NULL}, {'1', '?', 'a'}, "[f]", "3"},
    {"back to the models, then out", 0, {NULL}, {ESC}, "[f]", "0"},
    {"out", 0, {NULL}, {ESC}, "[f]", "0 quit"},

    {"a filter",
     FRESH,
     {M("ab", "") "," M("bc", "") "," M("cd", "")},
     {'/'},
     "[ab]bccd",
     "0 typing"},
    {"letters are no keys", 0, {NULL}, {'b', 'c'}, "[bc]", "0 typing bc -2"},
    {"taken back", 0, {NULL}, {BACK}, "ab[bc]", "0 typing b -1"},
    {"arrows are", 0, {NULL}, {UP}, "[ab]bc", "0 typing b -1"},
    {"Tab is not", 0, {NULL}, {KEY_CODE_TAB, '\t'}, "[ab]bc", "0 typing b -1"},
    {"all taken back", 0, {NULL}, {21, 'q'}, "", "0 typing q -3"},
    {"other letters",
     0,
     {NULL},
     {127, 8, 8, 0xe4, 0x20ac, 0x1f600},
     "",
     "0 typing \303\244\342\202\254\360\237\230\200 -3"},
    {"each is one",
     0,
     {NULL},
     {BACK, BACK, 0x7, 0x9b, 0xd800, KEY_CODE_F1},
     "",
     "0 typing \303\244 -3"},
    {"kept", 0, {NULL}, {21, 'c', ENTER}, "[bc]cd", "0 c -1"},
    {"and keys again", 0, {NULL}, {'j'}, "bc[cd]", "0 c -1"},
    {"typed further", 0, {NULL}, {'/', 'd'}, "[cd]", "0 typing cd -2"},
    {"dropped", 0, {NULL}, {ESC}, "abbc[cd]", "0"},
    {"not understood: as before",
     0,
     {NULL},
     {'/', 'c', '>'},
     "bc[cd]",
     "0 typing c> -1 fault"},
    {"cannot be kept", 0, {NULL}, {ENTER}, "bc[cd]", "0 typing c> -1 fault"},
    {"Ctrl-C leaves all the same", 0, {NULL}, {3}, "bc[cd]", "0 typing c> -1 fault quit"},
    {"Esc drops a kept one before it leaves",
     FRESH,
     {M("ab", "") "," M("bc", "")},
     {'2', KEY_CODE_F1 + 3, 'c', ENTER, ESC},
     "ab[bc]",
     "0"},

    {"two hosts",
     FRESH | TWO,
     {M("a", VRAM(3)), M("a", VRAM(4)) "," M("b", "")},
     {DOWN},
     "a[a]b",
     "0"},
    {"the same model of the other is another", 0, {M("a", VRAM(5))}, {0}, "[a]ab", "0"},
    {"by host", 0, {NULL}, {'>', '>', '>', '>', '>', '>', '>', '>', '>'}, "ab[a]", "0"},
    {"and on", 0, {NULL}, {'>', '<', '<'}, "[a]ab", "0"},
    {"one has none any more", 0, {""}, {0}, "[a]b", "0"},

    {"q", FRESH, {NULL}, {'?', 'q'}, "", "0 help quit"},
    {"F10", FRESH, {NULL}, {KEY_CODE_F10}, "", "0 quit"},
    {"no key", FRESH, {NULL}, {-1, 'x', 'K', 9999999}, "", "0"},
};

static const char *state_text(const struct view *view)
{
    static const char *const panes[] = {"", " detail", " explain", " node", " help"};
    static char text[256];
    char hidden[32] = "";

    if (view->n_rows_hidden)
        (void)snprintf(hidden, sizeof(hidden), " -%zu", view->n_rows_hidden);
    (void)snprintf(text, sizeof(text), "%d%s%s%s%s%s%s%s%s", view->screen,
                   panes[view->pane], view->paused ? " paused" : "",
                   view->typing ? " typing" : "", view->input[0] ? " " : "", view->input,
                   hidden, view->filter_fault[0] ? " fault" : "",
                   view->quit ? " quit" : "");
    return text;
}

static void test_story(void **state)
{
    struct stage stage = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(story); i++) {
        if (story[i].flags & FRESH) {
            stage_end(&stage);
            stage_begin(&stage, story[i].flags & TWO ? 2 : 1);
        }
        stage.now_ms += 500;
        for (size_t host = 0; host < HOSTS; host++)
            if (story[i].models[host])
                stage_take(&stage, host, story[i].models[host]);
        view_refresh(stage.view, stage.now_ms);
        for (size_t j = 0; story[i].keys[j]; j++)
            assert_int_equal(view_key(stage.view, story[i].keys[j]), WISH_NOTHING);
        if (strcmp(rows(stage.view), story[i].rows) != 0)
            fail_msg("[%s] %s", story[i].row, rows(stage.view));
        if (strcmp(state_text(stage.view), story[i].more) != 0)
            fail_msg("[%s] %s", story[i].row, state_text(stage.view));
    }
    stage_end(&stage);
}

/* A document that has been replaced stays as long as it is shown, and its time does. */
static void test_pause_keeps_documents(void **state)
{
    const struct vramscope_detail *shown;
    struct stage stage;

    (void)state;
    stage_begin(&stage, 1);
    stage_take(&stage, 0, M("a", VRAM(3)));
    view_refresh(stage.view, START);
    shown = stage.hosts[0]->detail;
    assert_ptr_equal(stage.view->shown[0], shown);
    view_key(stage.view, ' ');
    for (int i = 0; i < 3; i++) {
        stage_take(&stage, 0, M("b", VRAM(4)));
        view_refresh(stage.view, START + 500);
        assert_ptr_equal(stage.view->shown[0], shown);
        assert_ptr_equal(stage.view->rows[0].model, shown->models[0]);
        assert_string_equal(shown->models[0]->model, "a");
        assert_int_equal(stage.view->now_unix_ms, START);
    }
    view_key(stage.view, 'p');
    view_refresh(stage.view, START + 1000);
    assert_ptr_equal(stage.view->shown[0], stage.hosts[0]->detail);
    assert_int_equal(stage.view->now_unix_ms, START + 1000);
    stage_end(&stage);
}

/* Between two refreshes a document may be replaced; rows and keys do not feel it. */
static void test_rows_hold_between_refreshes(void **state)
{
    struct stage stage;

    (void)state;
    stage_begin(&stage, 1);
    stage_take(&stage, 0, M("a", VRAM(3)) "," M("b", VRAM(2)));
    view_refresh(stage.view, START);
    stage_take(&stage, 0, "");
    view_key(stage.view, DOWN);
    view_key(stage.view, 'r');
    assert_string_equal(rows(stage.view), "[b]a");
    stage_end(&stage);
}

static const struct {
    int key;
    enum view_wish live, recorded;
} wishes[] = {
    {'w', WISH_WRITE, WISH_WRITE},
    {' ', WISH_NOTHING, WISH_HOLD},
    {'p', WISH_NOTHING, WISH_HOLD},
    {'[', WISH_NOTHING, WISH_SLOWER},
    {']', WISH_NOTHING, WISH_FASTER},
    {KEY_CODE_LEFT, WISH_NOTHING, WISH_BACK},
    {KEY_CODE_RIGHT, WISH_NOTHING, WISH_FORWARD},
    {'r', WISH_NOTHING, WISH_NOTHING},
};

static void test_wishes(void **state)
{
    struct stage stage;

    (void)state;
    stage_begin(&stage, 1);
    for (size_t i = 0; i < ARRAY_LEN(wishes); i++)
        for (int recorded = 0; recorded < 2; recorded++) {
            stage.view->is_recording = recorded;
            stage.view->paused = stage.view->held = false;
            if (view_key(stage.view, wishes[i].key) !=
                (recorded ? wishes[i].recorded : wishes[i].live))
                fail_msg("[key %d, recorded %d]", wishes[i].key, recorded);
            assert_false(recorded && stage.view->paused);
            assert_false(!recorded && stage.view->held);
        }
    stage_end(&stage);
}

/* Where the screen stands after a key, with the lines and the page that drawing sets. */
static const struct {
    const char *row;
    int key;
    size_t lines, page, top;
} scrolls[] = {
    {"down", DOWN, 100, 20, 1},
    {"a page", PAGE_DOWN, 100, 20, 21},
    {"up", UP, 100, 20, 20},
    {"the end", 'G', 100, 20, 80},
    {"it is", DOWN, 100, 20, 80},
    {"it has become shorter", UP, 50, 20, 29},
    {"a larger screen", DOWN, 50, 40, 10},
    {"all is seen", DOWN, 50, 60, 0},
    {"nothing is drawn yet", PAGE_DOWN, 0, 0, 0},
    {"down again", PAGE_DOWN, 100, 20, 20},
    {"a page up", PAGE_UP, 100, 20, 0},
    {"not above the beginning", UP, 100, 20, 0},
    {"a little", DOWN, 100, 20, 1},
    {"help has a top of its own", '?', 100, 20, 0},
    {"scrolled", 'j', 30, 20, 1},
    {"closed: as it was", ESC, 0, 0, 1},
    {"another screen", '4', 0, 0, 0},
    {"scrolled too", 'G', 30, 20, 10},
    {"and back", '2', 0, 0, 1},
    {"and there", '4', 0, 0, 10},
};

static void test_scrolling(void **state)
{
    struct stage stage;

    (void)state;
    stage_begin(&stage, 1);
    view_key(stage.view, '2');
    for (size_t i = 0; i < ARRAY_LEN(scrolls); i++) {
        stage.view->lines = scrolls[i].lines;
        stage.view->page = scrolls[i].page;
        view_key(stage.view, scrolls[i].key);
        if (stage.view->top != scrolls[i].top)
            fail_msg("[%s] %zu", scrolls[i].row, stage.view->top);
    }
    stage_end(&stage);
}

static void test_looks(void **state)
{
    struct stage stage;

    (void)state;
    stage_begin(&stage, 1);
    for (size_t i = 0; i < 2 * n_themes; i++) {
        view_key(stage.view, 't');
        assert_ptr_equal(stage.view->theme, &themes[i % n_themes]);
    }
    for (int i = 1; i < 5; i++) {
        view_key(stage.view, 'c');
        assert_int_equal(stage.view->glyphs, i % N_GLYPHS);
    }
    view_key(stage.view, '-');
    assert_int_equal(stage.view->refresh_ms, VIEW_REFRESH_MIN_MS);
    view_key(stage.view, '+');
    view_key(stage.view, '+');
    assert_int_equal(stage.view->refresh_ms, 500);
    for (int i = 0; i < 10; i++)
        view_key(stage.view, '+');
    assert_int_equal(stage.view->refresh_ms, VIEW_REFRESH_MAX_MS);
    stage.view->refresh_ms = 300;
    view_key(stage.view, '-');
    assert_int_equal(stage.view->refresh_ms, 200);
    stage_end(&stage);
}

/* More than there is room for: of the text that is typed, and of hosts. */
static void test_room(void **state)
{
    struct host *hosts[VIEW_HOSTS_MAX + 1];
    struct stage stage;

    (void)state;
    stage_begin(&stage, 1);
    view_key(stage.view, '/');
    for (int i = 0; i < VIEW_INPUT_SIZE; i++)
        view_key(stage.view, 0x1f600);
    assert_int_equal(strlen(stage.view->input), VIEW_INPUT_SIZE - 4);
    for (int i = 0; i < VIEW_INPUT_SIZE; i++)
        view_key(stage.view, 'x');
    assert_int_equal(strlen(stage.view->input), VIEW_INPUT_SIZE - 1);
    for (int i = 0; i < VIEW_INPUT_SIZE; i++)
        view_key(stage.view, BACK);
    assert_string_equal(stage.view->input, "");
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        hosts[i] = stage.hosts[0];
    view_init(stage.view, hosts, ARRAY_LEN(hosts));
    assert_int_equal(stage.view->n_hosts, VIEW_HOSTS_MAX);
    view_refresh(stage.view, START);
    stage_end(&stage);
}

static uint64_t any_below(uint64_t *seed, uint64_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*seed >> 33) % below;
}

static void take_any(struct stage *stage, size_t host, uint64_t *seed)
{
    char models[2048];
    size_t len = 0, n = any_below(seed, 9);

    models[0] = '\0';
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(models + len, sizeof(models) - len,
                                "%s{'model':'%c','model_id':'%c','port':%d,'stale':%s,"
                                "'devices':[%d],'kv_cache':{'usage_ratio':0.%d}}",
                                i ? "," : "", 'a' + (int)any_below(seed, 6),
                                'a' + (int)any_below(seed, 6), (int)any_below(seed, 2),
                                any_below(seed, 2) ? "true" : "false",
                                (int)any_below(seed, 3), (int)any_below(seed, 100));
    stage_take(stage, host, models);
}

static int any_key(uint64_t *seed)
{
    static const char often[] = "kv%>80&state=a ";

    switch (any_below(seed, 4)) {
    case 0:
        return (int)any_below(seed, 128);
    case 1:
        return KEY_CODE_FIRST + (int)any_below(seed, KEY_CODE_F10 - KEY_CODE_FIRST + 2);
    case 2:
        return often[any_below(seed, sizeof(often) - 1)];
    default:
        return (int)any_below(seed, KEY_CODE_FIRST);
    }
}

/* Rows are in order, the choice is one of them, and nothing is out of its range. */
static void check_view(const struct view *view)
{
    assert_true(view->screen < N_SCREENS && view->pane <= PANE_HELP);
    assert_true(view->sort > COLUMN_HOST || view->n_hosts > 1);
    assert_true(view->sort < N_COLUMNS);
    assert_true(view->n_rows == 0 || view->selected < view->n_rows);
    assert_true(strlen(view->input) < VIEW_INPUT_SIZE);
    assert_false(view->pane == PANE_DETAIL && !view_chosen(view));
    for (size_t i = 1; i < view->n_rows; i++)
        assert_true(rows_compare(&view->rows[i - 1], &view->rows[i], view->sort,
                                 view->reverse) < 0);
}

static void test_any_keys(void **state)
{
    struct stage stage;
    uint64_t seed = 1;

    (void)state;
    stage_begin(&stage, 2);
    for (int i = 0; i < 30000; i++) {
        stage.now_ms += 500;
        if (any_below(&seed, 10) == 0)
            take_any(&stage, any_below(&seed, HOSTS), &seed);
        if (any_below(&seed, 3) == 0)
            view_refresh(stage.view, stage.now_ms);
        if (any_below(&seed, 20) == 0)
            stage.view->lines = any_below(&seed, 100);
        if (any_below(&seed, 20) == 0)
            stage.view->page = any_below(&seed, 100);
        view_key(stage.view, any_key(&seed));
        check_view(stage.view);
    }
    stage_end(&stage);
}

/* Of models that are known a document is kept and shown without an allocation. */
static void test_warm_look_allocates_nothing(void **state)
{
    struct vramscope_event event = {.type = VRAMSCOPE_DETAIL};
    char models[VIEW_INPUT_SIZE * 100];
    struct stage stage;
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        len += (size_t)snprintf(models + len, sizeof(models) - len,
                                "%s{'model_id':'%d','kv_cache':{'usage_ratio':0.%d}}",
                                i ? "," : "", i, i);
    stage_begin(&stage, 1);
    stage_take(&stage, 0, models);
    view_refresh(stage.view, START);
    event.detail = vramscope_detail_ref(stage.hosts[0]->detail);
    allocs = 0;
    for (int i = 1; i < 10; i++) {
        event.unix_ms = START + 500 * i;
        assert_int_equal(host_take(stage.hosts[0], &event), 0);
        view_key(stage.view, 's');
        view_refresh(stage.view, event.unix_ms);
    }
    assert_int_equal(allocs, 0);
    assert_int_equal(stage.view->n_rows, 100);
    vramscope_detail_unref(event.detail);
    stage_end(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_story),
        cmocka_unit_test(test_pause_keeps_documents),
        cmocka_unit_test(test_rows_hold_between_refreshes),
        cmocka_unit_test(test_wishes),
        cmocka_unit_test(test_scrolling),
        cmocka_unit_test(test_looks),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_any_keys),
        cmocka_unit_test(test_warm_look_allocates_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
