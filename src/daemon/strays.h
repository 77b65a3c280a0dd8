// SPDX-License-Identifier: Apache-2.0
/*
 * strays.h - processes with device memory outside of every server's tree
 *
 * Workers of Ray are of a tree of their own; they belong to the one server that is in
 * their container.
 */
#ifndef DAEMON_STRAYS_H
#define DAEMON_STRAYS_H

#include "daemon/found_server.h"

enum { STRAYS_MAX = 256 }; // more are not looked at

struct stray {
    struct host_process process; // as it is now
    char container_id[HOST_CONTAINER_ID_SIZE];
    bool seen; // since strays_forget()
};

struct strays {
    size_t n;
    struct stray at[STRAYS_MAX];
    size_t n_adoptions;
    struct join_adoption adoptions[STRAYS_MAX];
};

/* It is there. True: it was not before; its container is read then. */
bool strays_see(struct strays *strays, struct host *host,
                const struct host_process *process);

/* Those that were not seen since the last call are gone. */
void strays_forget(struct strays *strays);

/* Write the adoptions anew. */
void strays_adopt(struct strays *strays, const struct found_server *servers, size_t n);

#endif
