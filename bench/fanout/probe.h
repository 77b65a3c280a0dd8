// SPDX-License-Identifier: Apache-2.0
/*
 * probe.h - how old a figure is when it arrives
 *
 * A model "probe" has as its used_kv_cache_bytes the microseconds of CLOCK_MONOTONIC at
 * which that was published (bench/fleet/nodes.c). One figure that comes twice is old, and
 * counted: a newer one was late.
 */
#ifndef FANOUT_PROBE_H
#define FANOUT_PROBE_H

#include "base/base.h"

struct probe {
    uint32_t *age_us; // of each event that has a figure
    size_t n, room;
    uint64_t *last; // of each reader
    uint64_t missing, repeated, backward;
};

int probe_new(struct probe *probe, size_t readers, size_t ticks) MUST_CHECK;

/* Of one reader's event, which arrived at `now_us` of CLOCK_MONOTONIC. */
void probe_take(struct probe *probe, size_t reader, struct span event, uint64_t now_us);

/* As members of a JSON object, "probe_age_us" in microseconds. */
void probe_print(struct probe *probe);

#endif
