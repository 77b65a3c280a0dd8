// SPDX-License-Identifier: Apache-2.0
#include "host/log_kv.h"

#include "base/number.h"
#include "host/host_text.h"

#include <math.h>

enum {
    LINE_ROOM = 512
}; // the lines wanted have at most 200 bytes before the last number

typedef bool read_fn(struct span digits, uint64_t *ret);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* 28.85 */
static bool read_gib(struct span digits, uint64_t *ret)
{
    static const double gib = 1 << 30, most = 1 << 20;
    double value;

    for (size_t i = 0; i < digits.len; i++)
        if (!is_digit(digits.at[i]) && digits.at[i] != '.')
            return false;
    if (number_read(digits, &value) < 0 || value > most)
        return false;
    *ret = (uint64_t)llround(value * gib);
    return true;
}

/* 1,600,255 */
static bool read_grouped(struct span digits, uint64_t *ret)
{
    enum { GROUP = 3, GROUPS_MAX = 5 };
    uint64_t value = 0, part;
    struct span group;
    int n = 0;

    if (digits.len == 0 || digits.at[digits.len - 1] == ',')
        return false;
    for (; host_take_until(&digits, ',', &group); n++) {
        bool fits = n == 0 ? group.len <= GROUP : group.len == GROUP;

        if (n == GROUPS_MAX || !fits || number_read_u64(group, UINT64_MAX, &part) < 0)
            return false;
        value = value * 1000 + part;
    }
    *ret = value;
    return true;
}

/* One line each: before NUMBER after, and '\n' for the end of the line. */
static const struct {
    const char *before;
    const char *skip; // NULL, or what follows a number that is not the one wanted
    const char *after;
    read_fn *read;
    size_t offset;
} facts[] = {
    {"Available KV cache memory: ", NULL, " GiB\n", read_gib,
     offsetof(struct log_kv, available_bytes)},
    {"Initial free memory ", " GiB, reserved ",
     " GiB memory for KV Cache as specified by kv_cache_memory_bytes ", read_gib,
     offsetof(struct log_kv, reserved_bytes)},
    {"Model loading took ", NULL, " GiB memory and ", read_gib,
     offsetof(struct log_kv, loaded_bytes)},
    {"Model loading took ", NULL, " GiB and ", read_gib,
     offsetof(struct log_kv, loaded_bytes)},
    {"GPU KV cache size: ", NULL, " tokens\n", read_grouped,
     offsetof(struct log_kv, size_tokens)},
    {"GPU KV cache size: ", NULL, " tokens, ", read_grouped,
     offsetof(struct log_kv, size_tokens)},
};

static const char *const start_lines[] = {
    "non-default args: ",
    "vLLM API server version ",
};

static bool take_text(struct span *line, const char *text)
{
    size_t len = strlen(text);

    if (!host_starts_with(*line, text))
        return false;
    line->at += len;
    line->len -= len;
    return true;
}

/* As take_text(), but each '0' stands for any digit. */
static bool take_form(struct span *line, const char *form)
{
    size_t len = strlen(form);

    if (line->len < len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (form[i] == '0' ? !is_digit(line->at[i]) : line->at[i] != form[i])
            return false;
    line->at += len;
    line->len -= len;
    return true;
}

/* Digits, points and commas. */
static struct span take_number(struct span *line)
{
    struct span number = {line->at, 0};

    while (line->len > 0 &&
           (is_digit(*line->at) || *line->at == '.' || *line->at == ',')) {
        line->at++;
        line->len--;
        number.len++;
    }
    return number;
}

/* Length of a colour, ESC [ digits and ';' m, at the start of `text`, or 0. */
static size_t color_length(struct span text)
{
    size_t n = 2;

    if (!host_starts_with(text, "\x1b["))
        return 0;
    while (n < text.len && (is_digit(text.at[n]) || text.at[n] == ';'))
        n++;
    return n < text.len && text.at[n] == 'm' ? n + 1 : 0;
}

/*
 * Copy without colours and with a '\n' at its end, which is missing where `line` does not
 * fit: nothing that must end the line can then be found in it.
 */
static struct span copy_plain(char copy[static LINE_ROOM], struct span line)
{
    size_t n = 0;

    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    for (size_t i = 0; i <= line.len && n < LINE_ROOM; i++) {
        size_t color = color_length((struct span){line.at + i, line.len - i});

        if (color)
            i += color - 1;
        else
            copy[n++] = i < line.len ? line.at[i] : '\n';
    }
    return (struct span){copy, n};
}

/* "(APIServer pid=148236) ", if it is there. */
static bool take_process(struct span *line, uint32_t *pid)
{
    struct span name;
    const char *blank;
    uint64_t number;

    *pid = 0;
    if (!take_text(line, "("))
        return true;
    if (!host_take_until(line, ')', &name) || !take_text(line, " ") || name.len == 0)
        return false;
    blank = memrchr(name.at, ' ', name.len);
    if (!blank)
        return false;
    name.len -= (size_t)(blank + 1 - name.at);
    name.at = blank + 1;
    if (!take_text(&name, "pid=") || number_read_u64(name, INT32_MAX, &number) < 0)
        return false;
    *pid = (uint32_t)number;
    return true;
}

/* "[gpu_worker.py:560] ", or without the first bracket, as older versions have it. */
static bool take_place(struct span *line)
{
    struct span place, file;
    uint64_t number;

    (void)take_text(line, "[");
    return host_take_until(line, ']', &place) && take_text(line, " ") &&
           host_take_until(&place, ':', &file) && file.len > 0 &&
           !memchr(file.at, ' ', file.len) &&
           number_read_u64(place, INT32_MAX, &number) == 0;
}

/*
 * (Worker_TP0 pid=149112) INFO 07-16 20:03:56 [gpu_worker.py:560] Available KV cache ...
 * `line` is left with the message.
 */
static bool take_header(struct span *line, uint32_t *pid)
{
    return take_process(line, pid) && take_form(line, "INFO 00-00 00:00:00 ") &&
           take_place(line);
}

static void add_to_range(struct log_range *range, uint64_t value)
{
    range->lowest = range->n ? MIN(range->lowest, value) : value;
    range->highest = range->n ? MAX(range->highest, value) : value;
    range->n++;
}

static bool read_fact(struct span message, size_t i, uint64_t *ret)
{
    struct span number;

    if (!take_text(&message, facts[i].before))
        return false;
    number = take_number(&message);
    if (facts[i].skip) {
        if (!take_text(&message, facts[i].skip))
            return false;
        number = take_number(&message);
    }
    return host_starts_with(message, facts[i].after) && facts[i].read(number, ret);
}

static void read_line(struct span line, struct log_kv *kv)
{
    uint32_t pid;

    if (!take_header(&line, &pid))
        return;
    for (size_t i = 0; i < ARRAY_LEN(start_lines); i++)
        if (host_starts_with(line, start_lines[i]))
            *kv = (struct log_kv){.server_pid = pid};
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        struct log_range *range = (void *)((char *)kv + facts[i].offset);
        uint64_t value;

        if (read_fact(line, i, &value))
            add_to_range(range, value);
    }
}

int log_find_kv(struct span text, struct log_kv *ret)
{
    struct log_kv kv = {0};
    struct span line;

    /* The last line, without its end, may still be being written. */
    while (text.len > 0 && memchr(text.at, '\n', text.len) &&
           host_take_until(&text, '\n', &line)) {
        char copy[LINE_ROOM];

        read_line(copy_plain(copy, line), &kv);
    }
    if (!kv.available_bytes.n && !kv.reserved_bytes.n && !kv.loaded_bytes.n &&
        !kv.size_tokens.n)
        return -ENOENT;
    *ret = kv;
    return 0;
}

bool log_kv_is_of(const struct log_kv *kv, uint32_t ns_pid, bool whole)
{
    return kv->server_pid ? kv->server_pid == ns_pid : whole;
}
