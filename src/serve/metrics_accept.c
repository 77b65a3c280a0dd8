// SPDX-License-Identifier: Apache-2.0
#include "serve/metrics_accept.h"

#include "base/number.h"

#include <strings.h>

/* How well a format is liked: by the most specific range that it is in. */
struct liking {
    unsigned specific; // 0: in none
    double weight;
};

static const struct {
    const char *type;
    const char *group; // the range of all of its kind
    const char *version;
    const char *content_type;
} formats[METRICS_FORMATS] = {
    [METRICS_TEXT] = {"text/plain", "text/*", "0.0.4",
                      "text/plain; version=0.0.4; charset=utf-8"},
    [METRICS_OPENMETRICS] = {"application/openmetrics-text", "application/*", "1.0.0",
                             "application/openmetrics-text; version=1.0.0; "
                             "charset=utf-8"},
};

const char *metrics_content_type(enum metrics_format format)
{
    return formats[format].content_type;
}

static bool same_word(struct span a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.at, b, a.len) == 0;
}

static struct span trim(struct span s)
{
    while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
        s = (struct span){s.at + 1, s.len - 1};
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* What precedes the next `mark`, trimmed; `text` is then what follows it. */
static struct span take_until(struct span *text, char mark)
{
    const char *at = text->len ? memchr(text->at, mark, text->len) : NULL;
    size_t len = at ? (size_t)(at - text->at) : text->len;
    struct span taken = trim((struct span){text->at, len});

    len += at != NULL;
    *text = (struct span){text->at + len, text->len - len};
    return taken;
}

static struct span unquote(struct span s)
{
    if (s.len >= 2 && s.at[0] == '"' && s.at[s.len - 1] == '"')
        return (struct span){s.at + 1, s.len - 2};
    return s;
}

/* `;version=...;q=...`. False: of another version, or with a weight that is none. */
static bool read_parameters(struct span parameters, const char *version,
                            struct liking *liking)
{
    while (parameters.len) {
        struct span value = take_until(&parameters, ';');
        struct span name = take_until(&value, '=');

        value = unquote(trim(value));
        if (same_word(name, "version")) {
            if (!span_is(value, version))
                return false;
            liking->specific++;
        } else if (same_word(name, "q")) {
            if (number_read(value, &liking->weight) < 0 || liking->weight < 0 ||
                liking->weight > 1)
                return false;
        }
    }
    return true;
}

/* What a list of ranges says of a format. */
static struct liking liking_of(struct span accept, enum metrics_format format)
{
    struct liking best = {0, 0};

    while (accept.len) {
        struct span range = take_until(&accept, ',');
        struct span type = take_until(&range, ';');
        struct liking liking = {0, 1};

        if (same_word(type, formats[format].type))
            liking.specific = 3;
        else if (same_word(type, formats[format].group))
            liking.specific = 2;
        else if (same_word(type, "*/*"))
            liking.specific = 1;
        if (liking.specific && read_parameters(range, formats[format].version, &liking) &&
            liking.specific > best.specific)
            best = liking;
    }
    return best;
}

enum metrics_format metrics_accept(struct span accept)
{
    struct liking text = liking_of(accept, METRICS_TEXT);
    struct liking open = liking_of(accept, METRICS_OPENMETRICS);
    bool named = open.specific >= 3 && text.specific < 3;

    if (open.weight > text.weight ||
        (named && open.weight > 0 && open.weight >= text.weight))
        return METRICS_OPENMETRICS;
    return METRICS_TEXT;
}
