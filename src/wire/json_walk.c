// SPDX-License-Identifier: Apache-2.0
#include "wire/json_walk.h"

#include "base/number.h"

#include <math.h>

struct walk {
    const char *at, *end;
    json_walk_fn *fn;
    void *ctx;
    unsigned depth;
    size_t path_len;
    bool path_full; // and nothing is told below it
    char path[JSON_WALK_PATH + 1];
};

/* What the path was before something was added to it. */
struct mark {
    size_t len;
    bool full;
};

static int walk_value(struct walk *walk, bool is_element);

static struct mark mark_of(const struct walk *walk)
{
    return (struct mark){walk->path_len, walk->path_full};
}

static void go_back(struct walk *walk, struct mark mark)
{
    walk->path_len = mark.len;
    walk->path_full = mark.full;
}

static void add_to_path(struct walk *walk, struct span text)
{
    if (walk->path_full || walk->path_len + text.len > JSON_WALK_PATH) {
        walk->path_full = true;
        return;
    }
    memcpy(walk->path + walk->path_len, text.at, text.len);
    walk->path_len += text.len;
}

static void skip_blanks(struct walk *walk)
{
    while (walk->at < walk->end && (*walk->at == ' ' || *walk->at == '\n' ||
                                    *walk->at == '\r' || *walk->at == '\t'))
        walk->at++;
}

/* Past `c` and the blanks around it, if it is next. */
static bool take(struct walk *walk, char c)
{
    skip_blanks(walk);
    if (walk->at == walk->end || *walk->at != c)
        return false;
    walk->at++;
    skip_blanks(walk);
    return true;
}

/* What stands between two quotes. */
static int take_string(struct walk *walk, struct span *ret)
{
    const char *start;

    if (walk->at == walk->end || *walk->at != '"')
        return -EBADMSG;
    start = ++walk->at;
    for (; walk->at < walk->end; walk->at++) {
        if (*walk->at == '"') {
            *ret = (struct span){start, (size_t)(walk->at++ - start)};
            return 0;
        }
        if ((unsigned char)*walk->at < ' ')
            return -EBADMSG;
        if (*walk->at == '\\' && walk->at + 1 < walk->end)
            walk->at++;
    }
    return -EBADMSG;
}

static int tell(struct walk *walk, struct span text, double value)
{
    if (walk->path_full)
        return 0;
    return walk->fn(walk->ctx, (struct span){walk->path, walk->path_len}, text, value);
}

static int walk_object(struct walk *walk)
{
    int r = 0;

    if (take(walk, '}'))
        return 0;
    do {
        struct mark mark = mark_of(walk);
        struct span key;

        r = take_string(walk, &key);
        if (r < 0)
            return r;
        if (walk->path_len)
            add_to_path(walk, (struct span){".", 1});
        add_to_path(walk, key);
        r = take(walk, ':') ? walk_value(walk, false) : -EBADMSG;
        go_back(walk, mark);
    } while (r >= 0 && take(walk, ','));
    if (r < 0)
        return r;
    return take(walk, '}') ? 0 : -EBADMSG;
}

static int walk_array(struct walk *walk)
{
    struct mark mark = mark_of(walk);
    int r = 0;

    if (take(walk, ']'))
        return 0;
    add_to_path(walk, (struct span){"[]", 2});
    do {
        r = walk_value(walk, true);
    } while (r >= 0 && take(walk, ','));
    go_back(walk, mark);
    if (r < 0)
        return r;
    return take(walk, ']') ? 0 : -EBADMSG;
}

static int walk_word(struct walk *walk)
{
    static const struct {
        const char *word;
        double value;
    } words[] = {{"true", 1}, {"false", 0}, {"null", (double)NAN}};
    const char *start = walk->at;
    struct span word;
    double value;

    while (walk->at < walk->end && !strchr(",]} \n\r\t", *walk->at))
        walk->at++;
    word = (struct span){start, (size_t)(walk->at - start)};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span_is(word, words[i].word))
            return tell(walk, (struct span){NULL, 0}, words[i].value);
    switch (number_read(word, &value)) {
    case 0:
        return tell(walk, (struct span){NULL, 0}, value);
    case -ERANGE:
    case -EDOM: // as Python writes them
        return tell(walk, (struct span){NULL, 0}, (double)NAN);
    default:
        return -EBADMSG;
    }
}

/* Of what is nested an array's elements are told, before what is in them. */
static int walk_nested(struct walk *walk, bool is_element)
{
    bool is_object = *walk->at++ == '{';
    int r = 0;

    if (++walk->depth > JSON_WALK_DEPTH)
        return -E2BIG;
    skip_blanks(walk);
    if (is_element && is_object)
        r = tell(walk, (struct span){NULL, 0}, (double)NAN);
    if (r >= 0)
        r = is_object ? walk_object(walk) : walk_array(walk);
    walk->depth--;
    return r;
}

static int walk_value(struct walk *walk, bool is_element)
{
    struct span text;
    int r;

    skip_blanks(walk);
    if (walk->at == walk->end)
        return -EBADMSG;
    if (*walk->at == '{' || *walk->at == '[')
        return walk_nested(walk, is_element);
    if (*walk->at != '"')
        return walk_word(walk);
    r = take_string(walk, &text);
    return r < 0 ? r : tell(walk, text, (double)NAN);
}

int json_walk(struct span text, json_walk_fn *fn, void *ctx)
{
    struct walk walk = {.at = text.at, .end = text.at + text.len, .fn = fn, .ctx = ctx};
    int r;

    if (text.len == 0)
        return -EBADMSG;
    r = walk_value(&walk, false);
    if (r < 0)
        return r;
    skip_blanks(&walk);
    return walk.at == walk.end ? 0 : -EBADMSG;
}
