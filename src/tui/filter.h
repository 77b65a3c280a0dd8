// SPDX-License-Identifier: Apache-2.0
/*
 * filter.h - which rows are shown
 *
 * A filter is a word that is searched for in host, model and state, or conditions joined
 * by `&`: `kv>80 & host~a1 & state=sleeping`. Fields: host model port gpu state vram kv
 * kv% hit run wait preempt age nodes; of a node of a gateway host node state vram vram% kv
 * kv% hit run wait age nodes gpus models version, and a word is searched for in its name and
 * state. Operators: = != ~ (contains) > >= < <=. Bytes take units
 * (`vram>40GiB`; a plain number is GiB); `kv` is percent without one (`kv>80`, `kv>8GiB`);
 * age is in seconds (`age>500ms`). A stale model is in the state `stale` too. Numbers are
 * equal when they are shown as the same; letters of ASCII, large or small, are the same.
 * What is not known passes no comparison.
 */
#ifndef TUI_FILTER_H
#define TUI_FILTER_H

#include "base/base.h"
#include "vramscope.h"

enum {
    FILTER_CONDITIONS_MAX = 8,
    FILTER_TEXT_SIZE = 64,
};

enum filter_operator {
    OP_EQUAL,
    OP_NOT_EQUAL,
    OP_CONTAINS,
    OP_MORE,
    OP_AT_LEAST,
    OP_LESS,
    OP_AT_MOST
};

struct filter_condition {
    int field; // index of the table in filter.c; -1: any of host, model, state
    enum filter_operator how;
    char text[FILTER_TEXT_SIZE];
    double number;
};

struct filter {
    struct filter_condition conditions[FILTER_CONDITIONS_MAX];
    size_t n;
};

/* -EINVAL: not understood; `why` names the word. An empty text passes every row. */
int filter_parse(struct span text, struct filter *ret, char *why, size_t room) MUST_CHECK;

bool filter_passes(const struct filter *filter, const char *host,
                   const struct vramscope_model *model);
bool filter_passes_node(const struct filter *filter, const char *host,
                        const struct vramscope_node *node);

#endif
