// SPDX-License-Identifier: Apache-2.0
#include "host/pid_table.h"

enum { SLOTS_MIN = 1024 };

void pid_table_init(struct pid_table *table)
{
    *table = (struct pid_table){0};
}

void pid_table_done(struct pid_table *table)
{
    free(table->entries);
    pid_table_init(table);
}

/* Pids come in rows; multiplying spreads them. */
static uint32_t home_of(const struct pid_table *table, uint32_t pid)
{
    return (pid * 0x9e3779b1U >> 8) & (table->slots - 1);
}

/* Where `pid` is, or the empty slot where it belongs. */
static uint32_t find_slot(const struct pid_table *table, uint32_t pid)
{
    uint32_t at = home_of(table, pid);

    while (table->entries[at].pid != 0 && table->entries[at].pid != pid)
        at = (at + 1) & (table->slots - 1);
    return at;
}

struct pid_entry *pid_table_find(const struct pid_table *table, uint32_t pid)
{
    struct pid_entry *entry;

    if (table->n == 0 || pid == 0)
        return NULL;
    entry = &table->entries[find_slot(table, pid)];
    return entry->pid == pid ? entry : NULL;
}

static bool grow(struct pid_table *table)
{
    struct pid_table larger = {
        .n = table->n,
        .slots = MAX(table->slots * 2, (uint32_t)SLOTS_MIN),
    };

    larger.entries = calloc(larger.slots, sizeof(*larger.entries));
    if (!larger.entries)
        return false;
    for (uint32_t i = 0; i < table->slots; i++)
        if (table->entries[i].pid != 0)
            larger.entries[find_slot(&larger, table->entries[i].pid)] = table->entries[i];
    free(table->entries);
    *table = larger;
    return true;
}

struct pid_entry *pid_table_add(struct pid_table *table, uint32_t pid)
{
    struct pid_entry *entry;

    if (pid == 0 || table->n == PID_TABLE_MAX ||
        (table->n >= table->slots / 4 * 3 && !grow(table)))
        return NULL;
    entry = &table->entries[find_slot(table, pid)];
    *entry = (struct pid_entry){.pid = pid};
    table->n++;
    return entry;
}

/*
 * Empty a slot, and close the gap: what follows without a gap may have been put there
 * only because its own place was taken.
 */
static void remove_at(struct pid_table *table, uint32_t gap)
{
    uint32_t mask = table->slots - 1;

    for (uint32_t at = (gap + 1) & mask; table->entries[at].pid != 0;
         at = (at + 1) & mask) {
        uint32_t home = home_of(table, table->entries[at].pid);

        if (((at - home) & mask) < ((at - gap) & mask))
            continue; // its place is behind the gap
        table->entries[gap] = table->entries[at];
        gap = at;
    }
    table->entries[gap].pid = 0;
    table->n--;
}

void pid_table_keep(struct pid_table *table, uint32_t mark)
{
    for (uint32_t i = 0; i < table->slots; i++)
        while (table->entries[i].pid != 0 && table->entries[i].mark != mark)
            remove_at(table, i);
}
