// SPDX-License-Identifier: Apache-2.0
/*
 * host_scan.h - tell each process once when it appears, cheaply
 *
 * Where /proc is of our own pid namespace, /proc/loadavg tells the newest pid: only pids
 * after the last one can be new, and only these are looked at. Beside that, the folder is
 * read in slices from front to back, which finds what came another way (restored from a
 * checkpoint) and forgets what is gone: 100 names a run while processes come, and every
 * 16th run while none do. Below another root, or in another pid namespace, the slices of
 * `budget` names are all there is, and each process in them is looked at.
 *
 * At the start all processes are new: the first runs read slices of `budget` names too.
 * Needs no privilege; processes that /proc hides from us (hidepid) are not told. Kernel
 * threads and threads are passed over. A run allocates only while there are more
 * processes than ever before. What a process becomes by exec after its second call is
 * not told.
 */
#ifndef HOST_HOST_SCAN_H
#define HOST_HOST_SCAN_H

#include "host/host.h"

enum {
    HOST_SCAN_SECOND_RUNS = 4, // later; a child that was just forked has become itself
};

struct host_scan;

/* Must not free the scan, nor run it. */
typedef void host_scan_fn(void *ctx, const struct host_process *process);

/* `host` is lent, and must outlive the scan. */
int host_scan_new(struct host *host, struct host_scan **ret) MUST_CHECK;
void host_scan_free(struct host_scan *scan);

/*
 * Call `fn` for each process that is new (by pid and start time), and again the fourth
 * run after that if it is still there. `budget` bounds, each by itself, how many names
 * are read, how many new processes are looked at, and how many second calls are made; up
 * to 8 times as many pids are tried that no process has. The rest is for the next run.
 */
void host_scan_run(struct host_scan *scan, unsigned budget, host_scan_fn *fn, void *ctx);

/* More processes than are remembered (65,536): some have not been told. */
bool host_scan_is_incomplete(const struct host_scan *scan);

#endif
