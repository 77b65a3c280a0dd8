// SPDX-License-Identifier: Apache-2.0
/* Any bytes as an index give a number of bytes within the limits, or a sentence. */
#include "model/model_weights.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct complaint why = {""};
    uint64_t total = 0;

    if (model_weights_read((struct span){(const char *)data, size}, &total, &why) < 0)
        assert(total == 0 && why.text[0]);
    else
        assert(total > 0 && total <= WEIGHTS_BYTES_MAX);
    return 0;
}
