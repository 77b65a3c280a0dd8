// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_number.h - numbers of the page of /metrics, exact to the last digit written
 *
 * The same bytes on every machine: no locale, no shortest-float library.
 */
#ifndef ENCODE_METRICS_NUMBER_H
#define ENCODE_METRICS_NUMBER_H

#include "base/buf.h"
#include "snapshot/figure.h"

/* In decimal digits, the last `decimals` of them behind the point. */
struct number {
    bool known;
    bool negative;
    unsigned decimals;
    uint64_t digits;
};

#define NOT_KNOWN ((struct number){.known = false})

/* UNKNOWN is not known. */
struct number number_fixed(uint64_t digits, unsigned decimals);
struct number number_decimal(double value, unsigned decimals); // nor is what is below 0
struct number number_signed(int64_t digits, unsigned decimals);
struct number number_figure(struct figure figure);

/* Without the zeros that say nothing. */
void number_write(struct buf *out, struct number number);

#endif
