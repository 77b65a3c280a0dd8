// SPDX-License-Identifier: Apache-2.0
#include "engine/page_reader.h"

#include "wire/json_walk.h"

#include <assert.h>
#include <stdio.h>

enum { NAMES_MAX = 64 }; // of one kind's page: they are bits of a word

static size_t largest_page(void)
{
    size_t size = 0;

    for (size_t i = 0; i < engine_kinds_n; i++)
        size = MAX(size, engine_kinds[i]->page_size);
    return size;
}

static size_t most_zeroed(void)
{
    size_t size = 0;

    for (size_t i = 0; i < engine_kinds_n; i++)
        size = MAX(size, engine_kinds[i]->page_zeroed);
    return size;
}

static void begin_state(struct page_reader *reader, const struct engine_kind *kind)
{
    memset(reader->state, 0, most_zeroed());
    reader->kind = kind;
    reader->seen = 0;
}

/* False: the page is another kind's, which counts more. */
static bool is_of_page(struct page_reader *reader, const struct engine_kind *kind)
{
    if (!reader->kind || (reader->kind != kind && reader->kind->yields && !kind->yields))
        begin_state(reader, kind);
    return reader->kind == kind;
}

static int give(struct page_reader *reader, unsigned name, struct span text, double value)
{
    int r = reader->kind->sample(reader->state, name, text, value, &reader->why);

    if (r >= 0)
        reader->why = NULL; // nothing is wrong with the page so far
    return r;
}

static int on_sample(void *ctx, unsigned name, struct span labels, double value)
{
    struct page_reader *reader = ctx;
    unsigned index = reader->index_of[name];

    if (!is_of_page(reader, engine_kinds[reader->kind_of[name]]))
        return 0; // a page that passes on another's metrics
    reader->seen |= 1ULL << index;
    return give(reader, index, labels, value);
}

/* One part of a kind's answers in JSON. */
struct part_walk {
    struct page_reader *reader;
    const struct engine_names *names;
    unsigned first;
};

static int on_value(void *ctx, struct span path, struct span text, double value)
{
    const struct part_walk *walk = ctx;

    for (size_t i = 0; i < walk->names->n; i++)
        if (span_is(path, walk->names->at[i]))
            return give(walk->reader, walk->first + (unsigned)i, text, value);
    return 0;
}

static int walk_part(struct page_reader *reader, enum engine_part part, struct span text)
{
    struct part_walk walk = {reader, &reader->kind->names[part],
                             engine_kind_first(reader->kind, part)};

    return json_walk(text, on_value, &walk);
}

static void add_kind(struct page_reader *reader, size_t kind)
{
    const struct engine_names *names = &engine_kinds[kind]->names[ENGINE_PART_PAGE];

    assert(names->n <= NAMES_MAX);
    for (size_t i = 0; i < names->n && !engine_kinds[kind]->is_json; i++) {
        reader->names[reader->n_names] = names->at[i];
        reader->kind_of[reader->n_names] = (uint8_t)kind;
        reader->index_of[reader->n_names++] = (uint8_t)i;
    }
}

int page_reader_init(struct page_reader *reader)
{
    *reader = (struct page_reader){0};
    buf_init(&reader->json, PAGE_JSON_MAX);
    for (size_t i = 0; i < engine_kinds_n; i++)
        add_kind(reader, i);
    prom_init(&reader->prom, reader->names, reader->n_names, on_sample, reader);
    reader->state = malloc(largest_page());
    return reader->state ? 0 : -ENOMEM;
}

void page_reader_done(struct page_reader *reader)
{
    prom_done(&reader->prom);
    buf_done(&reader->json);
    free(reader->state);
    reader->state = NULL;
}

static bool is_json(const struct page_reader *reader)
{
    return reader->expected && reader->expected->is_json;
}

void page_reader_begin(struct page_reader *reader, const struct engine_kind *expected)
{
    prom_restart(&reader->prom);
    buf_clear(&reader->json);
    begin_state(reader, NULL);
    reader->expected = expected;
    reader->why = NULL;
    reader->is_malformed = false;
}

int page_reader_feed(struct page_reader *reader, struct span bytes)
{
    if (!is_json(reader))
        return prom_feed(&reader->prom, bytes);
    buf_add(&reader->json, bytes.at, bytes.len);
    return reader->json.error;
}

int page_reader_end(struct page_reader *reader)
{
    int r;

    if (!is_json(reader)) {
        r = prom_finish(&reader->prom);
        if (r == 0 && !reader->kind && reader->expected &&
            !reader->expected->empty_is_off)
            begin_state(reader, reader->expected);
        return r;
    }
    begin_state(reader, reader->expected);
    r = reader->json.error ? reader->json.error
                           : walk_part(reader, ENGINE_PART_PAGE, buf_span(&reader->json));
    reader->is_malformed = r < 0;
    return r;
}

void page_reader_take_part(struct page_reader *reader, enum engine_part part,
                           struct span text)
{
    if (reader->kind && reader->kind->names[part].n && text.len &&
        walk_part(reader, part, text) < 0)
        reader->why = NULL; // of the page itself nothing is wrong
}

bool page_reader_finish(struct page_reader *reader, struct engine_page *ret)
{
    if (!reader->kind)
        return false;
    reader->kind->finish(reader->state, ret);
    return true;
}

bool page_reader_complain(const struct page_reader *reader, char *ret, size_t room)
{
    const char *what = reader->why ? reader->why : "malformed, or cut off";

    if (reader->is_malformed)
        (void)snprintf(ret, room, "its answer in JSON: %s",
                       reader->json.error ? "longer than 1 MiB" : what);
    else if (reader->prom.error < 0)
        (void)snprintf(ret, room, "metrics page, line %llu: %s",
                       (unsigned long long)reader->prom.line,
                       reader->prom.error == -EMSGSIZE && !reader->why
                           ? "longer than 64 KiB"
                           : what);
    return reader->is_malformed || reader->prom.error < 0;
}
