// SPDX-License-Identifier: Apache-2.0
/*
 * host_text.h - find one thing in a text of another process
 *
 * Pure: bytes in, spans of them out. All of them may be of that process's making.
 */
#ifndef HOST_HOST_TEXT_H
#define HOST_HOST_TEXT_H

#include "base/base.h"

/*
 * The value of `name` in the text of /proc/PID/environ; the first one counts, as getenv()
 * has it. -ENOENT: not set. -EBADMSG: the text is no environment, since the process has
 * written over it.
 */
int host_find_variable(struct span text, const char *name, struct span *ret) MUST_CHECK;

/* The home folder, an absolute path, of a user in /etc/passwd. -ENOENT: none. */
int host_find_home(struct span passwd, uint32_t uid, struct span *ret) MUST_CHECK;

/* In /proc/PID/status, the pid in the innermost pid namespace. -EBADMSG: not told. */
int host_find_ns_pid(struct span status, uint32_t *ret) MUST_CHECK;

/*
 * Take what precedes the next `end`, or everything if there is none, and step behind it.
 * False: nothing was left.
 */
bool host_take_until(struct span *text, char end, struct span *ret) MUST_CHECK;

static inline bool host_starts_with(struct span text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.at, prefix, len) == 0;
}

#endif
