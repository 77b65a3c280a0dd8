// SPDX-License-Identifier: Apache-2.0
/*
 * watch.h - what has happened, seen by comparing snapshots
 *
 * Each condition has a beginning and an end with a gap between them in level or time, so
 * that a figure that trembles at a threshold tells nothing twice; what is told of one
 * engine or device has the least pause of WATCH_PAUSE_MS per kind. All together there are
 * WATCH_BURST at once and one a second over time, of which the last WATCH_RESERVE are kept
 * for critical ones. What is held back is told later, if it is still so.
 *
 * One thread; nothing is allocated once it is made.
 */
#ifndef HISTORY_WATCH_H
#define HISTORY_WATCH_H

#include "history/journal.h"

/* Thresholds (docs/wire.md has the table). */
enum {
    WATCH_PAUSE_MS = 10 * 1000,
    WATCH_BURST =
        128, // a host with as many engines as there can be tells all at its start
    WATCH_RESERVE = 32, // of these, for critical ones
    WATCH_PER_SECOND = 1,

    WATCH_LOST_MS = 5 * 1000,        // as long as a supervisor takes to start one again
    WATCH_COLLISION_MS = 5 * 1000,   // a server that was there answers by then
    WATCH_PREEMPTING_MS = 60 * 1000, // without one, and it is over
    WATCH_KV_HIGH_PERCENT = 90,
    WATCH_KV_LOW_PERCENT = 80,
    WATCH_KV_MS = 60 * 1000,    // a wave of requests is no shortage
    WATCH_GAP_MS = 15 * 1000,   // three times the slowest pace
    WATCH_ORPHAN_MS = 5 * 1000, // a server's workers may outlive it while they end
    WATCH_GPU_MS = 2 * 1000,
    WATCH_FAILING_MS = 10 * 1000,
    WATCH_SLEEP_MS = 15 * 1000, // memory is given back before the page says why
    WATCH_DROP_PART = 4,        // memory dropped by more than this part of it
};

#define WATCH_DROP_BYTES ((uint64_t)1 << 30) // and by more than this

struct watch;

int watch_new(struct journal *journal, struct watch **ret) MUST_CHECK; // lent
void watch_free(struct watch *watch);

/* The first event of a run. */
void watch_begin(struct watch *watch, const char *version, int64_t unix_ms);

/*
 * Compare with the snapshot before it: what has happened goes into the journal, and the
 * newest of that into snapshot->events. The first one tells what is there, as found.
 */
void watch_see(struct watch *watch, struct snapshot *snapshot);

/* No device's memory is known, for this reason; at each beat without a snapshot. */
void watch_see_outage(struct watch *watch, const char *reason, uint64_t now_ns,
                      int64_t unix_ms);

/*
 * Did something happen at the last call that the minutes before it explain: an engine lost
 * or restarted, memory dropped, a GPU lost? Its kind, and EVENT_KINDS: no.
 */
enum event_kind watch_alarm(const struct watch *watch);

#endif
