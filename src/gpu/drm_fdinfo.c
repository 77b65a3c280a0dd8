// SPDX-License-Identifier: Apache-2.0
/*
 * drm_fdinfo.c - memory of DRM clients: Vulkan, OpenGL, video, Level Zero, and what else
 * opens a render node
 *
 *   PROC/<pid>/fdinfo/<n>, of a descriptor that is a link to /dev/dri/renderD128:
 *
 *     drm-driver:        amdgpu               drm-driver:         xe
 *     drm-pdev:          0000:03:00.0         drm-pdev:           0000:83:00.0
 *     drm-client-id:     57                   drm-client-id:      3
 *     drm-resident-vram: 1886944 KiB          drm-resident-vram0: 23992 KiB
 *     drm-memory-vram:   1886944 KiB          drm-resident-vram1: 0
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
#include "gpu/drm.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/number.h"
#include "base/text.h"

enum {
    PIDS_PER_CALL = 200,
    FDS_PER_CALL = 16384,
    FDS_OF_PROCESS = 4096,
    FDINFO_MAX = 4096,
};

struct drm_row *drm_row_of(struct drm_rows *rows, uint32_t pid, uint32_t card)
{
    struct drm_row *row;

    for (uint32_t i = rows->n; i > 0; i--) // most often it is among the last
        if (rows->rows[i - 1].pid == pid && rows->rows[i - 1].card == card)
            return &rows->rows[i - 1];
    if (rows->n == ARRAY_LEN(rows->rows)) {
        rows->cut = true;
        return NULL;
    }
    row = &rows->rows[rows->n++];
    *row = (struct drm_row){.pid = pid, .card = card};
    return row;
}

const struct drm_row *drm_find_row(const struct drm_rows *rows, uint32_t pid,
                                   uint32_t card)
{
    for (uint32_t i = 0; i < rows->n; i++)
        if (rows->rows[i].pid == pid && rows->rows[i].card == card)
            return &rows->rows[i];
    return NULL;
}

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
    text = text_trim(text);
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (span_is(text, units[i].name))
            return n > (UNKNOWN - 1) >> units[i].shift ? UNKNOWN : n << units[i].shift;
    return UNKNOWN;
}

/* <prefix><region>, with a number behind it where the driver gives one. */
static bool is_region(struct span key, const char *prefix,
                      const struct drm_naming *naming)
{
    const char *parts[] = {prefix, naming->region};
    uint64_t number;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        size_t len = strlen(parts[i]);

        if (key.len < len || memcmp(key.at, parts[i], len) != 0)
            return false;
        key = (struct span){key.at + len, key.len - len};
    }
    return naming->numbered ? number_read_u64(key, UINT32_MAX, &number) == 0
                            : key.len == 0;
}

/* What is said of a region replaces what was; of several regions it is added. */
static void add_region(struct drm_fdinfo *info, uint64_t bytes, bool numbered)
{
    info->vram_bytes =
        numbered && info->told ? add_saturating(info->vram_bytes, bytes) : bytes;
    info->told = true;
}

static void read_line(struct span key, struct span value, const struct drm_naming *naming,
                      struct drm_fdinfo *info)
{
    if (span_is(key, "drm-pdev"))
        info->has_pci = pci_read(value, &info->pci);
    else if (span_is(key, "drm-client-id"))
        info->has_client = number_read_u64(value, UNKNOWN, &info->client_id) == 0;
    else if (is_region(key, "drm-resident-", naming))
        add_region(info, read_bytes(value), naming->numbered);
    else if (naming->has_alias && !info->told && is_region(key, "drm-memory-", naming))
        info->vram_bytes = read_bytes(value);
}

/* NULL: another vendor's, or none. */
static const struct drm_naming *find_naming(struct span rest,
                                            const struct drm_vendor *vendor)
{
    const struct drm_naming *naming = NULL;
    struct span line, key;

    while (take_until(&rest, '\n', &line)) {
        if (!take_until(&line, ':', &key) || !span_is(key, "drm-driver"))
            continue;
        naming = NULL;
        for (size_t i = 0; i < vendor->n_namings; i++)
            if (span_is(text_trim(line), vendor->namings[i].driver))
                naming = &vendor->namings[i];
    }
    return naming;
}

struct drm_fdinfo drm_read_fdinfo(struct span rest, const struct drm_vendor *vendor)
{
    struct drm_fdinfo info = {.vram_bytes = UNKNOWN};
    const struct drm_naming *naming = find_naming(rest, vendor);
    struct span line, key;

    info.is_ours = naming != NULL;
    while (naming && take_until(&rest, '\n', &line))
        if (take_until(&line, ':', &key))
            read_line(key, text_trim(line), naming, &info);
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
static bool is_better(const struct drm_client *a, const struct drm_client *b)
{
    return a->counted != b->counted ? a->counted : a->pid < b->pid;
}

static void add_client(struct drm_clients *clients, const struct drm_client *client)
{
    for (uint32_t i = 0; i < clients->n; i++) {
        struct drm_client *other = &clients->clients[i];

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

static const struct drm_card *find_card(const struct drm_cards *cards,
                                        const struct drm_fdinfo *info)
{
    for (uint32_t i = 0; info->has_pci && i < cards->n; i++)
        if (cards->cards[i].pci.domain == info->pci.domain &&
            cards->cards[i].pci.location == info->pci.location)
            return &cards->cards[i];
    return NULL;
}

static bool is_counted(const struct drm_rows *counted, uint32_t pid)
{
    for (uint32_t i = 0; i < counted->n; i++)
        if (counted->rows[i].pid == pid)
            return true;
    return false;
}

/* True: it has device memory to tell of, whether it could be counted or not. */
static bool read_client(struct drm_clients *clients, int info_fd, const char *name,
                        uint32_t pid)
{
    char text[FDINFO_MAX];
    struct span span;
    struct drm_fdinfo info;
    const struct drm_card *card;
    struct drm_client client;
    int r = small_file_read(info_fd, name, text, sizeof(text), &span);

    clients->cut = clients->cut || r == -EFBIG;
    if (r < 0)
        return false; // closed since
    info = drm_read_fdinfo(span, clients->vendor);
    if (!info.is_ours)
        return false;
    card = find_card(clients->cards, &info);
    if (card && card->without_memory)
        return false;
    if (!card || !info.has_client) {
        // The render node of a partition names no device; what is computed there is
        // counted elsewhere.
        clients->cut = clients->cut || !is_counted(clients->counted, pid);
        return true;
    }
    client = (struct drm_client){.id = info.client_id,
                                 .bytes = info.vram_bytes,
                                 .pid = pid,
                                 .card = (uint32_t)(card - clients->cards->cards)};
    client.counted = drm_find_row(clients->counted, pid, client.card) != NULL;
    add_client(clients, &client);
    return true;
}

static bool read_fds(struct drm_clients *clients, int pid_fd, uint32_t pid)
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
            holds = read_client(clients, infos.fd, name, pid) || holds;
    }
    if (r == 0)
        r = fds.error;
    clients->denied_now = clients->denied_now || r == -EACCES || r == -EPERM;
    folder_done(&infos);
    folder_done(&fds);
    return holds;
}

/* True: the process has a client. */
static bool read_process(struct drm_clients *clients, uint32_t pid)
{
    OWNED(close_fd) int fd = -1;
    char path[16];

    (void)snprintf(path, sizeof(path), "%u", pid);
    fd = openat(clients->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && read_fds(clients, fd, pid);
}

static bool is_holder(const struct drm_clients *clients, uint32_t pid)
{
    for (uint32_t i = 0; i < clients->n_holders; i++)
        if (clients->holders[i] == pid)
            return true;
    return false;
}

static void add_holder(struct drm_clients *clients, uint32_t pid)
{
    if (is_holder(clients, pid))
        return;
    if (clients->n_holders == ARRAY_LEN(clients->holders))
        clients->cut = true;
    else
        clients->holders[clients->n_holders++] = pid;
}

static void read_holders(struct drm_clients *clients)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < clients->n_holders; i++)
        if (read_process(clients, clients->holders[i]))
            clients->holders[kept++] = clients->holders[i];
    clients->n_holders = kept;
}

static void end_round(struct drm_clients *clients)
{
    clients->rounded = clients->rounded || clients->all.error == 0;
    clients->denied = clients->denied_now;
    clients->denied_now = false;
    folder_rewind(&clients->all);
}

/* The next part of PROC, or all of it once if it is small. */
static void sweep(struct drm_clients *clients)
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
        if (read_process(clients, pid))
            add_holder(clients, pid);
    }
}

bool drm_is_round_whole(const struct drm_clients *clients)
{
    return clients->rounded && !clients->denied && !clients->denied_now;
}

static void sum_up(const struct drm_clients *clients, struct drm_rows *rows)
{
    rows->n = 0;
    rows->cut = false;
    for (uint32_t i = 0; i < clients->n; i++) {
        const struct drm_client *client = &clients->clients[i];
        struct drm_row *row =
            client->counted ? NULL : drm_row_of(rows, client->pid, client->card);

        if (row)
            row->bytes = add_saturating(row->bytes, client->bytes);
    }
}

void drm_read_clients(struct drm_host *host, const struct drm_rows *counted)
{
    struct drm_clients *clients = &host->clients;

    clients->vendor = host->vendor;
    clients->cards = &host->cards;
    clients->counted = counted;
    clients->n = 0;
    clients->cut = false;
    clients->budget = FDS_PER_CALL;
    for (uint32_t i = 0; i < counted->n; i++)
        if (i == 0 || counted->rows[i].pid != counted->rows[i - 1].pid)
            add_holder(clients, counted->rows[i].pid);
    read_holders(clients);
    sweep(clients);
    sum_up(clients, &host->rows);
}
