// SPDX-License-Identifier: Apache-2.0
/*
 * sock_diag.h - the listening sockets of our network namespace, asked from the kernel
 *
 * The kernel is asked for listening sockets only, which it keeps apart; the files below
 * /proc/net would list every connection too. Needs no privilege, only a netlink socket:
 * it is opened at the first call and kept, in the namespace that the caller is in then.
 */
#ifndef HOST_SOCK_DIAG_H
#define HOST_SOCK_DIAG_H

#include "host/host_parse.h"
#include "host/host_proc.h"

/*
 * Any error means that the files must be read instead, even when some sockets have been
 * given to `fn` already. -EOPNOTSUPP: the kernel has refused, now or before.
 */
int host_diag_listeners(struct host *host, host_socket_fn *fn, void *ctx) MUST_CHECK;

void host_diag_close(struct host *host);

#endif
