// SPDX-License-Identifier: Apache-2.0
/*
 * journal.h - the last events, for whoever asks
 *
 * Bounded: when it is full the oldest that is not critical goes, so that a flood of small
 * news does not push out the great; of critical ones the JOURNAL_CRITICAL newest are sure
 * of their place. Any thread may call; nothing is allocated once it is made.
 */
#ifndef HISTORY_JOURNAL_H
#define HISTORY_JOURNAL_H

#include "snapshot/snapshot.h"

enum {
    JOURNAL_EVENTS = 256,
    JOURNAL_CRITICAL = 64,
    JOURNAL_OF_NODE = 64, // of a fleet's: a node that has so many pushes out its own
};

struct journal;

int journal_new(struct journal **ret) MUST_CHECK;
void journal_free(struct journal *journal);

/*
 * Events of runs before this one, oldest first, with the ids they had; before anything is
 * added. Those whose ids do not rise are left out.
 */
void journal_restore(struct journal *journal, const struct event *events, size_t n);

/* Copies; gives it its id. */
void journal_add(struct journal *journal, const struct event *event);

/*
 * The same, but for one that is there already: what nodes tell again when a gateway was
 * started anew is on its disk.
 */
void journal_add_once(struct journal *journal, const struct event *event);

/* The oldest with an id above `after`. False: there is none. */
bool journal_next(struct journal *journal, uint64_t after, struct event *ret);

/* Those with an id above `after`, oldest first, the newest `max` of them: how many. */
size_t journal_copy(struct journal *journal, uint64_t after, struct event *ret,
                    size_t max);

#endif
