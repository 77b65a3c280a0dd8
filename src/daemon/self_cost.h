// SPDX-License-Identifier: Apache-2.0
/*
 * self_cost.h - what this process takes of its host
 */
#ifndef DAEMON_SELF_COST_H
#define DAEMON_SELF_COST_H

#include "base/base.h"

struct self_cost {
    int statm_fd;
};

void self_cost_open(struct self_cost *cost);
void self_cost_close(struct self_cost *cost);

uint64_t self_cost_rss_bytes(const struct self_cost *cost); // UNKNOWN: not readable

/* User and system time of all threads. */
double self_cost_cpu_seconds(void);

#endif
