// SPDX-License-Identifier: Apache-2.0
/*
 * The file is walked event by event: there is no tree, so that nesting and aliases cost
 * nothing, and the mark of every event is at hand for a complaint.
 */
#include "config/config_build.h"
#include "config/config_option.h"
#include "config/engine_kind_words.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <yaml.h>

enum { KEYS_MAX = 48 };

#define BYTES_MAX (UINT64_C(1) << 62)

_Static_assert((int)N_OPTIONS <= (int)KEYS_MAX, "every key needs its place");

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; // the one being looked at
    struct config_build *build;
    const char *path;
    struct span text;
};

/* A mapping that is being read: what its keys mean, and where each was found. */
struct mapping {
    const struct setting *settings;
    size_t n;
    struct config_place key_places[KEYS_MAX]; // line 0: not found yet
    struct config_place value_places[KEYS_MAX];
};

enum {
#define KEY(member, kind, key, argument, lowest, highest, help) ENGINE_##member,
#include "config/engine_keys.def"
#undef KEY
    N_ENGINE_KEYS,
};

// clang-format off
static const struct setting engine_settings[N_ENGINE_KEYS] = {
#define KEY(member, kind, key, argument, lowest, highest, help) \
    {key, kind, argument, offsetof(struct config_engine, member), lowest, highest},
#include "config/engine_keys.def"
#undef KEY
};
// clang-format on

static void reader_done(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    yaml_parser_delete(&reader->parser);
}

static struct config_place place_of_mark(const struct reader *reader, yaml_mark_t mark)
{
    return (struct config_place){"", reader->path, mark.line + 1, mark.column + 1};
}

static struct config_place place_here(const struct reader *reader)
{
    return place_of_mark(reader, reader->event.start_mark);
}

static int complain_at(const struct reader *reader, struct config_place place,
                       const char *sentence)
{
    return complain(reader->build->complaint, -EINVAL, "%s: %s",
                    config_place_text(&place).text, sentence);
}

static int complain_here(const struct reader *reader, const char *sentence)
{
    return complain_at(reader, place_here(reader), sentence);
}

/* Bytes that are no text carry an offset only: count lines and characters up to it. */
static int complain_encoding(const struct reader *reader)
{
    struct config_place place = {"", reader->path, 1, 1};
    size_t end = MIN(reader->parser.problem_offset, reader->text.len);

    for (size_t i = 0; i < end; i++) {
        if (reader->text.at[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)reader->text.at[i] & 0xc0) != 0x80) {
            place.column++;
        }
    }
    return complain(reader->build->complaint, -EINVAL,
                    "%s: not a character of a UTF-8 text (%s)",
                    config_place_text(&place).text, reader->parser.problem);
}

static int complain_syntax(const struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    struct config_place place = place_of_mark(reader, parser->problem_mark);

    if (parser->error == YAML_MEMORY_ERROR)
        return complain(reader->build->complaint, -ENOMEM, "out of memory");
    if (parser->error == YAML_READER_ERROR)
        return complain_encoding(reader);
    return complain(reader->build->complaint, -EINVAL, "%s: invalid YAML: %s%s%s",
                    config_place_text(&place).text,
                    parser->problem ? parser->problem : "unknown error",
                    parser->context ? " " : "", parser->context ? parser->context : "");
}

static bool has_tag(const yaml_event_t *event)
{
    return (event->type == YAML_SCALAR_EVENT && event->data.scalar.tag) ||
           (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.tag) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.tag);
}

static int next_event(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (!yaml_parser_parse(&reader->parser, &reader->event))
        return complain_syntax(reader);
    if (reader->event.type == YAML_ALIAS_EVENT)
        return complain_here(reader, "aliases are not supported; write the value again");
    if (has_tag(&reader->event))
        return complain_here(reader, "tags are not supported; write the plain value");
    return 0;
}

static struct span scalar_of(const struct reader *reader)
{
    return (struct span){(const char *)reader->event.data.scalar.value,
                         reader->event.data.scalar.length};
}

/* `key:` with nothing behind it, or one of YAML's spellings of that. */
static bool is_null(const struct reader *reader)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

    if (reader->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        if (span_is(scalar_of(reader), nulls[i]))
            return true;
    return false;
}

static int complain_type(const struct reader *reader, const struct setting *setting)
{
    struct config_place place = place_here(reader);
    const char *found = "nothing";

    if (reader->event.type == YAML_SEQUENCE_START_EVENT)
        found = "a list";
    else if (reader->event.type == YAML_MAPPING_START_EVENT)
        found = "a mapping";
    else if (reader->event.type == YAML_SCALAR_EVENT && !is_null(reader))
        found = "a single value";
    return complain(reader->build->complaint, -EINVAL, "%s: %s: expected %s, found %s",
                    config_place_text(&place).text, setting->key,
                    value_expected(setting->kind), found);
}

static bool is_value(const struct reader *reader)
{
    return reader->event.type == YAML_SCALAR_EVENT && !is_null(reader);
}

/* The single value that the current event is. */
static int read_value(struct reader *reader, const struct setting *setting)
{
    struct config_place place = place_here(reader);

    if (!is_value(reader))
        return complain_type(reader, setting);
    return config_add_value(reader->build, setting, &place, scalar_of(reader));
}

static int read_engine_value(struct reader *reader, const struct setting *setting,
                             struct config_engine *engine)
{
    struct config_place place = place_here(reader);
    struct complaint why;
    int r;

    if (!is_value(reader))
        return complain_type(reader, setting);
    r = value_set(setting, engine, scalar_of(reader), &why);
    if (r < 0)
        (void)complain(reader->build->complaint, r, "%s: %s: %s",
                       config_place_text(&place).text, setting->key, why.text);
    return r;
}

static int complain_unknown_key(const struct reader *reader,
                                const struct mapping *mapping)
{
    struct suggestion near = {.wanted = scalar_of(reader)};
    struct config_place place = place_here(reader);

    for (size_t i = 0; i < mapping->n; i++)
        if (mapping->settings[i].key)
            suggestion_consider(&near, mapping->settings[i].key);
    return complain(reader->build->complaint, -EINVAL, "%s: unknown key '%s'%s%s%s",
                    config_place_text(&place).text, quote(scalar_of(reader)).text,
                    near.name ? "; is '" : "", near.name ? near.name : "",
                    near.name ? "' meant?" : "");
}

/* Read the key that the current event should be: which one, or a negative errno. */
static int read_key(struct reader *reader, struct mapping *mapping)
{
    struct config_place place = place_here(reader);

    if (reader->event.type != YAML_SCALAR_EVENT)
        return complain_here(reader, "a key must be a plain word");

    for (size_t i = 0; i < mapping->n; i++) {
        if (!mapping->settings[i].key ||
            !span_is(scalar_of(reader), mapping->settings[i].key))
            continue;
        if (mapping->key_places[i].line)
            return complain(reader->build->complaint, -EINVAL,
                            "%s: %s is given already at %s",
                            config_place_text(&place).text, mapping->settings[i].key,
                            config_place_text(&mapping->key_places[i]).text);
        mapping->key_places[i] = place;
        return (int)i;
    }
    return complain_unknown_key(reader, mapping);
}

/* Go to the next key and on to its value: 1 with *ret set, or 0 at the mapping's end. */
static int next_pair(struct reader *reader, struct mapping *mapping, size_t *ret)
{
    int r = next_event(reader), key;

    if (r < 0)
        return r;
    if (reader->event.type == YAML_MAPPING_END_EVENT)
        return 0;
    key = read_key(reader, mapping);
    if (key < 0)
        return key;
    r = next_event(reader);
    if (r < 0)
        return r;
    mapping->value_places[key] = place_here(reader);
    *ret = (size_t)key;
    return 1;
}

static int check_engine(const struct reader *reader, const struct mapping *mapping,
                        struct config_place start)
{
    if (!mapping->key_places[ENGINE_url].line)
        return complain_at(reader, start, "this engine has no url");
    if (mapping->key_places[ENGINE_kv_bytes_per_block].line &&
        mapping->key_places[ENGINE_kv_pool_bytes_per_gpu].line)
        return complain_at(reader, mapping->key_places[ENGINE_kv_pool_bytes_per_gpu],
                           "kv_pool_bytes_per_gpu and kv_bytes_per_block say the same of "
                           "an engine; give one of them");
    return 0;
}

static int read_engine(struct reader *reader)
{
    OWNED(config_engine_done) struct config_engine engine;
    struct mapping mapping = {.settings = engine_settings,
                              .n = ARRAY_LEN(engine_settings)};
    struct config_place start = place_here(reader);
    size_t key;
    int r;

    config_engine_init(&engine);
    if (reader->event.type != YAML_MAPPING_START_EVENT)
        return complain_here(reader, "an engine is a mapping, as in '- url: http://...'");
    for (;;) {
        r = next_pair(reader, &mapping, &key);
        if (r <= 0)
            break;
        r = read_engine_value(reader, &engine_settings[key], &engine);
        if (r < 0)
            break;
    }
    if (r == 0)
        r = check_engine(reader, &mapping, start);
    if (r < 0)
        return r;
    return config_add_engine(reader->build, &engine, &mapping.value_places[ENGINE_url]);
}

/* Every item of the list that begins at the current event. */
static int read_list(struct reader *reader, const struct setting *setting)
{
    for (;;) {
        int r = next_event(reader);

        if (r < 0 || reader->event.type == YAML_SEQUENCE_END_EVENT)
            return r;
        r = setting->kind == KIND_ENGINES ? read_engine(reader)
                                          : read_value(reader, setting);
        if (r < 0)
            return r;
    }
}

static int read_setting(struct reader *reader, const struct setting *setting)
{
    bool is_list = reader->event.type == YAML_SEQUENCE_START_EVENT;

    if (setting->kind == KIND_ENGINES && !is_list)
        return complain_type(reader, setting);
    if (is_list && (setting->kind == KIND_ENGINES || value_is_list(setting->kind)))
        return read_list(reader, setting);
    return read_value(reader, setting);
}

static int read_root(struct reader *reader)
{
    struct mapping mapping = {.settings = config_settings, .n = N_OPTIONS};
    size_t key;

    if (reader->event.type == YAML_SCALAR_EVENT && is_null(reader))
        return 0;
    if (reader->event.type != YAML_MAPPING_START_EVENT)
        return complain_here(reader, "expected 'key: value' lines");
    for (;;) {
        int r = next_pair(reader, &mapping, &key);

        if (r <= 0)
            return r;
        r = read_setting(reader, &config_settings[key]);
        if (r < 0)
            return r;
    }
}

/* The events of a file: stream start, at most one document, stream end. */
static int read_stream(struct reader *reader)
{
    bool seen = false;

    for (;;) {
        int r = next_event(reader);

        if (r < 0 || reader->event.type == YAML_STREAM_END_EVENT)
            return r;
        if (reader->event.type != YAML_DOCUMENT_START_EVENT)
            continue;
        if (seen)
            return complain_here(reader, "a second document; only one is read");
        seen = true;
        r = next_event(reader);
        if (r == 0)
            r = read_root(reader);
        if (r < 0)
            return r;
    }
}

int config_read_yaml(struct config_build *build, const char *path, struct span text)
{
    static const char mark[] = "\xef\xbb\xbf"; // some editors begin a file with it
    struct reader reader = {.build = build, .path = path, .text = text};
    int r;

    if (text.len >= strlen(mark) && memcmp(text.at, mark, strlen(mark)) == 0) {
        reader.text.at += strlen(mark);
        reader.text.len -= strlen(mark);
    }
    if (!yaml_parser_initialize(&reader.parser))
        return complain(build->complaint, -ENOMEM, "out of memory");
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)reader.text.at,
                                 reader.text.len);
    r = read_stream(&reader);
    reader_done(&reader);
    return r;
}

static int complain_file(const struct config_build *build, const char *path,
                         const char *sentence)
{
    struct config_place place = {"", path, 0, 0};

    return complain(build->complaint, -EINVAL, "%s: %s", config_place_text(&place).text,
                    sentence);
}

/* Why a file that is open will not do; NULL: it will. */
static const char *find_file_fault(int fd)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return strerror(errno);
    if (S_ISDIR(status.st_mode))
        return strerror(EISDIR);
    if (!S_ISREG(status.st_mode))
        return "not a regular file";
    if (status.st_mode & S_IWOTH)
        return "everyone may write to it; take that right away (chmod o-w)";
    return NULL;
}

/* Returns the length; one more than CONFIG_FILE_MAX means that there is more. */
static ssize_t read_whole(int fd, char *text)
{
    size_t len = 0;

    while (len <= CONFIG_FILE_MAX) {
        ssize_t n = read(fd, text + len, CONFIG_FILE_MAX + 1 - len);

        if (n < 0)
            return neg_errno();
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

int config_read_file(struct config_build *build, const char *path)
{
    OWNED(free_str) char *text = NULL;
    OWNED(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const char *fault = fd < 0 ? strerror(errno) : find_file_fault(fd);
    ssize_t len;

    if (fault)
        return complain_file(build, path, fault);
    text = malloc(CONFIG_FILE_MAX + 1);
    if (!text)
        return complain(build->complaint, -ENOMEM, "out of memory");
    len = read_whole(fd, text);
    if (len < 0)
        return complain_file(build, path, strerror((int)-len));
    if (len > CONFIG_FILE_MAX)
        return complain_file(build, path, "larger than 1 MiB");
    return config_read_yaml(build, path, (struct span){text, (size_t)len});
}
