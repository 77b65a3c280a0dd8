// SPDX-License-Identifier: Apache-2.0
/*
 * advice_stage.h - for tests: a host with its observations, what is advised for it, and
 * its arithmetic worked out anew
 */
#ifndef UNIT_ADVICE_STAGE_H
#define UNIT_ADVICE_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "advice_scene.h"

#include <ctype.h>

#define U UNKNOWN
#define N ((double)NAN)
#define MIB (UINT64_C(1) << 20)
#define GIB SCENE_GIB
#define NO_WHERE UINT64_MAX

static struct snapshot *snapshot;
static struct observation seen[SNAPSHOT_MODELS_MAX];
static struct advice told[ADVICE_MAX];
static size_t n_seen, n_told;

/* ---- The arithmetic: each line with an equals sign is worked out anew ---- */

struct reader {
    const char *at;
    bool bad;
};

static inline long double read_sum(struct reader *reader);

static inline void skip_words(struct reader *reader)
{
    for (;;) {
        while (*reader->at == ' ')
            reader->at++;
        if (*reader->at == 'x' && reader->at[1] == ' ')
            return;
        if (!isalpha((unsigned char)*reader->at))
            return;
        while (isalpha((unsigned char)*reader->at))
            reader->at++;
    }
}

static inline long double read_term(struct reader *reader)
{
    long double value;
    char *end;

    skip_words(reader);
    if (*reader->at == '(') {
        reader->at++;
        value = read_sum(reader);
        skip_words(reader);
        reader->bad = reader->bad || *reader->at != ')';
        reader->at += *reader->at == ')';
    } else {
        value = strtold(reader->at, &end);
        reader->bad = reader->bad || end == reader->at;
        reader->at = end;
    }
    skip_words(reader);
    return value;
}

static inline long double read_product(struct reader *reader)
{
    long double value = read_term(reader);

    while (*reader->at == 'x' || *reader->at == '/') {
        char sign = *reader->at++;
        long double other = read_term(reader);

        value = sign == 'x' ? value * other : value / other;
    }
    return value;
}

static inline long double read_sum(struct reader *reader)
{
    long double value = read_product(reader);

    while (*reader->at == '+' || *reader->at == '-') {
        char sign = *reader->at++;
        long double other = read_product(reader);

        value = sign == '+' ? value + other : value - other;
    }
    return value;
}

/* One unit of the last digit of the number at `text`. */
static inline long double unit_of(const char *text)
{
    long double unit = 1;

    while (isdigit((unsigned char)*text))
        text++;
    if (*text == '.')
        for (text++; isdigit((unsigned char)*text); text++)
            unit /= 10;
    return unit;
}

/* Every "N bytes (G GiB)" says the same twice. */
static inline void check_gib(const char *row, const char *line)
{
    const char *at = line;

    while ((at = strstr(at, " bytes (")) != NULL) {
        const char *start = at;

        while (start > line && isdigit((unsigned char)start[-1]))
            start--;
        if (fabsl(strtold(start, NULL) / (long double)GIB - strtold(at + 8, NULL)) >
            0.0051L)
            fail_msg("[%s] bytes and GiB differ: %s", row, line);
        at++;
    }
}

static inline void check_line(const char *row, const char *line)
{
    const char *equals = strstr(line, " = "), *colon = NULL, *at;
    bool up = strstr(line, "rounded up") != NULL;
    struct reader reader;
    long double is, said, unit, off;

    check_gib(row, line);
    if (!equals)
        return;
    for (at = line; at < equals; at++)
        if (at[0] == ':' && at[1] == ' ')
            colon = at;
    if (!colon)
        fail_msg("[%s] no expression: %s", row, line);
    reader = (struct reader){colon + 1, false};
    is = read_sum(&reader);
    if (reader.bad || reader.at != equals + 1)
        fail_msg("[%s] is no expression: %s", row, line);
    said = strtold(equals + 3, NULL);
    unit = unit_of(equals + 3);
    off = said - is;
    if (up ? off < -1e-9L || off >= unit + 1e-9L
           : fabsl(off) > unit / 2 + 0.01L * fabsl(is) * (unit < 1))
        fail_msg("[%s] %.6Lf, not %.6Lf: %s", row, is, said, line);
}

static inline void check_arithmetic(const char *row, const struct advice *advice)
{
    assert_true(advice->n_lines > 0 && advice->n_lines < ADVICE_LINES);
    for (uint32_t i = 0; i < advice->n_lines; i++) {
        assert_true(strlen(advice->lines[i]) < ADVICE_LINE_SIZE - 1); // nothing was cut
        check_line(row, advice->lines[i]);
    }
    assert_true(strlen(advice->text) < ADVICE_TEXT_SIZE - 1);
    assert_true(strlen(advice->title) > 0 &&
                strlen(advice->title) < ADVICE_TITLE_SIZE - 1);
}

/* ---- A host, and what is advised for it ---- */

static inline int set_up(void **state)
{
    (void)state;
    snapshot = calloc(1, sizeof(*snapshot));
    return snapshot ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    free(snapshot);
    return 0;
}

static inline void begin(void)
{
    memset(snapshot, 0, sizeof(*snapshot));
    snapshot->unix_ms = SCENE_START_MS;
    n_seen = n_told = 0;
}

static inline void add(const struct scene_model *m)
{
    scene_model(snapshot, m);
    scene_observe(m, &seen[n_seen++]);
}

static inline void ask(const char *row)
{
    memset(told, 0x5a, sizeof(told));
    n_told = advise(seen, n_seen, snapshot, told, ARRAY_LEN(told));
    for (size_t i = 0; i < n_told; i++)
        check_arithmetic(row, &told[i]);
}

/* The only one of its kind; NULL: there is none. */
static const struct advice *find(enum advice_kind kind)
{
    for (size_t i = 0; i < n_told; i++)
        if (told[i].kind == kind)
            return &told[i];
    return NULL;
}

static inline bool has_line(const struct advice *advice, const char *words)
{
    for (uint32_t i = 0; i < advice->n_lines; i++)
        if (strstr(advice->lines[i], words))
            return true;
    return false;
}

/* A hill of 5243 blocks in the afternoon; for 0.1 % of the time above 3000. */
static inline uint64_t day(uint64_t i, uint64_t n)
{
    if (i >= n / 2 && i <= n / 2 + n / 2000)
        return 5243;
    return 1000 + 2000 * (i % 1000) / 999;
}

static inline uint64_t tight(uint64_t i, uint64_t n)
{
    (void)n;
    return 17000 + i % 1800;
}

static inline uint64_t little(uint64_t i, uint64_t n)
{
    (void)n;
    return i % 50;
}

static const struct scene_model usual = {
    .name = "org/one",
    .port = 8000,
    .engines = 1,
    .gpus = 1,
    .devices = 1,
    .blocks = 20000,
    .block_bytes = 2 * MIB,
    .max_model_len = 32768, // 2048 blocks
    .size_tokens = U,
    .rest = 18 * GIB,
    .utilization = N,
    .load = day,
    .hours = 24,
    .hit_percent = N,
};

static inline void begin_on_one(uint64_t total)
{
    begin();
    scene_device(snapshot, total, U);
}

#endif
