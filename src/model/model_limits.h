// SPDX-License-Identifier: Apache-2.0
/*
 * model_limits.h - how much JSON is read about a model, whoever wrote it
 *
 * Python writes NaN and Infinity where JSON has no word for them.
 */
#ifndef MODEL_MODEL_LIMITS_H
#define MODEL_MODEL_LIMITS_H

#include "wire/json.h"

enum {
    MODEL_JSON_MAX = 1 << 20,        // bytes of one document
    MODEL_JSON_DEPTH_MAX = 64,       // brackets open at once
    MODEL_JSON_VALUES_MAX = 1 << 17, // values in one document
};

static const struct json_limits model_json_limits = {
    .bytes = MODEL_JSON_MAX,
    .depth = MODEL_JSON_DEPTH_MAX,
    .values = MODEL_JSON_VALUES_MAX,
    .python = true,
};

#endif
