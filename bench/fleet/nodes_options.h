// SPDX-License-Identifier: Apache-2.0
/*
 * nodes_options.h - what nodes.c is told to do
 */
#ifndef FLEET_NODES_OPTIONS_H
#define FLEET_NODES_OPTIONS_H

#include "peer.h"

enum { NODES_MAX = 4096, CUTS_MAX = 64 };

/* No message of this node between two moments, in seconds since the start. */
struct cut {
    uint64_t node, from_s, to_s;
};

struct nodes_options {
    uint64_t nodes, interval_ms, seconds;
    const char *prefix; // of subjects
    bool distinct;      // no two nodes serve the same model
    bool same_name;     // node 2 has the name of node 1
    bool floods, has_malformed;
    uint64_t flooding, flood_rate; // the node that sends so many a second
    uint64_t malformed;            // the node that sends what is no message
    struct cut cuts[CUTS_MAX];
    size_t n_cuts;
    struct peer_servers servers;
};

/* Ends the program where they cannot be understood. */
void nodes_options_read(int argc, char **argv, struct nodes_options *options);

#endif
