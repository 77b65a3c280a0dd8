// SPDX-License-Identifier: Apache-2.0
/*
 * join.h - whose memory is whose: facts of driver, kernel and engines into one snapshot
 *
 * Pure: opens nothing, asks nobody, not even the time. The same facts give the same
 * snapshot. Nothing is spread by guesswork: bytes that no process explains stay
 * unattributed, and a number that cannot be known is FROM_NOWHERE with its reason.
 */
#ifndef JOIN_JOIN_H
#define JOIN_JOIN_H

#include "host/cgroup.h"
#include "join/model_facts.h"
#include "snapshot/snapshot.h"

/* An engine, and what the operator said about it (UNKNOWN, NULL: nothing). */
struct join_engine {
    const struct engine *engine;
    uint32_t root_pid; // of its process tree; 0: not known
    uint64_t root_start_ticks;
    const char *name;        // to be used for it
    const char *launch_name; // as its command line has it; NULL: not known
    uint64_t kv_bytes_per_block;
    uint64_t kv_pool_bytes_per_gpu;
    uint64_t gpus;
    const struct host_cgroup *cgroup; // NULL: not known
    const struct model_facts *model;  // NULL: not (yet) read
};

/* A process that belongs to a server, although its tree is another. */
struct join_adoption {
    uint32_t pid;
    uint32_t root_pid; // of the server's tree
};

struct join_facts {
    uint64_t now_ns; // CLOCK_MONOTONIC
    uint64_t unix_ms;
    uint64_t seq;
    struct snapshot_self self;
    const struct gpu_sample *gpu; // NULL: this host has no GPU on purpose
    const struct host_tree *tree; // processes of `gpu`, and their ancestors
    const struct join_engine *engines;
    size_t n_engines;
    const struct join_adoption *adoptions;
    size_t n_adoptions;
    bool servers_known;              // every vLLM server of this host is among `engines`
    const struct snapshot *previous; // NULL: there was none
};

/*
 * Fill `ret`, fresh from snapshot_new(). -ENODATA: no device's memory is known, so there
 * is nothing honest to say; `ret` must then not be shared.
 */
int join(const struct join_facts *facts, struct snapshot *ret) MUST_CHECK;

#endif
