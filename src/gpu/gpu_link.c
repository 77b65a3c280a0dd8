// SPDX-License-Identifier: Apache-2.0
#include "gpu/gpu_link.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "gpu/gpu_frame.h"
#include "gpu/gpu_keeper.h"

#define SECOND_NS UINT64_C(1000000000)
#define RESTART_FIRST_NS SECOND_NS
#define RESTART_MAX_NS (30 * SECOND_NS)
#define RESTART_FORGIVEN_NS (60 * SECOND_NS) // a worker that lived so long was sound

enum {
    CORPSES_MAX = 2, // with so many, no other is started
    FAREWELL_MS = 200,
    FAREWELL_STEP_MS = 20,
    FIRST_WAIT_MS = 5000, // for the keeper to be there: nobody is served yet
    START_WAIT_MS = 50,   // for a later worker, which takes about one
};

struct gpu_link {
    struct gpu_keeper *keeper;
    uint64_t cpu_ns; // of the keeper, and of workers that have ended
    bool starting;   // the keeper has been asked for a worker

    pid_t pid; // 0: no worker runs
    int fd;
    int process_fd; // to kill it by
    bool answered;  // this worker has, once
    bool broken;    // to be ended by the next check
    bool ended;     // and reaped
    int end_status;
    uint64_t started_ns;
    uint64_t start_patience_ns; // with a worker that has not answered yet
    uint64_t restart_ns;
    uint64_t restart_delay_ns;
    uint32_t starts;
    pid_t corpses[CORPSES_MAX];  // killed, not yet reaped; 0: free
    pid_t unexplained;           // the corpse whose status shall explain `ending`
    char ending[GPU_REASON_MAX]; // how the last worker ended, or why none started

    uint32_t seq;
    bool waiting;
    bool asked_processes;
    uint64_t asked_ns;
    uint64_t processes_asked_ns; // 0: are due

    struct gpu_sample samples[2];
    struct gpu_sample *newest; // one of them; NULL before the first
    char frame[GPU_FRAME_MAX];
    char reason[GPU_REASON_MAX + 96];
};

PRINTF_LIKE(2, 3)
static void say_ending(struct gpu_link *link, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(link->ending, sizeof(link->ending), format, args);
    va_end(args);
}

static void restart_later(struct gpu_link *link, uint64_t now_ns)
{
    link->restart_ns = now_ns + link->restart_delay_ns;
    link->restart_delay_ns = MIN(2 * link->restart_delay_ns, RESTART_MAX_NS);
}

static void say_not_started(struct gpu_link *link, int r, uint64_t now_ns)
{
    link->starting = false;
    say_ending(link, "it could not be started: %s", strerror(-r));
    restart_later(link, now_ns);
}

static void say_status(struct gpu_link *link, int status)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));

        say_ending(link, "it was killed by SIG%s", name ? name : "?");
    } else {
        say_ending(link, "it ended with status %d", WEXITSTATUS(status));
    }
}

static int kill_worker(const struct gpu_link *link)
{
    return syscall(SYS_pidfd_send_signal, link->process_fd, SIGKILL, NULL, 0) < 0
               ? neg_errno()
               : 0;
}

static void bury(struct gpu_link *link, pid_t pid)
{
    for (size_t i = 0; i < CORPSES_MAX; i++) {
        if (link->corpses[i] == 0) {
            link->corpses[i] = pid;
            return;
        }
    }
}

static bool may_start(const struct gpu_link *link)
{
    for (size_t i = 0; i < CORPSES_MAX; i++)
        if (link->corpses[i] == 0)
            return true;
    return false;
}

static void adopt(struct gpu_link *link, pid_t pid, const int fds[2], uint64_t now_ns)
{
    link->starting = false;
    link->pid = pid;
    link->fd = fds[0];
    link->process_fd = fds[1];
    link->starts++;
    link->answered = false;
    link->ended = false;
    link->started_ns = now_ns;
    link->processes_asked_ns = 0;
}

static void on_reaped(struct gpu_link *link, pid_t pid, int status)
{
    if (pid == link->pid) {
        link->ended = true;
        link->end_status = status;
        return;
    }
    for (size_t i = 0; i < CORPSES_MAX; i++) {
        if (link->corpses[i] != pid)
            continue;
        if (pid == link->unexplained)
            say_status(link, status);
        link->corpses[i] = 0;
        return;
    }
}

/* 1: a worker has started; 0: none; -EPIPE: the keeper has ended. Waits once at most. */
static int hear_keeper(struct gpu_link *link, int wait_ms, uint64_t now_ns)
{
    struct gpu_keeper_report news;
    int fds[2], started = 0, r;

    while ((r = gpu_keeper_hear(link->keeper, wait_ms, &news, fds)) > 0) {
        link->cpu_ns = news.cpu_ns;
        wait_ms = 0;
        if (news.event == GPU_WORKER_STARTED && !link->starting)
            return -EPIPE; // nobody asked for it
        if (news.event == GPU_WORKER_STARTED) {
            adopt(link, news.pid, fds, now_ns);
            started = 1;
        } else if (news.event == GPU_WORKER_NOT_STARTED) {
            say_not_started(link, news.value, now_ns);
        } else {
            on_reaped(link, news.pid, news.value);
        }
    }
    return r < 0 ? r : started;
}

/* 1: a worker runs; 0: it shall be tried again, or is not heard of yet. */
static int start(struct gpu_link *link, int wait_ms, uint64_t now_ns)
{
    int r = gpu_keeper_start_worker(link->keeper);

    if (r < 0) {
        say_not_started(link, r, now_ns);
        return r == -EPIPE ? r : 0;
    }
    link->starting = true;
    return hear_keeper(link, wait_ms, now_ns);
}

/* It is dead when the keeper says so. There is a grave for it: start() was called. */
static void end_worker(struct gpu_link *link, uint64_t now_ns)
{
    if (!link->ended) {
        (void)kill_worker(link); // or it has just died by itself
        bury(link, link->pid);
    }
    link->pid = 0;
    close_fd(&link->fd);
    close_fd(&link->process_fd);
    link->fd = link->process_fd = -1;
    link->waiting = false;
    link->broken = false;

    if (now_ns - link->started_ns >= RESTART_FORGIVEN_NS)
        link->restart_delay_ns = RESTART_FIRST_NS;
    restart_later(link, now_ns);
}

/* Before its first answer it loads libraries and wakes devices that may have slept. */
static uint64_t patience_ns(const struct gpu_link *link)
{
    return link->answered ? GPU_KILL_NS : link->start_patience_ns;
}

/* The first after one that hung gets little time, to be back soon; each one more. */
static void lose_patience(struct gpu_link *link)
{
    uint64_t next_ns = link->answered ? GPU_START_AGAIN_NS : 2 * link->start_patience_ns;

    link->start_patience_ns = MIN(next_ns, GPU_START_NS);
}

int gpu_link_check(struct gpu_link *link, uint64_t now_ns)
{
    int r = hear_keeper(link, 0, now_ns);

    if (r != 0)
        return r;
    if (link->pid == 0) {
        if (link->starting || now_ns < link->restart_ns || !may_start(link))
            return 0;
        return start(link, START_WAIT_MS, now_ns);
    }

    if (link->ended) {
        if (!link->broken || link->unexplained)
            say_status(link, link->end_status);
    } else if (!link->broken) {
        if (!link->waiting || now_ns - link->asked_ns < patience_ns(link))
            return 0;
        link->unexplained = 0;
        lose_patience(link);
        say_ending(link,
                   "it was killed, because the driver did not answer for %" PRIu64 " s",
                   (now_ns - link->asked_ns) / SECOND_NS);
    }
    end_worker(link, now_ns);
    return 1;
}

/*
 * Owners ask at an even pace: is this the last request before the lists would be older
 * than they may be? A twentieth of the time is left to an uneven pace.
 */
static bool are_processes_due(const struct gpu_link *link, uint64_t now_ns)
{
    uint64_t next_ns = now_ns + (now_ns - link->asked_ns);

    return link->processes_asked_ns == 0 ||
           next_ns - link->processes_asked_ns >
               GPU_PROCESSES_EVERY_NS + GPU_PROCESSES_EVERY_NS / 20;
}

void gpu_link_request(struct gpu_link *link, uint64_t now_ns)
{
    struct gpu_request request;
    char bytes[GPU_REQUEST_SIZE];

    if (link->fd < 0 || link->waiting || link->broken)
        return;

    request = (struct gpu_request){link->seq + 1, are_processes_due(link, now_ns)};
    gpu_request_encode(&request, bytes);
    if (send(link->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return; // a worker that is gone is noticed by reading, want of memory passes

    link->seq = request.seq;
    link->waiting = true;
    link->asked_ns = now_ns;
    link->asked_processes = request.with_processes;
    if (request.with_processes)
        link->processes_asked_ns = now_ns;
}

static bool are_devices_same(const struct gpu_sample *a, const struct gpu_sample *b)
{
    if (a->n_devices != b->n_devices)
        return false;
    for (uint32_t i = 0; i < a->n_devices; i++) {
        const struct gpu_device *x = &a->devices[i], *y = &b->devices[i];

        if (!gpu_is_same_device(x, y) ||
            strcmp(a->sources[x->source].backend, b->sources[y->source].backend) != 0)
            return false;
    }
    return true;
}

/* Rows name devices by their place: among other devices they are worthless. */
static void keep_processes(struct gpu_link *link, struct gpu_sample *sample)
{
    const struct gpu_sample *old = link->newest;

    if (!old || !are_devices_same(old, sample)) {
        sample->processes_incomplete = 1;
        link->processes_asked_ns = 0;
        return;
    }
    memcpy(sample->processes, old->processes, old->n_processes * sizeof(*old->processes));
    sample->n_processes = old->n_processes;
    sample->processes_incomplete = old->processes_incomplete;
    sample->processes_taken_ns = old->processes_taken_ns;
}

/* The worker's clock is ours, but its word is not: between question and answer it was. */
static uint64_t between(uint64_t low, uint64_t value, uint64_t high)
{
    uint64_t r = MAX(low, value);

    return MIN(r, high);
}

static int accept_frame(struct gpu_link *link, size_t len, uint64_t now_ns)
{
    struct gpu_sample *sample = &link->samples[link->newest == &link->samples[0]];
    struct gpu_frame_info info;

    if (!link->waiting || len > sizeof(link->frame))
        return -EBADMSG;
    if (gpu_frame_decode((struct span){link->frame, len}, &info, sample) < 0)
        return -EBADMSG;
    if (info.seq != link->seq || (link->asked_processes && !info.with_processes))
        return -EBADMSG;

    sample->taken_ns = between(link->asked_ns, sample->taken_ns, now_ns);
    if (info.with_processes)
        sample->processes_taken_ns =
            between(link->asked_ns, sample->processes_taken_ns, now_ns);
    else
        keep_processes(link, sample);
    link->newest = sample;
    link->answered = true;
    link->waiting = false;
    return 1;
}

int gpu_link_receive(struct gpu_link *link, uint64_t now_ns)
{
    ssize_t n;
    int r;

    if (link->fd < 0)
        return 0;
    if (link->broken)
        return -EPIPE;

    n = recv(link->fd, link->frame, sizeof(link->frame), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    r = n <= 0 ? -EPIPE : accept_frame(link, (size_t)n, now_ns);
    if (r > 0)
        return r;

    link->broken = true;
    link->unexplained = r == -EPIPE ? link->pid : 0;
    say_ending(link, r == -EPIPE ? "it ended" : "it sent a frame that cannot be");
    return r;
}

int gpu_link_fd(const struct gpu_link *link)
{
    return link->fd;
}

bool gpu_link_waiting(const struct gpu_link *link)
{
    return link->waiting;
}

const struct gpu_sample *gpu_link_sample(const struct gpu_link *link)
{
    return link->newest;
}

uint32_t gpu_link_restarts(const struct gpu_link *link)
{
    return link->starts > 1 ? link->starts - 1 : 0;
}

static uint64_t seconds_since(uint64_t then_ns, uint64_t now_ns)
{
    return now_ns > then_ns ? (now_ns - then_ns) / SECOND_NS : 0;
}

const char *gpu_link_reason(struct gpu_link *link, uint64_t now_ns)
{
    const struct gpu_sample *s = link->newest;
    char *reason = link->reason;
    size_t room = sizeof(link->reason);

    if (s && (now_ns < s->taken_ns || now_ns - s->taken_ns < GPU_STALE_NS))
        return "";

    if (link->fd < 0 && !may_start(link))
        (void)snprintf(reason, room,
                       "%d GPU workers hang in the driver and cannot be "
                       "killed: no other is started",
                       CORPSES_MAX);
    else if (link->fd < 0)
        (void)snprintf(reason, room,
                       "no GPU worker runs, the next starts in %" PRIu64
                       " s (the last: %s)",
                       seconds_since(now_ns, link->restart_ns), link->ending);
    else if (link->waiting)
        (void)snprintf(reason, room, "the driver has not answered for %" PRIu64 " s",
                       seconds_since(link->asked_ns, now_ns));
    else if (s)
        (void)snprintf(reason, room, "the newest figures are %" PRIu64 " s old",
                       seconds_since(s->taken_ns, now_ns));
    else
        (void)snprintf(reason, room, "the driver has not been asked yet");
    return reason;
}

double gpu_link_cpu_seconds(const struct gpu_link *link)
{
    return (double)link->cpu_ns / (double)SECOND_NS;
}

static char *word(const char *text)
{
    return (char *)(uintptr_t)(text ? text : ""); // nobody writes to an argument
}

int gpu_link_new(const struct gpu_link_options *options, uint64_t now_ns,
                 struct gpu_link **ret)
{
    struct gpu_link *link = calloc(1, sizeof(*link));
    char *arguments[GPU_ARGS + 1] = {
        [0] = word(options->program),
        [GPU_ARG_BACKENDS] = word(options->backends),
        [GPU_ARG_NVML_LIBRARY] = word(options->nvml_library),
        [GPU_ARG_SYS_ROOT] = word(options->sys_root),
        [GPU_ARG_PROC_ROOT] = word(options->proc_root),
        [GPU_ARG_SIM_DIR] = word(options->sim_dir),
        [GPU_ARG_CONFINED] = word(options->confine ? "confined" : NULL),
    };
    int r;

    if (!link)
        return -ENOMEM;
    link->fd = link->process_fd = -1;
    link->restart_delay_ns = RESTART_FIRST_NS;
    link->start_patience_ns = GPU_START_NS;
    r = gpu_keeper_new(options->program, arguments, &link->keeper);
    if (r == 0)
        r = start(link, FIRST_WAIT_MS, now_ns); // gpu_link_check() tries again
    if (r < 0) {
        gpu_link_free(link);
        return r;
    }
    *ret = link;
    return 0;
}

/* SIGKILL ends a sound worker at once; one stuck in the driver, perhaps never. */
static void say_farewell(struct gpu_link *link)
{
    struct gpu_keeper_report news;
    int fds[2];

    close_fd(&link->fd);
    (void)kill_worker(link); // or it has just died by itself
    for (int i = 0; i < FAREWELL_MS; i += FAREWELL_STEP_MS) {
        int r = gpu_keeper_hear(link->keeper, FAREWELL_STEP_MS, &news, fds);

        if (r < 0 || (r > 0 && news.event == GPU_WORKER_REAPED && news.pid == link->pid))
            break;
    }
    close_fd(&link->process_fd);
}

void gpu_link_free(struct gpu_link *link)
{
    if (!link)
        return;
    if (link->pid > 0 && !link->ended)
        say_farewell(link);
    gpu_keeper_free(link->keeper);
    free(link);
}
