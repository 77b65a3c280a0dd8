// SPDX-License-Identifier: Apache-2.0
/*
 * sim_engine.h - one simulated engine core: requests come, hold KV blocks, finish
 *
 * The engine advances in steps as vLLM's scheduler does: every running request gets its
 * next token (or a piece of its prompt), waiting ones are admitted in order while there
 * is room, and the last running one is preempted when a block is missing. A step takes
 * longer the more it computes. Same options, same history: time comes in, chance comes
 * from the seed.
 */
#ifndef SIM_SIM_ENGINE_H
#define SIM_SIM_ENGINE_H

#include "sim/sim_stats.h"

struct sim_engine;

/* The fraction of the pool that requests want, at a time in seconds; may pass 1. */
typedef double sim_demand_fn(double at_s);

struct sim_engine_options {
    uint64_t kv_blocks;  // with the null block
    uint64_t block_size; // tokens
    uint64_t seed;
    sim_demand_fn *demand;
    double phase_s; // added to the time that `demand` is asked for
};

/* Tokens that all requests together may hold: SIM_POOL_TOKENS_MIN at least. */
enum { SIM_POOL_TOKENS_MIN = 64 };

int sim_engine_new(const struct sim_engine_options *options,
                   struct sim_engine **ret) MUST_CHECK;
void sim_engine_free(struct sim_engine *engine);

/* Do every step that ends by `until_ns`, counted from 0 at sim_engine_new(). */
void sim_engine_advance(struct sim_engine *engine, uint64_t until_ns);

const struct sim_stats *sim_engine_stats(const struct sim_engine *engine);

#endif
