// SPDX-License-Identifier: Apache-2.0
#include "gpu/intel.h"

#include "gpu/intel_abi.h"

#include <fcntl.h>
#include <stdio.h>

enum {
    ANSWER_MAX = 4096, // some 46 regions; no device has more than three
    TRIES = 8,
};

/* An answer may come with any number of regions, and be as long as it likes. */
union answer {
    struct xe_regions xe;
    struct i915_regions i915;
    char bytes[ANSWER_MAX];
};

static int open_render_node(uint32_t render_minor)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "/dev/dri/renderD%u", render_minor);
    return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

static int call_kernel(int fd, unsigned long request, void *argument)
{
    return ioctl(fd, request, argument);
}

const struct intel_calls intel_kernel = {open_render_node, call_kernel};

/* DRM has its calls made again when a signal or a reset came in between. */
static int call(const struct intel_calls *calls, int fd, unsigned long request,
                void *argument)
{
    int r = -EAGAIN;

    for (int i = 0; i < TRIES && (r == -EINTR || r == -EAGAIN); i++)
        r = calls->ioctl(fd, request, argument) < 0 ? neg_errno() : 0;
    return r;
}

static int ask_xe(const struct intel_calls *calls, int fd, union answer *answer,
                  size_t *ret_len)
{
    struct xe_query query = {.query = XE_QUERY_MEM_REGIONS};
    int r = call(calls, fd, XE_IOCTL_QUERY, &query);

    if (r < 0)
        return r;
    if (query.size < sizeof(answer->xe) || query.size > sizeof(answer->bytes))
        return -EBADMSG;
    *ret_len = query.size;
    query.data = (uintptr_t)answer->bytes;
    return call(calls, fd, XE_IOCTL_QUERY, &query);
}

static int ask_i915(const struct intel_calls *calls, int fd, union answer *answer,
                    size_t *ret_len)
{
    struct i915_query_item item = {.query = I915_QUERY_MEMORY_REGIONS};
    struct i915_query query = {.n_items = 1, .items = (uintptr_t)&item};
    int r = call(calls, fd, I915_IOCTL_QUERY, &query);

    if (r < 0 || item.length < 0)
        return r < 0 ? r : MAX(item.length, -4095);
    if ((size_t)item.length < sizeof(answer->i915) ||
        (size_t)item.length > sizeof(answer->bytes))
        return -EBADMSG;
    *ret_len = (size_t)item.length;
    item.data = (uintptr_t)answer->bytes;
    r = call(calls, fd, I915_IOCTL_QUERY, &query);
    return r < 0 ? r : item.length < 0 ? MAX(item.length, -4095) : 0;
}

static bool do_regions_fit(uint32_t n, size_t region, size_t len)
{
    return n <= len / region;
}

static int add_region(uint64_t total, uint64_t used, struct intel_memory *memory)
{
    if (used != UNKNOWN && used > total)
        return -EBADMSG;
    memory->total_bytes = add_saturating(memory->total_bytes, total);
    memory->used_bytes = add_saturating(memory->used_bytes, used);
    return 0;
}

static int sum_up_xe(const struct xe_regions *answer, size_t len,
                     struct intel_memory *ret)
{
    int r = 0;

    if (!do_regions_fit(answer->n, sizeof(answer->regions[0]), len - sizeof(*answer)))
        return -EBADMSG;
    for (uint32_t i = 0; r == 0 && i < answer->n; i++) {
        const struct xe_region *region = &answer->regions[i];

        if (region->mem_class == XE_CLASS_VRAM)
            r = add_region(region->total_size, region->used, ret);
    }
    return r;
}

static int sum_up_i915(const struct i915_regions *answer, size_t len,
                       struct intel_memory *ret)
{
    int r = 0;

    if (!do_regions_fit(answer->n, sizeof(answer->regions[0]), len - sizeof(*answer)))
        return -EBADMSG;
    for (uint32_t i = 0; r == 0 && i < answer->n; i++) {
        const struct i915_region *region = &answer->regions[i];
        uint64_t free = region->unallocated_size;

        if (region->memory_class != I915_CLASS_DEVICE)
            continue;
        if (free != UNKNOWN && free > region->probed_size)
            return -EBADMSG;
        r = add_region(region->probed_size,
                       free == UNKNOWN ? UNKNOWN : region->probed_size - free, ret);
    }
    return r;
}

int intel_query_memory(const struct intel_calls *calls, enum intel_driver driver, int fd,
                       struct intel_memory *ret)
{
    union answer answer = {.bytes = {0}};
    struct intel_memory memory = {0, 0};
    size_t len = 0;
    int r = driver == INTEL_XE ? ask_xe(calls, fd, &answer, &len)
                               : ask_i915(calls, fd, &answer, &len);

    // An i915 older than the question knows no card with memory of its own.
    if (r == -EINVAL && driver == INTEL_I915)
        r = 0;
    else if (r == 0)
        r = driver == INTEL_XE ? sum_up_xe(&answer.xe, len, &memory)
                               : sum_up_i915(&answer.i915, len, &memory);
    if (r < 0)
        return r;

    // A driver always holds some of it itself: 0 is what those hear who lack the right.
    if (memory.used_bytes == 0 || memory.total_bytes == UNKNOWN)
        memory.used_bytes = UNKNOWN;
    *ret = memory;
    return 0;
}
