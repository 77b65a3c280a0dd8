// SPDX-License-Identifier: Apache-2.0
/*
 * host.h - made-up hosts of 8 GPUs and 4 vLLM servers, whose figures change each tick
 *
 * Sums are right: a host's totals are those of its rows. A snapshot is filled anew for
 * each message; what is the same for all hosts is in it once.
 */
#ifndef FLEET_HOST_H
#define FLEET_HOST_H

#include "encode/compact.h"

enum { HOST_GPUS = 8, HOST_MODELS = 4, HOST_PROBE_PORT = 9999, HOST_KINDS = 12 };

struct host {
    struct compact_head head;
    uint64_t number;
    bool is_probe; // its last model is "probe", whose kv_used_bytes is the time
    bool distinct; // its models are served nowhere else
    uint64_t seq;
    char uuids[HOST_GPUS][48];
    char containers[HOST_MODELS][SNAPSHOT_CONTAINER_ID_SIZE];
};

void host_init(struct host *host, uint64_t number, uint64_t interval_ms);

/* What is the same for all. */
void host_template(struct snapshot *snapshot);

/* What there is of this host now; `now_us` is what a probe tells. */
void host_fill(struct host *host, uint64_t now_us, struct snapshot *snapshot);

#endif
