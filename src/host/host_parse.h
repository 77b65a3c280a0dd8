// SPDX-License-Identifier: Apache-2.0
/*
 * host_parse.h - the lines of /proc that we read, without /proc
 *
 * All take what any process could have put there: a process names itself as it likes.
 */
#ifndef HOST_HOST_PARSE_H
#define HOST_HOST_PARSE_H

#include "host/host.h"

enum {
    HOST_TCP_LISTEN = 0x0a,
    HOST_LINK_MAX = 64, // "socket:[" and 20 digits; what is longer is no such link
};

/* A socket as /proc/net/tcp or tcp6 lists it. */
struct host_socket {
    uint64_t inode; // 0: no process holds it any more
    uint16_t port;  // the local one
    uint8_t state;
    uint32_t uid;
    uint8_t address[HOST_ADDRESS_SIZE]; // the local one
};

typedef void host_socket_fn(void *ctx, const struct host_socket *socket);

/* What a stat file is of. */
enum host_task {
    HOST_TASK_PROCESS,
    HOST_TASK_THREAD, // not the first one of its process
    HOST_TASK_KERNEL,
};

/* The text of /proc/PID/stat. -EBADMSG: not one, or cut off. */
int host_parse_stat(struct span text, struct host_process *ret) MUST_CHECK;

/* Of such a text. A process where the text does not say. */
enum host_task host_parse_task(struct span text);

/* One line, without its end. -EBADMSG: not one (the heading, too). */
int host_parse_tcp_line(struct span line, struct host_socket *ret) MUST_CHECK;

/* What a link below /proc/PID/fd says: a socket's inode. -EBADMSG: something else. */
int host_parse_socket_link(struct span link, uint64_t *ret) MUST_CHECK;

/* What the link /proc/PID/ns/net says: the namespace's inode. */
int host_parse_net_link(struct span link, uint64_t *ret) MUST_CHECK;

/* The newest pid that /proc/loadavg tells. -EBADMSG: none. */
int host_parse_newest_pid(struct span loadavg, uint32_t *ret) MUST_CHECK;

/* The last 4 bytes of an address that is as they stand in memory; the rest says "IPv4". */
void host_map_v4(uint8_t ret[HOST_ADDRESS_SIZE], const void *address);

#endif
