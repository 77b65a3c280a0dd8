// SPDX-License-Identifier: Apache-2.0
/*
 * host_parse.h - the lines of /proc that we read, without /proc
 *
 * Both take what any process could have put there: a process names itself as it likes.
 */
#ifndef HOST_HOST_PARSE_H
#define HOST_HOST_PARSE_H

#include "host/host.h"

enum { HOST_TCP_LISTEN = 0x0a };

/* A socket as /proc/net/tcp or tcp6 lists it. */
struct host_socket {
    uint64_t inode; // 0: no process holds it any more
    uint16_t port;  // the local one
    uint8_t state;
};

/* The text of /proc/PID/stat. -EBADMSG: not one, or cut off. */
int host_parse_stat(struct span text, struct host_process *ret) MUST_CHECK;

/* One line, without its end. -EBADMSG: not one (the heading, too). */
int host_parse_tcp_line(struct span line, struct host_socket *ret) MUST_CHECK;

/* What a link below /proc/PID/fd says: a socket's inode. -EBADMSG: something else. */
int host_parse_socket_link(struct span link, uint64_t *ret) MUST_CHECK;

#endif
