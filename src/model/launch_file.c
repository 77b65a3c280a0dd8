// SPDX-License-Identifier: Apache-2.0
/*
 *     model: M                 --model M
 *     tensor-parallel-size: 4  --tensor-parallel-size 4
 *     enforce-eager: true      --enforce-eager
 *     disable-log-stats: no    (nothing)
 *     served-model-name:       --served-model-name a b
 *       [a, b]
 *     speculative-config:      --speculative-config {"method":"ngram"}
 *       method: ngram
 *
 * Newer releases write --no-... for `no`, where there is such an option, and older ones
 * nothing; as it is not known which one runs, nothing is taken. A value of null is the
 * argument "None", by which an option is left as it is: nothing either.
 */
#include "model/launch_file.h"

#include "model/yaml_scalar.h"

#include <yaml.h>

struct key {
    size_t name, name_len; // in `names`
    size_t value, end;     // in `args`
    bool given;            // as an argument
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; // the one being looked at
    struct span text;
    struct buf *args;
    struct complaint *why;
    struct buf names; // of all keys so far
    size_t n_keys;
    struct key keys[LAUNCH_FILE_KEYS_MAX];
};

static void reader_free(struct reader **reader)
{
    if (!*reader)
        return;
    yaml_event_delete(&(*reader)->event);
    yaml_parser_delete(&(*reader)->parser);
    buf_done(&(*reader)->names);
    free(*reader);
}

static int complain_mark(const struct reader *reader, yaml_mark_t mark, int r,
                         const char *sentence)
{
    return complain(reader->why, r, "line %zu, column %zu: %s", mark.line + 1,
                    mark.column + 1, sentence);
}

static int complain_here(const struct reader *reader, const char *sentence)
{
    return complain_mark(reader, reader->event.start_mark, -EBADMSG, sentence);
}

/* Bytes that are no text carry an offset only: count lines and characters up to it. */
static int complain_encoding(const struct reader *reader)
{
    yaml_mark_t mark = {0};
    size_t end = MIN(reader->parser.problem_offset, reader->text.len);

    for (size_t i = 0; i < end; i++) {
        if (reader->text.at[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char)reader->text.at[i] & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return complain_mark(reader, mark, -EBADMSG, "not a character of a UTF-8 text");
}

/* What the library finds wrong is said in its own words only. */
static int complain_syntax(const struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;

    if (parser->error == YAML_MEMORY_ERROR)
        return complain(reader->why, -ENOMEM, "out of memory");
    if (parser->error == YAML_READER_ERROR)
        return complain_encoding(reader);
    return complain_mark(reader, parser->problem_mark, -EBADMSG,
                         parser->problem ? parser->problem : "not YAML");
}

static bool has_tag(const yaml_event_t *event)
{
    return (event->type == YAML_SCALAR_EVENT && event->data.scalar.tag) ||
           (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.tag) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.tag);
}

static bool has_anchor(const yaml_event_t *event)
{
    return event->type == YAML_ALIAS_EVENT ||
           (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor) ||
           (event->type == YAML_SEQUENCE_START_EVENT &&
            event->data.sequence_start.anchor) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.anchor);
}

static int next_event(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (!yaml_parser_parse(&reader->parser, &reader->event))
        return complain_syntax(reader);
    if (has_anchor(&reader->event))
        return complain_here(reader, "anchors and aliases are not read");
    if (has_tag(&reader->event))
        return complain_here(reader, "tags are not read");
    return 0;
}

static struct span text_of(const struct reader *reader)
{
    return (struct span){(const char *)reader->event.data.scalar.value,
                         reader->event.data.scalar.length};
}

/* What the single value is that the current event holds. */
static int read_scalar(struct reader *reader, struct yaml_scalar *ret)
{
    struct span text = text_of(reader);

    *ret = (struct yaml_scalar){.kind = YAML_TEXT};
    if (reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        yaml_scalar_read(text, ret);
    if (ret->kind == YAML_ODD)
        return complain_here(reader, "a number or sign that is not read; with quotes "
                                     "it is text");
    if (text.len && memchr(text.at, '\0', text.len))
        return complain_here(reader, "a NUL in an argument");
    return 0;
}

/* ---- nested values, which become JSON ---- */

static void add_json_text(struct buf *args, struct span text)
{
    buf_add_char(args, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if ((unsigned char)c < 0x20) {
            buf_printf(args, "\\u%04x", (unsigned char)c);
            continue;
        }
        if (c == '"' || c == '\\')
            buf_add_char(args, '\\');
        buf_add_char(args, c);
    }
    buf_add_char(args, '"');
}

/* A key is text, whatever it would be as a value. */
static int add_json_scalar(struct reader *reader, bool is_key)
{
    static const char *const words[] = {
        [YAML_NULL] = "null", [YAML_TRUE] = "true", [YAML_FALSE] = "false"};
    struct yaml_scalar scalar;
    struct span text = text_of(reader);
    int r = read_scalar(reader, &scalar);

    if (r < 0)
        return r;
    if (scalar.kind == YAML_NUMBER)
        text = span_of(scalar.number);
    else if (scalar.kind != YAML_TEXT)
        text = span_of(words[scalar.kind]);
    if (is_key || scalar.kind == YAML_TEXT)
        add_json_text(reader->args, text);
    else
        buf_add(reader->args, text.at, text.len);
    return 0;
}

static int add_json(struct reader *reader, unsigned depth);

static int add_json_mapping(struct reader *reader, unsigned depth)
{
    for (unsigned n = 0;; n++) {
        int r = next_event(reader);

        if (r < 0 || reader->event.type == YAML_MAPPING_END_EVENT)
            return r;
        if (reader->event.type != YAML_SCALAR_EVENT)
            return complain_here(reader, "a key must be a single value");
        if (n)
            buf_add_char(reader->args, ',');
        r = add_json_scalar(reader, true);
        if (r == 0)
            r = next_event(reader);
        buf_add_char(reader->args, ':');
        if (r == 0)
            r = add_json(reader, depth);
        if (r < 0)
            return r;
    }
}

static int add_json_list(struct reader *reader, unsigned depth)
{
    for (unsigned n = 0;; n++) {
        int r = next_event(reader);

        if (r < 0 || reader->event.type == YAML_SEQUENCE_END_EVENT)
            return r;
        if (n)
            buf_add_char(reader->args, ',');
        r = add_json(reader, depth);
        if (r < 0)
            return r;
    }
}

/* The value that begins at the current event. */
static int add_json(struct reader *reader, unsigned depth)
{
    bool is_mapping = reader->event.type == YAML_MAPPING_START_EVENT;
    int r;

    if (reader->event.type == YAML_SCALAR_EVENT)
        return add_json_scalar(reader, false);
    if (depth == LAUNCH_FILE_DEPTH_MAX)
        return complain_mark(reader, reader->event.start_mark, -EFBIG,
                             "nested too deeply");
    buf_add_char(reader->args, is_mapping ? '{' : '[');
    r = is_mapping ? add_json_mapping(reader, depth + 1)
                   : add_json_list(reader, depth + 1);
    buf_add_char(reader->args, is_mapping ? '}' : ']');
    return r;
}

/* ---- one key and its value ---- */

static void add_argument(struct reader *reader, struct span text)
{
    buf_add(reader->args, text.at, text.len);
    buf_add_char(reader->args, '\0');
}

static void add_option(struct reader *reader, struct key *key)
{
    buf_add_str(reader->args, "--");
    add_argument(reader, (struct span){reader->names.data + key->name, key->name_len});
    key->value = reader->args->len;
    key->given = true;
}

/* As Python's str() has it. */
static int add_item(struct reader *reader)
{
    static const char *const words[] = {
        [YAML_NULL] = "None", [YAML_TRUE] = "True", [YAML_FALSE] = "False"};
    struct yaml_scalar scalar;
    int r;

    if (reader->event.type != YAML_SCALAR_EVENT)
        return complain_here(reader, "an item of such a list must be a single value");
    r = read_scalar(reader, &scalar);
    if (r < 0)
        return r;
    if (scalar.kind == YAML_TEXT)
        add_argument(reader, text_of(reader));
    else
        add_argument(reader, span_of(scalar.kind == YAML_NUMBER ? scalar.number
                                                                : words[scalar.kind]));
    return 0;
}

static int add_list(struct reader *reader, struct key *key)
{
    for (;;) {
        int r = next_event(reader);

        if (r < 0 || reader->event.type == YAML_SEQUENCE_END_EVENT)
            return r;
        if (!key->given)
            add_option(reader, key);
        r = add_item(reader);
        if (r < 0)
            return r;
    }
}

static int add_single(struct reader *reader, struct key *key)
{
    struct yaml_scalar scalar;
    int r = read_scalar(reader, &scalar);

    if (r < 0 || scalar.kind == YAML_NULL || scalar.kind == YAML_FALSE)
        return r;
    add_option(reader, key);
    return scalar.kind == YAML_TRUE ? 0 : add_item(reader);
}

static int add_value(struct reader *reader, struct key *key)
{
    int r;

    switch (reader->event.type) {
    case YAML_SCALAR_EVENT:
        return add_single(reader, key);
    case YAML_SEQUENCE_START_EVENT:
        return add_list(reader, key);
    default:
        add_option(reader, key);
        r = add_json(reader, 0);
        buf_add_char(reader->args, '\0');
        return r;
    }
}

/* vLLM takes an underscore for a dash in an option's name, but not behind a dot. */
static void add_name(struct buf *names, struct span text)
{
    bool in_name = true;

    for (size_t i = 0; i < text.len; i++) {
        in_name = in_name && text.at[i] != '.' && text.at[i] != '=';
        buf_add_char(names, in_name && text.at[i] == '_' ? '-' : text.at[i]);
    }
}

static int read_key(struct reader *reader, struct key *ret)
{
    struct yaml_scalar scalar;
    struct span text;
    int r;

    if (reader->event.type != YAML_SCALAR_EVENT)
        return complain_here(reader, "a key must be a word");
    r = read_scalar(reader, &scalar);
    if (r < 0)
        return r;
    text = text_of(reader);
    if (scalar.kind != YAML_TEXT || text.len == 0)
        return complain_here(reader, "a key must be a word");
    if (reader->n_keys == LAUNCH_FILE_KEYS_MAX)
        return complain_mark(reader, reader->event.start_mark, -EFBIG, "too many keys");
    *ret = (struct key){.name = reader->names.len, .name_len = text.len};
    add_name(&reader->names, text);
    return 0;
}

static bool is_same(const struct buf *buf, size_t a, size_t a_len, size_t b, size_t b_len)
{
    return a_len == b_len &&
           (a_len == 0 || memcmp(buf->data + a, buf->data + b, a_len) == 0);
}

static const struct key *find_earlier(const struct reader *reader, const struct key *key)
{
    for (size_t i = 0; i < reader->n_keys; i++)
        if (is_same(&reader->names, reader->keys[i].name, reader->keys[i].name_len,
                    key->name, key->name_len))
            return &reader->keys[i];
    return NULL;
}

/* A key given twice may say the same twice. The current event is the key. */
static int read_pair(struct reader *reader)
{
    yaml_mark_t mark = reader->event.start_mark;
    const struct key *earlier;
    struct key key;
    size_t start = reader->args->len;
    int r = read_key(reader, &key);

    key.value = start;
    if (r == 0)
        r = next_event(reader);
    if (r == 0)
        r = add_value(reader, &key);
    if (r < 0)
        return r;
    if (reader->args->error == -ENOMEM || reader->names.error)
        return complain(reader->why, -ENOMEM, "out of memory");
    if (reader->args->error)
        return complain_mark(reader, mark, -EFBIG, "more than can be kept");
    key.end = reader->args->len;
    earlier = find_earlier(reader, &key);
    if (!earlier) {
        reader->keys[reader->n_keys++] = key;
        return 0;
    }
    if (earlier->given != key.given ||
        !is_same(reader->args, earlier->value, earlier->end - earlier->value, key.value,
                 key.end - key.value))
        return complain_mark(reader, mark, -EBADMSG,
                             "a key that has another value further up");
    buf_cut(reader->args, start);
    return 0;
}

static int read_root(struct reader *reader)
{
    if (reader->event.type != YAML_MAPPING_START_EVENT)
        return complain_here(reader, "expected `key: value` lines");
    for (;;) {
        int r = next_event(reader);

        if (r < 0 || reader->event.type == YAML_MAPPING_END_EVENT)
            return r;
        r = read_pair(reader);
        if (r < 0)
            return r;
    }
}

/* The events of a file: stream start, one document, stream end. */
static int read_stream(struct reader *reader)
{
    bool seen = false;

    for (;;) {
        int r = next_event(reader);

        if (r < 0)
            return r;
        if (reader->event.type == YAML_STREAM_END_EVENT)
            return seen ? 0 : complain_here(reader, "it is empty");
        if (reader->event.type != YAML_DOCUMENT_START_EVENT)
            continue;
        if (seen)
            return complain_here(reader, "a second document");
        seen = true;
        r = next_event(reader);
        if (r == 0)
            r = read_root(reader);
        if (r < 0)
            return r;
    }
}

static struct span skip_mark(struct span text)
{
    static const char mark[] = "\xef\xbb\xbf"; // some editors begin a file with it
    size_t len = strlen(mark);

    if (text.len < len || memcmp(text.at, mark, len) != 0)
        return text;
    return (struct span){text.at + len, text.len - len};
}

int launch_file_read(struct span yaml, struct buf *ret, struct complaint *why)
{
    OWNED(reader_free) struct reader *reader = NULL;

    if (yaml.len > LAUNCH_FILE_MAX)
        return complain(why, -EFBIG, "it is longer than %d bytes", LAUNCH_FILE_MAX);
    reader = calloc(1, sizeof(*reader));
    (void)buf_reserve(ret, 1); // no arguments at all have an address, too
    if (!reader || !yaml_parser_initialize(&reader->parser))
        return complain(why, -ENOMEM, "out of memory");
    reader->text = skip_mark(yaml);
    reader->args = ret;
    reader->why = why;
    buf_init(&reader->names, LAUNCH_FILE_MAX);
    if (reader->text.len == 0)
        return complain(why, -EBADMSG, "line 1, column 1: it is empty");
    yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader->parser, (const unsigned char *)reader->text.at,
                                 reader->text.len);
    return read_stream(reader);
}
