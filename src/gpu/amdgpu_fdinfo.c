// SPDX-License-Identifier: Apache-2.0
/*
 * amdgpu_fdinfo.c - memory of DRM clients: Vulkan, OpenGL, video, and compute without KFD
 *
 *   PROC/<pid>/fdinfo/<n>, of a descriptor that is a link to /dev/dri/renderD128:
 *
 *     drm-driver:        amdgpu
 *     drm-pdev:          0000:03:00.0
 *     drm-client-id:     57
 *     drm-resident-vram: 1886944 KiB
 *     drm-memory-vram:   1886944 KiB
 *
 * By the kernel's Documentation/gpu/drm-usage-stats.rst: a client is an open file, which
 * several descriptors may share, and its number is unique at least on its device.
 * drm-memory- is amdgpu's older name of drm-resident-; drm-total- is not looked at, as it
 * counts buffers that are not in device memory. A number without unit is bytes.
 *
 * Other users' processes show theirs only to CAP_SYS_PTRACE. To find the clients, each
 * descriptor of each process has to be looked at: so a call looks at a part of PROC, and
 * then always again at the processes that had one. A process is found a few seconds after
 * it has opened the device.
 */
#include "gpu/amdgpu.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/number.h"

enum {
    PIDS_PER_CALL = 200,
    FDS_PER_CALL = 16384,
    FDS_OF_PROCESS = 4096,
    FDINFO_MAX = 4096,
};

/* "1886944 KiB", "3 MiB", or bytes without a unit. */
static uint64_t read_bytes(struct span text)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}};
    struct span number;
    uint64_t n;

    if (!take_until(&text, ' ', &number) || number_read_u64(number, UNKNOWN - 1, &n) < 0)
        return UNKNOWN;
    text = trim(text);
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (span_is(text, units[i].name))
            return n > (UNKNOWN - 1) >> units[i].shift ? UNKNOWN : n << units[i].shift;
    return UNKNOWN;
}

struct amdgpu_fdinfo amdgpu_read_fdinfo(struct span rest)
{
    struct amdgpu_fdinfo info = {.vram_bytes = UNKNOWN};
    bool resident = false;
    struct span line, key;

    while (take_until(&rest, '\n', &line)) {
        if (!take_until(&line, ':', &key))
            continue;
        line = trim(line);
        if (span_is(key, "drm-driver")) {
            info.is_amdgpu = span_is(line, "amdgpu");
        } else if (span_is(key, "drm-pdev")) {
            info.has_pci = amdgpu_read_pci(line, &info.pci);
        } else if (span_is(key, "drm-client-id")) {
            info.has_client = number_read_u64(line, UNKNOWN, &info.client_id) == 0;
        } else if (span_is(key, "drm-resident-vram")) {
            info.vram_bytes = read_bytes(line);
            resident = true;
        } else if (span_is(key, "drm-memory-vram") && !resident) {
            info.vram_bytes = read_bytes(line);
        }
    }
    return info;
}

/* In a container the device may lie elsewhere, but the name of its node is the same. */
static bool is_dri(int fd_fd, const char *name)
{
    char link[256];
    ssize_t n = readlinkat(fd_fd, name, link, sizeof(link) - 1);
    const char *base;
    uint32_t minor;

    if (n <= 0 || (size_t)n == sizeof(link) - 1)
        return false;
    link[n] = '\0';
    base = strrchr(link, '/');
    return base && (name_read(base + 1, "renderD", &minor) ||
                    name_read(base + 1, "card", &minor));
}

/* Whom a file counts for that several processes have open: it is counted once. */
static bool is_better(const struct amdgpu_client *a, const struct amdgpu_client *b)
{
    return a->in_kfd != b->in_kfd ? a->in_kfd : a->pid < b->pid;
}

static void add_client(struct amdgpu_clients *clients, const struct amdgpu_client *client)
{
    for (uint32_t i = 0; i < clients->n; i++) {
        struct amdgpu_client *other = &clients->clients[i];

        if (other->card != client->card || other->id != client->id)
            continue;
        if (other->pid == client->pid || is_better(client, other))
            *other = *client;
        return;
    }
    if (clients->n == ARRAY_LEN(clients->clients))
        clients->cut = true;
    else
        clients->clients[clients->n++] = *client;
}

static const struct amdgpu_card *find_card(const struct amdgpu_cards *cards,
                                           const struct amdgpu_fdinfo *info)
{
    for (uint32_t i = 0; info->has_pci && i < cards->n; i++)
        if (cards->cards[i].pci.domain == info->pci.domain &&
            cards->cards[i].pci.location == info->pci.location)
            return &cards->cards[i];
    return NULL;
}

/* Both lists name a process once per card: its first row tells whether KFD knows it. */
static bool is_in_kfd(const struct amdgpu_rows *kfd, uint32_t pid)
{
    for (uint32_t i = 0; i < kfd->n; i++)
        if (kfd->rows[i].pid == pid)
            return true;
    return false;
}

/* True: it is a client of amdgpu's, whether it could be counted or not. */
static bool read_client(struct amdgpu_clients *clients, const struct amdgpu_cards *cards,
                        const struct amdgpu_rows *kfd, int info_fd, const char *name,
                        uint32_t pid)
{
    char text[FDINFO_MAX];
    struct span span;
    struct amdgpu_fdinfo info;
    const struct amdgpu_card *card;
    struct amdgpu_client client;

    if (small_file_read(info_fd, name, text, sizeof(text), &span) < 0)
        return false; // closed since
    info = amdgpu_read_fdinfo(span);
    if (!info.is_amdgpu)
        return false;
    card = find_card(cards, &info);
    if (!card || !info.has_client) {
        // The render node of a partition names no device; what is computed there is KFD's.
        clients->cut = clients->cut || !is_in_kfd(kfd, pid);
        return true;
    }
    client = (struct amdgpu_client){.id = info.client_id,
                                    .bytes = info.vram_bytes,
                                    .pid = pid,
                                    .card = (uint32_t)(card - cards->cards)};
    client.in_kfd = amdgpu_find_row(kfd, pid, client.card) != NULL;
    add_client(clients, &client);
    return true;
}

static bool read_fds(struct amdgpu_clients *clients, const struct amdgpu_cards *cards,
                     const struct amdgpu_rows *kfd, int pid_fd, uint32_t pid)
{
    struct folder fds, infos = {.fd = -1};
    size_t n = 0;
    bool holds = false;
    const char *name;
    int r = folder_open_no_link(pid_fd, "fd", &fds);

    if (r == 0)
        r = folder_open_no_link(pid_fd, "fdinfo", &infos);
    while (r == 0 && (name = folder_next(&fds))) {
        if (n++ == FDS_OF_PROCESS || clients->budget == 0) {
            clients->cut = true;
            break;
        }
        clients->budget--;
        if (is_dri(fds.fd, name))
            holds = read_client(clients, cards, kfd, infos.fd, name, pid) || holds;
    }
    if (r == 0)
        r = fds.error;
    clients->denied_now = clients->denied_now || r == -EACCES || r == -EPERM;
    folder_done(&infos);
    folder_done(&fds);
    return holds;
}

/* True: the process has a client. */
static bool read_process(struct amdgpu_clients *clients, const struct amdgpu_cards *cards,
                         const struct amdgpu_rows *kfd, uint32_t pid)
{
    OWNED(close_fd) int fd = -1;
    char path[16];

    (void)snprintf(path, sizeof(path), "%u", pid);
    fd = openat(clients->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && read_fds(clients, cards, kfd, fd, pid);
}

static bool is_holder(const struct amdgpu_clients *clients, uint32_t pid)
{
    for (uint32_t i = 0; i < clients->n_holders; i++)
        if (clients->holders[i] == pid)
            return true;
    return false;
}

static void add_holder(struct amdgpu_clients *clients, uint32_t pid)
{
    if (is_holder(clients, pid))
        return;
    if (clients->n_holders == ARRAY_LEN(clients->holders))
        clients->cut = true;
    else
        clients->holders[clients->n_holders++] = pid;
}

static void read_holders(struct amdgpu_clients *clients, const struct amdgpu_cards *cards,
                         const struct amdgpu_rows *kfd)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < clients->n_holders; i++)
        if (read_process(clients, cards, kfd, clients->holders[i]))
            clients->holders[kept++] = clients->holders[i];
    clients->n_holders = kept;
}

static void end_round(struct amdgpu_clients *clients)
{
    clients->rounded = clients->rounded || clients->all.error == 0;
    clients->denied = clients->denied_now;
    clients->denied_now = false;
    folder_rewind(&clients->all);
}

/* The next part of PROC, or all of it once if it is small. */
static void sweep(struct amdgpu_clients *clients, const struct amdgpu_cards *cards,
                  const struct amdgpu_rows *kfd)
{
    uint32_t pid;

    for (int n = 0; n < PIDS_PER_CALL && clients->budget > 0;) {
        const char *name = folder_next(&clients->all);

        if (!name) {
            end_round(clients);
            return;
        }
        if (!name_read(name, "", &pid) || pid == 0 || is_holder(clients, pid))
            continue;
        n++;
        if (read_process(clients, cards, kfd, pid))
            add_holder(clients, pid);
    }
}

void amdgpu_clients_read(struct amdgpu_clients *clients, const struct amdgpu_cards *cards,
                         const struct amdgpu_rows *kfd)
{
    clients->n = 0;
    clients->cut = false;
    clients->budget = FDS_PER_CALL;
    for (uint32_t i = 0; i < kfd->n; i++)
        if (i == 0 || kfd->rows[i].pid != kfd->rows[i - 1].pid)
            add_holder(clients, kfd->rows[i].pid);
    read_holders(clients, cards, kfd);
    sweep(clients, cards, kfd);
}
