// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_nvml.c - NVIDIA devices, through the library that comes with their driver
 *
 * A memory call costs some 10 us and is made for each sample; a process list can cost
 * milliseconds under a lock of the driver, and is read only when asked.
 *
 * Which devices there are is looked at every 10 s, and at once when one is lost. What the
 * library knew when it was started does not change by that: a GPU that was added, or is
 * back after a reset, needs nvmlShutdown and nvmlInit. Both are called when the number of
 * GPUs has changed, and while a device is lost 5, 10, 20, 40 and then every 60 s after.
 */
#include "gpu/nvml.h"

#include "base/text.h"
#include "gpu/host_memory.h"

#define LOOK_EVERY_NS UINT64_C(10000000000)
#define LOOK_AFTER_TROUBLE_NS UINT64_C(5000000000)
#define RENEW_FIRST_NS UINT64_C(5000000000)
#define RENEW_MAX_NS UINT64_C(60000000000)

// clang-format off
static const struct nvml_error {
    int code;
    enum gpu_verdict verdict;
    int error;
    bool whole; // not this device but the driver fails: close it and start again
    const char *text;
} errors[] = {
    {NVML_UNINITIALIZED, GPU_FAILED, -EIO, true, "the library has lost its driver"},
    {NVML_INVALID_ARGUMENT, GPU_FAILED, -EINVAL, false, "the device is not there any more"},
    {NVML_NOT_SUPPORTED, GPU_FAILED, -EOPNOTSUPP, false, "not supported on this device"},
    {NVML_NO_PERMISSION, GPU_NO_PERMISSION, -EACCES, false, "permission denied"},
    {NVML_NOT_FOUND, GPU_FAILED, -ENOENT, false, "the device is not there any more"},
    {NVML_INSUFFICIENT_SIZE, GPU_FAILED, -E2BIG, false, "there are too many"},
    {NVML_DRIVER_NOT_LOADED, GPU_NO_DRIVER, -ENODEV, true,
     "the kernel driver is not loaded"},
    {NVML_TIMEOUT, GPU_FAILED, -ETIMEDOUT, false, "the device did not answer in time"},
    {NVML_LIBRARY_NOT_FOUND, GPU_BAD_LIBRARY, -ELIBACC, false,
     "the driver lacks a part of its library"},
    {NVML_FUNCTION_NOT_FOUND, GPU_BAD_LIBRARY, -ENOSYS, false,
     "this version of the driver cannot do it"},
    {NVML_GPU_IS_LOST, GPU_FAILED, -EIO, false, "the device has fallen off the bus"},
    {NVML_RESET_REQUIRED, GPU_FAILED, -EIO, false, "the device needs a reset"},
    {NVML_OPERATING_SYSTEM, GPU_NO_PERMISSION, -EPERM, false,
     "the operating system or a cgroup blocks the device"},
    {NVML_LIB_RM_VERSION_MISMATCH, GPU_VERSION_MISMATCH, -EPROTO, true,
     "the library's version is not the kernel driver's"},
    {NVML_MEMORY, GPU_FAILED, -ENOMEM, false, "out of memory"},
    {NVML_GPU_NOT_FOUND, GPU_FAILED, -ENODEV, false, "the device is not there any more"},
    {NVML_UNKNOWN, GPU_FAILED, -EIO, false, "unknown error"}, // the last: for all others
};
// clang-format on

static const struct nvml_error *find_error(int code)
{
    size_t i = 0;

    while (i < ARRAY_LEN(errors) - 1 && errors[i].code != code)
        i++;
    return &errors[i];
}

int nvml_fail(struct gpu_source_state *state, int code)
{
    const struct nvml_error *e = find_error(code);

    return gpu_say(state, e->error, e->verdict, "NVML: %s (error %d)", e->text, code);
}

int nvml_device_fail(struct gpu_device *device, const char *what, int code)
{
    const struct nvml_error *e = find_error(code);
    bool helps = device->parent_uuid[0] && e->verdict == GPU_NO_PERMISSION;

    gpu_device_say(device, "%s: %s (NVML error %d)%s", what, e->text, code,
                   helps ? "; run as root, or give access to the files of MIG in "
                           "/dev/nvidia-caps"
                         : "");
    return e->whole ? code : NVML_SUCCESS;
}

bool nvml_is_loss(int code)
{
    return code == NVML_GPU_IS_LOST || code == NVML_RESET_REQUIRED ||
           code == NVML_NOT_FOUND || code == NVML_GPU_NOT_FOUND ||
           code == NVML_INVALID_ARGUMENT || code == NVML_UNKNOWN;
}

static int read_memory_v1(struct nvml *nvml, nvml_device handle,
                          struct gpu_device *device)
{
    struct nvml_memory_v1 memory = {0};
    int r = nvml->library.api.DeviceGetMemoryInfo(handle, &memory);

    if (r != NVML_SUCCESS)
        return r;
    device->mem_total_bytes = memory.total;
    device->mem_used_bytes = memory.used;
    return r;
}

static int read_memory_v2(struct nvml *nvml, nvml_device handle,
                          struct gpu_device *device)
{
    struct nvml_memory_v2 memory = {.version = NVML_MEMORY_V2};
    int r = nvml->library.api.DeviceGetMemoryInfo_v2(handle, &memory);

    if (r != NVML_SUCCESS)
        return r;
    device->mem_total_bytes = memory.total;
    device->mem_used_bytes = memory.used;
    device->mem_reserved_bytes = memory.reserved;
    return r;
}

static void note_loss(struct nvml *nvml, struct nvml_gpu *gpu, int code)
{
    bool lost = nvml_is_loss(code);

    if (lost && !gpu->lost)
        nvml->look_again = true;
    gpu->lost = lost;
}

/* NVML's "not available" is UNKNOWN already; gpu_device_check() gives it a reason. */
static int read_memory(struct nvml *nvml, struct nvml_gpu *gpu, struct gpu_sample *out)
{
    struct gpu_device *device = &out->devices[out->n_devices - 1];
    nvml_device handle = gpu->handles[0];
    int r = NVML_FUNCTION_NOT_FOUND;

    if (!nvml->no_memory_v2)
        r = read_memory_v2(nvml, handle, device);
    nvml->no_memory_v2 = nvml->no_memory_v2 || nvml_is_too_old(r);
    if (nvml_is_too_old(r) || r == NVML_NOT_SUPPORTED)
        r = read_memory_v1(nvml, handle, device);
    note_loss(nvml, gpu, r);
    if (r == NVML_SUCCESS)
        return r;
    if (r == NVML_NOT_SUPPORTED && gpu->instance == GPU_NO_INSTANCE) {
        host_memory_fill(out, nvml->proc_root); // it has none of its own
        return NVML_SUCCESS;
    }
    nvml->trouble = nvml->trouble || r != NVML_NOT_SUPPORTED;
    return nvml_device_fail(device, "its memory cannot be read", r);
}

static int sample_device(struct nvml *nvml, struct nvml_gpu *gpu, bool with_processes,
                         struct gpu_sample *out)
{
    struct gpu_device *device = gpu_add_device(out, gpu->index);
    int r;

    if (!device) {
        nvml->n_hidden++;
        return NVML_SUCCESS;
    }
    device->instance = gpu->instance;
    memcpy(device->uuid, gpu->uuid, sizeof(device->uuid));
    memcpy(device->name, gpu->name, sizeof(device->name));
    memcpy(device->parent_uuid, gpu->parent_uuid, sizeof(device->parent_uuid));

    if (gpu->error != NVML_SUCCESS) {
        bool of_mig = gpu->parent_uuid[0] && gpu->instance == GPU_NO_INSTANCE;

        nvml->trouble = true;
        if (with_processes)
            out->processes_incomplete = 1;
        return nvml_device_fail(
            device, of_mig ? "a MIG instance cannot be opened" : "it cannot be opened",
            gpu->error);
    }
    r = read_memory(nvml, gpu, out);
    gpu_device_check(device);
    if (device->mem_used_bytes != UNKNOWN && device->mem_reserved_bytes == UNKNOWN)
        gpu_device_say(device, "this driver counts its own share as memory in use");
    if (r == NVML_SUCCESS && with_processes)
        r = nvml_read_processes(nvml, gpu, out);
    if (gpu->caveat)
        gpu_device_say(device, "%s", gpu->caveat);
    return r;
}

static int start(struct nvml *nvml, struct gpu_source_state *state)
{
    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): the library must have it
    int r = nvml->library.api.Init_v2();

    nvml->initialized = r == NVML_SUCCESS;
    return nvml->initialized ? 0 : nvml_fail(state, r);
}

static void stop(struct nvml *nvml)
{
    if (nvml->initialized)
        (void)nvml->library.api.Shutdown(); // there is nothing to be done about a refusal
    nvml->initialized = false;
}

static int look(struct nvml *nvml, struct gpu_source_state *state, uint64_t now_ns)
{
    int r = nvml_look(nvml, now_ns);

    return r == NVML_SUCCESS ? 0 : nvml_fail(state, r);
}

static bool is_look_due(const struct nvml *nvml, uint64_t now_ns)
{
    return !nvml->looked || nvml->look_again ||
           now_ns - nvml->looked_ns >=
               (nvml->trouble ? LOOK_AFTER_TROUBLE_NS : LOOK_EVERY_NS);
}

static bool is_any_lost(const struct nvml *nvml)
{
    for (unsigned i = 0; i < nvml->n_gpus; i++)
        if (nvml->gpus[i].lost)
            return true;
    return false;
}

/* Each start of the library makes the next one wait longer, until all devices are well. */
static bool is_renewal_due(struct nvml *nvml, uint64_t now_ns)
{
    if (!is_any_lost(nvml) && !nvml->recounted) {
        if (now_ns >= nvml->renew_ns)
            nvml->renew_delay_ns = 0;
        return false;
    }
    if (nvml->renew_delay_ns == 0) {
        nvml->renew_delay_ns = RENEW_FIRST_NS;
        nvml->renew_ns = nvml->recounted ? now_ns : now_ns + RENEW_FIRST_NS;
    }
    if (now_ns < nvml->renew_ns)
        return false;
    nvml->renew_delay_ns = MIN(2 * nvml->renew_delay_ns, RENEW_MAX_NS);
    nvml->renew_ns = now_ns + nvml->renew_delay_ns;
    return true;
}

/* Rows are in place after this, and handles good, as far as the library can tell. */
static int refresh(struct nvml *nvml, struct gpu_source_state *state, uint64_t now_ns)
{
    bool renew = is_renewal_due(nvml, now_ns);
    int r = 0;

    if (!renew && is_look_due(nvml, now_ns)) {
        r = look(nvml, state, now_ns);
        renew = r == 0 && nvml->recounted && is_renewal_due(nvml, now_ns);
    }
    if (!renew)
        return r;
    stop(nvml);
    r = start(nvml, state);
    if (r == 0)
        r = look(nvml, state, now_ns);
    nvml->recounted = false; // whatever is counted now, the library has just found it
    return r;
}

static int nvml_sample(struct gpu_source *source, bool with_processes,
                       struct gpu_source_state *state, struct gpu_sample *out)
{
    struct nvml *nvml = CONTAINER_OF(source, struct nvml, base);
    int r = refresh(nvml, state, out->taken_ns);

    if (r < 0)
        return r;

    for (unsigned i = 0; i < nvml->n_gpus; i++) {
        int code = sample_device(nvml, &nvml->gpus[i], with_processes, out);

        if (code != NVML_SUCCESS)
            return nvml_fail(state, code);
    }
    if (nvml->n_hidden > 0 && with_processes)
        out->processes_incomplete = 1;
    return 0;
}

static void nvml_free(struct nvml **nvml)
{
    if (!*nvml)
        return;
    stop(*nvml);
    nvml_library_close(&(*nvml)->library);
    free((*nvml)->proc_root);
    free((*nvml)->rows);
    free(*nvml);
}

static void nvml_close(struct gpu_source *source)
{
    struct nvml *nvml = CONTAINER_OF(source, struct nvml, base);

    nvml_free(&nvml);
}

static int nvml_open(const struct gpu_env *env, struct gpu_source_state *state,
                     struct gpu_source **ret)
{
    OWNED(nvml_free) struct nvml *nvml = calloc(1, sizeof(*nvml));
    char version[80] = "";
    int r;

    if (!nvml)
        return -ENOMEM;
    nvml->base.backend = &gpu_nvml;
    nvml->proc_root = strdup(env->proc_root ? env->proc_root : "/proc");
    if (!nvml->proc_root)
        return -ENOMEM;
    r = nvml_library_open(&nvml->library, env, state);
    if (r == 0)
        r = start(nvml, state);
    if (r < 0)
        return r;

    if (nvml->library.api.SystemGetDriverVersion(version, sizeof(version)) ==
        NVML_SUCCESS) {
        version[sizeof(version) - 1] = '\0'; // whatever the library wrote
        (void)text_clean(state->driver_version, sizeof(state->driver_version),
                         span_of(version));
    }
    *ret = &TAKE(nvml)->base;
    return 0;
}

const struct gpu_backend gpu_nvml = {
    .name = "nvml",
    .opens_devices = true,
    .open = nvml_open,
    .sample = nvml_sample,
    .close = nvml_close,
};
