// SPDX-License-Identifier: Apache-2.0
/* What config.json holds is refused or read, and its blocks add up however it is placed. */
#include "model/kv_shape.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const cache_types[] = {"auto", "fp8", "fp8_ds_mla", "bfloat16"};

static void check_shape(const struct kv_shape *shape,
                        const struct kv_placement *placement)
{
    struct kv_claim claim = {1000, placement->block_size, 1000, UNKNOWN, placement->dcp};
    const char *why = NULL;

    assert(shape->exact == (shape->caveat == NULL));
    assert(shape->bytes_per_block <= shape->bytes_per_block_all_gpus);
    assert(shape->bytes_per_block_all_gpus <= shape->bytes_per_block * shape->gpus);
    assert(shape->bytes_per_block % placement->block_size == 0);
    assert((shape->groups == 0) == (shape->bytes_per_block == 0));
    if (shape->groups == 1)
        assert(shape->bytes_per_token * placement->block_size * placement->tp ==
               shape->bytes_per_block_all_gpus);
    assert(kv_shape_check(shape, &claim, &why) >= 0 || why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_config config;
    struct complaint complaint = {""};

    if (model_config_read((struct span){(const char *)data, size}, &config, &complaint) <
        0) {
        assert(complaint.text[0]);
        return 0;
    }
    for (unsigned i = 0; i < 64; i++) {
        struct kv_placement placement = {
            .tp = 1 + i % 3,
            .pp = 1 + i % 5 / 2,
            .dcp = 1,
            .block_size = i % 2 ? 16 : 784,
            .cache_dtype = span_of(cache_types[i / 2 % ARRAY_LEN(cache_types)]),
            .rule = (enum kv_rule)(i % (KV_RULE_HALF + 1)),
            .draft_kind = i & 32   ? KV_DRAFT_MODEL
                          : i & 16 ? KV_DRAFT_MTP
                                   : KV_DRAFT_NONE,
            .draft = &config,
            .draft_tp = UNKNOWN,
        };
        struct kv_shape shape;
        const char *why = NULL;

        if (kv_shape_of(&config, &placement, &shape, &why) == 0)
            check_shape(&shape, &placement);
        else
            assert(why);
    }
    return 0;
}
