// SPDX-License-Identifier: Apache-2.0
/* Text of the documented grammar reads as strtod() reads it; anything else is refused. */
#include "base/number.h"

#include <assert.h>
#include <math.h>
#include <regex.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_like(const char *text, const char *pattern)
{
    regex_t regex;
    bool like;

    if (regcomp(&regex, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0)
        abort();
    like = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return like;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[65] = "";
    double value = 0, expected;
    int r = number_read((struct span){(const char *)data, size}, &value),
        wanted = -EINVAL;

    memcpy(text, data, size < sizeof(text) ? size : 0);
    expected = strtod(text, NULL);
    if (strlen(text) == size && is_like(text, "^(nan|[+-]?inf)$"))
        wanted = -EDOM;
    else if (strlen(text) == size &&
             is_like(text, "^[+-]?[0-9]+([.][0-9]+)?(e[+-]?[0-9]+)?$"))
        wanted = isfinite(expected) ? 0 : -ERANGE;
    assert(r == wanted && (r < 0 || memcmp(&value, &expected, sizeof(value)) == 0));
    return 0;
}
