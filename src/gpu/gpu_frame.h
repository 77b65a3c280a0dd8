// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_frame.h - a GPU sample as one datagram, and the request it answers
 *
 * Both ends are the same program, so numbers travel as they lie in memory; but the worker
 * has a vendor's library inside it, so the daemon believes nothing it has not checked.
 * A frame carries only the records in use: a header, then sources, devices, processes.
 */
#ifndef GPU_GPU_FRAME_H
#define GPU_GPU_FRAME_H

#include "gpu/gpu.h"

struct gpu_request {
    uint32_t seq; // the answer repeats it
    bool with_processes;
};

struct gpu_frame_info {
    uint32_t seq;
    bool with_processes; // false: the sample says nothing about processes
};

enum {
    GPU_REQUEST_SIZE = 16,
    GPU_FRAME_HEADER_SIZE = 64,
    GPU_FRAME_MAX = GPU_FRAME_HEADER_SIZE +
                    GPU_SOURCES_MAX * (int)sizeof(struct gpu_source_state) +
                    GPU_DEVICES_MAX * (int)sizeof(struct gpu_device) +
                    GPU_PROCESSES_MAX * (int)sizeof(struct gpu_process),
};

void gpu_request_encode(const struct gpu_request *request, char to[GPU_REQUEST_SIZE]);

/* -EBADMSG: not a request of this version. */
int gpu_request_decode(struct span bytes, struct gpu_request *ret) MUST_CHECK;

/*
 * Write `sample` into `to`, which has room for GPU_FRAME_MAX bytes; returns the length.
 * Without processes, their rows, their time and their completeness are left out.
 */
size_t gpu_frame_encode(const struct gpu_frame_info *info,
                        const struct gpu_sample *sample, char *to);

/*
 * -EBADMSG: not a whole frame of this version, or one with a record that cannot be: an
 * index out of range, a string without end or with control characters. Nothing is
 * written then. Otherwise only the records in use are written to `ret`.
 */
int gpu_frame_decode(struct span bytes, struct gpu_frame_info *ret_info,
                     struct gpu_sample *ret) MUST_CHECK;

#endif
