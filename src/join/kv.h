// SPDX-License-Identifier: Apache-2.0
/*
 * kv.h - KV-cache bytes from what an engine says and what is known about its blocks
 *
 * An engine says which blocks live requests hold; how large a block is, somebody else has
 * to say. Those who can are asked in the order of trust (kv_sources.c); the first whose
 * word does not contradict the engine or the driver counts. Where nobody can, the bytes
 * are not known.
 */
#ifndef JOIN_KV_H
#define JOIN_KV_H

#include "join/join.h"

struct kv_bytes {
    struct figure used;     // by live requests, on all GPUs of the engine
    struct figure pool;     // null blocks included
    struct figure retained; // in blocks that no request holds and that can still be hit
    const char *source; // who says how large a block is: "config.json", ...; NULL: nobody
    bool same_on_each_gpu; // the pool: it was told of each, and is the same on all
    uint64_t groups;       // block ids that a token takes at most, by its config; UNKNOWN
};

/* What the driver says about the engine's processes. */
struct kv_holder {
    uint32_t gpus;        // that they hold memory on; 0: not known
    uint64_t held_bytes;  // on all of them; UNKNOWN: not known
    uint64_t limit_bytes; // no pool can be larger; UNKNOWN: no limit is known
};

struct kv_bytes kv_bytes_of(const struct join_engine *engine,
                            const struct kv_holder *holder, uint64_t now_ns);

#endif
