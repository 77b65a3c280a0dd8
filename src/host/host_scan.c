// SPDX-License-Identifier: Apache-2.0
#include "host/host_scan.h"

#include "base/number.h"
#include "host/host_dir.h"
#include "host/host_parse.h"
#include "host/host_proc.h"
#include "host/host_text.h"
#include "host/pid_table.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

enum {
    STAT_MAX = 2048,
    STATUS_MAX = 4096,
    LOADAVG_MAX = 128,
    SLICE = 100,         // 2,000 processes in 10 s, at 2 runs a second
    QUIET_PERIOD = 16,   // runs from one slice to the next when no process has come
    TRIES_PER_LOOK = 8,  // an attempt at a pid costs about that much less than a look
    RETRIED_PIDS = 16,   // given already, with the process still being made
    BACKLOG_MAX = 8192,  // pids not tried yet; with more, a sweep is quicker
    SECONDS_MIN = 1024,  // first size of the queue
    PID_MAX = 1 << 22,   // the kernel's own limit
    RESERVED_PIDS = 300, // not given again after the largest
};

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* A process to be told a second time. */
struct second {
    uint64_t start_ticks;
    uint32_t pid;
    uint32_t due; // the number of that run
};

/* All wait equally long, so that those due first are in front. */
struct seconds {
    uint32_t first, n, room; // a ring; `room` is a power of 2
    struct second *at;
};

/* What is known of the pids that the kernel gives. */
struct newest {
    int loadavg_fd; // -1: not known, or not in our way of counting
    bool no_pidfd;  // the kernel has no such call for us
    bool is_known;
    uint32_t pid;                  // the newest, when last asked
    uint32_t next;                 // the first that has not been tried
    uint32_t retry_from, retry_to; // were tried when the last run was, from 0: none
    uint32_t limit;                // the first that is not given
};

/* One way through the folder. */
struct sweep {
    struct host_dir dir;
    uint32_t number;
    unsigned whole;  // ones ended since a process came
    unsigned strict; // ones to go in which known pids are looked at too
};

struct host_scan {
    struct host *host;
    uint32_t run;
    bool incomplete;
    struct pid_table seen; // marked by the sweep in which they were seen last
    struct seconds seconds;
    struct newest newest;
    struct sweep sweep;
    host_scan_fn *fn; // during a run
    void *ctx;
};

static bool counts_as_we_do(const struct host *host)
{
    char text[STATUS_MAX];
    ssize_t len = host_read_start(host->proc_fd, "self/status", text, sizeof(text));

    return len > 0 && host_has_one_ns_pid((struct span){text, (size_t)len});
}

int host_scan_new(struct host *host, struct host_scan **ret)
{
    int fd = openat(host->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct host_scan *scan;

    if (fd < 0)
        return neg_errno();
    scan = calloc(1, sizeof(*scan));
    if (!scan) {
        (void)close(fd); // only read
        return -ENOMEM;
    }
    scan->host = host;
    pid_table_init(&scan->seen);
    host_dir_init(&scan->sweep.dir, fd);
    scan->sweep.number = 1;
    scan->sweep.strict = 1;
    scan->newest.loadavg_fd = -1;
    if (counts_as_we_do(host))
        scan->newest.loadavg_fd =
            openat(host->proc_fd, "loadavg", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *ret = scan;
    return 0;
}

void host_scan_free(struct host_scan *scan)
{
    if (!scan)
        return;
    close_fd(&scan->sweep.dir.fd);
    close_fd(&scan->newest.loadavg_fd);
    pid_table_done(&scan->seen);
    free(scan->seconds.at);
    free(scan);
}

bool host_scan_is_incomplete(const struct host_scan *scan)
{
    return scan->incomplete;
}

static bool grow_seconds(struct seconds *seconds)
{
    uint32_t room = MAX(seconds->room * 2, (uint32_t)SECONDS_MIN);
    struct second *at;

    if (room > PID_TABLE_MAX)
        return false;
    at = calloc(room, sizeof(*at));
    if (!at)
        return false;
    for (uint32_t i = 0; i < seconds->n; i++)
        at[i] = seconds->at[(seconds->first + i) & (seconds->room - 1)];
    free(seconds->at);
    seconds->at = at;
    seconds->first = 0;
    seconds->room = room;
    return true;
}

static void add_second(struct host_scan *scan, const struct host_process *process)
{
    struct seconds *seconds = &scan->seconds;

    if (seconds->n == seconds->room && !grow_seconds(seconds)) {
        scan->incomplete = true;
        return;
    }
    seconds->at[(seconds->first + seconds->n++) & (seconds->room - 1)] = (struct second){
        .start_ticks = process->start_ticks,
        .pid = process->pid,
        .due = scan->run + HOST_SCAN_SECOND_RUNS,
    };
}

/*
 * One open, one read: the kernel gives the whole text of such a file at once, so that it
 * is of one process.
 */
static int read_task(const struct host_scan *scan, uint32_t pid, struct host_process *ret,
                     enum host_task *ret_task)
{
    char name[32], text[STAT_MAX];
    int fd, r;
    ssize_t len;

    (void)snprintf(name, sizeof(name), "%u/stat", pid);
    fd = openat(scan->host->proc_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return neg_errno();
    len = read(fd, text, sizeof(text));
    r = len < 0 ? neg_errno() : 0;
    (void)close(fd); // only read
    if (r == 0)
        r = host_parse_stat((struct span){text, (size_t)len}, ret);
    if (r < 0)
        return r;
    *ret_task = host_parse_task((struct span){text, (size_t)len});
    return ret->pid == pid ? 0 : -EBADMSG;
}

/*
 * False: there was nothing to look at. Kernel threads are remembered, so as not to be
 * looked at again.
 */
static bool look_at(struct host_scan *scan, uint32_t pid)
{
    struct host_process process;
    struct pid_entry *entry;
    enum host_task task;

    if (read_task(scan, pid, &process, &task) < 0)
        return false;
    if (task == HOST_TASK_THREAD)
        return true;
    entry = pid_table_find(&scan->seen, pid);
    if (entry && entry->start_ticks == process.start_ticks) {
        entry->mark = scan->sweep.number;
        return true;
    }
    if (!entry)
        entry = pid_table_add(&scan->seen, pid);
    if (!entry) {
        scan->incomplete = true; // telling it would be telling it in each sweep
        return true;
    }
    entry->start_ticks = process.start_ticks;
    entry->mark = scan->sweep.number;
    if (task == HOST_TASK_KERNEL)
        return true;
    add_second(scan, &process);
    scan->fn(scan->ctx, &process);
    return true;
}

static void tell_second(struct host_scan *scan, const struct second *second)
{
    struct host_process process;
    enum host_task task;

    if (read_task(scan, second->pid, &process, &task) == 0 &&
        process.start_ticks == second->start_ticks && task == HOST_TASK_PROCESS)
        scan->fn(scan->ctx, &process);
}

static void tell_seconds(struct host_scan *scan, unsigned budget)
{
    struct seconds *seconds = &scan->seconds;

    while (budget-- > 0 && seconds->n > 0) {
        struct second second = seconds->at[seconds->first];

        if ((int32_t)(scan->run - second.due) < 0)
            return;
        seconds->first = (seconds->first + 1) & (seconds->room - 1);
        seconds->n--;
        tell_second(scan, &second);
    }
}

/* The kernel's own answer is quicker than /proc's, and no for a thread. */
static bool may_be_process(struct host_scan *scan, uint32_t pid)
{
    long fd;

    if (!scan->host->is_live || scan->newest.no_pidfd)
        return true;
    fd = syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0) {
        (void)close((int)fd); // nothing was done with it
        return true;
    }
    scan->newest.no_pidfd = errno == ENOSYS || errno == EPERM;
    return errno != ESRCH && errno != EINVAL && errno != ENOENT;
}

/* How many pids are given from `from` up to `to`; after the largest, small ones come. */
static uint32_t count_pids(const struct newest *newest, uint32_t from, uint32_t to)
{
    if (from <= to + 1)
        return to + 1 - from;
    return MAX(newest->limit, from) - from + MAX(to + 1, (uint32_t)RESERVED_PIDS) -
           RESERVED_PIDS;
}

static uint32_t read_limit(const struct host *host)
{
    char text[32];
    ssize_t len =
        host_read_start(host->proc_fd, "sys/kernel/pid_max", text, sizeof(text));
    struct span rest = {text, len < 0 ? 0 : (size_t)len}, line = {NULL, 0};
    uint64_t limit;

    if (!host_take_until(&rest, '\n', &line) ||
        number_read_u64(line, PID_MAX, &limit) < 0)
        return PID_MAX;
    return (uint32_t)limit;
}

/* False: there is nobody to ask, or no answer this time. */
static bool ask_newest(const struct newest *newest, uint32_t *ret)
{
    char text[LOADAVG_MAX];
    ssize_t len;

    if (newest->loadavg_fd < 0)
        return false;
    len = pread(newest->loadavg_fd, text, sizeof(text), 0);
    return len >= 0 && host_parse_newest_pid((struct span){text, (size_t)len}, ret) == 0;
}

/*
 * Take note of the newest pid. Pids before the first one that we hear of, and those of a
 * backlog too long, are left to the sweeps; pids may have been used again in it.
 */
static void update_newest(struct host_scan *scan)
{
    struct newest *newest = &scan->newest;
    uint32_t pid;

    if (!ask_newest(newest, &pid)) {
        scan->sweep.strict = 1;
        newest->is_known = false;
        return;
    }
    if (newest->is_known && pid == newest->pid)
        return;
    scan->sweep.whole = 0;
    if (newest->is_known && pid < newest->pid) {
        newest->limit = read_limit(scan->host);
        if (newest->next >= newest->limit)
            newest->next = RESERVED_PIDS;
    }
    if (!newest->is_known || count_pids(newest, newest->next, pid) > BACKLOG_MAX) {
        scan->sweep.strict = newest->is_known ? 2 : 1; // this one, and a whole one
        newest->next = pid + 1;
        newest->retry_to = pid;
        newest->retry_from = MAX(pid, (uint32_t)RETRIED_PIDS) - RETRIED_PIDS + 1;
    }
    newest->pid = pid;
    newest->is_known = true;
}

/* Those that had no process in the last run, though they had been given. */
static void retry_newest(struct host_scan *scan)
{
    struct newest *newest = &scan->newest;

    if (newest->retry_from == 0)
        return;
    for (uint32_t pid = newest->retry_from; pid <= newest->retry_to; pid++)
        if (!pid_table_find(&scan->seen, pid) && may_be_process(scan, pid))
            (void)look_at(scan, pid); // it may really be gone
    newest->retry_from = 0;
}

static void try_newest(struct host_scan *scan, unsigned budget)
{
    struct newest *newest = &scan->newest;
    unsigned tries = budget * TRIES_PER_LOOK;
    uint32_t last = 0;

    while (tries-- > 0 && budget > 0 &&
           count_pids(newest, newest->next, newest->pid) > 0) {
        last = newest->next++;
        budget -= may_be_process(scan, last) && look_at(scan, last);
        if (newest->next >= newest->limit && newest->pid < last)
            newest->next = RESERVED_PIDS;
    }
    if (last == 0)
        return;
    newest->retry_to = last;
    newest->retry_from = MAX(last, (uint32_t)RETRIED_PIDS) - RETRIED_PIDS + 1;
}

static void end_sweep(struct host_scan *scan)
{
    struct sweep *sweep = &scan->sweep;

    pid_table_keep(&scan->seen, sweep->number);
    sweep->number++;
    sweep->whole += sweep->whole < 2;
    sweep->strict -= sweep->strict > 0;
}

/* 0: it starts again in the next run. */
static int sweep_one(struct host_scan *scan)
{
    struct sweep *sweep = &scan->sweep;
    struct pid_entry *entry;
    const char *name;
    int r = host_dir_next(&sweep->dir, &name);
    uint32_t pid;

    if (r <= 0) {
        if (r == 0)
            end_sweep(scan);
        return lseek(sweep->dir.fd, 0, SEEK_SET) < 0 ? neg_errno() : 0;
    }
    pid = host_pid_of_name(name);
    entry = pid_table_find(&scan->seen, pid);
    if (entry && sweep->strict == 0)
        entry->mark = sweep->number;
    else if (pid != 0)
        (void)look_at(scan, pid); // gone, or none of a process
    return 1;
}

/* A whole sweep after the last process came has seen all: then it rests. */
static unsigned slice_of(const struct host_scan *scan, unsigned budget)
{
    if (scan->sweep.strict > 0)
        return budget;
    if (scan->sweep.whole >= 2 && scan->run % QUIET_PERIOD != 0)
        return 0;
    return MIN(budget, (unsigned)SLICE);
}

void host_scan_run(struct host_scan *scan, unsigned budget, host_scan_fn *fn, void *ctx)
{
    unsigned slice;

    budget = MAX(budget, 1U);
    budget = MIN(budget, (unsigned)PID_TABLE_MAX);
    scan->run++;
    scan->fn = fn;
    scan->ctx = ctx;
    tell_seconds(scan, budget);
    update_newest(scan);
    if (scan->newest.is_known) {
        retry_newest(scan);
        try_newest(scan, budget);
    }
    slice = slice_of(scan, budget);
    for (unsigned i = 0; i < slice && sweep_one(scan) > 0; i++)
        continue;
}
