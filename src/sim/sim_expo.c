// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_expo.h"

#include "sim/sim_float.h"

#include <assert.h>
#include <math.h>

void sim_labels_add(struct sim_labels *labels, const char *name, const char *text)
{
    assert(labels->n < SIM_LABELS_MAX);
    labels->at[labels->n++] = (struct sim_label){.name = name, .text = text};
}

void sim_expo_quote(struct buf *out, const char *text)
{
    buf_add_char(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
    buf_add_char(out, '"');
}

/* Insertion sort: nearly every list comes sorted but for its last label. */
static void sort(struct sim_labels *labels)
{
    for (size_t i = 1; i < labels->n; i++) {
        struct sim_label moved = labels->at[i];
        size_t to = i;

        for (; to > 0 && strcmp(labels->at[to - 1].name, moved.name) > 0; to--)
            labels->at[to] = labels->at[to - 1];
        labels->at[to] = moved;
    }
}

static void write_name(struct buf *out, struct sim_name name)
{
    buf_add_str(out, name.family);
    buf_add_str(out, name.suffix);
}

static void write_label(struct buf *out, const struct sim_label *label)
{
    buf_add_str(out, label->name);
    buf_add_char(out, '=');
    if (label->text) {
        sim_expo_quote(out, label->text);
        return;
    }
    buf_add_char(out, '"');
    sim_float_write(out, label->number);
    buf_add_char(out, '"');
}

static void write_labels(struct buf *out, const struct sim_labels *labels)
{
    if (labels->n == 0)
        return;
    for (size_t i = 0; i < labels->n; i++) {
        buf_add_char(out, i == 0 ? '{' : ',');
        write_label(out, &labels->at[i]);
    }
    buf_add_char(out, '}');
}

static void write_sample(struct buf *out, struct sim_name name,
                         const struct sim_labels *labels, double value)
{
    write_name(out, name);
    write_labels(out, labels);
    buf_add_char(out, ' ');
    sim_float_write(out, value);
    buf_add_char(out, '\n');
}

void sim_expo_head(struct buf *out, struct sim_name name, const char *help,
                   const char *type)
{
    buf_add_str(out, "# HELP ");
    write_name(out, name);
    buf_add_char(out, ' ');
    buf_add_str(out, help);
    buf_add_str(out, "\n# TYPE ");
    write_name(out, name);
    buf_add_char(out, ' ');
    buf_add_str(out, type);
    buf_add_char(out, '\n');
}

void sim_expo_sample(struct buf *out, struct sim_name name,
                     const struct sim_labels *labels, double value)
{
    struct sim_labels sorted = *labels;

    sort(&sorted);
    write_sample(out, name, &sorted, value);
}

static struct sim_label *find_label(struct sim_labels *labels, const char *name)
{
    size_t i = 0;

    while (strcmp(labels->at[i].name, name) != 0)
        i++;
    return &labels->at[i];
}

static uint64_t write_buckets(struct buf *out, const char *family,
                              struct sim_bounds bounds,
                              const struct sim_histogram *histogram,
                              const struct sim_labels *labels)
{
    struct sim_labels with_le = *labels;
    struct sim_label *le;
    uint64_t total = 0;

    sim_labels_add(&with_le, "le", NULL);
    sort(&with_le);
    le = find_label(&with_le, "le");
    for (size_t i = 0; i <= bounds.n; i++) {
        le->number = i < bounds.n ? bounds.at[i] : HUGE_VAL;
        total += histogram->buckets[i];
        write_sample(out, (struct sim_name){family, "_bucket"}, &with_le, (double)total);
    }
    return total;
}

void sim_expo_histogram(struct buf *out, const char *family, enum sim_histogram_id id,
                        const struct sim_histogram *histogram,
                        const struct sim_labels *labels)
{
    uint64_t total = write_buckets(out, family, sim_stats_bounds(id), histogram, labels);

    sim_expo_sample(out, (struct sim_name){family, "_count"}, labels, (double)total);
    sim_expo_sample(out, (struct sim_name){family, "_sum"}, labels, histogram->sum);
}
