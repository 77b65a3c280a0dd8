// SPDX-License-Identifier: Apache-2.0
#include "daemon/gpu_log.h"

#include "base/log.h"

static void log_device(bool *failing, const struct snapshot_device *device)
{
    bool fails = device->mem_used_bytes == UNKNOWN;

    if (fails == *failing)
        return;
    *failing = fails;
    if (fails)
        log_warning(
            "GPU %u (%s): its memory is not known, and left out of the totals: %s",
            device->index, device->uuid, device->reason);
    else
        log_info("GPU %u (%s) answers again", device->index, device->uuid);
}

void gpu_log_snapshot(struct gpu_log *log, const struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->n_devices; i++)
        log_device(&log->failing[i], &snapshot->devices[i]);
    if (snapshot->self.worker_restarts > log->restarts) {
        log->restarts = snapshot->self.worker_restarts;
        log_warning(
            "the process that reads the GPU driver was started again (%llu times)",
            (unsigned long long)log->restarts);
    }
}
