// SPDX-License-Identifier: Apache-2.0
/*
 * base.h - the few words every file uses: ownership, checking, spans, unknown
 *
 * Nothing here knows the domain. `UNKNOWN` is how a byte count or a counter says that
 * nobody could read it; a ratio says it with NAN. Neither is ever replaced by 0.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, args_at) \
    __attribute__((format(printf, format_at, args_at)))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Release a local when its scope ends: OWNED(free_str) char *text = NULL; */
#define OWNED(release) __attribute__((cleanup(release)))

/* Hand an OWNED local on: the value, leaving NULL behind. */
#define TAKE(p)                    \
    ({                             \
        __typeof__(p) took_ = (p); \
        (p) = NULL;                \
        took_;                     \
    })

#define MIN(a, b)               \
    ({                          \
        __typeof__(a) a_ = (a); \
        __typeof__(b) b_ = (b); \
        a_ < b_ ? a_ : b_;      \
    })

#define MAX(a, b)               \
    ({                          \
        __typeof__(a) a_ = (a); \
        __typeof__(b) b_ = (b); \
        a_ > b_ ? a_ : b_;      \
    })

/* A number that could not be read. */
#define UNKNOWN UINT64_MAX

/* Bytes that belong to someone else; not NUL-terminated. */
struct span {
    const char *at;
    size_t len;
};

static inline struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static inline bool span_is(struct span span, const char *text)
{
    size_t len = strlen(text);

    return span.len == len && (len == 0 || memcmp(span.at, text, len) == 0);
}

static inline void free_str(char **text)
{
    free(*text);
}

static inline void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); // nothing was written through it that could be lost
}

/* The error of the system call that has just failed; never 0, which -errno could be. */
static inline int neg_errno(void)
{
    int r = -errno;

    return r < 0 ? r : -EIO;
}

/* Sums of byte counts from outside saturate; a saturated sum reads as UNKNOWN. */
static inline uint64_t add_saturating(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? UNKNOWN : sum;
}

#endif
