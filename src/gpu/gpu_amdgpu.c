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

#include <fcntl.h>

#include "base/text.h"

#define LIST_EVERY_NS UINT64_C(10000000000)
#define LIST_AFTER_TROUBLE_NS UINT64_C(5000000000)

struct reading {
    int error; // negative errno; 0: both figures were read
    uint64_t total_bytes;
    uint64_t used_bytes;
};

struct amdgpu {
    struct gpu_source base;
    int sys_fd;
    uint64_t listed_ns;
    bool listed;  // once at least
    bool trouble; // a card could not be read since
    struct amdgpu_cards cards, room;
    struct reading readings[GPU_DEVICES_MAX];
    struct amdgpu_kfd kfd;
    struct amdgpu_rows of_kfd;
    struct amdgpu_rows of_drm;
    struct amdgpu_clients clients;
};

static int list_cards(struct amdgpu *amdgpu, uint64_t now_ns)
{
    int r = amdgpu_list_cards(amdgpu->sys_fd, &amdgpu->cards, &amdgpu->room);

    amdgpu->listed = true;
    amdgpu->listed_ns = now_ns;
    amdgpu->trouble = false;
    amdgpu_kfd_map(&amdgpu->kfd, amdgpu->sys_fd, &amdgpu->cards);
    return r;
}

static bool is_listing_due(const struct amdgpu *amdgpu, uint64_t now_ns)
{
    return !amdgpu->listed ||
           now_ns - amdgpu->listed_ns >=
               (amdgpu->trouble ? LIST_AFTER_TROUBLE_NS : LIST_EVERY_NS);
}

static struct reading read_card(const struct amdgpu_card *card)
{
    struct reading reading = {card->error, UNKNOWN, UNKNOWN};
    int r;

    if (card->fd < 0)
        return reading;
    reading.error =
        small_file_read_u64(card->fd, "mem_info_vram_total", &reading.total_bytes);
    r = small_file_read_u64(card->fd, "mem_info_vram_used", &reading.used_bytes);
    if (reading.error == 0)
        reading.error = r;
    return reading;
}

/* True: a card that could be read before cannot be now. */
static bool read_cards(struct amdgpu *amdgpu)
{
    bool failed = false;

    for (uint32_t i = 0; i < amdgpu->cards.n; i++) {
        struct amdgpu_card *card = &amdgpu->cards.cards[i];
        struct reading *reading = &amdgpu->readings[i];

        *reading = read_card(card);
        failed = failed || (reading->error < 0 && card->error == 0);
        amdgpu->trouble = amdgpu->trouble || reading->error < 0;
        card->error = reading->error;
    }
    return failed;
}

/* What changed about the cards is asked every 10 s, and when one fails that did not. */
static int read_memory(struct amdgpu *amdgpu, uint64_t now_ns)
{
    bool listed = is_listing_due(amdgpu, now_ns);
    int r = listed ? list_cards(amdgpu, now_ns) : 0;

    if (read_cards(amdgpu) && !listed) {
        r = list_cards(amdgpu, now_ns);
        (void)read_cards(amdgpu); // what fails now is told
    }
    return r;
}

static void read_drm(struct amdgpu *amdgpu)
{
    const struct amdgpu_clients *clients = &amdgpu->clients;

    amdgpu_clients_read(&amdgpu->clients, &amdgpu->cards, &amdgpu->of_kfd);
    amdgpu->of_drm.n = 0;
    amdgpu->of_drm.cut = false;
    for (uint32_t i = 0; i < clients->n; i++) {
        const struct amdgpu_client *client = &clients->clients[i];
        struct amdgpu_row *row =
            client->in_kfd ? NULL
                           : amdgpu_row_of(&amdgpu->of_drm, client->pid, client->card);

        if (row)
            row->bytes = add_saturating(row->bytes, client->bytes);
    }
}

/*
 * KFD tells of all compute, and what only fdinfo could add is little or graphics: it need
 * not be whole. For a card that KFD does not have, fdinfo is all there is.
 */
static bool is_incomplete(const struct amdgpu *amdgpu, int kfd_error)
{
    const struct amdgpu_clients *clients = &amdgpu->clients;

    if (kfd_error == -ENODATA || clients->cut || amdgpu->of_drm.cut || amdgpu->cards.cut)
        return true;
    for (uint32_t i = 0; i < amdgpu->cards.n; i++) {
        const struct amdgpu_card *card = &amdgpu->cards.cards[i];

        if (card->fd < 0 || (!card->in_kfd && (amdgpu->kfd.hidden || !clients->rounded ||
                                               clients->denied || clients->denied_now)))
            return true;
    }
    return false;
}

static void read_processes(struct amdgpu *amdgpu, struct gpu_sample *out)
{
    int r = amdgpu_kfd_read(&amdgpu->kfd, amdgpu->sys_fd, &amdgpu->of_kfd);

    read_drm(amdgpu);
    if (is_incomplete(amdgpu, r))
        out->processes_incomplete = 1;
}

/*
 * A process that has nothing on a card gets no row: ROCm opens all cards that it sees,
 * and a process would be on cards that it never uses.
 */
static void add_rows(const struct amdgpu_rows *rows, uint32_t card,
                     struct gpu_sample *out)
{
    for (uint32_t i = 0; i < rows->n; i++)
        if (rows->rows[i].card == card && rows->rows[i].bytes != 0)
            gpu_add_process(out, rows->rows[i].pid, rows->rows[i].bytes);
}

static void say_error(struct gpu_device *device, int error)
{
    if (error == -ENODEV || error == -ENOENT)
        gpu_device_say(device, "the card is gone: it has fallen off the bus, or was "
                               "taken from its driver");
    else if (error == -EBADMSG)
        gpu_device_say(device, "what the driver tells of its memory is not a number");
    else if (error < 0)
        gpu_device_say(device, "its memory cannot be read: %s", strerror(-error));
}

static void add_device(struct amdgpu *amdgpu, uint32_t i, bool with_processes,
                       struct gpu_sample *out)
{
    const struct amdgpu_card *card = &amdgpu->cards.cards[i];
    const struct reading *reading = &amdgpu->readings[i];
    struct gpu_device *device = gpu_add_device(out, card->index);

    if (!device) {
        out->processes_incomplete |= with_processes;
        return;
    }
    memcpy(device->uuid, card->uuid, sizeof(device->uuid));
    memcpy(device->name, card->name, sizeof(device->name));
    device->mem_total_bytes = reading->total_bytes;
    device->mem_used_bytes = reading->used_bytes;
    say_error(device, reading->error);
    gpu_device_check(device);
    if (with_processes) {
        add_rows(&amdgpu->of_kfd, i, out);
        add_rows(&amdgpu->of_drm, i, out);
    }
}

static int amdgpu_sample(struct gpu_source *source, bool with_processes,
                         struct gpu_source_state *state, struct gpu_sample *out)
{
    struct amdgpu *amdgpu = CONTAINER_OF(source, struct amdgpu, base);
    int r = read_memory(amdgpu, out->taken_ns);

    if (r < 0 && r != -ENOENT)
        return gpu_say(state, r, GPU_FAILED, "the cards cannot be listed: %s",
                       strerror(-r));
    if (with_processes)
        read_processes(amdgpu, out);
    for (uint32_t i = 0; i < amdgpu->cards.n; i++)
        add_device(amdgpu, i, with_processes, out);
    return 0;
}

static void amdgpu_free(struct amdgpu **amdgpu)
{
    if (!*amdgpu)
        return;
    amdgpu_forget_cards(&(*amdgpu)->cards);
    folder_done(&(*amdgpu)->clients.all);
    close_fd(&(*amdgpu)->clients.proc_fd);
    close_fd(&(*amdgpu)->sys_fd);
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

static int say_no_card(int sys_fd, struct gpu_source_state *state)
{
    char address[64];

    if (amdgpu_find_pci(sys_fd, address, sizeof(address)))
        return gpu_say(state, -ENODEV, GPU_NO_DRIVER,
                       "the amdgpu kernel driver does not have the AMD GPU at %s",
                       address);
    return gpu_say(state, -ENODEV, GPU_NO_DEVICE, "this host has no AMD GPU");
}

static int open_roots(struct amdgpu *amdgpu, const struct gpu_env *env,
                      struct gpu_source_state *state)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int r;

    amdgpu->sys_fd = open(env->sys_root, flags);
    if (amdgpu->sys_fd < 0) {
        r = neg_errno();
        return gpu_say(state, r, r == -EACCES ? GPU_NO_PERMISSION : GPU_FAILED,
                       "\"%s\" cannot be opened: %s", env->sys_root, strerror(-r));
    }
    amdgpu->clients.proc_fd = open(env->proc_root, flags);
    r = folder_open(amdgpu->clients.proc_fd, ".", &amdgpu->clients.all);
    if (r < 0)
        return gpu_say(state, r, r == -EACCES ? GPU_NO_PERMISSION : GPU_FAILED,
                       "\"%s\" cannot be opened: %s", env->proc_root, strerror(-r));
    return 0;
}

static int amdgpu_open(const struct gpu_env *env, struct gpu_source_state *state,
                       struct gpu_source **ret)
{
    OWNED(amdgpu_free) struct amdgpu *amdgpu = calloc(1, sizeof(*amdgpu));
    int r;

    if (!amdgpu)
        return -ENOMEM;
    amdgpu->base.backend = &gpu_amdgpu;
    amdgpu->sys_fd = -1;
    amdgpu->clients.proc_fd = -1;
    amdgpu->clients.all.fd = -1;
    r = open_roots(amdgpu, env, state);
    if (r < 0)
        return r;
    r = amdgpu_list_cards(amdgpu->sys_fd, &amdgpu->cards, &amdgpu->room);
    if (r < 0 && r != -ENOENT)
        return gpu_say(state, r, r == -EACCES ? GPU_NO_PERMISSION : GPU_FAILED,
                       "the cards cannot be listed: %s", strerror(-r));
    if (amdgpu->cards.n == 0)
        return say_no_card(amdgpu->sys_fd, state);

    read_version(amdgpu->sys_fd, state);
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
