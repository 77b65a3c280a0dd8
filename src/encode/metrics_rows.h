// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_rows.h - the labels of the page of /metrics: of each device, model and node
 *
 * Written once a page, as each of them has a series in many families.
 */
#ifndef ENCODE_METRICS_ROWS_H
#define ENCODE_METRICS_ROWS_H

#include "encode/metrics.h"

/*
 * `,name="value"`. Cut between characters, so that an escape is never cut either. The
 * value may be longer than what is kept of it by far.
 */
void metrics_label(struct buf *out, const char *name, const char *value);
void metrics_label_number(struct buf *out, const char *name, uint64_t value);

/*
 * Those of all rows, of a snapshot and of a fleet where they are not NULL; the error is that
 * of `writer->labels`.
 */
void metrics_rows_write(struct metrics_writer *writer, const struct snapshot *snapshot,
                        const struct snapshot_fleet *fleet);

#endif
