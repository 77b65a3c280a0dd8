// SPDX-License-Identifier: Apache-2.0
/*
 * docker.h - ask Docker which ports of the host lead into containers
 *
 * Only where the operator gives the path of its socket, for whoever may use that is as
 * good as root. One GET, of the list of containers, every few seconds while there is a
 * server in a network of its own; nothing else is ever asked.
 */
#ifndef DAEMON_DOCKER_H
#define DAEMON_DOCKER_H

#include "host/port_proxy.h"

#include <uv.h>

struct docker;

int docker_new(uv_loop_t *loop, const char *socket_path, struct docker **ret) MUST_CHECK;
void docker_free(struct docker *docker); // the loop must turn once more

/* Ask, if it is time and somebody wants to know. */
void docker_run(struct docker *docker, bool wanted, uint64_t now_ns);

/* As it said last. Valid until the loop turns. */
const struct host_port_proxy *docker_ports(const struct docker *docker, size_t *ret_n);

#endif
