// SPDX-License-Identifier: Apache-2.0
#include "tui/node_table.h"

#include "tui/node_value.h"
#include "tui/sort.h"

#include <stdio.h>

typedef double value_fn(const struct vramscope_node *node);
typedef const char *text_fn(const struct node_row *row);

static const char *gateway_text(const struct node_row *row)
{
    return row->host->name;
}

static const char *name_text(const struct node_row *row)
{
    return row->node->node;
}

static const char *version_text(const struct node_row *row)
{
    return row->node->version;
}

/* By one of `text` and `value`. */
static const struct {
    const char *name;
    bool falls;
    text_fn *text;
    value_fn *value;
} columns[] = {
    [NODE_COLUMN_GATEWAY] = {"GATEWAY", false, gateway_text, NULL},
    [NODE_COLUMN_NAME] = {"NODE", false, name_text, NULL},
    [NODE_COLUMN_STATE] = {"STATE", false, NULL, node_value_need},
    [NODE_COLUMN_VRAM] = {"VRAM GiB", true, NULL, node_value_vram},
    [NODE_COLUMN_TOTAL] = {"TOTAL", true, NULL, node_value_total},
    [NODE_COLUMN_VRAM_PERCENT] = {"VRAM%", true, NULL, node_value_vram_percent},
    [NODE_COLUMN_KV_USED] = {"KV USED", true, NULL, node_value_kv_used},
    [NODE_COLUMN_KV_CAPACITY] = {"KV CAP", true, NULL, node_value_kv_capacity},
    [NODE_COLUMN_KV_PERCENT] = {"KV%", true, NULL, node_value_kv_percent},
    [NODE_COLUMN_HIT] = {"HIT", true, NULL, node_value_hit_percent},
    [NODE_COLUMN_RUNNING] = {"RUN", true, NULL, node_value_running},
    [NODE_COLUMN_WAITING] = {"WAIT", true, NULL, node_value_waiting},
    [NODE_COLUMN_GPUS] = {"GPUS", true, NULL, node_value_gpus},
    [NODE_COLUMN_MODELS] = {"MODELS", true, NULL, node_value_models},
    [NODE_COLUMN_AGE] = {"AGE", true, NULL, node_value_age_ms},
    [NODE_COLUMN_VERSION] = {"VERSION", false, version_text, NULL},
};

_Static_assert(ARRAY_LEN(columns) == N_NODE_COLUMNS, "every column has a line");

const char *node_column_name(enum node_column column)
{
    return columns[column].name;
}

bool node_column_falls(enum node_column column)
{
    return columns[column].falls;
}

static int compare_keys(const struct node_row *a, const struct node_row *b,
                        enum node_column column, bool falls)
{
    if (columns[column].value)
        return sort_numbers(columns[column].value(a->node),
                            columns[column].value(b->node), falls);
    return sort_texts(columns[column].text(a), columns[column].text(b), strcmp, falls);
}

/* Equal rows are in the order of gateways, names, and at last that of the document. */
static int compare_rows(const void *a_row, const void *b_row, const void *how)
{
    const struct node_row *a = a_row, *b = b_row;
    const struct node_table *table = how;
    int r = compare_keys(a, b, table->sort, columns[table->sort].falls != table->reverse);

    if (r)
        return r;
    if (a->host_index != b->host_index)
        return a->host_index < b->host_index ? -1 : 1;
    r = strcmp(text_or_empty(a->node->node), text_or_empty(b->node->node));
    return r ? r : (a->at > b->at) - (a->at < b->at);
}

void node_table_clear(struct node_table *table)
{
    table->n = table->n_hidden = 0;
}

void node_table_add(struct node_table *table, const struct host *host,
                    uint32_t host_index, const struct vramscope_detail *detail,
                    const struct filter *filter)
{
    for (size_t i = 0; i < detail->n_nodes; i++) {
        const struct vramscope_node *node = detail->nodes[i];

        if (table->n == NODE_ROWS_MAX || !filter_passes_node(filter, host->name, node))
            table->n_hidden++;
        else
            table->rows[table->n++] =
                (struct node_row){host, node, host_index, (uint32_t)i};
    }
}

static bool is_chosen(const struct node_table *table, const struct node_row *row)
{
    return row->host == table->selected_host &&
           strncmp(text_or_empty(row->node->node), table->selected_name,
                   sizeof(table->selected_name) - 1) == 0;
}

void node_table_choose(struct node_table *table, size_t place)
{
    const struct node_row *row;

    if (!table->n)
        return;
    table->selected = MIN(place, table->n - 1);
    row = &table->rows[table->selected];
    table->selected_host = row->host;
    (void)snprintf(table->selected_name, sizeof(table->selected_name), "%s",
                   text_or_empty(row->node->node));
}

bool node_table_settle(struct node_table *table)
{
    sort_items(table->rows, table->n, sizeof(table->rows[0]), compare_rows, table);
    for (size_t i = 0; i < table->n; i++) {
        if (!is_chosen(table, &table->rows[i]))
            continue;
        table->selected = i;
        return true;
    }
    node_table_choose(table, table->selected);
    return false;
}

const struct node_row *node_table_chosen(const struct node_table *table)
{
    return table->selected < table->n ? &table->rows[table->selected] : NULL;
}
