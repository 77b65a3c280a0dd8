// SPDX-License-Identifier: Apache-2.0
/*
 * intel.h - what the parts of the Intel back end share, over what is in gpu/drm.h
 *
 *   intel_memory.c   ask Intel's kernel drivers for the memory of a card
 *   gpu_xe.c         the back end: which cards, their memory, rows of their processes
 *
 * There is no file that tells it: i915 and xe answer a question at the card's render node,
 * for which reading rights suffice.
 */
#ifndef GPU_INTEL_H
#define GPU_INTEL_H

#include "gpu/drm.h"

extern const struct drm_vendor intel_vendor;

enum intel_driver { INTEL_XE, INTEL_I915 };

/* What is asked of the kernel, so that tests can answer. Both results as of system calls. */
struct intel_calls {
    int (*open_node)(uint32_t render_minor);
    int (*ioctl)(int fd, unsigned long request, void *argument);
};

extern const struct intel_calls intel_kernel;

struct intel_memory {
    uint64_t total_bytes; // of its own; 0: it lives on the host's
    uint64_t used_bytes;  // UNKNOWN: not told
};

/* -EBADMSG: the answer contradicts itself. */
int intel_query_memory(const struct intel_calls *calls, enum intel_driver driver, int fd,
                       struct intel_memory *ret) MUST_CHECK;

#endif
