// SPDX-License-Identifier: Apache-2.0
/*
 * figure.h - a number with where it comes from
 */
#ifndef SNAPSHOT_FIGURE_H
#define SNAPSHOT_FIGURE_H

#include "base/base.h"

/* Where a number comes from. */
enum provenance {
    FROM_NOWHERE, // not known: `why` says why not
    MEASURED,     // by the driver
    BY_ENGINE,    // said by the engine
    DERIVED,      // worked out exactly from facts
    ESTIMATED,    // worked out with an error: `why` says which
};

struct figure {
    uint64_t value; // UNKNOWN when FROM_NOWHERE
    enum provenance how;
    const char *why; // a literal; NULL when there is nothing to say
    uint64_t error; // the value is off by this at most; 0: exact, UNKNOWN: no bound known
};

static inline struct figure figure_of(uint64_t value, enum provenance how,
                                      const char *why)
{
    return (struct figure){value, how, why, 0};
}

static inline struct figure figure_unknown(const char *why)
{
    return (struct figure){UNKNOWN, FROM_NOWHERE, why, UNKNOWN};
}

/*
 * Add what is known; where it is not, or the sum is more than there can be, `unknown`
 * counts one more. The weakest of the parts tells where the sum comes from.
 */
void figure_add(struct figure *sum, struct figure figure, uint32_t *unknown);

const char *provenance_name(enum provenance how); // "unknown", "measured", "engine", ...

#endif
