// SPDX-License-Identifier: Apache-2.0
/*
 * faults.c - preloaded: the n-th call of a function fails, as a test says
 *
 * FAULTS_FILE names a file that the test maps too. It holds what shall fail next and, for
 * each function here, how often it was called since main(): so a fault can be armed in a
 * program that runs, and is seen to have happened. Only calls of one process count: the
 * one whose role is asked for, neither its children nor the libraries' constructors. Two
 * threads of the daemon have roles of their own besides: the historian, and the one that
 * speaks to NATS, with those that its library starts.
 *
 * A call fails without being made, and only as it can fail in the world: of pipes, timers
 * and event counters, reading and writing can be interrupted and no more. libuv ends the
 * program when epoll_ctl() fails for a descriptor that it has asked about before, which
 * takes the kernel to run out of memory in between: only the asking fails here.
 */
#undef _FILE_OFFSET_BITS // each name and its 64-bit twin are defined here
#undef _FORTIFY_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

// clang-format off
#define FAULTS(F)                                                                    \
    F(malloc)                                                                        \
    F(calloc)                                                                        \
    F(realloc)                                                                       \
    F(read)                                                                          \
    F(pread)                                                                         \
    F(write)                                                                         \
    F(writev) F(pwrite) F(fdatasync) F(fsync) F(ftruncate) F(recv) F(recvfrom) F(recvmsg) F(send) F(sendto) F(sendmsg) F(accept4) \
        F(open) F(openat) F(fopen) F(fgets) F(socket) F(connect) F(bind) F(listen)   \
            F(epoll_create1) F(epoll_ctl) F(epoll_wait) F(poll) F(timerfd_create)    \
                F(timerfd_settime) F(eventfd) F(pipe2) F(opendir) F(fdopendir)       \
                    F(readdir) F(getdents64) F(readlink) F(readlinkat) F(getsockopt) \
                        F(setsockopt) F(getsockname) F(getpeername) F(fstat) F(stat) \
                            F(fstatfs) F(fcntl) F(ioctl) F(syscall) F(getrandom)     \
                                F(getaddrinfo) F(dlopen) F(pthread_create) F(fork)   \
                                    F(posix_spawn) F(socketpair) F(getrlimit)        \
                                        F(setrlimit) F(lseek) F(faccessat)
// clang-format on

enum function {
#define F(name) FAULT_##name,
    FAULTS(F)
#undef F
        FUNCTIONS
};

enum role {
    ROLE_DAEMON,
    ROLE_GPU_WORKER,
    ROLE_GPU_KEEPER,
    ROLE_HISTORIAN,
    ROLE_NATS,
    ROLES
};
enum manner { FAIL_ONCE, FAIL_ALWAYS, CUT_SHORT };

/* What the test sees, too; the offsets are known there. */
struct control {
    _Atomic uint32_t armed; // 1 + the function that shall fail; 0: none
    _Atomic int32_t left;   // calls of it until it does, that one included
    int32_t error;
    uint32_t manner;
    uint32_t role;
    _Atomic uint32_t fired;
    uint32_t functions;
    uint32_t reserved;
    struct {
        char name[24];
        _Atomic uint64_t calls[ROLES];
    } seen[FUNCTIONS];
};

static struct control *control; // NULL: outside of main(), or not wanted
static enum role role;
static pid_t process;
static _Thread_local bool is_asking; // calls of this file's own are not counted
static _Thread_local enum role part; // of the daemon's; ROLE_DAEMON: none of its own

/* Is this the call? */
static bool is_due(enum function function)
{
    struct control *c = control;

    if (!c || is_asking || getpid() != process)
        return false;
    c->seen[function].calls[role]++;
    if (part != ROLE_DAEMON)
        c->seen[function].calls[part]++;
    if (c->armed != (uint32_t)function + 1 ||
        (c->role != (uint32_t)role && (part == ROLE_DAEMON || c->role != (uint32_t)part)))
        return false;
    if (--c->left > 0 || (c->manner != FAIL_ALWAYS && c->left < 0))
        return false;
    c->fired++;
    return true;
}

static bool fails(enum function function)
{
    if (!is_due(function) || control->manner == CUT_SHORT)
        return false;
    errno = control->error;
    return true;
}

static mode_t kind_of(int fd)
{
    struct stat status;
    mode_t r;

    is_asking = true;
    r = fstat(fd, &status) == 0 ? status.st_mode & S_IFMT : S_IFREG;
    is_asking = false;
    return r;
}

/* The kernel gives the text of such a file at once, as far as there is room. */
static bool is_of_proc(int fd)
{
    struct statfs status;
    bool r;

    is_asking = true;
    r = fstatfs(fd, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
    is_asking = false;
    return r;
}

static bool is_stream(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);
    bool r;

    is_asking = true;
    r = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
    is_asking = false;
    return r;
}

/* How many of `len` bytes this call shall move; -1: it fails. */
static ssize_t allowed(enum function function, int fd, size_t len)
{
    int saved = errno;
    mode_t kind;

    if (fd == STDERR_FILENO || !is_due(function)) // the log is what the test sees
        return (ssize_t)len;
    kind = kind_of(fd);
    errno = saved;
    if (control->manner == CUT_SHORT) // of others all comes, or nothing
        return len > 1 && ((kind == S_IFREG && !is_of_proc(fd)) || is_stream(fd))
                   ? 1 + (ssize_t)(len > 64)
                   : (ssize_t)len;
    if (control->error == ECONNRESET && is_stream(fd))
        (void)shutdown(fd, SHUT_RDWR); // who is told so has no connection any more
    errno = kind == 0 || kind == S_IFIFO ? EINTR : control->error;
    return -1;
}

// clang-format off
#define REAL(name)                                                                       \
    static __typeof__(name) *real;                                                       \
    if (!real)                                                                           \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define WRAP_AS(function, name, type, failure, parameters, arguments)                    \
    type name parameters                                                                 \
    {                                                                                    \
        REAL(name);                                                                      \
        return fails(FAULT_##function) ? (failure) : real arguments;                     \
    }

#define WRAP(name, type, failure, parameters, arguments)                                 \
    WRAP_AS(name, name, type, failure, parameters, arguments)

#define WRAP_BYTES(name, parameters, arguments)                                          \
    ssize_t name parameters                                                              \
    {                                                                                    \
        ssize_t n = allowed(FAULT_##name, fd, len);                                      \
        REAL(name);                                                                      \
        if (n < 0)                                                                       \
            return -1;                                                                   \
        len = (size_t)n;                                                                 \
        return real arguments;                                                           \
    }

WRAP_BYTES(read, (int fd, void *to, size_t len), (fd, to, len))
WRAP_BYTES(write, (int fd, const void *from, size_t len), (fd, from, len))
WRAP_BYTES(recv, (int fd, void *to, size_t len, int flags), (fd, to, len, flags))
WRAP_BYTES(send, (int fd, const void *from, size_t len, int flags), (fd, from, len, flags))
WRAP_BYTES(pwrite, (int fd, const void *from, size_t len, off_t at), (fd, from, len, at))
WRAP_BYTES(pread, (int fd, void *to, size_t len, off_t at), (fd, to, len, at))

WRAP(writev, ssize_t, -1, (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP(recvmsg, ssize_t, -1, (int fd, struct msghdr *m, int flags), (fd, m, flags))
WRAP(sendmsg, ssize_t, -1, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP(recvfrom, ssize_t, -1,
     (int fd, void *restrict to, size_t len, int flags, struct sockaddr *restrict a,
      socklen_t *restrict n),
     (fd, to, len, flags, a, n))
WRAP(sendto, ssize_t, -1,
     (int fd, const void *from, size_t len, int flags, const struct sockaddr *a,
      socklen_t n),
     (fd, from, len, flags, a, n))
WRAP(accept4, int, -1,
     (int fd, struct sockaddr *restrict a, socklen_t *restrict n, int flags),
     (fd, a, n, flags))
WRAP(socket, int, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(socketpair, int, -1, (int domain, int type, int protocol, int pair[2]),
     (domain, type, protocol, pair))
WRAP(connect, int, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(bind, int, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(listen, int, -1, (int fd, int backlog), (fd, backlog))
WRAP(getsockname, int, -1, (int fd, struct sockaddr *restrict a, socklen_t *restrict n),
     (fd, a, n))
WRAP(getpeername, int, -1, (int fd, struct sockaddr *restrict a, socklen_t *restrict n),
     (fd, a, n))
WRAP(getsockopt, int, -1,
     (int fd, int level, int name, void *restrict to, socklen_t *restrict n),
     (fd, level, name, to, n))
WRAP(setsockopt, int, -1, (int fd, int level, int name, const void *from, socklen_t n),
     (fd, level, name, from, n))
WRAP(getaddrinfo, int, EAI_MEMORY,
     (const char *restrict node, const char *restrict service,
      const struct addrinfo *restrict hints, struct addrinfo **restrict ret),
     (node, service, hints, ret))

WRAP(epoll_create1, int, -1, (int flags), (flags))
WRAP_AS(epoll_wait, epoll_wait, int, -1,
        (int fd, struct epoll_event *to, int n, int wait_ms), (fd, to, n, wait_ms))
WRAP_AS(epoll_wait, epoll_pwait, int, -1,
        (int fd, struct epoll_event *to, int n, int wait_ms, const sigset_t *mask),
        (fd, to, n, wait_ms, mask))
WRAP(poll, int, -1, (struct pollfd *fds, nfds_t n, int wait_ms), (fds, n, wait_ms))
WRAP(timerfd_create, int, -1, (clockid_t clock, int flags), (clock, flags))
WRAP(timerfd_settime, int, -1,
     (int fd, int flags, const struct itimerspec *new, struct itimerspec *old),
     (fd, flags, new, old))
WRAP(eventfd, int, -1, (unsigned count, int flags), (count, flags))
WRAP(pipe2, int, -1, (int pair[2], int flags), (pair, flags))

WRAP(fopen, FILE *, NULL, (const char *restrict path, const char *restrict mode),
     (path, mode))
WRAP_AS(fopen, fopen64, FILE *, NULL,
        (const char *restrict path, const char *restrict mode), (path, mode))
WRAP(fgets, char *, NULL, (char *restrict to, int len, FILE *restrict file),
     (to, len, file))
WRAP(opendir, DIR *, NULL, (const char *path), (path))
WRAP(fdopendir, DIR *, NULL, (int fd), (fd))
WRAP(readdir, struct dirent *, NULL, (DIR *dir), (dir))
WRAP_AS(readdir, readdir64, struct dirent64 *, NULL, (DIR *dir), (dir))
WRAP(getdents64, ssize_t, -1, (int fd, void *to, size_t len), (fd, to, len))
WRAP(readlink, ssize_t, -1,
     (const char *restrict path, char *restrict to, size_t len), (path, to, len))
WRAP(readlinkat, ssize_t, -1,
     (int fd, const char *restrict path, char *restrict to, size_t len),
     (fd, path, to, len))
WRAP(fstat, int, -1, (int fd, struct stat *to), (fd, to))
WRAP(stat, int, -1, (const char *restrict path, struct stat *restrict to), (path, to))
WRAP_AS(fstat, fstat64, int, -1, (int fd, struct stat64 *to), (fd, to))
WRAP_AS(stat, stat64, int, -1,
        (const char *restrict path, struct stat64 *restrict to), (path, to))
WRAP_AS(stat, lstat64, int, -1,
        (const char *restrict path, struct stat64 *restrict to), (path, to))
WRAP_AS(stat, fstatat64, int, -1,
        (int fd, const char *restrict path, struct stat64 *restrict to, int flags),
        (fd, path, to, flags))
WRAP_AS(fstatfs, fstatfs64, int, -1, (int fd, struct statfs64 *to), (fd, to))
WRAP_AS(getrlimit, getrlimit64, int, -1, (__rlimit_resource_t what, struct rlimit64 *to),
        (what, to))
WRAP_AS(setrlimit, setrlimit64, int, -1,
        (__rlimit_resource_t what, const struct rlimit64 *from), (what, from))
WRAP_AS(pread, pread64, ssize_t, -1, (int fd, void *to, size_t len, off64_t at),
        (fd, to, len, at))
WRAP_AS(lseek, lseek64, off64_t, -1, (int fd, off64_t at, int whence), (fd, at, whence))
WRAP_AS(pwrite, pwrite64, ssize_t, -1,
        (int fd, const void *from, size_t len, off64_t at), (fd, from, len, at))
WRAP(fdatasync, int, -1, (int fd), (fd))
WRAP(fsync, int, -1, (int fd), (fd))
WRAP(ftruncate, int, -1, (int fd, off_t len), (fd, len))
WRAP_AS(ftruncate, ftruncate64, int, -1, (int fd, off64_t len), (fd, len))
WRAP(faccessat, int, -1, (int fd, const char *path, int mode, int flags),
     (fd, path, mode, flags))

WRAP(getrandom, ssize_t, -1, (void *to, size_t len, unsigned flags), (to, len, flags))
WRAP(dlopen, void *, NULL, (const char *path, int flags), (path, flags))
WRAP(fork, pid_t, -1, (void), ())
WRAP(posix_spawn, int, errno,
     (pid_t *restrict to, const char *restrict path,
      const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *restrict attr,
      char *const argv[restrict], char *const envp[restrict]),
     (to, path, actions, attr, argv, envp))

#define WRAP_OPEN(function, name, parameters, ...)                                       \
    int name parameters                                                                  \
    {                                                                                    \
        va_list args;                                                                    \
        mode_t mode = 0;                                                                 \
        REAL(name);                                                                      \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                           \
            va_start(args, flags);                                                       \
            mode = va_arg(args, mode_t);                                                 \
            va_end(args);                                                                \
        }                                                                                \
        return fails(FAULT_##function) ? -1 : real(__VA_ARGS__, flags, mode);            \
    }

WRAP_OPEN(open, open, (const char *path, int flags, ...), path)
WRAP_OPEN(open, open64, (const char *path, int flags, ...), path)
WRAP_OPEN(openat, openat, (int fd, const char *path, int flags, ...), fd, path)
WRAP_OPEN(openat, openat64, (int fd, const char *path, int flags, ...), fd, path)

#define WRAP_ONE_ARGUMENT(function, name, type)                                          \
    int name(int fd, type what, ...)                                                     \
    {                                                                                    \
        va_list args;                                                                    \
        void *argument;                                                                  \
        REAL(name);                                                                      \
        va_start(args, what);                                                            \
        argument = va_arg(args, void *);                                                 \
        va_end(args);                                                                    \
        return fails(FAULT_##function) ? -1 : real(fd, what, argument);                  \
    }

WRAP_ONE_ARGUMENT(fcntl, fcntl, int)
WRAP_ONE_ARGUMENT(fcntl, fcntl64, int)
WRAP_ONE_ARGUMENT(ioctl, ioctl, unsigned long)
// clang-format on

long syscall(long number, ...)
{
    long a[6];
    va_list args;

    REAL(syscall);
    va_start(args, number);
    for (size_t i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    return fails(FAULT_syscall) ? -1 : real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* What a thread does, and in whose part. */
struct begun {
    void *(*start)(void *);
    void *argument;
    enum role part;
};

void *__libc_malloc(size_t size);
void __libc_free(void *p);

static void *begin(void *ctx)
{
    struct begun begun = *(struct begun *)ctx;

    __libc_free(ctx);
    part = begun.part;
    return begun.start(begun.argument);
}

int pthread_create(pthread_t *restrict to, const pthread_attr_t *restrict attr,
                   void *(*start)(void *), void *restrict argument)
{
    struct begun *begun;
    int error;

    REAL(pthread_create);
    if (fails(FAULT_pthread_create))
        return errno;
    begun = __libc_malloc(sizeof(*begun));
    if (!begun)
        return EAGAIN;
    *begun = (struct begun){start, argument, part};
    error = real(to, attr, begin, begun);
    if (error)
        __libc_free(begun);
    return error;
}

/* Each gives itself its name when it begins. */
int pthread_setname_np(pthread_t thread, const char *name)
{
    REAL(pthread_setname_np);
    if (strcmp(name, "historian") == 0)
        part = ROLE_HISTORIAN;
    else if (strcmp(name, "publisher") == 0 || strcmp(name, "subscriber") == 0)
        part = ROLE_NATS;
    return real(thread, name);
}

int epoll_ctl(int fd, int what, int of, struct epoll_event *event)
{
    bool asks = what == EPOLL_CTL_ADD && event && event->data.fd == -1;

    REAL(epoll_ctl);
    return asks && fails(FAULT_epoll_ctl) ? -1 : real(fd, what, of, event);
}

/* dlsym() may allocate, so these have names of their own in libc. */
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size)
{
    return fails(FAULT_malloc) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails(FAULT_calloc) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    return fails(FAULT_realloc) ? NULL : __libc_realloc(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, bytes);
}

static struct control *open_control(const char *path)
{
    static const char *const names[] = {
#define F(name) #name,
        FAULTS(F)
#undef F
    };
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *p =
        mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct control *c = p;

    (void)close(fd);
    if (p == MAP_FAILED)
        _exit(99); // a test without faults would pass
    for (size_t i = 0; i < FUNCTIONS; i++)
        (void)snprintf(c->seen[i].name, sizeof(c->seen[i].name), "%s", names[i]);
    c->functions = FUNCTIONS;
    return c;
}

typedef int main_fn(int argc, char **argv, char **environment);

static main_fn *real_main;

static int main_with_faults(int argc, char **argv, char **environment)
{
    const char *path = getenv("FAULTS_FILE");
    struct control *c =
        path && strcmp(program_invocation_short_name, "vramscope-sim") != 0
            ? open_control(path)
            : NULL;

    if (argc > 1 && strcmp(argv[1], "--gpu-worker") == 0)
        role = ROLE_GPU_WORKER;
    else if (argc > 1 && strcmp(argv[1], "--gpu-keeper") == 0)
        role = ROLE_GPU_KEEPER;
    process = getpid();
    control = c;
    return real_main(argc, argv, environment);
}

typedef int start_fn(main_fn *main, int argc, char **argv, void (*init)(void),
                     void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(main_fn *main, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(main_fn *main, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    start_fn *real = (start_fn *)dlsym(RTLD_NEXT, "__libc_start_main");

    real_main = main;
    return real(main_with_faults, argc, argv, init, fini, rtld_fini, stack_end);
}
