// SPDX-License-Identifier: Apache-2.0
/*
 * docker_ports.h - ports of containers that Docker publishes on the host
 *
 * From the answer of its Engine API to GET /containers/json. What it says of names, labels
 * and commands is of the containers' making, and not looked at.
 */
#ifndef MODEL_DOCKER_PORTS_H
#define MODEL_DOCKER_PORTS_H

#include "base/complaint.h"

enum { DOCKER_PORTS_MAX = 128 };

struct docker_port {
    uint8_t address[16]; // of the container; an IPv4 address is mapped, ::ffff:a.b.c.d
    uint16_t container_port;
    uint16_t host_port;
};

struct docker_ports {
    size_t n; // more than fit are left out
    struct docker_port at[DOCKER_PORTS_MAX];
};

/*
 * One for each address and TCP port. Errors are those of json_read(), -EBADMSG also
 * for an answer that is no list; `ret` is then as it was. A container without an address
 * or ports, or with ones that cannot be, is left out.
 */
int docker_ports_read(struct span json, struct docker_ports *ret,
                      struct complaint *why) MUST_CHECK;

#endif
