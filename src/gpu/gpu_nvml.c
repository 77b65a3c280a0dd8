// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_nvml.c - NVIDIA devices, through the library that comes with their driver
 *
 * Loaded by dlopen: nothing of it is needed to build or to start. A memory call costs
 * some 10 us and is made for each sample; a process list can cost milliseconds under a
 * lock of the driver, and is read only when asked. The graphics list, the dearest of all,
 * is never read: what a desktop holds shows up as memory of no known process.
 */
#include "gpu/gpu_backend.h"

#include <dlfcn.h>

#include "base/text.h"
#include "gpu/nvml_abi.h"

#define ENUMERATE_EVERY_NS UINT64_C(10000000000)
#define ENUMERATE_AFTER_TROUBLE_NS UINT64_C(5000000000)

static const char DEFAULT_LIBRARY[] = "libnvidia-ml.so.1";

enum {
    ROWS_FIRST = 64,
    ROWS_MAX = 8192,
    LIST_TRIES = 4, // a list may grow between the refusal and the next call
};

typedef int nvml_list_fn(nvml_device device, unsigned *count, void *rows);

// clang-format off
#define TEXT_ARGS (nvml_device, char *, unsigned)
#define LIST_ARGS (nvml_device, unsigned *, void *)

/* Name, required, arguments. The last two are looked for and never called. */
#define NVML_SYMBOLS(SYM)                                                                \
    SYM(Init_v2, true, (void))                                                           \
    SYM(Shutdown, true, (void))                                                          \
    SYM(SystemGetDriverVersion, true, (char *, unsigned))                                \
    SYM(DeviceGetCount_v2, true, (unsigned *))                                           \
    SYM(DeviceGetHandleByIndex_v2, true, (unsigned, nvml_device *))                      \
    SYM(DeviceGetUUID, true, TEXT_ARGS)                                                  \
    SYM(DeviceGetName, true, TEXT_ARGS)                                                  \
    SYM(DeviceGetMemoryInfo, true, (nvml_device, struct nvml_memory_v1 *))               \
    SYM(DeviceGetMemoryInfo_v2, false, (nvml_device, struct nvml_memory_v2 *))           \
    SYM(DeviceGetComputeRunningProcesses_v3, false, LIST_ARGS)                           \
    SYM(DeviceGetComputeRunningProcesses_v2, false, LIST_ARGS)                           \
    SYM(DeviceGetComputeRunningProcesses, false, LIST_ARGS)                              \
    SYM(DeviceGetMPSComputeRunningProcesses_v3, false, LIST_ARGS)                        \
    SYM(DeviceGetMPSComputeRunningProcesses_v2, false, LIST_ARGS)                        \
    SYM(DeviceGetMPSComputeRunningProcesses, false, LIST_ARGS)                           \
    SYM(DeviceGetConfComputeMemSizeInfo, false, (void))                                  \
    SYM(DeviceGetRunningProcessDetailList, false, (void))
// clang-format on

struct nvml_api {
// NOLINTNEXTLINE(bugprone-macro-parentheses): a declarator takes none
#define SYM(name, required, args) int(*name) args;
    NVML_SYMBOLS(SYM)
#undef SYM
};

static const struct {
    const char *name;
    size_t offset;
    bool required;
} symbols[] = {
#define SYM(name, required, args) \
    {"nvml" #name, offsetof(struct nvml_api, name), required},
    NVML_SYMBOLS(SYM)
#undef SYM
};

enum list { LIST_COMPUTE, LIST_MPS, LISTS };

/* Newest first. A driver older than its library refuses those that it does not know. */
static const struct {
    size_t offset[LISTS];
    size_t row_size;
} list_versions[] = {
#define OFFSETS(version)                                                            \
    {                                                                               \
        offsetof(struct nvml_api, DeviceGetComputeRunningProcesses##version),       \
            offsetof(struct nvml_api, DeviceGetMPSComputeRunningProcesses##version) \
    }
    {OFFSETS(_v3), NVML_PROCESS_V2_SIZE},
    {OFFSETS(_v2), NVML_PROCESS_V2_SIZE},
    {OFFSETS(), NVML_PROCESS_V1_SIZE},
#undef OFFSETS
};

// clang-format off
static const struct nvml_error {
    int code;
    enum gpu_verdict verdict;
    int error;
    bool whole; // not this device but the driver fails: close it and start again
    const char *text;
} errors[] = {
    {NVML_UNINITIALIZED, GPU_FAILED, -EIO, true, "the library has lost its driver"},
    {NVML_NOT_SUPPORTED, GPU_FAILED, -EOPNOTSUPP, false, "not supported on this device"},
    {NVML_NO_PERMISSION, GPU_NO_PERMISSION, -EACCES, false, "permission denied"},
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
    {NVML_UNKNOWN, GPU_FAILED, -EIO, false, "unknown error"}, // the last: for all others
};
// clang-format on

struct nvml_gpu {
    nvml_device handle;
    int error; // of getting the handle; NVML_SUCCESS: it may be used
    char uuid[GPU_UUID_MAX];
    char name[GPU_NAME_MAX];
};

struct nvml {
    struct gpu_source base;
    void *library;
    bool initialized;
    struct nvml_api api;

    struct nvml_gpu gpus[GPU_DEVICES_MAX];
    unsigned n_gpus; // as the driver says; those past GPU_DEVICES_MAX are not shown
    uint64_t enumerated_ns;
    bool enumerated;
    bool trouble; // a device failed since

    /* What this driver turned out not to know; tried afresh with each enumeration. */
    bool no_memory_v2;
    size_t version[LISTS]; // into list_versions

    size_t v3_row_size;
    char *rows; // as the driver wrote them
    unsigned room;
    struct nvml_process merged[GPU_PROCESSES_MAX];
    size_t n_merged;
    bool cut; // `merged` was full
};

static const struct nvml_error *find_error(int code)
{
    size_t i = 0;

    while (i < ARRAY_LEN(errors) - 1 && errors[i].code != code)
        i++;
    return &errors[i];
}

static int fail(struct gpu_source_state *state, int code)
{
    const struct nvml_error *e = find_error(code);

    return gpu_say(state, e->error, e->verdict, "NVML: %s (error %d)", e->text, code);
}

/* A call for one device was refused. 0: the others can go on; or the error for all. */
static int device_fail(struct gpu_device *device, const char *what, int code)
{
    const struct nvml_error *e = find_error(code);

    gpu_device_say(device, "%s: %s (NVML error %d)", what, e->text, code);
    return e->whole ? code : NVML_SUCCESS;
}

/* Like a driver older than its library, or a library older than us. */
static bool is_too_old(int code)
{
    return code == NVML_FUNCTION_NOT_FOUND || code == NVML_ARGUMENT_VERSION_MISMATCH;
}

static unsigned shown(const struct nvml *nvml)
{
    return MIN(nvml->n_gpus, (unsigned)GPU_DEVICES_MAX);
}

static void clean(char *to, size_t room, char *raw, size_t raw_size)
{
    raw[raw_size - 1] = '\0'; // whatever the library wrote
    (void)text_clean(to, room, span_of(raw));
}

/*
 * A device that is lost has no UUID to tell. As long as the driver counts as many devices
 * as before, it is the one that had this index, unless another has that UUID now.
 */
static void recall(struct nvml *nvml, unsigned i, const struct nvml_gpu *before)
{
    for (unsigned k = 0; k < shown(nvml); k++)
        if (k != i && strcmp(nvml->gpus[k].uuid, before->uuid) == 0)
            return;
    memcpy(nvml->gpus[i].uuid, before->uuid, sizeof(before->uuid));
    memcpy(nvml->gpus[i].name, before->name, sizeof(before->name));
}

static void identify(struct nvml *nvml, unsigned i, bool same_count)
{
    struct nvml_gpu *gpu = &nvml->gpus[i];
    struct nvml_gpu before = *gpu;
    char raw[128] = "";

    memset(gpu, 0, sizeof(*gpu));
    gpu->error = nvml->api.DeviceGetHandleByIndex_v2(i, &gpu->handle);
    if (gpu->error == NVML_SUCCESS &&
        nvml->api.DeviceGetUUID(gpu->handle, raw, GPU_UUID_MAX) == NVML_SUCCESS) {
        clean(gpu->uuid, sizeof(gpu->uuid), raw, sizeof(raw));
        memset(raw, 0, sizeof(raw));
        if (nvml->api.DeviceGetName(gpu->handle, raw, GPU_NAME_MAX) == NVML_SUCCESS)
            clean(gpu->name, sizeof(gpu->name), raw, sizeof(raw));
    }
    if (!gpu->uuid[0] && same_count)
        recall(nvml, i, &before);
}

static int enumerate(struct nvml *nvml, struct gpu_source_state *state, uint64_t now_ns)
{
    unsigned before = nvml->n_gpus;
    unsigned n;
    int r = nvml->api.DeviceGetCount_v2(&n);

    if (r != NVML_SUCCESS)
        return fail(state, r);

    nvml->n_gpus = n;
    for (unsigned i = 0; i < shown(nvml); i++)
        identify(nvml, i, n == before);

    nvml->enumerated = true;
    nvml->enumerated_ns = now_ns;
    nvml->trouble = false;
    nvml->no_memory_v2 = !nvml->api.DeviceGetMemoryInfo_v2;
    memset(nvml->version, 0, sizeof(nvml->version));
    return 0;
}

static bool is_enumeration_due(const struct nvml *nvml, uint64_t now_ns)
{
    return !nvml->enumerated ||
           now_ns - nvml->enumerated_ns >=
               (nvml->trouble ? ENUMERATE_AFTER_TROUBLE_NS : ENUMERATE_EVERY_NS);
}

static int read_memory_v1(struct nvml *nvml, nvml_device handle,
                          struct gpu_device *device)
{
    struct nvml_memory_v1 memory = {0};
    int r = nvml->api.DeviceGetMemoryInfo(handle, &memory);

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
    int r = nvml->api.DeviceGetMemoryInfo_v2(handle, &memory);

    if (r != NVML_SUCCESS)
        return r;
    device->mem_total_bytes = memory.total;
    device->mem_used_bytes = memory.used;
    device->mem_reserved_bytes = memory.reserved;
    return r;
}

/* NVML's "not available" is UNKNOWN already; gpu_device_check() gives it a reason. */
static int read_memory(struct nvml *nvml, nvml_device handle, struct gpu_device *device)
{
    int r = NVML_FUNCTION_NOT_FOUND;

    if (!nvml->no_memory_v2)
        r = read_memory_v2(nvml, handle, device);
    if (is_too_old(r)) {
        nvml->no_memory_v2 = true;
        r = read_memory_v1(nvml, handle, device);
    }
    if (r == NVML_SUCCESS)
        return r;

    nvml->trouble = nvml->trouble || r != NVML_NOT_SUPPORTED;
    return device_fail(device, "its memory cannot be read", r);
}

/* Contents are not kept. A row of any version fits into the largest one's room. */
static int grow_rows(struct nvml *nvml, unsigned needed)
{
    unsigned room = MAX(needed, nvml->room);

    if (nvml->room == ROWS_MAX)
        return -E2BIG;
    room = MIN(room + room / 2 + ROWS_FIRST, (unsigned)ROWS_MAX);
    free(nvml->rows);
    nvml->room = 0;
    nvml->rows = calloc(room, NVML_PROCESS_535_SIZE);
    if (!nvml->rows)
        return -ENOMEM;
    nvml->room = room;
    return 0;
}

static int call_list(struct nvml *nvml, nvml_list_fn *fn, nvml_device handle,
                     unsigned *ret)
{
    for (int tries = 0; tries < LIST_TRIES; tries++) {
        unsigned n = nvml->room;
        int r = n ? fn(handle, &n, nvml->rows) : NVML_INSUFFICIENT_SIZE;

        if (r != NVML_INSUFFICIENT_SIZE) {
            *ret = r == NVML_SUCCESS ? MIN(n, nvml->room) : 0;
            return r;
        }
        if (grow_rows(nvml, MIN(n, (unsigned)ROWS_MAX)) < 0)
            break;
    }
    return NVML_INSUFFICIENT_SIZE;
}

static uint64_t larger_known(uint64_t a, uint64_t b)
{
    if (a == UNKNOWN || b == UNKNOWN)
        return MIN(a, b);
    return MAX(a, b);
}

/* A process can be in several lists; it holds its memory once. */
static void merge_row(struct nvml *nvml, const struct nvml_process *row)
{
    for (size_t i = 0; i < nvml->n_merged; i++) {
        struct nvml_process *known = &nvml->merged[i];

        if (known->pid == row->pid && known->gpu_instance == row->gpu_instance &&
            known->compute_instance == row->compute_instance) {
            known->used = larger_known(known->used, row->used);
            return;
        }
    }
    if (nvml->n_merged == ARRAY_LEN(nvml->merged))
        nvml->cut = true;
    else
        nvml->merged[nvml->n_merged++] = *row;
}

static int read_list(struct nvml *nvml, nvml_device handle, enum list list)
{
    size_t *version = &nvml->version[list];
    int r = NVML_FUNCTION_NOT_FOUND;
    unsigned n = 0;
    size_t size = 0;

    for (; *version < ARRAY_LEN(list_versions); ++*version) {
        nvml_list_fn *fn;

        memcpy(&fn, (char *)&nvml->api + list_versions[*version].offset[list],
               sizeof(fn));
        size = *version == 0 ? nvml->v3_row_size : list_versions[*version].row_size;
        r = fn ? call_list(nvml, fn, handle, &n) : NVML_FUNCTION_NOT_FOUND;
        if (!is_too_old(r))
            break;
    }

    for (unsigned i = 0; i < n; i++) {
        struct nvml_process row = {.gpu_instance = UINT32_MAX,
                                   .compute_instance = UINT32_MAX};

        memcpy(&row, nvml->rows + i * size, MIN(size, sizeof(row)));
        merge_row(nvml, &row);
    }
    return r;
}

static int read_processes(struct nvml *nvml, nvml_device handle, struct gpu_sample *out)
{
    struct gpu_device *device = &out->devices[out->n_devices - 1];

    nvml->n_merged = 0;
    nvml->cut = false;
    for (enum list list = 0; list < LISTS; list++) {
        int r = read_list(nvml, handle, list);

        if (r == NVML_SUCCESS)
            continue;
        if (list == LIST_MPS && (r == NVML_NOT_SUPPORTED || is_too_old(r)))
            continue; // no MPS, no clients of it
        out->processes_incomplete = 1;
        r = device_fail(device, "its processes cannot be listed", r);
        if (r != NVML_SUCCESS)
            return r;
    }

    if (nvml->cut)
        out->processes_incomplete = 1;
    for (size_t i = 0; i < nvml->n_merged; i++)
        gpu_add_process(out, nvml->merged[i].pid, nvml->merged[i].used);
    return NVML_SUCCESS;
}

static int sample_device(struct nvml *nvml, unsigned i, bool with_processes,
                         struct gpu_sample *out)
{
    const struct nvml_gpu *gpu = &nvml->gpus[i];
    struct gpu_device *device = gpu_add_device(out, i);
    int r;

    if (!device)
        return NVML_SUCCESS;
    memcpy(device->uuid, gpu->uuid, sizeof(device->uuid));
    memcpy(device->name, gpu->name, sizeof(device->name));

    if (gpu->error != NVML_SUCCESS) {
        nvml->trouble = true;
        if (with_processes)
            out->processes_incomplete = 1;
        return device_fail(device, "it cannot be opened", gpu->error);
    }
    r = read_memory(nvml, gpu->handle, device);
    gpu_device_check(device);
    if (nvml->no_memory_v2 && device->mem_used_bytes != UNKNOWN)
        gpu_device_say(device, "this driver counts its own share as memory in use");
    if (r == NVML_SUCCESS && with_processes)
        r = read_processes(nvml, gpu->handle, out);
    return r;
}

static int nvml_sample(struct gpu_source *source, bool with_processes,
                       struct gpu_source_state *state, struct gpu_sample *out)
{
    struct nvml *nvml = CONTAINER_OF(source, struct nvml, base);
    unsigned n;

    if (is_enumeration_due(nvml, out->taken_ns)) {
        int r = enumerate(nvml, state, out->taken_ns);

        if (r < 0)
            return r;
    }
    n = shown(nvml);

    for (unsigned i = 0; i < n; i++) {
        int code = sample_device(nvml, i, with_processes, out);

        if (code != NVML_SUCCESS)
            return fail(state, code);
    }
    if (nvml->n_gpus > n && with_processes)
        out->processes_incomplete = 1;
    return 0;
}

static void nvml_free(struct nvml **nvml)
{
    if (!*nvml)
        return;
    if ((*nvml)->initialized)
        (void)(*nvml)->api.Shutdown(); // there is nothing to be done about a refusal
    if ((*nvml)->library)
        (void)dlclose((*nvml)->library);
    free((*nvml)->rows);
    free(*nvml);
}

static void nvml_close(struct gpu_source *source)
{
    struct nvml *nvml = CONTAINER_OF(source, struct nvml, base);

    nvml_free(&nvml);
}

/* glibc says "NAME: cannot open shared object file: REASON"; of a file that is there but
 * useless it says something else, and a missing dependency has another NAME. */
static int load_failed(const char *path, struct gpu_source_state *state)
{
    const char *text = dlerror();
    size_t len = strlen(path);
    enum gpu_verdict verdict = GPU_BAD_LIBRARY;
    int r = -ELIBBAD;

    if (!text)
        text = "unknown error";
    if (strncmp(text, path, len) == 0 && text[len] == ':') {
        if (strstr(text + len, strerror(ENOENT))) {
            verdict = GPU_NO_LIBRARY;
            r = -ENODEV;
        } else if (strstr(text + len, strerror(EACCES))) {
            verdict = GPU_NO_PERMISSION;
            r = -EACCES;
        }
    }
    return gpu_say(state, r, verdict, "the NVIDIA library does not load: %s", text);
}

static int load(struct nvml *nvml, const char *path, struct gpu_source_state *state)
{
    path = path ? path : DEFAULT_LIBRARY;
    nvml->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!nvml->library)
        return load_failed(path, state);

    for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
        void *symbol = dlsym(nvml->library, symbols[i].name);

        if (!symbol && symbols[i].required)
            return gpu_say(state, -ELIBBAD, GPU_BAD_LIBRARY, "%s has no %s", path,
                           symbols[i].name);
        memcpy((char *)&nvml->api + symbols[i].offset, &symbol, sizeof(symbol));
    }

    // These drivers alone have the one and not the other, and longer rows in their v3.
    nvml->v3_row_size = nvml->api.DeviceGetConfComputeMemSizeInfo &&
                                !nvml->api.DeviceGetRunningProcessDetailList
                            ? NVML_PROCESS_535_SIZE
                            : NVML_PROCESS_V2_SIZE;
    return 0;
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
    r = load(nvml, env->nvml_library, state);
    if (r < 0)
        return r;
    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): load() requires it
    r = nvml->api.Init_v2();
    if (r != NVML_SUCCESS)
        return fail(state, r);
    nvml->initialized = true;

    if (nvml->api.SystemGetDriverVersion(version, sizeof(version)) == NVML_SUCCESS)
        clean(state->driver_version, sizeof(state->driver_version), version,
              sizeof(version));
    *ret = &TAKE(nvml)->base;
    return 0;
}

const struct gpu_backend gpu_nvml = {
    .name = "nvml",
    .open = nvml_open,
    .sample = nvml_sample,
    .close = nvml_close,
};
