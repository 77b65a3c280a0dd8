// SPDX-License-Identifier: Apache-2.0
/*
 * host_proc.h - what the files of this folder share: opening below the root of /proc
 */
#ifndef HOST_HOST_PROC_H
#define HOST_HOST_PROC_H

#include "host/host.h"

struct host {
    int proc_fd;
};

/* Whether an error says that a process or file just is not there any more. */
static inline bool host_is_gone(int error)
{
    return error == -ENOENT || error == -ESRCH || error == -ENOTDIR;
}

/*
 * Open the folder of a process, so that what is read below it is of that process or
 * fails, even when its pid is used again. Returns a descriptor. -ESRCH: no such process.
 */
int host_open_process(const struct host *host, uint32_t pid) MUST_CHECK;

/* Read the stat file in an open folder, which must be that of `pid`. */
int host_read_process_at(int process_fd, uint32_t pid,
                         struct host_process *ret) MUST_CHECK;

#endif
