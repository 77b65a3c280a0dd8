// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_feed.h"
#include "cli/cli_json.h"
#include "cli/cli_output.h"
#include "tui/display_text.h"
#include "tui/draw.h"

#include <stdio.h>

enum {
    CELL_SIZE = 1100, // a name of 512 bytes, cleaned
    COLUMNS_MAX = 16,
    LINE_MAX_LEN = 8192,
};

/* What a table shows of entry `i` of its list. */
typedef void cell_fn(const struct vramscope_detail *detail, size_t i, char *ret);

struct table_column {
    const char *name;
    int widest; // cells; negative: to the right
    cell_fn *cell;
};

static void set(char *ret, const char *text)
{
    (void)snprintf(ret, CELL_SIZE, "%s", text && *text ? text : "--");
}

static void set_number(char *ret, int64_t number)
{
    (void)snprintf(ret, CELL_SIZE, "%lld", (long long)number);
    if (number == VRAMSCOPE_UNKNOWN)
        set(ret, NULL);
}

/* Numbers as the screen has them: "0,1", of instances "2/1". */
static void model_gpus(const struct vramscope_detail *detail, size_t i, char *ret)
{
    const struct vramscope_model *model = detail->models[i];
    size_t len = 0;

    set(ret, NULL);
    for (size_t k = 0; k < model->n_devices && len + DEVICE_LABEL_SIZE < CELL_SIZE; k++) {
        int64_t at = model->devices[k];
        char number[DEVICE_LABEL_SIZE];

        if (at < 0 || (uint64_t)at >= detail->n_devices)
            continue;
        device_number(number, detail, detail->devices[at]);
        len +=
            (size_t)snprintf(ret + len, CELL_SIZE - len, "%s%s", len ? "," : "", number);
    }
}

static void device_index(const struct vramscope_detail *detail, size_t i, char *ret)
{
    device_number(ret, detail, detail->devices[i]);
}

static void model_state(const struct vramscope_detail *detail, size_t i, char *ret)
{
    const struct vramscope_model *model = detail->models[i];

    (void)snprintf(ret, CELL_SIZE, "%s%s", model->state ? model->state : "--",
                   model->stale ? " stale" : "");
}

static void model_ratio(const struct vramscope_detail *detail, size_t i, char *ret)
{
    percent_text(ret, 100 * detail->models[i]->kv_usage_ratio);
}

/* A column that is a member, shown by a function of draw.h. */
#define CELL(name, show, value)                                                  \
    static void name(const struct vramscope_detail *detail, size_t i, char *ret) \
    {                                                                            \
        show(ret, value);                                                        \
    }
// clang-format off
CELL(model_name, set, detail->models[i]->model)
CELL(model_port, set_number, detail->models[i]->port)
CELL(model_vram, figure_text, &detail->models[i]->allocated)
CELL(model_used, figure_text, &detail->models[i]->kv_used)
CELL(model_capacity, figure_text, &detail->models[i]->kv_capacity)
CELL(model_hit, percent_text, detail->models[i]->prefix_minute.hit_percent)
CELL(model_running, count_text, detail->models[i]->requests_running)
CELL(model_waiting, count_text, detail->models[i]->requests_waiting)
CELL(model_preempted, count_text, detail->models[i]->requests_preemptions)
CELL(model_age, age_text, detail->models[i]->age_ms)
CELL(device_name, set, detail->devices[i]->name)
CELL(device_total, bytes_text, detail->devices[i]->total_bytes)
CELL(device_used, bytes_text, detail->devices[i]->used_bytes)
CELL(device_models, bytes_text, detail->devices[i]->models_bytes)
CELL(device_pool, figure_text, &detail->devices[i]->kv_pool)
CELL(device_kv, figure_text, &detail->devices[i]->kv_used)
CELL(device_other, bytes_text, detail->devices[i]->other_bytes)
CELL(device_orphan, bytes_text, detail->devices[i]->orphan_bytes)
CELL(device_rest, bytes_text, detail->devices[i]->unattributed_bytes)

static const struct table_column device_columns[] = {
    {"GPU", -8, device_index},
    {"NAME", 32, device_name},
    {"TOTAL", -12, device_total},
    {"USED", -12, device_used},
    {"MODELS", -12, device_models},
    {"KV POOL", -12, device_pool},
    {"KV USED", -12, device_kv},
    {"OTHER", -12, device_other},
    {"ORPHAN", -12, device_orphan},
    {"UNATTRIB", -12, device_rest},
};

static const struct table_column model_columns[] = {
    {"MODEL", 48, model_name},
    {"PORT", -5, model_port},
    {"GPU", 16, model_gpus},
    {"STATE", 24, model_state},
    {"VRAM", -12, model_vram},
    {"KV USED", -12, model_used},
    {"KV CAP", -12, model_capacity},
    {"KV%", -8, model_ratio},
    {"HIT(1m)", -8, model_hit},
    {"RUN", -8, model_running},
    {"WAIT", -8, model_waiting},
    {"PREEMPT", -8, model_preempted},
    {"AGE", -8, model_age},
};
// clang-format on

_Static_assert(ARRAY_LEN(model_columns) <= COLUMNS_MAX, "each has its width");
_Static_assert(ARRAY_LEN(device_columns) <= COLUMNS_MAX, "each has its width");

struct table {
    const struct table_column *columns;
    size_t n_columns;
    size_t n_rows;
};

static int width_of(const char *text)
{
    struct buf clean;
    int width;

    buf_init(&clean, CELL_SIZE * 4);
    display_text(&clean, span_of(text), false, -1);
    width = display_width(buf_span(&clean));
    buf_done(&clean);
    return width;
}

/* As wide as the widest cell, within the column's bounds; a negative one is kept so. */
static int fit(const struct vramscope_detail *detail, const struct table *table, size_t k)
{
    const struct table_column *column = &table->columns[k];
    int widest = abs(column->widest), width = (int)strlen(column->name), wanted;
    char cell[CELL_SIZE];

    for (size_t i = 0; i < table->n_rows && width < widest; i++) {
        column->cell(detail, i, cell);
        wanted = width_of(cell);
        width = wanted > width ? wanted : width;
    }
    width = MIN(width, widest);
    return column->widest < 0 ? -width : width;
}

static void print_row(const struct vramscope_detail *detail, const struct table *table,
                      const int *widths, const size_t *row)
{
    struct buf line;

    buf_init(&line, LINE_MAX_LEN);
    for (size_t k = 0; k < table->n_columns; k++) {
        char cell[CELL_SIZE];

        if (row)
            table->columns[k].cell(detail, *row, cell);
        cli_add_cell(&line, widths[k], row ? cell : table->columns[k].name);
    }
    while (line.len > 0 && line.data[line.len - 1] == ' ')
        buf_cut(&line, line.len - 1);
    cli_print("%.*s", (int)line.len, line.data);
    buf_done(&line);
}

static void print_table(const struct vramscope_detail *detail, const struct table *table)
{
    int widths[COLUMNS_MAX];

    if (table->n_rows == 0)
        return;
    cli_print("%s", "");
    for (size_t k = 0; k < table->n_columns; k++)
        widths[k] = fit(detail, table, k);
    print_row(detail, table, widths, NULL);
    for (size_t i = 0; i < table->n_rows; i++)
        print_row(detail, table, widths, &i);
}

/* A sum is worked out where one of its parts is. */
void cli_kv_used_text(char ret[FIGURE_TEXT_SIZE], const struct vramscope_detail *detail)
{
    struct vramscope_figure sum = {detail->kv_used_bytes, VRAMSCOPE_FROM_ENGINE,
                                   VRAMSCOPE_UNKNOWN, NULL};

    for (size_t i = 0; i < detail->n_models; i++) {
        const struct vramscope_figure *part = &detail->models[i]->kv_used;

        if (part->value != VRAMSCOPE_UNKNOWN && part->from > sum.from)
            sum.from = part->from; // the less certain come later
    }
    figure_text(ret, &sum);
}

static void print_totals(const char *url, const struct vramscope_detail *detail)
{
    char when[CLI_TIME_SIZE], total[FIGURE_TEXT_SIZE], used[FIGURE_TEXT_SIZE];
    char kv[FIGURE_TEXT_SIZE], hit[FIGURE_TEXT_SIZE], age[FIGURE_TEXT_SIZE];
    struct span name = cli_host_name(url);

    cli_time_text(when, detail->unix_ms);
    figure_text(total, &detail->total);
    figure_text(used, &detail->allocated);
    cli_kv_used_text(kv, detail);
    percent_text(hit, detail->prefix_hit_percent);
    age_text(age, detail->gpu_age_ms);
    cli_print("%.*s  %s  vramscoped %s  driver's figures: %s old", (int)name.len, name.at,
              when, detail->version ? detail->version : "--", age);
    cli_print("VRAM %s of %s   KV cache in use %s   prefix cache hit %s", used, total, kv,
              hit);
    if (detail->kv_unknown_models > 0)
        cli_print("KV cache in use is not known of %lld models",
                  (long long)detail->kv_unknown_models);
}

void cli_print_detail(const char *url, const struct vramscope_detail *detail)
{
    print_totals(url, detail);
    print_table(detail, &(struct table){device_columns, ARRAY_LEN(device_columns),
                                        detail->n_devices});
    print_table(detail, &(struct table){model_columns, ARRAY_LEN(model_columns),
                                        detail->n_models});
    if (detail->n_models == 0)
        cli_print("no models");
}

static void tell(const char *url, const struct newest *newest)
{
    cli_message("%s: %s%s%s", url, newest->reason.text, *newest->remedy.text ? ". " : "",
                newest->remedy.text);
}

int cli_once(const struct cli *cli)
{
    struct newest *newest;
    struct complaint why;
    int status = CLI_OK;

    if (feed_newest(cli, cli->json, CLI_WITHIN_MS, &newest, &why) < 0) {
        cli_message("%s", why.text);
        return CLI_FAILED;
    }
    for (size_t i = 0; i < cli->n_urls; i++) {
        struct span json = {newest[i].json, newest[i].json_len};

        if (!newest[i].detail) {
            status = CLI_FAILED;
            tell(cli->urls[i], &newest[i]);
        } else if (cli->json) {
            cli_print_document(cli->urls[i], "detail", json, cli->n_urls > 1);
        } else {
            if (i > 0)
                cli_print("%s", "");
            cli_print_detail(cli->urls[i], newest[i].detail);
        }
    }
    newest_free(newest, cli->n_urls);
    return status;
}
