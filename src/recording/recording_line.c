// SPDX-License-Identifier: Apache-2.0
#include "recording/recording_line.h"

#include "base/text.h"
#include "version.h"
#include "wire/json.h"

enum {
    REST_MAX = 64 * 1024, // of a line without its document
    REST_DEPTH_MAX = 4,
    REST_VALUES_MAX = 256,
};

#define UNIX_MS_MAX 253402300799999LL // the last millisecond of the year 9999

static const struct json_limits rest_limits = {
    .bytes = REST_MAX, .depth = REST_DEPTH_MAX, .values = REST_VALUES_MAX};

/* What stands after the string that begins at `at`. */
static size_t after_string(struct span text, size_t at)
{
    for (at++; at < text.len && text.at[at] != '"'; at++)
        if (text.at[at] == '\\')
            at++;
    return MIN(at + 1, text.len);
}

/* What stands after the object or array that begins at `at`; 0: it never ends. */
static size_t after_brackets(struct span text, size_t at)
{
    size_t depth = 0;

    while (at < text.len) {
        char c = text.at[at];

        if (c == '"') {
            at = after_string(text, at);
            continue;
        }
        at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return at;
    }
    return 0;
}

static size_t after_blanks(struct span text, size_t at)
{
    while (at < text.len && (text.at[at] == ' ' || text.at[at] == '\t'))
        at++;
    return at;
}

/* The object whose key ends before `at`; empty: it is none. */
static struct span object_of_key(struct span line, size_t at)
{
    static const struct span none = {NULL, 0};
    size_t end;

    at = after_blanks(line, at);
    if (at == line.len || line.at[at] != ':')
        return none;
    at = after_blanks(line, at + 1);
    if (at == line.len || line.at[at] != '{')
        return none;
    end = after_brackets(line, at);
    return end ? (struct span){line.at + at, end - at} : none;
}

/* The bytes of the object under "detail", wherever it is in its line; empty: none. */
static struct span find_document(struct span line)
{
    static const char key[] = "\"detail\"";
    size_t at = after_blanks(line, 0) + 1; // behind the line's own brace

    while (at > 0 && at < line.len) {
        size_t start = at;

        if (line.at[at] == '{' || line.at[at] == '[') {
            at = after_brackets(line, at);
        } else if (line.at[at] == '"') {
            struct span document = {NULL, 0};

            at = after_string(line, at);
            if (span_is((struct span){line.at + start, at - start}, key))
                document = object_of_key(line, at);
            if (document.len)
                return document;
        } else {
            at++;
        }
    }
    return (struct span){NULL, 0};
}

/* A carriage return within would be the end of a line to readers of streams. */
static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < 0x20)
            return true;
    return false;
}

void recording_scratch_init(struct recording_scratch *scratch)
{
    buf_init(&scratch->rest, REST_MAX);
    scratch->values = NULL;
}

void recording_scratch_done(struct recording_scratch *scratch)
{
    buf_done(&scratch->rest);
    json_decref(scratch->values);
    scratch->values = NULL;
}

/* A line without its document, which becomes null in it. */
static int read_rest(struct span line, struct span document,
                     struct recording_scratch *scratch, struct complaint *why)
{
    struct buf *rest = &scratch->rest;
    json_t *values;
    int r;

    json_decref(scratch->values);
    scratch->values = NULL;
    buf_clear(rest);
    if (document.len) {
        const char *after = document.at + document.len;

        buf_add(rest, line.at, (size_t)(document.at - line.at));
        buf_add_str(rest, "null");
        buf_add(rest, after, (size_t)(line.at + line.len - after));
    } else {
        buf_add(rest, line.at, line.len);
    }
    if (rest->error == -E2BIG)
        return complain(why, -EFBIG, "it is longer than %d bytes", REST_MAX);
    if (rest->error)
        return complain(why, rest->error, "out of memory");
    r = json_read(buf_span(rest), &rest_limits, &values, why);
    if (r == 0)
        scratch->values = values;
    return r;
}

static int read_whole_number(const json_t *values, const char *key, int64_t max,
                             int64_t *ret)
{
    const json_t *value = json_object_get(values, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > max)
        return -EBADMSG;
    *ret = json_integer_value(value);
    return 0;
}

static int read_document(const json_t *values, struct span document,
                         struct recording_entry *entry, struct complaint *why)
{
    const json_t *id = json_object_get(values, "id");

    if (!document.len)
        return complain(why, -EBADMSG, "\"detail\" is no object");
    if (has_control(document))
        return complain(why, -EBADMSG, "\"detail\" has a control character in it");
    if (id && (!json_is_string(id) || json_text(id).len > RECORDING_ID_MAX))
        return complain(why, -EBADMSG, "\"id\" is no text of at most %d bytes",
                        RECORDING_ID_MAX);
    entry->kind = RECORDING_DETAIL;
    entry->text = document;
    entry->id = json_text(id);
    return 0;
}

static int read_reason(const json_t *reason, const char *key, enum recording_kind kind,
                       struct recording_entry *entry, struct complaint *why)
{
    if (!json_is_string(reason))
        return complain(why, -EBADMSG, "\"%s\" is no text", key);
    entry->kind = kind;
    entry->text = json_text(reason);
    return 0;
}

static int read_skipped(const json_t *values, struct recording_entry *entry,
                        struct complaint *why)
{
    int64_t skipped;

    if (read_whole_number(values, "skipped", INT64_MAX, &skipped) < 0)
        return complain(why, -EBADMSG, "\"skipped\" is no whole number");
    entry->kind = RECORDING_SKIPPED;
    entry->skipped = (uint64_t)skipped;
    return 0;
}

int recording_line_read(struct span line, struct recording_scratch *scratch,
                        struct recording_entry *ret, struct complaint *why)
{
    struct recording_entry entry = {0};
    struct span document = find_document(line);
    const json_t *values, *no_data, *disconnected;
    int r = read_rest(line, document, scratch, why);

    if (r < 0)
        return r;
    values = scratch->values;
    no_data = json_object_get(values, "no_data");
    disconnected = json_object_get(values, "disconnected");
    if (read_whole_number(values, "unix_ms", UNIX_MS_MAX, &entry.unix_ms) < 0)
        return complain(why, -EBADMSG, "\"unix_ms\" is no time in milliseconds");
    if (json_object_get(values, "detail"))
        r = read_document(values, document, &entry, why);
    else if (no_data)
        r = read_reason(no_data, "no_data", RECORDING_NO_DATA, &entry, why);
    else if (disconnected)
        r = read_reason(disconnected, "disconnected", RECORDING_DISCONNECTED, &entry,
                        why);
    else if (json_object_get(values, "skipped"))
        r = read_skipped(values, &entry, why);
    else
        r = complain(why, -EBADMSG,
                     "it has neither \"detail\", \"no_data\", \"disconnected\" nor "
                     "\"skipped\"");
    if (r == 0)
        *ret = entry;
    return r;
}

int recording_head_read(struct span line, struct recording_scratch *scratch,
                        const char **ret_url, struct complaint *why)
{
    const json_t *format, *url;
    int r = read_rest(line, (struct span){NULL, 0}, scratch, why);

    if (r < 0)
        return r;
    format = json_object_get(scratch->values, "vramscope_recording");
    url = json_object_get(scratch->values, "url");
    if (!json_is_integer(format))
        return complain(why, -EBADMSG, "it has no \"vramscope_recording\"");
    if (json_integer_value(format) != RECORDING_FORMAT)
        return complain(why, -EBADMSG, "it is of format %lld, this program reads %d",
                        (long long)json_integer_value(format), RECORDING_FORMAT);
    *ret_url = json_is_string(url) ? json_string_value(url) : "";
    return 0;
}

/* With its quotes; what is no valid UTF-8, or would move a cursor, is replaced. */
static void add_text(struct buf *out, struct span text, size_t max)
{
    char clean[RECORDING_REASON_MAX + 1];
    json_t *string;
    char *escaped;
    size_t len = text_clean(clean, MIN(sizeof(clean), max + 1), text);

    string = json_stringn(clean, len); // encode/ has a json_string() of its own
    escaped = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    if (escaped)
        buf_add_str(out, escaped);
    else
        out->error = -ENOMEM;
    free(escaped);
    json_decref(string);
}

static bool is_plain(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_';
}

/* As vramscoped's are, so that nothing needs to be escaped or allocated; else another way. */
static void add_id(struct buf *out, struct span id)
{
    size_t i = 0;

    while (i < id.len && is_plain(id.at[i]))
        i++;
    if (i < id.len) {
        add_text(out, id, RECORDING_ID_MAX);
        return;
    }
    buf_add_char(out, '"');
    buf_add(out, id.at, id.len);
    buf_add_char(out, '"');
}

static int write_document(struct buf *out, const struct recording_entry *entry,
                          struct complaint *why)
{
    struct span text = entry->text;

    if (text.len < 2 || text.at[0] != '{' || after_brackets(text, 0) != text.len ||
        has_control(text))
        return complain(why, -EINVAL, "a document that is no JSON object on one line");
    if (entry->id.len > RECORDING_ID_MAX)
        return complain(why, -EINVAL, "an event id of more than %d bytes",
                        RECORDING_ID_MAX);
    buf_add_str(out, ",\"id\":");
    add_id(out, entry->id);
    buf_add_str(out, ",\"detail\":");
    buf_add(out, text.at, text.len);
    return 0;
}

int recording_line_write(struct buf *out, const struct recording_entry *entry,
                         struct complaint *why)
{
    size_t begin = out->len;
    int r = 0;

    if (entry->unix_ms < 0 || entry->unix_ms > UNIX_MS_MAX)
        return complain(why, -EINVAL, "a time that is none");
    buf_printf(out, "{\"unix_ms\":%lld", (long long)entry->unix_ms);
    switch (entry->kind) {
    case RECORDING_DETAIL:
        r = write_document(out, entry, why);
        break;
    case RECORDING_NO_DATA:
        buf_add_str(out, ",\"no_data\":");
        add_text(out, entry->text, RECORDING_REASON_MAX);
        break;
    case RECORDING_DISCONNECTED:
        buf_add_str(out, ",\"disconnected\":");
        add_text(out, entry->text, RECORDING_REASON_MAX);
        break;
    case RECORDING_SKIPPED:
        buf_printf(out, ",\"skipped\":%lld",
                   (long long)MIN(entry->skipped, (uint64_t)INT64_MAX));
        break;
    }
    if (r < 0)
        buf_cut(out, begin);
    else
        buf_add_str(out, "}\n");
    return r;
}

void recording_head_write(struct buf *out, const char *url, int64_t unix_ms)
{
    buf_printf(out, "{\"vramscope_recording\":%d,\"version\":\"%s\",\"url\":",
               RECORDING_FORMAT, VRAMSCOPE_VERSION);
    add_text(out, span_of(url), RECORDING_REASON_MAX);
    buf_printf(out, ",\"unix_ms\":%lld}\n", (long long)unix_ms);
}
