// SPDX-License-Identifier: Apache-2.0
/*
 * history_source.h - where an answer's points come from: the disk, or memory
 *
 * Both give the same points of the same moments.
 */
#ifndef HISTORY_HISTORY_SOURCE_H
#define HISTORY_HISTORY_SOURCE_H

#include "history/store.h"

struct history_source {
    ssize_t (*series)(void *ctx, const struct history_span *span,
                      struct history_series *ret, size_t max); // as store_series()
    ssize_t (*points)(void *ctx, const struct history_span *span, int64_t number,
                      int64_t *from_ms, struct history_point *ret,
                      size_t max); // as store_points()
    void *ctx;
};

#endif
