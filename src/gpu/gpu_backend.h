// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_backend.h - for those who implement a GPU back end
 *
 * A back end is one file, gpu_<name>.c, with a `const struct gpu_backend gpu_<name>` as
 * its last lines, and one line in backends.def. It runs in the worker process, where a
 * call may block for ever without harm: the daemon notices and starts another worker.
 */
#ifndef GPU_GPU_BACKEND_H
#define GPU_GPU_BACKEND_H

#include "gpu/gpu.h"

struct intel_calls;

/* Where a back end finds its driver: parameters, so that tests give their own. */
struct gpu_env {
    const char *nvml_library; // NULL: libnvidia-ml.so.1, as the dynamic linker finds it
    const char *sys_root;     // "/sys"
    const char *proc_root;    // "/proc"
    const struct intel_calls *intel; // NULL: the kernel's
    const char *sim_dir; // state of the simulated driver; NULL: an empty device
};

struct gpu_source {
    const struct gpu_backend *backend;
};

/* Tell why there is no answer: verdict and sentence, into `state`. Returns `r`. */
int gpu_say(struct gpu_source_state *state, int r, enum gpu_verdict verdict,
            const char *format, ...) PRINTF_LIKE(4, 5);

/*
 * Open the driver. On failure `state` holds verdict and reason, and the result is
 * -ENODEV when this machine just has no such driver, any other error when it has one
 * that fails. -ESTALE: this process cannot get rid of an older driver's library; the
 * worker ends, and the next one loads the new one. On success fill state->driver_version.
 */
typedef int gpu_open_fn(const struct gpu_env *env, struct gpu_source_state *state,
                        struct gpu_source **ret);

/*
 * Append devices (gpu_add_device), and with `with_processes` their processes
 * (gpu_add_process), to `out`; out->taken_ns is the time now. Each sample reads device
 * memory afresh. Process lists cost more: the worker asks for them once a second, and
 * again whenever a device's memory is not what it was when they were taken. A lost or
 * failing device is appended with its figures UNKNOWN and a reason; the others are still
 * read. A negative result means that the driver as a whole failed: it is closed and opened
 * again later; `state` says why.
 */
typedef int gpu_sample_fn(struct gpu_source *source, bool with_processes,
                          struct gpu_source_state *state, struct gpu_sample *out);

typedef void gpu_close_fn(struct gpu_source *source);

struct gpu_backend {
    const char *name;
    bool only_by_name;    // `--gpu auto` passes it over
    bool reads_processes; // other processes' files in /proc, as far as one may
    bool opens_devices;   // for writing, below /dev
    bool reads_counters;  // that the kernel shows to CAP_PERFMON alone
    gpu_open_fn *open;
    gpu_sample_fn *sample;
    gpu_close_fn *close;
};

/* A device of the source being sampled, every figure UNKNOWN; NULL: there is no room. */
struct gpu_device *gpu_add_device(struct gpu_sample *out, uint32_t index);

/* Why figures of a device are UNKNOWN. The first reason stays. */
void gpu_device_say(struct gpu_device *device, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * Figures that cannot be (no memory at all, more used than there is) become UNKNOWN, with
 * a reason. To be called once the device's figures are in place.
 */
void gpu_device_check(struct gpu_device *device);

/*
 * A row for the device added last, after gpu_device_check(). More bytes than the device
 * has are UNKNOWN. Full: out->processes_incomplete is set.
 */
void gpu_add_process(struct gpu_sample *out, uint32_t pid, uint64_t used_bytes);

#define BACKEND(name) extern const struct gpu_backend gpu_##name;
#include "gpu/backends.def"
#undef BACKEND

#endif
