// SPDX-License-Identifier: Apache-2.0
/*
 * journal.h - the last events, for whoever asks
 *
 * Bounded: when it is full the oldest goes. Any thread may call; nothing is allocated once
 * it is made.
 */
#ifndef HISTORY_JOURNAL_H
#define HISTORY_JOURNAL_H

#include "snapshot/snapshot.h"

enum { JOURNAL_EVENTS = 256 };

struct journal;

int journal_new(struct journal **ret) MUST_CHECK;
void journal_free(struct journal *journal);

/* Events of runs before this one, oldest first; before anything is added. */
void journal_restore(struct journal *journal, const struct event *events, size_t n);

/* Copies; gives it its id. */
void journal_add(struct journal *journal, const struct event *event);

/* Those with an id above `after`, oldest first, the newest `max` of them: how many. */
size_t journal_copy(struct journal *journal, uint64_t after, struct event *ret,
                    size_t max);

#endif
