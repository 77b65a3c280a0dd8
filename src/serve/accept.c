// SPDX-License-Identifier: Apache-2.0
#include "serve/accept.h"

#include "base/number.h"
#include "base/text.h"

/* How well a type is liked: by the most specific range that it is in. */
struct liking {
    unsigned specific; // 0: in none
    double weight;
};

/* What precedes the next `mark`, trimmed; `text` is then what follows it. */
static struct span take_until(struct span *text, char mark)
{
    const char *at = text->len ? memchr(text->at, mark, text->len) : NULL;
    size_t len = at ? (size_t)(at - text->at) : text->len;
    struct span taken = text_trim((struct span){text->at, len});

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

        value = unquote(text_trim(value));
        if (text_same_word(name, "version")) {
            if (version && !span_is(value, version))
                return false;
            liking->specific++;
        } else if (text_same_word(name, "q")) {
            if (number_read(value, &liking->weight) < 0 || liking->weight < 0 ||
                liking->weight > 1)
                return false;
        }
    }
    return true;
}

/* What a list of ranges says of a type. */
static struct liking liking_of(struct span accept, const struct accept_type *of)
{
    struct liking best = {0, 0};

    while (accept.len) {
        struct span range = take_until(&accept, ',');
        struct span type = take_until(&range, ';');
        struct liking liking = {0, 1};

        if (text_same_word(type, of->type))
            liking.specific = 3;
        else if (text_same_word(type, of->group))
            liking.specific = 2;
        else if (text_same_word(type, "*/*"))
            liking.specific = 1;
        if (liking.specific && read_parameters(range, of->version, &liking) &&
            liking.specific > best.specific)
            best = liking;
    }
    return best;
}

bool accept_prefers(struct span accept, const struct accept_type *other,
                    const struct accept_type *usual)
{
    struct liking a = liking_of(accept, other), b = liking_of(accept, usual);
    bool named = a.specific >= 3 && b.specific < 3;

    return a.weight > b.weight || (named && a.weight > 0 && a.weight >= b.weight);
}
