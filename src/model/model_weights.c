// SPDX-License-Identifier: Apache-2.0
#include "model/model_weights.h"

#include "model/model_limits.h"

#include <math.h>

static void skip_blanks(struct span *text)
{
    while (text->len && memchr(" \t\r\n", *text->at, 4)) {
        text->at++;
        text->len--;
    }
}

static bool take_char(struct span *text, char c)
{
    skip_blanks(text);
    if (text->len == 0 || *text->at != c)
        return false;
    text->at++;
    text->len--;
    return true;
}

/* What is between the quotes, escapes and all. False: it does not end. */
static bool take_string(struct span *text, struct span *ret)
{
    size_t n = 0;

    if (!take_char(text, '"'))
        return false;
    while (n < text->len && text->at[n] != '"')
        n += text->at[n] == '\\' ? 2 : 1;
    if (n >= text->len)
        return false;
    *ret = (struct span){text->at, n};
    text->at += n + 1;
    text->len -= n + 1;
    return true;
}

/* A whole value, whatever is in it. False: it does not end. */
static bool take_value(struct span *text, struct span *ret)
{
    const char *start;
    size_t depth = 0;

    skip_blanks(text);
    start = text->at;
    while (text->len) {
        struct span ignored;
        char c = *text->at;

        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            break;
        if (c == '"') {
            if (!take_string(text, &ignored))
                return false;
            continue;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        text->at++;
        text->len--;
    }
    *ret = (struct span){start, (size_t)(text->at - start)};
    return depth == 0 && ret->len > 0;
}

/* The value of `metadata`; NULL: there is none. False: the text is no JSON object. */
static bool find_metadata(struct span text, struct span *ret)
{
    *ret = (struct span){NULL, 0};
    if (!take_char(&text, '{'))
        return false;
    if (!take_char(&text, '}')) {
        do {
            struct span key, value;

            if (!take_string(&text, &key) || !take_char(&text, ':') ||
                !take_value(&text, &value))
                return false;
            if (!span_is(key, "metadata"))
                continue;
            if (ret->at)
                return false; // twice
            *ret = value;
        } while (take_char(&text, ','));
        if (!take_char(&text, '}'))
            return false;
    }
    skip_blanks(&text);
    return text.len == 0;
}

/* Some writers have it as 16060522496.0. */
static bool read_total(const json_t *value, uint64_t *ret)
{
    double real = json_real_value(value);

    if (json_is_integer(value) && json_integer_value(value) > 0 &&
        (uint64_t)json_integer_value(value) <= WEIGHTS_BYTES_MAX) {
        *ret = (uint64_t)json_integer_value(value);
        return true;
    }
    if (!json_is_real(value) || !(real >= 1) || real > (double)WEIGHTS_BYTES_MAX ||
        real != trunc(real))
        return false;
    *ret = (uint64_t)real;
    return true;
}

int model_weights_read(struct span index_json, uint64_t *ret_total, struct complaint *why)
{
    OWNED(json_decrefp) json_t *root = NULL;
    struct span metadata;
    const json_t *total;
    int r;

    if (index_json.len > WEIGHTS_INDEX_MAX)
        return complain(why, -EFBIG, "it is longer than %d bytes", WEIGHTS_INDEX_MAX);
    if (!find_metadata(index_json, &metadata))
        return complain(why, -EBADMSG, "it is not a JSON object, or not a whole one");
    if (!metadata.at)
        return complain(why, -ENOENT, "it has no `metadata`");
    r = json_read(metadata, &model_json_limits, &root, why);
    if (r < 0)
        return r;
    total = json_object_get(root, "total_size");
    if (!total || json_is_null(total))
        return complain(why, -ENOENT, "`metadata` has no `total_size`");
    if (!read_total(total, ret_total))
        return complain(why, -EBADMSG, "`total_size` is not a number of bytes");
    return 0;
}
