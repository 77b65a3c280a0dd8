// SPDX-License-Identifier: Apache-2.0
/*
 * arrivals.h - when each reader had each tick's event, and what that says of the server
 *
 * A reader's n-th event is that of the n-th tick, unless it comes half an interval later than
 * most readers' n-th: then it has missed one, and its events are those of the ticks that they
 * came nearest to. A server that is late with a whole round is thus late, not lossy.
 *
 * Times are microseconds since any moment, 0: it did not arrive.
 */
#ifndef FANOUT_ARRIVALS_H
#define FANOUT_ARRIVALS_H

#include "base/base.h"

struct arrivals {
    size_t ticks, readers;
    uint32_t interval_us;
    uint32_t *at_us; // [tick][reader]
};

int arrivals_new(struct arrivals *arrivals) MUST_CHECK; // ticks and readers are set
void arrivals_set(struct arrivals *arrivals, size_t tick, size_t reader, uint32_t us);

struct arrivals_faults {
    uint64_t missed; // events
    uint64_t extra;  // readers that had more events than there were ticks
};

/* Once all are set in the order they came in: give each its tick, and tell what is wrong. */
int arrivals_settle(struct arrivals *arrivals, struct arrivals_faults *ret) MUST_CHECK;

/*
 * As members of a JSON object, p50, p99 and max in microseconds: "skew_us", how long after
 * the first of its tick each copy came, "gap_us" between two neighboring events of a
 * reader, and "jitter_us", how far from the interval that was.
 */
int arrivals_print(const struct arrivals *arrivals) MUST_CHECK;

#endif
