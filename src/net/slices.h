// SPDX-License-Identifier: Apache-2.0
/*
 * slices.h - long work, a little at a time
 *
 * Between two slices the loop sees to whatever else is due: timers, requests, answers.
 */
#ifndef NET_SLICES_H
#define NET_SLICES_H

#include "base/base.h"

#include <uv.h>

/* Do a little. True: there is more to do. */
typedef bool slice_fn(void *ctx);

struct slices;

int slices_new(uv_loop_t *loop, slice_fn *work, void *ctx,
               struct slices **ret) MUST_CHECK;
void slices_free(struct slices *slices); // takes NULL; the loop must turn once more

/* Call work() in each turn of the loop until it has no more to do. */
void slices_start(struct slices *slices);

#endif
