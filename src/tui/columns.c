// SPDX-License-Identifier: Apache-2.0
#include "tui/columns.h"

#include <strings.h>

#include "tui/model_value.h"
#include "tui/sort.h"

typedef double value_fn(const struct vramscope_model *model);
typedef const char *text_fn(const struct row *row);

static const char *host_text(const struct row *row)
{
    return row->host->name;
}

static const char *model_text(const struct row *row)
{
    return row->model->model ? row->model->model : row->model->model_id;
}

static const char *state_text(const struct row *row)
{
    return row->model->state;
}

/* By one of `text` and `value`; neither: by devices. */
static const struct {
    const char *name;
    bool falls;
    text_fn *text;
    value_fn *value;
} columns[] = {
    [COLUMN_HOST] = {"HOST", false, host_text, NULL},
    [COLUMN_MODEL] = {"MODEL", false, model_text, NULL},
    [COLUMN_PORT] = {"PORT", false, NULL, value_port},
    [COLUMN_GPUS] = {"GPU", false, NULL, NULL},
    [COLUMN_STATE] = {"STATE", false, state_text, NULL},
    [COLUMN_VRAM] = {"VRAM GiB", true, NULL, value_vram},
    [COLUMN_KV_USED] = {"KV USED", true, NULL, value_kv_used},
    [COLUMN_KV_CAPACITY] = {"KV CAP", true, NULL, value_kv_capacity},
    [COLUMN_KV_PERCENT] = {"KV%", true, NULL, value_kv_percent},
    [COLUMN_HIT] = {"HIT(1m)", true, NULL, value_hit_percent},
    [COLUMN_RUNNING] = {"RUN", true, NULL, value_running},
    [COLUMN_WAITING] = {"WAIT", true, NULL, value_waiting},
    [COLUMN_PREEMPTED] = {"PREEMPT", true, NULL, value_preempted},
    [COLUMN_AGE] = {"AGE", true, NULL, value_age_ms},
};

_Static_assert(ARRAY_LEN(columns) == N_COLUMNS, "every column has a line");

const char *column_name(enum column column)
{
    return columns[column].name;
}

bool column_falls(enum column column)
{
    return columns[column].falls;
}

/* Whether it is told where it runs: on which devices, or on how many nodes. */
static bool has_place(const struct vramscope_model *model)
{
    return model->n_devices || model->nodes >= 0;
}

static int compare_devices(const struct vramscope_model *a,
                           const struct vramscope_model *b)
{
    if (a->nodes != b->nodes)
        return a->nodes < b->nodes ? -1 : 1;
    for (size_t i = 0; i < a->n_devices && i < b->n_devices; i++)
        if (a->devices[i] != b->devices[i])
            return a->devices[i] < b->devices[i] ? -1 : 1;
    return (a->n_devices > b->n_devices) - (a->n_devices < b->n_devices);
}

static int compare_keys(const struct row *a, const struct row *b, enum column column,
                        bool falls)
{
    if (columns[column].value)
        return sort_numbers(columns[column].value(a->model),
                            columns[column].value(b->model), falls);
    if (columns[column].text)
        return sort_texts(columns[column].text(a), columns[column].text(b), strcasecmp,
                          falls);
    return sort_known(has_place(a->model), has_place(b->model),
                      compare_devices(a->model, b->model), falls);
}

/* Equal rows keep the order of hosts, ports, ids and at last that of the document. */
static int compare_places(const struct row *a, const struct row *b)
{
    int r;

    if (a->host_index != b->host_index)
        return a->host_index < b->host_index ? -1 : 1;
    if (a->model->port != b->model->port)
        return a->model->port < b->model->port ? -1 : 1;
    r = strcmp(text_or_empty(a->model->model_id), text_or_empty(b->model->model_id));
    return r ? r : (a->at > b->at) - (a->at < b->at);
}

int rows_compare(const struct row *a, const struct row *b, enum column column,
                 bool reverse)
{
    int r = compare_keys(a, b, column, columns[column].falls != reverse);

    return r ? r : compare_places(a, b);
}

struct order {
    enum column column;
    bool reverse;
};

static int compare_rows(const void *a, const void *b, const void *how)
{
    const struct order *order = how;

    return rows_compare(a, b, order->column, order->reverse);
}

void rows_sort(struct row *rows, size_t n, enum column column, bool reverse)
{
    struct order order = {column, reverse};

    sort_items(rows, n, sizeof(*rows), compare_rows, &order);
}
