// SPDX-License-Identifier: Apache-2.0
#include "tui/terminal_signals.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

enum {
    PATIENCE_S = 1, // from a signal to leave until we are helped to
    CRASH_STACK_SIZE = 32 * 1024,
};

/* Handlers have no argument of ours, so what they need is here. */
static unsigned pending;
static volatile sig_atomic_t leave_signal;
static int event_fd = -1;
static struct rescue rescue;
static volatile sig_atomic_t needs_rescue;

static void on_event(int number);
static void on_no_end(int number);
static void on_crash(int number, siginfo_t *info, void *context);

static const struct {
    int number;
    unsigned bit; // 0: a crash, or the alarm
} handled[] = {
    {SIGINT, SIGNALS_LEAVE},
    {SIGTERM, SIGNALS_LEAVE},
    {SIGHUP, SIGNALS_LEAVE},
    {SIGQUIT, SIGNALS_LEAVE},
    {SIGTSTP, SIGNALS_STOP},
    {SIGCONT, SIGNALS_CONTINUE},
    {SIGWINCH, SIGNALS_RESIZE},
    {SIGALRM, 0},
    {SIGSEGV, 0},
    {SIGABRT, 0},
    {SIGBUS, 0},
    {SIGFPE, 0},
    {SIGILL, 0},
};
static struct sigaction before[ARRAY_LEN(handled)];

static void on_event(int number)
{
    const uint64_t one = 1;
    int saved = errno;

    for (size_t i = 0; i < ARRAY_LEN(handled); i++)
        if (handled[i].number == number)
            (void)__atomic_or_fetch(&pending, handled[i].bit, __ATOMIC_RELAXED);
    if (number != SIGTSTP && number != SIGCONT && number != SIGWINCH && !leave_signal) {
        leave_signal = number;
        (void)alarm(PATIENCE_S);
    }
    if (write(event_fd, &one, sizeof(one)) < 0)
        (void)0; // the counter is full: it is readable already
    errno = saved;
}

/* A shell has the terminal, and we are in its background. */
static bool is_of_others(int fd)
{
    pid_t group = tcgetpgrp(fd);

    return group >= 0 && group != getpgrp();
}

/*
 * In a handler. Output that was stopped (Ctrl-S) goes on; to a terminal that still takes
 * none nothing is written. Its modes are put back in any case.
 */
static void rescue_now(void)
{
    struct pollfd room = {.fd = rescue.fd, .events = POLLOUT};
    struct termios flowing = rescue.before;
    int flags;

    if (!needs_rescue || is_of_others(rescue.fd))
        return;
    needs_rescue = 0;
    flowing.c_iflag &= ~(tcflag_t)IXON;
    (void)tcsetattr(rescue.fd, TCSANOW, &flowing);
    flags = fcntl(rescue.fd, F_GETFL);
    if (flags >= 0 && poll(&room, 1, 0) == 1 &&
        fcntl(rescue.fd, F_SETFL, flags | O_NONBLOCK) == 0) {
        if (write(rescue.fd, rescue.text, rescue.len) < 0)
            (void)0; // nothing more can be done
        (void)fcntl(rescue.fd, F_SETFL, flags);
    }
    (void)tcsetattr(rescue.fd, TCSANOW, &rescue.before);
}

static void on_no_end(int number)
{
    (void)number;
    rescue_now();
    (void)signal(leave_signal, SIG_DFL);
    (void)raise(leave_signal);
}

/* Whoever was to handle it before gets it again, by default the kernel. */
static void on_crash(int number, siginfo_t *info, void *context)
{
    (void)context;
    rescue_now();
    for (size_t i = 0; i < ARRAY_LEN(handled); i++)
        if (handled[i].number == number)
            (void)sigaction(number, &before[i], NULL);
    if (info->si_code <= 0) // sent; what the processor raised comes again by itself
        (void)raise(number);
}

/* A crash by too deep a stack needs another one. */
static void give_crash_stack(void)
{
    static char stack[CRASH_STACK_SIZE];
    const stack_t ours = {.ss_sp = stack, .ss_size = sizeof(stack)};
    stack_t now;

    if (sigaltstack(NULL, &now) == 0 && now.ss_flags & SS_DISABLE)
        (void)sigaltstack(&ours, NULL);
}

static struct sigaction action_for(size_t at)
{
    struct sigaction action = {.sa_handler = on_event};

    if (handled[at].number == SIGALRM) {
        action.sa_handler = on_no_end;
    } else if (handled[at].bit == 0) {
        action.sa_sigaction = on_crash;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    }
    (void)sigemptyset(&action.sa_mask);
    return action;
}

int signals_open(void)
{
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd < 0)
        return neg_errno();
    pending = 0;
    leave_signal = 0;
    give_crash_stack();
    for (size_t i = 0; i < ARRAY_LEN(handled); i++) {
        struct sigaction action = action_for(i);

        (void)sigaction(handled[i].number, &action, &before[i]); // the numbers are good
    }
    return event_fd;
}

void signals_close(void)
{
    if (event_fd < 0)
        return;
    (void)alarm(0);
    for (size_t i = 0; i < ARRAY_LEN(handled); i++)
        (void)sigaction(handled[i].number, &before[i], NULL);
    needs_rescue = 0;
    (void)close(event_fd);
    event_fd = -1;
}

unsigned signals_take(void)
{
    uint64_t count;

    if (read(event_fd, &count, sizeof(count)) < 0)
        (void)0; // none has come
    return __atomic_exchange_n(&pending, 0, __ATOMIC_RELAXED);
}

void signals_stop_self(void)
{
    struct sigaction ours, stop = {.sa_handler = SIG_DFL};

    (void)sigemptyset(&stop.sa_mask);
    (void)sigaction(SIGTSTP, &stop, &ours);
    (void)raise(SIGTSTP);
    (void)sigaction(SIGTSTP, &ours, NULL);
}

void signals_set_rescue(const struct rescue *wanted)
{
    needs_rescue = 0;
    if (!wanted)
        return;
    rescue = *wanted;
    rescue.len = MIN(rescue.len, sizeof(rescue.text));
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    needs_rescue = 1;
}
