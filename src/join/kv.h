// SPDX-License-Identifier: Apache-2.0
/*
 * kv.h - KV-cache bytes from what an engine says and what is known about its blocks
 *
 * An engine says which blocks live requests hold; nobody but the operator, or a pool size
 * ordered in bytes, says how large a block is. Sources are tried in the order of trust;
 * where none answers, the bytes are not known.
 */
#ifndef JOIN_KV_H
#define JOIN_KV_H

#include "join/join.h"

struct kv_bytes {
    struct figure used; // by live requests, on all GPUs of the engine
    struct figure pool; // null blocks included
};

/*
 * `gpus_seen`: GPUs that its processes hold memory on; 0: not known.
 * `limit_bytes`: no pool can be larger; UNKNOWN: no limit is known.
 */
struct kv_bytes kv_bytes_of(const struct join_engine *engine, uint32_t gpus_seen,
                            uint64_t limit_bytes, uint64_t now_ns);

#endif
