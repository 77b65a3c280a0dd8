// SPDX-License-Identifier: Apache-2.0
/*
 * cli_doctor.h - rows of what was looked at, and who adds them
 */
#ifndef CLI_CLI_DOCTOR_H
#define CLI_CLI_DOCTOR_H

#include "cli/cli.h"

#include <jansson.h>

/* From the best to the worst; the last three are also the exit statuses 0, 1 and 2. */
enum verdict { VERDICT_INFO, VERDICT_PASS, VERDICT_WARN, VERDICT_FAIL };

struct doctor {
    const struct cli *cli;
    const char *url; // that is looked at; NULL: this program itself
    enum verdict worst;
    json_t *rows; // with --json; else rows are printed as they come
    bool no_memory;
};

/*
 * Add a row: what was looked at ("driver nvml"), what helps ("": nothing, or nothing has
 * to), and what was found. Texts may come from a daemon.
 */
void doctor_row(struct doctor *doctor, enum verdict verdict, const char *what,
                const char *remedy, const char *format, ...) PRINTF_LIKE(5, 6);

/* All that a document tells. */
void doctor_look_at_detail(struct doctor *doctor, const struct vramscope_detail *detail);

/* What helps where there are no figures of a node, for this reason; "": nothing known. */
const char *doctor_remedy_for_node(const char *code);

/* The same of a gateway's nodes. */
void doctor_look_at_fleet(struct doctor *doctor, const struct vramscope_detail *detail);

/* The same of one of its models, and of its memory as a whole. */
void doctor_look_at_model(struct doctor *doctor, const struct vramscope_model *model);
void doctor_look_at_memory(struct doctor *doctor, const struct vramscope_detail *detail);

#endif
