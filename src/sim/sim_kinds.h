// SPDX-License-Identifier: Apache-2.0
/*
 * sim_kinds.h - what servers of other kinds than vLLM answer
 *
 * Each kind is a few pages on its own paths, written from the same simulated load. What
 * they are called and mean is docs/engines.md's; how they look in full is not simulated.
 */
#ifndef SIM_SIM_KINDS_H
#define SIM_SIM_KINDS_H

#include "base/buf.h"
#include "sim/sim_load.h"

/* What is told, lent. */
struct sim_view {
    const char *model;
    const struct sim_load *load;
    uint64_t vram_bytes;     // of each GPU
    uint64_t kv_pool_bytes;  // UNKNOWN: not to be told
    bool no_metrics;         // as without the flag that the kind needs
    uint64_t *metrics_taken; // how often what reading uses up was read
};

struct sim_answer {
    int status;
    bool is_json; // else Prometheus text
};

/* A kind but vLLM; NULL: there is none of that name. */
struct sim_kind;
const struct sim_kind *sim_kind_named(const char *name);

/* Append the body of the answer to `path` to `out`. */
struct sim_answer sim_kind_answer(const struct sim_kind *kind, struct span path,
                                  const struct sim_view *view, struct buf *out);

#endif
