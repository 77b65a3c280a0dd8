// SPDX-License-Identifier: Apache-2.0
/*
 * pid_table.h - a set of pids with the start time of each, that forgets the gone
 *
 * Grows by doubling up to a ceiling; otherwise nothing allocates.
 */
#ifndef HOST_PID_TABLE_H
#define HOST_PID_TABLE_H

#include "base/base.h"

enum { PID_TABLE_MAX = 65536 };

struct pid_entry {
    uint32_t pid;  // 0: an empty slot
    uint32_t mark; // the caller's
    uint64_t start_ticks;
};

struct pid_table {
    uint32_t n;
    uint32_t slots; // a power of 2; at most three quarters are taken
    struct pid_entry *entries;
};

void pid_table_init(struct pid_table *table);
void pid_table_done(struct pid_table *table);

/* NULL: not in it. Entries move when one is added or removed. */
struct pid_entry *pid_table_find(const struct pid_table *table, uint32_t pid);

/* Add a pid that is not in it, with nothing else set. NULL: it is full, or no memory. */
struct pid_entry *pid_table_add(struct pid_table *table, uint32_t pid);

/* Remove what has another mark. */
void pid_table_keep(struct pid_table *table, uint32_t mark);

#endif
