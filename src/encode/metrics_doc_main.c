// SPDX-License-Identifier: Apache-2.0
/*
 * Print docs/metrics.md or, with the argument "manual", man/vramscope-metrics.7, from the
 * same table that the page is written by. Runs at build time; tests compare.
 */
#include "base/base.h"

#include <stdio.h>

enum scope { SELF, HOST, GPU, MODEL, NODE, FLEET, SCOPES };

/* The further labels of a family, as they are to be read. */
#define NONE ""
#define WINDOW "`window`: `1m`, `5m`, `lifetime`"
#define STATE                                                                   \
    "`state`: `loading`, `starting`, `ready`, `sleeping`, `metrics-disabled`, " \
    "`unreachable`"
#define RESULT "`result`: `ok`, `failed`"
#define LIMIT "`what`: as under `limited` in [the detail document](wire.md)"
#define VERSION "`version`"
#define ABOUT_GPU "`name`, `backend`; `parent_uuid` and `gpu_instance` of MIG instances"
#define FLEET_STATE "`state`: `lost`, `unreadable`, `outage`, `stale`, `live`"
#define ABOUT_NODE "`version`, `machine`"
#define GAUGE "gauge"
#define COUNTER "counter"
#define INFO "info"

static const struct {
    enum scope of;
    const char *name, *kind, *more, *help;
} metrics[] = {
#define METRIC(of, name, kind, unit, more, value, help) {of, #name, kind, more, help},
#include "encode/metrics.def"
#undef METRIC
};

static const struct {
    const char *title, *section, *labels;
} scopes[SCOPES] = {
    [SELF] = {"The daemon", "DAEMON",
              "One series each. They are there in an outage, too, when "
              "`vramscope_up` is 0 and all others are absent, but those of a gateway "
              "and its nodes."},
    [HOST] = {"The host", "HOST",
              "One series each. Of a gateway they are sums over its nodes."},
    [GPU] = {"Each GPU, or MIG instance in its place", "GPUS",
             "Labels: `uuid`, and `gpu`, the driver's own number."},
    [MODEL] = {"Each model", "MODELS",
               "Labels: `model`, the served name; `model_id`, the same with every "
               "character but letters and digits made `-`; `port`. Of a gateway each is "
               "the sum over all nodes that serve the model on that port, without the "
               "counters: their sum would fall as a node goes."},
    [NODE] = {"Each node of a gateway", "NODES",
              "Label: `node`, its name. Figures of a node are there while it counts, so "
              "that their sums are those of the fleet; age, clock and messages always."},
    [FLEET] =
        {"A gateway", "GATEWAY",
         "One series each, of a gateway alone; counters are sums since it started."},
};

static const char introduction[] =
    "# Metrics\n"
    "\n"
    "<!-- Made from src/encode/metrics.def: `ninja src/metrics.md` in the build folder "
    "makes it. -->\n"
    "\n"
    "What `GET /metrics` tells; [wire.md](wire.md) has the formats.\n"
    "Names are never changed, only added.\n"
    "A figure that is not known has no series.\n"
    "Where two rows would have the same labels, the later ones have `duplicate`, from "
    "`\"2\"`.\n"
    "An `info` is a gauge in the older format.\n";

static const char manual_introduction[] =
    ".\\\" SPDX-License-Identifier: Apache-2.0\n"
    ".\\\" Made from src/encode/metrics.def: `ninja src/vramscope-metrics.7` in the "
    "build "
    "folder makes it.\n"
    ".Dd $Mdocdate$\n"
    ".Dt VRAMSCOPE-METRICS 7\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm vramscope-metrics\n"
    ".Nd what vramscoped tells Prometheus\n"
    ".Sh SYNOPSIS\n"
    ".Dl curl http://127.0.0.1:6767/metrics\n"
    ".Sh DESCRIPTION\n"
    "Prometheus text or OpenMetrics, as\n"
    ".Li Accept\n"
    "asks for; see\n"
    ".Xr vramscope-wire 7 .\n"
    "Names are never changed, only added.\n"
    "A figure that is not known has no series.\n"
    "Where two rows would have the same labels, the later ones have\n"
    ".Li duplicate ,\n"
    "from\n"
    ".Dq 2 .\n"
    "An info is a gauge in the older format.\n"
    ".Pp\n"
    "Alert rules, an example of a configuration and dashboards for Grafana are in\n"
    ".Pa /usr/share/vramscope .\n";

static const char manual_ending[] = ".Sh SEE ALSO\n"
                                    ".Xr vramscope-wire 7 ,\n"
                                    ".Xr vramscoped 8\n";

/* What is Markdown in the tables, without its signs: `code`, [text](address). */
static void print_plain(const char *text)
{
    for (const char *start = text; *text; text++) {
        if (*text == ']' && text[1] == '(')
            text = strchr(text, ')');
        else if (*text == ' ' && text > start && text[-1] == '.')
            (void)putchar('\n'); // a sentence a line
        else if (*text != '`' && *text != '[')
            (void)putchar(*text);
    }
}

static void print_manual(void)
{
    (void)fputs(manual_introduction, stdout);
    for (enum scope of = 0; of < SCOPES; of++) {
        (void)printf(".Sh %s\n", scopes[of].section);
        print_plain(scopes[of].labels);
        (void)printf("\n.Bl -tag -width Ds\n");
        for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
            if (metrics[i].of != of)
                continue;
            (void)printf(".It Li vramscope_%s Pq %s\n%s\n", metrics[i].name,
                         metrics[i].kind, metrics[i].help);
            if (*metrics[i].more) {
                (void)printf("Further labels: ");
                print_plain(metrics[i].more);
                (void)printf(".\n");
            }
        }
        (void)printf(".El\n");
    }
    (void)fputs(manual_ending, stdout);
}

static void print_page(void)
{
    (void)fputs(introduction, stdout);
    for (enum scope of = 0; of < SCOPES; of++) {
        (void)printf("\n## %s\n\n%s\n\n| name | type | further labels | what it is |\n"
                     "|---|---|---|---|\n",
                     scopes[of].title, scopes[of].labels);
        for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
            if (metrics[i].of == of)
                (void)printf("| `vramscope_%s` | %s | %s | %s |\n", metrics[i].name,
                             metrics[i].kind, metrics[i].more, metrics[i].help);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "manual") == 0)
        print_manual();
    else
        print_page();
    return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
