// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_worker.h - the child process that talks to GPU drivers
 *
 * Started by gpu_link with the socket as descriptor GPU_WORKER_FD; ends when the other
 * end closes. A back end that does not open, or fails as a whole, is tried again with
 * back-off (1 s doubling to 60 s): a driver loaded later is found without a restart.
 */
#ifndef GPU_GPU_WORKER_H
#define GPU_GPU_WORKER_H

#include "gpu/gpu_backend.h"

enum { GPU_WORKER_FD = 3 };

#define GPU_WORKER_ROLE "--gpu-worker"

/*
 * The worker's main(): argv is {program, GPU_WORKER_ROLE, backends, nvml library or "",
 * sys root, proc root, sim directory or ""}. Returns the exit status: success when the
 * other end has closed, and when only another process can load the driver's library.
 */
int gpu_worker_main(int argc, char **argv);

#endif
