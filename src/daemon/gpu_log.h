// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_log.h - say in the log, once, when a device or its driver fails and when it is back
 */
#ifndef DAEMON_GPU_LOG_H
#define DAEMON_GPU_LOG_H

#include "snapshot/snapshot.h"

struct gpu_log {
    bool failing[GPU_DEVICES_MAX]; // by place in the snapshot
    uint64_t restarts;             // of the worker, told so far
};

void gpu_log_snapshot(struct gpu_log *log, const struct snapshot *snapshot);

#endif
