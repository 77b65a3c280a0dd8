// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <math.h>

#include "tui/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A filter is understood whole or not at all, and passes what each condition passes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t devices[] = {0, 2};
    struct vramscope_model model = {
        .model = "Qwen/Qwen3-8B",
        .model_id = "Qwen-Qwen3-8B",
        .port = 8000,
        .state = "ready",
        .n_devices = ARRAY_LEN(devices),
        .devices = devices,
        .kv_usage_ratio = 0.8,
        .prefix_minute = {.hit_percent = (double)NAN},
    };
    struct filter filter = {.n = FILTER_CONDITIONS_MAX + 1};
    char why[40] = "";
    int r =
        filter_parse((struct span){(const char *)data, size}, &filter, why, sizeof(why));

    if (r < 0) {
        assert(r == -EINVAL && *why && strlen(why) < sizeof(why));
        assert(filter.n == FILTER_CONDITIONS_MAX + 1);
        return 0;
    }
    assert(filter.n <= FILTER_CONDITIONS_MAX);
    for (size_t i = 0; i < filter.n; i++) {
        assert(memchr(filter.conditions[i].text, 0, FILTER_TEXT_SIZE));
        assert(!isnan(filter.conditions[i].number));
    }
    if (filter_passes(&filter, "a1:6767", &model))
        for (size_t i = 0; i < filter.n; i++) {
            struct filter one = {{filter.conditions[i]}, 1};

            assert(filter_passes(&one, "a1:6767", &model));
        }
    return 0;
}
