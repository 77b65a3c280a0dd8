// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_keeper.h - the process that starts GPU workers, so that the daemon need not
 *
 * The keeper is a child of the daemon: this same program, started again with its role on
 * the command line, before the daemon gives up the right to start anything. It does
 * nothing but start a worker when asked, hand its socket and a descriptor for the process
 * back over a SOCK_SEQPACKET pair, and tell of each worker that it has reaped. It reads
 * one byte per request and opens nothing.
 *
 * It ends when the daemon does, and workers end when it does. It is not started again: that
 * would take what the daemon has given up.
 */
#ifndef GPU_GPU_KEEPER_H
#define GPU_GPU_KEEPER_H

#include "base/base.h"

#include <sys/types.h>

#define GPU_KEEPER_ROLE "--gpu-keeper"

/*
 * argv of keeper and worker alike. Behind the role: back ends, NVML library or "", sys
 * root, proc root, folder of the simulated driver or "", "confined" or "".
 */
enum {
    GPU_ARG_ROLE = 1,
    GPU_ARG_BACKENDS,
    GPU_ARG_NVML_LIBRARY,
    GPU_ARG_SYS_ROOT,
    GPU_ARG_PROC_ROOT,
    GPU_ARG_SIM_DIR,
    GPU_ARG_CONFINED,
    GPU_ARGS,
};

enum { GPU_CHILD_FD = 3 }; // the socket of either

enum gpu_keeper_event {
    GPU_WORKER_STARTED = 1,
    GPU_WORKER_NOT_STARTED,
    GPU_WORKER_REAPED,
};

struct gpu_keeper_report {
    uint32_t event;
    int32_t pid;
    int32_t value;   // NOT_STARTED: a negative errno; REAPED: as waitpid() gives it
    uint32_t unused; // no padding is sent
    uint64_t cpu_ns; // of the keeper, and of all workers that it has reaped
};

struct gpu_keeper;

/* `arguments` are GPU_ARGS words and NULL; the role is filled in. */
int gpu_keeper_new(const char *program, char *arguments[],
                   struct gpu_keeper **ret) MUST_CHECK;

/* Ends the keeper, and with it workers. */
void gpu_keeper_free(struct gpu_keeper *keeper);

/* Ask for a worker. -EPIPE: the keeper has ended. */
int gpu_keeper_start_worker(struct gpu_keeper *keeper) MUST_CHECK;

/*
 * Wait for a report, at most so long. 1: there is one, and if it is of a worker that was
 * started, its socket and process descriptor are the caller's. 0: none. -EPIPE: the keeper
 * has ended.
 */
int gpu_keeper_hear(struct gpu_keeper *keeper, int wait_ms, struct gpu_keeper_report *ret,
                    int ret_fds[2]) MUST_CHECK;

/* The keeper's main(). Returns the exit status. */
int gpu_keeper_main(int argc, char **argv);

/*
 * For keeper and worker, at their start: end with the parent, which made the socket, but
 * not by what a terminal or a service manager sends to the whole group. -ESRCH: the parent
 * has ended already.
 */
int gpu_child_settle(const char *name) MUST_CHECK;

#endif
