// SPDX-License-Identifier: Apache-2.0
/*
 * parameters.h - what a query asks for: ?window=5&limit=20
 *
 * Names and values are taken as they stand. A parameter that is asked for may be there once;
 * those that nobody asks for are passed over.
 */
#ifndef SERVE_PARAMETERS_H
#define SERVE_PARAMETERS_H

#include "base/base.h"

/* 1: its value, which may be empty, is in `ret`; 0: there is none. -EINVAL: twice, or no '='. */
int parameter_find(struct span query, const char *name, struct span *ret) MUST_CHECK;

/*
 * A whole number from `min` to `max`; without the parameter `*ret` stays as it is. -EINVAL:
 * it is none, out of that range, or not alone.
 */
int parameter_read_u64(struct span query, const char *name, uint64_t min, uint64_t max,
                       uint64_t *ret) MUST_CHECK;

#endif
