// SPDX-License-Identifier: Apache-2.0
/*
 * detail_parts.h - the parts of the detail document, between the files that write them
 */
#ifndef ENCODE_DETAIL_PARTS_H
#define ENCODE_DETAIL_PARTS_H

#include "base/buf.h"
#include "base/clock.h"
#include "snapshot/snapshot.h"

void detail_signed(struct buf *out, const char *key, int64_t value);
void detail_boolean(struct buf *out, const char *key, bool value);
void detail_begin(struct buf *out, const char *key); // an object
void detail_end(struct buf *out);

/* {"value":N|null,"from":"measured","error":N|null,"reason":null|"..."} */
void detail_figure(struct buf *out, const char *key, struct figure figure);

/* In milliseconds. `then_ns` is 0: never. */
void detail_age(struct buf *out, const char *key, uint64_t then_ns, uint64_t now_ns);

/* A row of `models`. Of a gateway's it is `sum`, in the form that a host's have. */
void detail_model(struct buf *out, const struct snapshot *snapshot,
                  const struct snapshot_model *model, const struct fleet_model *sum);

/* What a gateway's document has in place of a host's rows; it began at `start` of `out`. */
void detail_fleet_models(struct buf *out, const struct snapshot *snapshot);
void detail_fleet(struct buf *out, const struct snapshot *snapshot, size_t start);

#endif
