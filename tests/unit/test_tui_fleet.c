// SPDX-License-Identifier: Apache-2.0
/*
 * The screens of a gateway: its nodes, and one that is opened. Screens are compared with
 * files of tests/fixtures/screens as in test_tui_draw.c, which WRITE_SCREENS writes anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "fleet_file.h"
#include "tui/node_value.h"
#include "tui/opened_node.h"
#include "tui_stage.h"

enum { TEXT_MAX = 4 << 20 };

#define NOW_MS INT64_C(1790086400000)

static void take(struct host *host, const struct vramscope_detail *detail)
{
    struct vramscope_event event = {
        .type = VRAMSCOPE_DETAIL, .unix_ms = NOW_MS, .detail = detail};

    assert_int_equal(host_take(host, &event), 0);
    vramscope_detail_unref(detail);
}

/* A gateway that has told `detail`, which becomes the host's. */
static struct stage *stage_of(const struct vramscope_detail *detail)
{
    struct stage *stage = malloc(sizeof(*stage));

    assert_non_null(stage);
    stage_init(stage);
    stage->now_unix_ms = NOW_MS;
    take(stage_add(stage, "http://gateway:6767", 0), detail);
    stage_view(stage);
    return stage;
}

static void stage_end(struct stage *stage)
{
    stage_done(stage);
    free(stage);
}

static enum view_wish press(struct view *view, const char *keys)
{
    enum view_wish wish = WISH_NOTHING;

    for (; *keys; keys++)
        wish = view_key(view, (unsigned char)*keys);
    return wish;
}

/* ---- The view ---- */

/* The names of the first rows; the chosen one in brackets. */
static const char *names(const struct view *view, size_t most)
{
    static char text[512];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < view->nodes.n && i < most; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                i == view->nodes.selected ? "[%s] " : "%s ",
                                view->nodes.rows[i].node->node);
    return text;
}

static const struct {
    const char *row, *keys, *names;
    size_t n;
} orders[] = {
    {"who needs a person first", "", "[gpu003] gpu013 gpu023 gpu033 gpu008 gpu007 ", 40},
    {"all is well first", "S", "gpu000 gpu001 gpu002 gpu004 gpu006 gpu009 ", 40},
    {"by VRAM", "s", "gpu", 40},
    {"a word of its state", "/lost\r", "[gpu003] gpu013 gpu023 gpu033 ", 4},
    {"of its name", "/gpu01\r", "[gpu013] gpu015 gpu011@1a2b3c4d gpu016 gpu010 ", 10},
    {"its name alone", "/node=gpu017\r", "[gpu017] ", 1},
    {"a condition", "/state=live & name taken\r", "[gpu011@1a2b3c4d] ", 1},
    {"figures", "/run>35 & run<=38\r", "[gpu036] gpu037 gpu038 ", 3},
    {"of what is not known none", "/vram>=0 & state=unreadable\r", "", 0},
    {"of models none", "/model~Qwen\r", "", 0},
    {"GPUs", "/gpus=8 & node~gpu000\r", "[gpu000] ", 1},
    {"version", "/version!=0.1.0\r", "", 0},
    {"age", "/age>3s & state=stale & wait>=0\r", "", 4},
};

static void test_orders(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        struct stage *stage = stage_of(fleet_document("fleet.json"));
        const char *found;

        assert_int_equal(press(&stage->view, orders[i].keys), WISH_NOTHING);
        found = names(&stage->view, 6);
        if (strncmp(found, orders[i].names, strlen(orders[i].names)) != 0 ||
            stage->view.nodes.n != orders[i].n)
            fail_msg("[%s] %zu: %s", orders[i].row, stage->view.nodes.n, found);
        assert_int_equal(stage->view.nodes.n + stage->view.nodes.n_hidden, 40);
        stage_end(stage);
    }
}

static const struct {
    enum node_column column;
    double (*value)(const struct vramscope_node *node);
} values[] = {
    {NODE_COLUMN_STATE, node_value_need},
    {NODE_COLUMN_VRAM, node_value_vram},
    {NODE_COLUMN_TOTAL, node_value_total},
    {NODE_COLUMN_VRAM_PERCENT, node_value_vram_percent},
    {NODE_COLUMN_KV_USED, node_value_kv_used},
    {NODE_COLUMN_KV_CAPACITY, node_value_kv_capacity},
    {NODE_COLUMN_KV_PERCENT, node_value_kv_percent},
    {NODE_COLUMN_HIT, node_value_hit_percent},
    {NODE_COLUMN_RUNNING, node_value_running},
    {NODE_COLUMN_WAITING, node_value_waiting},
    {NODE_COLUMN_GPUS, node_value_gpus},
    {NODE_COLUMN_MODELS, node_value_models},
    {NODE_COLUMN_AGE, node_value_age_ms},
};

/* Every column, both ways: what is not known comes last in either. */
static void test_sorts(void **state)
{
    struct stage *stage = stage_of(fleet_document("fleet.json"));
    struct node_table *table = &stage->view.nodes;

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(values); i++) {
        enum node_column column = values[i / 2].column;
        bool falls = node_column_falls(column) != (i % 2 == 1);

        table->sort = column;
        table->reverse = i % 2 == 1;
        view_refresh(&stage->view, NOW_MS);
        assert_int_equal(table->n, 40);
        for (size_t k = 1; k < table->n; k++) {
            double a = values[i / 2].value(table->rows[k - 1].node);
            double b = values[i / 2].value(table->rows[k].node);

            if (isnan(a) ? !isnan(b) : !isnan(b) && (falls ? a < b : a > b))
                fail_msg("%s: row %zu", node_column_name(column), k);
        }
    }
    stage_end(stage);
}

static const struct {
    const char *row, *keys;
    enum screen screen;
    enum pane pane;
    enum view_wish wish;
} story[] = {
    {"a gateway begins with its nodes", "", SCREEN_NODES, PANE_NONE, WISH_NOTHING},
    {"its models", "1", SCREEN_MODELS, PANE_NONE, WISH_NOTHING},
    {"it has no devices of its own", "2", SCREEN_MODELS, PANE_NONE, WISH_NOTHING},
    {"after models come events", "\t", SCREEN_EVENTS, PANE_NONE, WISH_NOTHING},
    {"and then nodes", "\t", SCREEN_NODES, PANE_NONE, WISH_NOTHING},
    {"by their key", "4n", SCREEN_NODES, PANE_NONE, WISH_NOTHING},
    {"Esc comes to them", "1\033", SCREEN_NODES, PANE_NONE, WISH_NOTHING},
    {"what is known of one", "e", SCREEN_NODES, PANE_NODE, WISH_NOTHING},
    {"and closed", "\033", SCREEN_NODES, PANE_NONE, WISH_NOTHING},
    {"opened", "\r", SCREEN_NODES, PANE_NONE, WISH_OPEN},
    {"a filter", "/stale\r", SCREEN_NODES, PANE_NONE, WISH_NOTHING},
    {"is not the models'", "1", SCREEN_MODELS, PANE_NONE, WISH_NOTHING},
};

static void test_story(void **state)
{
    struct stage *stage = stage_of(fleet_document("fleet.json"));
    struct view *view = &stage->view;

    (void)state;
    view->opens_nodes = true;
    for (size_t i = 0; i < ARRAY_LEN(story); i++) {
        enum view_wish wish = press(view, story[i].keys);

        if (view->screen != story[i].screen || view->pane != story[i].pane ||
            wish != story[i].wish || view->quit)
            fail_msg("[%s] screen %d pane %d wish %d", story[i].row, view->screen,
                     view->pane, wish);
    }
    view_refresh(view, NOW_MS);
    assert_int_equal(view->n_rows, 12);
    assert_int_equal(view->nodes.n, 4);
    assert_string_equal(view->input, "");
    (void)press(view, "n");
    assert_string_equal(view->input, "stale");
    (void)press(view, "\033\033"); // the filter, and then all
    assert_true(view->quit);
    stage_end(stage);
}

static const struct {
    const char *keys;
    size_t n;
} filters[] = {
    {"/vram%>70\r", 25},  {"/vram>70%\r", 25}, {"/vram>448\r", 25},
    {"/kv<1%\r", 5}, // not of those that are known of some models alone
    {"/name taken\r", 1},
};

static void test_filters(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        struct stage *stage = stage_of(fleet_document("fleet.json"));

        (void)press(&stage->view, filters[i].keys);
        if (stage->view.nodes.n != filters[i].n)
            fail_msg("%s: %zu nodes", filters[i].keys, stage->view.nodes.n);
        stage_end(stage);
    }
}

/* Of a recording, and of who cannot, there is what the gateway knows. */
static void test_no_opening(void **state)
{
    struct stage *stage = stage_of(fleet_document("fleet.json"));

    (void)state;
    assert_int_equal(press(&stage->view, "\r"), WISH_NOTHING);
    assert_int_equal(stage->view.pane, PANE_NODE);
    stage_end(stage);
}

/* The chosen node is followed; when it is gone its pane is, too. */
static void test_choice(void **state)
{
    struct stage *stage = stage_of(fleet_of(9, 0));
    struct view *view = &stage->view;

    (void)state;
    assert_string_equal(names(view, 3), "[gpu0007] gpu0006 gpu0004 ");
    (void)press(view, "je");
    assert_int_equal(view->pane, PANE_NODE);
    take(stage->hosts[0],
         detail_of_text("{\"fleet\":{},\"nodes\":[{\"node\":\"gpu0000\",\"state\":"
                        "\"lost\"},{\"node\":\"gpu0006\",\"state\":\"live\"}]}"));
    view_refresh(view, NOW_MS);
    assert_string_equal(names(view, 3), "gpu0000 [gpu0006] ");
    assert_int_equal(view->pane, PANE_NODE);
    take(stage->hosts[0],
         detail_of_text("{\"fleet\":{},\"nodes\":[{\"node\":\"gpu0000\"}]}"));
    view_refresh(view, NOW_MS);
    assert_string_equal(names(view, 3), "[gpu0000] ");
    assert_int_equal(view->pane, PANE_NONE);
    take(stage->hosts[0], detail_of_text("{\"models\":[]}")); // no gateway any more
    view_refresh(view, NOW_MS);
    assert_int_equal(view->screen, SCREEN_MODELS);
    stage_end(stage);
}

/* With a host beside it, the models are first, and nodes are there. */
static void test_with_host(void **state)
{
    struct stage *stage = malloc(sizeof(*stage));

    (void)state;
    assert_non_null(stage);
    stage_init(stage);
    (void)stage_add(stage, "http://gpu-host-1:6767", 2);
    stage->now_unix_ms = NOW_MS;
    take(stage_add(stage, "http://gateway:6767", 0), fleet_document("fleet.json"));
    stage_view(stage);
    assert_int_equal(stage->view.screen, SCREEN_MODELS);
    (void)press(&stage->view, "0");
    assert_int_equal(stage->view.screen, SCREEN_NODES);
    assert_int_equal(stage->view.nodes.n, 40);
    (void)press(&stage->view, "2");
    assert_int_equal(stage->view.screen, SCREEN_DEVICES);
    stage_end(stage);
}

/* ---- Opening a node ---- */

static unsigned n_open, n_closed;
static char opened_name[64];

static int no_fd(void *ctx)
{
    (void)ctx;
    return -1;
}

static const struct vramscope_event *no_event(void *ctx)
{
    (void)ctx;
    return NULL;
}

static int open_node(void *ctx, const struct tui_source *gateway, const char *node,
                     struct tui_source *ret)
{
    assert_ptr_equal(ctx, &n_open);
    assert_string_equal(gateway->url, "http://gateway:6767");
    (void)snprintf(opened_name, sizeof(opened_name), "%s", node);
    if (strcmp(node, "gpu013") == 0)
        return -EMFILE;
    n_open++;
    *ret = (struct tui_source){.url = node, .fd = no_fd, .next = no_event};
    return 0;
}

static void close_node(void *ctx, struct tui_source *source)
{
    assert_ptr_equal(ctx, &n_open);
    assert_string_equal(source->url, "gpu003");
    n_closed++;
}

static void test_opened(void **state)
{
    struct stage *stage = stage_of(fleet_document("fleet.json"));
    const struct tui_source source = {.url = "http://gateway:6767"};
    const struct tui_options options = {.sources = &source,
                                        .n_sources = 1,
                                        .open_node = open_node,
                                        .close_node = close_node,
                                        .ctx = &n_open};
    struct view *view = &stage->view;
    struct opened_node opened = {.host = NULL};
    struct complaint why = {""};

    (void)state;
    opened_node_close(&opened, &options, view); // none is open
    assert_int_equal(opened_node_open(&opened, &options, view, &why), 0);
    assert_string_equal(opened_name, "gpu003");
    assert_int_equal(view->n_hosts, 1);
    assert_string_equal(view->gateway, "gateway:6767");
    assert_string_equal(view->hosts[0]->name, "gpu003");
    view_refresh(view, NOW_MS);
    assert_int_equal(view->screen, SCREEN_MODELS);
    take(opened.host, fleet_document("node.json"));
    view_refresh(view, NOW_MS);
    assert_int_equal(view->n_rows, 2);
    assert_false(view->has_gateway);
    assert_int_equal(press(view, "\177"), WISH_LEAVE);
    assert_int_equal(press(view, "t2\033"), WISH_NOTHING);
    assert_int_equal(press(view, "\033"), WISH_LEAVE);
    assert_false(view->quit);
    opened_node_close(&opened, &options, view);
    assert_int_equal(n_open, 1);
    assert_int_equal(n_closed, 1);
    assert_null(view->gateway);
    view_refresh(view, NOW_MS);
    assert_int_equal(view->screen, SCREEN_NODES);
    assert_string_equal(names(view, 1), "[gpu003] ");
    assert_ptr_equal(view->theme, theme_find("light")); // chosen meanwhile

    (void)press(view, "j");
    assert_int_equal(opened_node_open(&opened, &options, view, &why), -EMFILE);
    assert_string_equal(why.text, "gpu013: Too many open files");
    assert_null(opened.host);
    assert_int_equal(view->screen, SCREEN_NODES);
    stage_end(stage);
}

/* ---- Screens ---- */

static void compare(const struct stage *stage, const char *name)
{
    struct buf text, expected;
    char path[512];
    FILE *file;
    size_t n;

    buf_init(&text, TEXT_MAX);
    buf_init(&expected, TEXT_MAX);
    stage_text(stage, &text);
    snprintf(path, sizeof(path), "%s/screens/%s.txt", fixtures_dir(), name);
    file = fopen(path, getenv("WRITE_SCREENS") ? "wb" : "rb");
    if (!file)
        fail_msg("%s cannot be opened", path);
    if (getenv("WRITE_SCREENS")) {
        assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
    } else {
        while ((n = fread(buf_reserve(&expected, 4096), 1, 4096, file)) > 0)
            expected.len += n;
        if (text.len != expected.len || memcmp(text.data, expected.data, text.len) != 0)
            fail_msg("%s is now:\n%.*s", name, (int)text.len, text.data);
    }
    assert_int_equal(fclose(file), 0);
    buf_done(&text);
    buf_done(&expected);
}

// clang-format off
static const struct {
    const char *name;
    int rows, columns;
    const char *keys;
    enum glyphs glyphs;
} screens[] = {
    {"nodes_80x24", 24, 80, "", GLYPHS_BRAILLE},
    {"nodes_120x40", 40, 120, "", GLYPHS_BRAILLE},
    {"nodes_120x40_ascii", 40, 120, "", GLYPHS_ASCII},
    {"nodes_200x50", 50, 200, "", GLYPHS_BRAILLE},
    {"nodes_40x10", 10, 40, "", GLYPHS_BRAILLE},
    {"nodes_20x3", 3, 20, "", GLYPHS_BRAILLE},
    {"nodes_80x24_filter", 24, 80, "/kv%>5 & state=stale\r", GLYPHS_BRAILLE},
    {"nodes_80x24_typing", 24, 80, "/gpu00", GLYPHS_BRAILLE},
    {"nodes_80x24_none", 24, 80, "/nothing\r", GLYPHS_BRAILLE},
    {"nodes_120x40_version", 40, 120, "<<<r", GLYPHS_BRAILLE},
    {"node_pane_80x24", 24, 80, "jjjjjjjje", GLYPHS_BRAILLE},
    {"node_pane_120x40", 40, 120, "e", GLYPHS_BRAILLE},
    {"fleet_models_80x24", 24, 80, "1", GLYPHS_BRAILLE},
    {"fleet_models_120x40", 40, 120, "1", GLYPHS_BRAILLE},
    {"fleet_detail_120x40", 40, 120, "1\r", GLYPHS_BRAILLE},
    {"fleet_help_120x40", 40, 120, "?", GLYPHS_BRAILLE},
    {"fleet_events_120x40", 40, 120, "4", GLYPHS_BRAILLE},
};
// clang-format on

static void test_screens(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(screens); i++) {
        struct stage *stage = stage_of(fleet_document("fleet.json"));

        stage->view.glyphs = screens[i].glyphs;
        stage->canvas.ascii = screens[i].glyphs == GLYPHS_ASCII;
        stage_draw(stage, screens[i].rows, screens[i].columns);
        (void)press(&stage->view, screens[i].keys);
        stage_draw(stage, screens[i].rows, screens[i].columns);
        compare(stage, screens[i].name);
        stage_end(stage);
    }
}

#define ALL_LOST                                                                        \
    "{\"unix_ms\":1790086400000,\"interval_ms\":500,\"kv_cache\":{\"used_bytes\":null," \
    "\"unknown_models\":0},\"models\":[],\"fleet\":{\"nodes\":2,\"live\":0,\"lost\":1," \
    "\"outage\":1,\"counted\":0,\"gpus\":0,\"nats\":{\"connected\":true}},\"nodes\":[{" \
    "\"node\":\"gpu1\",\"state\":\"lost\",\"reason\":\"nothing for 34 s\","             \
    "\"age_ms\":34000},{\"node\":\"gpu2\",\"state\":\"outage\",\"reason\":\"no "        \
    "driver\"}],"                                                                       \
    "\"outage\":{\"code\":\"no-nodes\",\"message\":\"none of 2 nodes has figures: 1 "   \
    "lost, "                                                                            \
    "1 in an outage, 0 that cannot be read\",\"remedy\":\"see the logs of the nodes\"}}"

/* A gateway that is silent, or cut off from its nodes, or that has none that counts; one
 * that has none; a node of it. */
static void test_situations(void **state)
{
    struct stage *stage = stage_of(fleet_document("fleet.json"));

    (void)state;
    view_refresh(&stage->view, NOW_MS + 9000);
    stage_draw(stage, 24, 80);
    compare(stage, "nodes_80x24_silent");
    stage_end(stage);

    stage = stage_of(detail_of_text(
        "{\"unix_ms\":1790086400000,\"interval_ms\":500,\"fleet\":{\"nodes\":0,\"nats\":"
        "{\"connected\":false}},\"nodes\":[]}"));
    stage_draw(stage, 24, 80);
    compare(stage, "nodes_80x24_cut_off");
    stage_end(stage);

    stage = stage_of(detail_of_text(ALL_LOST));
    stage_draw(stage, 24, 80);
    compare(stage, "nodes_80x24_all_lost");
    stage_draw(stage, 10, 40);
    compare(stage, "nodes_40x10_all_lost");
    stage_draw(stage, 30, 120);
    compare(stage, "nodes_120x30_all_lost");
    (void)press(&stage->view, "1");
    stage_draw(stage, 24, 80);
    compare(stage, "fleet_models_80x24_all_lost");
    view_refresh(&stage->view, NOW_MS + 9000);
    (void)press(&stage->view, "n");
    stage_draw(stage, 24, 80);
    compare(stage, "nodes_80x24_all_lost_silent");
    stage_end(stage);

    stage = stage_of(fleet_document("node.json"));
    snprintf(stage->hosts[0]->name, sizeof(stage->hosts[0]->name), "gpu17");
    stage->view.gateway = "gateway:6767";
    stage_draw(stage, 40, 120);
    compare(stage, "node_opened_120x40");
    stage_end(stage);
}

/* The largest fleet on any canvas, each row in its turn; in time to be looked at. */
static void test_largest(void **state)
{
    struct stage *stage = stage_of(fleet_of(4096, 512));
    clock_t began = clock();

    (void)state;
    assert_int_equal(stage->view.nodes.n, 4096);
    for (int i = 0; i < 20; i++) {
        view_refresh(&stage->view, NOW_MS + i);
        stage_draw(stage, 1 + i * 3, 1 + i * 11);
    }
    (void)press(&stage->view, "G");
    stage_draw(stage, 24, 80);
    assert_int_equal(stage->view.nodes.selected, 4095);
    assert_int_equal(stage->view.top + stage->view.page, 4096);
    // 20 drawings; one in 100 ms would be too slow on any machine.
    assert_true((double)(clock() - began) / CLOCKS_PER_SEC < 2);
    stage_end(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),     cmocka_unit_test(test_filters),
        cmocka_unit_test(test_sorts),      cmocka_unit_test(test_story),
        cmocka_unit_test(test_no_opening), cmocka_unit_test(test_choice),
        cmocka_unit_test(test_with_host),  cmocka_unit_test(test_opened),
        cmocka_unit_test(test_screens),    cmocka_unit_test(test_situations),
        cmocka_unit_test(test_largest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
