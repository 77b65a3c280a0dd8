// SPDX-License-Identifier: Apache-2.0
/*
 * port_proxy.h - which port of a container a Docker proxy hands a port of the host to
 *
 * Docker starts a process for each published port, and its arguments say from where to
 * where. Anybody may start a process with such arguments: believe them of root's only.
 */
#ifndef HOST_PORT_PROXY_H
#define HOST_PORT_PROXY_H

#include "host/host.h"

struct host_port_proxy {
    uint8_t host_address[HOST_ADDRESS_SIZE];
    uint8_t container_address[HOST_ADDRESS_SIZE];
    uint16_t host_port;
    uint16_t container_port;
};

/*
 * The arguments of a process, each ended by a NUL, from /proc/PID/cmdline. False: not a
 * docker-proxy, not for TCP, or not all is told.
 */
bool host_parse_port_proxy(struct span cmdline, struct host_port_proxy *ret) MUST_CHECK;

#endif
