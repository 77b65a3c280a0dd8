// SPDX-License-Identifier: Apache-2.0
/*
 * sim_options.h - the command line of vramscope-sim
 */
#ifndef SIM_SIM_OPTIONS_H
#define SIM_SIM_OPTIONS_H

#include "base/complaint.h"
#include "sim/sim_kinds.h"

/* Strings are lent from argv; NULL where not given. */
struct sim_options {
    const char *model;
    const char *host;
    const char *gpu_dir;
    const char *page;
    const struct sim_kind *kind; // NULL: vLLM
    struct sim_load_options load;
    uint64_t port;
    uint64_t vram_bytes;    // on each GPU in use
    uint64_t gpus;          // of each engine
    uint64_t gpu_index;     // the first GPU
    uint64_t kv_pool_bytes; // UNKNOWN: not given
    uint64_t load_seconds;  // from holding the memory to listening
    uint64_t max_clients;
    bool no_filter;  // name[] gives an empty page
    bool no_metrics; // as without the flag that its kind needs
    bool die_with_parent;
    bool help, version;
};

/* -EINVAL: the command line is wrong, `complaint` says where. */
int sim_options_read(int argc, char **argv, struct sim_options *ret,
                     struct complaint *complaint) MUST_CHECK;

void sim_options_print_help(void);

#endif
