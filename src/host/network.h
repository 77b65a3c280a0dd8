// SPDX-License-Identifier: Apache-2.0
/*
 * network.h - in which network namespace a process is, and which addresses that has
 *
 * Who may not look into a process (by ptrace's rules) is not shown its namespace. Its
 * lists of addresses are shown to all. Nothing here allocates.
 */
#ifndef HOST_NETWORK_H
#define HOST_NETWORK_H

#include "host/host.h"

enum { HOST_ADDRESSES_MAX = 64 };

/*
 * Local addresses of a namespace, sorted, each once: IPv4 but for 127.0.0.0/8, and IPv6
 * of global scope. More than fit: the first ones that were listed.
 */
struct host_addresses {
    uint32_t n;
    bool incomplete;
    uint8_t at[HOST_ADDRESSES_MAX][HOST_ADDRESS_SIZE];
};

/*
 * The namespace's inode number. Needs the process's user's rights, or CAP_SYS_PTRACE.
 * -EACCES: not for us to see. -ESRCH: it is gone.
 */
int host_net_namespace(struct host *host, const struct host_process *process,
                       uint64_t *ret) MUST_CHECK;

/*
 * Of the process `pid`, or with 0 ours. A pid is not guarded by a start time here: whose
 * it is by then, host_read_process() tells afterwards. Needs no privilege. -ESRCH: no
 * such process. -ENOENT, for 0: there is no list below this root.
 */
int host_read_addresses(struct host *host, uint32_t pid,
                        struct host_addresses *ret) MUST_CHECK;

/*
 * Whether the process is in our network namespace. Needs no privilege: if the namespace
 * is hidden, the kernel's number of the file net/tcp is compared, of which each namespace
 * has its own; below a root that is not the kernel's, the addresses. -ESRCH: it is gone.
 * -ENODATA: cannot be told, because neither has an address.
 */
int host_same_network(struct host *host, const struct host_process *process,
                      bool *ret) MUST_CHECK;

/*
 * Whether the process is in our user namespace. Any user may make another, and in it
 * networks with whatever addresses. Needs no privilege. -ESRCH: it is gone.
 */
int host_same_users(struct host *host, const struct host_process *process,
                    bool *ret) MUST_CHECK;

/* What the files list is added to `ret`, line by line. */
struct host_trie {
    bool has_leaf; // the address that the next lines are about
    uint8_t leaf[HOST_ADDRESS_SIZE];
};

/* A line of /proc/net/fib_trie; `trie` starts zeroed. */
void host_add_trie_line(struct host_trie *trie, struct span line,
                        struct host_addresses *ret);

/* A line of /proc/net/if_inet6. */
void host_add_inet6_line(struct span line, struct host_addresses *ret);

#endif
