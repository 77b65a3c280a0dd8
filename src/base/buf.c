// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

enum { FIRST_ROOM = 256 };

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_done(struct buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->error = 0;
}

char *buf_reserve(struct buf *buf, size_t len)
{
    size_t room = buf->room ? buf->room : FIRST_ROOM;
    char *grown;

    if (buf->error)
        return NULL;
    if (len <= buf->room - buf->len)
        return buf->data + buf->len;
    if (len > buf->max - buf->len) {
        buf->error = -E2BIG;
        return NULL;
    }

    while (room - buf->len < len)
        room *= 2;
    room = MIN(room, buf->max);
    grown = realloc(buf->data, room);
    if (!grown) {
        buf->error = -ENOMEM;
        return NULL;
    }
    buf->data = grown;
    buf->room = room;
    return buf->data + buf->len;
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
    char *to;

    if (len == 0)
        return;
    to = buf_reserve(buf, len);
    if (!to)
        return;
    memcpy(to, data, len);
    buf->len += len;
}

void buf_add_str(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    buf_add(buf, digits + at, sizeof(digits) - at);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    char text[BUF_PRINTF_MAX + 1];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    if (buf->error)
        return;
    if (n < 0 || (size_t)n >= sizeof(text))
        buf->error = -E2BIG;
    else
        buf_add(buf, text, (size_t)n);
}

void buf_cut(struct buf *buf, size_t len)
{
    if (len < buf->len)
        buf->len = len;
}
