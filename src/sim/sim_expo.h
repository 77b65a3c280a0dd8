// SPDX-License-Identifier: Apache-2.0
/*
 * sim_expo.h - write Prometheus text as prometheus_client does
 *
 * HELP and TYPE lines, labels in alphabetical order, floats in Python's digits.
 */
#ifndef SIM_SIM_EXPO_H
#define SIM_SIM_EXPO_H

#include "base/buf.h"
#include "sim/sim_stats.h"

enum { SIM_LABELS_MAX = 40 };

struct sim_label {
    const char *name;
    const char *text; // valid UTF-8 without control characters; NULL: the number
    double number;
};

/* Labels of one series, lent; sorted when they are written. */
struct sim_labels {
    size_t n;
    struct sim_label at[SIM_LABELS_MAX];
};

void sim_labels_add(struct sim_labels *labels, const char *name, const char *text);

/* The name of a sample: two parts, the second may be "". */
struct sim_name {
    const char *family, *suffix;
};

void sim_expo_head(struct buf *out, struct sim_name name, const char *help,
                   const char *type);
void sim_expo_sample(struct buf *out, struct sim_name name,
                     const struct sim_labels *labels, double value);

/* All lines of one histogram series, without HELP and TYPE. */
void sim_expo_histogram(struct buf *out, const char *family, enum sim_histogram_id id,
                        const struct sim_histogram *histogram,
                        const struct sim_labels *labels);

/* `text` in double quotes, with quotes and backslashes escaped: fits JSON as well. */
void sim_expo_quote(struct buf *out, const char *text);

#endif
