// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_xe.c - Intel devices with memory of their own, by the kernel drivers xe and i915
 *
 * Of an integrated GPU there is nothing to tell: its memory is the host's, which models on
 * the CPU fill as well, and no driver says which part of it the GPU may have. So it is no
 * device here, as it is none with memory in xe's and i915's own answers.
 *
 * How much memory there is only the driver's answer at the render node says (see
 * intel.h); xe's file of a tile's size was removed before a kernel was released
 * with it. How much is in use, by anyone, is in the same answer, but for CAP_PERFMON only.
 * Without that right there is the sum over the DRM clients: an estimate, as it lacks what
 * the driver itself holds and counts a buffer that two processes share for both. It is
 * taken where every process could be looked at, else it would be a guess.
 *
 * Of a process drm-resident-<region> counts, what it has in device memory now: vram0 and
 * vram1 of xe's tiles, local0 of i915. drm-total-<region> has buffers in it that were
 * asked for and never used, or have been moved to the host.
 *
 * A question wakes a card that sleeps, and one each 500 ms keeps it awake.
 */
#include "gpu/intel.h"

#include <stdio.h>

#include "base/text.h"

struct xe {
    struct gpu_source base;
    struct drm_host host;
    const struct intel_calls *calls;
    struct drm_rows none; // nobody counts a process's memory but fdinfo
};

static const char INTEGRATED[] = "0000:00:02.0"; // where it is on each chip that has one

static int identify(struct drm_card *card)
{
    static const char *const drivers[] = {[INTEL_XE] = "xe", [INTEL_I915] = "i915"};
    char link[256], text[64], id[32] = "";
    ssize_t n = readlinkat(card->fd, "driver", link, sizeof(link) - 1);
    struct span span;

    link[n > 0 ? n : 0] = '\0';
    for (uint32_t i = 0; i < ARRAY_LEN(drivers); i++) {
        const char *base = strrchr(link, '/');

        if (!base || strcmp(base + 1, drivers[i]) != 0)
            continue;
        card->driver = i;
        if (small_file_read(card->fd, "device", text, sizeof(text), &span) == 0)
            (void)text_clean(id, sizeof(id), span);
        (void)snprintf(card->name, sizeof(card->name), "Intel GPU%s%s", id[0] ? " " : "",
                       id);
        return 0;
    }
    return -ENODEV;
}

/* 0: it is open. */
static int open_node(const struct xe *xe, struct drm_card *card)
{
    if (card->node_fd >= 0)
        return 0;
    if (card->render_minor == UINT32_MAX)
        return -ENXIO;
    card->node_fd = xe->calls->open_node(card->render_minor);
    return card->node_fd < 0 ? neg_errno() : 0;
}

static struct drm_reading read_card(struct drm_host *host, struct drm_card *card)
{
    const struct xe *xe = CONTAINER_OF(host, struct xe, host);
    struct drm_reading reading = {open_node(xe, card), true, UNKNOWN, UNKNOWN};
    struct intel_memory memory;

    // Of a card that does not answer its place is all that there is to go by.
    card->without_memory = strcmp(card->uuid, INTEGRATED) == 0;
    reading.closed = reading.error < 0 && reading.error != -ENXIO;
    if (reading.error < 0)
        return reading;
    reading.error = intel_query_memory(xe->calls, card->driver, card->node_fd, &memory);
    if (reading.error == 0) {
        reading.total_bytes = memory.total_bytes;
        reading.used_bytes = memory.used_bytes;
        card->without_memory = memory.total_bytes == 0;
    }
    return reading;
}

const struct drm_vendor intel_vendor = {
    .pci_vendor = "0x8086",
    .name = "Intel",
    .drivers = "the xe and i915 kernel drivers do",
    .classes = {"0x03"}, // what computes without a display, too; 0x12 are NPUs
    .integrated = INTEGRATED,
    .namings = {{.driver = "xe", .region = "vram", .numbered = true},
                {.driver = "i915", .region = "local", .numbered = true}},
    .n_namings = 2,
    .identify = identify,
    .read = read_card,
};

static bool is_estimate_due(const struct xe *xe)
{
    for (uint32_t i = 0; i < xe->host.cards.n; i++)
        if (xe->host.readings[i].error == 0 && !xe->host.cards.cards[i].without_memory &&
            xe->host.readings[i].used_bytes == UNKNOWN)
            return true;
    return false;
}

/* Rows are by the number of the card in the list, and the list may be new. */
static void read_clients(struct xe *xe, bool with_processes, uint64_t now_ns)
{
    bool is_new = xe->host.listed_ns == now_ns;

    if (with_processes || (is_new && is_estimate_due(xe)))
        drm_read_clients(&xe->host, &xe->none);
}

static uint64_t sum_of(const struct drm_rows *rows, uint32_t card)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < rows->n; i++)
        if (rows->rows[i].card == card)
            sum = add_saturating(sum, rows->rows[i].bytes);
    return sum;
}

/* NULL: the sum is as good as such a sum can be. */
static const char *doubt(const struct xe *xe, uint64_t sum, uint64_t total)
{
    const struct drm_clients *clients = &xe->host.clients;

    if (clients->denied || clients->denied_now)
        return ", and only CAP_SYS_PTRACE what processes hold of it";
    if (!clients->rounded)
        return "; not every process has been looked at yet";
    if (clients->cut || xe->host.rows.cut || sum == UNKNOWN)
        return "; it does not tell it of every process either";
    if (sum > total)
        return "; what processes hold is more than there is, as it is shared";
    return NULL;
}

static void estimate_used(const struct xe *xe, uint32_t card, struct gpu_device *device)
{
    uint64_t sum = sum_of(&xe->host.rows, card);
    const char *why_not = doubt(xe, sum, device->mem_total_bytes);

    gpu_device_say(device, "the kernel tells only CAP_PERFMON how much is in use%s",
                   why_not
                       ? why_not
                       : ": this is what processes hold, without what the driver does");
    if (why_not)
        return;
    device->mem_used_bytes = sum;
    device->used_is_estimate = 1;
}

static int add_devices(const struct xe *xe, bool with_processes, struct gpu_sample *out)
{
    const struct drm_host *host = &xe->host;

    for (uint32_t i = 0; i < host->cards.n; i++) {
        struct gpu_device *device;

        if (host->cards.cards[i].without_memory)
            continue;
        device = drm_add_device(host, i, out);
        if (!device)
            return -E2BIG;
        if (host->readings[i].error == 0 && device->mem_total_bytes != UNKNOWN &&
            device->mem_used_bytes == UNKNOWN)
            estimate_used(xe, i, device);
        gpu_device_check(device);
        if (with_processes)
            drm_add_rows(&host->rows, i, out);
    }
    return 0;
}

static int xe_sample(struct gpu_source *source, bool with_processes,
                     struct gpu_source_state *state, struct gpu_sample *out)
{
    struct xe *xe = CONTAINER_OF(source, struct xe, base);
    int r = drm_read_memory(&xe->host, out->taken_ns, state);

    if (r < 0)
        return r;
    read_clients(xe, with_processes, out->taken_ns);
    r = add_devices(xe, with_processes, out);
    if (with_processes &&
        (r < 0 || drm_is_cut(&xe->host) || !drm_is_round_whole(&xe->host.clients)))
        out->processes_incomplete = 1;
    return 0;
}

static void xe_free(struct xe **xe)
{
    if (!*xe)
        return;
    drm_close(&(*xe)->host);
    free(*xe);
}

static void xe_close(struct gpu_source *source)
{
    struct xe *xe = CONTAINER_OF(source, struct xe, base);

    xe_free(&xe);
}

static int xe_open(const struct gpu_env *env, struct gpu_source_state *state,
                   struct gpu_source **ret)
{
    OWNED(xe_free) struct xe *xe = calloc(1, sizeof(*xe));
    int r;

    if (!xe)
        return -ENOMEM;
    xe->base.backend = &gpu_xe;
    xe->calls = env->intel ? env->intel : &intel_kernel;
    r = drm_open(env, &intel_vendor, state, &xe->host);
    if (r < 0)
        return r;
    *ret = &TAKE(xe)->base;
    return 0;
}

const struct gpu_backend gpu_xe = {
    .name = "xe",
    .reads_processes = true,
    .reads_counters = true,
    .open = xe_open,
    .sample = xe_sample,
    .close = xe_close,
};
