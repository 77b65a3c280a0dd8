// SPDX-License-Identifier: Apache-2.0
/*
 * subject.h - PREFIX.v1.NODE.WHAT: what a node's messages are under (docs/fleet.md)
 */
#ifndef PUBLISH_SUBJECT_H
#define PUBLISH_SUBJECT_H

#include "base/base.h"

enum {
    SUBJECT_PREFIX_SIZE = 65,
    SUBJECT_SIZE = 160, // of the longest, and more
};

/* `node` "*" stands for every node. */
void subject_make(char ret[SUBJECT_SIZE], const char *prefix, const char *node,
                  const char *what);

/* The node of a snapshot under `prefix`, lent by `subject`; false: it is anything else. */
bool subject_read_node(const char *prefix, const char *subject, struct span *ret);

#endif
