// SPDX-License-Identifier: Apache-2.0
/*
 * sim_load.h - the engines of one simulated server under a pattern of load
 *
 * Pure: time is passed in, nothing is read or printed. Two loads made with the same
 * options and advanced by the same total show the same numbers, however the total was
 * divided.
 */
#ifndef SIM_SIM_LOAD_H
#define SIM_SIM_LOAD_H

#include "sim/sim_stats.h"

enum { SIM_ENGINES_MAX = 64 };

enum sim_pattern { SIM_STEADY, SIM_SINE, SIM_BURST, SIM_IDLE, SIM_PATTERNS };

struct sim_load_options {
    size_t engines;      // 1..SIM_ENGINES_MAX
    uint64_t kv_blocks;  // of each engine, with the null block
    uint64_t block_size; // tokens
    enum sim_pattern pattern;
    uint64_t seed;
};

struct sim_load;

/* -EINVAL: a pool too small for requests (SIM_POOL_TOKENS_MIN), or no engines. */
int sim_load_new(const struct sim_load_options *options,
                 struct sim_load **ret) MUST_CHECK;
void sim_load_free(struct sim_load *load);

void sim_load_advance(struct sim_load *load, uint64_t by_ns);

const struct sim_load_options *sim_load_options(const struct sim_load *load);
const struct sim_stats *sim_load_stats(const struct sim_load *load, size_t engine);

/* "steady", "sine", "burst", "idle"; false: no such pattern. */
bool sim_pattern_find(const char *name, enum sim_pattern *ret) MUST_CHECK;

#endif
