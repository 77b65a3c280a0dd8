// SPDX-License-Identifier: Apache-2.0
#include "encode/compact_fields.h"

#include <assert.h>
#include <math.h>

enum {
    VARINT_MAX = 10,
    PART_LENGTH_BYTES = 2, // of a part's length, a varint that may be longer than needed
    PART_MAX = (1 << 14) - 1,
    FIGURE_MAX = 4 * (1 + VARINT_MAX), // its length is one byte
    FIELD_MAX = 2 + 1 + FIGURE_MAX,
    VIA_ROOM = 2 * VARINT_MAX + FLEET_VIA_MAX * 8,
    PART_ROOM = 64 * FIELD_MAX + VIA_ROOM, // no table has more fields
};

static_assert(PART_ROOM <= PART_MAX, "a part's length fits");

static char *put_varint(char *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (char)value;
    return at;
}

static char *put_key(char *at, unsigned number, enum compact_wire wire)
{
    return put_varint(at, number << 3 | wire);
}

static uint32_t hash_of(struct span text)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.at[i]) * 16777619U;
    return hash ^ hash >> 15;
}

/* Its place among the texts, to which it is added where it is new. */
static uint64_t text_index(struct compact_writer *writer, struct span text)
{
    uint32_t at = hash_of(text) % ARRAY_LEN(writer->slots);

    while (writer->slots[at]) {
        const struct span *there = &writer->texts[writer->slots[at] - 1];

        if (there->len == text.len && memcmp(there->at, text.at, text.len) == 0)
            return writer->slots[at] - 1U;
        at = (at + 1) % ARRAY_LEN(writer->slots);
    }
    if (writer->n_texts == ARRAY_LEN(writer->texts)) {
        writer->error = -E2BIG;
        return 0;
    }
    writer->texts[writer->n_texts++] = text;
    writer->slots[at] = (uint16_t)writer->n_texts;
    return writer->n_texts - 1;
}

static uint64_t read_number(const char *member, size_t size)
{
    uint64_t value = 0;

    memcpy(&value, member, size); // little-endian, as all that this is built for
    return value;
}

static char *put_fields(struct compact_writer *writer, char *at,
                        const struct compact_table *table, const void *row);

static char *put_number(char *at, const struct compact_field *field, uint64_t value,
                        uint64_t absent)
{
    if (value == absent)
        return at;
    return put_varint(put_key(at, field->number, WIRE_VARINT), value);
}

static char *put_text(struct compact_writer *writer, char *at,
                      const struct compact_field *field, struct span text)
{
    return put_varint(put_key(at, field->number, WIRE_VARINT), text_index(writer, text));
}

static char *put_real(char *at, const struct compact_field *field, const char *member)
{
    double value;

    memcpy(&value, member, sizeof(value));
    if (isnan(value))
        return at;
    at = put_key(at, field->number, WIRE_FIXED64);
    memcpy(at, member, sizeof(value));
    return at + sizeof(value);
}

/* One of which there is nothing to say is not there. */
static char *put_figure(struct compact_writer *writer, char *at,
                        const struct compact_field *field, const char *member)
{
    char *length = put_key(at, field->number, WIRE_BYTES), *end;

    end = put_fields(writer, length + 1, &compact_figure, member);
    *length = (char)(end - length - 1);
    return *length ? end : at;
}

static char *put_via(char *at, const struct compact_field *field,
                     const struct fleet_via *via)
{
    size_t len = MIN(via->n, (uint32_t)FLEET_VIA_MAX) * sizeof(via->ids[0]);

    if (!len)
        return at;
    at = put_varint(put_key(at, field->number, WIRE_BYTES), len);
    memcpy(at, via->ids, len);
    return at + len;
}

static char *put_field(struct compact_writer *writer, char *at,
                       const struct compact_field *field, const char *member)
{
    uint64_t value;
    const char *text;

    switch ((enum compact_kind)field->kind) {
    case COMPACT_NONE:
        return at;
    case COMPACT_NUMBER:
        return put_number(at, field, read_number(member, field->size), 0);
    case COMPACT_COUNT:
        return put_number(at, field, read_number(member, field->size), UNKNOWN);
    case COMPACT_INSTANCE:
        return put_number(at, field, read_number(member, field->size), GPU_NO_INSTANCE);
    case COMPACT_SIGNED:
        value = read_number(member, field->size);
        return put_number(at, field, value << 1 ^ (value >> 63 ? UINT64_MAX : 0), 0);
    case COMPACT_REAL:
        return put_real(at, field, member);
    case COMPACT_TEXT:
        return member[0] ? put_text(writer, at, field, span_of(member)) : at;
    case COMPACT_LITERAL:
        memcpy(&text, member, sizeof(text));
        return text ? put_text(writer, at, field, span_of(text)) : at;
    case COMPACT_EVENT_KIND:
        text = event_name((enum event_kind)read_number(member, field->size));
        return put_text(writer, at, field, span_of(text));
    case COMPACT_FIGURE:
        return put_figure(writer, at, field, member);
    case COMPACT_VIA:
        return put_via(at, field, (const struct fleet_via *)(const void *)member);
    }
    return at;
}

static char *put_fields(struct compact_writer *writer, char *at,
                        const struct compact_table *table, const void *row)
{
    for (size_t i = 1; i < table->n; i++)
        at = put_field(writer, at, &table->fields[i],
                       (const char *)row + table->fields[i].offset);
    return at;
}

static void write_part(struct compact_writer *writer, enum compact_part part,
                       const void *row)
{
    struct buf *out = writer->out;
    size_t len;
    char *begin = buf_reserve(out, PART_ROOM), *length, *body, *end;

    if (!begin)
        return;
    length = put_key(begin, part, WIRE_BYTES);
    body = length + PART_LENGTH_BYTES;
    end = put_fields(writer, body, &compact_tables[part], row);
    len = (size_t)(end - body);
    length[0] = (char)(len | 0x80);
    length[1] = (char)(len >> 7);
    out->len += (size_t)(end - begin);
}

static void write_texts(struct compact_writer *writer)
{
    for (size_t i = 0; i < writer->n_texts; i++) {
        char key[2 * VARINT_MAX];
        char *end = put_key(key, COMPACT_PART_TEXT, WIRE_BYTES);

        end = put_varint(end, writer->texts[i].len);
        buf_add(writer->out, key, (size_t)(end - key));
        buf_add(writer->out, writer->texts[i].at, writer->texts[i].len);
    }
}

/* What of a snapshot is to be in the message. */
struct cut {
    size_t models;
    size_t processes;
    size_t events;
};

static uint64_t size_of(const struct snapshot_model *model)
{
    return model->allocated_bytes.how == FROM_NOWHERE ? 0 : model->allocated_bytes.value;
}

/* Is it among the `n` largest? Of two alike the one that comes first is. */
static bool is_kept(const struct snapshot *snapshot, uint32_t i, size_t n)
{
    uint64_t size = size_of(&snapshot->models[i]);
    size_t larger = 0;

    if (n >= snapshot->n_models)
        return true;
    for (uint32_t k = 0; k < snapshot->n_models; k++) {
        uint64_t other = size_of(&snapshot->models[k]);

        larger += other > size || (other == size && k < i);
    }
    return larger < n;
}

static void write_rows(struct compact_writer *writer, const struct snapshot *snapshot,
                       const struct cut *cut)
{
    write_part(writer, COMPACT_PART_TOTALS, snapshot);
    for (uint32_t i = 0; i < snapshot->n_sources; i++)
        write_part(writer, COMPACT_PART_SOURCE, &snapshot->sources[i]);
    for (uint32_t i = 0; i < snapshot->n_devices; i++)
        write_part(writer, COMPACT_PART_DEVICE, &snapshot->devices[i]);
    for (uint32_t i = 0; i < snapshot->n_models; i++)
        if (is_kept(snapshot, i, cut->models))
            write_part(writer, COMPACT_PART_MODEL, &snapshot->models[i]);
    for (uint32_t i = 0; i < cut->processes; i++)
        write_part(writer, COMPACT_PART_PROCESS, &snapshot->processes[i]);
    for (size_t i = snapshot->n_events - cut->events; i < snapshot->n_events; i++)
        write_part(writer, COMPACT_PART_EVENT, &snapshot->events[i]);
}

/* A gateway has more than `models` holds. */
static uint32_t count_models(const struct snapshot *snapshot)
{
    const struct snapshot_fleet *fleet = snapshot->fleet;

    return fleet ? fleet->n_models + fleet->models_left_out : snapshot->n_models;
}

static uint64_t add_count(uint64_t sum, uint64_t more)
{
    if (more == UNKNOWN)
        return sum;
    return sum == UNKNOWN ? more : add_saturating(sum, more);
}

static void add_hits(struct hit_counts *sum, struct hit_counts more)
{
    if (isnan(more.hits) || isnan(more.queries))
        return;
    if (isnan(sum->queries))
        *sum = (struct hit_counts){0};
    sum->hits += more.hits;
    sum->queries += more.queries;
}

static void forget_sums(struct compact_head *head)
{
    static const struct hit_counts unknown = {(double)NAN, (double)NAN};

    head->requests_running = head->requests_waiting = UNKNOWN;
    head->kv_pool_bytes = figure_unknown(NULL);
    head->kv_pool_unknown = UNKNOWN;
    head->prefix_minute = head->prefix_five_minutes = head->prefix_lifetime = unknown;
}

static void sum_up_fleet(struct compact_head *head, const struct snapshot_fleet *fleet)
{
    head->requests_running = fleet->requests_running;
    head->requests_waiting = fleet->requests_waiting;
    head->kv_pool_bytes = fleet->kv_pool_bytes;
    head->kv_pool_unknown = fleet->kv_pool_unknown;
    head->prefix_minute = fleet->prefix_minute;
    head->prefix_five_minutes = fleet->prefix_five_minutes;
    head->prefix_lifetime = fleet->prefix_lifetime;
}

static void sum_up_models(struct compact_head *head, const struct snapshot *snapshot)
{
    uint32_t unknown = 0;

    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        const struct snapshot_model *model = &snapshot->models[i];

        head->requests_running =
            add_count(head->requests_running, model->page.requests_running);
        head->requests_waiting =
            add_count(head->requests_waiting, model->page.requests_waiting);
        figure_add(&head->kv_pool_bytes, model->kv_pool_bytes, &unknown);
        add_hits(&head->prefix_minute, model->prefix_minute);
        add_hits(&head->prefix_five_minutes, model->prefix_five_minutes);
        add_hits(&head->prefix_lifetime, model->page.prefix);
    }
    head->kv_pool_unknown = unknown;
}

/* What rows come to, where they are not all there. */
static void sum_up(struct compact_head *head, const struct snapshot *snapshot,
                   const struct cut *cut)
{
    forget_sums(head);
    if (snapshot && snapshot->fleet)
        sum_up_fleet(head, snapshot->fleet);
    else if (snapshot && cut->models < snapshot->n_models)
        sum_up_models(head, snapshot);
}

static void write_message(struct compact_writer *writer, struct compact_head *head,
                          const struct snapshot *snapshot,
                          const struct snapshot_self *self, const struct cut *cut)
{
    char format[2 * VARINT_MAX];
    char *end = put_key(format, COMPACT_PART_FORMAT, WIRE_VARINT);

    writer->n_texts = 0;
    memset(writer->slots, 0, sizeof(writer->slots));
    buf_clear(writer->out);
    end = put_varint(end, COMPACT_FORMAT);
    buf_add(writer->out, format, (size_t)(end - format));
    if (snapshot) {
        head->models_left_out = count_models(snapshot) - (uint32_t)cut->models;
        head->processes_left_out = (uint32_t)(snapshot->n_processes - cut->processes) +
                                   snapshot->processes_left_out;
    }
    sum_up(head, snapshot, cut);
    write_part(writer, COMPACT_PART_HEAD, head);
    if (snapshot)
        write_rows(writer, snapshot, cut);
    write_part(writer, COMPACT_PART_SELF, self);
    for (size_t i = 0; i < self->n_limited; i++)
        write_part(writer, COMPACT_PART_LIMITED, &self->limited[i]);
    write_texts(writer);
}

/* Less than before; false: there is nothing left to leave out. */
static bool cut_more(struct cut *cut)
{
    if (cut->processes || cut->events)
        cut->processes = cut->events = 0;
    else if (cut->models)
        cut->models -= MAX(cut->models / 8, (size_t)1);
    else
        return false;
    return true;
}

int compact_write(struct compact_writer *writer, struct buf *out,
                  const struct compact_head *head, const struct snapshot *snapshot,
                  const struct snapshot_self *self, size_t max)
{
    struct compact_head own = *head;
    struct cut cut = {0};
    bool more = true;

    if (snapshot)
        cut = (struct cut){snapshot->n_models,
                           MIN(snapshot->n_processes, (uint32_t)COMPACT_PROCESSES_MAX),
                           snapshot->n_events};
    writer->out = out;
    writer->error = 0;
    write_message(writer, &own, snapshot, self, &cut);
    while (!out->error && !writer->error && out->len > max && more) {
        more = cut_more(&cut);
        write_message(writer, &own, snapshot, self, &cut);
    }
    if (out->error || writer->error)
        return out->error ? out->error : writer->error;
    return out->len > max ? -E2BIG : 0;
}
