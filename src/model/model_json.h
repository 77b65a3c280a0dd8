// SPDX-License-Identifier: Apache-2.0
/*
 * model_json.h - parse JSON that strangers wrote, within limits
 *
 * Python writes NaN and Infinity where JSON has no word for them; they read as a
 * fraction. What is deeper, longer or more than the limits is refused before it is built.
 */
#ifndef MODEL_MODEL_JSON_H
#define MODEL_MODEL_JSON_H

#include "base/complaint.h"

#include <jansson.h>

enum {
    MODEL_JSON_MAX = 1 << 20,         // bytes of one document
    MODEL_JSON_DEPTH_MAX = 64,        // brackets open at once
    MODEL_JSON_VALUES_MAX = 1 << 17,  // values in one document
    MODEL_JSON_INTEGER_MAX = 1 << 30, // a count larger than this is refused
};

/*
 * An object, owned by the caller (json_decref). -EFBIG: over a limit; -EBADMSG: not JSON,
 * not an object, or a key given twice; -ENOMEM.
 */
int model_json_read(struct span text, json_t **ret, struct complaint *why) MUST_CHECK;

/* A string's bytes; empty with a NULL address for anything else. */
struct span model_json_text(const json_t *value);

#endif
