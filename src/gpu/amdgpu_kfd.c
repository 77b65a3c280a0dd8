// SPDX-License-Identifier: Apache-2.0
/*
 * amdgpu_kfd.c - what the compute driver counts for its processes
 *
 *   SYS/class/kfd/kfd/topology/nodes/<n>/gpu_id        "34567", 0 for a CPU
 *   SYS/class/kfd/kfd/topology/nodes/<n>/properties    lines "drm_render_minor 128"
 *   SYS/class/kfd/kfd/proc/<pid>/vram_<gpu_id>         bytes
 *   SYS/class/kfd/kfd/proc/<pid>/context_<n>/vram_...  of a process's further contexts
 *
 * The pid is the one of the host's first pid namespace. What a process has imported from
 * another counts for the other alone, so that the figures of all add up.
 */
#include "gpu/amdgpu.h"

#include "base/number.h"

enum { PROPERTIES_MAX = 4096, PROCESSES_MAX = 4096 };

static const char KFD[] = "class/kfd/kfd";

struct properties {
    uint64_t render_minor, domain, location;
};

/* Each line is a word, a blank and a decimal number. */
static struct properties read_properties(struct span rest)
{
    struct properties p = {UNKNOWN, UNKNOWN, UNKNOWN};
    struct span line, key;
    uint64_t value;

    while (take_until(&rest, '\n', &line)) {
        if (!take_until(&line, ' ', &key) ||
            number_read_u64(line, UNKNOWN - 1, &value) < 0)
            continue;
        if (span_is(key, "drm_render_minor"))
            p.render_minor = value;
        else if (span_is(key, "domain"))
            p.domain = value;
        else if (span_is(key, "location_id"))
            p.location = value;
    }
    return p;
}

/*
 * By the render node. A partition of a device has one of its own, which is not in the
 * card's folder; its location is the device's with the number of the partition or'ed into
 * the function, or above the 16 bits (kfd_topology.c, by release).
 */
static const struct drm_card *find_card(const struct drm_cards *cards,
                                        const struct properties *p)
{
    for (uint32_t i = 0; i < cards->n; i++)
        if (p->render_minor != UNKNOWN && cards->cards[i].fd >= 0 &&
            cards->cards[i].render_minor == p->render_minor)
            return &cards->cards[i];
    for (uint32_t i = 0; i < cards->n; i++) {
        const struct drm_card *card = &cards->cards[i];

        if (p->location != UNKNOWN && card->fd >= 0 && card->pci.domain == p->domain &&
            (card->pci.location & 0xfff8) == (p->location & 0xfff8))
            return card;
    }
    return NULL;
}

static bool is_denied(int r)
{
    return r == -EACCES || r == -EPERM;
}

/* A device cgroup makes nodes of devices that are not its own unreadable. */
static void map_node(struct amdgpu_kfd *kfd, int dir_fd, const struct drm_cards *cards)
{
    char text[PROPERTIES_MAX];
    const struct drm_card *card;
    struct properties p;
    struct span span;
    uint64_t gpu_id;
    int r = small_file_read_u64(dir_fd, "gpu_id", &gpu_id);

    if (r == 0 && gpu_id == 0)
        return; // a CPU
    if (r == 0)
        r = small_file_read(dir_fd, "properties", text, sizeof(text), &span);
    if (r < 0) {
        kfd->hidden = kfd->hidden || is_denied(r);
        return;
    }
    p = read_properties(span);
    card = find_card(cards, &p);
    if (!card || gpu_id > UINT32_MAX || kfd->n_nodes == ARRAY_LEN(kfd->nodes))
        return;
    kfd->has_card[card - cards->cards] = true;
    kfd->nodes[kfd->n_nodes++] =
        (struct amdgpu_node){(uint32_t)gpu_id, (uint32_t)(card - cards->cards)};
}

void amdgpu_kfd_map(struct amdgpu_kfd *kfd, int sys_fd, const struct drm_cards *cards)
{
    struct folder kfd_folder, nodes = {.fd = -1}, node;
    const char *name;
    int r;

    kfd->n_nodes = 0;
    kfd->hidden = false;
    memset(kfd->has_card, 0, sizeof(kfd->has_card));

    r = folder_open(sys_fd, KFD, &kfd_folder); // a link
    if (r == 0)
        r = folder_open_no_link(kfd_folder.fd, "topology/nodes", &nodes);
    kfd->hidden = is_denied(r);
    while (r == 0 && (name = folder_next(&nodes))) {
        int opened = folder_open_no_link(nodes.fd, name, &node);

        if (opened == 0)
            map_node(kfd, node.fd, cards);
        kfd->hidden = kfd->hidden || is_denied(opened);
        folder_done(&node);
    }
    folder_done(&nodes);
    folder_done(&kfd_folder);
}

static const struct amdgpu_node *find_node(const struct amdgpu_kfd *kfd, uint32_t gpu_id)
{
    for (uint32_t i = 0; i < kfd->n_nodes; i++)
        if (kfd->nodes[i].gpu_id == gpu_id)
            return &kfd->nodes[i];
    return NULL;
}

/* False: some of it could not be read, or is of a GPU that has no card here. */
static bool read_vram(const struct amdgpu_kfd *kfd, int dir_fd, const char *name,
                      uint32_t pid, struct drm_rows *rows)
{
    const struct amdgpu_node *node;
    struct drm_row *row;
    uint64_t bytes;
    uint32_t gpu_id;
    int r;

    if (!name_read(name, "vram_", &gpu_id))
        return true;
    r = small_file_read_u64(dir_fd, name, &bytes);
    if (r == -ENOENT || r == -ENODEV)
        return true; // it has ended since
    if (r < 0)
        bytes = UNKNOWN;
    node = find_node(kfd, gpu_id);
    if (!node)
        return bytes == 0;
    row = drm_row_of(rows, pid, node->card);
    if (row)
        row->bytes = add_saturating(row->bytes, bytes);
    return row != NULL;
}

static bool read_context(const struct amdgpu_kfd *kfd, int dir_fd, const char *name,
                         uint32_t pid, struct drm_rows *rows)
{
    struct folder folder;
    bool whole = true;
    uint32_t number;

    if (!name_read(name, "context_", &number) ||
        folder_open_no_link(dir_fd, name, &folder) < 0)
        return true;
    while ((name = folder_next(&folder)))
        whole = read_vram(kfd, folder.fd, name, pid, rows) && whole;
    folder_done(&folder);
    return whole;
}

static bool read_process(const struct amdgpu_kfd *kfd, int proc_fd, const char *pid_name,
                         struct drm_rows *rows)
{
    struct folder folder;
    const char *name;
    bool whole = true;
    uint32_t pid;
    int r;

    if (!name_read(pid_name, "", &pid) || pid == 0)
        return true;
    r = folder_open_no_link(proc_fd, pid_name, &folder);
    if (r < 0)
        return r == -ENOENT;
    while ((name = folder_next(&folder)))
        whole = read_vram(kfd, folder.fd, name, pid, rows) &&
                read_context(kfd, folder.fd, name, pid, rows) && whole;
    folder_done(&folder);
    return whole;
}

int amdgpu_kfd_read(const struct amdgpu_kfd *kfd, int sys_fd, struct drm_rows *rows)
{
    struct folder kfd_folder, folder = {.fd = -1};
    const char *name;
    bool whole = true;
    size_t n = 0;
    int r = folder_open(sys_fd, KFD, &kfd_folder); // a link

    rows->n = 0;
    rows->cut = false;
    if (r == 0)
        r = folder_open_no_link(kfd_folder.fd, "proc", &folder);
    while (r == 0 && n++ < PROCESSES_MAX && (name = folder_next(&folder)))
        whole = read_process(kfd, folder.fd, name, rows) && whole;
    if (r == 0 && (folder.error < 0 || !whole || n > PROCESSES_MAX || rows->cut))
        r = -ENODATA;
    folder_done(&folder);
    folder_done(&kfd_folder);
    return r == 0 || r == -ENOENT ? r : -ENODATA;
}
