// SPDX-License-Identifier: Apache-2.0
/*
 * host_proc.h - what the files of this folder share: opening below the root of /proc
 */
#ifndef HOST_HOST_PROC_H
#define HOST_HOST_PROC_H

#include "host/host.h"

struct host {
    int proc_fd;
    bool is_live;          // the kernel's own /proc, not a tree that stands for it
    int diag_fd;           // netlink socket of sock_diag.c; -1: not open
    bool diag_refused;     // the kernel has no such thing for us, and was asked already
    struct host_tree tree; // scratch; its pages are only taken where a tree is read
};

/* Whether an error says that a process or file just is not there any more. */
static inline bool host_is_gone(int error)
{
    return error == -ENOENT || error == -ESRCH || error == -ENOTDIR;
}

/* Which of the two a kernel says differs between its versions. */
static inline int host_denial_of(int error)
{
    return error == -EPERM ? -EACCES : error;
}

/*
 * Open the folder of a process, so that what is read below it is of that process or
 * fails, even when its pid is used again. Returns a descriptor. -ESRCH: no such process.
 */
int host_open_process(const struct host *host, uint32_t pid) MUST_CHECK;

/* Read the stat file in an open folder, which must be that of `pid`. */
int host_read_process_at(int process_fd, uint32_t pid,
                         struct host_process *ret) MUST_CHECK;

/*
 * Read the beginning of a file, up to `room` bytes, and return how many there were. If
 * that is `room`, the file may go on.
 */
ssize_t host_read_start(int dir_fd, const char *name, char *text, size_t room) MUST_CHECK;

/* The process that a folder of this name is of, or 0. */
uint32_t host_pid_of_name(const char *name);

#endif
