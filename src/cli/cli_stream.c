// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_feed.h"
#include "cli/cli_json.h"
#include "cli/cli_output.h"
#include "tui/draw.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { CSV_LINE_MAX = 64 << 10 };

/* When each daemon's next document may be shown, by feed_now_ms(). */
struct pace {
    int64_t next_ms[CLI_URLS_MAX];
};

/*
 * Whether a document may be shown now. One that comes by a tenth too early is not put off
 * until the one after it.
 */
static bool is_due(struct pace *pace, const struct cli *cli, size_t which)
{
    int64_t now_ms = feed_now_ms();

    if (cli->interval_ms == 0)
        return true;
    if (now_ms < pace->next_ms[which] - cli->interval_ms / 10)
        return false;
    pace->next_ms[which] =
        MAX(pace->next_ms[which], now_ms - cli->interval_ms / 10) + cli->interval_ms;
    return true;
}

static int64_t sum_of_requests(const struct vramscope_detail *detail, bool waiting)
{
    int64_t sum = 0;

    if (detail->fleet) // whose rows may not be all
        return waiting ? detail->fleet->requests_waiting
                       : detail->fleet->requests_running;
    for (size_t i = 0; i < detail->n_models; i++) {
        const struct vramscope_model *model = detail->models[i];
        int64_t n = waiting ? model->requests_waiting : model->requests_running;

        if (n != VRAMSCOPE_UNKNOWN && __builtin_add_overflow(sum, n, &sum))
            return VRAMSCOPE_UNKNOWN;
    }
    return sum;
}

static void print_text(const struct cli *cli, size_t which,
                       const struct vramscope_detail *detail)
{
    struct span name = cli_host_name(cli->urls[which]);
    char when[CLI_TIME_SIZE], total[FIGURE_TEXT_SIZE], used[FIGURE_TEXT_SIZE];
    char kv[FIGURE_TEXT_SIZE], hit[FIGURE_TEXT_SIZE];
    char running[FIGURE_TEXT_SIZE], waiting[FIGURE_TEXT_SIZE];
    char nodes[64] = "";
    size_t n_stale = 0;

    cli_time_text(when, detail->unix_ms);
    for (size_t i = 0; i < detail->n_models; i++)
        n_stale += detail->models[i]->stale;
    figure_text(total, &detail->total);
    figure_text(used, &detail->allocated);
    cli_kv_used_text(kv, detail);
    percent_text(hit, detail->prefix_hit_percent);
    count_text(running, sum_of_requests(detail, false));
    count_text(waiting, sum_of_requests(detail, true));
    if (detail->fleet)
        (void)snprintf(nodes, sizeof(nodes), "  nodes live %lld of %lld",
                       (long long)MAX(detail->fleet->live, (int64_t)0),
                       (long long)MAX(detail->fleet->nodes, (int64_t)0));
    cli_print("%s %.*s%sVRAM %s of %s  KV %s  hit %s  run %s  wait %s  models %zu%s%s",
              when, cli->n_urls > 1 ? (int)name.len : 0, name.at,
              cli->n_urls > 1 ? " " : "", used, total, kv, hit, running, waiting,
              detail->n_models, n_stale ? ", some stale" : "", nodes);
}

/*
 * A cell as RFC 4180 has it. A text that a spreadsheet would take for a formula begins with
 * an apostrophe.
 */
static void add_csv_text(struct buf *line, const char *text)
{
    const char *formula = text && *text && strchr("=+-@\t", *text) ? "'" : "";

    if (!text)
        text = "";
    if (!*formula && !strpbrk(text, ",\"\r\n")) {
        buf_add_str(line, text);
        return;
    }
    buf_add_char(line, '"');
    buf_add_str(line, formula);
    for (; *text; text++) {
        if (*text == '"')
            buf_add_char(line, '"');
        buf_add_char(line, *text);
    }
    buf_add_char(line, '"');
}

/* Empty where it is not known. */
static void add_csv_number(struct buf *line, int64_t number)
{
    buf_add_char(line, ',');
    if (number != VRAMSCOPE_UNKNOWN)
        buf_printf(line, "%" PRId64, number);
}

static void add_csv_decimal(struct buf *line, double number)
{
    buf_add_char(line, ',');
    if (!isnan(number))
        buf_printf(line, "%.6g", number);
}

static void print_csv_header(void)
{
    cli_print("unix_ms,host,model,port,state,allocated_vram_bytes,used_kv_cache_bytes,"
              "kv_capacity_bytes,kv_usage_ratio,hit_percent_1m,running,waiting,"
              "preemptions,stale");
}

static void print_csv_model(const char *host, int64_t unix_ms,
                            const struct vramscope_model *model)
{
    struct buf line;

    buf_init(&line, CSV_LINE_MAX);
    if (unix_ms != VRAMSCOPE_UNKNOWN)
        buf_printf(&line, "%" PRId64, unix_ms);
    buf_add_char(&line, ',');
    add_csv_text(&line, host);
    buf_add_char(&line, ',');
    add_csv_text(&line, model->model);
    add_csv_number(&line, model->port);
    buf_add_char(&line, ',');
    add_csv_text(&line, model->state);
    add_csv_number(&line, model->allocated.value);
    add_csv_number(&line, model->kv_used.value);
    add_csv_number(&line, model->kv_capacity.value);
    add_csv_decimal(&line, model->kv_usage_ratio);
    add_csv_decimal(&line, model->prefix_minute.hit_percent);
    add_csv_number(&line, model->requests_running);
    add_csv_number(&line, model->requests_waiting);
    add_csv_number(&line, model->requests_preemptions);
    buf_printf(&line, ",%s", model->stale ? "true" : "false");
    if (line.error)
        cli_message("a line is left out: %s", strerror(-line.error));
    else
        cli_print("%.*s", (int)line.len, line.data);
    buf_done(&line);
}

static void print_csv(const struct cli *cli, size_t which,
                      const struct vramscope_detail *detail)
{
    struct span name = cli_host_name(cli->urls[which]);
    OWNED(free_str) char *host = strndup(name.at, name.len);

    for (size_t i = 0; i < detail->n_models; i++)
        print_csv_model(host, detail->unix_ms, detail->models[i]);
}

static void print_event(const struct cli *cli, size_t which,
                        const struct vramscope_event *event)
{
    struct span data = {event->data, event->data_len};

    if (cli->seed)
        cli_print_document(cli->urls[which], "snapshot", data, cli->n_urls > 1);
    else if (cli->json)
        cli_print_document(cli->urls[which], "detail", data, cli->n_urls > 1);
    else if (cli->csv)
        print_csv(cli, which, event->detail);
    else
        print_text(cli, which, event->detail);
}

/* What a line can be made of; of a document without figures as it came alone. */
static bool is_document(const struct cli *cli, const struct vramscope_event *event)
{
    if (event->type == VRAMSCOPE_DETAIL && event->detail->outage)
        return cli->json;
    return event->type == VRAMSCOPE_DETAIL || event->type == VRAMSCOPE_SNAPSHOT;
}

static int follow(const struct cli *cli, struct feed *feed)
{
    struct pace pace = {0};
    int64_t shown = 0;

    if (cli->csv)
        print_csv_header();
    while (cli_flush() == 0) {
        size_t which;
        const struct vramscope_event *event = feed_wait(feed, -1, &which);

        if (!event)
            return errno == EINTR ? CLI_OK : CLI_FAILED;
        feed_tell(feed, which, event);
        if (!is_document(cli, event) || !is_due(&pace, cli, which))
            continue;
        print_event(cli, which, event);
        if (++shown == cli->count)
            return CLI_OK;
    }
    return CLI_FAILED; // told at the end
}

int cli_stream(const struct cli *cli)
{
    struct vramscope_options options = cli_stream_options(cli);
    struct complaint why = {""};
    struct feed *feed;
    int status;

    if (cli->seed)
        options.stream = VRAMSCOPE_STREAM_SEED;
    if (feed_open(cli, &options, &feed, &why) < 0) {
        cli_message("%s", why.text);
        return CLI_FAILED;
    }
    status = follow(cli, feed);
    feed_close(feed);
    return status;
}
