// SPDX-License-Identifier: Apache-2.0
/*
 * nvml_processes.c - who holds memory of a GPU, or of an instance
 *
 * The graphics list is the dearest call of all (4.5 ms under the driver's lock, where
 * memory costs 12 us), and empty on most servers. It is read once after each look at the
 * layout, and after that only if there was something in it: a desktop's process may show
 * up as memory of no known process for that long.
 */
#include "gpu/nvml.h"

enum {
    ROWS_FIRST = 64,
    ROWS_MAX = 8192,
    LIST_TRIES = 4, // a list may grow between the refusal and the next call
};

/* Newest first. A driver older than its library refuses those that it does not know. */
static const struct {
    size_t offset[NVML_LISTS];
    size_t row_size;
} list_versions[] = {
#define OFFSETS(version)                                                             \
    {                                                                                \
        offsetof(struct nvml_api, DeviceGetComputeRunningProcesses##version),        \
            offsetof(struct nvml_api, DeviceGetMPSComputeRunningProcesses##version), \
            offsetof(struct nvml_api, DeviceGetGraphicsRunningProcesses##version)    \
    }
    {OFFSETS(_v3), NVML_PROCESS_V2_SIZE},
    {OFFSETS(_v2), NVML_PROCESS_V2_SIZE},
    {OFFSETS(), NVML_PROCESS_V1_SIZE},
#undef OFFSETS
};

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

/*
 * A process can be in several lists: each says what it holds in all, whatever it holds it
 * for, so the figures are of the same bytes and must not be added. The larger one is of a
 * moment later, or of a list that sees more.
 */
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

/*
 * Rows of another instance are left out; rows that do not tell theirs, too, if the list
 * was the whole GPU's: they would be counted for each instance.
 */
static bool is_of(const struct nvml_gpu *gpu, bool of_parent,
                  const struct nvml_process *row, bool *cut)
{
    if (gpu->instance == GPU_NO_INSTANCE || row->gpu_instance == gpu->instance)
        return true;
    if (row->gpu_instance != UINT32_MAX)
        return false;
    *cut = *cut || of_parent;
    return !of_parent;
}

static int read_list(struct nvml *nvml, const struct nvml_gpu *gpu, nvml_device handle,
                     enum nvml_list list, unsigned *ret)
{
    bool of_parent = gpu->instance != GPU_NO_INSTANCE && handle == gpu->parent;
    size_t *version = &nvml->version[list];
    int r = NVML_FUNCTION_NOT_FOUND;
    unsigned n = 0;
    size_t size = 0;

    for (; *version < ARRAY_LEN(list_versions); ++*version) {
        nvml_list_fn *fn;

        memcpy(&fn, (char *)&nvml->library.api + list_versions[*version].offset[list],
               sizeof(fn));
        size =
            *version == 0 ? nvml->library.v3_row_size : list_versions[*version].row_size;
        r = fn ? call_list(nvml, fn, handle, &n) : NVML_FUNCTION_NOT_FOUND;
        if (!nvml_is_too_old(r))
            break;
    }

    for (unsigned i = 0; i < n; i++) {
        struct nvml_process row = {.gpu_instance = UINT32_MAX,
                                   .compute_instance = UINT32_MAX};

        memcpy(&row, nvml->rows + i * size, MIN(size, sizeof(row)));
        if (is_of(gpu, of_parent, &row, &nvml->cut))
            merge_row(nvml, &row);
    }
    *ret = n;
    return r;
}

/* Of an instance; or else out of the whole GPU's list, which takes more rights. */
static int read_list_anyhow(struct nvml *nvml, const struct nvml_gpu *gpu,
                            enum nvml_list list, unsigned *ret)
{
    int r = NVML_SUCCESS;
    unsigned n;

    *ret = 0;
    for (unsigned i = 0; i < gpu->n_handles && r == NVML_SUCCESS; i++) {
        r = read_list(nvml, gpu, gpu->handles[i], list, &n);
        *ret += r == NVML_SUCCESS ? n : 0;
    }
    if (gpu->instance == GPU_NO_INSTANCE ||
        (r != NVML_NOT_SUPPORTED && r != NVML_NO_PERMISSION))
        return r;
    if (read_list(nvml, gpu, gpu->parent, list, &n) != NVML_SUCCESS)
        return r; // the first refusal is the one to be told
    *ret += n;
    return NVML_SUCCESS;
}

int nvml_read_processes(struct nvml *nvml, struct nvml_gpu *gpu, struct gpu_sample *out)
{
    struct gpu_device *device = &out->devices[out->n_devices - 1];

    nvml->n_merged = 0;
    nvml->cut = false;
    for (enum nvml_list list = 0; list < NVML_LISTS; list++) {
        unsigned n;
        int r;

        if (list == NVML_LIST_GRAPHICS && !gpu->has_graphics)
            continue;
        r = read_list_anyhow(nvml, gpu, list, &n);
        if (list == NVML_LIST_GRAPHICS)
            gpu->has_graphics = r != NVML_SUCCESS || n > 0;
        if (r == NVML_SUCCESS)
            continue;
        if (list != NVML_LIST_COMPUTE && (r == NVML_NOT_SUPPORTED || nvml_is_too_old(r)))
            continue; // no MPS, no clients of it; no graphics likewise
        out->processes_incomplete = 1;
        r = nvml_device_fail(device, "its processes cannot be listed", r);
        if (r != NVML_SUCCESS)
            return r;
    }

    if (nvml->cut)
        out->processes_incomplete = 1;
    for (size_t i = 0; i < nvml->n_merged; i++)
        gpu_add_process(out, nvml->merged[i].pid, nvml->merged[i].used);
    return NVML_SUCCESS;
}
