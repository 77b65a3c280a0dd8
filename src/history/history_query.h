// SPDX-License-Identifier: Apache-2.0
/*
 * history_query.h - what is asked of the past: the parameters of /v1/history
 *
 * Pure: texts and the time in, a span out.
 */
#ifndef HISTORY_HISTORY_QUERY_H
#define HISTORY_HISTORY_QUERY_H

#include "base/complaint.h"
#include "history/store.h"

enum { HISTORY_POINTS_MAX = 11000 }; // of a series

enum history_format { HISTORY_JSON, HISTORY_CSV };

/* Values as a query has them, with %XX; at NULL: not given. */
struct history_parameters {
    struct span from, to, step, model, format;
    bool accepts_csv; // the answer is CSV where no format is given
};

struct history_query {
    struct history_span span;
    enum history_format format;
};

/*
 * `interval_ms` is between two moments at full rate. -EINVAL: `why` names the parameter and
 * says what it may be.
 */
int history_query_read(const struct history_parameters *given, int64_t now_ms,
                       uint64_t interval_ms, struct history_query *ret,
                       struct complaint *why) MUST_CHECK;

#endif
