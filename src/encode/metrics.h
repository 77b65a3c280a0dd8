// SPDX-License-Identifier: Apache-2.0
/*
 * metrics.h - the page of GET /metrics, as Prometheus text or OpenMetrics
 *
 * What there is on it is in metrics.def. What is not known has no series. Names of models
 * are data of strangers: a label's value is valid UTF-8 without control characters,
 * escaped, and of METRICS_LABEL_MAX bytes at most; so the page has a ceiling that no
 * engine can lift it over. Rows that would have the same labels get `duplicate`, from "2".
 */
#ifndef ENCODE_METRICS_H
#define ENCODE_METRICS_H

#include "base/buf.h"
#include "snapshot/snapshot.h"

enum {
    METRICS_MAX = 960 * 1024, // of one page: the largest there can be is smaller
    FLEET_METRICS_MAX = 12 * 1024 * 1024, // of a gateway's
    METRICS_LABEL_MAX = 128,              // bytes of a label's value, escapes counted
};

enum metrics_format {
    METRICS_TEXT,        // the text format, version 0.0.4
    METRICS_OPENMETRICS, // version 1.0.0
    METRICS_FORMATS
};

struct metrics_facts {
    const char *version;
    const struct snapshot *snapshot;    // NULL: there is none now
    const struct snapshot_self *self;   // where there is no snapshot; NULL: not known
    const struct snapshot_fleet *fleet; // likewise, a gateway's nodes; NULL: it is none
    uint64_t sample_unix_ms;            // of the newest snapshot there was; 0: none yet
};

/* Where the labels of a row are. */
struct metrics_row {
    size_t start;
    size_t distinct; // bytes, without that of a duplicate
    size_t len;
};

/* Keeps memory between pages. */
struct metrics_writer {
    struct buf labels; // of all rows, one after the other
    struct metrics_row devices[GPU_DEVICES_MAX];
    struct metrics_row host_models[SNAPSHOT_MODELS_MAX];
    struct metrics_row *fleet; // a gateway's: of models, then of nodes
    size_t fleet_room;
    struct metrics_row *models; // of either
    struct metrics_row *nodes;
};

void metrics_writer_init(struct metrics_writer *writer);
void metrics_writer_done(struct metrics_writer *writer);

/* Append the page. Want of memory is an error of `out`. */
void metrics_write(struct metrics_writer *writer, struct buf *out,
                   const struct metrics_facts *facts, enum metrics_format format);

#endif
