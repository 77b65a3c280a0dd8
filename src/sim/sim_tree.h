// SPDX-License-Identifier: Apache-2.0
/*
 * sim_tree.h - the process tree of a vLLM server
 *
 * The root stays what it is and listens. Each engine is a child called VLLM::EngineCore;
 * with several GPUs the engine has a child per GPU, VLLM::Worker_TP<n>. Whoever has no
 * workers holds GPU memory: it says so to the simulated driver in a file of its own,
 * processes/<pid> below the driver's directory, with the line "<device> <bytes>". The
 * file appears whole and goes when its process ends, however that came about. The tree
 * ends with the root, even with a killed one.
 */
#ifndef SIM_SIM_TREE_H
#define SIM_SIM_TREE_H

#include "base/complaint.h"

#include <sys/types.h>

enum { SIM_TREE_CHILDREN_MAX = 64 };

struct sim_tree_options {
    size_t engines;
    size_t gpus;         // of each engine
    uint64_t gpu_index;  // of the first engine's first; the others follow
    uint64_t vram_bytes; // held on each GPU
    const char *gpu_dir; // NULL: there is no simulated driver to tell
    int argc;
    char **argv; // children write their names over it
};

struct sim_tree {
    pid_t children[SIM_TREE_CHILDREN_MAX]; // 0 once it has ended
    size_t n;
    int life_fd; // while it is open the children live; -1 when stopped
    int gpu_dir_fd;
};

/*
 * Start the tree and wait until all memory is held. To be called before threads are
 * started, with the pipes of a loop not yet there to be inherited.
 */
int sim_tree_start(const struct sim_tree_options *options, struct sim_tree *ret,
                   struct complaint *complaint) MUST_CHECK;

/* After SIGCHLD: how many engines have ended. None should, before sim_tree_stop(). */
size_t sim_tree_reap(struct sim_tree *tree);

/* End every process and wait for it. */
void sim_tree_stop(struct sim_tree *tree);

#endif
