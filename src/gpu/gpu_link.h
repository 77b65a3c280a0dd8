// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_link.h - the daemon's end of the GPU worker: start it, ask it, judge its silence
 *
 * The worker is a child process (this same program, started again with its role on the
 * command line) that alone loads vendor libraries. It answers requests over a
 * SOCK_SEQPACKET pair, one frame per answer, and never speaks unasked. A worker that owes
 * an answer for 2 s makes the figures stale, for 10 s (its first: 60 s) gets it killed;
 * another is started with back-off. A killed worker may sit in the driver for ever (state
 * D) and is then never reaped; at most one such corpse is tolerated before starts are
 * suspended. Workers are started and reaped by the keeper (gpu_keeper.h), which this starts
 * first: who has a link needs the right to start processes no longer.
 *
 * No event loop here: the owner polls gpu_link_fd() for reading, calls gpu_link_receive()
 * when it is readable and gpu_link_check() on every tick. All times are CLOCK_MONOTONIC
 * nanoseconds, passed in. One thread.
 */
#ifndef GPU_GPU_LINK_H
#define GPU_GPU_LINK_H

#include "gpu/gpu.h"

#define GPU_STALE_NS 2000000000ULL
#define GPU_KILL_NS 10000000000ULL
#define GPU_START_NS 60000000000ULL       // for a worker's first answer
#define GPU_START_AGAIN_NS 20000000000ULL // likewise, after one that hung
#define GPU_PROCESSES_EVERY_NS 1000000000ULL

struct gpu_link;

struct gpu_link_options {
    const char *program;      // path to execute, "/proc/self/exe" in production
    const char *backends;     // "auto", or the name of one back end
    const char *nvml_library; // may be NULL
    const char *sys_root;
    const char *proc_root;
    const char *sim_dir; // may be NULL
    bool confine;        // keeper and worker give up what they do not need
};

/*
 * Starts the keeper, and a worker. A keeper that cannot be started is an error, a worker
 * that cannot is none: it is tried again, and gpu_link_reason() tells. Both die with the
 * thread that calls this.
 */
int gpu_link_new(const struct gpu_link_options *options, uint64_t now_ns,
                 struct gpu_link **ret) MUST_CHECK;
void gpu_link_free(
    struct gpu_link *link); // ends the worker, without waiting for a stuck one

int gpu_link_fd(
    const struct gpu_link *link); // -1 while no worker runs; changes on restart

/* Ask for a sample, unless an answer is still owed. Process lists come once a second. */
void gpu_link_request(struct gpu_link *link, uint64_t now_ns);

/*
 * Take what the worker sent. 1: a new sample is in place; 0: nothing new. Negative: the
 * worker has ended or broken the rules; call gpu_link_check() now, which closes the
 * descriptor: it would stay readable.
 */
int gpu_link_receive(struct gpu_link *link, uint64_t now_ns);

/*
 * Reap, kill, restart as due. 1: gpu_link_fd() has changed; 0: it has not. One call never
 * both closes a descriptor and opens the next one. -EPIPE: the keeper has ended, and with
 * it the worker; there will be no other.
 */
int gpu_link_check(struct gpu_link *link, uint64_t now_ns);

bool gpu_link_waiting(const struct gpu_link *link); // an answer is owed

/* The newest sample; NULL before the first. Valid until the next receive or check. */
const struct gpu_sample *gpu_link_sample(const struct gpu_link *link);

/*
 * Why there are no fresh figures, for the error documents: "" when the newest sample is
 * younger than GPU_STALE_NS. "the driver has not answered for 4 s", and so on.
 */
const char *gpu_link_reason(struct gpu_link *link, uint64_t now_ns);

uint32_t gpu_link_restarts(const struct gpu_link *link);

/* CPU time of workers that have ended, and of the keeper, as of its last word. */
double gpu_link_cpu_seconds(const struct gpu_link *link);

#endif
