// SPDX-License-Identifier: Apache-2.0
/*
 * listeners.h - which TCP sockets listen, and which of them a process holds
 *
 * The sockets of a network namespace need no privilege to be listed, ours or that of any
 * process we see. Who holds one does: /proc/PID/fd is for its user (if the process may be
 * dumped) and for CAP_SYS_PTRACE. A socket's user, however, is told to all.
 *
 * Our own sockets are asked from the kernel by netlink, which costs the same however many
 * connections there are; where that is refused, and for other namespaces, the files are
 * read, which list every connection too.
 *
 * Nothing here allocates.
 */
#ifndef HOST_LISTENERS_H
#define HOST_LISTENERS_H

#include "host/host.h"

enum {
    HOST_LISTENERS_MAX = 1024,
    HOST_HELD_FDS_MAX = 16384, // of a process looked at, from the lowest up
};

struct host_listener {
    uint64_t inode; // which says that it is the same socket still
    uint32_t uid;   // who made it
    uint16_t port;
    uint8_t address[HOST_ADDRESS_SIZE]; // all zero: any address, mostly IPv4's too
};

/* By rising port, and among those of one port by rising inode; each socket once. */
struct host_listeners {
    uint32_t n;
    bool incomplete; // more than fit
    struct host_listener at[HOST_LISTENERS_MAX];
};

/*
 * The sockets in the network namespace of the process `pid`, or with 0 in ours. A pid is
 * not guarded by a start time here: a socket that host_held_listeners() finds is really
 * the process's, whosever list it was in. -ESRCH: no such process. -ENOENT, for 0: there
 * is no list below this root.
 */
int host_read_listeners(struct host *host, uint32_t pid,
                        struct host_listeners *ret) MUST_CHECK;

/*
 * The rows of `listeners` whose socket the process holds, rising, the first `max` of
 * them. Returns how many. -ESRCH: it is gone. -EACCES: its descriptors are not for us to
 * see, or not all of them and there is none among the others.
 */
int host_held_listeners(struct host *host, const struct host_process *process,
                        const struct host_listeners *listeners, uint32_t *ret_indices,
                        size_t max) MUST_CHECK;

#endif
