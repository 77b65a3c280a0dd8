// SPDX-License-Identifier: Apache-2.0
#include "base/number.h"
#include "base/text.h"
#include "cli/cli_option.h"

#include <math.h>
#include <stdio.h>

enum { URL_MAX = 1024, VALUE_MAX = 4096 };

static bool ends_with(struct span text, const char *end)
{
    size_t len = strlen(end);

    return text.len > len && memcmp(text.at + text.len - len, end, len) == 0;
}

static bool starts_with(struct span text, const char *start)
{
    size_t len = strlen(start);

    return text.len > len && memcmp(text.at, start, len) == 0;
}

/* No control characters, valid UTF-8: what it is cleaned to is what it was. */
static bool is_clean(struct span text)
{
    char clean[VALUE_MAX + 1];

    return text.len < VALUE_MAX && text_clean(clean, sizeof(clean), text) == text.len &&
           memcmp(clean, text.at, text.len) == 0;
}

static int set_string(char **member, const char *prefix, struct span text,
                      const char *suffix, struct complaint *why)
{
    char *copy;

    if (asprintf(&copy, "%s%.*s%s", prefix, (int)text.len, text.at, suffix) < 0)
        return complain(why, -ENOMEM, "out of memory");
    free(*member);
    *member = copy;
    return 0;
}

static int set_text(void *member, const struct cli_option *option, struct span text,
                    struct complaint *why)
{
    if (text.len == 0)
        return complain(why, -EINVAL, "the value is empty");
    if ((double)text.len > option->max || !is_clean(text))
        return complain(why, -EINVAL,
                        "expected at most %.0f bytes of UTF-8 without control characters",
                        option->max);
    return set_string(member, "", text, "", why);
}

/* Whether a host without a scheme has a port: after its last colon, if not within []. */
static bool has_port(struct span host)
{
    const char *colon = memrchr(host.at, ':', host.len);

    return colon && !memchr(colon, ']', (size_t)(host.at + host.len - colon));
}

/* With a port that can be one, if there is one at all. */
static bool is_port_possible(struct span url)
{
    const char *scheme = memmem(url.at, url.len, "://", 3);
    struct span host = url;
    unsigned long port;
    char *end;

    if (starts_with(url, "unix:"))
        return true;
    if (scheme)
        host = (struct span){scheme + 3, (size_t)(url.at + url.len - (scheme + 3))};
    if (memchr(host.at, '/', host.len))
        host.len = (size_t)((const char *)memchr(host.at, '/', host.len) - host.at);
    if (!has_port(host))
        return true;
    port = strtoul((const char *)memrchr(host.at, ':', host.len) + 1, &end, 10);
    return end == host.at + host.len && port >= 1 && port <= 65535;
}

static int add_url(struct cli *cli, struct span text, struct complaint *why)
{
    static const char *const schemes[] = {"http://", "https://", "unix:"};
    const char *prefix = "http://", *suffix = "";
    char port[16];
    int r;

    if (text.len == 0 || text.len > URL_MAX || !is_clean(text) ||
        memchr(text.at, ' ', text.len))
        return complain(why, -EINVAL,
                        "expected http://HOST:PORT, https://HOST:PORT, HOST:PORT or "
                        "unix:PATH");
    if (cli->n_urls == CLI_URLS_MAX)
        return complain(why, -EINVAL, "more than %d daemons", CLI_URLS_MAX);

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (starts_with(text, schemes[i]))
            prefix = "";
    if (*prefix && memmem(text.at, text.len, "://", 3))
        return complain(why, -EINVAL, "that is neither http:// nor https:// nor unix:");
    if (!is_port_possible(text))
        return complain(why, -EINVAL, "its port is not a number from 1 to 65535");
    if (*prefix && !has_port(text)) {
        (void)snprintf(port, sizeof(port), ":%d", CLI_PORT);
        suffix = port;
    }
    r = set_string(&cli->urls[cli->n_urls], prefix, text, suffix, why);
    cli->n_urls += r == 0;
    return r;
}

/* From a flag one each; from the environment several with blanks between them. */
static int set_urls(struct cli *cli, struct span text, struct complaint *why)
{
    size_t before = cli->n_urls;

    while (text.len > 0) {
        const char *blank = memchr(text.at, ' ', text.len);
        size_t len = blank ? (size_t)(blank - text.at) : text.len;
        int r = len ? add_url(cli, (struct span){text.at, len}, why) : 0;

        if (r < 0)
            return r;
        len += blank != NULL;
        text.at += len;
        text.len -= len;
    }
    return cli->n_urls > before ? 0 : add_url(cli, text, why);
}

/* The place of `text` in the words of the argument; -1: it is none of them. */
static int find_choice(const struct cli_option *option, struct span text)
{
    const char *word = option->argument;

    for (int i = 0; *word; i++) {
        size_t len = strcspn(word, "|");

        if (text.len == len && memcmp(word, text.at, len) == 0)
            return i;
        word += len + (word[len] == '|');
    }
    return -1;
}

static int set_choice(void *member, const struct cli_option *option, struct span text,
                      struct complaint *why)
{
    int choice = find_choice(option, text);

    if (choice < 0)
        return complain(why, -EINVAL, "expected %s", option->argument);
    if (option->kind == KIND_WORD)
        return set_string(member, "", text, "", why);
    *(int *)member = choice;
    return 0;
}

static bool read_between(struct span text, double unit, const struct cli_option *option,
                         double *ret)
{
    double value;

    if (number_read(text, &value) < 0)
        return false;
    *ret = value * unit;
    return *ret >= option->min && *ret <= option->max;
}

static int set_duration(int64_t *member, const struct cli_option *option,
                        struct span text, struct complaint *why)
{
    double unit = 1000, ms;

    if (ends_with(text, "ms")) {
        unit = 1;
        text.len -= 2;
    } else if (ends_with(text, "s")) {
        text.len -= 1;
    }
    if (!read_between(text, unit, option, &ms))
        return complain(why, -EINVAL,
                        "expected seconds from %g to %g, as 2, 0.5s or 500ms",
                        option->min / 1000, option->max / 1000);
    *member = llround(ms);
    return 0;
}

static int set_number(double *member, const struct cli_option *option, struct span text,
                      struct complaint *why)
{
    if (option->kind == KIND_PERCENT && ends_with(text, "%"))
        text.len--;
    if (!read_between(text, 1, option, member))
        return complain(why, -EINVAL, "expected a number from %g to %g", option->min,
                        option->max);
    return 0;
}

static int set_count(int64_t *member, const struct cli_option *option, struct span text,
                     struct complaint *why)
{
    uint64_t count;

    if (number_read_u64(text, INT64_MAX, &count) < 0 || (double)count < option->min)
        return complain(why, -EINVAL, "expected a whole number from %g on", option->min);
    *member = (int64_t)count;
    return 0;
}

int cli_set_value(struct cli *cli, const struct cli_option *option, struct span text,
                  struct complaint *why)
{
    void *member = (char *)cli + option->offset;

    switch (option->kind) {
    case KIND_SWITCH:
        *(bool *)member = true;
        return 0;
    case KIND_TEXT:
        return set_text(member, option, text, why);
    case KIND_URLS:
        return set_urls(cli, text, why);
    case KIND_WORD:
    case KIND_CHOICE:
        return set_choice(member, option, text, why);
    case KIND_COUNT:
        return set_count(member, option, text, why);
    case KIND_DURATION:
        return set_duration(member, option, text, why);
    case KIND_PERCENT:
    case KIND_FACTOR:
        return set_number(member, option, text, why);
    }
    return -EINVAL;
}
