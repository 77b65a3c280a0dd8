// SPDX-License-Identifier: Apache-2.0
#include "wire/prom.h"

#include "base/number.h"

#include <assert.h>
#include <math.h>

void prom_init(struct prom_reader *reader, const char *const *names, size_t n,
               prom_sample_fn *sample, void *ctx)
{
    assert(n <= PROM_WANTED_MAX);
    *reader = (struct prom_reader){.sample = sample, .ctx = ctx, .names = names};
    buf_init(&reader->torn, PROM_LINE_MAX);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);

        assert(len <= PROM_NAME_MAX);
        reader->next[i] = reader->first[len];
        reader->first[len] = (uint8_t)(i + 1);
    }
}

void prom_done(struct prom_reader *reader)
{
    buf_done(&reader->torn);
}

void prom_restart(struct prom_reader *reader)
{
    buf_clear(&reader->torn);
    reader->line = 0;
    reader->error = 0;
}

/* Index of the wanted name, or -1. */
static int find_wanted(const struct prom_reader *reader, struct span name)
{
    if (name.len > PROM_NAME_MAX)
        return -1;
    for (unsigned i = reader->first[name.len]; i; i = reader->next[i - 1]) {
        const char *wanted = reader->names[i - 1];

        // Names of one engine begin alike: what they end with tells most of them apart.
        if (wanted[name.len - 1] == name.at[name.len - 1] &&
            memcmp(wanted, name.at, name.len) == 0)
            return (int)i - 1;
    }
    return -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span skip_blanks(struct span text)
{
    while (text.len && is_blank(*text.at))
        text = (struct span){text.at + 1, text.len - 1};
    return text;
}

/* The closing quote of a label value, escapes skipped; NULL: there is none. */
static const char *find_quote(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"')
            return text.at + i;
        if (text.at[i] == '\\')
            i++;
    }
    return NULL;
}

/* name="value" [,] ... */
int prom_next_label(struct span *labels, struct prom_label *ret)
{
    struct span rest = skip_blanks(*labels), name;
    const char *end = rest.at + rest.len, *equals, *quote;

    if (rest.len == 0)
        return 0;
    equals = memchr(rest.at, '=', rest.len);
    if (!equals || equals == rest.at || *rest.at == ',' || end - equals < 2)
        return -EBADMSG;
    name = (struct span){rest.at, (size_t)(equals - rest.at)};
    while (is_blank(name.at[name.len - 1]))
        name.len--;
    rest = skip_blanks((struct span){equals + 1, (size_t)(end - equals - 1)});
    if (rest.len == 0 || *rest.at != '"')
        return -EBADMSG;
    rest = (struct span){rest.at + 1, rest.len - 1};
    quote = find_quote(rest);
    if (!quote)
        return -EBADMSG;

    ret->name = name;
    ret->value = (struct span){rest.at, (size_t)(quote - rest.at)};
    rest = skip_blanks((struct span){quote + 1, (size_t)(end - quote - 1)});
    if (rest.len && *rest.at != ',')
        return -EBADMSG;
    if (rest.len)
        rest = (struct span){rest.at + 1, rest.len - 1};
    *labels = rest;
    return 1;
}

/* What a backslash before `c` means; '\0': nothing, both stay as they are. */
static char escaped(char c)
{
    if (c == 'n')
        return '\n';
    return c == '\\' || c == '"' ? c : '\0';
}

int prom_unescape(struct span value, char *dst, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];

        if (c == '\\' && i + 1 < value.len && escaped(value.at[i + 1]))
            c = escaped(value.at[++i]);
        if (n + 1 >= room)
            return -E2BIG;
        dst[n++] = c;
    }
    dst[n] = '\0';
    return (int)n;
}

/* What stands between '{' and the '}' that no quotes enclose; `text` moves past it. */
static int take_labels(struct span *text, struct span *ret)
{
    const char *start = text->at + 1, *end = text->at + text->len;

    for (const char *c = start; c < end; c++) {
        if (*c == '"') {
            c = find_quote((struct span){c + 1, (size_t)(end - c - 1)});
            if (!c)
                return -EBADMSG;
        } else if (*c == '}') {
            *ret = (struct span){start, (size_t)(c - start)};
            *text = (struct span){c + 1, (size_t)(end - c - 1)};
            return 0;
        }
    }
    return -EBADMSG;
}

/* The value is the next word; a timestamp and an exemplar may follow. */
static int take_value(struct span text, double *ret)
{
    struct span word = skip_blanks(text);
    size_t n = 0;
    int r;

    if (word.len == 0)
        return -EBADMSG;
    while (n < word.len && !is_blank(word.at[n]))
        n++;
    r = number_read((struct span){word.at, n}, ret);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        *ret = (double)NAN;
    return 0;
}

/* Up to the first blank or brace; a brace after a blank may be an exemplar's. */
static size_t name_length(struct span line)
{
    for (const char *stop = "{ \t"; *stop; stop++) {
        const char *end = memchr(line.at, *stop, line.len);

        if (end)
            line.len = (size_t)(end - line.at);
    }
    return line.len;
}

static int read_wanted(struct prom_reader *reader, unsigned family, struct span rest)
{
    struct span labels = {rest.at, 0};
    double value;
    int r;

    rest = skip_blanks(rest);
    if (rest.len && *rest.at == '{') {
        r = take_labels(&rest, &labels);
        if (r < 0)
            return r;
    }
    r = take_value(rest, &value);
    if (r < 0)
        return r;
    return reader->sample(reader->ctx, family, labels, value);
}

/* The family of a line, or -1 when it is not wanted; `line` moves past the name. */
static int take_family(const struct prom_reader *reader, struct span *line)
{
    size_t n;
    int family;

    *line = skip_blanks(*line);
    if (line->len == 0 || *line->at == '#')
        return -1;
    n = name_length(*line);
    family = find_wanted(reader, (struct span){line->at, n});
    *line = (struct span){line->at + n, line->len - n};
    return family;
}

static int read_line(struct prom_reader *reader, struct span line)
{
    int family = take_family(reader, &line);

    reader->line++;
    return family < 0 ? 0 : read_wanted(reader, (unsigned)family, line);
}

/* Complete the torn line with the beginning of `bytes`, which moves past it. */
static int read_torn(struct prom_reader *reader, struct span *bytes)
{
    const char *feed = memchr(bytes->at, '\n', bytes->len);
    size_t n = feed ? (size_t)(feed - bytes->at) : bytes->len;
    int r;

    buf_add(&reader->torn, bytes->at, n);
    if (reader->torn.error)
        return reader->torn.error == -E2BIG ? -EMSGSIZE : reader->torn.error;
    n += feed != NULL;
    *bytes = (struct span){bytes->at + n, bytes->len - n};
    if (!feed)
        return 0;
    r = read_line(reader, buf_span(&reader->torn));
    buf_clear(&reader->torn);
    return r;
}

static int read_lines(struct prom_reader *reader, struct span bytes)
{
    int r = 0;

    if (reader->torn.len && bytes.len)
        r = read_torn(reader, &bytes);
    while (r >= 0 && bytes.len) {
        const char *feed = memchr(bytes.at, '\n', bytes.len);
        size_t n;

        if (!feed)
            return read_torn(reader, &bytes);
        n = (size_t)(feed - bytes.at);
        r = n > PROM_LINE_MAX ? -EMSGSIZE : read_line(reader, (struct span){bytes.at, n});
        bytes = (struct span){feed + 1, bytes.len - n - 1};
    }
    return r;
}

int prom_feed(struct prom_reader *reader, struct span bytes)
{
    if (reader->error == 0)
        reader->error = MIN(read_lines(reader, bytes), 0);
    return reader->error;
}

int prom_finish(struct prom_reader *reader)
{
    struct span line = buf_span(&reader->torn);

    if (reader->error == 0 && take_family(reader, &line) >= 0)
        reader->error = -EBADMSG;
    return reader->error;
}
