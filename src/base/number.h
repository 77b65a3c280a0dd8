// SPDX-License-Identifier: Apache-2.0
/*
 * number.h - read numbers that strangers wrote
 *
 * The grammar is exact and the same in every locale: no leading blanks, no hexadecimal,
 * no digit separators, the whole span or nothing.
 */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include "base/base.h"

/*
 * A decimal number: [+-] digits [. digits] [e [+-] digits], rounded correctly to double.
 * -EDOM: NaN or an infinity, spelled as Prometheus does (NaN, Inf, +Inf, -Inf; any case).
 * -ERANGE: too large for a double. -EINVAL: anything else, or longer than 64 bytes.
 */
int number_read(struct span text, double *ret) MUST_CHECK;

/* Digits only. -EINVAL: not that; -ERANGE: more than `max`. */
int number_read_u64(struct span text, uint64_t max, uint64_t *ret) MUST_CHECK;

#endif
