// SPDX-License-Identifier: Apache-2.0
#include "encode/json.h"

#include <math.h>

static void escape(struct buf *out, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    const char pair[] = {'\\', (char)byte};
    const char code[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};

    if (byte == '"' || byte == '\\')
        buf_add(out, pair, sizeof(pair));
    else
        buf_add(out, code, sizeof(code));
}

/* By what lies between two bytes that are escaped, as few texts have any. */
void json_quote(struct buf *out, const char *text)
{
    const char *rest = text;

    buf_add_char(out, '"');
    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;

        if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f)
            continue;
        buf_add(out, rest, (size_t)(c - rest));
        escape(out, byte);
        rest = c + 1;
    }
    buf_add_str(out, rest);
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
    bool first = out->len == 0 || out->data[out->len - 1] == '{';
    size_t len = strlen(key), all = len + strlen("\"\":") + !first;
    char *to = buf_reserve(out, all);

    if (!to)
        return;
    if (!first)
        *to++ = ',';
    *to++ = '"';
    memcpy(to, key, len);
    memcpy(to + len, "\":", 2);
    out->len += all;
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
