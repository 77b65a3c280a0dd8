// SPDX-License-Identifier: Apache-2.0
/*
 * figure_text.c - numbers in words of few and fixed shapes
 *
 * Integers are rounded half up in integers, so that no figure hangs on how a double is
 * printed. What is more than nothing is never written as 0, and what is less than all of
 * it never as 100 %.
 */
#include "tui/draw_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)

typedef void bytes_fn(char ret[FIGURE_TEXT_SIZE], int64_t bytes);

static void write_tenths(char ret[FIGURE_TEXT_SIZE], const char *sign, uint64_t size,
                         const char *unit)
{
    uint64_t tenths = size / GIB * 10 + (size % GIB * 10 + GIB / 2) / GIB;

    snprintf(ret, FIGURE_TEXT_SIZE, "%s%" PRIu64 ".%u%s", sign, tenths / 10,
             (unsigned)(tenths % 10), unit);
}

/* 0.1 GiB is no whole number of bytes: the first that is not below it counts as GiB. */
void bytes_text(char ret[FIGURE_TEXT_SIZE], int64_t bytes)
{
    const char *sign = bytes < 0 ? "-" : "";
    uint64_t size = bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;

    if (bytes == VRAMSCOPE_UNKNOWN)
        snprintf(ret, FIGURE_TEXT_SIZE, "--");
    else if (size == 0)
        snprintf(ret, FIGURE_TEXT_SIZE, "0 B");
    else if (size < MIB)
        snprintf(ret, FIGURE_TEXT_SIZE, "%s<1 MiB", sign);
    else if (size < GIB / 10 + 1)
        snprintf(ret, FIGURE_TEXT_SIZE, "%s%" PRIu64 " MiB", sign,
                 (size + MIB / 2) / MIB);
    else
        write_tenths(ret, sign, size, " GiB");
}

/* All in one unit, which the heading tells: what lies in a column can be compared. */
void bytes_short(char ret[FIGURE_TEXT_SIZE], int64_t bytes)
{
    const char *sign = bytes < 0 ? "-" : "";
    uint64_t size = bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
    uint64_t hundredths = size < GIB ? (size * 100 + GIB / 2) / GIB : 100;

    if (bytes == VRAMSCOPE_UNKNOWN)
        snprintf(ret, FIGURE_TEXT_SIZE, "--");
    else if (size == 0)
        snprintf(ret, FIGURE_TEXT_SIZE, "0");
    else if (hundredths == 0)
        snprintf(ret, FIGURE_TEXT_SIZE, "%s<0.01", sign);
    else if (hundredths < 10)
        snprintf(ret, FIGURE_TEXT_SIZE, "%s0.0%u", sign, (unsigned)hundredths);
    else
        write_tenths(ret, sign, size, "");
}

static void write_figure(char ret[FIGURE_TEXT_SIZE],
                         const struct vramscope_figure *figure, bytes_fn *write)
{
    bool worked_out = figure->from == VRAMSCOPE_FROM_DERIVED ||
                      figure->from == VRAMSCOPE_FROM_ESTIMATED;

    write(ret,
          figure->from == VRAMSCOPE_FROM_UNKNOWN ? VRAMSCOPE_UNKNOWN : figure->value);
    if (!worked_out || figure->value == VRAMSCOPE_UNKNOWN)
        return;
    memmove(ret + 1, ret, MIN(strlen(ret), (size_t)FIGURE_TEXT_SIZE - 2) + 1);
    ret[0] = '~';
}

void figure_text(char ret[FIGURE_TEXT_SIZE], const struct vramscope_figure *figure)
{
    write_figure(ret, figure, bytes_text);
}

void figure_short(char ret[FIGURE_TEXT_SIZE], const struct vramscope_figure *figure)
{
    write_figure(ret, figure, bytes_short);
}

void unit_once(char first[FIGURE_TEXT_SIZE], const char *second)
{
    static const char *const units[] = {" GiB", " MiB"};
    size_t len = strlen(first), second_len = strlen(second);

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        size_t unit = strlen(units[i]);

        if (len > unit && second_len > unit && first[0] != '<' &&
            strcmp(first + len - unit, units[i]) == 0 &&
            strcmp(second + second_len - unit, units[i]) == 0) {
            first[len - unit] = '\0';
            return;
        }
    }
}

/* 7,214; from a thousand million million on, two digits and a power. */
void count_text(char ret[FIGURE_TEXT_SIZE], int64_t count)
{
    uint64_t rest = count < 0 ? -(uint64_t)count : (uint64_t)count;
    char digits[FIGURE_TEXT_SIZE];
    size_t at = sizeof(digits) - 1;

    if (count == VRAMSCOPE_UNKNOWN) {
        snprintf(ret, FIGURE_TEXT_SIZE, "--");
        return;
    }
    if (rest >= UINT64_C(1000000000000000)) {
        snprintf(ret, FIGURE_TEXT_SIZE, "%.1e", (double)count);
        return;
    }
    digits[at] = '\0';
    for (unsigned n = 0; n == 0 || rest; n++, rest /= 10) {
        if (n && n % 3 == 0)
            digits[--at] = ',';
        digits[--at] = (char)('0' + rest % 10);
    }
    snprintf(ret, FIGURE_TEXT_SIZE, "%s%s", count < 0 ? "-" : "", digits + at);
}

void percent_text(char ret[FIGURE_TEXT_SIZE], double percent)
{
    if (!isfinite(percent))
        snprintf(ret, FIGURE_TEXT_SIZE, "--");
    else if (percent > 0 && percent < 0.05)
        snprintf(ret, FIGURE_TEXT_SIZE, "<0.1%%");
    else if (percent >= 100)
        snprintf(ret, FIGURE_TEXT_SIZE, percent < 100.5 ? "100%%" : ">100%%");
    else if (percent > 99.9)
        snprintf(ret, FIGURE_TEXT_SIZE, "99.9%%");
    else
        snprintf(ret, FIGURE_TEXT_SIZE, "%.1f%%", fmax(percent, -999.9));
}

/* Of tables: whole percents, cut, so that 85% is never said of what is below it. */
void percent_short(char ret[FIGURE_TEXT_SIZE], double percent)
{
    if (!isfinite(percent))
        snprintf(ret, FIGURE_TEXT_SIZE, "--");
    else if (percent > 0 && percent < 1)
        snprintf(ret, FIGURE_TEXT_SIZE, "<1%%");
    else
        snprintf(ret, FIGURE_TEXT_SIZE, "%d%%", (int)fmin(fmax(percent, -999), 999));
}

/* Ages are cut, not rounded: what says 2m has lasted two minutes. */
void age_text(char ret[FIGURE_TEXT_SIZE], int64_t age_ms)
{
    int64_t seconds = age_ms / 1000;

    if (age_ms == VRAMSCOPE_UNKNOWN)
        snprintf(ret, FIGURE_TEXT_SIZE, "--");
    else if (age_ms < 0)
        snprintf(ret, FIGURE_TEXT_SIZE, "0.0s");
    else if (seconds < 10)
        snprintf(ret, FIGURE_TEXT_SIZE, "%d.%ds", (int)seconds, (int)(age_ms / 100 % 10));
    else if (seconds < 100)
        snprintf(ret, FIGURE_TEXT_SIZE, "%ds", (int)seconds);
    else if (seconds < 100 * 60)
        snprintf(ret, FIGURE_TEXT_SIZE, "%dm", (int)(seconds / 60));
    else if (seconds < 48 * 3600)
        snprintf(ret, FIGURE_TEXT_SIZE, "%dh", (int)(seconds / 3600));
    else
        snprintf(ret, FIGURE_TEXT_SIZE, "%" PRId64 "d", seconds / 86400);
}
