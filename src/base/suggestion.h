// SPDX-License-Identifier: Apache-2.0
/*
 * suggestion.h - what is near a name that is not in a list
 */
#ifndef BASE_SUGGESTION_H
#define BASE_SUGGESTION_H

#include "base/base.h"

/* Which of two names is nearer to a third, found out one candidate at a time. */
struct suggestion {
    struct span wanted;
    const char *name; // the nearest so far; NULL: none is near enough
    size_t distance;
};

void suggestion_consider(struct suggestion *suggestion, const char *candidate);

#endif
