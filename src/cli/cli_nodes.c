// SPDX-License-Identifier: Apache-2.0
/* The nodes of a gateway, in words and as a table. */
#include "cli/cli.h"
#include "cli/cli_output.h"
#include "cli/cli_table.h"
#include "tui/node_value.h"

#include <stdio.h>

enum { NODES_SHOWN = 100 }; // of those that need a person; the others are counted

void cli_node_counts(char ret[CLI_COUNTS_SIZE], const struct vramscope_fleet *fleet)
{
    const struct {
        int64_t n;
        const char *what;
    } states[] = {
        {fleet->live, "live"},           {fleet->stale, "stale"},
        {fleet->outage, "in an outage"}, {fleet->unreadable, "unreadable"},
        {fleet->lost, "lost"},
    };
    char words[FIGURE_TEXT_SIZE];
    size_t len, n = 0;

    count_text(words, fleet->nodes);
    len = (size_t)snprintf(ret, CLI_COUNTS_SIZE, "%s node%s", words,
                           fleet->nodes == 1 ? "" : "s");
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        if (states[i].n <= 0)
            continue;
        count_text(words, states[i].n);
        len += (size_t)snprintf(ret + len, CLI_COUNTS_SIZE - len, "%s%s %s",
                                n++ ? ", " : ": ", words, states[i].what);
    }
    if (!fleet->nats_connected)
        (void)snprintf(ret + len, CLI_COUNTS_SIZE - len,
                       "; not connected to NATS, so that no node is heard");
}

const char *cli_outage_text(const struct vramscope_detail *detail)
{
    return detail->outage->message ? detail->outage->message : "no reason given";
}

static void node_state(const struct vramscope_detail *detail, size_t i, char *ret)
{
    const struct vramscope_node *node = detail->nodes[i];

    (void)snprintf(ret, CLI_CELL_SIZE, "%s%s%s", node->state ? node->state : "--",
                   node->name_taken ? ", name taken" : "",
                   node->counted ? "" : ", not counted");
}

CLI_CELL(node_name, cli_set_text, detail->nodes[i]->node)
CLI_CELL(node_age, age_text, detail->nodes[i]->age_ms)
CLI_CELL(node_gpus, count_text, detail->nodes[i]->gpus)
CLI_CELL(node_vram, bytes_text, detail->nodes[i]->allocated_bytes)
CLI_CELL(node_total, bytes_text, detail->nodes[i]->total_bytes)
CLI_CELL(node_version, cli_set_text, detail->nodes[i]->version)
CLI_CELL(node_reason, cli_set_text, detail->nodes[i]->reason)

// clang-format off
static const struct cli_column columns[] = {
    {"NODE", 48, node_name},
    {"STATE", 32, node_state},
    {"AGE", -8, node_age},
    {"GPUS", -5, node_gpus},
    {"VRAM", -12, node_vram},
    {"OF", -12, node_total},
    {"VERSION", 16, node_version},
    {"REASON", 120, node_reason},
};
// clang-format on

/* The places of those with a need, the greatest first; how many there are in all. */
static size_t pick_needy(const struct vramscope_detail *detail, size_t picks[NODES_SHOWN])
{
    size_t n = 0;

    for (enum node_need need = 0; need < NODE_NEED_NONE; need++)
        for (size_t i = 0; i < detail->n_nodes; i++) {
            if (node_need(detail->nodes[i]) != need)
                continue;
            if (n < NODES_SHOWN)
                picks[n] = i;
            n++;
        }
    return n;
}

void cli_print_nodes(const struct vramscope_detail *detail)
{
    size_t picks[NODES_SHOWN], shown = NODES_SHOWN, n = pick_needy(detail, picks);
    struct cli_table table = {columns, ARRAY_LEN(columns), MIN(n, shown), picks};

    cli_print_table(detail, &table);
    if (n > shown)
        cli_print("and %zu more nodes that need somebody", n - shown);
}
