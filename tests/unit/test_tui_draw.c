// SPDX-License-Identifier: Apache-2.0
/*
 * What screens look like, sign by sign: each is compared with a file of
 * tests/fixtures/screens. With WRITE_SCREENS set the files are written anew, to be looked
 * at before they are kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "tui_stage.h"

enum { TEXT_MAX = 4 << 20, DOCUMENTS = 40 };

static void read_file(const char *path, struct buf *ret)
{
    FILE *file = fopen(path, "rb");
    size_t n;

    if (!file)
        fail_msg("%s cannot be opened", path);
    while ((n = fread(buf_reserve(ret, 4096), 1, 4096, file)) > 0)
        ret->len += n;
    (void)fclose(file);
}

/* The first line that differs, for people. */
static void tell_difference(const char *name, struct span expected, struct span found)
{
    unsigned line = 1;
    size_t start = 0, at = 0;

    for (; at < expected.len && at < found.len && expected.at[at] == found.at[at]; at++)
        if (found.at[at] == '\n') {
            line++;
            start = at + 1;
        }
    fail_msg("%s: line %u differs:\n%.*s\nis not\n%.*s", name, line,
             (int)strcspn(found.at + start, "\n"), found.at + start,
             (int)strcspn(expected.at + start, "\n"), expected.at + start);
}

/* What `text` holds is what the file does; with WRITE_SCREENS set it is made so. */
static void compare_text(struct buf *text, const char *name, const char *kind)
{
    struct buf expected;
    char path[512];
    FILE *file;

    buf_init(&expected, TEXT_MAX);
    snprintf(path, sizeof(path), "%s/screens/%s.%s", fixtures_dir(), name, kind);
    if (getenv("WRITE_SCREENS")) {
        file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(text->data, 1, text->len, file), text->len);
        assert_int_equal(fclose(file), 0);
    } else {
        read_file(path, &expected);
        buf_add_char(text, '\0');
        buf_add_char(&expected, '\0');
        if (text->len != expected.len ||
            memcmp(text->data, expected.data, text->len) != 0)
            tell_difference(name, buf_span(&expected), buf_span(text));
    }
    buf_done(&expected);
}

static void compare(const struct stage *stage, const char *name)
{
    struct buf text;

    buf_init(&text, TEXT_MAX);
    stage_text(stage, &text);
    compare_text(&text, name, "txt");
    buf_done(&text);
}

/* A letter for the style of each cell, a blank for plain text and free cells. */
static void compare_styles(const struct stage *stage, const char *name)
{
    struct buf text;

    buf_init(&text, TEXT_MAX);
    for (int row = 0; row < stage->canvas.rows; row++) {
        size_t end = text.len;

        for (int column = 0; column < stage->canvas.columns; column++) {
            uint8_t style = canvas_at(&stage->canvas, row, column)->style;

            buf_add_char(&text, style == STYLE_TEXT ? ' ' : (char)('a' + style));
            if (style != STYLE_TEXT)
                end = text.len;
        }
        buf_cut(&text, end);
        buf_add_char(&text, '\n');
    }
    compare_text(&text, name, "styles");
    buf_done(&text);
}

// clang-format off
static const struct {
    const char *name;
    int rows, columns;
    enum screen screen;
    enum pane pane;
    const char *keys; // pressed before it is drawn
    size_t documents; // 0: all of the recording
    enum glyphs glyphs;
} screens[] = {
    {"models_120x30", 30, 120, SCREEN_MODELS, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"models_120x30_ascii", 30, 120, SCREEN_MODELS, PANE_NONE, "", 0, GLYPHS_ASCII},
    {"models_120x30_block", 30, 120, SCREEN_MODELS, PANE_NONE, "jj", 20, GLYPHS_BLOCK},
    {"models_200x60", 60, 200, SCREEN_MODELS, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"models_80x24", 24, 80, SCREEN_MODELS, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"models_80x24_filter", 24, 80, SCREEN_MODELS, PANE_NONE, "/kv%>20", 0, GLYPHS_BRAILLE},
    {"models_80x24_fault", 24, 80, SCREEN_MODELS, PANE_NONE, "/colour=red", 0, GLYPHS_BRAILLE},
    {"models_80x24_none", 24, 80, SCREEN_MODELS, PANE_NONE, "/nothing\r", 0, GLYPHS_BRAILLE},
    {"models_40x10", 10, 40, SCREEN_MODELS, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"models_30x5", 5, 30, SCREEN_MODELS, PANE_NONE, "jjjjj", 0, GLYPHS_BRAILLE},
    {"models_20x3", 3, 20, SCREEN_MODELS, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"models_1x1", 1, 1, SCREEN_MODELS, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"models_100x40", 40, 100, SCREEN_MODELS, PANE_NONE, "p", 0, GLYPHS_BRAILLE},
    {"devices_120x30", 30, 120, SCREEN_DEVICES, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"devices_80x24", 24, 80, SCREEN_DEVICES, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"devices_40x10", 10, 40, SCREEN_DEVICES, PANE_NONE, "jjj", 0, GLYPHS_BRAILLE},
    {"processes_120x30", 30, 120, SCREEN_PROCESSES, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"processes_80x24", 24, 80, SCREEN_PROCESSES, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"processes_40x10", 10, 40, SCREEN_PROCESSES, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"events_120x30", 30, 120, SCREEN_EVENTS, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"events_80x24", 24, 80, SCREEN_EVENTS, PANE_NONE, "", 0, GLYPHS_BRAILLE},
    {"detail_120x30", 30, 120, SCREEN_MODELS, PANE_DETAIL, "", 0, GLYPHS_BRAILLE},
    {"detail_80x24", 24, 80, SCREEN_MODELS, PANE_DETAIL, "", 0, GLYPHS_BRAILLE},
    {"detail_40x10", 10, 40, SCREEN_MODELS, PANE_DETAIL, "", 0, GLYPHS_BRAILLE},
    {"explain_120x30", 30, 120, SCREEN_MODELS, PANE_EXPLAIN, "", 0, GLYPHS_BRAILLE},
    {"explain_200x60", 60, 200, SCREEN_MODELS, PANE_EXPLAIN, "", 0, GLYPHS_BRAILLE},
    {"explain_80x24", 24, 80, SCREEN_MODELS, PANE_EXPLAIN, "", 0, GLYPHS_BRAILLE},
    {"explain_40x10", 10, 40, SCREEN_MODELS, PANE_EXPLAIN, "", 0, GLYPHS_BRAILLE},
    {"help_120x30", 30, 120, SCREEN_MODELS, PANE_HELP, "", 0, GLYPHS_BRAILLE},
    {"help_80x24", 24, 80, SCREEN_MODELS, PANE_HELP, "", 0, GLYPHS_BRAILLE},
    {"help_40x10", 10, 40, SCREEN_MODELS, PANE_HELP, "", 0, GLYPHS_BRAILLE},
};
// clang-format on

static void press(struct view *view, const char *keys)
{
    for (; *keys; keys++)
        (void)view_key(view, (unsigned char)*keys);
}

static void test_screens(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(screens); i++) {
        struct stage *stage = malloc(sizeof(*stage));

        assert_non_null(stage);
        stage_init(stage);
        (void)stage_add(stage, "http://gpu-host-1:6767",
                        screens[i].documents ? screens[i].documents : DOCUMENTS);
        stage_view(stage);
        stage->view.glyphs = screens[i].glyphs;
        stage->canvas.ascii = screens[i].glyphs == GLYPHS_ASCII;
        stage->view.screen = screens[i].screen;
        stage->view.pane = screens[i].pane;
        stage_draw(stage, screens[i].rows, screens[i].columns);
        press(&stage->view, screens[i].keys);
        stage_draw(stage, screens[i].rows, screens[i].columns);
        compare(stage, screens[i].name);
        if (screens[i].rows == 30)
            compare_styles(stage, screens[i].name);
        stage_done(stage);
        free(stage);
    }
}

/* Of each model what there is to explain. */
static void test_explanations(void **state)
{
    struct stage *stage = malloc(sizeof(*stage));
    size_t n;

    (void)state;
    assert_non_null(stage);
    stage_init(stage);
    (void)stage_add(stage, "http://gpu-host-1:6767", DOCUMENTS);
    stage_view(stage);
    n = stage->view.n_rows;
    assert_int_equal(n, 8);
    for (size_t i = 0; i < n; i++) {
        char name[64];

        stage->view.pane = PANE_NONE;
        press(&stage->view, i ? "j" : "g");
        stage->view.pane = PANE_EXPLAIN;
        stage_draw(stage, 56, 100);
        snprintf(name, sizeof(name), "explain_port_%d",
                 (int)stage->view.rows[stage->view.selected].model->port);
        compare(stage, name);
    }
    stage_done(stage);
    free(stage);
}

/* ---- What goes wrong, and what there is a lot of ---- */

static void event(struct host *host, enum vramscope_event_type type, int64_t unix_ms,
                  const char *reason, const char *remedy)
{
    struct vramscope_event said = {.type = type,
                                   .unix_ms = unix_ms,
                                   .reason = reason,
                                   .remedy = remedy,
                                   .retry_ms = 4000};

    assert_int_equal(host_take(host, &said), 0);
}

static const char device[] =
    "{\"backend\":\"nvml\",\"index\":%u,\"instance\":%s,\"uuid\":\"GPU-%04u\","
    "\"name\":\"NVIDIA H100 80GB HBM3%s\",\"unified\":false,"
    "\"total_bytes\":85899345920,\"used_bytes\":%u000000000,\"reserved_bytes\":"
    "577765376,\"models_bytes\":%u000000000,\"kv_pool_bytes\":{\"value\":20000000000,"
    "\"from\":\"derived\",\"error\":0},\"kv_used_bytes\":{\"value\":%u00000000,"
    "\"from\":\"derived\",\"error\":0},\"other_bytes\":0,\"orphan_bytes\":0,"
    "\"unattributed_bytes\":1000000000}%s";

/* A document of `n` devices with a model on each, as a daemon might say it. */
static void take_devices(struct host *host, int64_t unix_ms, unsigned n, bool is_mig)
{
    struct vramscope_event said = {.type = VRAMSCOPE_DETAIL, .unix_ms = unix_ms};
    const struct vramscope_detail *detail;
    struct buf text;

    buf_init(&text, TEXT_MAX);
    buf_printf(&text,
               "{\"schema\":1,\"version\":\"0.1.0\",\"unix_ms\":%lld,"
               "\"interval_ms\":500,\"devices\":[",
               (long long)unix_ms);
    for (unsigned i = 0; i < n; i++) {
        char instance[16];

        snprintf(instance, sizeof(instance), "%u", i % 7);
        buf_printf(&text, device, is_mig ? i / 7 : i, is_mig ? instance : "null", i,
                   is_mig ? " MIG 1g.10gb" : "", 41 + i % 40, 40 + i % 40, 10 + i * 3,
                   i + 1 < n ? "," : "");
    }
    buf_add_str(&text, "],\"models\":[");
    for (unsigned i = 0; i < n; i++)
        buf_printf(
            &text,
            "{\"model\":\"org/model-%u\",\"model_id\":\"org-model-%u\",\"port\":%u,"
            "\"state\":\"ready\",\"stale\":false,\"age_ms\":30,\"devices\":[%u],"
            "\"vram\":{\"allocated_bytes\":{\"value\":%u000000000,\"from\":"
            "\"measured\",\"error\":0}},\"kv_cache\":{\"usage_ratio\":0.%02u},"
            "\"requests\":{\"running\":%u,\"waiting\":0}}%s",
            i, i, 8000 + i, i, 40 + i % 40, 5 + i % 64, i % 9, i + 1 < n ? "," : "");
    buf_printf(&text,
               "],\"vram\":{\"total_bytes\":{\"value\":%llu,\"from\":\"measured\"},"
               "\"allocated_bytes\":{\"value\":%u000000000,\"from\":\"measured\"}},"
               "\"kv_cache\":{\"used_bytes\":3000000000,\"unknown_models\":0},"
               "\"prefix_cache\":{\"hit_percent\":61.25,\"in_window\":false},"
               "\"processes\":[]}",
               n * 85899345920ULL, n * 45);
    assert_int_equal(text.error, 0);
    assert_int_equal(vramscope_detail_parse(text.data, text.len, &detail, NULL, 0), 0);
    said.detail = detail;
    assert_int_equal(host_take(host, &said), 0);
    vramscope_detail_unref(detail);
    buf_done(&text);
}

enum { NOW = 1000 };
#define START INT64_C(1790000000000)

static void never_answered(struct stage *stage)
{
    struct host *host = stage_add(stage, "http://gpu-host-1:6767", 0);

    event(host, VRAMSCOPE_DISCONNECTED, START,
          "connection refused: nothing listens on gpu-host-1:6767",
          "Is vramscoped running there? systemctl status vramscoped");
}

static void no_driver(struct stage *stage)
{
    struct host *host = stage_add(stage, "http://gpu-host-1:6767", 0);

    event(host, VRAMSCOPE_DISCONNECTED, START,
          "libnvidia-ml.so.1: cannot open shared object file",
          "Install the NVIDIA driver, or start vramscoped with --gpu none.");
    (void)stage_add(stage, "unix:/run/vramscoped.sock", 0);
}

static void no_hosts(struct stage *stage)
{
    (void)stage;
}

static void lost_later(struct stage *stage)
{
    struct host *host = stage_add(stage, "http://gpu-host-1:6767", DOCUMENTS);

    event(host, VRAMSCOPE_DISCONNECTED, stage->now_unix_ms + 2000,
          "connection reset by peer", NULL);
    stage->now_unix_ms += 4700;
}

/* The daemon's clock is two days behind ours. */
static void other_clock(struct stage *stage)
{
    stage->skew_ms = INT64_C(2) * 24 * 3600 * 1000;
    (void)stage_add(stage, "http://gpu-host-1:6767", DOCUMENTS);
}

static void silent_later(struct stage *stage)
{
    (void)stage_add(stage, "http://gpu-host-1:6767", DOCUMENTS);
    stage->now_unix_ms += 21000;
}

static void driver_silent(struct stage *stage)
{
    struct vramscope_event said = {.type = VRAMSCOPE_DETAIL, .unix_ms = START};
    static const char document[] =
        "{\"schema\":1,\"unix_ms\":1790000000900,\"interval_ms\":500,\"gpu\":{\"age_ms\":"
        "7300,\"sources\":[{\"backend\":\"nvml\",\"verdict\":\"driver-silent\",\"driver_"
        "version\":"
        "\"570.86.15\",\"reason\":\"it owes an answer since 7 "
        "s\"}]},\"devices\":[{\"backend\":"
        "\"nvml\",\"index\":0,\"name\":\"NVIDIA A10\",\"total_bytes\":24000000000,"
        "\"used_bytes\":20000000000,\"models_bytes\":20000000000,\"kv_pool_bytes\":"
        "{\"value\":9000000000,\"from\":\"engine\",\"error\":0},\"kv_used_bytes\":{"
        "\"value\":"
        "6000000000,\"from\":\"engine\",\"error\":0}}],\"models\":[]}";
    const struct vramscope_detail *detail;

    assert_int_equal(
        vramscope_detail_parse(document, sizeof(document) - 1, &detail, NULL, 0), 0);
    said.detail = detail;
    assert_int_equal(host_take(stage_add(stage, "http://a10:6767", 0), &said), 0);
    vramscope_detail_unref(detail);
}

static void no_data_later(struct stage *stage)
{
    struct host *host = stage_add(stage, "http://gpu-host-1:6767", DOCUMENTS);

    event(host, VRAMSCOPE_NO_DATA, stage->now_unix_ms + 2000,
          "the NVIDIA kernel driver is not loaded", NULL);
    stage->now_unix_ms += 4700;
}

static void sixteen_devices(struct stage *stage)
{
    take_devices(stage_add(stage, "http://dgx:6767", 0), START, 16, false);
}

static void sixty_four_instances(struct stage *stage)
{
    take_devices(stage_add(stage, "http://dgx:6767", 0), START, 64, true);
}

/* What an older daemon says, and what drivers do not tell. */
static void odd_devices(struct stage *stage)
{
    static const char document[] =
        "{\"schema\":1,\"version\":\"0.0.9\",\"unix_ms\":1790000000900,\"interval_ms\":"
        "500,"
        "\"devices\":["
        "{\"backend\":\"nvml\",\"index\":0,\"name\":\"NVIDIA "
        "A10\",\"total_bytes\":24000000000,"
        "\"used_bytes\":20000000000,\"processes_bytes\":19000000000},"
        "{\"backend\":\"nvml\",\"index\":1,\"name\":\"NVIDIA GB10\",\"unified\":true,"
        "\"total_bytes\":128000000000,\"used_bytes\":90000000000,\"models_bytes\":"
        "60000000000,"
        "\"kv_pool_bytes\":{\"value\":20000000000,\"from\":\"estimated\",\"error\":null},"
        "\"kv_used_bytes\":{\"value\":null,\"from\":\"unknown\",\"error\":null,"
        "\"reason\":\"not told\"},\"other_bytes\":30000000000,\"orphan_bytes\":0,"
        "\"unattributed_bytes\":0},"
        "{\"backend\":\"nvml\",\"index\":2,\"name\":\"NVIDIA A10\",\"total_bytes\":null,"
        "\"used_bytes\":null,\"reason\":\"the driver has lost this device: it is off the "
        "bus\"},"
        "{\"backend\":\"amdgpu\",\"index\":0,\"name\":\"AMD Instinct MI300X\","
        "\"total_bytes\":206158430208,\"used_bytes\":205000000000,\"models_bytes\":"
        "206000000000,\"kv_pool_bytes\":{\"value\":0,\"from\":\"derived\",\"error\":0},"
        "\"kv_used_bytes\":{\"value\":0,\"from\":\"derived\",\"error\":0},\"other_"
        "bytes\":0,"
        "\"orphan_bytes\":0,\"unattributed_bytes\":-1000000000}],\"models\":[]}";
    struct vramscope_event said = {.type = VRAMSCOPE_DETAIL, .unix_ms = START};
    const struct vramscope_detail *detail;

    assert_int_equal(
        vramscope_detail_parse(document, sizeof(document) - 1, &detail, NULL, 0), 0);
    said.detail = detail;
    assert_int_equal(host_take(stage_add(stage, "http://odd:6767", 0), &said), 0);
    vramscope_detail_unref(detail);
}

/* A GPU is lost, with words that are too many; and a daemon that keeps no events. */
static void odd_events(struct stage *stage)
{
    static const char document[] =
        "{\"schema\":1,\"version\":\"0.2.0\",\"unix_ms\":1790000000900,\"interval_ms\":"
        "500,\"devices\":[],\"models\":[],\"events\":["
        "{\"id\":1,\"unix_ms\":1789900000000,\"severity\":\"info\",\"text\":\"vramscoped "
        "0.2.0 was started\"},"
        "{\"id\":2,\"unix_ms\":1789999995000,\"severity\":\"critical\",\"text\":\"GPU 2 "
        "is "
        "lost: \u202ethe driver has lost this device, as it has fallen off the bus\"},"
        "{\"id\":3,\"unix_ms\":1789999996000,\"severity\":\"of "
        "tomorrow\",\"text\":\"what "
        "nobody knows yet\"},"
        "{\"id\":4,\"unix_ms\":1789999998000,\"kind\":\"engine_lost\",\"severity\":"
        "\"warning\"}]}";
    struct vramscope_event said = {.type = VRAMSCOPE_DETAIL, .unix_ms = START};
    const struct vramscope_detail *detail;

    assert_int_equal(
        vramscope_detail_parse(document, sizeof(document) - 1, &detail, NULL, 0), 0);
    said.detail = detail;
    assert_int_equal(host_take(stage_add(stage, "http://new:6767", 0), &said), 0);
    vramscope_detail_unref(detail);
    odd_devices(stage);
}

static void three_hosts(struct stage *stage)
{
    struct host *host;

    take_devices(stage_add(stage, "http://a100-1:6767", 0), START - 400, 8, false);
    take_devices(stage_add(stage, "http://a100-2:6767", 0), START - 9000, 8, false);
    host = stage_add(stage, "http://h100-rack3-node7.example.com:6767", 0);
    take_devices(host, START - 6000, 4, false);
    event(host, VRAMSCOPE_DISCONNECTED, START - 3000, "no route to host", NULL);
    event(stage_add(stage, "http://new:6767", 0), VRAMSCOPE_DISCONNECTED, START - 100,
          "connection refused", "Is vramscoped running there?");
}

static void many_hosts(struct stage *stage)
{
    char url[32];

    for (unsigned i = 0; i < 40; i++) {
        snprintf(url, sizeof(url), "http://node-%02u:6767", i);
        take_devices(stage_add(stage, url, 0), START - 100, 8, false);
    }
}

// clang-format off
static const struct {
    const char *name;
    void (*set)(struct stage *stage);
    int rows, columns;
    enum screen screen;
} situations[] = {
    {"no_hosts_80x24", no_hosts, 24, 80, SCREEN_MODELS},
    {"never_answered_120x30", never_answered, 30, 120, SCREEN_MODELS},
    {"never_answered_40x10", never_answered, 10, 40, SCREEN_MODELS},
    {"no_driver_80x24", no_driver, 24, 80, SCREEN_DEVICES},
    {"lost_120x30", lost_later, 30, 120, SCREEN_MODELS},
    {"lost_80x24", lost_later, 24, 80, SCREEN_MODELS},
    {"lost_40x10", lost_later, 10, 40, SCREEN_MODELS},
    {"silent_120x30", silent_later, 30, 120, SCREEN_MODELS},
    {"other_clock_120x30", other_clock, 30, 120, SCREEN_MODELS},
    {"no_data_80x24", no_data_later, 24, 80, SCREEN_PROCESSES},
    {"driver_silent_120x30", driver_silent, 30, 120, SCREEN_DEVICES},
    {"driver_silent_80x24", driver_silent, 24, 80, SCREEN_MODELS},
    {"devices_16_120x30", sixteen_devices, 30, 120, SCREEN_MODELS},
    {"devices_16_80x24", sixteen_devices, 24, 80, SCREEN_MODELS},
    {"devices_64_120x30", sixty_four_instances, 30, 120, SCREEN_MODELS},
    {"devices_64_200x60", sixty_four_instances, 60, 200, SCREEN_MODELS},
    {"devices_64_screen_120x30", sixty_four_instances, 30, 120, SCREEN_DEVICES},
    {"devices_odd_120x30", odd_devices, 30, 120, SCREEN_MODELS},
    {"devices_odd_screen_120x30", odd_devices, 30, 120, SCREEN_DEVICES},
    {"devices_odd_80x24", odd_devices, 24, 80, SCREEN_MODELS},
    {"events_odd_80x24", odd_events, 24, 80, SCREEN_EVENTS},
    {"events_odd_40x10", odd_events, 10, 40, SCREEN_EVENTS},
    {"hosts_3_120x30", three_hosts, 30, 120, SCREEN_MODELS},
    {"hosts_3_80x24", three_hosts, 24, 80, SCREEN_MODELS},
    {"hosts_3_60x20", three_hosts, 20, 60, SCREEN_MODELS},
    {"hosts_3_40x10", three_hosts, 10, 40, SCREEN_MODELS},
    {"hosts_40_120x30", many_hosts, 30, 120, SCREEN_MODELS},
};
// clang-format on

static void test_situations(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(situations); i++) {
        struct stage *stage = malloc(sizeof(*stage));

        assert_non_null(stage);
        stage_init(stage);
        stage->now_unix_ms = START + NOW;
        situations[i].set(stage);
        stage_view(stage);
        stage->view.screen = situations[i].screen;
        stage_draw(stage, situations[i].rows, situations[i].columns);
        compare(stage, situations[i].name);
        if (situations[i].rows == 24)
            compare_styles(stage, situations[i].name);
        stage_done(stage);
        free(stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_screens),
        cmocka_unit_test(test_explanations),
        cmocka_unit_test(test_situations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
