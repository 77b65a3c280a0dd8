// SPDX-License-Identifier: Apache-2.0
#include "encode/compact_fields.h"

#include "base/text.h"

#include <assert.h>
#include <math.h>

/* Bytes still to be read. */
struct cursor {
    const unsigned char *at;
    const unsigned char *end;
};

struct key {
    uint64_t number;
    enum compact_wire wire;
    uint64_t value;    // of a varint, of a fixed64
    struct span bytes; // of what has a length
};

static struct cursor cursor_of(struct span bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.at;

    return (struct cursor){at, at + bytes.len};
}

static int read_varint(struct cursor *cursor, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        unsigned char byte = *cursor->at++;

        if (shift == 63 && byte > 1)
            return -EBADMSG;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return 0;
        }
    }
    return -EBADMSG;
}

static int take(struct cursor *cursor, uint64_t len, struct span *ret)
{
    if (len > (size_t)(cursor->end - cursor->at))
        return -EBADMSG;
    *ret = (struct span){(const char *)cursor->at, (size_t)len};
    cursor->at += len;
    return 0;
}

/* The next field, whatever it is. Groups, which nobody writes any more, are not known. */
static int read_field(struct cursor *cursor, struct key *ret)
{
    uint64_t key, len;
    int r = read_varint(cursor, &key);

    if (r < 0)
        return r;
    ret->number = key >> 3;
    ret->wire = key & 7;
    ret->value = 0;
    switch (ret->wire) {
    case WIRE_VARINT:
        return read_varint(cursor, &ret->value);
    case WIRE_FIXED64:
        r = take(cursor, sizeof(uint64_t), &ret->bytes);
        if (r == 0)
            memcpy(&ret->value, ret->bytes.at, sizeof(uint64_t));
        return r;
    case WIRE_FIXED32:
        return take(cursor, sizeof(uint32_t), &ret->bytes);
    case WIRE_BYTES:
        r = read_varint(cursor, &len);
        return r < 0 ? r : take(cursor, len, &ret->bytes);
    }
    return -EBADMSG;
}

static bool is_plain(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < 0x20 || text.at[i] == 0x7f) // a byte above 0x7f is negative
            return false;
    return true;
}

/* Cut where it is longer than here is room. */
static size_t copy_text(char *dst, size_t room, struct span text)
{
    static_assert((char)0xff < 0, "char has a sign");
    if (text.len >= room || !is_plain(text))
        return text_clean(dst, room, text);
    memcpy(dst, text.at, text.len);
    dst[text.len] = '\0';
    return text.len;
}

static int find_text(const struct compact_reader *reader, uint64_t index,
                     struct span *ret)
{
    if (index >= reader->n_texts)
        return -EBADMSG;
    *ret = reader->texts[index];
    return 0;
}

/* It is kept in the message that is being made, each text once. */
static int keep_literal(struct compact_reader *reader, uint64_t index, const char **ret)
{
    enum { CLEAN_GROWTH = 3 }; // a bad byte becomes three
    struct compact_message *message = reader->message;
    size_t room = sizeof(message->literals) - message->literals_len;
    struct span text;
    int r = find_text(reader, index, &text);

    if (r < 0)
        return r;
    if (!reader->literals[index]) {
        char *at = message->literals + message->literals_len;

        if (text.len >= room / CLEAN_GROWTH)
            return -E2BIG;
        message->literals_len += copy_text(at, room, text) + 1;
        reader->literals[index] = at;
    }
    *ret = reader->literals[index];
    return 0;
}

/* EVENT_KINDS: a newer node knows more. */
static int read_event_kind(const struct compact_reader *reader, uint64_t index,
                           char *member)
{
    enum event_kind kind = 0;
    struct span name;
    int r = find_text(reader, index, &name);

    if (r < 0)
        return r;
    while (kind < EVENT_KINDS && !span_is(name, event_name(kind)))
        kind++;
    memcpy(member, &kind, sizeof(kind));
    return 0;
}

static int read_fields(struct compact_reader *reader, struct span bytes,
                       const struct compact_table *table, void *row);

static void say_unknown(const struct compact_table *table, void *row);

/* What nobody vouches for is not known, and what is not known has no value. */
static int read_figure(struct compact_reader *reader, struct span bytes, char *member)
{
    struct figure figure;
    int r;

    say_unknown(&compact_figure, &figure);
    r = read_fields(reader, bytes, &compact_figure, &figure);
    if (r < 0)
        return r;
    if ((unsigned)figure.how > ESTIMATED || figure.value == UNKNOWN)
        figure.how = FROM_NOWHERE;
    if (figure.how == FROM_NOWHERE)
        figure = figure_unknown(figure.why ? figure.why : "its node does not say why");
    memcpy(member, &figure, sizeof(figure));
    return 0;
}

/* As many as there is room for; `n` tells of the others, too. */
static int read_via(struct span bytes, struct fleet_via *ret)
{
    size_t n = bytes.len / sizeof(ret->ids[0]);

    if (bytes.len % sizeof(ret->ids[0]))
        return -EBADMSG;
    ret->n = (uint32_t)n;
    memcpy(ret->ids, bytes.at, MIN(n, ARRAY_LEN(ret->ids)) * sizeof(ret->ids[0]));
    return 0;
}

static int store_number(const struct compact_field *field, uint64_t value, char *member)
{
    if (field->size < sizeof(value) && value >> (8 * field->size))
        return -EBADMSG;
    memcpy(member, &value, field->size);
    return 0;
}

static int store_bool(uint64_t value, char *member)
{
    if (value > 1)
        return -EBADMSG;
    *member = (char)value;
    return 0;
}

static int read_varint_member(struct compact_reader *reader,
                              const struct compact_field *field, uint64_t value,
                              char *member)
{
    struct span text;
    const char *literal;
    int r;

    switch ((enum compact_kind)field->kind) {
    case COMPACT_NUMBER:
        return field->size == sizeof(bool) ? store_bool(value, member)
                                           : store_number(field, value, member);
    case COMPACT_COUNT:
    case COMPACT_INSTANCE:
        return store_number(field, value, member);
    case COMPACT_SIGNED:
        return store_number(field, value >> 1 ^ (value & 1 ? UINT64_MAX : 0), member);
    case COMPACT_TEXT:
        r = find_text(reader, value, &text);
        if (r == 0)
            (void)copy_text(member, field->size, text);
        return r;
    case COMPACT_LITERAL:
        r = keep_literal(reader, value, &literal);
        if (r == 0)
            memcpy(member, &literal, sizeof(literal));
        return r;
    case COMPACT_EVENT_KIND:
        return read_event_kind(reader, value, member);
    default:
        return 0; // it has changed its type: not known here
    }
}

static int read_fields(struct compact_reader *reader, struct span bytes,
                       const struct compact_table *table, void *row)
{
    struct cursor cursor = cursor_of(bytes);
    struct key key;
    int r = 0;

    while (cursor.at < cursor.end && r == 0) {
        const struct compact_field *field;
        char *member;

        if (reader->n_fields++ == COMPACT_FIELDS_MAX)
            return -E2BIG;
        r = read_field(&cursor, &key);
        if (r < 0 || key.number >= table->n)
            continue;
        field = &table->fields[key.number];
        member = (char *)row + field->offset;
        if (key.wire == WIRE_VARINT)
            r = read_varint_member(reader, field, key.value, member);
        else if (key.wire == WIRE_FIXED64 && field->kind == COMPACT_REAL)
            memcpy(member, &key.value, sizeof(key.value));
        else if (key.wire == WIRE_BYTES && field->kind == COMPACT_FIGURE)
            r = read_figure(reader, key.bytes, member);
        else if (key.wire == WIRE_BYTES && field->kind == COMPACT_VIA)
            r = read_via(key.bytes, (struct fleet_via *)(void *)member);
    }
    return r;
}

/* What a row says that has no fields. */
static void say_unknown(const struct compact_table *table, void *row)
{
    static const uint64_t unknown = UNKNOWN;
    static const double nan_value = (double)NAN;

    for (size_t i = 1; i < table->n; i++) {
        const struct compact_field *field = &table->fields[i];
        char *member = (char *)row + field->offset;

        if (field->kind == COMPACT_COUNT || field->kind == COMPACT_INSTANCE)
            memcpy(member, &unknown, field->size);
        else if (field->kind == COMPACT_REAL)
            memcpy(member, &nan_value, sizeof(nan_value));
        else if (field->kind == COMPACT_FIGURE)
            (void)read_figure(NULL, (struct span){"", 0}, member);
        else if (field->kind == COMPACT_TEXT)
            *member = '\0';
        else if (field->kind == COMPACT_VIA)
            ((struct fleet_via *)(void *)member)->n = 0;
        else
            memset(member, 0, field->size);
    }
}

/* Where the rows of a part are, and how many fit. */
static const struct rows {
    size_t offset;
    size_t size;
    size_t max;
} rows_of[COMPACT_PARTS] = {
#define ROWS(member)                                                                  \
    {                                                                                 \
        offsetof(struct snapshot, member), sizeof(((struct snapshot *)0)->member[0]), \
            ARRAY_LEN(((struct snapshot *)0)->member)                                 \
    }
    [COMPACT_PART_SOURCE] = ROWS(sources), [COMPACT_PART_DEVICE] = ROWS(devices),
    [COMPACT_PART_MODEL] = ROWS(models),   [COMPACT_PART_PROCESS] = ROWS(processes),
    [COMPACT_PART_EVENT] = ROWS(events),   [COMPACT_PART_LIMITED] = ROWS(self.limited),
#undef ROWS
};

struct counts {
    size_t n[COMPACT_PARTS];
    size_t strange_events; // that have no row
};

static bool is_strange_event(enum compact_part part, const void *row)
{
    return part == COMPACT_PART_EVENT && ((const struct event *)row)->kind >= EVENT_KINDS;
}

static int read_row(struct compact_reader *reader, enum compact_part part,
                    struct span bytes, struct counts *counts)
{
    const struct rows *rows = &rows_of[part];
    size_t *n = &counts->n[part];
    char *row = (char *)&reader->message->snapshot + rows->offset + *n * rows->size;
    int r;

    if (*n + (part == COMPACT_PART_EVENT ? counts->strange_events : 0) >= rows->max)
        return -E2BIG;
    memset(row, 0, rows->size);
    say_unknown(&compact_tables[part], row);
    if (part == COMPACT_PART_EVENT)
        ((struct event *)(void *)row)->kind = EVENT_KINDS;
    r = read_fields(reader, bytes, &compact_tables[part], row);
    if (is_strange_event(part, row))
        counts->strange_events++;
    else
        ++*n;
    return r;
}

static int read_part(struct compact_reader *reader, const struct key *key,
                     struct counts *counts)
{
    struct compact_message *message = reader->message;

    if (key->wire != WIRE_BYTES || key->number >= COMPACT_PARTS)
        return 0;
    switch ((enum compact_part)key->number) {
    case COMPACT_PART_HEAD:
        return read_fields(reader, key->bytes, &compact_tables[key->number],
                           &message->head);
    case COMPACT_PART_TOTALS:
        message->has_figures = true;
        return read_fields(reader, key->bytes, &compact_tables[key->number],
                           &message->snapshot);
    case COMPACT_PART_SELF:
        return read_fields(reader, key->bytes, &compact_tables[key->number],
                           &message->snapshot.self);
    default:
        if (!rows_of[key->number].max)
            return 0;
        return read_row(reader, (enum compact_part)key->number, key->bytes, counts);
    }
}

/* Before anything else: rows name them, and who writes may put them last. */
static int read_texts(struct compact_reader *reader, struct span bytes)
{
    struct cursor cursor = cursor_of(bytes);
    uint64_t format = 0;
    struct key key;

    reader->n_fields = reader->n_texts = 0;
    while (cursor.at < cursor.end) {
        int r = read_field(&cursor, &key);

        if (r < 0)
            return r;
        if (reader->n_fields++ == COMPACT_FIELDS_MAX)
            return -E2BIG;
        if (key.number == COMPACT_PART_FORMAT && key.wire == WIRE_VARINT)
            format = key.value;
        if (key.number != COMPACT_PART_TEXT || key.wire != WIRE_BYTES)
            continue;
        if (reader->n_texts == ARRAY_LEN(reader->texts))
            return -E2BIG;
        reader->literals[reader->n_texts] = NULL;
        reader->texts[reader->n_texts++] = key.bytes;
    }
    return format == COMPACT_FORMAT ? 0 : format ? -EPROTONOSUPPORT : -EBADMSG;
}

static bool is_percent(double value)
{
    return value >= 0 && value <= 100;
}

/* What indexes something here, or stands for a word. */
static int check(struct compact_message *message)
{
    struct snapshot *snapshot = &message->snapshot;

    if (!isnan(snapshot->hit_percent) && !is_percent(snapshot->hit_percent))
        return -EBADMSG;
    for (uint32_t i = 0; i < snapshot->n_sources; i++)
        if (snapshot->sources[i].verdict >= GPU_VERDICTS)
            snapshot->sources[i].verdict = GPU_FAILED;
    for (uint32_t i = 0; i < snapshot->n_devices; i++)
        if (snapshot->devices[i].source >= snapshot->n_sources)
            return -EBADMSG;
    for (uint32_t i = 0; i < snapshot->n_models; i++)
        if ((unsigned)snapshot->models[i].state >= ENGINE_STATES)
            snapshot->models[i].state = ENGINE_UNREACHABLE;
    for (uint32_t i = 0; i < snapshot->n_processes; i++) {
        if (snapshot->processes[i].device >= snapshot->n_devices)
            return -EBADMSG;
        if ((unsigned)snapshot->processes[i].owner > OWNER_ORPHAN)
            snapshot->processes[i].owner = OWNER_OTHER;
    }
    for (size_t i = 0; i < snapshot->self.n_limited; i++)
        if (!snapshot->self.limited[i].what)
            return -EBADMSG;
    return message->head.node[0] && message->head.boot[0] ? 0 : -EBADMSG;
}

static void begin(struct compact_reader *reader, struct compact_message *message)
{
    reader->message = message;
    message->has_figures = false;
    message->literals_len = 0;
    memset(&message->head, 0, sizeof(message->head));
    say_unknown(&compact_tables[COMPACT_PART_HEAD], &message->head);
    memset(&message->snapshot, 0, offsetof(struct snapshot, sources));
    say_unknown(&compact_tables[COMPACT_PART_TOTALS], &message->snapshot);
    say_unknown(&compact_tables[COMPACT_PART_SELF], &message->snapshot.self);
}

static void finish(struct compact_message *message, const struct counts *counts)
{
    struct snapshot *snapshot = &message->snapshot;

    snapshot->n_sources = (uint32_t)counts->n[COMPACT_PART_SOURCE];
    snapshot->n_devices = (uint32_t)counts->n[COMPACT_PART_DEVICE];
    snapshot->n_models = (uint32_t)counts->n[COMPACT_PART_MODEL];
    snapshot->n_processes = (uint32_t)counts->n[COMPACT_PART_PROCESS];
    snapshot->n_events = (uint32_t)counts->n[COMPACT_PART_EVENT];
    snapshot->self.n_limited = counts->n[COMPACT_PART_LIMITED];
    snapshot->processes_left_out = message->head.processes_left_out;
    snapshot->unix_ms = message->head.unix_ms;
}

int compact_read(struct compact_reader *reader, struct span bytes,
                 struct compact_message *ret)
{
    struct cursor cursor = cursor_of(bytes);
    struct counts counts = {0};
    struct key key;
    int r;

    if (bytes.len > COMPACT_MAX)
        return -E2BIG;
    r = read_texts(reader, bytes);
    begin(reader, ret);
    while (cursor.at < cursor.end && r == 0) {
        r = read_field(&cursor, &key);
        if (r == 0)
            r = read_part(reader, &key, &counts);
    }
    if (r < 0)
        return r;
    finish(ret, &counts);
    return check(ret);
}
