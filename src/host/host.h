// SPDX-License-Identifier: Apache-2.0
/*
 * host.h - processes and listening sockets of this host, read from /proc
 *
 * Everything is read below a root directory given at the start ("/proc", or a test's
 * tree), relative to a directory descriptor. Processes come and go between two reads:
 * that a file is gone is an ordinary answer. A process is a pid together with its start
 * time, because pids are used again.
 *
 * Needs no privilege. Without root, /proc/PID/fd of other users' processes cannot be
 * listed: then a listener's owner is not known (-EACCES), and everything else still is.
 */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include "base/base.h"

enum {
    HOST_COMM_MAX = 16,
    HOST_PROCESSES_MAX = 4096,
    HOST_OWNERS_MAX = 128, // sockets of the ports that are looked for
    HOST_SEARCHES_MAX = 64,
    HOST_DEPTH_MAX = 64,    // ancestors of a process followed upwards
    HOST_ADDRESS_SIZE = 16, // of IPv6; an IPv4 address is mapped, ::ffff:a.b.c.d
};

struct host;

struct host_process {
    uint32_t pid;
    uint32_t parent_pid;
    uint64_t start_ticks;     // since boot, /proc/PID/stat field 22
    char comm[HOST_COMM_MAX]; // cleaned by text_clean()
};

/* Processes of interest and all their ancestors, by rising pid. */
struct host_tree {
    uint32_t n;
    bool incomplete; // more than fit, or one could not be read just now
    struct host_process processes[HOST_PROCESSES_MAX];
};

int host_new(const char *proc_root, struct host **ret) MUST_CHECK;
void host_free(struct host *host);

/* -ESRCH: no such process. -EBADMSG: a stat line that cannot be. */
int host_read_process(struct host *host, uint32_t pid,
                      struct host_process *ret) MUST_CHECK;

/*
 * Whether an error is of the moment, for want of descriptors or memory: it says nothing of
 * what was to be read.
 */
static inline bool host_may_pass(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EIO ||
           error == -EINTR || error == -EAGAIN;
}

/*
 * Read `pids` and their ancestors up to pid 1 into `tree`. Pids that are gone, or hidden
 * from us (another pid namespace), are left out. A parent_pid is 0 where the parent had
 * gone and its pid is used again. If one cannot be read just now, `tree` stays as it was
 * and is incomplete: memory would wander from a server to others. Allocates nothing.
 */
void host_read_tree(struct host *host, const uint32_t *pids, size_t n,
                    struct host_tree *tree);

/* The row of `pid`, or NULL. */
const struct host_process *host_tree_find(const struct host_tree *tree, uint32_t pid);

/*
 * The real user who runs it. Not who owns its folder: that is root where a process may
 * not be dumped. Needs no privilege.
 */
int host_read_owner(struct host *host, const struct host_process *process,
                    uint32_t *ret_uid) MUST_CHECK;

/*
 * Of the whole machine, in bytes. Needs no privilege. -EBADMSG: one of the two is
 * missing (the second, before Linux 3.14) or cannot be.
 */
int host_read_memory(struct host *host, uint64_t *ret_total,
                     uint64_t *ret_available) MUST_CHECK;

/* Who listens on a TCP port is looked for. */
struct host_search {
    uint16_t port;
    int r; // 0; -ENOENT: nobody does; -EACCES: /proc does not let us see who
    struct host_process process; // where `r` is 0
};

/*
 * The processes that listen in our network namespace: of all that hold a listening socket
 * of a port, the one that started first (servers hand their sockets down to children).
 * Fills `r` and `process` of `n` searches, HOST_SEARCHES_MAX at most; on failure nobody was
 * found. Walks all of /proc, with all that it has open, once: call it when something
 * changed, not on every tick.
 */
int host_find_listeners(struct host *host, struct host_search *searches,
                        size_t n) MUST_CHECK;

#endif
