// SPDX-License-Identifier: Apache-2.0
/*
 * draw_host.c - the top lines: who is followed, whether what is shown is of now, totals
 */
#include "tui/display_text.h"
#include "tui/draw_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { BANNERS_MAX = 3 };

struct host_words {
    const char *sign;
    enum style style;
    char word[32];
    bool is_badge;
};

static int64_t age_of(const struct drawing *drawing, const struct host *host)
{
    if (!detail_of(drawing, host) || host->last_detail_ms <= 0)
        return VRAMSCOPE_UNKNOWN;
    return MAX((int64_t)0, drawing->view->now_unix_ms - host->last_detail_ms);
}

/* At the end of a recording, or where no more of it can be read. */
static bool has_ended(const struct view *view, const struct host *host)
{
    return (view->is_over && host->state == HOST_LIVE) ||
           (view->is_recording && host->state == HOST_GONE);
}

static struct host_words host_words(const struct drawing *drawing,
                                    const struct host *host)
{
    const struct signs *signs = drawing->signs;
    struct host_words words = {signs->live, STYLE_GOOD, "live", false};
    static const char *const names[] = {
        [HOST_CONNECTING] = "CONNECTING",
        [HOST_LIVE] = "live",
        [HOST_NO_DATA] = "NO DATA",
        [HOST_LOST] = "LOST",
        [HOST_GONE] = "GONE",
    };
    char age[FIGURE_TEXT_SIZE];

    if (has_ended(drawing->view, host)) {
        words.sign = signs->hollow;
        words.style = STYLE_DIM;
        words.is_badge = true;
        snprintf(words.word, sizeof(words.word), "ENDED");
    } else if (host->state != HOST_LIVE) {
        words.sign = host->state == HOST_CONNECTING ? signs->half : signs->cross;
        words.style = host->state == HOST_CONNECTING ? STYLE_DIM : STYLE_CRITICAL;
        words.is_badge = true;
        snprintf(words.word, sizeof(words.word), "%s", names[host->state]);
    } else if (!detail_of(drawing, host)) {
        words.sign = signs->half;
        words.style = STYLE_DIM;
        snprintf(words.word, sizeof(words.word), "connected");
    } else if (host_is_stale(host, drawing->view->now_unix_ms)) {
        words.sign = signs->alarm;
        words.style = STYLE_WARNING;
        words.is_badge = true;
        age_text(age, age_of(drawing, host));
        snprintf(words.word, sizeof(words.word), "STALE %s", age);
    }
    return words;
}

static void put_host_state(struct pen *pen, const struct host *host)
{
    struct host_words words = host_words(pen->drawing, host);

    pen_print(pen, words.style, "%s", words.sign);
    if (words.is_badge)
        pen_badge(pen, words.word);
    else
        pen_print(pen, words.style, " %s", words.word);
}

/* Or nothing of it: half a number is another number. */
static void put_whole(struct pen *pen, const char *label, const char *words)
{
    if (pen_room(pen) >= (int)strlen(label) + display_width(span_of(words)) + 3)
        pen_print(pen, STYLE_DIM, "  %s %s", label, words);
}

static void put_one_host(struct pen *pen)
{
    const struct drawing *drawing = pen->drawing;
    const struct host *host = drawing->view->hosts[0];
    const struct vramscope_detail *detail = drawing->view->shown[0];
    char every[FIGURE_TEXT_SIZE];

    if (drawing->view->gateway)
        pen_print(pen, STYLE_TEXT, "%s > ", drawing->view->gateway);
    pen_print(pen, STYLE_STRONG, "%s", host->name);
    if (detail && detail->node && !drawing->view->gateway)
        pen_print(pen, STYLE_STRONG, " > %s", detail->node);
    pen_skip(pen, 2);
    put_host_state(pen, host);
    if (detail && detail->fleet)
        pen_print(pen, STYLE_DIM, "  gateway");
    if (drawing->view->is_recording)
        pen_print(pen, STYLE_DIM, "  recording");
    if (!detail || drawing->layout == LAYOUT_MINI)
        return;
    if (detail->version)
        put_whole(pen, "vramscoped", detail->version);
    age_text(every, detail->interval_ms);
    if (detail->interval_ms > 0)
        put_whole(pen, "every", every);
}

static void put_hosts(struct pen *pen)
{
    const struct drawing *drawing = pen->drawing;
    const struct signs *signs = drawing->signs;
    size_t n_hosts = drawing->view->n_hosts, live = 0, silent = 0, lost = 0;

    for (size_t i = 0; i < n_hosts; i++) {
        const struct host *host = drawing->view->hosts[i];
        bool is_live = has_news(drawing, host);
        bool is_lost = host->state == HOST_LOST || host->state == HOST_GONE;

        lost += is_lost;
        live += is_live;
        silent += !is_live && !is_lost;
    }
    pen_print(pen, STYLE_STRONG, "%zu hosts", n_hosts);
    pen_print(pen, live ? STYLE_GOOD : STYLE_DIM, "  %s %zu live", signs->live, live);
    if (silent)
        pen_print(pen, STYLE_WARNING, "  %s %zu silent", signs->alarm, silent);
    if (lost)
        pen_print(pen, STYLE_CRITICAL, "  %s %zu lost", signs->cross, lost);
}

void draw_title(struct drawing *drawing, int row)
{
    struct view *view = drawing->view;
    struct pen pen = pen_at(drawing, row, 1);
    char now[FIGURE_TEXT_SIZE];
    const char *badge = standstill(view);
    int clock = 9 + (badge ? (int)strlen(badge) + 4 : 0);

    pen.end = MAX(pen.column, pen.end - clock - 1);
    if (drawing->canvas->columns >= 60)
        pen_print(&pen, STYLE_HEADING, "vramscope  ");
    if (view->n_hosts == 1)
        put_one_host(&pen);
    else if (view->n_hosts > 1)
        put_hosts(&pen);

    pen.end = drawing->canvas->columns;
    pen_to(&pen, pen.end - clock);
    if (badge) {
        pen_badge(&pen, badge);
        pen_skip(&pen, 2);
    }
    time_text(now, view->now_unix_ms);
    pen_right(&pen, 8, STYLE_DIM, now);
}

/*
 * "~31.2 of ~88.0 GiB": the unit once. The part is as wide as the whole, so that what
 * stands behind it does not move while it changes.
 */
static void put_share(struct pen *pen, const char *mark, int64_t part, int64_t whole)
{
    char part_words[FIGURE_TEXT_SIZE], whole_words[FIGURE_TEXT_SIZE];
    char marked[FIGURE_TEXT_SIZE + 4];

    bytes_text(part_words, part);
    bytes_text(whole_words, whole);
    if (is_known(whole))
        unit_once(part_words, whole_words);
    snprintf(marked, sizeof(marked), "%s%s", is_known(part) ? mark : "", part_words);
    pen_right(pen,
              is_known(whole) ? (int)strcspn(whole_words, " ") + (int)strlen(mark) : 0,
              is_known(part) ? STYLE_STRONG : STYLE_DIM, marked);
    if (is_known(whole))
        pen_print(pen, STYLE_DIM, " of ");
    if (is_known(whole))
        pen_print(pen, STYLE_TEXT, "%s%s", mark, whole_words);
}

static void put_hit_rate(struct pen *pen, const struct totals *totals)
{
    char words[FIGURE_TEXT_SIZE];

    percent_text(words, totals->hit_percent);
    pen_print(pen, STYLE_DIM, "hit rate ");
    pen_right(pen, 5, STYLE_STRONG, words);
    if (!isnan(totals->hit_percent) && pen_room(pen) >= 10)
        pen_print(pen, STYLE_DIM, totals->hit_in_window ? " 1m" : " lifetime");
}

static void put_count(struct pen *pen, const char *label, int64_t count)
{
    char words[FIGURE_TEXT_SIZE];

    count_text(words, count);
    if (pen_room(pen) < (int)(strlen(label) + MAX(strlen(words), (size_t)3)) + 3)
        return;
    pen_print(pen, STYLE_DIM, "  %s ", label);
    pen_right(pen, 3, is_known(count) ? STYLE_TEXT : STYLE_DIM, words);
}

void draw_totals(struct drawing *drawing, int row)
{
    struct totals totals = totals_of(drawing);
    const char *mark = totals.kv_worked_out ? "~" : "";
    struct pen pen = pen_at(drawing, row, 1);
    bool is_full = drawing->layout == LAYOUT_FULL;

    pen.faded = totals.faded;
    pen_print(&pen, STYLE_DIM, "VRAM ");
    put_share(&pen, "", totals.allocated, totals.total);
    pen_print(&pen, STYLE_DIM, "  KV used ");
    put_share(&pen, mark, totals.kv_used,
              is_full ? totals.kv_capacity : VRAMSCOPE_UNKNOWN);
    if (totals.kv_unknown > 0)
        pen_print(&pen, STYLE_DIM, " +%" PRId64 " unknown", totals.kv_unknown);
    pen_skip(&pen, 2);
    put_hit_rate(&pen, &totals);
    put_count(&pen, "running", totals.running);
    put_count(&pen, "waiting", totals.waiting);
    put_count(&pen, "preempted", totals.preempted);
}

/* Two lines, the second of which gives way to what is wrong. */
void draw_mini_totals(struct drawing *drawing, struct area area)
{
    struct totals totals = totals_of(drawing);
    struct pen pen = pen_at(drawing, area.row, 0);
    const char *badge = standstill(drawing->view);
    char words[FIGURE_TEXT_SIZE];
    int lost = 0;

    if (!badge && drawing->view->is_over)
        badge = "ENDED";
    for (size_t i = 0; i < drawing->view->n_hosts; i++)
        lost += !has_news(drawing, drawing->view->hosts[i]);
    pen.faded = totals.faded;
    pen_print(&pen, STYLE_DIM, "VRAM ");
    put_share(&pen, "", totals.allocated, totals.total);
    pen.end = drawing->canvas->columns;
    if (pen_room(&pen) > 9) {
        pen_skip(&pen, pen_room(&pen) - (badge ? (int)strlen(badge) + 2 : 6));
        if (badge)
            pen_badge(&pen, badge);
        else if (!lost)
            pen_print(&pen, STYLE_GOOD, "%s live", drawing->signs->live);
    }
    if (area.rows < 2)
        return;

    pen = pen_at(drawing, area.row + 1, 0);
    if (drawing->view->n_hosts == 1 && lost) {
        put_host_state(&pen, drawing->view->hosts[0]);
        pen_skip(&pen, 2);
    } else if (lost) {
        pen_print(&pen, STYLE_CRITICAL, "%s %d silent  ", drawing->signs->cross, lost);
    }
    pen.faded = totals.faded;
    pen_print(&pen, STYLE_DIM, "KV ");
    bytes_text(words, totals.kv_used);
    pen_print(&pen, is_known(totals.kv_used) ? STYLE_STRONG : STYLE_DIM, "%s%s",
              totals.kv_worked_out ? "~" : "", words);
    pen_skip(&pen, 3);
    if (pen_room(&pen) >= 14)
        put_hit_rate(&pen, &totals);
}

/* A gateway that hears none of its nodes, for want of the server they publish to. */
static bool is_cut_off(const struct vramscope_detail *detail)
{
    return detail->fleet && !detail->fleet->nats_connected;
}

static bool needs_banner(const struct drawing *drawing, const struct host *host)
{
    const struct vramscope_detail *detail = detail_of(drawing, host);

    if (!detail)
        return host->state != HOST_CONNECTING;
    return host->state == HOST_NO_DATA || is_driver_faded(drawing, host) ||
           is_cut_off(detail);
}

int host_banners(const struct drawing *drawing)
{
    int n = 0;

    for (size_t i = 0; i < drawing->view->n_hosts; i++)
        n += needs_banner(drawing, drawing->view->hosts[i]);
    return MIN(n, (int)BANNERS_MAX);
}

static void put_retry(struct pen *pen, const struct host *host)
{
    int64_t wait = host->retry_at_ms - pen->drawing->view->now_unix_ms;
    char words[FIGURE_TEXT_SIZE];

    if (host->state == HOST_GONE && pen->drawing->view->is_recording) {
        pen_print(pen, STYLE_DIM, "  Left goes back");
    } else if (host->state == HOST_GONE) {
        pen_print(pen, STYLE_DIM, "  not tried again");
    } else if (host->state == HOST_LOST && host->retry_at_ms > 0) {
        age_text(words, wait);
        pen_print(pen, STYLE_DIM, wait > 0 ? "  again in %s" : "  trying again", words);
    }
}

/* Why its figures are not of now. */
static void put_why(struct pen *pen, const struct host *host, const char *age)
{
    const struct vramscope_detail *detail = detail_of(pen->drawing, host);
    char driver[FIGURE_TEXT_SIZE];

    if (host->state != HOST_LIVE) {
        pen_print(pen, STYLE_TEXT, "%s", host->reason);
        if (!is_faded(pen->drawing, host) && host->remedy[0] &&
            pen_room(pen) >= display_width(span_of(host->remedy)) + 2)
            pen_print(pen, STYLE_DIM, "; %s", host->remedy);
    } else if (is_faded(pen->drawing, host)) {
        pen_print(pen, STYLE_TEXT, "connected, but nothing has come for %s", age);
    } else if (detail && is_driver_stale(detail)) {
        age_text(driver, detail->gpu_age_ms);
        pen_print(pen, STYLE_TEXT, "the GPU driver is silent: its figures are %s old",
                  driver);
    } else if (detail && is_cut_off(detail)) {
        pen_print(pen, STYLE_TEXT,
                  "the gateway is not connected to NATS: no node is heard");
    }
}

static void draw_banner(struct drawing *drawing, int row, const struct host *host)
{
    struct pen pen = pen_at(drawing, row, 1);
    char age[FIGURE_TEXT_SIZE];

    age_text(age, age_of(drawing, host));
    if (drawing->view->n_hosts > 1) {
        put_host_state(&pen, host);
        pen_print(&pen, STYLE_STRONG, "  %s  ", host->name);
    } else { // the title tells its state
        pen_print(&pen, STYLE_WARNING, "%s ", drawing->signs->alarm);
    }
    put_why(&pen, host, age);
    put_retry(&pen, host);
    if (detail_of(drawing, host) && host->state != HOST_LIVE && is_faded(drawing, host) &&
        !drawing->view->is_recording)
        pen_print(&pen, STYLE_DIM, "  figures are %s old", age);
}

void draw_banners(struct drawing *drawing, struct area area)
{
    int silent = 0, drawn = 0;

    for (size_t i = 0; i < drawing->view->n_hosts; i++)
        silent += needs_banner(drawing, drawing->view->hosts[i]);
    for (size_t i = 0; i < drawing->view->n_hosts && drawn < area.rows; i++) {
        const struct host *host = drawing->view->hosts[i];
        struct pen pen = pen_at(drawing, area.row + drawn, 1);

        if (!needs_banner(drawing, host))
            continue;
        if (drawn == area.rows - 1 && silent > area.rows)
            pen_print(&pen, STYLE_WARNING, "%s and %d more hosts", drawing->signs->alarm,
                      silent - drawn);
        else
            draw_banner(drawing, area.row + drawn, host);
        drawn++;
    }
}

static void write_silent_host(struct sheet *sheet, const struct host *host)
{
    struct pen pen = sheet_line(sheet);

    pen = sheet_line(sheet);
    put_host_state(&pen, host);
    pen_print(&pen, STYLE_STRONG, "  %s", host->name);
    put_retry(&pen, host);
    if (host->reason[0])
        sheet_wrap(sheet, 4, STYLE_TEXT, "%s", host->reason);
    if (host->remedy[0])
        sheet_wrap(sheet, 4, STYLE_STRONG, "%s", host->remedy);
}

static void write_no_figures(struct sheet *sheet, const void *ctx)
{
    const struct view *view = ctx;

    if (sheet->drawing->layout != LAYOUT_MINI)
        (void)sheet_line(sheet);
    sheet_wrap(sheet, 0, STYLE_STRONG,
               view->n_hosts == 0 ? "No host is followed: start with --url URL."
               : view->gateway    ? "There are no figures of this node."
               : view->n_hosts == 1
                   ? "No figures have come from this host yet."
                   : "No figures have come from any of these hosts yet.");
    for (size_t i = 0; i < view->n_hosts; i++)
        write_silent_host(sheet, view->hosts[i]);
    (void)sheet_line(sheet);
    if (view->gateway) {
        sheet_wrap(sheet, 0, STYLE_DIM,
                   "Esc goes back to the fleet, where e tells what it said last.");
        return;
    }
    sheet_wrap(sheet, 0, STYLE_DIM,
               "`vramscope doctor` looks at each step from here to the driver and says "
               "which one fails. `vramscoped --demo` shows all of this without a GPU.");
}

void draw_no_figures(struct drawing *drawing, struct area area)
{
    sheet_draw(drawing, area, (struct sheet_look){"Waiting for figures", NULL},
               write_no_figures, drawing->view);
}
