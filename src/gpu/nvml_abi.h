// SPDX-License-Identifier: Apache-2.0
/*
 * nvml_abi.h - the few parts of libnvidia-ml.so.1's binary interface that are used
 *
 * Our own declarations, so that the vendor's header is not needed to build. Sizes and
 * numbers are those of NVML's API 12 and 13 on 64-bit Linux; they do not change, new
 * versions of a function get a new suffix instead.
 */
#ifndef GPU_NVML_ABI_H
#define GPU_NVML_ABI_H

#include <stdint.h>

typedef struct nvml_device_opaque *nvml_device;

enum nvml_return {
    NVML_SUCCESS = 0,
    NVML_UNINITIALIZED = 1,
    NVML_INVALID_ARGUMENT = 2,
    NVML_NOT_SUPPORTED = 3,
    NVML_NO_PERMISSION = 4,
    NVML_NOT_FOUND = 6,
    NVML_INSUFFICIENT_SIZE = 7,
    NVML_DRIVER_NOT_LOADED = 9,
    NVML_TIMEOUT = 10,
    NVML_LIBRARY_NOT_FOUND = 12,
    NVML_FUNCTION_NOT_FOUND = 13,
    NVML_GPU_IS_LOST = 15,
    NVML_RESET_REQUIRED = 16,
    NVML_OPERATING_SYSTEM = 17,
    NVML_LIB_RM_VERSION_MISMATCH = 18,
    NVML_MEMORY = 20,
    NVML_ARGUMENT_VERSION_MISMATCH = 25,
    NVML_GPU_NOT_FOUND = 28,
    NVML_UNKNOWN = 999,
};

enum { NVML_MIG_ENABLED = 1 };

/* "N/A", in every 64-bit figure; the same bits as UNKNOWN. */
#define NVML_VALUE_NOT_AVAILABLE UINT64_MAX

struct nvml_memory_v1 {
    uint64_t total;
    uint64_t free;
    uint64_t used; // what driver and firmware hold is in here
};

struct nvml_memory_v2 {
    uint32_t version; // NVML_MEMORY_V2, nothing else is accepted
    uint32_t padding;
    uint64_t total;
    uint64_t reserved;
    uint64_t free;
    uint64_t used; // without `reserved`
};

#define NVML_MEMORY_V2 UINT32_C(0x02000028)

/* A row of the process lists; of v1, only the first two figures. */
struct nvml_process {
    uint32_t pid;
    uint32_t padding;
    uint64_t used;
    uint32_t gpu_instance; // all ones without MIG
    uint32_t compute_instance;
};

enum {
    NVML_PROCESS_V1_SIZE = 16,
    NVML_PROCESS_V2_SIZE = 24,  // v3 is the same
    NVML_PROCESS_535_SIZE = 32, // what v3 was in the drivers 535.43 to 535.98
};

_Static_assert(sizeof(struct nvml_memory_v1) == 24, "NVML's ABI");
_Static_assert(sizeof(struct nvml_memory_v2) == 40, "NVML's ABI");
_Static_assert((sizeof(struct nvml_memory_v2) | 2U << 24) == NVML_MEMORY_V2,
               "NVML's ABI");
_Static_assert(sizeof(struct nvml_process) == NVML_PROCESS_V2_SIZE, "NVML's ABI");

#endif
