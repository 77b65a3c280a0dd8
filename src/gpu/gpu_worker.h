// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_worker.h - the child process that talks to GPU drivers
 *
 * Started by the keeper (gpu_keeper.h) with the socket as descriptor GPU_WORKER_FD; ends
 * when the other end closes. A back end that does not open, or fails as a whole, is tried again with
 * back-off (1 s doubling to 60 s): a driver loaded later is found without a restart.
 */
#ifndef GPU_GPU_WORKER_H
#define GPU_GPU_WORKER_H

#include "gpu/gpu_backend.h"
#include "gpu/gpu_keeper.h"

enum { GPU_WORKER_FD = GPU_CHILD_FD };

#define GPU_WORKER_ROLE "--gpu-worker"

/*
 * The worker's main(), with the arguments of gpu_keeper.h. Returns the exit status: success when the
 * other end has closed, and when only another process can load the driver's library.
 */
int gpu_worker_main(int argc, char **argv);

/* Whether a worker with these back ends may want other processes' files in /proc. */
bool gpu_worker_may_read_processes(const char *backends);
bool gpu_worker_may_read_counters(const char *backends); // and CAP_PERFMON for it

#endif
