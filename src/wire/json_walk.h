// SPDX-License-Identifier: Apache-2.0
/*
 * json_walk.h - go through a JSON text that is asked for again and again
 *
 * Of an answer of hundreds of members a reader wants a few. Each value is told with the
 * path to it, as `models[].size_vram`; nothing is built and nothing allocated. What is
 * read once and looked at from several sides is read with json.h.
 */
#ifndef WIRE_JSON_WALK_H
#define WIRE_JSON_WALK_H

#include "base/base.h"

enum {
    JSON_WALK_DEPTH = 32,
    JSON_WALK_PATH = 127, // bytes of a path; what is deeper in is read, but not told
};

/*
 * A value, at `path`: keys joined by '.', "[]" for any element of an array. A string is
 * `text`, as written between its quotes, and no number; a number is `value`, true is 1,
 * false 0; null is NAN. An object in an array is told before what is in it, as NAN.
 * Valid during the call. A negative result stops the walk, which returns it.
 */
typedef int json_walk_fn(void *ctx, struct span path, struct span text, double value);

/* -EBADMSG: not JSON, or cut off; -E2BIG: nested deeper than JSON_WALK_DEPTH. */
int json_walk(struct span text, json_walk_fn *fn, void *ctx) MUST_CHECK;

#endif
