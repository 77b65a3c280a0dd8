// SPDX-License-Identifier: Apache-2.0
/* As https://www.monitoring-plugins.org/doc/guidelines.html has it. */
#include "cli/cli_feed.h"
#include "cli/cli_output.h"
#include "tui/draw.h"
#include "tui/node_value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    TEXT_MAX = 4096,
    PERFDATA_MAX = 256 << 10,
    LABEL_SIZE = 600,
    NODES_NAMED = 5, // of a finding
    NAMED_MAX = 5,   // findings that are told in words; the others are counted
};

/* From the least to the most severe: what is known to be bad outweighs what is unknown. */
enum severity { SEVERITY_OK, SEVERITY_UNKNOWN, SEVERITY_WARNING, SEVERITY_CRITICAL };

static const struct {
    const char *word;
    int status;
} severities[] = {
    [SEVERITY_OK] = {"OK", 0},
    [SEVERITY_UNKNOWN] = {"UNKNOWN", CLI_UNKNOWN},
    [SEVERITY_WARNING] = {"WARNING", 1},
    [SEVERITY_CRITICAL] = {"CRITICAL", 2},
};

struct check {
    const struct cli *cli;
    enum severity worst;
    size_t n_findings; // of that severity
    struct buf findings;
    struct buf perfdata;
    size_t n_models, n_known, n_nodes;
    double highest; // percent, of those that are known
    char highest_label[LABEL_SIZE];
};

/* In what is not at its place a bar would begin the perfdata. */
static void replace(char *text, const char *what)
{
    for (text += strcspn(text, what); *text; text += strcspn(text, what))
        *text = '-';
}

PRINTF_LIKE(3, 4)
static void find(struct check *check, enum severity severity, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;

    if (severity < check->worst)
        return;
    if (severity > check->worst) {
        check->worst = severity;
        check->n_findings = 0;
        buf_clear(&check->findings);
    }
    if (++check->n_findings > NAMED_MAX)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    replace(text, "|");
    if (check->n_findings > 1)
        buf_add_str(&check->findings, "; ");
    buf_add_str(&check->findings, text);
}

/* "id:port", after "host/" where there are several. */
static void make_label(const struct check *check, size_t which,
                       const struct vramscope_model *model, char ret[LABEL_SIZE])
{
    struct span host = cli_host_name(check->cli->urls[which]);
    bool several = check->cli->n_urls > 1;

    (void)snprintf(ret, LABEL_SIZE, "%.*s%s%.400s:%lld",
                   several ? (int)MIN(host.len, (size_t)128) : 0, host.at,
                   several ? "/" : "", model->model_id ? model->model_id : "",
                   (long long)model->port);
    replace(ret, "'=|");
}

static bool is_meant(const struct cli *cli, const struct vramscope_model *model)
{
    char with_port[LABEL_SIZE];

    if (!cli->model || (model->model && strcmp(cli->model, model->model) == 0) ||
        (model->model_id && strcmp(cli->model, model->model_id) == 0))
        return true;
    (void)snprintf(with_port, sizeof(with_port), "%s:%lld",
                   model->model_id ? model->model_id : "", (long long)model->port);
    return strcmp(cli->model, with_port) == 0;
}

/* Percent of its KV cache in use, NAN if that is not known. */
static double percent_of(const struct vramscope_model *model)
{
    if (isnan(model->kv_usage_ratio) && model->kv_used.value == 0)
        return 0; // asleep: there is none to be used
    return 100 * model->kv_usage_ratio;
}

/* Of rows over several nodes old figures are the node's matter. */
static bool is_too_old(const struct cli *cli, const struct vramscope_model *model)
{
    if (model->nodes != VRAMSCOPE_UNKNOWN)
        return false;
    return model->stale || (cli->max_age_ms && model->age_ms > cli->max_age_ms);
}

static bool is_coming_up(const struct vramscope_model *model)
{
    return model->state && (strcmp(model->state, "loading") == 0 ||
                            strcmp(model->state, "starting") == 0);
}

static void judge_known(struct check *check, const char *label, double percent)
{
    const struct cli *cli = check->cli;
    char text[FIGURE_TEXT_SIZE];

    check->n_known++;
    if (check->n_known == 1 || percent > check->highest) {
        check->highest = percent;
        (void)snprintf(check->highest_label, sizeof(check->highest_label), "%s", label);
    }
    buf_printf(&check->perfdata, " '");
    buf_add_str(&check->perfdata, label);
    buf_printf(&check->perfdata, "'=%.1f%%;%g;%g;0;100", percent, cli->kv_warn,
               cli->kv_crit);
    (void)snprintf(text, sizeof(text), "%.1f %%", percent);
    if (percent >= cli->kv_crit)
        find(check, SEVERITY_CRITICAL, "%s has %s of its KV cache in use (from %g %%)",
             label, text, cli->kv_crit);
    else if (percent >= cli->kv_warn)
        find(check, SEVERITY_WARNING, "%s has %s of its KV cache in use (from %g %%)",
             label, text, cli->kv_warn);
}

static void judge(struct check *check, size_t which, const struct vramscope_model *model)
{
    double percent = percent_of(model);
    char label[LABEL_SIZE], age[FIGURE_TEXT_SIZE];

    check->n_models++;
    make_label(check, which, model, label);
    if (is_coming_up(model) && !check->cli->model)
        return; // has no figures yet, nor should it
    if (is_too_old(check->cli, model)) {
        age_text(age, model->age_ms);
        find(check, SEVERITY_UNKNOWN, "%s is %s, its figures are %s old", label,
             model->state ? model->state : "in an unknown state", age);
    } else if (!isnan(percent)) {
        judge_known(check, label, percent);
    } else if (check->cli->model) {
        find(check, SEVERITY_UNKNOWN, "the KV cache in use of %s is not known: %s", label,
             model->kv_reason ? model->kv_reason : "no reason given");
    }
}

/* "2 nodes are lost (gpu003, gpu013)", or of more the first ones. */
static void find_nodes(struct check *check, enum severity severity,
                       const struct vramscope_detail *detail, enum node_need need,
                       const char *what)
{
    char names[NODES_NAMED * 100] = "";
    size_t n = 0, len = 0;

    for (size_t i = 0; i < detail->n_nodes; i++) {
        if (node_need(detail->nodes[i]) != need)
            continue;
        if (n < NODES_NAMED)
            len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%.90s",
                                    n ? ", " : "", text_or_empty(detail->nodes[i]->node));
        n++;
    }
    if (n > 0)
        find(check, severity, "%zu node%s %s %s (%s%s)", n, n == 1 ? "" : "s",
             n == 1 ? "is" : "are", what, names, n > NODES_NAMED ? ", ..." : "");
}

static void add_count(struct check *check, size_t which, const char *what, int64_t n,
                      int64_t of)
{
    struct span host = cli_host_name(check->cli->urls[which]);
    bool several = check->cli->n_urls > 1;
    char label[LABEL_SIZE];

    if (n < 0 || of < 0)
        return; // not known
    (void)snprintf(label, sizeof(label), "%.*s%s%s",
                   several ? (int)MIN(host.len, (size_t)128) : 0, host.at,
                   several ? "/" : "", what);
    replace(label, "'=|");
    buf_printf(&check->perfdata, " '%s'=%lld;;;0;%lld", label, (long long)n,
               (long long)of);
}

/* Figures of a node that is lost are in no sum: nobody else would see it. */
static void judge_fleet(struct check *check, size_t which,
                        const struct vramscope_detail *detail)
{
    const struct vramscope_fleet *fleet = detail->fleet;

    check->n_nodes += (size_t)MAX(fleet->nodes, (int64_t)0);
    add_count(check, which, "nodes_live", fleet->live, fleet->nodes);
    add_count(check, which, "nodes_lost", fleet->lost, fleet->nodes);
    if (!fleet->nats_connected)
        find(check, SEVERITY_CRITICAL, "%s is not connected to NATS and hears no node",
             check->cli->urls[which]);
    find_nodes(check, SEVERITY_CRITICAL, detail, NODE_NEED_LOST, "lost");
    find_nodes(check, SEVERITY_WARNING, detail, NODE_NEED_UNREADABLE, "unreadable");
    find_nodes(check, SEVERITY_WARNING, detail, NODE_NEED_OUTAGE, "in an outage");
    find_nodes(check, SEVERITY_WARNING, detail, NODE_NEED_STALE, "stale");
    find_nodes(check, SEVERITY_WARNING, detail, NODE_NEED_NAME_TAKEN,
               "not alone with their names");
}

static void judge_daemon(struct check *check, size_t which, const struct newest *newest)
{
    char source[CLI_SOURCE_SIZE];

    cli_source_name(source, check->cli, check->cli->urls[which]);
    if (!newest->detail) {
        find(check, SEVERITY_UNKNOWN, "%s: %s", source, newest->reason.text);
        return;
    }
    if (newest->detail->fleet && !check->cli->model)
        judge_fleet(check, which, newest->detail);
    if (newest->detail->outage)
        find(check, SEVERITY_UNKNOWN, "%s: %s", source, cli_outage_text(newest->detail));
    for (size_t i = 0; i < newest->detail->n_models; i++)
        if (is_meant(check->cli, newest->detail->models[i]))
            judge(check, which, newest->detail->models[i]);
}

/* What only the whole tells. */
static void judge_all(struct check *check)
{
    if (check->n_models == 0 && check->cli->model)
        find(check, SEVERITY_UNKNOWN, "there is no model %s", check->cli->model);
    else if (check->n_models > 0 && check->n_known == 0)
        find(check, SEVERITY_UNKNOWN, "the KV cache in use is not known of any model");
}

static void print_result(struct check *check)
{
    struct buf line;

    buf_init(&line, TEXT_MAX + PERFDATA_MAX);
    buf_printf(&line, "%s - ", severities[check->worst].word);
    if (check->worst != SEVERITY_OK) {
        buf_add(&line, check->findings.data, check->findings.len);
        if (check->n_findings > NAMED_MAX)
            buf_printf(&line, "; and %zu more", check->n_findings - NAMED_MAX);
    } else if (check->n_models == 0) {
        buf_printf(&line, "no models");
        if (check->n_nodes > 0)
            buf_printf(&line, " on %zu nodes", check->n_nodes);
    } else {
        if (check->n_nodes > 0)
            buf_printf(&line, "%zu node%s, ", check->n_nodes,
                       check->n_nodes == 1 ? "" : "s");
        buf_printf(&line, "%zu model%s, most KV cache in use: %.1f %% of ",
                   check->n_models, check->n_models == 1 ? "" : "s", check->highest);
        buf_add_str(&line, check->highest_label);
    }
    if (check->perfdata.len > 0 && !check->perfdata.error) {
        buf_add_str(&line, " |");
        buf_add(&line, check->perfdata.data, check->perfdata.len);
    }
    cli_print("%.*s", (int)line.len, line.data);
    buf_done(&line);
}

int cli_check(const struct cli *cli)
{
    struct check check = {.cli = cli};
    struct complaint why;
    struct newest *newest;

    if (feed_newest(cli, false, CLI_WITHIN_MS, &newest, &why) < 0) {
        cli_print("UNKNOWN - %s", why.text);
        return CLI_UNKNOWN;
    }
    buf_init(&check.findings, (NAMED_MAX + 1) * TEXT_MAX);
    buf_init(&check.perfdata, PERFDATA_MAX);
    for (size_t i = 0; i < cli->n_urls; i++)
        judge_daemon(&check, i, &newest[i]);
    judge_all(&check);
    print_result(&check);
    buf_done(&check.findings);
    buf_done(&check.perfdata);
    newest_free(newest, cli->n_urls);
    return severities[check.worst].status;
}
