// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"
#include "config/config_value.h"

enum { ORIGIN_SCHEME_MAX = 32 };

static struct span skip(struct span text, size_t n)
{
    return (struct span){text.at + n, text.len - n};
}

static bool begins_with(struct span text, const char *start)
{
    size_t len = strlen(start);

    return text.len >= len && memcmp(text.at, start, len) == 0;
}

/* A name or an address as clients write it in Host, perhaps with the one port. */
static int check_host(struct span text, struct complaint *why)
{
    struct span host;
    uint64_t port = UNKNOWN;
    int r;

    if (memchr(text.at, '/', text.len))
        return complain(why, -EINVAL, "'%s' is not HOST[:PORT]", quote(text).text);
    r = value_split_host(text, &host, &port, why);
    if (r == 0 && port == 0)
        return complain(why, -EINVAL, "'%s': port 0 cannot be connected to",
                        quote(text).text);
    return r;
}

/* Length of "https" in "https://h"; 0: there is none. */
static size_t scheme_length(struct span text)
{
    size_t n = 0;

    while (n < text.len &&
           ((text.at[n] >= 'a' && text.at[n] <= 'z') ||
            (n && ((text.at[n] >= '0' && text.at[n] <= '9') || text.at[n] == '-'))))
        n++;
    return n <= ORIGIN_SCHEME_MAX && begins_with(skip(text, n), "://") ? n : 0;
}

static bool has_upper_case(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] >= 'A' && text.at[i] <= 'Z')
            return true;
    return false;
}

/* Of the port, which is there when the last colon is behind any bracket. */
static bool has_leading_zero(struct span text)
{
    const char *colon = memrchr(text.at, ':', text.len);

    return colon && colon + 1 < text.at + text.len && colon[1] == '0' &&
           text.at[text.len - 1] != ']';
}

/* Any other spelling than the browsers' own would never match what they send. */
static const char *find_origin_fault(struct span text, struct span rest, uint64_t port)
{
    if ((begins_with(text, "http:") && port == 80) ||
        (begins_with(text, "https:") && port == 443))
        return "has the port that browsers leave out";
    if (port == 0 || has_leading_zero(rest) || rest.at[rest.len - 1] == '.')
        return "is not as browsers write it";
    return NULL;
}

/*
 * scheme://host[:port] exactly as browsers send it. "null" stands for every page that has
 * no origin: any site can make one (a sandboxed frame), so that it would let everyone in.
 */
static int check_origin(struct span text, struct complaint *why)
{
    size_t scheme = scheme_length(text);
    struct span host, rest = skip(text, scheme ? scheme + strlen("://") : 0);
    uint64_t port = UNKNOWN;
    const char *fault;
    int r;

    if (span_is(text, "null") || span_is(text, "*"))
        return complain(why, -EINVAL, "'%s' would let pages of every site in; name each",
                        quote(text).text);
    if (has_upper_case(text))
        return complain(why, -EINVAL, "'%s' must be in lower case, as browsers write it",
                        quote(text).text);
    if (!scheme || text.len > CONFIG_ORIGIN_MAX || !value_is_visible_ascii(text) ||
        memchr(rest.at, '/', rest.len))
        return complain(why, -EINVAL, "'%s' is not SCHEME://HOST[:PORT]",
                        quote(text).text);
    r = value_split_host(rest, &host, &port, why);
    if (r < 0)
        return r;
    fault = find_origin_fault(text, rest, port);
    return fault ? complain(why, -EINVAL, "'%s' %s", quote(text).text, fault) : 0;
}

/* Of NATS. What is secret is in files: a command line is everybody's to read. */
static int check_server(struct span text, struct complaint *why)
{
    struct span host, rest = skip(text, begins_with(text, "tls://")    ? strlen("tls://")
                                        : begins_with(text, "nats://") ? strlen("nats://")
                                                                       : 0);
    uint64_t port = UNKNOWN;
    int r;

    if (memchr(text.at, '@', text.len))
        return complain(why, -EINVAL,
                        "a URL with a user or a password is refused: --nats-creds and "
                        "--nats-token-file name files that hold them");
    if (rest.len == text.len || !value_is_visible_ascii(text) ||
        memchr(rest.at, '/', rest.len))
        return complain(why, -EINVAL, "'%s' is neither nats://HOST[:PORT] nor tls://...",
                        quote(text).text);
    r = value_split_host(rest, &host, &port, why);
    if (r == 0 && port == 0)
        return complain(why, -EINVAL, "'%s': port 0 cannot be connected to",
                        quote(text).text);
    return r;
}

static const struct {
    int (*check)(struct span text, struct complaint *why);
    const char *noun;
} lists[] = {
    [KIND_SERVERS] = {check_server, "servers"},
    [KIND_LISTEN] = {value_check_listen, "addresses"},
    [KIND_HOSTS] = {check_host, "hosts"},
    [KIND_ORIGINS] = {check_origin, "origins"},
};

bool value_is_list(enum value_kind kind)
{
    return kind == KIND_SERVERS || kind == KIND_LISTEN || kind == KIND_HOSTS ||
           kind == KIND_ORIGINS;
}

int value_append(const struct setting *setting, void *base, struct span text,
                 struct complaint *why)
{
    struct config_list *list =
        (struct config_list *)(void *)((char *)base + setting->offset);
    int r = lists[setting->kind].check(text, why);

    if (r < 0)
        return r;
    if (list->n == MIN(setting->max, (uint64_t)CONFIG_LIST_MAX))
        return complain(why, -EINVAL, "more than %zu %s", list->n,
                        lists[setting->kind].noun);
    list->at[list->n] = strndup(text.at, text.len);
    if (!list->at[list->n])
        return complain(why, -ENOMEM, "out of memory");
    list->n++;
    return 0;
}
