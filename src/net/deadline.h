// SPDX-License-Identifier: Apache-2.0
/*
 * deadline.h - who has waited too long, for any number of waiters
 *
 * All waiters of one list wait equally long, so the list is in order of expiry by itself:
 * setting and clearing cost a few pointer writes, and only the first is ever looked at.
 */
#ifndef NET_DEADLINE_H
#define NET_DEADLINE_H

#include "base/base.h"

struct deadline_list;

struct deadline {
    struct deadline *prev, *next;
    struct deadline_list *list; // NULL: not waiting
    uint64_t at_ms;
};

struct deadline_list {
    struct deadline *first, *last;
    uint64_t span_ms;
};

/* Wait in `list` from now on, and in no other. */
void deadline_set(struct deadline *deadline, struct deadline_list *list, uint64_t now_ms);
void deadline_clear(struct deadline *deadline);

/* The waiter that has been due for longest, or NULL. It stays in its list. */
struct deadline *deadline_due(struct deadline_list *list, uint64_t now_ms);

#endif
