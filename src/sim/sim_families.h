// SPDX-License-Identifier: Apache-2.0
/*
 * sim_families.h - the metric families that vLLM keeps per engine, in its order
 *
 * Names, labels and help texts are vLLM's own: they are the interface that is simulated.
 */
#ifndef SIM_SIM_FAMILIES_H
#define SIM_SIM_FAMILIES_H

#include "sim/sim_stats.h"

enum sim_family_type { SIM_COUNTER, SIM_GAUGE, SIM_HISTOGRAM };

struct sim_family {
    const char *name; // a counter's without _total
    const char *help;
    enum sim_family_type type;
    unsigned first;    // enum sim_value, or enum sim_histogram_id of a histogram
    const char *label; // told apart by this label; NULL: one series per engine
    const char *const
        *values; // of `label`, NULL last; values of sim_stats from `first` on
};

extern const struct sim_family sim_families[];
extern const size_t sim_families_n;

#endif
