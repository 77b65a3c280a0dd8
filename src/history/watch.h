// SPDX-License-Identifier: Apache-2.0
/*
 * watch.h - what has happened, seen by comparing snapshots
 *
 * Each condition has a beginning and an end with a gap between them in level or time, so
 * that a figure that trembles at a threshold tells nothing twice; what is told of one
 * engine or device has the least pause of WATCH_PAUSE_MS per kind. The thresholds are
 * constants with their reasons in watch.c and in docs/wire.md.
 *
 * One thread; nothing is allocated once it is made.
 */
#ifndef HISTORY_WATCH_H
#define HISTORY_WATCH_H

#include "history/journal.h"

struct watch;

int watch_new(struct journal *journal, struct watch **ret) MUST_CHECK; // lent
void watch_free(struct watch *watch);

/*
 * Compare with the snapshot before it: what has happened goes into the journal, and the
 * newest of that into snapshot->events. The first one tells what is there, as found.
 */
void watch_see(struct watch *watch, struct snapshot *snapshot);

/* No device's memory is known any more, for this reason. */
void watch_see_outage(struct watch *watch, const char *reason, int64_t unix_ms);

/*
 * Did something happen at the last call that the minutes before it explain: an engine lost
 * or restarted, memory dropped, a GPU lost? Its kind, and EVENT_KINDS: no.
 */
enum event_kind watch_alarm(const struct watch *watch);

#endif
