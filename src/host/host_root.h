// SPDX-License-Identifier: Apache-2.0
/*
 * host_root.h - what host_files.c and model_files.c share: opening below a process's root
 */
#ifndef HOST_HOST_ROOT_H
#define HOST_HOST_ROOT_H

#include "host/host_files.h"

/* Open the folder of just this process. Returns a descriptor. -ESRCH: it is gone. */
int host_open_same(const struct host *host,
                   const struct host_process *process) MUST_CHECK;

/* -ESRCH: what was opened is not of this process, or it has gone meanwhile. */
int host_check_same(int process_fd, const struct host_process *process) MUST_CHECK;

/* The root of the process. The descriptor stays that, whatever becomes of the process. */
int host_open_root(const struct host *host,
                   const struct host_process *process) MUST_CHECK;

/* As host_open_in_root(), below a root that was opened. */
int host_open_file(const struct host *host, int root_fd, const char *path) MUST_CHECK;
int host_read_file(const struct host *host, int root_fd, const char *path,
                   struct buf *buf) MUST_CHECK;

/* -ENOTDIR: not a folder. */
int host_open_folder(int root_fd, const char *path) MUST_CHECK;

/* Open for reading what `path_fd` (O_PATH) names. -EINVAL: not an ordinary file. */
int host_reopen_file(const struct host *host, int path_fd) MUST_CHECK;

/*
 * Read up to `max` bytes and up to the ceiling of `buf`, after what it holds. Returns 1
 * if there is more, 0 at the end of the file.
 */
int host_read_up_to(int fd, size_t max, struct buf *buf) MUST_CHECK;

/* A file in a process's folder, in place of what `buf` holds. -E2BIG: more than `max`. */
int host_read_whole(int dir_fd, const char *name, size_t max, struct buf *buf) MUST_CHECK;

#endif
