// SPDX-License-Identifier: Apache-2.0
/*
 * host_memory.h - figures for a device that has no memory but the host's
 */
#ifndef GPU_HOST_MEMORY_H
#define GPU_HOST_MEMORY_H

#include "gpu/gpu_backend.h"

/*
 * The device added last shares the host's memory: its total and used become those of the
 * host, as PROC_ROOT/meminfo says. Only the first such device of a sample gets them, for
 * they must not be counted twice. What cannot be read stays UNKNOWN, with a reason.
 */
void host_memory_fill(struct gpu_sample *out, const char *proc_root);

#endif
