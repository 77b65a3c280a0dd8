// SPDX-License-Identifier: Apache-2.0
#include "config/config_value.h"

enum { MODE_DIGITS_MAX = 4 };

int value_set_mode(const struct setting *setting, void *member, struct span text,
                   struct complaint *why)
{
    bool good = text.len > 0 && text.len <= MODE_DIGITS_MAX;
    uint64_t mode = 0;

    for (size_t i = 0; good && i < text.len; i++) {
        good = text.at[i] >= '0' && text.at[i] <= '7';
        mode = mode * 8 + (uint64_t)(text.at[i] - '0');
    }
    if (!good || mode == 0 || mode > setting->max)
        return complain(why, -EINVAL, "'%s' is not a mode from 0001 to %04llo",
                        quote(text).text, (unsigned long long)setting->max);
    *(uint64_t *)member = mode;
    return 0;
}
