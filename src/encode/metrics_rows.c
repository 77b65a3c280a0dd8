// SPDX-License-Identifier: Apache-2.0
#include "encode/metrics_rows.h"

#include "base/text.h"

enum { LABELS_MAX = 2 * 1024 * 1024 }; // of all rows: none can lift it over that

void metrics_label(struct buf *out, const char *name, const char *value)
{
    char clean[METRICS_LABEL_MAX + 1];
    size_t len = text_clean(clean, sizeof(clean), span_of(value));
    size_t room = METRICS_LABEL_MAX, used = 0;

    while (used < len) { // a whole character, and only if it fits
        bool escaped = clean[used] == '"' || clean[used] == '\\';
        size_t bytes = 1;

        while (used + bytes < len && (clean[used + bytes] & 0xc0) == 0x80)
            bytes++;
        if (bytes + escaped > room)
            break;
        room -= bytes + escaped;
        used += bytes;
    }
    buf_add_char(out, ',');
    buf_add_str(out, name);
    buf_add_str(out, "=\"");
    for (size_t i = 0; i < used; i++) {
        if (clean[i] == '"' || clean[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, clean[i]); // a line feed is none of those that are left
    }
    buf_add_char(out, '"');
}

void metrics_label_number(struct buf *out, const char *name, uint64_t value)
{
    buf_add_char(out, ',');
    buf_add_str(out, name);
    buf_add_str(out, "=\"");
    buf_add_u64(out, value);
    buf_add_char(out, '"');
}

static bool is_same(const struct buf *labels, const struct metrics_row *a,
                    const struct metrics_row *b)
{
    return a->distinct == b->distinct &&
           memcmp(labels->data + a->start, labels->data + b->start, a->distinct) == 0;
}

/* The last of `rows` has its labels: how many are the same? */
static void finish_row(struct buf *labels, struct metrics_row *rows, size_t last)
{
    struct metrics_row *row = &rows[last];
    uint64_t nth = 1;

    row->distinct = labels->len - row->start;
    for (size_t i = 0; i < last && !labels->error; i++)
        nth += is_same(labels, &rows[i], row);
    if (nth > 1)
        metrics_label_number(labels, "duplicate", nth);
    row->len = labels->len - row->start;
}

static void write_device(struct metrics_writer *writer,
                         const struct snapshot_device *device, size_t i)
{
    struct buf *labels = &writer->labels;

    writer->devices[i].start = labels->len;
    metrics_label(labels, "uuid", device->uuid);
    metrics_label_number(labels, "gpu", device->index);
    finish_row(labels, writer->devices, i);
}

static void write_model(struct buf *labels, struct metrics_row *rows, size_t i,
                        const char *served_name, const char *id, uint16_t port)
{
    rows[i].start = labels->len;
    metrics_label(labels, "model", served_name);
    metrics_label(labels, "model_id", id);
    metrics_label_number(labels, "port", port);
    finish_row(labels, rows, i);
}

/* By name: those that have the same, which are none unless it was cut, stand together. */
static void write_node(struct buf *labels, struct metrics_row *rows, size_t i,
                       const char *name)
{
    size_t first = i;

    rows[i].start = labels->len;
    metrics_label(labels, "node", name);
    rows[i].distinct = labels->len - rows[i].start;
    while (first > 0 && !labels->error && is_same(labels, &rows[first - 1], &rows[i]))
        first--;
    finish_row(labels, rows + first, i - first);
}

static bool make_room(struct metrics_writer *writer, size_t rows)
{
    struct metrics_row *grown;

    if (rows <= writer->fleet_room)
        return true;
    grown = realloc(writer->fleet, (rows + rows / 2) * sizeof(*grown));
    if (!grown) {
        writer->labels.error = -ENOMEM;
        return false;
    }
    writer->fleet = grown;
    writer->fleet_room = rows + rows / 2;
    return true;
}

static void write_fleet(struct metrics_writer *writer, const struct snapshot_fleet *fleet)
{
    if (!make_room(writer, (size_t)fleet->n_models + fleet->n_nodes))
        return;
    writer->models = writer->fleet;
    writer->nodes = writer->fleet + fleet->n_models;
    for (size_t i = 0; i < fleet->n_models; i++)
        write_model(&writer->labels, writer->models, i, fleet->models[i].served_name,
                    fleet->models[i].id, fleet->models[i].port);
    for (size_t i = 0; i < fleet->n_nodes; i++)
        write_node(&writer->labels, writer->nodes, i, fleet->nodes[i].name);
}

static void write_host(struct metrics_writer *writer, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n_devices; i++)
        write_device(writer, &snapshot->devices[i], i);
    writer->models = writer->host_models;
    for (size_t i = 0; i < snapshot->n_models; i++)
        write_model(&writer->labels, writer->models, i, snapshot->models[i].served_name,
                    snapshot->models[i].id, snapshot->models[i].port);
}

void metrics_rows_write(struct metrics_writer *writer, const struct snapshot *snapshot,
                        const struct snapshot_fleet *fleet)
{
    buf_clear(&writer->labels);
    if (fleet)
        write_fleet(writer, fleet);
    else if (snapshot)
        write_host(writer, snapshot);
}

void metrics_writer_init(struct metrics_writer *writer)
{
    *writer = (struct metrics_writer){0};
    buf_init(&writer->labels, LABELS_MAX);
}

void metrics_writer_done(struct metrics_writer *writer)
{
    buf_done(&writer->labels);
    free(writer->fleet);
    writer->fleet = NULL;
    writer->fleet_room = 0;
}
