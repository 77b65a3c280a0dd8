// SPDX-License-Identifier: Apache-2.0
#include "config/config_value.h"

#include "base/number.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>
#include <sys/un.h>

enum {
    HOST_NAME_MAX_LEN = 253,
    URL_MAX_LEN = 1024,
};

typedef int value_set_fn(const struct setting *setting, void *member, struct span text,
                         struct complaint *why);

struct quoted quote(struct span text)
{
    enum { SHOWN_MAX = QUOTED_MAX - 4 };
    struct quoted quoted;
    size_t n = text_clean(quoted.text, SHOWN_MAX + 1, text);

    if (text.len > SHOWN_MAX)
        memcpy(quoted.text + n, "...", sizeof("..."));
    return quoted;
}

static int out_of_memory(struct complaint *why)
{
    return complain(why, -ENOMEM, "out of memory");
}

static bool has_prefix(struct span text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && strncasecmp(text.at, prefix, len) == 0;
}

static struct span skip(struct span text, size_t n)
{
    return (struct span){text.at + n, text.len - n};
}

static struct span first(struct span text, size_t n)
{
    return (struct span){text.at, n};
}

/* Position of the first byte that is one of `chars`, or text.len. */
static size_t find_any(struct span text, const char *chars)
{
    size_t i = 0;

    while (i < text.len && (text.at[i] == '\0' || !strchr(chars, text.at[i])))
        i++;
    return i;
}

static bool has_only(struct span text, const char *chars)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == '\0' || !strchr(chars, text.at[i]))
            return false;
    return true;
}

bool value_is_visible_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    return true;
}

static int store_text(void *member, struct span text, struct complaint *why)
{
    char **at = member;
    char *copy = strndup(text.at, text.len);

    if (!copy)
        return out_of_memory(why);
    free(*at);
    *at = copy;
    return 0;
}

static int set_text(const struct setting *setting, void *member, struct span text,
                    struct complaint *why)
{
    if (text.len == 0)
        return complain(why, -EINVAL, "the value is empty");
    if (text.len > setting->max)
        return complain(why, -EINVAL, "'%s' is longer than %llu bytes", quote(text).text,
                        (unsigned long long)setting->max);
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
            return complain(why, -EINVAL, "'%s' contains a control character",
                            quote(text).text);
    return store_text(member, text, why);
}

/* The place of `text` in "one|two|three", or -1. */
static int find_choice(const char *choices, struct span text)
{
    struct span left = span_of(choices);

    for (int i = 0;; i++) {
        size_t n = find_any(left, "|");

        if (text.len == n && memcmp(text.at, left.at, n) == 0)
            return i;
        if (n == left.len)
            return -1;
        left = skip(left, n + 1);
    }
}

static int complain_choice(const struct setting *setting, struct span text,
                           struct complaint *why)
{
    return complain(why, -EINVAL, "expected %s, not '%s'", setting->argument,
                    quote(text).text);
}

static int set_word(const struct setting *setting, void *member, struct span text,
                    struct complaint *why)
{
    if (find_choice(setting->argument, text) < 0)
        return complain_choice(setting, text, why);
    return store_text(member, text, why);
}

static int set_choice(const struct setting *setting, void *member, struct span text,
                      struct complaint *why)
{
    int choice = find_choice(setting->argument, text);

    if (choice < 0)
        return complain_choice(setting, text, why);
    memcpy(member, &choice, sizeof(choice));
    return 0;
}

static int set_switch(const struct setting *setting, void *member, struct span text,
                      struct complaint *why)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"true", true},   {"yes", true}, {"1", true},
        {"false", false}, {"no", false}, {"0", false},
    };

    (void)setting; // a switch has no limits
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (text.len == strlen(words[i].word) && has_prefix(text, words[i].word)) {
            *(bool *)member = words[i].value;
            return 0;
        }
    }
    return complain(why, -EINVAL, "expected true or false, not '%s'", quote(text).text);
}

static int complain_range(const struct setting *setting, struct span text,
                          struct complaint *why)
{
    return complain(why, -EINVAL, "%s is out of range (%llu..%llu)", quote(text).text,
                    (unsigned long long)setting->min, (unsigned long long)setting->max);
}

static int set_number(const struct setting *setting, void *member, struct span text,
                      struct complaint *why)
{
    uint64_t value;
    int r = number_read_u64(text, setting->max, &value);

    if (r == -EINVAL)
        return complain(why, r, "'%s' is not a whole number", quote(text).text);
    if (r < 0 || value < setting->min)
        return complain_range(setting, text, why);
    *(uint64_t *)member = value;
    return 0;
}

/* Cut the unit off the end of "16 MiB"; returns the power of two that it stands for. */
static unsigned take_unit(struct span *text)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}};

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        size_t len = strlen(units[i].name);

        if (text->len < len || !span_is(skip(*text, text->len - len), units[i].name))
            continue;
        text->len -= len;
        if (text->len > 0 && text->at[text->len - 1] == ' ')
            text->len--;
        return units[i].shift;
    }
    return 0;
}

static int set_bytes(const struct setting *setting, void *member, struct span text,
                     struct complaint *why)
{
    struct span digits = text;
    unsigned shift = take_unit(&digits);
    uint64_t value;
    int r = number_read_u64(digits, setting->max >> shift, &value);

    if (r == -EINVAL)
        return complain(why, r,
                        "'%s' is not a number of bytes (digits, then perhaps KiB, MiB or "
                        "GiB)",
                        quote(text).text);
    if (r < 0 || value << shift < setting->min)
        return complain_range(setting, text, why);
    *(uint64_t *)member = value << shift;
    return 0;
}

static int check_ipv6(struct span host, struct complaint *why)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    struct span inside = first(skip(host, 1), host.len - 2);

    if (inside.len < sizeof(text)) {
        memcpy(text, inside.at, inside.len);
        text[inside.len] = '\0';
        if (strlen(text) == inside.len && inet_pton(AF_INET6, text, &address) == 1)
            return 0;
    }
    return complain(why, -EINVAL, "'%s' is not an IPv6 address", quote(inside).text);
}

static int check_ipv4(struct span host, struct complaint *why)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;

    if (host.len < sizeof(text)) {
        memcpy(text, host.at, host.len);
        text[host.len] = '\0';
        if (inet_pton(AF_INET, text, &address) == 1)
            return 0;
    }
    return complain(why, -EINVAL, "'%s' is not an IPv4 address", quote(host).text);
}

static int check_host(struct span host, struct complaint *why)
{
    static const char digits[] = "0123456789.";
    static const char chars[] = "0123456789.-_abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    if (host.len == 0)
        return complain(why, -EINVAL, "the host is missing");
    if (*host.at == '[')
        return check_ipv6(host, why);
    if (has_only(host, digits))
        return check_ipv4(host, why);
    if (host.len > HOST_NAME_MAX_LEN || !has_only(host, chars))
        return complain(why, -EINVAL, "'%s' is not a host name", quote(host).text);
    return 0;
}

int value_split_host(struct span text, struct span *host, uint64_t *port,
                     struct complaint *why)
{
    bool bracketed = text.len > 0 && *text.at == '[';
    size_t end = find_any(text, bracketed ? "]" : ":") + bracketed;
    struct span rest;
    int r;

    if (end > text.len)
        return complain(why, -EINVAL, "'%s' lacks the closing bracket", quote(text).text);
    *host = first(text, end);
    rest = skip(text, end);
    if (!bracketed && rest.len > 1 && memchr(rest.at + 1, ':', rest.len - 1))
        return complain(why, -EINVAL, "'%s': an IPv6 address needs brackets, as in [::1]",
                        quote(text).text);
    r = check_host(*host, why);
    if (r < 0 || rest.len == 0)
        return r;
    if (*rest.at != ':' || number_read_u64(skip(rest, 1), UINT16_MAX, port) < 0)
        return complain(why, -EINVAL, "'%s' is not a port (0..65535)",
                        quote(*rest.at == ':' ? skip(rest, 1) : rest).text);
    return 0;
}

static const char UNIX_PREFIX[] = "unix:";

static int check_socket_path(struct span path, struct complaint *why)
{
    struct sockaddr_un address;

    if (path.len == 0)
        return complain(why, -EINVAL, "the path after 'unix:' is missing");
    if (path.len >= sizeof(address.sun_path))
        return complain(why, -EINVAL, "the socket's path is longer than %zu bytes",
                        sizeof(address.sun_path) - 1);
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.at[i] < ' ' || path.at[i] == 0x7f)
            return complain(why, -EINVAL, "'%s' contains a control character",
                            quote(path).text);
    return 0;
}

int value_check_listen(struct span text, struct complaint *why)
{
    struct span host;
    uint64_t port = UNKNOWN;
    int r;

    if (span_is(first(text, MIN(text.len, strlen(UNIX_PREFIX))), UNIX_PREFIX))
        return check_socket_path(skip(text, strlen(UNIX_PREFIX)), why);
    if (find_any(text, ":") == text.len)
        return complain(why, -EINVAL, "'%s' is neither HOST:PORT nor unix:PATH",
                        quote(text).text);
    r = value_split_host(text, &host, &port, why);
    if (r == 0 && port == UNKNOWN)
        return complain(why, -EINVAL, "'%s' lacks a port", quote(text).text);
    return r;
}

static void lower_case(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] - 'A' + 'a');
}

/* What is wrong with the whole, before its parts are looked at; NULL: nothing. */
static const char *find_url_fault(struct span text)
{
    if (text.len > URL_MAX_LEN)
        return "is too long";
    if (!value_is_visible_ascii(text))
        return "contains a blank, a control or a non-ASCII character";
    if (!has_prefix(text, "http://") && !has_prefix(text, "https://"))
        return "does not begin with http://, https:// or unix:";
    if (find_any(text, "@") < text.len)
        return "contains '@'; give the key by api_key_file in the file";
    if (find_any(text, "?#") < text.len)
        return "must have neither query nor fragment";
    return NULL;
}

/* unix:/path/of/its/socket, as `vllm serve --uds` has it. */
static int read_unix_url(struct span text, char **ret, struct complaint *why)
{
    struct span path = skip(text, strlen(UNIX_PREFIX));
    int r = check_socket_path(path, why);

    if (r < 0)
        return r;
    if (*path.at != '/')
        return complain(why, -EINVAL, "'%s' must begin with '/'", quote(path).text);
    if (asprintf(ret, "%s%.*s", UNIX_PREFIX, (int)path.len, path.at) < 0)
        return out_of_memory(why);
    return 0;
}

int value_read_url(struct span text, char **ret, struct complaint *why)
{
    const char *fault = find_url_fault(text);
    bool secure = has_prefix(text, "https:");
    uint64_t port = secure ? 443 : 80;
    struct span rest, host = {NULL, 0}, path;
    char *url;
    int r;

    if (has_prefix(text, UNIX_PREFIX))
        return read_unix_url(text, ret, why);
    if (fault)
        return complain(why, -EINVAL, "'%s' %s", quote(text).text, fault);

    rest = skip(text, strlen(secure ? "https://" : "http://"));
    path = skip(rest, find_any(rest, "/"));
    r = value_split_host(first(rest, rest.len - path.len), &host, &port, why);
    if (r < 0)
        return r;
    if (port == 0)
        return complain(why, -EINVAL, "'%s': port 0 cannot be connected to",
                        quote(text).text);

    while (path.len > 0 && path.at[path.len - 1] == '/')
        path.len--;

    r = asprintf(&url, "http%s://%.*s:%u%.*s", secure ? "s" : "", (int)host.len, host.at,
                 (unsigned)port, (int)path.len, path.at);
    if (r < 0)
        return out_of_memory(why);
    lower_case(url, (size_t)r - path.len);
    *ret = url;
    return 0;
}

static int set_url(const struct setting *setting, void *member, struct span text,
                   struct complaint *why)
{
    char **at = member, *url = NULL;
    int r = value_read_url(text, &url, why);

    (void)setting; // the limits of a URL are its own
    if (r < 0)
        return r;
    free(*at);
    *at = url;
    return 0;
}

static const struct {
    const char *expected;
    value_set_fn *set;
} kinds[] = {
    [KIND_TEXT] = {"a text", set_text},
    [KIND_WORD] = {"a word", set_word},
    [KIND_CHOICE] = {"a word", set_choice},
    [KIND_SWITCH] = {"true or false", set_switch},
    [KIND_NUMBER] = {"a number", set_number},
    [KIND_BYTES] = {"a number of bytes", set_bytes},
    [KIND_URL] = {"a URL", set_url},
    [KIND_SECRET] = {"the name of a file", value_set_secret},
    [KIND_MODE] = {"a mode in octal digits", value_set_mode},
    [KIND_USERS] = {"users", value_set_users},
    [KIND_TOKEN] = {"the name of a file", value_set_token},
    [KIND_PRIVATE] = {"the name of a file", value_set_private},
    [KIND_PRIVATE_SECRET] = {"the name of a file", value_set_private_secret},
    [KIND_PREFIX] = {"a text", value_set_prefix},
    [KIND_SERVERS] = {"a URL or a list of URLs", NULL},
    [KIND_LISTEN] = {"an address or a list of addresses", NULL},
    [KIND_HOSTS] = {"a host or a list of hosts", NULL},
    [KIND_ORIGINS] = {"an origin or a list of origins", NULL},
    [KIND_ENGINES] = {"a list of engines", NULL},
    [KIND_ACTION] = {NULL, NULL},
};

const char *value_expected(enum value_kind kind)
{
    return kinds[kind].expected;
}

int value_set(const struct setting *setting, void *base, struct span text,
              struct complaint *why)
{
    return kinds[setting->kind].set(setting, (char *)base + setting->offset, text, why);
}
