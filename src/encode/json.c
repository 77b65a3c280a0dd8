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

void json_put_key(struct buf *out, const char *key)
{
    if (out->len && out->data[out->len - 1] != '{')
        buf_add_char(out, ',');
    buf_add_char(out, '"');
    buf_add_str(out, key);
    buf_add_str(out, "\":");
}

void json_put_number(struct buf *out, const char *key, uint64_t value)
{
    json_put_key(out, key);
    json_u64(out, value);
}

void json_put_decimal(struct buf *out, const char *key, double value, unsigned decimals)
{
    json_put_key(out, key);
    json_fixed(out, value, decimals);
}

void json_put_text(struct buf *out, const char *key, const char *text)
{
    json_put_key(out, key);
    json_quote(out, text);
}

void json_put_text_or_null(struct buf *out, const char *key, const char *text)
{
    if (text && text[0]) {
        json_put_text(out, key, text);
    } else {
        json_put_key(out, key);
        buf_add_str(out, "null");
    }
}
