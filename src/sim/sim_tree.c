// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_tree.h"

#include "sim/sim_holder.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

enum {
    TITLE_ROOM = 48,
    READY_TIMEOUT_MS = 10 * 1000,
    STATUS_OK = 0,
    STATUS_LOST_WORKER = 1,
};

/* What every process of a starting tree knows. */
struct family {
    const struct sim_tree_options *options;
    int gpu_dir_fd; // -1: no driver
    int life[2];    // its end of file is the end of the tree
    int ready[2];   // a byte from each holder, or the error that it met
    size_t engine;  // of this process
    size_t worker;  // of this process
    pid_t parent;   // of this process
    struct sim_tree children;
};

typedef int role_fn(struct family *family);

static bool has_workers(const struct family *family)
{
    return family->options->gpus > 1;
}

static bool has_ranks(const struct family *family)
{
    return family->options->engines > 1;
}

/*
 * Show another name in /proc/self/cmdline and comm, as setproctitle() does: over the
 * argument strings, which lie in one piece.
 */
static void set_title(const struct sim_tree_options *options, const char *title)
{
    char *from = options->argv[0];
    char *last = options->argv[options->argc - 1];
    size_t room = (size_t)(last + strlen(last) - from);

    memset(from, 0, room);
    memcpy(from, title, MIN(strlen(title), room));
    (void)prctl(PR_SET_NAME, title); // cut to 15 bytes; only a name
}

static void engine_title(const struct family *family, char title[TITLE_ROOM])
{
    if (has_ranks(family))
        (void)snprintf(title, TITLE_ROOM, "VLLM::EngineCore_DP%zu", family->engine);
    else
        (void)snprintf(title, TITLE_ROOM, "VLLM::EngineCore");
}

static void worker_title(const struct family *family, char title[TITLE_ROOM])
{
    if (has_ranks(family))
        (void)snprintf(title, TITLE_ROOM, "VLLM::Worker_DP%zu_TP%zu", family->engine,
                       family->worker);
    else
        (void)snprintf(title, TITLE_ROOM, "VLLM::Worker_TP%zu", family->worker);
}

/* Hold the memory of one GPU, and tell the root how that went. */
static void hold(const struct family *family)
{
    const struct sim_tree_options *options = family->options;
    uint64_t device =
        options->gpu_index + family->engine * options->gpus + family->worker;
    unsigned char status = 0;

    if (family->gpu_dir_fd >= 0) {
        int r =
            sim_holder_write(family->gpu_dir_fd, getpid(), device, options->vram_bytes);

        status = (unsigned char)-r;
    }
    (void)!write(family->ready[1], &status, 1); // a root that is gone ends us as well
}

/* Readable when one of `signals` has come, which then does nothing else. -1: failed. */
static int open_signals(const int *signals, size_t n)
{
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < n; i++)
        (void)sigaddset(&set, signals[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Wait for the end of the tree, for a request to end, or for a child to end. */
static int wait_for_end(struct family *family, int signal_fd)
{
    struct pollfd fds[] = {
        {.fd = family->life[0], .events = POLLIN},
        {.fd = signal_fd, .events = POLLIN},
    };
    struct signalfd_siginfo info;

    for (;;) {
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            return STATUS_OK;
        if (fds[0].revents)
            return STATUS_OK;
        if (!fds[1].revents || read(signal_fd, &info, sizeof(info)) < 0)
            continue;
        if (info.ssi_signo == SIGTERM)
            return STATUS_OK;
        if (sim_tree_reap(&family->children) > 0)
            return STATUS_LOST_WORKER;
    }
}

/* Common to all children: end with the parent, and only by it. */
static int enter(struct family *family, const char *title)
{
    static const int signals[] = {SIGTERM, SIGCHLD};

    set_title(family->options, title);
    (void)signal(SIGINT, SIG_IGN); // a terminal sends it to all; the root acts on it
    if (family->life[1] >= 0)
        (void)close(family->life[1]);
    family->life[1] = -1;
    family->children = (struct sim_tree){.life_fd = -1, .gpu_dir_fd = family->gpu_dir_fd};
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != family->parent)
        return -1;
    return open_signals(signals, ARRAY_LEN(signals));
}

static int start_child(struct family *family, struct sim_tree *tree, role_fn *role)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0)
        return neg_errno();
    if (pid == 0) {
        family->parent = parent;
        _exit(role(family));
    }
    tree->children[tree->n++] = pid;
    return 0;
}

static int be_worker(struct family *family)
{
    char title[TITLE_ROOM];
    int signal_fd, status;

    worker_title(family, title);
    signal_fd = enter(family, title);
    if (signal_fd < 0)
        return STATUS_OK;
    hold(family);
    status = wait_for_end(family, signal_fd);
    sim_holder_remove(family->gpu_dir_fd, getpid());
    return status;
}

static int be_engine(struct family *family)
{
    char title[TITLE_ROOM];
    int signal_fd, status, r = 0;

    engine_title(family, title);
    signal_fd = enter(family, title);
    if (signal_fd < 0)
        return STATUS_OK;

    if (!has_workers(family))
        hold(family);
    for (size_t i = 0; r == 0 && has_workers(family) && i < family->options->gpus; i++) {
        family->worker = i;
        r = start_child(family, &family->children, be_worker);
    }
    status = r < 0 ? STATUS_LOST_WORKER : wait_for_end(family, signal_fd);

    for (size_t i = 0; i < family->children.n; i++)
        if (family->children.children[i] > 0)
            (void)kill(family->children.children[i], SIGTERM); // it may end just now
    sim_holder_remove(family->gpu_dir_fd, getpid());
    sim_tree_stop(&family->children);
    return status;
}

/* 0 when every holder has reported success. */
static int wait_until_ready(const struct family *family)
{
    size_t waiting = family->options->engines * family->options->gpus;
    struct pollfd fd = {.fd = family->ready[0], .events = POLLIN};

    for (; waiting > 0; waiting--) {
        unsigned char status;

        if (poll(&fd, 1, READY_TIMEOUT_MS) != 1)
            return -ETIMEDOUT;
        if (read(fd.fd, &status, 1) != 1)
            return -ECHILD; // nobody is left who could report
        if (status != 0)
            return -(int)status;
    }
    return 0;
}

static int start_engines(struct family *family, struct sim_tree *tree)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < family->options->engines; i++) {
        family->engine = i;
        r = start_child(family, tree, be_engine);
    }
    (void)close(family->life[0]);
    (void)close(family->ready[1]);
    if (r == 0)
        r = wait_until_ready(family);
    (void)close(family->ready[0]);
    return r;
}

static void close_pipe(int pipe[2])
{
    close_fd(&pipe[0]);
    close_fd(&pipe[1]);
}

static void close_family(struct family *family)
{
    close_pipe(family->life);
    close_pipe(family->ready);
    close_fd(&family->gpu_dir_fd);
}

static int open_family(struct family *family, struct complaint *complaint)
{
    const char *dir = family->options->gpu_dir;
    int r = dir ? sim_holder_open(dir, &family->gpu_dir_fd) : 0;

    if (r < 0)
        return complain(complaint, r, "--gpu-dir: cannot use '%s': %s", dir,
                        strerror(-r));
    if (pipe2(family->life, O_CLOEXEC) < 0 || pipe2(family->ready, O_CLOEXEC) < 0) {
        r = neg_errno();
        return complain(complaint, r, "cannot make a pipe: %s", strerror(-r));
    }
    return 0;
}

int sim_tree_start(const struct sim_tree_options *options, struct sim_tree *ret,
                   struct complaint *complaint)
{
    struct family family = {
        .options = options,
        .gpu_dir_fd = -1,
        .life = {-1, -1},
        .ready = {-1, -1},
    };
    int r = open_family(&family, complaint);

    if (r < 0) {
        close_family(&family);
        return r;
    }
    *ret = (struct sim_tree){.life_fd = family.life[1], .gpu_dir_fd = family.gpu_dir_fd};
    r = start_engines(&family, ret);
    if (r < 0) {
        sim_tree_stop(ret);
        return complain(complaint, r, "cannot start the engine processes: %s",
                        strerror(-r));
    }
    return 0;
}

static void book_end(struct sim_tree *tree, pid_t pid)
{
    for (size_t i = 0; i < tree->n; i++)
        if (tree->children[i] == pid)
            tree->children[i] = 0;
    sim_holder_remove(tree->gpu_dir_fd, pid); // a killed one could not
}

size_t sim_tree_reap(struct sim_tree *tree)
{
    size_t n = 0;

    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid <= 0)
            return n;
        book_end(tree, pid);
        n++;
    }
}

void sim_tree_stop(struct sim_tree *tree)
{
    if (tree->life_fd >= 0)
        (void)close(tree->life_fd);
    tree->life_fd = -1;

    for (size_t i = 0; i < tree->n; i++) {
        pid_t pid = tree->children[i];

        if (pid <= 0)
            continue;
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        book_end(tree, pid);
    }
    if (tree->gpu_dir_fd >= 0)
        (void)close(tree->gpu_dir_fd);
    tree->gpu_dir_fd = -1;
}
