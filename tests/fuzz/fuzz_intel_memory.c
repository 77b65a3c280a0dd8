// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_intel_memory.c - a kernel that answers what it likes
 *
 * The first byte says which driver, the next four the length that it tells; then comes the
 * answer, of which it writes as much as was asked for. What is made of it is no more than
 * what it holds, and nothing is in use that is not there.
 */
#include "gpu/intel.h"
#include "gpu/intel_abi.h"

#include <assert.h>

enum { HEAD = 5 };

static const uint8_t *answer_bytes;
static size_t answer_size;
static uint32_t said_len;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int no_node(uint32_t minor)
{
    (void)minor;
    errno = ENOENT;
    return -1;
}

/* As much as the kernel could: no more than it was given room for. */
static void give(uint64_t to, size_t room)
{
    if (answer_size > 0)
        memcpy((void *)(uintptr_t)to, answer_bytes, MIN(room, answer_size)); // NOLINT
}

static int answer(int fd, unsigned long request, void *argument)
{
    (void)fd;
    if (request == XE_IOCTL_QUERY) {
        struct xe_query *query = argument;

        if (query->size == 0)
            query->size = said_len;
        else
            give(query->data, query->size);
    } else {
        const struct i915_query *query = argument;
        struct i915_query_item *item = (void *)(uintptr_t)query->items; // NOLINT

        assert(request == I915_IOCTL_QUERY && query->n_items == 1);
        if (item->length == 0)
            item->length = (int32_t)said_len;
        else
            give(item->data, (size_t)item->length);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct intel_calls calls = {no_node, answer};
    struct intel_memory memory = {1, 2};
    enum intel_driver driver;
    int r;

    if (size < HEAD)
        return 0;
    driver = data[0] & 1 ? INTEL_I915 : INTEL_XE;
    memcpy(&said_len, data + 1, sizeof(said_len));
    answer_bytes = data + HEAD;
    answer_size = size - HEAD;
    r = intel_query_memory(&calls, driver, 3, &memory);
    if (r < 0) {
        assert(memory.total_bytes == 1 && memory.used_bytes == 2);
        return 0;
    }
    assert(memory.used_bytes == UNKNOWN ||
           (memory.used_bytes <= memory.total_bytes && memory.total_bytes != UNKNOWN));
    assert(memory.used_bytes != 0);
    return 0;
}
