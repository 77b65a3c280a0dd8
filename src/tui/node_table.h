// SPDX-License-Identifier: Apache-2.0
/*
 * node_table.h - the nodes of gateways: which are shown, in which order, and the chosen one
 */
#ifndef TUI_NODE_TABLE_H
#define TUI_NODE_TABLE_H

#include "tui/filter.h"
#include "tui/host.h"

enum {
    NODE_ROWS_MAX = 4096,
    NODE_NAME_SIZE = 96, // a longer name is known by its beginning
};

enum node_column {
    NODE_COLUMN_GATEWAY, // only with several
    NODE_COLUMN_NAME,
    NODE_COLUMN_STATE,
    NODE_COLUMN_VRAM,
    NODE_COLUMN_TOTAL,
    NODE_COLUMN_VRAM_PERCENT,
    NODE_COLUMN_KV_USED,
    NODE_COLUMN_KV_CAPACITY,
    NODE_COLUMN_KV_PERCENT,
    NODE_COLUMN_HIT,
    NODE_COLUMN_RUNNING,
    NODE_COLUMN_WAITING,
    NODE_COLUMN_GPUS,
    NODE_COLUMN_MODELS,
    NODE_COLUMN_AGE,
    NODE_COLUMN_VERSION,
    N_NODE_COLUMNS,
};

/* Pointers are valid as long as the document is shown. */
struct node_row {
    const struct host *host;
    const struct vramscope_node *node;
    uint32_t host_index;
    uint32_t at; // the node's place in the document
};

struct node_table {
    struct node_row rows[NODE_ROWS_MAX]; // as shown: filtered and sorted
    size_t n;
    size_t n_hidden; // by the filter, or beyond the maximum
    enum node_column sort;
    bool reverse;
    size_t selected; // of `rows`; the node is followed, wherever sorting moves it
    char selected_name[NODE_NAME_SIZE];
    const struct host *selected_host;
};

/* A document's nodes go into the table that node_table_clear() emptied. */
void node_table_clear(struct node_table *table);
void node_table_add(struct node_table *table, const struct host *host,
                    uint32_t host_index, const struct vramscope_detail *detail,
                    const struct filter *filter);

/* Sort, and find the chosen node again. False: it is gone, another is chosen. */
bool node_table_settle(struct node_table *table);

/* Choose a row, the last one where there are not so many. */
void node_table_choose(struct node_table *table, size_t place);

/* The chosen row; NULL: there is none. */
const struct node_row *node_table_chosen(const struct node_table *table);

const char *node_column_name(enum node_column column);

/* Whether a larger value comes first by itself. */
bool node_column_falls(enum node_column column);

#endif
