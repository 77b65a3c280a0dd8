// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_stats.h"

// clang-format off
static const double token_bounds[] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000,
};
static const double step_bounds[] = {
    1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
};
static const double n_bounds[] = {1, 2, 5, 10, 20};
static const double first_token_bounds[] = {
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    20, 40, 80, 160, 640, 2560,
};
static const double per_token_bounds[] = {
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    20, 40, 80,
};
static const double request_bounds[] = {
    0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960,
    1920, 7680,
};
static const double http_bounds[] = {
    0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5,
    7.5, 10, 30, 60,
};
static const double http_coarse_bounds[] = {0.1, 0.5, 1};

#define BOUNDS(array) {array, ARRAY_LEN(array)}

static const struct sim_bounds bounds[SIM_HISTOGRAMS] = {
    [SIM_REQUEST_PROMPT_TOKENS] = BOUNDS(token_bounds),
    [SIM_REQUEST_GENERATION_TOKENS] = BOUNDS(token_bounds),
    [SIM_ITERATION_TOKENS] = BOUNDS(step_bounds),
    [SIM_REQUEST_MAX_GENERATION_TOKENS] = BOUNDS(token_bounds),
    [SIM_REQUEST_N] = BOUNDS(n_bounds),
    [SIM_REQUEST_MAX_TOKENS] = BOUNDS(token_bounds),
    [SIM_FIRST_TOKEN_SECONDS] = BOUNDS(first_token_bounds),
    [SIM_INTER_TOKEN_SECONDS] = BOUNDS(per_token_bounds),
    [SIM_TIME_PER_TOKEN_SECONDS] = BOUNDS(per_token_bounds),
    [SIM_E2E_SECONDS] = BOUNDS(request_bounds),
    [SIM_QUEUE_SECONDS] = BOUNDS(request_bounds),
    [SIM_INFERENCE_SECONDS] = BOUNDS(request_bounds),
    [SIM_PREFILL_SECONDS] = BOUNDS(request_bounds),
    [SIM_DECODE_SECONDS] = BOUNDS(request_bounds),
    [SIM_PREFILL_COMPUTED_TOKENS] = BOUNDS(token_bounds),
    [SIM_HTTP_SECONDS] = BOUNDS(http_bounds),
    [SIM_HTTP_COARSE_SECONDS] = BOUNDS(http_coarse_bounds),
};
// clang-format on

struct sim_bounds sim_stats_bounds(enum sim_histogram_id id)
{
    return bounds[id];
}

void sim_stats_observe(struct sim_stats *stats, enum sim_histogram_id id, double value)
{
    struct sim_histogram *histogram = &stats->histograms[id];
    size_t i = 0;

    while (i < bounds[id].n && value > bounds[id].at[i])
        i++;
    histogram->buckets[i]++;
    histogram->sum += value;
}
