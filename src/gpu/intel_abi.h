// SPDX-License-Identifier: Apache-2.0
/*
 * intel_abi.h - the two questions about memory that Intel's kernel drivers answer
 *
 * Our own declarations of what the kernel's include/uapi/drm/xe_drm.h and i915_drm.h lay
 * down, as Debian 12's headers have no xe and builds need none of DRM's. Such layouts do
 * not change; the numbers of the calls have their sizes in them.
 *
 * Both answer in two steps: asked with a length of 0 they tell the length of the answer,
 * asked with that one they give it. Who lacks CAP_PERFMON (and CAP_SYS_ADMIN) is not told
 * what is in use: xe says 0 (xe_query.c), i915 that all is free (i915_query.c).
 */
#ifndef GPU_INTEL_ABI_H
#define GPU_INTEL_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

/* struct drm_xe_device_query */
struct xe_query {
    uint64_t extensions;
    uint32_t query;
    uint32_t size; // of the answer
    uint64_t data; // its address
    uint64_t reserved[2];
};

enum { XE_QUERY_MEM_REGIONS = 1 }; // DRM_XE_DEVICE_QUERY_MEM_REGIONS

enum { XE_CLASS_SYSTEM, XE_CLASS_VRAM }; // enum drm_xe_memory_class

/* struct drm_xe_mem_region: of a device of two tiles each has one */
struct xe_region {
    uint16_t mem_class;
    uint16_t instance;
    uint32_t min_page_size;
    uint64_t total_size; // that can be used
    uint64_t used;       // 0 without CAP_PERFMON
    uint64_t cpu_visible_size;
    uint64_t cpu_visible_used;
    uint64_t reserved[6];
};

/* struct drm_xe_query_mem_regions */
struct xe_regions {
    uint32_t n;
    uint32_t padding;
    struct xe_region regions[];
};

/* struct drm_i915_query */
struct i915_query {
    uint32_t n_items;
    uint32_t flags;
    uint64_t items; // address of as many
};

/* struct drm_i915_query_item */
struct i915_query_item {
    uint64_t query;
    int32_t length; // negative errno: this question has no answer
    uint32_t flags;
    uint64_t data;
};

enum { I915_QUERY_MEMORY_REGIONS = 4 }; // DRM_I915_QUERY_MEMORY_REGIONS

enum { I915_CLASS_SYSTEM, I915_CLASS_DEVICE }; // enum drm_i915_gem_memory_class

/* struct drm_i915_memory_region_info */
struct i915_region {
    uint16_t memory_class;
    uint16_t memory_instance;
    uint32_t reserved0;
    uint64_t probed_size;      // all ones: unknown
    uint64_t unallocated_size; // likewise; probed_size without CAP_PERFMON
    uint64_t reserved1[8];
};

/* struct drm_i915_query_memory_regions */
struct i915_regions {
    uint32_t n;
    uint32_t reserved[3];
    struct i915_region regions[];
};

#define XE_IOCTL_QUERY _IOWR('d', 0x40, struct xe_query)     // DRM_IOCTL_XE_DEVICE_QUERY
#define I915_IOCTL_QUERY _IOWR('d', 0x79, struct i915_query) // DRM_IOCTL_I915_QUERY

_Static_assert(XE_IOCTL_QUERY == 0xc0286440, "xe's ABI");
_Static_assert(I915_IOCTL_QUERY == 0xc0106479, "i915's ABI");
_Static_assert(sizeof(struct xe_region) == 88, "xe's ABI");
_Static_assert(sizeof(struct xe_regions) == 8, "xe's ABI");
_Static_assert(sizeof(struct i915_query_item) == 24, "i915's ABI");
_Static_assert(sizeof(struct i915_region) == 88, "i915's ABI");
_Static_assert(sizeof(struct i915_regions) == 16, "i915's ABI");

#endif
