// SPDX-License-Identifier: Apache-2.0
#include "gpu/drm.h"

#include <fcntl.h>

#include "base/text.h"

#define LIST_EVERY_NS UINT64_C(10000000000)
#define LIST_AFTER_TROUBLE_NS UINT64_C(5000000000)

static int list_cards(struct drm_host *host, uint64_t now_ns)
{
    int r = drm_list_cards(host->vendor, host->sys_fd, &host->cards, &host->room);

    host->listed = true;
    host->listed_ns = now_ns;
    host->trouble = false;
    if (host->vendor->listed)
        host->vendor->listed(host);
    return r;
}

static bool is_listing_due(const struct drm_host *host, uint64_t now_ns)
{
    return !host->listed || now_ns - host->listed_ns >=
                                (host->trouble ? LIST_AFTER_TROUBLE_NS : LIST_EVERY_NS);
}

/* True: a card that could be read before cannot be now. */
static bool read_cards(struct drm_host *host)
{
    bool failed = false;

    for (uint32_t i = 0; i < host->cards.n; i++) {
        struct drm_card *card = &host->cards.cards[i];
        struct drm_reading *reading = &host->readings[i];

        *reading = card->fd < 0
                       ? (struct drm_reading){card->error, false, UNKNOWN, UNKNOWN}
                       : host->vendor->read(host, card);
        failed = failed || (reading->error < 0 && card->error == 0);
        host->trouble = host->trouble || reading->error < 0;
        card->error = reading->error;
    }
    return failed;
}

int drm_read_memory(struct drm_host *host, uint64_t now_ns,
                    struct gpu_source_state *state)
{
    bool listed = is_listing_due(host, now_ns);
    int r = listed ? list_cards(host, now_ns) : 0;

    if (read_cards(host) && !listed) {
        r = list_cards(host, now_ns);
        (void)read_cards(host); // what fails now is told
    }
    if (r < 0 && r != -ENOENT)
        return gpu_say(state, r, GPU_FAILED, "the cards cannot be listed: %s",
                       strerror(-r));
    return 0;
}

static void say_error(const struct drm_card *card, const struct drm_reading *reading,
                      struct gpu_device *device)
{
    int error = reading->error;

    if (reading->closed)
        gpu_device_say(device, "/dev/dri/renderD%u cannot be opened: %s",
                       card->render_minor, strerror(-error));
    else if (error == -ENODEV || error == -ENOENT)
        gpu_device_say(device, "the card is gone: it has fallen off the bus, or was "
                               "taken from its driver");
    else if (error == -EBADMSG)
        gpu_device_say(device, "what the driver tells of its memory is not a number");
    else if (error < 0)
        gpu_device_say(device, "its memory cannot be read: %s", strerror(-error));
}

struct gpu_device *drm_add_device(const struct drm_host *host, uint32_t i,
                                  struct gpu_sample *out)
{
    const struct drm_card *card = &host->cards.cards[i];
    const struct drm_reading *reading = &host->readings[i];
    struct gpu_device *device = gpu_add_device(out, card->index);

    if (!device)
        return NULL;
    memcpy(device->uuid, card->uuid, sizeof(device->uuid));
    memcpy(device->name, card->name, sizeof(device->name));
    device->mem_total_bytes = reading->total_bytes;
    device->mem_used_bytes = reading->used_bytes;
    say_error(card, reading, device);
    return device;
}

void drm_add_rows(const struct drm_rows *rows, uint32_t card, struct gpu_sample *out)
{
    for (uint32_t i = 0; i < rows->n; i++)
        if (rows->rows[i].card == card && rows->rows[i].bytes != 0)
            gpu_add_process(out, rows->rows[i].pid, rows->rows[i].bytes);
}

bool drm_is_cut(const struct drm_host *host)
{
    if (host->clients.cut || host->rows.cut || host->cards.cut)
        return true;
    for (uint32_t i = 0; i < host->cards.n; i++)
        if (host->cards.cards[i].fd < 0)
            return true;
    return false;
}

static int say_no_card(const struct drm_host *host, struct gpu_source_state *state)
{
    char address[64];

    if (drm_find_gpu(host->vendor, host->sys_fd, &host->cards, address, sizeof(address)))
        return gpu_say(state, -ENODEV, GPU_NO_DRIVER, "%s not have the %s GPU at %s",
                       host->vendor->drivers, host->vendor->name, address);
    return gpu_say(state, -ENODEV, GPU_NO_DEVICE, "this host has no %s GPU%s",
                   host->vendor->name,
                   host->vendor->integrated ? " with memory of its own" : "");
}

static int open_roots(const struct gpu_env *env, struct gpu_source_state *state,
                      struct drm_host *host)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int r;

    host->sys_fd = open(env->sys_root, flags);
    if (host->sys_fd < 0) {
        r = neg_errno();
        return gpu_say(state, r, r == -EACCES ? GPU_NO_PERMISSION : GPU_FAILED,
                       "\"%s\" cannot be opened: %s", env->sys_root, strerror(-r));
    }
    host->clients.proc_fd = open(env->proc_root, flags);
    r = folder_open(host->clients.proc_fd, ".", &host->clients.all);
    if (r < 0)
        return gpu_say(state, r, r == -EACCES ? GPU_NO_PERMISSION : GPU_FAILED,
                       "\"%s\" cannot be opened: %s", env->proc_root, strerror(-r));
    return 0;
}

int drm_open(const struct gpu_env *env, const struct drm_vendor *vendor,
             struct gpu_source_state *state, struct drm_host *host)
{
    bool any = false;
    int r;

    host->vendor = vendor;
    host->sys_fd = -1;
    host->clients.proc_fd = -1;
    host->clients.all.fd = -1;
    r = open_roots(env, state, host);
    if (r < 0)
        return r;
    r = drm_list_cards(vendor, host->sys_fd, &host->cards, &host->room);
    if (r < 0 && r != -ENOENT)
        return gpu_say(state, r, r == -EACCES ? GPU_NO_PERMISSION : GPU_FAILED,
                       "the cards cannot be listed: %s", strerror(-r));
    (void)read_cards(host);
    for (uint32_t i = 0; i < host->cards.n; i++)
        any = any || !host->cards.cards[i].without_memory;
    return any ? 0 : say_no_card(host, state);
}

void drm_close(struct drm_host *host)
{
    drm_forget_cards(&host->cards);
    folder_done(&host->clients.all);
    close_fd(&host->clients.proc_fd);
    close_fd(&host->sys_fd);
}
