// SPDX-License-Identifier: Apache-2.0
/*
 * Print docs/metrics.md, from the same table that the page is written by. Runs at build
 * time; a test compares.
 */
#include "base/base.h"

#include <stdio.h>

enum scope { SELF, HOST, GPU, MODEL, SCOPES };

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
    const char *title, *labels;
} scopes[SCOPES] = {
    [SELF] = {"The daemon", "One series each. They are there in an outage, too, when "
                            "`vramscope_up` is 0 and all others are absent."},
    [HOST] = {"The host", "One series each."},
    [GPU] = {"Each GPU, or MIG instance in its place",
             "Labels: `uuid`, and `gpu`, the driver's own number."},
    [MODEL] = {"Each model",
               "Labels: `model`, the served name; `model_id`, the same with every "
               "character but letters and digits made `-`; `port`."},
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

int main(void)
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
    return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
