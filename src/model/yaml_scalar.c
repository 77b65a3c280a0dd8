// SPDX-License-Identifier: Apache-2.0
#include "model/yaml_scalar.h"

#include "base/buf.h"
#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>

#define INTEGER_MAX ((uint64_t)INT64_MAX)

// clang-format off
static const struct {
    const char *word;
    enum yaml_scalar_kind kind;
} words[] = {
    {"", YAML_NULL},      {"~", YAML_NULL},      {"null", YAML_NULL},  {"Null", YAML_NULL},
    {"NULL", YAML_NULL},  {"true", YAML_TRUE},   {"True", YAML_TRUE},  {"TRUE", YAML_TRUE},
    {"yes", YAML_TRUE},   {"Yes", YAML_TRUE},    {"YES", YAML_TRUE},   {"on", YAML_TRUE},
    {"On", YAML_TRUE},    {"ON", YAML_TRUE},     {"false", YAML_FALSE}, {"False", YAML_FALSE},
    {"FALSE", YAML_FALSE}, {"no", YAML_FALSE},   {"No", YAML_FALSE},   {"NO", YAML_FALSE},
    {"off", YAML_FALSE},  {"Off", YAML_FALSE},   {"OFF", YAML_FALSE},  {"<<", YAML_ODD},
    {"=", YAML_ODD},      {".nan", YAML_ODD},    {".NaN", YAML_ODD},   {".NAN", YAML_ODD},
};
// clang-format on

static const char *const infinities[] = {".inf", ".Inf", ".INF"};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct span skip(struct span text, size_t n)
{
    return (struct span){text.at + n, text.len - n};
}

static bool all_of(struct span text, const char *set)
{
    for (size_t i = 0; i < text.len; i++)
        if (!text.at[i] || !strchr(set, text.at[i]))
            return false;
    return text.len > 0;
}

/* How many bytes digits and underscores are, the first a digit. */
static size_t count_digits(struct span text)
{
    size_t n = 0;

    while (n < text.len && (is_digit(text.at[n]) || (n && text.at[n] == '_')))
        n++;
    return n;
}

/* 1:30 and 0:30.5 are numbers in base 60; 0:30 is text. */
static bool is_base_60(struct span text, size_t whole)
{
    bool from_0 = whole && *text.at == '0';

    text = skip(text, whole);
    if (whole == 0 || text.len == 0 || *text.at != ':')
        return false;
    while (text.len > 1 && *text.at == ':' && is_digit(text.at[1])) {
        size_t two = text.len > 2 && is_digit(text.at[2]);

        if (two && text.at[1] > '5')
            return false;
        text = skip(text, 2 + two);
    }
    if (text.len == 0)
        return !from_0;
    return *text.at == '.' && (text.len == 1 || all_of(skip(text, 1), "0123456789_"));
}

struct number {
    bool negative;
    unsigned base;      // of an integer
    struct span digits; // of an integer, or of a fraction before its dot
    struct span part;   // of a fraction, behind its dot
    struct span exponent;
};

/* 0b11, 010, 0x1F, 12; what none of these is may yet be a fraction. */
static bool is_integer(struct span text, struct number *ret)
{
    static const struct {
        const char *prefix;
        unsigned base;
        const char *digits;
    } forms[] = {
        {"0b", 2, "01_"},
        {"0x", 16, "0123456789abcdefABCDEF_"},
        {"0", 8, "01234567_"},
    };

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        size_t len = strlen(forms[i].prefix);

        if (text.len <= len || memcmp(text.at, forms[i].prefix, len) != 0 ||
            !all_of(skip(text, len), forms[i].digits))
            continue;
        ret->base = forms[i].base;
        ret->digits = skip(text, len);
        return true;
    }
    ret->base = 10;
    ret->digits = text;
    return span_is(text, "0") ||
           (text.len && *text.at != '0' && count_digits(text) == text.len);
}

/* e+10, always with its sign. */
static bool is_exponent(struct span text)
{
    return text.len > 2 && (*text.at == 'e' || *text.at == 'E') &&
           (text.at[1] == '+' || text.at[1] == '-') &&
           all_of(skip(text, 2), "0123456789");
}

/* 1.5, 1., .5, each with or without an exponent; a sign only before a digit. */
static bool is_fraction(struct span text, bool is_signed, struct number *ret)
{
    size_t whole = count_digits(text), part = 0;
    struct span rest = skip(text, whole);

    if (rest.len == 0 || *rest.at != '.' || (is_signed && whole == 0))
        return false;
    rest = skip(rest, 1);
    if (whole == 0 && (rest.len == 0 || !is_digit(*rest.at)))
        return false;
    while (part < rest.len && (is_digit(rest.at[part]) || rest.at[part] == '_'))
        part++;
    ret->digits = (struct span){text.at, whole};
    ret->part = (struct span){rest.at, part};
    ret->exponent = skip(rest, part);
    return ret->exponent.len == 0 || is_exponent(ret->exponent);
}

static unsigned value_of(char c)
{
    return is_digit(c) ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

static bool write_integer(const struct number *number, char *ret)
{
    uint64_t value = 0;
    bool any = false;

    for (size_t i = 0; i < number->digits.len; i++) {
        uint64_t digit;

        if (number->digits.at[i] == '_')
            continue;
        any = true;
        digit = value_of(number->digits.at[i]);
        if (value > (INTEGER_MAX - digit) / number->base)
            return false;
        value = value * number->base + digit;
    }
    (void)snprintf(ret, YAML_NUMBER_MAX, "%s%" PRIu64,
                   number->negative && value ? "-" : "", value);
    return any || number->base == 8; // 0_ is 0
}

/* Without underscores. */
static void add_digits(struct buf *buf, struct span digits)
{
    for (size_t i = 0; i < digits.len; i++)
        if (digits.at[i] != '_')
            buf_add_char(buf, digits.at[i]);
}

/*
 * As Python prints it again: 0.9 for 0.90, 0.5 for .5, 5.0 for 5. - but for the form of
 * exponents and of more digits than a double has, where the value is the same.
 */
static bool write_fraction(struct number *number, char *ret)
{
    struct span *whole = &number->digits, *part = &number->part;
    struct buf buf = {
        .data = ret, .room = YAML_NUMBER_MAX - 1, .max = YAML_NUMBER_MAX - 1};
    double value; // `buf` never grows: its room is its ceiling

    while (whole->len && (*whole->at == '0' || *whole->at == '_'))
        *whole = skip(*whole, 1);
    while (part->len && strchr("0_", part->at[part->len - 1]))
        part->len--;
    if (number->negative)
        buf_add_char(&buf, '-');
    add_digits(&buf, whole->len ? *whole : span_of("0"));
    buf_add_char(&buf, '.');
    add_digits(&buf, part->len ? *part : span_of("0"));
    add_digits(&buf, number->exponent);
    ret[buf.len] = '\0';
    return buf.error == 0 && number_read(buf_span(&buf), &value) == 0;
}

static void read_number(struct span text, struct yaml_scalar *ret)
{
    bool is_signed = text.len > 0 && (*text.at == '-' || *text.at == '+');
    struct number number = {.negative = is_signed && *text.at == '-'};
    bool known;

    if (is_signed)
        text = skip(text, 1);
    for (size_t i = 0; i < ARRAY_LEN(infinities); i++)
        if (span_is(text, infinities[i])) {
            ret->kind = YAML_ODD;
            return;
        }
    if (is_base_60(text, count_digits(text)))
        known = false;
    else if (is_integer(text, &number))
        known = write_integer(&number, ret->number);
    else if (is_fraction(text, is_signed, &number))
        known = write_fraction(&number, ret->number);
    else
        return;
    ret->kind = known ? YAML_NUMBER : YAML_ODD;
}

void yaml_scalar_read(struct span text, struct yaml_scalar *ret)
{
    *ret = (struct yaml_scalar){.kind = YAML_TEXT};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span_is(text, words[i].word)) {
            ret->kind = words[i].kind;
            return;
        }
    read_number(text, ret);
}
