// SPDX-License-Identifier: Apache-2.0
#include "model/model_json.h"

/* One pass over the text: limits are counted, words of Python's made numbers. */
struct tamer {
    char *text;
    size_t len, at;
    unsigned depth, values;
};

static bool take_word(struct tamer *tamer, const char *word)
{
    size_t len = strlen(word);
    char *at = tamer->text + tamer->at;

    if (tamer->len - tamer->at < len || memcmp(at, word, len) != 0)
        return false;
    for (size_t i = 0; i < len; i++)
        at[i] = ' ';
    return true;
}

/* A fraction takes the word's place: it fits into NaN, and no count may be one. */
static void tame_word(struct tamer *tamer)
{
    static const char *const words[] = {"-Infinity", "Infinity", "NaN"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t len = strlen(words[i]);

        if (!take_word(tamer, words[i]))
            continue;
        memcpy(tamer->text + tamer->at, "0.5", 3);
        tamer->at += len - 1;
        return;
    }
}

static void skip_string(struct tamer *tamer)
{
    while (++tamer->at < tamer->len && tamer->text[tamer->at] != '"')
        if (tamer->text[tamer->at] == '\\')
            tamer->at++;
}

/* False when a limit is passed. */
static bool tame(struct tamer *tamer)
{
    for (; tamer->at < tamer->len; tamer->at++) {
        switch (tamer->text[tamer->at]) {
        case '"':
            skip_string(tamer);
            break;
        case '{':
        case '[':
            if (++tamer->depth > MODEL_JSON_DEPTH_MAX)
                return false;
            tamer->values++;
            break;
        case '}':
        case ']':
            tamer->depth -= tamer->depth > 0;
            break;
        case ',':
            tamer->values++;
            break;
        case '-':
        case 'I':
        case 'N':
            tame_word(tamer);
            break;
        default:
            break;
        }
        if (tamer->values > MODEL_JSON_VALUES_MAX)
            return false;
    }
    return true;
}

int model_json_read(struct span text, json_t **ret, struct complaint *why)
{
    OWNED(free_str) char *copy = NULL;
    struct tamer tamer = {.len = text.len};
    json_error_t error;
    json_t *root;

    if (text.len > MODEL_JSON_MAX)
        return complain(why, -EFBIG, "it is longer than %d bytes", MODEL_JSON_MAX);
    copy = malloc(text.len + 1);
    if (!copy)
        return complain(why, -ENOMEM, "out of memory");
    if (text.len)
        memcpy(copy, text.at, text.len);
    tamer.text = copy;
    if (!tame(&tamer))
        return complain(why, -EFBIG, "it is nested too deeply or has too many values");

    root = json_loadb(copy, text.len, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return complain(why, -EBADMSG, "it is no JSON (line %d, column %d)", error.line,
                        error.column);
    if (!json_is_object(root)) {
        json_decref(root);
        return complain(why, -EBADMSG, "it is not a JSON object");
    }
    *ret = root;
    return 0;
}

struct span model_json_text(const json_t *value)
{
    if (!json_is_string(value))
        return (struct span){NULL, 0};
    return (struct span){json_string_value(value), json_string_length(value)};
}
