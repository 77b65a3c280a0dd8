// SPDX-License-Identifier: Apache-2.0
#include "encode/metrics_number.h"

#include <math.h>

struct number number_fixed(uint64_t digits, unsigned decimals)
{
    return (struct number){digits != UNKNOWN, false, decimals, digits};
}

struct number number_signed(int64_t digits, unsigned decimals)
{
    struct number number =
        number_fixed(digits < 0 ? -(uint64_t)digits : (uint64_t)digits, decimals);

    number.negative = digits < 0;
    return number;
}

/* Rounded half away from zero. */
struct number number_decimal(double value, unsigned decimals)
{
    double scaled = value * pow(10, decimals);

    if (!(scaled >= 0 && scaled < 1e18)) // nor is NAN
        return NOT_KNOWN;
    return number_fixed((uint64_t)round(scaled), decimals);
}

struct number number_figure(struct figure figure)
{
    return figure.how == FROM_NOWHERE ? NOT_KNOWN : number_fixed(figure.value, 0);
}

void number_write(struct buf *out, struct number number)
{
    uint64_t scale = 1, fraction;

    while (number.decimals && number.digits % 10 == 0) {
        number.digits /= 10;
        number.decimals--;
    }
    for (unsigned i = 0; i < number.decimals; i++)
        scale *= 10;
    fraction = number.digits % scale;
    if (number.negative)
        buf_add_char(out, '-');
    buf_add_u64(out, number.digits / scale);
    if (number.decimals)
        buf_add_char(out, '.');
    while (scale > 1) {
        scale /= 10;
        buf_add_char(out, (char)('0' + fraction / scale));
        fraction %= scale;
    }
}
