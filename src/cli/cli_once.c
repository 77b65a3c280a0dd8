// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_feed.h"
#include "cli/cli_json.h"
#include "cli/cli_output.h"
#include "cli/cli_table.h"
#include "tui/draw.h"
#include "tui/model_value.h"

#include <stdio.h>

/* Numbers as the screen has them: "0,1", of instances "2/1". */
static void model_gpus(const struct vramscope_detail *detail, size_t i, char *ret)
{
    const struct vramscope_model *model = detail->models[i];
    size_t len = 0;

    cli_set_text(ret, NULL);
    for (size_t k = 0; k < model->n_devices && len + DEVICE_LABEL_SIZE < CLI_CELL_SIZE;
         k++) {
        int64_t at = model->devices[k];
        char number[DEVICE_LABEL_SIZE];

        if (at < 0 || (uint64_t)at >= detail->n_devices)
            continue;
        device_number(number, detail, detail->devices[at]);
        len += (size_t)snprintf(ret + len, CLI_CELL_SIZE - len, "%s%s", len ? "," : "",
                                number);
    }
}

static void device_index(const struct vramscope_detail *detail, size_t i, char *ret)
{
    device_number(ret, detail, detail->devices[i]);
}

static void model_state(const struct vramscope_detail *detail, size_t i, char *ret)
{
    const struct vramscope_model *model = detail->models[i];

    (void)snprintf(ret, CLI_CELL_SIZE, "%s%s", model->state ? model->state : "--",
                   model->stale ? " stale" : "");
}

/* Of a gateway's row: "ready/all". */
static void model_nodes(const struct vramscope_detail *detail, size_t i, char *ret)
{
    const struct vramscope_model *model = detail->models[i];

    cli_set_text(ret, NULL);
    if (model->nodes >= 0 && model->nodes_ready >= 0)
        (void)snprintf(ret, CLI_CELL_SIZE, "%lld/%lld", (long long)model->nodes_ready,
                       (long long)model->nodes);
}

static void model_ratio(const struct vramscope_detail *detail, size_t i, char *ret)
{
    percent_text(ret, 100 * detail->models[i]->kv_usage_ratio);
}

// clang-format off
CLI_CELL(model_name, cli_set_text, detail->models[i]->model)
CLI_CELL(model_port, cli_set_number, detail->models[i]->port)
CLI_CELL(model_vram, figure_text, &detail->models[i]->allocated)
CLI_CELL(model_used, figure_text, &detail->models[i]->kv_used)
CLI_CELL(model_capacity, figure_text, &detail->models[i]->kv_capacity)
CLI_CELL(model_hit, percent_text, detail->models[i]->prefix_minute.hit_percent)
CLI_CELL(model_running, count_text, detail->models[i]->requests_running)
CLI_CELL(model_waiting, count_text, detail->models[i]->requests_waiting)
CLI_CELL(model_preempted, count_text, detail->models[i]->requests_preemptions)
CLI_CELL(model_age, age_text, detail->models[i]->age_ms)
CLI_CELL(device_name, cli_set_text, detail->devices[i]->name)
CLI_CELL(device_total, bytes_text, detail->devices[i]->total_bytes)
CLI_CELL(device_used, bytes_text, detail->devices[i]->used_bytes)
CLI_CELL(device_models, bytes_text, detail->devices[i]->models_bytes)
CLI_CELL(device_pool, figure_text, &detail->devices[i]->kv_pool)
CLI_CELL(device_kv, figure_text, &detail->devices[i]->kv_used)
CLI_CELL(device_other, bytes_text, detail->devices[i]->other_bytes)
CLI_CELL(device_orphan, bytes_text, detail->devices[i]->orphan_bytes)
CLI_CELL(device_rest, bytes_text, detail->devices[i]->unattributed_bytes)

static const struct cli_column device_columns[] = {
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

static const struct cli_column model_columns[] = {
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

/* Rows of a gateway, each over several nodes. */
static const struct cli_column fleet_columns[] = {
    {"MODEL", 48, model_name},
    {"PORT", -5, model_port},
    {"NODES", -9, model_nodes},
    {"STATE", 24, model_state},
    {"VRAM", -12, model_vram},
    {"KV USED", -12, model_used},
    {"KV CAP", -12, model_capacity},
    {"KV%", -8, model_ratio},
    {"HIT(1m)", -8, model_hit},
    {"RUN", -8, model_running},
    {"WAIT", -8, model_waiting},
    {"PREEMPT", -8, model_preempted},
};
// clang-format on

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
    char counts[CLI_COUNTS_SIZE];
    struct span name = cli_host_name(url);
    bool has_driver = detail->n_sources > 0;

    cli_time_text(when, detail->unix_ms);
    figure_text(total, &detail->total);
    figure_text(used, &detail->allocated);
    cli_kv_used_text(kv, detail);
    percent_text(hit, detail->prefix_hit_percent);
    age_text(age, detail->gpu_age_ms);
    cli_print("%.*s%s%s  %s  vramscoped %s%s%s%s%s", (int)name.len, name.at,
              detail->node ? " > " : "", detail->node ? detail->node : "", when,
              detail->version ? detail->version : "--", detail->fleet ? "  gateway" : "",
              has_driver ? "  driver's figures: " : "", has_driver ? age : "",
              has_driver ? " old" : "");
    if (detail->fleet) {
        cli_node_counts(counts, detail->fleet);
        cli_print("%s", counts);
    }
    if (detail->outage)
        cli_print_word(LOOK_WORST, "no figures", ": %s%s%s", cli_outage_text(detail),
                       detail->outage->remedy ? "; " : "",
                       text_or_empty(detail->outage->remedy));
    else
        cli_print("VRAM %s of %s   KV cache in use %s   prefix cache hit %s", used, total,
                  kv, hit);
    if (detail->kv_unknown_models > 0)
        cli_print("KV cache in use is not known of %lld models",
                  (long long)detail->kv_unknown_models);
}

void cli_print_detail(const char *url, const struct vramscope_detail *detail)
{
    struct cli_table devices = {device_columns, ARRAY_LEN(device_columns),
                                detail->n_devices, NULL};
    struct cli_table models = {model_columns, ARRAY_LEN(model_columns), detail->n_models,
                               NULL};

    if (detail->fleet) {
        models.columns = fleet_columns;
        models.n_columns = ARRAY_LEN(fleet_columns);
    }
    print_totals(url, detail);
    cli_print_nodes(detail);
    cli_print_table(detail, &devices);
    cli_print_table(detail, &models);
    if (detail->models_left_out > 0)
        cli_print("and %lld smaller models", (long long)detail->models_left_out);
    if (detail->n_models == 0 && !detail->outage)
        cli_print("no models");
}

static void tell(const struct cli *cli, const char *url, const struct newest *newest)
{
    char source[CLI_SOURCE_SIZE];

    cli_source_name(source, cli, url);
    cli_message("%s: %s%s%s", source, newest->reason.text,
                *newest->remedy.text ? ". " : "", newest->remedy.text);
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

        if (!newest[i].detail || newest[i].detail->outage)
            status = CLI_FAILED;
        if (!newest[i].detail) {
            tell(cli, cli->urls[i], &newest[i]);
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
