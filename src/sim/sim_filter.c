// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_filter.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decode %XX and '+' into `to`, which is no shorter. A broken escape stays as it is. */
static struct span decode(struct span text, char *to)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        int high = text.at[i] == '%' && i + 2 < text.len ? hex_digit(text.at[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.at[i + 2]) : -1;

        if (low >= 0) {
            to[n++] = (char)(unsigned char)(high << 4 | low);
            i += 2;
        } else {
            to[n++] = text.at[i] == '+' ? ' ' : text.at[i];
        }
    }
    return (struct span){to, n};
}

/* Cut off what stands before the next `separator`; all of it when there is none. */
static struct span cut(struct span *text, char separator)
{
    const char *at = text->len ? memchr(text->at, separator, text->len) : NULL;
    struct span head = {text->at, at ? (size_t)(at - text->at) : text->len};
    size_t taken = at ? head.len + 1 : head.len;

    text->at += taken;
    text->len -= taken;
    return head;
}

int sim_filter_read(struct span query, struct sim_filter *filter)
{
    char *to = filter->text;

    filter->n = 0;
    if (query.len > SIM_FILTER_QUERY_MAX)
        return -E2BIG;
    while (query.len > 0) {
        struct span value = cut(&query, '&');
        struct span name = decode(cut(&value, '='), to);

        if (value.len == 0 || !span_is(name, "name[]"))
            continue;
        value = decode(value, to);
        filter->names[filter->n++] = value;
        to += value.len;
    }
    return 0;
}

static bool wants(const struct sim_filter *filter, struct span name)
{
    for (size_t i = 0; i < filter->n; i++)
        if (filter->names[i].len == name.len &&
            memcmp(filter->names[i].at, name.at, name.len) == 0)
            return true;
    return false;
}

static struct span sample_name(struct span line)
{
    size_t n = 0;

    while (n < line.len && line.at[n] != '{' && line.at[n] != ' ')
        n++;
    return (struct span){line.at, n};
}

static bool begins(struct span line, const char *text)
{
    size_t len = strlen(text);

    return line.len >= len && memcmp(line.at, text, len) == 0;
}

void sim_filter_apply(const struct sim_filter *filter, struct span page, struct buf *out)
{
    struct span head = {NULL, 0}; // comment lines that wait for a sample of their family
    bool in_head = false;

    while (page.len > 0) {
        struct span line = cut(&page, '\n');
        size_t len = line.len + 1;

        if (begins(line, "#")) {
            if (!in_head || begins(line, "# HELP "))
                head = (struct span){line.at, 0};
            head.len += len;
            in_head = true;
            continue;
        }
        in_head = false;
        if (!wants(filter, sample_name(line)))
            continue;
        buf_add(out, head.at, head.len);
        head.len = 0;
        buf_add(out, line.at, line.len);
        buf_add_char(out, '\n');
    }
}
