// SPDX-License-Identifier: Apache-2.0
#include "encode/compact_fields.h"

/* Where the texts are that rows point at, and where they will be. */
struct move {
    const struct compact_message *from;
    char *literals;
};

/* Those that are not the message's are constants of the program. */
static void move_text(const struct move *move, char *member)
{
    const char *text;
    uintptr_t at;

    memcpy(&text, member, sizeof(text));
    at = (uintptr_t)text - (uintptr_t)move->from->literals;
    if (!text || at >= move->from->literals_len)
        return;
    text = move->literals + at;
    memcpy(member, &text, sizeof(text));
}

static void move_fields(const struct move *move, const struct compact_table *table,
                        void *row)
{
    for (size_t i = 1; i < table->n; i++) {
        const struct compact_field *field = &table->fields[i];
        char *member = (char *)row + field->offset;

        if (field->kind == COMPACT_LITERAL)
            move_text(move, member);
        else if (field->kind == COMPACT_FIGURE)
            move_text(move, member + offsetof(struct figure, why));
    }
}

/* Rows that are there; the others are not touched. */
static void copy_rows(const struct move *move, enum compact_part part, size_t offset,
                      size_t size, size_t n, struct snapshot *ret)
{
    const char *from = (const char *)&move->from->snapshot + offset;
    char *to = (char *)ret + offset;

    memcpy(to, from, n * size);
    for (size_t i = 0; i < n; i++)
        move_fields(move, &compact_tables[part], to + i * size);
}

void compact_copy(const struct compact_message *message, struct snapshot *ret,
                  char *literals)
{
    const struct move move = {message, literals};
    const struct snapshot *from = &message->snapshot;
    struct snapshot_fleet *fleet = ret->fleet;

    memcpy(literals, message->literals, message->literals_len);
    memcpy(ret, from, offsetof(struct snapshot, sources));
    ret->fleet = fleet;
    move_fields(&move, &compact_tables[COMPACT_PART_TOTALS], ret);
    move_fields(&move, &compact_tables[COMPACT_PART_SELF], &ret->self);
    for (size_t i = 0; i < ret->self.n_limited; i++)
        move_fields(&move, &compact_tables[COMPACT_PART_LIMITED], &ret->self.limited[i]);
#define ROWS(part, member)                                                   \
    copy_rows(&move, COMPACT_PART_##part, offsetof(struct snapshot, member), \
              sizeof(from->member[0]), from->n_##member, ret)
    ROWS(SOURCE, sources);
    ROWS(DEVICE, devices);
    ROWS(MODEL, models);
    ROWS(PROCESS, processes);
    ROWS(EVENT, events);
#undef ROWS
}
