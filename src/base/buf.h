// SPDX-License-Identifier: Apache-2.0
/*
 * buf.h - bytes that grow up to a ceiling, with an error that sticks
 *
 * A writer adds without checking and asks once, at the end: `error` is 0, -ENOMEM, or
 * -E2BIG when the ceiling was met. After an error nothing more is added. buf_clear()
 * keeps the memory, so that a buffer used each tick allocates only until it is warm.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/base.h"

enum { BUF_PRINTF_MAX = 511 }; // bytes of one buf_printf(); more is -E2BIG

struct buf {
    char *data; // not NUL-terminated
    size_t len;
    size_t room;
    size_t max;
    int error;
};

void buf_init(struct buf *buf, size_t max);
void buf_done(struct buf *buf);
void buf_clear(struct buf *buf); // empties, forgives the error, keeps the memory

void buf_add(struct buf *buf, const void *data, size_t len);
void buf_add_str(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* Make room for `len` more bytes and give the place to write them; NULL after an error. */
char *buf_reserve(struct buf *buf, size_t len);

/* Drop everything after `len`. */
void buf_cut(struct buf *buf, size_t len);

static inline struct span buf_span(const struct buf *buf)
{
    return (struct span){buf->data, buf->len};
}

#endif
