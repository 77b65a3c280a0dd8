// SPDX-License-Identifier: Apache-2.0
/*
 * server_list.h - the servers that discovery.c follows, and which processes they are
 *
 * A server is the topmost of a chain of processes with a server's command line; what is
 * below it with such a command line is its member. It is followed until its root ends.
 */
#ifndef DAEMON_SERVER_LIST_H
#define DAEMON_SERVER_LIST_H

#include "base/buf.h"
#include "daemon/found_server.h"
#include "model/server_launch.h"

struct server_list {
    struct host *host;                  // lent
    const struct discover_users *users; // lent
    bool full;                          // more servers than there is room for
    bool holds_gpu;                     // what is looked at now
    struct buf cmdline;                 // what was read last
    struct server_launch launch;        // scratch: it is large

    size_t n;
    struct found_server at[DISCOVERY_SERVERS_MAX]; // the first found comes first
};

bool is_same_process(const struct host_process *a, const struct host_process *b);

/* One that cannot be read just now is not gone: its row would go, and come as another's. */
bool process_lives(struct host *host, const struct host_process *process);

/* `list` is zeroed. */
void server_list_init(struct server_list *list, struct host *host,
                      const struct discover_users *users);
void server_list_done(struct server_list *list);

/*
 * The server that a process is the root or a member of, or NULL. Valid until one is taken
 * or dropped.
 */
struct found_server *server_list_find(struct server_list *list,
                                      const struct host_process *process);

/*
 * The server that a process is below of, or NULL. An error: that cannot be told just now,
 * and a part of a server is not to be taken for another one.
 */
int server_list_above(struct server_list *list, const struct host_process *process,
                      struct found_server **ret) MUST_CHECK;

/* A process whose command line is a server's. The topmost of a chain is its root. */
void server_list_take(struct server_list *list, const struct host_process *process,
                      const struct server_launch *launch);

/* Without a look at what is above it. `launch` NULL: its command line is not a server's. */
void server_list_add(struct server_list *list, const struct host_process *root,
                     const struct server_launch *launch);

/* Those whose root has ended, and members that have. */
void server_list_drop_the_dead(struct server_list *list);

#endif
