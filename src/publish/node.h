// SPDX-License-Identifier: Apache-2.0
/*
 * node.h - who a node is: its name in subjects, and its machine
 */
#ifndef PUBLISH_NODE_H
#define PUBLISH_NODE_H

#include "encode/compact.h"

/*
 * Make `name` fit for a subject: every character but [A-Za-z0-9_-] becomes '-', and it is
 * cut to 64. NULL: the host's name. -EINVAL: nothing is left to be called by.
 */
int node_make_name(const char *name, char ret[COMPACT_NODE_SIZE]) MUST_CHECK;

/*
 * 32 hexadecimal digits that are this machine's and no other's, made of /etc/machine-id
 * with a key of ours: who sees them does not learn that. Without the file, of the kernel's
 * boot id: until the next boot.
 */
int node_read_machine(const char *etc, const char *proc,
                      char ret[COMPACT_MACHINE_SIZE]) MUST_CHECK;

#endif
