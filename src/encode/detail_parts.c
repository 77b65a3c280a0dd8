// SPDX-License-Identifier: Apache-2.0
#include "encode/detail_parts.h"

#include "encode/json.h"

void detail_signed(struct buf *out, const char *key, int64_t value)
{
    json_put_key(out, key);
    if (value < 0)
        buf_add_char(out, '-');
    buf_add_u64(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void detail_boolean(struct buf *out, const char *key, bool value)
{
    json_put_key(out, key);
    buf_add_str(out, value ? "true" : "false");
}

void detail_begin(struct buf *out, const char *key)
{
    json_put_key(out, key);
    buf_add_char(out, '{');
}

void detail_end(struct buf *out)
{
    buf_add_char(out, '}');
}

void detail_figure(struct buf *out, const char *key, struct figure figure)
{
    detail_begin(out, key);
    json_put_number(out, "value", figure.value);
    json_put_text(out, "from", provenance_name(figure.how));
    json_put_number(out, "error", figure.error);
    json_put_text_or_null(out, "reason", figure.why);
    detail_end(out);
}

void detail_age(struct buf *out, const char *key, uint64_t then_ns, uint64_t now_ns)
{
    json_put_number(out, key,
                    then_ns ? (now_ns - MIN(then_ns, now_ns)) / NS_PER_MS : UNKNOWN);
}
