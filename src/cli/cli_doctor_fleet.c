// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_doctor.h"
#include "tui/node_value.h"

#include <stdio.h>

enum { WHAT_SIZE = 128, NODES_SHOWN = 20 };

/* What is known of a need: how bad it is, and what helps. */
static const struct {
    enum verdict verdict;
    const char *what, *remedy;
} needs[NODE_NEED_NONE] = {
    [NODE_NEED_LOST] =
        {VERDICT_FAIL, "lost",
         "Look whether the host is up, whether vramscoped runs on it with --nats, and "
         "whether it reaches the server (its log says so)."},
    [NODE_NEED_UNREADABLE] = {VERDICT_FAIL, "unreadable",
                              "Look at the gateway's log, which says what is wrong with "
                              "its messages. If it is "
                              "a newer format, install that version on the gateway."},
    [NODE_NEED_OUTAGE] =
        {VERDICT_FAIL, "in an outage",
         "Ask it on the host itself: vramscope doctor there says what helps."},
    [NODE_NEED_UNKNOWN] = {VERDICT_WARN, "in a state that is not known here",
                           "Install the same version of vramscope as of vramscoped."},
    [NODE_NEED_STALE] =
        {VERDICT_WARN, "stale",
         "Its messages come late or not at all: look at its load and at the network."},
    [NODE_NEED_NAME_TAKEN] = {VERDICT_WARN, "not alone with its name",
                              "Give one of the two another name: --node NAME."},
    [NODE_NEED_UNCOUNTED] = {VERDICT_INFO, "not counted", ""},
};

const char *doctor_remedy_for_node(const char *code)
{
    static const struct {
        const char *code;
        enum node_need need;
    } codes[] = {
        {"node-lost", NODE_NEED_LOST},
        {"node-unreadable", NODE_NEED_UNREADABLE},
        {"node-outage", NODE_NEED_OUTAGE},
        {"node-stale", NODE_NEED_STALE},
        {"ambiguous-node", NODE_NEED_NAME_TAKEN},
    };

    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (strcmp(code, codes[i].code) == 0)
            return needs[codes[i].need].remedy;
    return "";
}

static void look_at_node(struct doctor *doctor, const struct vramscope_node *node)
{
    enum node_need need = node_need(node);
    char what[WHAT_SIZE], age[FIGURE_TEXT_SIZE];

    age_text(age, node->age_ms);
    (void)snprintf(what, sizeof(what), "node %.100s", text_or_empty(node->node));
    doctor_row(doctor, needs[need].verdict, what, needs[need].remedy, "%s%s%s%s%s%s",
               needs[need].what, node->reason ? ": " : "", text_or_empty(node->reason),
               node->age_ms < 0 ? "" : " (figures are ", node->age_ms < 0 ? "" : age,
               node->age_ms < 0 ? "" : " old)");
}

/* Each that needs somebody, the worst first; of many the first ones. */
static void look_at_nodes(struct doctor *doctor, const struct vramscope_detail *detail)
{
    size_t n = 0;

    for (enum node_need need = 0; need < NODE_NEED_NONE; need++)
        for (size_t i = 0; i < detail->n_nodes; i++)
            if (node_need(detail->nodes[i]) == need && n++ < NODES_SHOWN)
                look_at_node(doctor, detail->nodes[i]);
    if (n > NODES_SHOWN)
        doctor_row(doctor, VERDICT_WARN, "more nodes",
                   "vramscope --once lists more of them.", "%zu more need somebody",
                   n - NODES_SHOWN);
}

static void look_at_counts(struct doctor *doctor, const struct vramscope_fleet *fleet)
{
    bool is_well = fleet->live == fleet->nodes, is_empty = fleet->nodes <= 0;
    char counts[CLI_COUNTS_SIZE];

    cli_node_counts(counts, fleet);
    if (is_empty)
        doctor_row(doctor, VERDICT_WARN, "nodes",
                   "Nodes are vramscoped with --nats and the same --nats-prefix, allowed "
                   "to publish there.",
                   "none has been heard");
    else
        doctor_row(doctor, is_well ? VERDICT_PASS : VERDICT_WARN, "nodes", "", "%s",
                   counts);
}

static void look_at_nats(struct doctor *doctor, const struct vramscope_fleet *fleet)
{
    if (!fleet->nats_connected)
        doctor_row(doctor, VERDICT_FAIL, "NATS",
                   "Look whether the servers of --nats run and whether the gateway's log "
                   "says why they refuse it.",
                   "the gateway is not connected: it hears no node");
    else if (fleet->nats_missed > 0 || fleet->nats_dropped > 0 || fleet->nats_refused > 0)
        doctor_row(doctor, VERDICT_WARN, "NATS",
                   "The gateway is short of CPU time, or nodes send more than they are "
                   "made to, or there are more than 4,096.",
                   "connected; since the start %lld messages missed, %lld dropped, %lld "
                   "refused",
                   (long long)MAX(fleet->nats_missed, (int64_t)0),
                   (long long)MAX(fleet->nats_dropped, (int64_t)0),
                   (long long)MAX(fleet->nats_refused, (int64_t)0));
    else
        doctor_row(doctor, VERDICT_PASS, "NATS", "", "connected");
    if (fleet->nats_malformed > 0)
        doctor_row(doctor, VERDICT_WARN, "messages",
                   "Somebody else publishes there, or a node of another version.",
                   "%lld could not be read", (long long)fleet->nats_malformed);
}

void doctor_look_at_fleet(struct doctor *doctor, const struct vramscope_detail *detail)
{
    if (detail->outage)
        doctor_row(doctor, VERDICT_FAIL, "figures", text_or_empty(detail->outage->remedy),
                   "%s (%s)", cli_outage_text(detail),
                   text_or_empty(detail->outage->code));
    look_at_nats(doctor, detail->fleet);
    look_at_counts(doctor, detail->fleet);
    look_at_nodes(doctor, detail);
    doctor_row(doctor, VERDICT_INFO, "models", "",
               "%zu rows over all nodes; --node NAME looks at one node",
               detail->n_models);
}
