// SPDX-License-Identifier: Apache-2.0
#include "host/host_text.h"

#include "base/number.h"

bool host_take_until(struct span *text, char end, struct span *ret)
{
    const char *at;
    size_t len, step;

    if (text->len == 0)
        return false;
    at = memchr(text->at, end, text->len);
    len = at ? (size_t)(at - text->at) : text->len;
    step = at ? len + 1 : len;
    *ret = (struct span){text->at, len};
    text->at += step;
    text->len -= step;
    return true;
}

struct span host_take_field(struct span *text)
{
    struct span field;

    while (text->len > 0 && *text->at == ' ') {
        text->at++;
        text->len--;
    }
    field = (struct span){text->at, 0};
    while (text->len > 0 && *text->at != ' ') {
        text->at++;
        text->len--;
        field.len++;
    }
    return field;
}

struct span host_skip_fields(struct span *text, int n)
{
    struct span field = {text->at, 0};

    while (n-- > 0)
        field = host_take_field(text);
    return field;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Where the value of NAME=VALUE starts, or 0. A title has blanks before any '='. */
static size_t find_value(struct span entry)
{
    const char *equals = entry.len ? memchr(entry.at, '=', entry.len) : NULL;
    size_t len = equals ? (size_t)(equals - entry.at) : 0;

    if (len == 0 || !is_letter(*entry.at))
        return 0;
    for (size_t i = 0; i < len; i++)
        if (entry.at[i] <= ' ' || entry.at[i] > '~')
            return 0;
    return len + 1;
}

/*
 * HOME=/root\0HF_HOME=/models\0...
 *
 * A process that writes its title over its arguments goes on into what lies behind them:
 * the environment's first bytes are then of the title, or zero. The end may be cut.
 */
int host_find_variable(struct span text, const char *name, struct span *ret)
{
    struct span entry;

    if (text.len && find_value((struct span){text.at, strnlen(text.at, text.len)}) == 0)
        return -EBADMSG;
    while (host_take_until(&text, '\0', &entry)) {
        size_t value = find_value(entry);
        bool is_cut = text.len == 0 && entry.at + entry.len == text.at;

        if (value == 0 || is_cut || !span_is((struct span){entry.at, value - 1}, name))
            continue;
        *ret = (struct span){entry.at + value, entry.len - value};
        return 0;
    }
    return -ENOENT;
}

/* name:password:uid:gid:comment:home:shell */
static bool is_home_of(struct span line, uint32_t uid, struct span *ret)
{
    enum { UID = 2, HOME = 5, FIELDS = 7 };
    struct span fields[FIELDS] = {0};
    uint64_t number;
    size_t n = 0;

    while (n < FIELDS && host_take_until(&line, ':', &fields[n]))
        n++;
    if (n <= HOME || number_read_u64(fields[UID], UINT32_MAX, &number) < 0 ||
        number != uid || !host_starts_with(fields[HOME], "/"))
        return false;
    *ret = fields[HOME];
    return true;
}

int host_find_home(struct span passwd, uint32_t uid, struct span *ret)
{
    struct span line;

    while (host_take_until(&passwd, '\n', &line))
        if (is_home_of(line, uid, ret))
            return 0;
    return -ENOENT;
}

/* NSpid:	4711	1 */
int host_find_ns_pid(struct span status, uint32_t *ret)
{
    struct span line, field = {0};
    uint64_t pid;

    while (host_take_until(&status, '\n', &line)) {
        if (!host_starts_with(line, "NSpid:\t"))
            continue;
        while (host_take_until(&line, '\t', &field))
            continue;
        if (number_read_u64(field, INT32_MAX, &pid) < 0 || pid == 0)
            return -EBADMSG;
        *ret = (uint32_t)pid;
        return 0;
    }
    return -EBADMSG;
}

bool host_has_one_ns_pid(struct span status)
{
    struct span line, field;
    unsigned fields = 0;

    while (host_take_until(&status, '\n', &line)) {
        if (!host_starts_with(line, "NSpid:\t") || status.len == 0) // cut off
            continue;
        while (host_take_until(&line, '\t', &field))
            fields++;
    }
    return fields == 2; // the name is one
}

/* Uid:	1000	1000	1000	1000, of which the first is the real one */
int host_find_uid(struct span status, uint32_t *ret)
{
    static const char name[] = "Uid:\t";
    struct span line, field;
    uint64_t uid;

    while (host_take_until(&status, '\n', &line)) {
        if (!host_starts_with(line, name))
            continue;
        line = (struct span){line.at + strlen(name), line.len - strlen(name)};
        if (!host_take_until(&line, '\t', &field) || line.len == 0 || // cut off
            number_read_u64(field, UINT32_MAX - 1, &uid) < 0)
            return -EBADMSG;
        *ret = (uint32_t)uid;
        return 0;
    }
    return -EBADMSG;
}

/* MemTotal:       65536000 kB */
int host_find_memory(struct span meminfo, const char *name, uint64_t *ret)
{
    size_t len = strlen(name);
    struct span line;
    uint64_t kib;

    while (host_take_until(&meminfo, '\n', &line)) {
        if (!host_starts_with(line, name) || line.len == len || line.at[len] != ':')
            continue;
        line = (struct span){line.at + len + 1, line.len - len - 1};
        if (number_read_u64(host_take_field(&line), (UINT64_MAX - 1) / 1024, &kib) < 0 ||
            !span_is(host_take_field(&line), "kB") || host_take_field(&line).len > 0)
            return -EBADMSG;
        *ret = kib * 1024;
        return 0;
    }
    return -EBADMSG;
}
