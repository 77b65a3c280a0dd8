// SPDX-License-Identifier: Apache-2.0
/*
 * sim_stats.h - what one simulated engine counts, under vLLM's names
 *
 * Plain numbers: the simulation adds to them, the page writer prints them.
 */
#ifndef SIM_SIM_STATS_H
#define SIM_SIM_STATS_H

#include "base/base.h"

/* Values that one metric family shows side by side stand side by side. */
enum sim_value {
    SIM_RUNNING,
    SIM_WAITING,
    SIM_WAITING_CAPACITY,
    SIM_WAITING_DEFERRED,
    SIM_AWAKE,
    SIM_WEIGHTS_OFFLOADED,
    SIM_DISCARD_ALL,
    SIM_KV_USAGE, // 0..1
    SIM_PREFIX_QUERIES,
    SIM_PREFIX_HITS,
    SIM_PREEMPTIONS,
    SIM_PROMPT_TOKENS,
    SIM_PROMPT_COMPUTED,
    SIM_PROMPT_CACHED,
    SIM_PROMPT_TRANSFERRED,
    SIM_GENERATION_TOKENS,
    SIM_FINISHED_STOP,
    SIM_FINISHED_LENGTH,
    SIM_FINISHED_ABORT,
    SIM_FINISHED_ERROR,
    SIM_FINISHED_REPETITION,
    SIM_FLOPS,
    SIM_READ_BYTES,
    SIM_WRITE_BYTES,
    SIM_EXTERNAL_QUERIES,
    SIM_EXTERNAL_HITS,
    SIM_MM_QUERIES,
    SIM_MM_HITS,
    SIM_VALUES
};

enum sim_histogram_id {
    SIM_REQUEST_PROMPT_TOKENS,
    SIM_REQUEST_GENERATION_TOKENS,
    SIM_ITERATION_TOKENS,
    SIM_REQUEST_MAX_GENERATION_TOKENS,
    SIM_REQUEST_N,
    SIM_REQUEST_MAX_TOKENS,
    SIM_FIRST_TOKEN_SECONDS,
    SIM_INTER_TOKEN_SECONDS,
    SIM_TIME_PER_TOKEN_SECONDS,
    SIM_E2E_SECONDS,
    SIM_QUEUE_SECONDS,
    SIM_INFERENCE_SECONDS,
    SIM_PREFILL_SECONDS,
    SIM_DECODE_SECONDS,
    SIM_PREFILL_COMPUTED_TOKENS,
    SIM_HTTP_SECONDS, // as the HTTP layer counts them, finely
    SIM_HTTP_COARSE_SECONDS,
    SIM_HISTOGRAMS
};

enum { SIM_BUCKETS_MAX = 24 };

/* Upper bounds of all buckets but the last, which is +Inf. */
struct sim_bounds {
    const double *at;
    size_t n;
};

struct sim_histogram {
    uint64_t buckets[SIM_BUCKETS_MAX]; // not cumulative
    double sum;
};

struct sim_stats {
    double values[SIM_VALUES];
    struct sim_histogram histograms[SIM_HISTOGRAMS];
    uint64_t used_blocks;
};

struct sim_bounds sim_stats_bounds(enum sim_histogram_id id);

void sim_stats_observe(struct sim_stats *stats, enum sim_histogram_id id, double value);

#endif
