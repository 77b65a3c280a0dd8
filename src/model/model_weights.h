// SPDX-License-Identifier: Apache-2.0
/*
 * model_weights.h - how many bytes a model's weights are, from its safetensors index
 *
 *     {"metadata": {"total_size": 16060522496}, "weight_map": {...}}
 *
 * The map of a large model has a hundred thousand names. It is passed over and not built;
 * only `metadata` is parsed.
 */
#ifndef MODEL_MODEL_WEIGHTS_H
#define MODEL_MODEL_WEIGHTS_H

#include "base/complaint.h"

enum { WEIGHTS_INDEX_MAX = 32 << 20 }; // bytes of an index

#define WEIGHTS_BYTES_MAX (UINT64_C(1) << 50)

/*
 * What metadata.total_size says: from 1 to WEIGHTS_BYTES_MAX, an integer or a fraction
 * without one. -ENOENT: it says nothing; -EBADMSG: it is not such a number, or the text is
 * no JSON object; -EFBIG: over a limit; -ENOMEM. `why` then says what is wrong.
 */
int model_weights_read(struct span index_json, uint64_t *ret_total,
                       struct complaint *why) MUST_CHECK;

#endif
