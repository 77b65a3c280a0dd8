// SPDX-License-Identifier: Apache-2.0
#include "encode/json.h"

#include <math.h>

void json_quote(struct buf *out, const char *text)
{
    static const char hex[] = "0123456789abcdef";

    buf_add_char(out, '"');
    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;

        if (byte == '"' || byte == '\\') {
            buf_add_char(out, '\\');
            buf_add_char(out, *c);
        } else if (byte < 0x20 || byte == 0x7f) {
            const char escape[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};

            buf_add(out, escape, sizeof(escape));
        } else {
            buf_add_char(out, *c);
        }
    }
    buf_add_char(out, '"');
}

void json_u64(struct buf *out, uint64_t value)
{
    if (value == UNKNOWN)
        buf_add_str(out, "null");
    else
        buf_add_u64(out, value);
}

/* Rounded half away from zero; zeros after the first decimal are left out. */
void json_fixed(struct buf *out, double value, unsigned decimals)
{
    uint64_t scale = 1, scaled, fraction;

    for (unsigned i = 0; i < decimals; i++)
        scale *= 10;
    if (!isfinite(value) || fabs(value) >= 1e18 / (double)scale) {
        buf_add_str(out, "null");
        return;
    }
    scaled = (uint64_t)round(fabs(value) * (double)scale);
    if (value < 0 && scaled)
        buf_add_char(out, '-');
    buf_add_u64(out, scaled / scale);
    buf_add_char(out, '.');

    fraction = scaled % scale;
    do {
        scale /= 10;
        buf_add_char(out, (char)('0' + fraction / scale));
        fraction %= scale;
    } while (fraction);
}
