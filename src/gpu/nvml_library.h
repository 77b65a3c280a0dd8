// SPDX-License-Identifier: Apache-2.0
/*
 * nvml_library.h - find libnvidia-ml.so.1, see whether it may be trusted, load it
 *
 * Loaded by dlopen: nothing of it is needed to build or to start. A library runs code as
 * soon as it is loaded, so its file is looked at before: it must be owned by root, or by
 * the user that runs us if that user named it (a path, or LD_LIBRARY_PATH), and nobody
 * else may write to it.
 *
 * Without a path, the file is looked for where the dynamic linker would, and where drivers
 * and containers put it. Only when it is in none of these folders is the linker asked to
 * find it by its name, in those that root listed in /etc/ld.so.conf; the file is then
 * looked at when it has been mapped already.
 */
#ifndef GPU_NVML_LIBRARY_H
#define GPU_NVML_LIBRARY_H

#include <sys/stat.h>

#include "gpu/gpu_backend.h"
#include "gpu/nvml_abi.h"

typedef int nvml_list_fn(nvml_device device, unsigned *count, void *rows);

// clang-format off
#define NVML_TEXT_ARGS (nvml_device, char *, unsigned)
#define NVML_LIST_ARGS (nvml_device, unsigned *, void *)

/* Name, required, arguments. The last two are looked for and never called. */
#define NVML_SYMBOLS(SYM)                                                                \
    SYM(Init_v2, true, (void))                                                           \
    SYM(Shutdown, true, (void))                                                          \
    SYM(SystemGetDriverVersion, true, (char *, unsigned))                                \
    SYM(DeviceGetCount_v2, true, (unsigned *))                                           \
    SYM(DeviceGetHandleByIndex_v2, true, (unsigned, nvml_device *))                      \
    SYM(DeviceGetUUID, true, NVML_TEXT_ARGS)                                             \
    SYM(DeviceGetName, true, NVML_TEXT_ARGS)                                             \
    SYM(DeviceGetMemoryInfo, true, (nvml_device, struct nvml_memory_v1 *))               \
    SYM(DeviceGetMemoryInfo_v2, false, (nvml_device, struct nvml_memory_v2 *))           \
    SYM(DeviceGetMigMode, false, (nvml_device, unsigned *, unsigned *))                  \
    SYM(DeviceGetMaxMigDeviceCount, false, (nvml_device, unsigned *))                    \
    SYM(DeviceGetMigDeviceHandleByIndex, false, (nvml_device, unsigned, nvml_device *))  \
    SYM(DeviceGetGpuInstanceId, false, (nvml_device, unsigned *))                        \
    SYM(DeviceGetComputeRunningProcesses_v3, false, NVML_LIST_ARGS)                      \
    SYM(DeviceGetComputeRunningProcesses_v2, false, NVML_LIST_ARGS)                      \
    SYM(DeviceGetComputeRunningProcesses, false, NVML_LIST_ARGS)                         \
    SYM(DeviceGetMPSComputeRunningProcesses_v3, false, NVML_LIST_ARGS)                   \
    SYM(DeviceGetMPSComputeRunningProcesses_v2, false, NVML_LIST_ARGS)                   \
    SYM(DeviceGetMPSComputeRunningProcesses, false, NVML_LIST_ARGS)                      \
    SYM(DeviceGetGraphicsRunningProcesses_v3, false, NVML_LIST_ARGS)                     \
    SYM(DeviceGetGraphicsRunningProcesses_v2, false, NVML_LIST_ARGS)                     \
    SYM(DeviceGetGraphicsRunningProcesses, false, NVML_LIST_ARGS)                        \
    SYM(DeviceGetConfComputeMemSizeInfo, false, (void))                                  \
    SYM(DeviceGetRunningProcessDetailList, false, (void))
// clang-format on

struct nvml_api {
// NOLINTNEXTLINE(bugprone-macro-parentheses): a declarator takes none
#define SYM(name, required, args) int(*name) args;
    NVML_SYMBOLS(SYM)
#undef SYM
};

struct nvml_library {
    void *handle; // NULL: not loaded
    struct nvml_api api;
    size_t v3_row_size; // of its process lists
};

/*
 * Load it. On failure `state` says why; -ESTALE: the library that an upgrade has replaced
 * is still in this process.
 */
int nvml_library_open(struct nvml_library *library, const struct gpu_env *env,
                      struct gpu_source_state *state) MUST_CHECK;
void nvml_library_close(struct nvml_library *library);

/* Why a file must not be loaded by user `us`, who named it or not; NULL: it may be. */
const char *nvml_library_distrust(const struct stat *file, uid_t us, bool named);

#endif
