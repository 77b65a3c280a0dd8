// SPDX-License-Identifier: Apache-2.0
/*
 * sim_kv.h - the block pool of one simulated engine, with its prefix cache
 *
 * Counts, not contents. A request holds private blocks and, through its group, shares the
 * blocks of the prefix that all requests of the group begin with. As in vLLM, one block
 * (the null block) is never handed out, shared blocks count once, and blocks kept only
 * for reuse count as free: they are evicted, least recently used first, when needed.
 */
#ifndef SIM_SIM_KV_H
#define SIM_SIM_KV_H

#include "base/base.h"

enum {
    SIM_KV_GROUPS = 8,
    SIM_KV_NO_GROUP = SIM_KV_GROUPS // a group without a prefix
};

struct sim_kv_group {
    uint64_t blocks; // whole blocks of the prefix
    uint64_t refs;   // requests that hold them
    uint64_t left;   // when the last of these left, in leavings
    bool cached;
};

struct sim_kv {
    uint64_t usable; // all blocks but the null block
    uint64_t used;   // held by live requests
    uint64_t leavings;
    struct sim_kv_group groups[SIM_KV_GROUPS + 1];
};

/*
 * Hold `blocks` and the prefix of `group` for one request. False: there is no room, and
 * nothing has changed but evictions. `ret_hit`: the prefix was in the cache.
 */
bool sim_kv_admit(struct sim_kv *kv, size_t group, uint64_t blocks,
                  bool *ret_hit) MUST_CHECK;

bool sim_kv_grow(struct sim_kv *kv, uint64_t blocks) MUST_CHECK;

/* What a request held; the prefix stays in the cache. */
void sim_kv_release(struct sim_kv *kv, size_t group, uint64_t blocks);

/* The fraction in use, by the very operations that vLLM does. */
double sim_kv_usage(const struct sim_kv *kv);

#endif
