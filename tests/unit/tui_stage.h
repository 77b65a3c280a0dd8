// SPDX-License-Identifier: Apache-2.0
/*
 * tui_stage.h - a host that plays a recording, a view of it, and a canvas, for tests
 */
#ifndef TESTS_TUI_STAGE_H
#define TESTS_TUI_STAGE_H

#include "base/buf.h"
#include "recording/recording.h"
#include "tui/draw.h"

#include <stdio.h>

#ifndef SOURCE_FIXTURES_DIR
#define SOURCE_FIXTURES_DIR "tests/fixtures"
#endif

struct stage {
    struct host *hosts[VIEW_HOSTS_MAX];
    size_t n_hosts;
    struct view view;
    struct canvas canvas;
    int64_t now_unix_ms;
    int64_t skew_ms; // our clock less that of the daemons
};

static const char *fixtures_dir(void)
{
    const char *dir = getenv("SOURCE_FIXTURES_DIR");

    return dir ? dir : SOURCE_FIXTURES_DIR;
}

static void stage_take(struct host *host, const struct recording_entry *entry,
                       int64_t skew_ms)
{
    struct vramscope_event event = {.unix_ms = entry->unix_ms + skew_ms,
                                    .retry_ms = 2000};
    const struct vramscope_detail *detail = NULL;
    char text[256];

    snprintf(text, sizeof(text), "%.*s", (int)MIN(entry->text.len, sizeof(text) - 1),
             entry->text.at ? entry->text.at : "");
    event.reason = text;
    switch (entry->kind) {
    case RECORDING_DETAIL:
        event.type = VRAMSCOPE_DETAIL;
        assert_int_equal(
            vramscope_detail_parse(entry->text.at, entry->text.len, &detail, NULL, 0), 0);
        event.detail = detail;
        break;
    case RECORDING_NO_DATA:
        event.type = VRAMSCOPE_NO_DATA;
        break;
    case RECORDING_DISCONNECTED:
        event.type = VRAMSCOPE_DISCONNECTED;
        break;
    case RECORDING_SKIPPED:
        event.type = VRAMSCOPE_LAG;
        event.skipped = (int64_t)entry->skipped;
        break;
    }
    assert_int_equal(host_take(host, &event), 0);
    vramscope_detail_unref(detail);
}

/* Another host, which has come as far as the n-th document of the recording. */
static struct host *stage_add(struct stage *stage, const char *url, size_t documents)
{
    struct recording_entry entry;
    struct recording *recording;
    struct complaint why = {0};
    struct host *host;
    char path[512];
    size_t n = 0;

    snprintf(path, sizeof(path), "%s/recordings/host.ndjson", fixtures_dir());
    assert_int_equal(tui_host_new(url, &host), 0);
    assert_true(stage->n_hosts < VIEW_HOSTS_MAX);
    stage->hosts[stage->n_hosts++] = host;
    if (documents == 0)
        return host;
    if (recording_open(path, &recording, &why) < 0)
        fail_msg("%s cannot be opened", path);
    while (n < documents && recording_next(recording, &entry, &why) == 1) {
        n += entry.kind == RECORDING_DETAIL;
        stage_take(host, &entry, stage->skew_ms);
        stage->now_unix_ms = entry.unix_ms + stage->skew_ms;
    }
    recording_free(recording);
    return host;
}

static void stage_init(struct stage *stage)
{
    memset(stage, 0, sizeof(*stage));
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
}

/* The hosts are there. */
static void stage_view(struct stage *stage)
{
    view_init(&stage->view, stage->hosts, stage->n_hosts);
    stage->view.theme = theme_find("dark");
    view_refresh(&stage->view, stage->now_unix_ms + 300);
}

static void stage_done(struct stage *stage)
{
    view_done(&stage->view);
    for (size_t i = 0; i < stage->n_hosts; i++)
        tui_host_free(stage->hosts[i]);
    canvas_done(&stage->canvas);
}

static void stage_draw(struct stage *stage, int rows, int columns)
{
    assert_int_equal(canvas_resize(&stage->canvas, rows, columns), 0);
    draw_view(&stage->canvas, &stage->view);
}

/* The signs of the canvas, without blanks at the ends of lines. */
static void stage_text(const struct stage *stage, struct buf *out)
{
    for (int row = 0; row < stage->canvas.rows; row++) {
        size_t end = out->len;

        for (int column = 0; column < stage->canvas.columns; column++) {
            const char *sign = canvas_at(&stage->canvas, row, column)->text;

            buf_add_str(out, sign);
            if (strcmp(sign, " ") != 0)
                end = out->len;
        }
        buf_cut(out, end);
        buf_add_char(out, '\n');
    }
    assert_int_equal(out->error, 0);
}

#endif
