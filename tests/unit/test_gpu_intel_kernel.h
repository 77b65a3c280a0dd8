// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_intel_kernel.h - a kernel that tests play: render nodes with xe and i915
 *
 * It answers as xe_query.c and i915_query.c do, in two steps, or as a test says.
 */
#ifndef TESTS_UNIT_TEST_GPU_INTEL_KERNEL_H
#define TESTS_UNIT_TEST_GPU_INTEL_KERNEL_H

#include "gpu/intel.h"
#include "gpu/intel_abi.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define GIB (UINT64_C(1) << 30)

enum { NODES = 8, NODE_FIRST = 128 };

/* What the kernel answers at a render node. */
static struct node {
    int open_error;
    int error;        // of the call
    int item_error;   // of i915's answer, where the call is a success
    int interrupted;  // times
    int64_t says_len; // instead of the true length; -1: the true one
    size_t len;
    union {
        struct xe_regions xe;
        struct i915_regions i915;
        char bytes[8192];
    };
} nodes[NODES];

static bool perfmon; // the caller has the right to be told what is in use
static int node_of_fd[1024];
static unsigned n_opened, n_asked;

static inline int open_node(uint32_t minor)
{
    int fd;

    assert_in_range(minor, NODE_FIRST, NODE_FIRST + NODES - 1);
    errno = nodes[minor - NODE_FIRST].open_error;
    if (errno)
        return -1;
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_in_range(fd, 0, ARRAY_LEN(node_of_fd) - 1);
    node_of_fd[fd] = (int)minor - NODE_FIRST;
    n_opened++;
    return fd;
}

static inline struct xe_region *xe_region(char *bytes, uint32_t i)
{
    return (struct xe_region *)(void *)(bytes + sizeof(struct xe_regions)) + i;
}

static inline struct i915_region *i915_region(char *bytes, uint32_t i)
{
    return (struct i915_region *)(void *)(bytes + sizeof(struct i915_regions)) + i;
}

static inline size_t said_len(const struct node *node)
{
    return node->says_len < 0 ? node->len : (size_t)node->says_len;
}

static inline int answer_xe(const struct node *node, struct xe_query *query)
{
    char *to = (char *)(uintptr_t)query->data; // NOLINT: as the kernel has it

    assert_int_equal(query->query, 1);
    assert_true(query->extensions == 0 && !query->reserved[0] && !query->reserved[1]);
    if (query->size == 0) {
        query->size = (uint32_t)said_len(node);
        return 0;
    }
    if (query->size != said_len(node)) {
        errno = EINVAL;
        return -1;
    }
    memcpy(to, node->bytes, MIN(query->size, sizeof(node->bytes)));
    for (uint32_t i = 0; !perfmon && i < MIN(node->xe.n, 3U); i++)
        xe_region(to, i)->used = xe_region(to, i)->cpu_visible_used = 0;
    return 0;
}

static inline int answer_i915(const struct node *node, const struct i915_query *query)
{
    struct i915_query_item *item = (void *)(uintptr_t)query->items; // NOLINT: likewise
    char *to = (char *)(uintptr_t)item->data;                       // NOLINT

    assert_true(query->n_items == 1 && query->flags == 0);
    assert_true(item->query == 4 && item->flags == 0);
    if (node->item_error) {
        item->length = -node->item_error;
    } else if (item->length == 0) {
        item->length = (int32_t)said_len(node);
    } else if ((size_t)item->length != said_len(node)) {
        item->length = -EINVAL;
    } else {
        memcpy(to, node->bytes, MIN((size_t)item->length, sizeof(node->bytes)));
        for (uint32_t i = 0; !perfmon && i < MIN(node->i915.n, 3U); i++)
            i915_region(to, i)->unallocated_size = i915_region(to, i)->probed_size;
    }
    return 0;
}

static inline int answer(int fd, unsigned long request, void *argument)
{
    struct node *node = &nodes[node_of_fd[fd]];

    n_asked++;
    errno = node->interrupted ? EINTR : node->error;
    if (node->interrupted)
        node->interrupted--;
    if (errno)
        return -1;
    if (request == 0xc0286440)
        return answer_xe(node, argument);
    assert_int_equal(request, 0xc0106479);
    return answer_i915(node, argument);
}

static const struct intel_calls calls = {open_node, answer};

static inline void put_xe(uint32_t n, const struct xe_region *regions, uint32_t n_regions)
{
    struct node *node = &nodes[n];

    *node = (struct node){.says_len = -1};
    node->xe.n = n_regions;
    memcpy(xe_region(node->bytes, 0), regions, n_regions * sizeof(*regions));
    node->len = sizeof(node->xe) + n_regions * sizeof(*regions);
}

static inline void put_i915(uint32_t n, const struct i915_region *regions,
                            uint32_t n_regions)
{
    struct node *node = &nodes[n];

    *node = (struct node){.says_len = -1};
    node->i915.n = n_regions;
    memcpy(i915_region(node->bytes, 0), regions, n_regions * sizeof(*regions));
    node->len = sizeof(node->i915) + n_regions * sizeof(*regions);
}

// As an A770 of 16 GB, and as a card of two tiles of 64 GB; system memory comes first.
static const struct i915_region system_only[] = {
    {.memory_class = 0, .probed_size = 64 * GIB, .unallocated_size = 64 * GIB}};
static const struct i915_region dg2[] = {
    {.memory_class = 0, .probed_size = 64 * GIB, .unallocated_size = 63 * GIB},
    {.memory_class = 1, .probed_size = 17028874240, .unallocated_size = 9028874240},
};
static const struct xe_region pvc[] = {
    {.mem_class = 0, .min_page_size = 4096, .total_size = 96 * GIB, .used = GIB},
    {.mem_class = 1,
     .instance = 1,
     .min_page_size = 65536,
     .total_size = 60 * GIB,
     .used = 50 * GIB,
     .cpu_visible_size = 60 * GIB,
     .cpu_visible_used = 50 * GIB},
    {.mem_class = 1,
     .instance = 2,
     .min_page_size = 65536,
     .total_size = 60 * GIB,
     .used = 7 * GIB},
};

#endif
