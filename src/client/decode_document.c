// SPDX-License-Identifier: Apache-2.0
#include "client/decode_document.h"

#include "wire/json.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static const struct json_limits limits = {
    .bytes = 4 << 20, .depth = 16, .values = 262144};

enum { PATH_MAX_BYTES = 160, PLACES_MAX = 8 };

#define NO_INDEX SIZE_MAX

/* Where we are in the document, from the innermost outwards. */
struct place {
    const struct place *up; // NULL: in the root
    const char *within;     // as in struct member
    const char *key;
    size_t index; // in the array of that key
};

struct decoder {
    struct arena arena;
    struct complaint *why;
};

/* A value, NULL where it is not there or null, into the member at `at` of `out`. */
typedef int read_fn(struct decoder *decoder, const struct place *place,
                    const struct member *member, const json_t *value, char *out);

/* "models[3].vram.rest_bytes.value" */
static void write_path(char path[PATH_MAX_BYTES], const struct place *place)
{
    const struct place *places[PLACES_MAX];
    size_t n = 0, len = 0;

    for (; place && n < PLACES_MAX; place = place->up)
        places[n++] = place;
    path[0] = '\0';
    while (n-- > 0 && len < PATH_MAX_BYTES) {
        const char *within = places[n]->within;

        len +=
            (size_t)snprintf(path + len, PATH_MAX_BYTES - len, "%s%s%s%s", len ? "." : "",
                             within ? within : "", within ? "." : "", places[n]->key);
        if (places[n]->index != NO_INDEX && len < PATH_MAX_BYTES)
            len += (size_t)snprintf(path + len, PATH_MAX_BYTES - len, "[%zu]",
                                    places[n]->index);
    }
}

static int refuse(struct decoder *decoder, const struct place *place, const char *what)
{
    char path[PATH_MAX_BYTES];

    write_path(path, place);
    return complain(decoder->why, -EBADMSG, "%s: %s", path, what);
}

static int no_memory(struct decoder *decoder)
{
    return complain(decoder->why, -ENOMEM, "out of memory");
}

/* 1e3 is a whole number too, as in JSON Schema. */
static bool whole_of(const json_t *value, int64_t *ret)
{
    double real;

    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    real = json_real_value(value);
    if (real < -0x1p63 || real >= 0x1p63 || real != (double)(int64_t)real)
        return false; // trunc() would want libm
    *ret = (int64_t)real;
    return true;
}

static const struct {
    int64_t min, max;
    const char *due;
} wholes[MEMBER_KINDS] = {
    [MEMBER_COUNT] = {0, INT64_MAX, "0 or more is due"},
    // The smallest int64 says that a number is not known.
    [MEMBER_SIGNED] = {VRAMSCOPE_UNKNOWN + 1, INT64_MAX, "more than -2^63 is due"},
    [MEMBER_PORT] = {0, UINT16_MAX, "0 to 65535 is due"},
};

static int read_whole(struct decoder *decoder, const struct place *place,
                      const struct member *member, const json_t *value, char *out)
{
    int64_t number = VRAMSCOPE_UNKNOWN;

    if (value) {
        if (!json_is_number(value))
            return refuse(decoder, place, "a number is due");
        if (!whole_of(value, &number))
            return refuse(decoder, place, "a whole number is due");
        if (number < wholes[member->kind].min || number > wholes[member->kind].max)
            return refuse(decoder, place, wholes[member->kind].due);
    }
    memcpy(out + member->offset, &number, sizeof(number));
    return 0;
}

static const struct {
    double max;
    const char *due;
} decimals[MEMBER_KINDS] = {
    [MEMBER_DECIMAL] = {DBL_MAX, "0 or more is due"},
    [MEMBER_RATIO] = {1, "0 to 1 is due"},
    [MEMBER_PERCENT] = {100, "0 to 100 is due"},
};

static int read_decimal(struct decoder *decoder, const struct place *place,
                        const struct member *member, const json_t *value, char *out)
{
    double number = (double)NAN;

    if (value) {
        if (!json_is_number(value))
            return refuse(decoder, place, "a number is due");
        number = json_number_value(value);
        if (!(number >= 0 && number <= decimals[member->kind].max))
            return refuse(decoder, place, decimals[member->kind].due);
    }
    memcpy(out + member->offset, &number, sizeof(number));
    return 0;
}

/* json_read() lets no NUL through, so that a C string is all of it. */
static int read_text(struct decoder *decoder, const struct place *place,
                     const struct member *member, const json_t *value, char *out)
{
    const char *text = NULL;

    if (value) {
        if (!json_is_string(value))
            return refuse(decoder, place, "a text is due");
        text = arena_take_text(&decoder->arena, json_text(value));
        if (!text)
            return no_memory(decoder);
    }
    memcpy(out + member->offset, &text, sizeof(text));
    return 0;
}

static int read_bool(struct decoder *decoder, const struct place *place,
                     const struct member *member, const json_t *value, char *out)
{
    bool flag = json_is_true(value);

    if (value && !json_is_boolean(value))
        return refuse(decoder, place, "true or false is due");
    memcpy(out + member->offset, &flag, sizeof(flag));
    return 0;
}

static int read_given(struct decoder *decoder, const struct place *place,
                      const struct member *member, const json_t *value, char *out)
{
    bool flag = value != NULL;

    (void)decoder;
    (void)place;
    memcpy(out + member->offset, &flag, sizeof(flag));
    return 0;
}

/* Enums whose 0 stands for any word that is not here. */
static const char *const enum_words[MEMBER_KINDS][5] = {
    [MEMBER_FROM] =
        {
            [VRAMSCOPE_FROM_MEASURED] = "measured",
            [VRAMSCOPE_FROM_ENGINE] = "engine",
            [VRAMSCOPE_FROM_DERIVED] = "derived",
            [VRAMSCOPE_FROM_ESTIMATED] = "estimated",
        },
    [MEMBER_SEVERITY] =
        {
            [VRAMSCOPE_SEVERITY_INFO] = "info",
            [VRAMSCOPE_SEVERITY_WARNING] = "warning",
            [VRAMSCOPE_SEVERITY_CRITICAL] = "critical",
        },
};

static int read_word(struct decoder *decoder, const struct place *place,
                     const struct member *member, const json_t *value, char *out)
{
    const char *const *words = enum_words[member->kind];
    unsigned word = 0;

    if (value && !json_is_string(value))
        return refuse(decoder, place, "a text is due");
    for (unsigned i = 1; value && i < ARRAY_LEN(enum_words[0]) && words[i]; i++)
        if (span_is(json_text(value), words[i]))
            word = i;
    memcpy(out + member->offset, &word, sizeof(word));
    return 0;
}

static int read_members(struct decoder *decoder, const struct place *up,
                        const struct shape *shape, const json_t *object, char *out);

static int read_object(struct decoder *decoder, const struct place *place,
                       const struct member *member, const json_t *value, char *out)
{
    if (value && !json_is_object(value))
        return refuse(decoder, place, "an object is due");
    return read_members(decoder, place, member->shape, value, out + member->offset);
}

static int read_pointer(struct decoder *decoder, const struct place *place,
                        const struct member *member, const json_t *value, char *out)
{
    char *object = arena_take(&decoder->arena, member->shape->size);

    if (!object)
        return no_memory(decoder);
    if (value && !json_is_object(value))
        return refuse(decoder, place, "an object is due");
    memcpy(out + member->offset, &object, sizeof(object));
    return read_members(decoder, place, member->shape, value, object);
}

static int read_optional(struct decoder *decoder, const struct place *place,
                         const struct member *member, const json_t *value, char *out)
{
    return value ? read_pointer(decoder, place, member, value, out) : 0; // NULL as it is
}

/* `n` elements of `size` bytes; the struct then points at the first, and counts them. */
static int take_array(struct decoder *decoder, const struct place *place,
                      const struct member *member, size_t n, size_t size, char **ret)
{
    char path[PATH_MAX_BYTES];

    *ret = NULL;
    if (n > member->max) {
        write_path(path, place);
        return complain(decoder->why, -EFBIG, "%s: there are more than %zu", path,
                        member->max);
    }
    if (n == 0)
        return 0;
    *ret = arena_take(&decoder->arena, n * size);
    return *ret ? 0 : no_memory(decoder);
}

static void set_array(const struct member *member, size_t n, const void *array, char *out)
{
    memcpy(out + member->offset, &array, sizeof(array));
    memcpy(out + member->n_offset, &n, sizeof(n));
}

static int read_list(struct decoder *decoder, const struct place *place,
                     const struct member *member, const json_t *value, char *out)
{
    size_t n = json_array_size(value), size = member->shape->size;
    char *structs, *pointers;
    int r;

    if (value && !json_is_array(value))
        return refuse(decoder, place, "an array is due");
    r = take_array(decoder, place, member, n, size, &structs);
    if (r == 0)
        r = take_array(decoder, place, member, n, sizeof(char *), &pointers);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct place here = {place->up, place->within, place->key, i};
        const json_t *item = json_array_get(value, i);
        char *at = structs + i * size;

        if (!json_is_object(item))
            return refuse(decoder, &here, "an object is due");
        memcpy(pointers + i * sizeof(at), &at, sizeof(at));
        r = read_members(decoder, &here, member->shape, item, at);
    }
    if (r == 0)
        set_array(member, n, pointers, out);
    return r;
}

static int read_indices(struct decoder *decoder, const struct place *place,
                        const struct member *member, const json_t *value, char *out)
{
    static const struct member index = {.kind = MEMBER_COUNT};
    size_t n = json_array_size(value);
    char *numbers;
    int r;

    if (value && !json_is_array(value))
        return refuse(decoder, place, "an array is due");
    r = take_array(decoder, place, member, n, sizeof(int64_t), &numbers);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct place here = {place->up, place->within, place->key, i};
        const json_t *item = json_array_get(value, i);

        if (json_is_null(item))
            return refuse(decoder, &here, "a number is due");
        r = read_whole(decoder, &here, &index, item, numbers + i * sizeof(int64_t));
    }
    if (r == 0)
        set_array(member, n, numbers, out);
    return r;
}

/* The order is the document's. A name that a stranger chose is not repeated in errors. */
static int read_totals(struct decoder *decoder, const struct place *place,
                       const struct member *member, const json_t *value, char *out)
{
    static const struct member total = {
        .kind = MEMBER_COUNT, .offset = offsetof(struct vramscope_limit, total)};
    size_t n = json_object_size(value), size = sizeof(struct vramscope_limit), i = 0;
    char *structs, *pointers;
    const char *name;
    json_t *item;
    int r;

    if (value && !json_is_object(value))
        return refuse(decoder, place, "an object is due");
    r = take_array(decoder, place, member, n, size, &structs);
    if (r == 0)
        r = take_array(decoder, place, member, n, sizeof(char *), &pointers);
    if (r < 0)
        return r;
    // The object is only read: jansson has no way to walk a const one.
    json_object_foreach((json_t *)(uintptr_t)value, name, item)
    {
        struct place here = {place->up, place->within, place->key, i};
        struct vramscope_limit *at = (void *)(structs + i * size);

        at->name = arena_take_text(&decoder->arena, span_of(name));
        if (!at->name)
            return no_memory(decoder);
        r = read_whole(decoder, &here, &total, json_is_null(item) ? NULL : item,
                       (char *)at);
        if (r < 0)
            return r;
        memcpy(pointers + i++ * sizeof(at), &at, sizeof(at));
    }
    set_array(member, n, pointers, out);
    return 0;
}

static read_fn *const readers[MEMBER_KINDS] = {
    [MEMBER_COUNT] = read_whole,       [MEMBER_SIGNED] = read_whole,
    [MEMBER_PORT] = read_whole,        [MEMBER_DECIMAL] = read_decimal,
    [MEMBER_RATIO] = read_decimal,     [MEMBER_PERCENT] = read_decimal,
    [MEMBER_TEXT] = read_text,         [MEMBER_BOOL] = read_bool,
    [MEMBER_GIVEN] = read_given,       [MEMBER_FROM] = read_word,
    [MEMBER_SEVERITY] = read_word,     [MEMBER_OBJECT] = read_object,
    [MEMBER_POINTER] = read_pointer,   [MEMBER_LIST] = read_list,
    [MEMBER_INDICES] = read_indices,   [MEMBER_TOTALS] = read_totals,
    [MEMBER_OPTIONAL] = read_optional,
};

/* `object` NULL: all of it is unknown. Recurses as deep as the tables do. */
static int read_members(struct decoder *decoder, const struct place *up,
                        const struct shape *shape, const json_t *object, char *out)
{
    for (size_t i = 0; i < shape->n; i++) {
        const struct member *member = &shape->members[i];
        struct place place = {up, member->within, member->key, NO_INDEX};
        const json_t *holder = object, *value;
        int r;

        if (member->within) {
            struct place outer = {up, NULL, member->within, NO_INDEX};

            holder = json_find(object, member->within);
            if (holder && !json_is_object(holder))
                return refuse(decoder, &outer, "an object is due");
        }
        value = json_find(holder, member->key);
        if (!value && shape->required)
            return refuse(decoder, &place, "it is missing");
        r = readers[member->kind](decoder, &place, member, value, out);
        if (r < 0)
            return r;
    }
    return 0;
}

int document_read(struct span json, const struct shape *shape, struct document **ret,
                  struct complaint *why)
{
    OWNED(json_decrefp) json_t *root = NULL;
    struct decoder decoder = {.why = why};
    struct document *document;
    int r = json_read(json, &limits, &root, why);

    if (r < 0)
        return r;
    // A struct is smaller than the keys and numbers that it is made of: one block will do.
    arena_init(&decoder.arena, sizeof(*document) + json.len);
    document = arena_take(&decoder.arena, sizeof(*document));
    if (!document)
        return no_memory(&decoder);
    r = read_members(&decoder, NULL, shape, root, (char *)&document->root);
    document->arena = decoder.arena;
    if (r < 0) {
        document_free(document);
        return r;
    }
    atomic_init(&document->references, 1);
    *ret = document;
    return 0;
}

void document_free(struct document *document)
{
    struct arena arena;

    if (!document)
        return;
    arena = document->arena; // which holds the document
    arena_done(&arena);
}
