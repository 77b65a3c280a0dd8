// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_load.h"

#include "sim/sim_engine.h"

#include <math.h>

struct sim_load {
    struct sim_load_options options;
    uint64_t now_ns;
    struct sim_engine *engines[SIM_ENGINES_MAX];
};

static const double sine_period_s = 60;
static const double burst_period_s = 30;
static const double burst_s = 8;
static const double phase_between_engines_s = 7;

static double demand_steady(double at_s)
{
    (void)at_s;
    return 0.45;
}

static double demand_sine(double at_s)
{
    return 0.45 + 0.35 * sin(2 * M_PI * at_s / sine_period_s);
}

/* Far more than fits, then next to nothing: queues, preemptions, an empty pool. */
static double demand_burst(double at_s)
{
    return fmod(at_s, burst_period_s) < burst_s ? 2.5 : 0.02;
}

static double demand_idle(double at_s)
{
    (void)at_s;
    return 0;
}

static const struct {
    const char *name;
    sim_demand_fn *demand;
} patterns[SIM_PATTERNS] = {
    [SIM_STEADY] = {"steady", demand_steady},
    [SIM_SINE] = {"sine", demand_sine},
    [SIM_BURST] = {"burst", demand_burst},
    [SIM_IDLE] = {"idle", demand_idle},
};

bool sim_pattern_find(const char *name, enum sim_pattern *ret)
{
    for (size_t i = 0; i < SIM_PATTERNS; i++) {
        if (strcmp(patterns[i].name, name) == 0) {
            *ret = (enum sim_pattern)i;
            return true;
        }
    }
    return false;
}

int sim_load_new(const struct sim_load_options *options, struct sim_load **ret)
{
    struct sim_load *load;

    if (options->engines < 1 || options->engines > SIM_ENGINES_MAX)
        return -EINVAL;
    load = calloc(1, sizeof(*load));
    if (!load)
        return -ENOMEM;

    load->options = *options;
    for (size_t i = 0; i < options->engines; i++) {
        const struct sim_engine_options engine = {
            .kv_blocks = options->kv_blocks,
            .block_size = options->block_size,
            .seed = options->seed * SIM_ENGINES_MAX + i,
            .demand = patterns[options->pattern].demand,
            .phase_s = phase_between_engines_s * (double)i,
        };
        int r = sim_engine_new(&engine, &load->engines[i]);

        if (r < 0) {
            sim_load_free(load);
            return r;
        }
    }
    *ret = load;
    return 0;
}

void sim_load_free(struct sim_load *load)
{
    if (!load)
        return;
    for (size_t i = 0; i < load->options.engines; i++)
        sim_engine_free(load->engines[i]);
    free(load);
}

void sim_load_advance(struct sim_load *load, uint64_t by_ns)
{
    load->now_ns += by_ns;
    for (size_t i = 0; i < load->options.engines; i++)
        sim_engine_advance(load->engines[i], load->now_ns);
}

const struct sim_load_options *sim_load_options(const struct sim_load *load)
{
    return &load->options;
}

const struct sim_stats *sim_load_stats(const struct sim_load *load, size_t engine)
{
    return sim_engine_stats(load->engines[engine]);
}
