// SPDX-License-Identifier: Apache-2.0
/*
 * draw_events.c - what happened, newest first; and the processes on the devices
 */
#include "tui/draw_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { DAY_MS = 24 * 60 * 60 * 1000 };

/* The changes of all hosts, merged by time. */
struct merge {
    const struct drawing *drawing;
    uint32_t next[VIEW_HOSTS_MAX];
};

static const struct change *merge_next(struct merge *merge, const struct host **ret_host)
{
    const struct view *view = merge->drawing->view;
    const struct change *newest = NULL;
    size_t from = 0, n = MIN(view->n_hosts, (size_t)VIEW_HOSTS_MAX);

    for (size_t i = 0; i < n; i++) {
        const struct change *change;

        if (merge->next[i] >= view->hosts[i]->n_changes)
            continue;
        change = host_change(view->hosts[i], merge->next[i]);
        if (change && (!newest || change->order_ms > newest->order_ms)) {
            newest = change;
            from = i;
        }
    }
    if (!newest)
        return NULL;
    merge->next[from]++;
    *ret_host = view->hosts[from];
    return newest;
}

/* The sign of how bad it is, and the style of sign and text. */
struct change_look {
    const char *sign;
    enum style sign_style, text_style;
};

static struct change_look look_of(const struct signs *signs,
                                  enum vramscope_severity severity)
{
    switch (severity) {
    case VRAMSCOPE_SEVERITY_WARNING:
        return (struct change_look){signs->alarm, STYLE_WARNING, STYLE_STRONG};
    case VRAMSCOPE_SEVERITY_CRITICAL:
        return (struct change_look){signs->cross, STYLE_CRITICAL, STYLE_CRITICAL};
    case VRAMSCOPE_SEVERITY_UNKNOWN:
    case VRAMSCOPE_SEVERITY_INFO:
        break;
    }
    return (struct change_look){signs->dot, STYLE_DIM, STYLE_TEXT};
}

/* The time of day, or of what is older than a day the date, in as much room. */
static void moment_text(char ret[FIGURE_TEXT_SIZE], int64_t unix_ms, int64_t now_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm date;

    if (now_ms - unix_ms < DAY_MS || !localtime_r(&seconds, &date))
        time_text(ret, unix_ms);
    else
        (void)strftime(ret, FIGURE_TEXT_SIZE, "%m-%d   ", &date);
}

static void put_change(struct pen *pen, const struct change *change,
                       const struct host *host)
{
    struct change_look look = look_of(pen->drawing->signs, change->severity);
    char when[FIGURE_TEXT_SIZE];

    // A day by the clock of who tells it: the last document's, or ours.
    moment_text(when, change->unix_ms,
                pen->drawing->view->now_unix_ms - (change->order_ms - change->unix_ms));
    pen_print(pen, STYLE_DIM, "%s ", when);
    pen_print(pen, look.sign_style, " %s ", look.sign);
    if (pen->drawing->view->n_hosts > 1) {
        pen_fit(pen, 14, STYLE_DIM, host->name);
        pen_skip(pen, 1);
    }
    if (pen->drawing->view->has_gateway) {
        pen_cut(pen, 14, STYLE_DIM, change->node);
        pen_skip(pen, 1);
    }
    pen_cut(pen, pen_room(pen), look.text_style, change->text);
}

void draw_last_events(struct drawing *drawing, struct area area)
{
    struct merge merge = {.drawing = drawing};

    for (int i = 0; i < area.rows; i++) {
        const struct host *host = NULL;
        const struct change *change = merge_next(&merge, &host);
        struct pen pen = pen_at(drawing, area.row + i, 1);

        if (!change)
            break;
        put_change(&pen, change, host);
    }
}

/* Whose daemon keeps no events: what is told of it is of its connection alone. */
static void write_silent(struct sheet *sheet)
{
    const struct view *view = sheet->drawing->view;

    for (size_t i = 0; i < view->n_hosts; i++) {
        const struct host *host = view->hosts[i];

        if (host->detail && !host->detail->tells_events)
            sheet_wrap(sheet, 0, STYLE_DIM,
                       "%s is of a version that tells no events: of it there is the "
                       "connection alone.",
                       host->name);
    }
}

static void write_events(struct sheet *sheet, const void *ctx)
{
    struct merge merge = {.drawing = sheet->drawing};
    const struct change *change;
    const struct host *host = NULL;

    (void)ctx;
    write_silent(sheet);
    while ((change = merge_next(&merge, &host))) {
        struct pen pen = sheet_line(sheet);

        put_change(&pen, change, host);
    }
    if (sheet->line == 0)
        sheet_wrap(sheet, 0, STYLE_DIM,
                   "Nothing has happened since this program began to look.");
}

void draw_events(struct drawing *drawing, struct area area)
{
    sheet_draw(drawing, area, (struct sheet_look){"Events, newest first", NULL},
               write_events, NULL);
}

/* ---- Processes ---- */

static const struct vramscope_model *model_of(const struct vramscope_detail *detail,
                                              const struct vramscope_process *process)
{
    if (!is_known(process->port))
        return NULL;
    for (size_t i = 0; i < detail->n_models; i++)
        if (detail->models[i]->port == process->port)
            return detail->models[i];
    return NULL;
}

static void put_owner(struct pen *pen, const struct vramscope_process *process)
{
    const char *owner = process->owner ? process->owner : "--";
    int end = pen->column + 10;

    if (strcmp(owner, "orphan") == 0) {
        pen_print(pen, STYLE_CRITICAL, "%s", pen->drawing->signs->alarm);
        pen_badge(pen, "ORPHAN");
    } else {
        pen_fit(pen, 9, strcmp(owner, "engine") == 0 ? STYLE_TEXT : STYLE_DIM, owner);
    }
    pen_to(pen, end);
}

static void write_process(struct sheet *sheet, const struct host *host,
                          const struct vramscope_detail *detail,
                          const struct vramscope_process *process)
{
    const struct vramscope_model *model = model_of(detail, process);
    struct pen pen = sheet_line(sheet);
    char words[DEVICE_LABEL_SIZE] = "--", name[HOST_NAME_SIZE];

    pen.faded = is_driver_faded(sheet->drawing, host);
    if (sheet->drawing->view->n_hosts > 1) {
        host_label(name, sheet->drawing->view, host);
        pen_tail(&pen, 14, STYLE_DIM, name);
        pen_skip(&pen, 1);
    }
    snprintf(words, sizeof(words), "%" PRId64, process->pid);
    pen_right(&pen, 8, STYLE_TEXT, is_known(process->pid) ? words : "--");
    bytes_short(words, process->bytes);
    pen_right(&pen, 9, is_known(process->bytes) ? STYLE_STRONG : STYLE_DIM, words);
    pen_skip(&pen, 2);
    snprintf(words, sizeof(words), "--");
    if (device_of(detail, process->device))
        device_label(words, detail, device_of(detail, process->device));
    pen_cut(&pen, 9, STYLE_DIM, words);
    put_owner(&pen, process);
    pen_cut(&pen, 17, STYLE_TEXT, process->comm ? process->comm : "--");
    if (model)
        pen_fit(&pen, pen_room(&pen), STYLE_TEXT, model->model);
}

static void write_processes(struct sheet *sheet, const void *ctx)
{
    const struct view *view = sheet->drawing->view;

    (void)ctx;
    for (size_t i = 0; i < view->n_hosts; i++) {
        const struct vramscope_detail *detail = view->shown[i];

        for (size_t k = 0; detail && k < detail->n_processes; k++)
            write_process(sheet, view->hosts[i], detail, detail->processes[k]);
        if (detail && is_known(detail->processes_left_out) &&
            detail->processes_left_out > 0)
            sheet_wrap(sheet, 0, STYLE_DIM, "and %" PRId64 " smaller ones",
                       detail->processes_left_out);
    }
    if (sheet->line == 0)
        sheet_wrap(sheet, 0, STYLE_DIM, "No process holds device memory.");
}

void draw_processes(struct drawing *drawing, struct area area)
{
    char heading[128];

    snprintf(heading, sizeof(heading), "%s%8s%9s  %-9s%-10s%-17s%s",
             drawing->view->n_hosts > 1 ? "HOST           " : "", "PID", "VRAM GiB",
             "DEVICE", "OWNER", "NAME", "MODEL");
    sheet_draw(drawing, area,
               (struct sheet_look){"Processes that hold device memory", heading},
               write_processes, NULL);
}
