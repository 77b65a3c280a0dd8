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

/* In /proc/PID/status, the real user. -EBADMSG: not told. */
int host_find_uid(struct span status, uint32_t *ret) MUST_CHECK;

/*
 * A line "NAME:    1234 kB" of /proc/meminfo, as bytes. -EBADMSG: there is none, or more
 * than can be.
 */
int host_find_memory(struct span meminfo, const char *name, uint64_t *ret) MUST_CHECK;

/* In /proc/PID/status, the pid in the innermost pid namespace. -EBADMSG: not told. */
int host_find_ns_pid(struct span status, uint32_t *ret) MUST_CHECK;

/*
 * In the /proc/self/status of a reader, whether /proc counts pids as the reader does: the
 * reader's pid is then the same in all the namespaces that are listed, since it is one.
 */
bool host_has_one_ns_pid(struct span status);

/*
 * Take what precedes the next `end`, or everything if there is none, and step behind it.
 * False: nothing was left.
 */
bool host_take_until(struct span *text, char end, struct span *ret) MUST_CHECK;

/* Take everything up to the next blank, skipping blanks before it; empty at the end. */
struct span host_take_field(struct span *text);

/* Take `n` fields; the last of them. */
struct span host_skip_fields(struct span *text, int n);

static inline bool host_starts_with(struct span text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.at, prefix, len) == 0;
}

#endif
