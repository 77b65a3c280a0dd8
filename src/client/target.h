// SPDX-License-Identifier: Apache-2.0
/*
 * target.h - where a daemon is, from the URL that names it
 */
#ifndef CLIENT_TARGET_H
#define CLIENT_TARGET_H

#include "base/base.h"

struct target {
    char *origin;    // "http://h:6767"; a path goes after it
    char *unix_path; // of the socket to connect to; NULL: by the origin
};

/*
 * http://HOST[:PORT], https://HOST[:PORT] or unix:PATH. -EINVAL: not one of them, or with
 * a user, a path, a query or a fragment; -ENOMEM.
 */
int target_parse(const char *url, struct target *ret) MUST_CHECK;
void target_done(struct target *target);

#endif
