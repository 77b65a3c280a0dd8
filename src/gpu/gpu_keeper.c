// SPDX-License-Identifier: Apache-2.0
#include "gpu/gpu_keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/confine.h"
#include "base/log.h"
#include "gpu/gpu_worker.h"

enum {
    EXIT_USAGE = 2,
    WORKERS_MAX = 4, // one that works, and those that hang; see gpu_link.c
    FDS = 2,
    FAREWELL_MS = 200,
};

struct gpu_keeper {
    int fd;
    pid_t pid;
};

extern char **environ;

/*
 * The child has our stderr, /dev/null, its end of the socket, and nothing else of ours: a
 * worker stuck in the driver would keep a listening socket open with it.
 */
static int describe_child(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr,
                          int fd)
{
    sigset_t all, none;
    int r = posix_spawn_file_actions_adddup2(actions, fd, GPU_CHILD_FD);

    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    r = r ? r : posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    r = r ? r : posix_spawn_file_actions_addopen(actions, 1, "/dev/null", O_WRONLY, 0);
    r = r ? r : posix_spawn_file_actions_addclosefrom_np(actions, GPU_CHILD_FD + 1);
    r = r ? r : posix_spawnattr_setsigdefault(attr, &all);
    r = r ? r : posix_spawnattr_setsigmask(attr, &none);
    r = r ? r
          : posix_spawnattr_setflags(attr,
                                     POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    return r;
}

static int spawn(const char *program, char *arguments[], int fd, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int r = posix_spawn_file_actions_init(&actions);

    if (r != 0)
        return -r;
    r = posix_spawnattr_init(&attr);
    if (r == 0) {
        r = describe_child(&actions, &attr, fd);
        if (r == 0)
            r = posix_spawn(ret_pid, program, &actions, &attr, arguments, environ);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return -r;
}

/* The parent's end of the child's socket is the caller's. */
static int spawn_with_socket(const char *program, char *arguments[], pid_t *ret_pid,
                             int *ret_fd)
{
    int pair[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return neg_errno();
    r = spawn(program, arguments, pair[1], ret_pid);
    (void)close(pair[1]); // the child has its own
    if (r < 0)
        (void)close(pair[0]); // nothing was sent
    else
        *ret_fd = pair[0];
    return r;
}

int gpu_keeper_new(const char *program, char *arguments[], struct gpu_keeper **ret)
{
    struct gpu_keeper *keeper = calloc(1, sizeof(*keeper));
    char role[] = GPU_KEEPER_ROLE;
    int r;

    if (!keeper)
        return -ENOMEM;
    arguments[GPU_ARG_ROLE] = role;
    r = spawn_with_socket(program, arguments, &keeper->pid, &keeper->fd);
    if (r < 0)
        free(keeper);
    else
        *ret = keeper;
    return r;
}

void gpu_keeper_free(struct gpu_keeper *keeper)
{
    const struct timespec pause = {0, 1000000};

    if (!keeper)
        return;
    close_fd(&keeper->fd);
    for (int i = 0; i < FAREWELL_MS && waitpid(keeper->pid, NULL, WNOHANG) == 0; i++)
        (void)nanosleep(&pause, NULL);
    free(keeper);
}

int gpu_keeper_start_worker(struct gpu_keeper *keeper)
{
    return send(keeper->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? neg_errno() : 0;
}

/*
 * Descriptors that came with a message: just FDS or none, whoever sent it. -EMFILE: there
 * is no room for all; those that came are in `fds` all the same.
 */
static int take_descriptors(struct msghdr *message, int fds[FDS])
{
    struct cmsghdr *part = CMSG_FIRSTHDR(message);

    fds[0] = fds[1] = -1;
    if (message->msg_flags & MSG_TRUNC)
        return -EBADMSG;
    if (part &&
        (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS ||
         part->cmsg_len > CMSG_LEN(FDS * sizeof(int)) || part->cmsg_len < CMSG_LEN(0)))
        return -EBADMSG;
    if (part)
        memcpy(fds, CMSG_DATA(part), part->cmsg_len - CMSG_LEN(0));
    if (message->msg_flags & MSG_CTRUNC)
        return -EMFILE;
    return fds[1] >= 0 ? FDS : fds[0] >= 0 ? -EBADMSG : 0;
}

/* Want of memory passes; what was sent stays in the queue. */
static bool may_hear_later(int error)
{
    return error == EAGAIN || error == EINTR || error == ENOMEM || error == ENOBUFS;
}

int gpu_keeper_hear(struct gpu_keeper *keeper, int wait_ms, struct gpu_keeper_report *ret,
                    int ret_fds[2])
{
    struct pollfd wait = {.fd = keeper->fd, .events = POLLIN};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS * sizeof(int))];
    struct iovec part = {ret, sizeof(*ret)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t n;
    int r;

    if (wait_ms > 0 && poll(&wait, 1, wait_ms) <= 0)
        return 0;
    n = recvmsg(keeper->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return may_hear_later(errno) ? 0 : -EPIPE;
    r = take_descriptors(&message, ret_fds);
    if ((size_t)n == sizeof(*ret) && r == (ret->event == GPU_WORKER_STARTED ? FDS : 0))
        return 1;
    close_fd(&ret_fds[0]);
    close_fd(&ret_fds[1]);
    if ((size_t)n == sizeof(*ret) && r == -EMFILE && ret->event == GPU_WORKER_STARTED) {
        ret->event = GPU_WORKER_NOT_STARTED; // it ends, as its socket has closed
        ret->value = r;
        return 1;
    }
    return -EPIPE; // also for one that breaks the rules: it is of no use
}

/* What follows is the keeper itself. */

static uint64_t cpu_ns_of(int who)
{
    struct rusage usage;

    (void)getrusage(who, &usage); // cannot fail with these arguments
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) *
               UINT64_C(1000000000) +
           ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000;
}

static int report(const struct gpu_keeper_report *what, const int *fds)
{
    struct gpu_keeper_report bytes = *what;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS * sizeof(int))] = {0};
    struct iovec part = {&bytes, sizeof(bytes)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *header;

    bytes.cpu_ns = cpu_ns_of(RUSAGE_SELF) + cpu_ns_of(RUSAGE_CHILDREN);
    if (fds) {
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(FDS * sizeof(int));
        memcpy(CMSG_DATA(header), fds, FDS * sizeof(int));
    }
    return sendmsg(GPU_CHILD_FD, &message, MSG_NOSIGNAL) < 0 ? neg_errno() : 0;
}

static int start_worker(char **argv, size_t *n_workers)
{
    struct gpu_keeper_report news = {.event = GPU_WORKER_STARTED};
    int fds[FDS] = {-1, -1};
    pid_t pid = 0;
    int r = *n_workers < WORKERS_MAX ? 0 : -EAGAIN;

    if (r == 0)
        r = spawn_with_socket("/proc/self/exe", argv, &pid, &fds[0]);
    if (r == 0) {
        (*n_workers)++; // it is to be reaped in any case
        fds[1] = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fds[1] < 0)
            r = neg_errno(); // its socket closes, so that it ends
    }
    news.pid = pid;
    if (r < 0) {
        news.event = GPU_WORKER_NOT_STARTED;
        news.value = r;
    }
    r = report(&news, r < 0 ? NULL : fds);
    close_fd(&fds[0]);
    close_fd(&fds[1]);
    return r;
}

static int reap_workers(size_t *n_workers)
{
    struct gpu_keeper_report news = {.event = GPU_WORKER_REAPED};
    int r = 0;

    while (r == 0) {
        news.pid = waitpid(-1, &news.value, WNOHANG);
        if (news.pid <= 0)
            return 0; // none has ended, or there is none
        (*n_workers)--;
        r = report(&news, NULL);
    }
    return r;
}

static void on_child(int number)
{
    (void)number; // it is enough that ppoll() was woken
}

static int keep(char **argv)
{
    struct pollfd wait = {.fd = GPU_CHILD_FD, .events = POLLIN};
    struct sigaction action = {.sa_handler = on_child};
    sigset_t children, none;
    size_t n_workers = 0;
    char request;
    ssize_t n;
    int r = 0;

    (void)sigemptyset(&none);
    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &children, NULL) < 0 ||
        sigaction(SIGCHLD, &action, NULL) < 0)
        return neg_errno();
    while (r == 0) {
        r = reap_workers(&n_workers);
        if (r < 0 || ppoll(&wait, 1, NULL, &none) <= 0)
            continue;
        n = recv(GPU_CHILD_FD, &request, 1, 0);
        if (n < 0 && may_hear_later(errno))
            continue;
        if (n <= 0)
            return 0;
        r = start_worker(argv, &n_workers);
    }
    return r;
}

int gpu_keeper_main(int argc, char **argv)
{
    struct complaint complaint = {0};
    char role[] = GPU_WORKER_ROLE;
    struct confine_options options = {
        .families = CONFINE_UNIX,
        .start_processes = true,
        .write_files = true, // as the worker may have to: a filter is inherited
    };

    if (argc != GPU_ARGS || gpu_child_settle("vramscope-keep") < 0)
        return EXIT_USAGE;
    options.rights = gpu_worker_may_read_processes(argv[GPU_ARG_BACKENDS])
                         ? CONFINE_HAND_ON
                         : CONFINE_DROP;
    options.counters = gpu_worker_may_read_counters(argv[GPU_ARG_BACKENDS]);
    if (*argv[GPU_ARG_CONFINED] && confine(&options, &complaint) < 0) {
        log_error("the keeper of GPU workers: %s; --no-confine goes without",
                  complaint.text);
        return EXIT_FAILURE;
    }
    argv[GPU_ARG_ROLE] = role;
    return keep(argv) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int gpu_child_settle(const char *name)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    const struct rlimit no_core = {0, 0};
    struct ucred creator;
    socklen_t len = sizeof(creator);

    // A vendor's library may start helpers, which must not hold the socket.
    if (fcntl(GPU_CHILD_FD, F_SETFD, FD_CLOEXEC) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return neg_errno();
    if (getsockopt(GPU_CHILD_FD, SOL_SOCKET, SO_PEERCRED, &creator, &len) < 0)
        return neg_errno();
    if (creator.pid != getppid())
        return -ESRCH; // it died before the kernel was told to tell us

    (void)prctl(PR_SET_NAME, name);         // a name is a courtesy
    (void)setrlimit(RLIMIT_CORE, &no_core); // so is sparing the disk
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        if (signal(ignored[i], SIG_IGN) == SIG_ERR)
            return neg_errno();
    return 0;
}
