// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_float.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

enum {
    DIGITS_SURE = 15, // any decimal this short survives a round trip
    DIGITS_MAX = 17,  // this many tell any two doubles apart
    TEXT_MAX = 32,
    POINT_MIN = -3,         // repr() goes to an exponent below 0.0001,
    POINT_MAX_POSITIVE = 6, // Go from 1e+06 on,
    POINT_MAX_NEGATIVE = 16 // repr() from 1e+16 on, which is left for negative numbers
};

/* value = 0.DIGITS * 10^point, not negative, without trailing zeros. */
struct decimal {
    char digits[DIGITS_MAX + 1];
    size_t n;
    int point;
};

static bool reads_back(const struct decimal *d, double value)
{
    char text[TEXT_MAX];

    (void)snprintf(text, sizeof(text), "0.%se%d", d->digits, d->point);
    return strtod(text, NULL) == value;
}

static void round_to(double value, int n, struct decimal *d)
{
    char text[TEXT_MAX];

    (void)snprintf(text, sizeof(text), "%.*e", n - 1, value);
    d->digits[0] = text[0];
    if (n > 1)
        memcpy(d->digits + 1, text + 2, (size_t)n - 1);
    d->digits[n] = '\0';
    d->n = (size_t)n;
    d->point = 1 + (int)strtol(strchr(text, 'e') + 1, NULL, 10);
}

static bool increment(struct decimal *d)
{
    for (size_t i = d->n; i > 0; i--) {
        if (d->digits[i - 1] != '9') {
            d->digits[i - 1]++;
            return true;
        }
        d->digits[i - 1] = '0';
    }
    return false;
}

/*
 * The nearest decimal of n digits. Below a power of two the doubles lie twice as dense as
 * above, so there the next decimal above may read back where the nearest does not.
 */
static bool find(double value, int n, struct decimal *d)
{
    int exponent;

    round_to(value, n, d);
    if (reads_back(d, value))
        return true;
    return frexp(value, &exponent) == 0.5 && increment(d) && reads_back(d, value);
}

static void shortest(double value, struct decimal *d)
{
    int n = value < DBL_MIN ? 1 : DIGITS_SURE; // subnormals have fewer digits to keep

    while (!find(value, n, d) && n < DIGITS_MAX)
        n++;
    while (d->n > 1 && d->digits[d->n - 1] == '0')
        d->n--;
}

static void write_zeros(struct buf *out, int n)
{
    for (; n > 0; n--)
        buf_add_char(out, '0');
}

static void write_exponent(struct buf *out, const struct decimal *d)
{
    int exponent = d->point - 1;

    buf_add_char(out, d->digits[0]);
    if (d->n > 1) {
        buf_add_char(out, '.');
        buf_add(out, d->digits + 1, d->n - 1);
    }
    buf_printf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

static void write_plain(struct buf *out, const struct decimal *d)
{
    size_t whole = d->point > 0 ? MIN((size_t)d->point, d->n) : 0;

    buf_add(out, d->digits, whole);
    write_zeros(out, d->point > 0 ? d->point - (int)whole : 1);
    buf_add_char(out, '.');
    write_zeros(out, -d->point);
    buf_add(out, d->digits + whole, d->n - whole);
    if (whole == d->n)
        buf_add_char(out, '0');
}

static void write_finite(struct buf *out, double value, int point_max)
{
    struct decimal d;

    shortest(value, &d);
    if (d.point < POINT_MIN || d.point > point_max)
        write_exponent(out, &d);
    else
        write_plain(out, &d);
}

void sim_float_write(struct buf *out, double value)
{
    if (isnan(value)) {
        buf_add_str(out, "NaN");
        return;
    }
    if (isinf(value)) {
        buf_add_str(out, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    if (signbit(value))
        buf_add_char(out, '-');

    if (fabs(value) < 1e6 && trunc(value) == value) { // nearly every sample of a page
        buf_add_u64(out, (uint64_t)fabs(value));
        buf_add_str(out, ".0");
    } else {
        write_finite(out, fabs(value),
                     value > 0 ? POINT_MAX_POSITIVE : POINT_MAX_NEGATIVE);
    }
}
