// SPDX-License-Identifier: Apache-2.0
#include "history/history_query.h"

#include "base/number.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

enum {
    VALUE_MAX = ENGINE_NAME_MAX, // bytes, decoded
    DEFAULT_POINTS = 600,
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    HOUR_MS = 60 * MINUTE_MS,
    DAY_MS = 24 * HOUR_MS,
};

#define TIME_MAX_MS INT64_C(253402300799999) // the end of the year 9999
#define STEP_MAX_MS (INT64_C(366) * DAY_MS)

/*
 * What a step is rounded up to. From ten seconds on all are multiples of a slot: any other
 * would be read from rows at full rate, twenty times as many, and further back, where there
 * are slots alone, now one of them and now two would be in a step.
 */
static const int64_t round_steps[] = {
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    SECOND_MS,
    2000,
    5000,
    10000,
    20000,
    30000,
    MINUTE_MS,
    2 * MINUTE_MS,
    5 * MINUTE_MS,
    10 * MINUTE_MS,
    15 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    2 * HOUR_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    DAY_MS,
};

static const struct {
    const char *name;
    int64_t ms;
} units[] = {
    {"ms", 1}, {"s", SECOND_MS}, {"m", MINUTE_MS}, {"h", HOUR_MS}, {"d", DAY_MS}};

struct value {
    char text[VALUE_MAX + 1];
    size_t len;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* %XX and '+' undone. -EINVAL: no such escape, a NUL, or too long. */
static int decode(struct span given, struct value *ret)
{
    ret->len = 0;
    for (size_t i = 0; i < given.len; i++) {
        char c = given.at[i] == '+' ? ' ' : given.at[i];

        if (c == '%') {
            int high = i + 2 < given.len ? hex_digit(given.at[i + 1]) : -1;
            int low = i + 2 < given.len ? hex_digit(given.at[i + 2]) : -1;

            if (high < 0 || low < 0)
                return -EINVAL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0' || ret->len == VALUE_MAX)
            return -EINVAL;
        ret->text[ret->len++] = c;
    }
    ret->text[ret->len] = '\0';
    return 0;
}

/* Digits and one '.': no sign, no exponent. */
static int read_decimal(struct span text, double *ret)
{
    for (size_t i = 0; i < text.len; i++)
        if (!(text.at[i] >= '0' && text.at[i] <= '9') && text.at[i] != '.')
            return -EINVAL;
    return number_read(text, ret);
}

/* "500ms", "1.5h"; a number alone is of seconds. */
static int read_duration(struct span text, int64_t max_ms, int64_t *ret_ms)
{
    int64_t unit_ms = SECOND_MS;
    size_t digits = 0;
    double number, ms;

    while (digits < text.len && !(text.at[digits] >= 'a' && text.at[digits] <= 'z'))
        digits++;
    if (digits < text.len) {
        struct span unit = {text.at + digits, text.len - digits};

        unit_ms = 0;
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
            if (span_is(unit, units[i].name))
                unit_ms = units[i].ms;
        if (!unit_ms)
            return -EINVAL;
    }
    if (read_decimal((struct span){text.at, digits}, &number) < 0)
        return -EINVAL;
    ms = round(number * (double)unit_ms);
    if (ms > (double)max_ms || (ms < 1 && number > 0))
        return -ERANGE;
    *ret_ms = (int64_t)ms;
    return 0;
}

/* Two digits, or four, at a fixed place. */
static int64_t digits_at(const char *text, size_t at, size_t n)
{
    int64_t value = 0;

    for (size_t i = at; i < at + n; i++)
        value = value * 10 + (text[i] - '0');
    return value;
}

/* "2026-01-31T12:00:00.250Z" by its form: 'd' is a digit. */
static bool has_form(struct span text, const char *form)
{
    size_t len = strlen(form);

    if (text.len < len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (form[i] == 'd' ? !(text.at[i] >= '0' && text.at[i] <= '9')
                           : text.at[i] != form[i])
            return false;
    return true;
}

static int read_rfc3339(struct span text, int64_t *ret_ms)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    struct span rest = {text.at + strlen(form), text.len - strlen(form)};
    struct tm tm = {0}, same;
    double fraction = 0;
    time_t seconds;

    tm.tm_year = (int)digits_at(text.at, 0, 4) - 1900;
    tm.tm_mon = (int)digits_at(text.at, 5, 2) - 1;
    tm.tm_mday = (int)digits_at(text.at, 8, 2);
    tm.tm_hour = (int)digits_at(text.at, 11, 2);
    tm.tm_min = (int)digits_at(text.at, 14, 2);
    tm.tm_sec = (int)digits_at(text.at, 17, 2);
    if (rest.len < 1 || rest.at[rest.len - 1] != 'Z')
        return -EINVAL;
    rest.len--;
    if (rest.len && (rest.len < 2 || rest.at[0] != '.'))
        return -EINVAL;
    if (rest.len) {
        if (memchr(rest.at + 1, '.', rest.len - 1) ||
            read_decimal((struct span){rest.at - 1, rest.len + 1}, &fraction) < 0)
            return -EINVAL;
        fraction -= floor(fraction); // the last digit of the seconds was read with it
    }
    same = tm;
    seconds = timegm(&same);
    if (same.tm_mday != tm.tm_mday || same.tm_mon != tm.tm_mon ||
        same.tm_hour != tm.tm_hour || same.tm_min != tm.tm_min ||
        same.tm_sec != tm.tm_sec || seconds < 0)
        return -EINVAL; // there is no such day or time
    *ret_ms = (int64_t)seconds * SECOND_MS + (int64_t)round(fraction * SECOND_MS);
    return 0;
}

static int read_time(struct span text, int64_t now_ms, int64_t *ret_ms)
{
    int64_t ms;
    double seconds;
    int r;

    if (text.len > 1 && text.at[0] == '-') {
        r = read_duration((struct span){text.at + 1, text.len - 1}, TIME_MAX_MS, &ms);
        if (r < 0 || ms > now_ms)
            return -EINVAL;
        *ret_ms = now_ms - ms;
        return 0;
    }
    if (has_form(text, "dddd-dd-ddTdd:dd:dd"))
        return read_rfc3339(text, ret_ms);
    if (read_decimal(text, &seconds) < 0 || seconds * SECOND_MS > (double)TIME_MAX_MS)
        return -EINVAL;
    *ret_ms = (int64_t)round(seconds * SECOND_MS);
    return 0;
}

static int read_times(const struct history_parameters *given, int64_t now_ms,
                      struct history_span *span, struct complaint *why)
{
    static const char form[] = "unix seconds, RFC 3339 in UTC (2026-01-31T12:00:00Z), or "
                               "before now: -6h, -30m, -90s, -2d";
    struct value value;

    span->to_ms = now_ms;
    if (given->to.at &&
        (decode(given->to, &value) < 0 ||
         read_time((struct span){value.text, value.len}, now_ms, &span->to_ms) < 0))
        return complain(why, -EINVAL, "\"to\" is a time: %s", form);
    span->from_ms = MAX(span->to_ms - HOUR_MS, INT64_C(0));
    if (given->from.at &&
        (decode(given->from, &value) < 0 ||
         read_time((struct span){value.text, value.len}, now_ms, &span->from_ms) < 0))
        return complain(why, -EINVAL, "\"from\" is a time: %s", form);
    if (span->from_ms >= span->to_ms)
        return complain(why, -EINVAL, "\"from\" must be before \"to\"");
    return 0;
}

/* A round number that is not less. */
static int64_t round_up(int64_t step_ms)
{
    for (size_t i = 0; i < ARRAY_LEN(round_steps); i++)
        if (round_steps[i] >= step_ms)
            return round_steps[i];
    return (step_ms + DAY_MS - 1) / DAY_MS * DAY_MS;
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static void print_step(int64_t step_ms, char *ret, size_t room)
{
    size_t i = ARRAY_LEN(units) - 1;

    while (step_ms % units[i].ms)
        i--;
    (void)snprintf(ret, room, "%lld%s", (long long)(step_ms / units[i].ms),
                   units[i].name);
}

static int read_step(const struct history_parameters *given, uint64_t interval_ms,
                     struct history_span *span, struct complaint *why)
{
    int64_t length_ms = span->to_ms - span->from_ms, each_ms;
    struct value value;
    char enough[32];

    span->step_ms = round_up(divide_up(length_ms, DEFAULT_POINTS));
    if (given->step.at && (decode(given->step, &value) < 0 ||
                           read_duration((struct span){value.text, value.len},
                                         STEP_MAX_MS, &span->step_ms) < 0))
        return complain(why, -EINVAL,
                        "\"step\" is 500ms, 10s, 5m, 1h, a number of seconds, or 0 for "
                        "every sample; at most 366d");
    each_ms = span->step_ms ? span->step_ms : MAX((int64_t)interval_ms, INT64_C(1));
    if (divide_up(length_ms, each_ms) <= HISTORY_POINTS_MAX)
        return 0;
    print_step(round_up(divide_up(length_ms, HISTORY_POINTS_MAX)), enough,
               sizeof(enough));
    return complain(why, -EINVAL,
                    "\"step\" would give more than %d points a series: step=%s would do",
                    HISTORY_POINTS_MAX, enough);
}

static int read_format(const struct history_parameters *given, enum history_format *ret,
                       struct complaint *why)
{
    *ret = given->accepts_csv ? HISTORY_CSV : HISTORY_JSON;
    if (!given->format.at)
        return 0;
    if (!span_is(given->format, "csv") && !span_is(given->format, "json"))
        return complain(why, -EINVAL, "\"format\" is json or csv");
    *ret = span_is(given->format, "csv") ? HISTORY_CSV : HISTORY_JSON;
    return 0;
}

/* As names are kept: cleaned. */
static int read_model(const struct history_parameters *given, struct history_span *span,
                      struct complaint *why)
{
    struct value value;

    if (given->model.at && (decode(given->model, &value) < 0 || value.len == 0))
        return complain(why, -EINVAL,
                        "\"model\" is a served name or a model_id, with %%XX for what a "
                        "URL does not take");
    if (given->model.at)
        (void)text_clean(span->model, sizeof(span->model),
                         (struct span){value.text, value.len});
    return 0;
}

int history_query_read(const struct history_parameters *given, int64_t now_ms,
                       uint64_t interval_ms, struct history_query *ret,
                       struct complaint *why)
{
    struct history_query query = {.format = HISTORY_JSON};
    int r = read_times(given, now_ms, &query.span, why);

    if (r == 0)
        r = read_step(given, interval_ms, &query.span, why);
    if (r == 0)
        r = read_model(given, &query.span, why);
    if (r == 0)
        r = read_format(given, &query.format, why);
    if (r == 0)
        *ret = query;
    return r;
}
