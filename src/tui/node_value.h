// SPDX-License-Identifier: Apache-2.0
/*
 * node_value.h - the figures of a node that rows are sorted and filtered by
 *
 * As in model_value.h: NAN is what is not known.
 */
#ifndef TUI_NODE_VALUE_H
#define TUI_NODE_VALUE_H

#include "tui/model_value.h"

/* How much a node needs a person: the first of these the most. */
enum node_need {
    NODE_NEED_LOST,
    NODE_NEED_UNREADABLE,
    NODE_NEED_OUTAGE,
    NODE_NEED_UNKNOWN, // a state that this program does not know
    NODE_NEED_STALE,
    NODE_NEED_NAME_TAKEN,
    NODE_NEED_UNCOUNTED, // live, and its figures are in no sum
    NODE_NEED_NONE,
};

static inline enum node_need node_need(const struct vramscope_node *node)
{
    const char *state = text_or_empty(node->state);

    if (strcmp(state, "lost") == 0)
        return NODE_NEED_LOST;
    if (strcmp(state, "unreadable") == 0)
        return NODE_NEED_UNREADABLE;
    if (strcmp(state, "outage") == 0)
        return NODE_NEED_OUTAGE;
    if (strcmp(state, "stale") == 0)
        return NODE_NEED_STALE;
    if (strcmp(state, "live") != 0)
        return NODE_NEED_UNKNOWN;
    if (node->name_taken)
        return NODE_NEED_NAME_TAKEN;
    return node->counted ? NODE_NEED_NONE : NODE_NEED_UNCOUNTED;
}

/* What nobody needs is the most, so that it comes last where needs rise. */
static inline double node_value_need(const struct vramscope_node *node)
{
    return (double)node_need(node);
}

/* With the sign of what is not measured, also where that is not told. */
static inline struct vramscope_figure node_figure(int64_t value, enum vramscope_from from)
{
    return (struct vramscope_figure){.value = value,
                                     .from = from ? from : VRAMSCOPE_FROM_ESTIMATED};
}

#define NODE_VALUE(name, member)                                 \
    static inline double name(const struct vramscope_node *node) \
    {                                                            \
        return value_of(node->member);                           \
    }
NODE_VALUE(node_value_vram, allocated_bytes)
NODE_VALUE(node_value_total, total_bytes)
NODE_VALUE(node_value_kv_used, kv_used_bytes)
NODE_VALUE(node_value_kv_capacity, kv_capacity_bytes)
NODE_VALUE(node_value_running, requests_running)
NODE_VALUE(node_value_waiting, requests_waiting)
NODE_VALUE(node_value_gpus, gpus)
NODE_VALUE(node_value_models, models)
NODE_VALUE(node_value_nodes, nodes)
NODE_VALUE(node_value_age_ms, age_ms)
#undef NODE_VALUE

static inline double value_share(int64_t part, int64_t whole)
{
    return whole > 0 ? 100 * value_of(part) / (double)whole : (double)NAN;
}

static inline double node_value_vram_percent(const struct vramscope_node *node)
{
    return value_share(node->allocated_bytes, node->total_bytes);
}

/* Of all its models or of none: what some use is no part of what all have. */
static inline double node_value_kv_percent(const struct vramscope_node *node)
{
    return node->kv_unknown_models
               ? (double)NAN
               : value_share(node->kv_used_bytes, node->kv_capacity_bytes);
}

static inline double node_value_hit_percent(const struct vramscope_node *node)
{
    return node->prefix_hit_percent;
}

#endif
