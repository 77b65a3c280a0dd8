// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_amdgpu.c - AMD devices, through the files of their kernel driver
 *
 * mem_info_vram_total and mem_info_vram_used count the card's own memory, in use by
 * anyone. System memory that the card can reach too (GTT) is not counted: an APU, which
 * mostly lives on that, shows the small part that the firmware has set aside as its own.
 *
 * Two files of the kernel tell the memory of a process, and they overlap:
 *
 *   KFD     vram_<gpu_id>: what the process has allocated on that GPU by the compute
 *           driver (kfd_ioctl_alloc_memory_of_gpu), without what it imported. Not what
 *           Vulkan or OpenGL hold (ROCm/amdgpu#223).
 *   fdinfo  drm-resident-vram: all that is mapped into the address space of an open file.
 *           A compute process's file is its KFD address space, too: amdgpu_vm_bo_add() is
 *           called for KFD's buffers (kfd_mem_attach). So they are in it again, with page
 *           tables, with what was imported from other processes and, between cards linked
 *           by XGMI, with the other cards' memory (KFD_MEM_ATT_SHARED).
 *
 * Their sum would count compute memory twice. The larger of the two would still count what
 * two processes share twice, and a card's memory on each card that maps it. So where KFD
 * counts a process on a card, its figure is the figure: a minimum, and all of them add up
 * to no more than there is. A process that KFD does not have on the card, or any where
 * there is no KFD, has the sum over its DRM clients. What is in neither (a compute
 * process's graphics buffers, page tables) shows up as memory of no known process.
 */
#include "gpu/amdgpu.h"

#include "base/text.h"

struct amdgpu {
    struct gpu_source base;
    struct drm_host host;
    struct amdgpu_kfd kfd;
    struct drm_rows of_kfd;
};

static void map_kfd(struct drm_host *host)
{
    struct amdgpu *amdgpu = CONTAINER_OF(host, struct amdgpu, host);

    amdgpu_kfd_map(&amdgpu->kfd, host->sys_fd, &host->cards);
}

static struct drm_reading read_card(struct drm_host *host, struct drm_card *card)
{
    struct drm_reading reading = {0, false, UNKNOWN, UNKNOWN};
    int r;

    (void)host;
    reading.error =
        small_file_read_u64(card->fd, "mem_info_vram_total", &reading.total_bytes);
    r = small_file_read_u64(card->fd, "mem_info_vram_used", &reading.used_bytes);
    if (reading.error == 0)
        reading.error = r;
    return reading;
}

const struct drm_vendor amdgpu_vendor = {
    .pci_vendor = "0x1002",
    .name = "AMD",
    .drivers = "the amdgpu kernel driver does",
    .classes = {"0x03", "0x12"}, // display, accelerator; a card's audio has 0x04
    .namings = {{.driver = "amdgpu", .region = "vram", .has_alias = true}},
    .n_namings = 1,
    .identify = amdgpu_identify,
    .read = read_card,
    .listed = map_kfd,
};

/*
 * KFD tells of all compute, and what only fdinfo could add is little or graphics: it need
 * not be whole. For a card that KFD does not have, fdinfo is all there is.
 */
static bool is_incomplete(const struct amdgpu *amdgpu, int kfd_error)
{
    const struct drm_host *host = &amdgpu->host;

    if (kfd_error == -ENODATA || drm_is_cut(host))
        return true;
    for (uint32_t i = 0; i < host->cards.n; i++)
        if (!amdgpu->kfd.has_card[i] &&
            (amdgpu->kfd.hidden || !drm_is_round_whole(&host->clients)))
            return true;
    return false;
}

static void read_processes(struct amdgpu *amdgpu, struct gpu_sample *out)
{
    int r = amdgpu_kfd_read(&amdgpu->kfd, amdgpu->host.sys_fd, &amdgpu->of_kfd);

    drm_read_clients(&amdgpu->host, &amdgpu->of_kfd);
    if (is_incomplete(amdgpu, r))
        out->processes_incomplete = 1;
}

static int amdgpu_sample(struct gpu_source *source, bool with_processes,
                         struct gpu_source_state *state, struct gpu_sample *out)
{
    struct amdgpu *amdgpu = CONTAINER_OF(source, struct amdgpu, base);
    struct drm_host *host = &amdgpu->host;
    int r = drm_read_memory(host, out->taken_ns, state);

    if (r < 0)
        return r;
    if (with_processes)
        read_processes(amdgpu, out);
    for (uint32_t i = 0; i < host->cards.n; i++) {
        struct gpu_device *device = drm_add_device(host, i, out);

        if (!device) {
            out->processes_incomplete |= with_processes;
            break;
        }
        gpu_device_check(device);
        if (with_processes) {
            drm_add_rows(&amdgpu->of_kfd, i, out);
            drm_add_rows(&host->rows, i, out);
        }
    }
    return 0;
}

static void amdgpu_free(struct amdgpu **amdgpu)
{
    if (!*amdgpu)
        return;
    drm_close(&(*amdgpu)->host);
    free(*amdgpu);
}

static void amdgpu_close(struct gpu_source *source)
{
    struct amdgpu *amdgpu = CONTAINER_OF(source, struct amdgpu, base);

    amdgpu_free(&amdgpu);
}

/* Of a driver that was built apart from the kernel; the kernel's own has no version. */
static void read_version(int sys_fd, struct gpu_source_state *state)
{
    char text[64];
    struct span span;

    if (small_file_read(sys_fd, "module/amdgpu/version", text, sizeof(text), &span) == 0)
        (void)text_clean(state->driver_version, sizeof(state->driver_version), span);
}

static int amdgpu_open(const struct gpu_env *env, struct gpu_source_state *state,
                       struct gpu_source **ret)
{
    OWNED(amdgpu_free) struct amdgpu *amdgpu = calloc(1, sizeof(*amdgpu));
    int r;

    if (!amdgpu)
        return -ENOMEM;
    amdgpu->base.backend = &gpu_amdgpu;
    r = drm_open(env, &amdgpu_vendor, state, &amdgpu->host);
    if (r < 0)
        return r;
    read_version(amdgpu->host.sys_fd, state);
    *ret = &TAKE(amdgpu)->base;
    return 0;
}

const struct gpu_backend gpu_amdgpu = {
    .name = "amdgpu",
    .reads_processes = true,
    .open = amdgpu_open,
    .sample = amdgpu_sample,
    .close = amdgpu_close,
};
