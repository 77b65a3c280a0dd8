// SPDX-License-Identifier: Apache-2.0
/*
 * accept.h - which of two types a request asks for, by its Accept field
 */
#ifndef SERVE_ACCEPT_H
#define SERVE_ACCEPT_H

#include "base/base.h"

struct accept_type {
    const char *type;
    const char *group;   // the range of all of its kind
    const char *version; // NULL: it has none, or any will do
};

/*
 * By RFC 9110 section 12.5.1: `other` is for those who give it the greater weight, or the
 * same one under its own name where `usual` is not named. All others get the usual one,
 * those too who take neither.
 */
bool accept_prefers(struct span accept, const struct accept_type *other,
                    const struct accept_type *usual);

#endif
