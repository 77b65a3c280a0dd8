// SPDX-License-Identifier: Apache-2.0
/*
 * clock.h - what time it is, for those who may ask (ARCHITECTURE.md, layers)
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

#include <time.h>

/* By the wall clock, which may step; milliseconds since 1970. */
static inline uint64_t clock_unix_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); // cannot fail
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
