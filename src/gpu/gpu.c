// SPDX-License-Identifier: Apache-2.0
#include "gpu/gpu_backend.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

/* No device has more; and 64 of them still add up to less than INT64_MAX. */
#define DEVICE_BYTES_MAX (UINT64_C(1) << 50)

// clang-format off
static const struct {
    const char *name;
    const char *remedy;
} verdicts[] = {
    [GPU_NOT_ASKED] = {"not-asked",
        "Choose a driver with --gpu, or --gpu none on a host without a GPU."},
    [GPU_OK] = {"ok", ""},
    [GPU_NO_LIBRARY] = {"no-library",
        "Install the driver's libnvidia-ml.so.1 or name its path with --nvml-library. On "
        "a host without a GPU use --gpu none; to look around, --demo."},
    [GPU_BAD_LIBRARY] = {"bad-library",
        "Install the libnvidia-ml.so.1 that belongs to the driver, of this architecture, "
        "or name its path with --nvml-library. It must be owned by root, and nobody else "
        "may write to it."},
    [GPU_NO_DRIVER] = {"no-driver",
        "Load the kernel driver (modprobe nvidia, amdgpu or xe) and look for its errors "
        "in dmesg. On a host without a GPU use --gpu none; to look around, --demo."},
    [GPU_VERSION_MISMATCH] = {"version-mismatch",
        "The driver was upgraded while it was in use: reboot, or unload and load its "
        "kernel modules again."},
    [GPU_NO_DEVICE] = {"no-device",
        "Look whether lspci shows the device; a container must be given it (--gpus all; "
        "--device /dev/kfd --device /dev/dri). On a host without a GPU use --gpu none; to "
        "look around, --demo."},
    [GPU_NO_PERMISSION] = {"no-permission",
        "Let this user open the driver's device files (/dev/nvidiactl, /dev/nvidia0, "
        "/dev/dri/renderD128), also in the service's DeviceAllow= or the container's "
        "device list."},
    [GPU_FAILED] = {"failed",
        "Look for the driver's errors in dmesg (NVRM: Xid, amdgpu, xe); reset the device "
        "or reboot."},
};
// clang-format on

_Static_assert(ARRAY_LEN(verdicts) == GPU_VERDICTS, "each verdict has its line");

const char *gpu_verdict_name(enum gpu_verdict verdict)
{
    return verdict < GPU_VERDICTS ? verdicts[verdict].name : "unknown";
}

const char *gpu_verdict_remedy(enum gpu_verdict verdict)
{
    return verdict < GPU_VERDICTS ? verdicts[verdict].remedy : "";
}

/* Reasons quote paths and what libraries say. */
PRINTF_LIKE(2, 0)
static void write_reason(char *reason, const char *format, va_list args)
{
    char text[2 * GPU_REASON_MAX];

    (void)vsnprintf(text, sizeof(text), format, args);
    (void)text_clean(reason, GPU_REASON_MAX, span_of(text));
}

int gpu_say(struct gpu_source_state *state, int r, enum gpu_verdict verdict,
            const char *format, ...)
{
    va_list args;

    state->verdict = verdict;
    va_start(args, format);
    write_reason(state->reason, format, args);
    va_end(args);
    return r;
}

void gpu_device_say(struct gpu_device *device, const char *format, ...)
{
    va_list args;

    if (device->reason[0])
        return;
    va_start(args, format);
    write_reason(device->reason, format, args);
    va_end(args);
}

bool gpu_is_same_device(const struct gpu_device *a, const struct gpu_device *b)
{
    return a->index == b->index && a->instance == b->instance &&
           strcmp(a->uuid, b->uuid) == 0;
}

struct gpu_device *gpu_add_device(struct gpu_sample *out, uint32_t index)
{
    struct gpu_device *device;

    if (out->n_devices >= GPU_DEVICES_MAX)
        return NULL;

    device = &out->devices[out->n_devices++];
    *device = (struct gpu_device){
        .source = out->n_sources ? out->n_sources - 1 : 0,
        .index = index,
        .instance = GPU_NO_INSTANCE,
        .mem_total_bytes = UNKNOWN,
        .mem_used_bytes = UNKNOWN,
        .mem_reserved_bytes = UNKNOWN,
    };
    return device;
}

void gpu_device_check(struct gpu_device *device)
{
    uint64_t total = device->mem_total_bytes;

    if (total != UNKNOWN && (total == 0 || total > DEVICE_BYTES_MAX)) {
        gpu_device_say(device, "the driver says that the device has %" PRIu64 " bytes",
                       total);
        device->mem_total_bytes = UNKNOWN;
        device->mem_used_bytes = UNKNOWN;
        device->mem_reserved_bytes = UNKNOWN;
        return;
    }
    if (device->mem_used_bytes != UNKNOWN && device->mem_used_bytes > total) {
        gpu_device_say(device,
                       "the driver says that %" PRIu64 " of %" PRIu64 " bytes are in use",
                       device->mem_used_bytes, total);
        device->mem_used_bytes = UNKNOWN;
    }
    if (device->mem_reserved_bytes != UNKNOWN && device->mem_reserved_bytes > total) {
        gpu_device_say(
            device, "the driver says that %" PRIu64 " of %" PRIu64 " bytes are reserved",
            device->mem_reserved_bytes, total);
        device->mem_reserved_bytes = UNKNOWN;
    }
    if (total == UNKNOWN || device->mem_used_bytes == UNKNOWN)
        gpu_device_say(device, "the driver does not tell how much memory the device has "
                               "or how much is in use");
}

void gpu_add_process(struct gpu_sample *out, uint32_t pid, uint64_t used_bytes)
{
    struct gpu_device *device;

    if (out->n_devices == 0 || out->n_processes >= GPU_PROCESSES_MAX) {
        out->processes_incomplete = 1;
        return;
    }

    device = &out->devices[out->n_devices - 1];
    if (used_bytes != UNKNOWN &&
        used_bytes > MIN(device->mem_total_bytes, DEVICE_BYTES_MAX)) {
        gpu_device_say(device,
                       "the driver says that process %" PRIu32 " holds %" PRIu64
                       " bytes, more than there are",
                       pid, used_bytes);
        used_bytes = UNKNOWN;
    }
    out->processes[out->n_processes++] = (struct gpu_process){
        .pid = pid,
        .device = out->n_devices - 1,
        .used_bytes = used_bytes,
    };
}
