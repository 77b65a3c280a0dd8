// SPDX-License-Identifier: Apache-2.0
/*
 * gpu.h - what GPU drivers say: devices, processes, and why something is missing
 *
 * Plain facts, taken in the worker process and carried to the daemon in one frame. All
 * byte counts are UNKNOWN until a driver gave them. Strings are NUL-terminated, valid
 * UTF-8 without control characters (text_clean() at the source).
 */
#ifndef GPU_GPU_H
#define GPU_GPU_H

#include "base/base.h"

enum {
    GPU_SOURCES_MAX = 4,
    GPU_DEVICES_MAX = 64,
    GPU_PROCESSES_MAX = 2048,
    GPU_UUID_MAX = 96,
    GPU_NAME_MAX = 96,
    GPU_REASON_MAX = 192,
};

/* Why a driver gives no devices, told apart because the remedies differ. */
enum gpu_verdict {
    GPU_NOT_ASKED,        // no such source was tried
    GPU_OK,               // the driver answers
    GPU_NO_LIBRARY,       // the vendor's library is not installed
    GPU_BAD_LIBRARY,      // it is there, but lacks what we need
    GPU_NO_DRIVER,        // the kernel driver is not loaded
    GPU_VERSION_MISMATCH, // library and kernel driver differ: upgrade without reboot
    GPU_NO_DEVICE,        // the driver answers and has no device
    GPU_NO_PERMISSION,
    GPU_FAILED, // anything else; `reason` says
    GPU_VERDICTS
};

#define GPU_NO_INSTANCE UINT32_MAX

/* One back end, as it is now. */
struct gpu_source_state {
    char backend[16];
    uint32_t verdict;            // enum gpu_verdict
    uint32_t reserved;           // always 0: the frame has no unnamed bytes
    char driver_version[32];     // "" when unknown
    char reason[GPU_REASON_MAX]; // a sentence; "" when GPU_OK
};

/*
 * A row to be summed over: a whole GPU, or an instance of one that is partitioned, whose
 * GPU then has no row of its own. No byte of memory is in two rows.
 */
struct gpu_device {
    uint32_t source;   // index into gpu_sample.sources
    uint32_t index;    // the driver's own number; of an instance, that of its GPU
    uint32_t instance; // GPU instance (MIG) of GPU `index`; GPU_NO_INSTANCE: a whole GPU
    uint16_t unified;  // 1: its memory is the host's, so total and used are, too
    uint16_t used_is_estimate; // 1: mem_used_bytes is no driver's figure; `reason` says
    char uuid[GPU_UUID_MAX];
    char name[GPU_NAME_MAX];
    char parent_uuid[GPU_UUID_MAX]; // of the GPU that an instance is a part of; else ""
    uint64_t mem_total_bytes;
    uint64_t mem_used_bytes; // by anyone; without mem_reserved_bytes where that is known
    uint64_t mem_reserved_bytes; // held by driver and firmware, in no process
    char reason[GPU_REASON_MAX]; // why figures are UNKNOWN, or what they are; else ""
};

/* The same GPU, or instance of one; two sources may number theirs alike. */
bool gpu_is_same_device(const struct gpu_device *a, const struct gpu_device *b);

/* Device memory of one process on one device; a process may have several rows. */
struct gpu_process {
    uint32_t pid;
    uint32_t device;     // index into gpu_sample.devices
    uint64_t used_bytes; // UNKNOWN where the driver hides it
};

struct gpu_sample {
    uint64_t taken_ns;           // CLOCK_MONOTONIC when device memory was read
    uint64_t processes_taken_ns; // when `processes` was; 0: never
    uint32_t n_sources;
    uint32_t n_devices;
    uint32_t n_processes;
    uint32_t
        processes_incomplete; // a list could not be read whole: sums over it are minima
    struct gpu_source_state sources[GPU_SOURCES_MAX];
    struct gpu_device devices[GPU_DEVICES_MAX];
    struct gpu_process processes[GPU_PROCESSES_MAX];
};

const char *gpu_verdict_name(enum gpu_verdict verdict); // "ok", "no-library", ...

/* What the operator can do about it; "" for GPU_OK. */
const char *gpu_verdict_remedy(enum gpu_verdict verdict);

#endif
