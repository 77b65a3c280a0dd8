// SPDX-License-Identifier: Apache-2.0
#include "base/number.h"

#include <locale.h>
#include <math.h>
#include <strings.h>

enum {
    TEXT_MAX = 64,
    DIGITS_MAX = 19,      // any 19 digits fit into 64 bits
    EXPONENT_MAX = 19,    // 10^19 is the largest power of ten that does
    EXPONENT_CLAMP = 9999 // beyond it nothing is finite or different from 0
};

/* value = mantissa * 10^exponent, exact unless `digits` is past DIGITS_MAX. */
struct decimal {
    bool negative;
    uint64_t mantissa;
    int digits; // significant ones, leading zeros not counted
    int exponent;
};

static const uint64_t powers_of_ten[EXPONENT_MAX + 1] = {
    1U,
    10U,
    100U,
    1000U,
    10000U,
    100000U,
    1000000U,
    10000000U,
    100000000U,
    1000000000U,
    10000000000U,
    100000000000U,
    1000000000000U,
    10000000000000U,
    100000000000000U,
    1000000000000000U,
    10000000000000000U,
    100000000000000000U,
    1000000000000000000U,
    10000000000000000000U,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void take_digit(struct decimal *d, char c)
{
    if (d->digits == 0 && c == '0')
        return;
    if (++d->digits <= DIGITS_MAX)
        d->mantissa = d->mantissa * 10 + (uint64_t)(c - '0');
}

/* Returns how many digits there were. */
static size_t take_digits(struct span *text, struct decimal *d)
{
    size_t n = 0;

    for (; n < text->len && is_digit(text->at[n]); n++)
        take_digit(d, text->at[n]);
    text->at += n;
    text->len -= n;
    return n;
}

static bool take_sign(struct span *text, bool *negative)
{
    if (text->len == 0 || (*text->at != '+' && *text->at != '-'))
        return false;
    *negative = *text->at == '-';
    text->at++;
    text->len--;
    return true;
}

static int take_exponent(struct span *text, struct decimal *d)
{
    bool negative = false;
    int exponent = 0;

    if (text->len == 0 || (*text->at != 'e' && *text->at != 'E'))
        return 0;
    text->at++;
    text->len--;
    (void)take_sign(text, &negative);
    if (text->len == 0)
        return -EINVAL;

    for (; text->len && is_digit(*text->at); text->at++, text->len--)
        exponent = MIN(exponent * 10 + (*text->at - '0'), EXPONENT_CLAMP);
    d->exponent += negative ? -exponent : exponent;
    return 0;
}

static int parse(struct span text, struct decimal *d)
{
    size_t fraction = 0;
    int r;

    *d = (struct decimal){0};
    (void)take_sign(&text, &d->negative);
    if (take_digits(&text, d) == 0)
        return -EINVAL;
    if (text.len && *text.at == '.') {
        text.at++;
        text.len--;
        fraction = take_digits(&text, d);
        if (fraction == 0)
            return -EINVAL;
    }

    d->exponent = -(int)fraction;
    r = take_exponent(&text, d);
    if (r < 0)
        return r;
    return text.len ? -EINVAL : 0;
}

/* Correctly rounded a / b: 64 significant quotient bits, the remainder made sticky. */
static double divide(uint64_t a, uint64_t b)
{
    int shift = 64 + __builtin_clzll(a) - __builtin_clzll(b) - 1;
    unsigned __int128 numerator = (unsigned __int128)a << MAX(shift, 0);
    unsigned __int128 quotient = numerator / b;

    quotient = quotient << 1 | (numerator % b != 0);
    return ldexp((double)quotient, -MAX(shift, 0) - 1);
}

/* What does not fit into 128 bits goes to the C library, whose grammar is wider than ours:
 * only text that parse() has accepted comes here, and the locale is always "C". */
static int convert_slowly(struct span text, double *ret)
{
    char copy[TEXT_MAX + 1];
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); // glibc's static one
    double value;

    if (!c_locale)
        return -ENOMEM;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    value = strtod_l(copy, NULL, c_locale);
    freelocale(c_locale);
    if (!isfinite(value))
        return -ERANGE;
    *ret = value;
    return 0;
}

static bool is_not_finite(struct span text)
{
    static const char *const names[] = {"nan", "inf", "+inf", "-inf"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (text.len == strlen(names[i]) && strncasecmp(text.at, names[i], text.len) == 0)
            return true;
    return false;
}

int number_read(struct span text, double *ret)
{
    struct decimal d;
    double value;
    int r;

    if (text.len == 0 || text.len > TEXT_MAX)
        return -EINVAL;
    r = parse(text, &d);
    if (r < 0)
        return is_not_finite(text) ? -EDOM : r;

    if (d.digits == 0) {
        value = 0;
    } else if (d.digits <= DIGITS_MAX && d.exponent >= 0 && d.exponent <= EXPONENT_MAX) {
        value = (double)((unsigned __int128)d.mantissa * powers_of_ten[d.exponent]);
    } else if (d.digits <= DIGITS_MAX && d.exponent < 0 && d.exponent >= -EXPONENT_MAX) {
        value = divide(d.mantissa, powers_of_ten[-d.exponent]);
    } else {
        return convert_slowly(text, ret);
    }
    *ret = d.negative ? -value : value;
    return 0;
}

int number_read_u64(struct span text, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    bool too_large = false;

    if (text.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.at[i]))
            return -EINVAL;
        too_large |= __builtin_mul_overflow(value, 10U, &value);
        too_large |= __builtin_add_overflow(value, (uint64_t)(text.at[i] - '0'), &value);
    }
    if (too_large || value > max)
        return -ERANGE;
    *ret = value;
    return 0;
}
