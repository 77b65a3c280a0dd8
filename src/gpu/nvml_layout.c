// SPDX-License-Identifier: Apache-2.0
/*
 * nvml_layout.c - which GPUs there are, and which MIG instances
 *
 * NVML's "MIG device" is a compute instance. Memory belongs to the GPU instance around it,
 * and all compute instances of one are told the same figures, so a row is a GPU instance.
 */
#include "gpu/nvml.h"

#include "base/text.h"

enum { MIG_SLOTS_MAX = 64 }; // NVML has 7 or 8

static void clean(char *to, size_t room, char *raw, size_t raw_size)
{
    raw[raw_size - 1] = '\0'; // whatever the library wrote
    (void)text_clean(to, room, span_of(raw));
}

static int read_uuid(struct nvml *nvml, nvml_device handle, char uuid[GPU_UUID_MAX])
{
    char raw[128] = "";
    int r = nvml->library.api.DeviceGetUUID(handle, raw, GPU_UUID_MAX);

    uuid[0] = '\0';
    if (r == NVML_SUCCESS)
        clean(uuid, GPU_UUID_MAX, raw, sizeof(raw));
    return r;
}

static void read_name(struct nvml *nvml, nvml_device handle, char name[GPU_NAME_MAX])
{
    char raw[128] = "";

    if (nvml->library.api.DeviceGetName(handle, raw, GPU_NAME_MAX) == NVML_SUCCESS)
        clean(name, GPU_NAME_MAX, raw, sizeof(raw));
}

static struct nvml_gpu *add_row(struct nvml *nvml, unsigned index)
{
    const struct nvml_found *found = &nvml->found[index];
    struct nvml_gpu *gpu;

    if (nvml->n_gpus == GPU_DEVICES_MAX) {
        nvml->n_hidden++;
        return NULL;
    }
    gpu = &nvml->gpus[nvml->n_gpus++];
    *gpu = (struct nvml_gpu){
        .index = index,
        .instance = GPU_NO_INSTANCE,
        .parent = found->handle,
        .error = found->error,
        .has_graphics = true,
    };
    memcpy(gpu->name, found->name, sizeof(gpu->name));
    return gpu;
}

static struct nvml_gpu *add_whole(struct nvml *nvml, unsigned index, const char *caveat)
{
    const struct nvml_found *found = &nvml->found[index];
    struct nvml_gpu *gpu = add_row(nvml, index);

    if (!gpu)
        return NULL;
    gpu->handles[0] = found->handle;
    gpu->n_handles = 1;
    gpu->caveat = caveat;
    memcpy(gpu->uuid, found->uuid, sizeof(gpu->uuid));
    return gpu;
}

/* One more compute instance, of a GPU instance that is new or known. */
static void add_part(struct nvml *nvml, unsigned index, unsigned instance,
                     nvml_device handle)
{
    struct nvml_gpu *gpu = NULL;

    for (unsigned i = 0; i < nvml->n_gpus; i++)
        if (nvml->gpus[i].index == index && nvml->gpus[i].instance == instance)
            gpu = &nvml->gpus[i];
    if (gpu) {
        gpu->caveat = "several compute instances share its memory; the UUID is that of "
                      "the first";
        if (gpu->n_handles < NVML_PARTS_MAX)
            gpu->handles[gpu->n_handles++] = handle;
        return;
    }

    gpu = add_row(nvml, index);
    if (!gpu)
        return;
    gpu->instance = instance;
    gpu->handles[gpu->n_handles++] = handle;
    memcpy(gpu->parent_uuid, nvml->found[index].uuid, sizeof(gpu->parent_uuid));
    (void)read_uuid(nvml, handle, gpu->uuid); // without it, the row still has its figures
    read_name(nvml, handle, gpu->name);
}

/* However many there are: what cannot be opened cannot be counted either. */
static void add_refused(struct nvml *nvml, unsigned index, int error)
{
    struct nvml_gpu *gpu = add_row(nvml, index);

    if (!gpu)
        return;
    gpu->error = error;
    memcpy(gpu->parent_uuid, nvml->found[index].uuid, sizeof(gpu->parent_uuid));
}

/* In place of the GPU itself, whose figures would be theirs again. */
static void add_instances(struct nvml *nvml, unsigned index, unsigned slots)
{
    const struct nvml_api *api = &nvml->library.api;
    nvml_device parent = nvml->found[index].handle;
    int refused = NVML_SUCCESS;

    for (unsigned slot = 0; slot < MIN(slots, (unsigned)MIG_SLOTS_MAX); slot++) {
        nvml_device handle;
        unsigned instance;
        int r = api->DeviceGetMigDeviceHandleByIndex(parent, slot, &handle);

        if (r == NVML_NOT_FOUND)
            continue; // the slot is empty
        if (r == NVML_SUCCESS)
            r = api->DeviceGetGpuInstanceId(handle, &instance);
        if (r == NVML_SUCCESS)
            add_part(nvml, index, instance, handle);
        else
            refused = r;
    }
    if (refused != NVML_SUCCESS)
        add_refused(nvml, index, refused);
}

static void add_gpu(struct nvml *nvml, unsigned index)
{
    const struct nvml_api *api = &nvml->library.api;
    nvml_device handle = nvml->found[index].handle;
    unsigned rows = nvml->n_gpus + nvml->n_hidden;
    unsigned mode = 0, pending, slots = 0;

    if (!api->DeviceGetMigMode ||
        api->DeviceGetMigMode(handle, &mode, &pending) != NVML_SUCCESS ||
        mode != NVML_MIG_ENABLED) {
        (void)add_whole(nvml, index, NULL);
        return;
    }
    if (!api->DeviceGetMaxMigDeviceCount || !api->DeviceGetMigDeviceHandleByIndex ||
        !api->DeviceGetGpuInstanceId ||
        api->DeviceGetMaxMigDeviceCount(handle, &slots) != NVML_SUCCESS) {
        (void)add_whole(nvml, index,
                        "MIG is on, but this driver does not list its instances");
        return;
    }
    add_instances(nvml, index, slots);
    if (nvml->n_gpus + nvml->n_hidden == rows)
        (void)add_whole(nvml, index, "MIG is on, but no instance of it is seen here");
}

static bool is_found(const struct nvml *nvml, unsigned n, const char *uuid)
{
    for (unsigned i = 0; i < n; i++)
        if (uuid[0] && strcmp(nvml->found[i].uuid, uuid) == 0)
            return true;
    return false;
}

/*
 * A GPU that is lost has no UUID to tell. As long as the driver counts as many GPUs as
 * before, it is the one that had this index, unless another has that UUID now.
 */
static bool keep_rows(struct nvml *nvml, unsigned index, unsigned n)
{
    const struct nvml_found *found = &nvml->found[index];
    bool kept = false;

    for (unsigned i = 0; i < nvml->n_before; i++) {
        const struct nvml_gpu *old = &nvml->before[i];
        bool whole = old->instance == GPU_NO_INSTANCE;
        struct nvml_gpu *gpu;

        if (old->index != index ||
            is_found(nvml, n, whole ? old->uuid : old->parent_uuid))
            continue;
        gpu = add_row(nvml, index);
        if (!gpu)
            break;
        *gpu = *old;
        gpu->handles[0] = found->handle;
        gpu->n_handles = 1;
        gpu->error = found->error;
        if (!whole && found->error == NVML_SUCCESS)
            gpu->error = NVML_GPU_IS_LOST; // there is no telling what its instances are
        kept = true;
    }
    return kept;
}

static void identify(struct nvml *nvml, unsigned i)
{
    struct nvml_found *found = &nvml->found[i];

    memset(found, 0, sizeof(*found));
    found->error = nvml->library.api.DeviceGetHandleByIndex_v2(i, &found->handle);
    if (found->error != NVML_SUCCESS)
        return;
    if (read_uuid(nvml, found->handle, found->uuid) == NVML_SUCCESS)
        read_name(nvml, found->handle, found->name);
}

/* One that is known as lost is not news when it still is. */
static void carry_over(struct nvml *nvml)
{
    for (unsigned i = 0; i < nvml->n_gpus; i++) {
        struct nvml_gpu *gpu = &nvml->gpus[i];

        gpu->lost = nvml_is_loss(gpu->error);
        for (unsigned k = 0; k < nvml->n_before; k++) {
            const struct nvml_gpu *old = &nvml->before[k];

            if (old->lost && old->index == gpu->index && old->instance == gpu->instance &&
                strcmp(old->uuid, gpu->uuid) == 0)
                gpu->lost = true;
        }
    }
}

int nvml_look(struct nvml *nvml, uint64_t now_ns)
{
    unsigned counted, n;
    int r = nvml->library.api.DeviceGetCount_v2(&counted);

    if (r != NVML_SUCCESS)
        return r;

    nvml->n_before = nvml->n_gpus;
    memcpy(nvml->before, nvml->gpus, nvml->n_gpus * sizeof(nvml->gpus[0]));
    nvml->n_gpus = 0;
    n = MIN(counted, (unsigned)GPU_DEVICES_MAX);
    nvml->n_hidden = counted - n;
    for (unsigned i = 0; i < n; i++)
        identify(nvml, i);
    for (unsigned i = 0; i < n; i++) {
        if (nvml->found[i].uuid[0])
            add_gpu(nvml, i);
        else if (counted != nvml->n_counted || !keep_rows(nvml, i, n))
            (void)add_whole(nvml, i, NULL);
    }
    carry_over(nvml);

    nvml->recounted = nvml->looked && counted != nvml->n_counted;
    nvml->n_counted = counted;
    nvml->looked = true;
    nvml->look_again = false;
    nvml->looked_ns = now_ns;
    nvml->trouble = false;
    nvml->no_memory_v2 = !nvml->library.api.DeviceGetMemoryInfo_v2;
    memset(nvml->version, 0, sizeof(nvml->version));
    return NVML_SUCCESS;
}
