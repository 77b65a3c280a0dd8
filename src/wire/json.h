// SPDX-License-Identifier: Apache-2.0
/*
 * json.h - parse JSON that strangers wrote, within limits
 *
 * What is deeper, longer or more than the limits is refused before it is built.
 */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include "base/complaint.h"

#include <jansson.h>

struct json_limits {
    size_t bytes;    // of the text
    unsigned depth;  // brackets open at once
    unsigned values; // in one document
    bool python;     // NaN and Infinity, as Python writes them, read as a fraction
};

/*
 * An object, owned by the caller (json_decref). -EFBIG: over a limit; -EBADMSG: not JSON,
 * not an object, or a key given twice; -ENOMEM.
 */
int json_read(struct span text, const struct json_limits *limits, json_t **ret,
              struct complaint *why) MUST_CHECK;

/* A string's bytes; empty with a NULL address for anything else. */
struct span json_text(const json_t *value);

/* A key's value, lent; NULL where it is null, too. */
const json_t *json_find(const json_t *object, const char *key);

/* A whole number. -EBADMSG: none in 0..max; `why` then calls it `key`. */
int json_read_count(const json_t *value, const char *key, uint64_t max, uint64_t *ret,
                    struct complaint *why) MUST_CHECK;

#endif
