// SPDX-License-Identifier: Apache-2.0
/*
 * nvml.h - what the files of the NVML back end share
 *
 * gpu_nvml.c opens, samples, closes and starts the library anew; nvml_library.c loads it;
 * nvml_layout.c finds GPUs and their MIG instances; nvml_processes.c reads process lists.
 */
#ifndef GPU_NVML_H
#define GPU_NVML_H

#include "gpu/nvml_library.h"

enum { NVML_PARTS_MAX = 8 }; // compute instances of a GPU instance

enum nvml_list { NVML_LIST_COMPUTE, NVML_LIST_MPS, NVML_LIST_GRAPHICS, NVML_LISTS };

/* A row: a GPU, or an instance of one that MIG has partitioned. */
struct nvml_gpu {
    uint32_t index;    // of the GPU
    uint32_t instance; // GPU instance; GPU_NO_INSTANCE: the whole GPU
    nvml_device parent;
    nvml_device handles[NVML_PARTS_MAX]; // of the GPU; or of each compute instance
    unsigned n_handles;
    int error;          // of getting a handle; NVML_SUCCESS: they may be used
    bool lost;          // it did not answer when last asked
    bool has_graphics;  // processes in that list, or it was not read since the last look
    const char *caveat; // a literal; NULL: none
    char uuid[GPU_UUID_MAX];
    char name[GPU_NAME_MAX];
    char parent_uuid[GPU_UUID_MAX]; // of an instance
};

/* A GPU as the driver counts them, while a look is taken. */
struct nvml_found {
    nvml_device handle;
    int error;
    char uuid[GPU_UUID_MAX];
    char name[GPU_NAME_MAX];
};

struct nvml {
    struct gpu_source base;
    struct nvml_library library;
    char *proc_root;
    bool initialized;

    struct nvml_gpu gpus[GPU_DEVICES_MAX];
    unsigned n_gpus;
    unsigned n_counted;                      // GPUs, as the driver says
    unsigned n_hidden;                       // rows for which there was no room
    struct nvml_gpu before[GPU_DEVICES_MAX]; // the rows of the look before
    unsigned n_before;
    struct nvml_found found[GPU_DEVICES_MAX];

    uint64_t looked_ns;
    bool looked;
    bool look_again; // a device was just lost
    bool trouble;    // a device failed since
    bool recounted;  // other GPUs than when the library was started

    /* Starting the library again: not before, and how long to wait after that. */
    uint64_t renew_ns;
    uint64_t renew_delay_ns; // 0: nothing was lost lately

    /* What this driver turned out not to know; tried afresh with each look. */
    bool no_memory_v2;
    size_t version[NVML_LISTS];

    char *rows; // as the driver wrote them
    unsigned room;
    struct nvml_process merged[GPU_PROCESSES_MAX];
    size_t n_merged;
    bool cut; // `merged` was full, or a row could not be given to an instance
};

/* A call about the driver as a whole was refused; returns the negative error. */
int nvml_fail(struct gpu_source_state *state, int code);

/* A call for one device was refused. 0: the others can go on; or the code, for all. */
int nvml_device_fail(struct gpu_device *device, const char *what, int code);

/* Like a driver older than its library, or a library older than us. */
static inline bool nvml_is_too_old(int code)
{
    return code == NVML_FUNCTION_NOT_FOUND || code == NVML_ARGUMENT_VERSION_MISMATCH;
}

/* The device, or our handle of it, is gone. */
bool nvml_is_loss(int code);

/* Find out which rows there are; those of a lost GPU stay. Returns an NVML code. */
int nvml_look(struct nvml *nvml, uint64_t now_ns);

/* The processes of a row, to the device added last. Returns as nvml_device_fail(). */
int nvml_read_processes(struct nvml *nvml, struct nvml_gpu *gpu, struct gpu_sample *out);

#endif
