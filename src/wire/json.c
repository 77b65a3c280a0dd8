// SPDX-License-Identifier: Apache-2.0
#include "wire/json.h"

/* One pass over the text: limits are counted, words of Python's made numbers. */
struct scan {
    const char *text;
    char *copy; // of the text, in which words are made numbers; NULL: they are not
    size_t len, at;
    unsigned depth, values;
};

/* A fraction takes the word's place: it fits into NaN, and no count may be one. */
static void tame_word(struct scan *scan)
{
    static const char *const words[] = {"-Infinity", "Infinity", "NaN"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t len = strlen(words[i]);
        char *at = scan->copy + scan->at;

        if (scan->len - scan->at < len || memcmp(at, words[i], len) != 0)
            continue;
        memset(at, ' ', len);
        memcpy(at, "0.5", 3);
        scan->at += len - 1;
        return;
    }
}

static void skip_string(struct scan *scan)
{
    while (++scan->at < scan->len && scan->text[scan->at] != '"')
        if (scan->text[scan->at] == '\\')
            scan->at++;
}

static void take_char(struct scan *scan)
{
    switch (scan->text[scan->at]) {
    case '"':
        skip_string(scan);
        break;
    case '{':
    case '[':
        scan->depth++;
        scan->values++;
        break;
    case '}':
    case ']':
        scan->depth -= scan->depth > 0;
        break;
    case ',':
        scan->values++;
        break;
    case '-':
    case 'I':
    case 'N':
        if (scan->copy)
            tame_word(scan);
        break;
    default:
        break;
    }
}

static int check_limits(struct scan *scan, const struct json_limits *limits,
                        struct complaint *why)
{
    for (; scan->at < scan->len; scan->at++) {
        take_char(scan);
        if (scan->depth > limits->depth)
            return complain(why, -EFBIG, "it is nested deeper than %u", limits->depth);
        if (scan->values > limits->values)
            return complain(why, -EFBIG, "it has more than %u values", limits->values);
    }
    return 0;
}

/* Where it stops to be JSON; the parser's own words would quote the stranger's. */
static int refuse(const json_error_t *error, struct complaint *why)
{
    const char *what = "it is no JSON";

    if (error->text[0] == '\0') // it says nothing where there was no memory
        return complain(why, -ENOMEM, "out of memory");
    switch (json_error_code(error)) {
    case json_error_numeric_overflow:
        what = "a number is too large";
        break;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        what = "a text has a NUL in it";
        break;
    case json_error_duplicate_key:
        what = "a key is given twice";
        break;
    default:
        break;
    }
    return complain(why, -EBADMSG, "%s (line %d, column %d)", what, error->line,
                    error->column);
}

int json_read(struct span text, const struct json_limits *limits, json_t **ret,
              struct complaint *why)
{
    OWNED(free_str) char *copy = NULL;
    struct scan scan = {.text = text.at, .len = text.len};
    json_error_t error;
    json_t *root;
    int r;

    if (text.len > limits->bytes)
        return complain(why, -EFBIG, "it is longer than %zu bytes", limits->bytes);
    if (limits->python && text.len) {
        copy = malloc(text.len);
        if (!copy)
            return complain(why, -ENOMEM, "out of memory");
        memcpy(copy, text.at, text.len);
        scan.text = scan.copy = copy;
    }
    r = check_limits(&scan, limits, why);
    if (r < 0)
        return r;

    root =
        json_loadb(scan.len ? scan.text : "", scan.len, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return refuse(&error, why);
    if (!json_is_object(root)) {
        json_decref(root);
        return complain(why, -EBADMSG, "it is not a JSON object");
    }
    *ret = root;
    return 0;
}

struct span json_text(const json_t *value)
{
    if (!json_is_string(value))
        return (struct span){NULL, 0};
    return (struct span){json_string_value(value), json_string_length(value)};
}

const json_t *json_find(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

int json_read_count(const json_t *value, const char *key, uint64_t max, uint64_t *ret,
                    struct complaint *why)
{
    json_int_t n;

    if (!json_is_integer(value))
        return complain(why, -EBADMSG, "`%s` is not a whole number", key);
    n = json_integer_value(value);
    if (n < 0 || (uint64_t)n > max)
        return complain(why, -EBADMSG, "`%s` is not in 0..%llu", key,
                        (unsigned long long)max);
    *ret = (uint64_t)n;
    return 0;
}
