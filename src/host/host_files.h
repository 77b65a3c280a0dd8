// SPDX-License-Identifier: Apache-2.0
/*
 * host_files.h - what another process was started with, and files as it sees them
 *
 * A process is given as host_read_process() or host_find_listeners() has told it. Its
 * start time is compared before and after, so that no answer is of another process that
 * has got its pid. Needs its user's rights or root's, but for the command line.
 *
 * Nobody is trusted here: paths resolve inside the process's own root (a container's,
 * say) and never out of it, only ordinary files of a disk are opened, and each read has a
 * ceiling. What comes back is still of the process's choosing, and with root's rights it
 * may be any file in that root: use what is found in it, and publish none of its text.
 *
 * A network file system may keep any of these waiting: call them beside the loop, on a
 * thread that may block. A `buf` is the caller's: it is emptied first, grows up to its
 * own ceiling, and is empty after an error.
 */
#ifndef HOST_HOST_FILES_H
#define HOST_HOST_FILES_H

#include "base/buf.h"
#include "host/host.h"

enum {
    HOST_PATH_MAX = 1024, // with its NUL; longer paths are not followed
    HOST_CMDLINE_MAX = 64 << 10,
    HOST_ENVIRON_MAX = 1 << 20,
    HOST_LOG_MAX = 1 << 20,
};

/* Errors of them all: -ESRCH: no such process any more. -EACCES: not for us to see.
 * -E2BIG: more than the ceiling, the buffer's or the one above. */

/* The arguments, each ended by a NUL. None at all: a zombie, or one that hides them. */
int host_read_cmdline(struct host *host, const struct host_process *process,
                      struct buf *buf) MUST_CHECK;

/*
 * The environment it was started with, each NAME=VALUE ended by a NUL, to be asked by
 * host_find_variable(). Only a root process still has it: vLLM's children write their
 * titles over it.
 */
int host_read_environ(struct host *host, const struct host_process *process,
                      struct buf *buf) MUST_CHECK;

/*
 * One variable of it, as it is. Returns its length. -ENOENT: not set. -ENAMETOOLONG: does
 * not fit into `room` with its NUL. -EBADMSG: overwritten by the process.
 */
int host_read_environ_value(struct host *host, const struct host_process *process,
                            const char *name, char *dst, size_t room) MUST_CHECK;

/*
 * Open `path` for reading, absolute or from the root, as the process sees it. Links are
 * followed inside its root: an absolute one starts there, and ".." ends there. Returns a
 * descriptor. -ENOENT, -ENOTDIR: not there. -EINVAL: not an ordinary file (a folder,
 * device, pipe, or a file of /proc and its like). -ELOOP: a link of /proc that leads
 * elsewhere, or too many links. -EAGAIN: folders are being moved about. -ENOSYS: the
 * kernel has no openat2 (before 5.6), or `self` is missing below the root of /proc.
 */
int host_open_in_root(struct host *host, const struct host_process *process,
                      const char *path) MUST_CHECK;
int host_read_file_in_root(struct host *host, const struct host_process *process,
                           const char *path, struct buf *buf) MUST_CHECK;

/*
 * Read the file that the process was given the path of, on its command line say: absolute,
 * from its home as ~/..., or from its working folder, inside its root. The errors are those
 * of host_open_in_root(), and -ENODATA: its home is not known. -EBADMSG: nor is its
 * environment. -ENAMETOOLONG: too long a path.
 */
int host_read_given_file(struct host *host, const struct host_process *process,
                         const char *path, struct buf *buf) MUST_CHECK;

struct host_log {
    bool whole;      // false: the file goes on after HOST_LOG_MAX bytes
    uint32_t ns_pid; // of the process, as it counts itself: for log_kv_is_of()
};

/*
 * The start of the file that the process writes its output or else its errors to.
 * -ENOENT: neither goes to an ordinary file.
 */
int host_read_startup_log(struct host *host, const struct host_process *process,
                          struct buf *buf, struct host_log *ret) MUST_CHECK;

#endif
