// SPDX-License-Identifier: Apache-2.0
/*
 * test_confine.c - what is taken away is gone, and what is left works
 *
 * Each case is a process of its own, as nothing gives the rights back.
 */
#include "base/confine.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { CALL_NEWER = 463, NOBODY = 65534 };

static void fail_case(int line, const char *what)
{
    (void)fprintf(stderr, "line %d: %s (%s)\n", line, what, strerror(errno));
    _exit(1);
}

#define CHECK(condition)                     \
    do {                                     \
        if (!(condition))                    \
            fail_case(__LINE__, #condition); \
    } while (0)

#define FAILS(error, call)         \
    do {                           \
        errno = 0;                 \
        CHECK((long)(call) == -1); \
        CHECK(errno == (error));   \
    } while (0)

/* As the daemon, its keeper and its two kinds of workers have them. */
static const struct confine_options server = {
    .rights = CONFINE_READ,
    .families = CONFINE_UNIX | CONFINE_INET | CONFINE_NETLINK,
    .remove_files = true,
    .openat2 = true,
};
static const struct confine_options starter = {
    .rights = CONFINE_HAND_ON,
    .families = CONFINE_UNIX,
    .start_processes = true,
    .write_files = true,
};
static const struct confine_options reader = {
    .rights = CONFINE_READ,
    .families = CONFINE_UNIX,
};
static const struct confine_options counter = {
    .rights = CONFINE_READ,
    .counters = true,
    .families = CONFINE_UNIX,
};
static const struct confine_options driver = {
    .rights = CONFINE_DROP,
    .families = CONFINE_UNIX,
    .write_files = true,
    .landlock = true,
    .write_below = "/dev",
};
static const struct confine_options nothing = {.landlock = true};

static void enter(const struct confine_options *options)
{
    struct complaint complaint = {0};

    if (confine(options, &complaint) < 0) {
        (void)fprintf(stderr, "%s\n", complaint.text);
        _exit(250);
    }
}

static bool has_landlock(void)
{
    return syscall(444, NULL, 0, 1) > 0;
}

/* The line of /proc/self/status. */
static uint64_t status_of(const char *name)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    uint64_t value = UINT64_MAX;

    CHECK(file);
    while (fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            value = strtoull(line + strlen(name) + 1, NULL, 16);
    (void)fclose(file);
    CHECK(value != UINT64_MAX);
    return value;
}

static void always_denied(void)
{
    static const long calls[] = {SYS_ptrace,
                                 SYS_process_vm_readv,
                                 SYS_process_vm_writev,
                                 SYS_kcmp,
                                 SYS_pidfd_getfd,
                                 SYS_mount,
                                 SYS_umount2,
                                 SYS_move_mount,
                                 SYS_open_tree,
                                 SYS_fsopen,
                                 SYS_fsmount,
                                 SYS_fsconfig,
                                 SYS_bpf,
                                 SYS_perf_event_open,
                                 SYS_userfaultfd,
                                 SYS_io_uring_setup,
                                 SYS_io_uring_enter,
                                 SYS_keyctl,
                                 SYS_add_key,
                                 SYS_request_key,
                                 SYS_init_module,
                                 SYS_finit_module,
                                 SYS_delete_module,
                                 SYS_kexec_load,
                                 SYS_setns,
                                 SYS_unshare,
                                 SYS_chroot,
                                 SYS_pivot_root,
                                 SYS_acct,
                                 SYS_swapon,
                                 SYS_swapoff,
                                 SYS_reboot,
                                 SYS_quotactl,
                                 SYS_setuid,
                                 SYS_setgid,
                                 SYS_setreuid,
                                 SYS_setregid,
                                 SYS_setresuid,
                                 SYS_setresgid,
                                 SYS_setgroups,
                                 SYS_setfsuid,
                                 SYS_setfsgid,
                                 SYS_personality,
                                 447,
                                 SYS_mount_setattr,
                                 SYS_syslog,
                                 SYS_settimeofday,
                                 SYS_clock_settime,
                                 SYS_sethostname,
                                 SYS_open_by_handle_at};

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        errno = 0;
        // Bad addresses all over: a call that were let through would say EFAULT or EINVAL.
        if (syscall(calls[i], -1L, -1L, -1L, -1L, -1L, -1L) != -1 || errno != EPERM) {
            (void)fprintf(stderr, "call %ld: errno %d\n", calls[i], errno);
            _exit(1);
        }
    }
    FAILS(ENOSYS, syscall(SYS_clone3, NULL, 0));
    FAILS(ENOSYS, syscall(CALL_NEWER, 0, 0, 0));
    FAILS(ENOSYS, syscall(0x40000000 | SYS_getpid)); // x32
    FAILS(EPERM, syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    FAILS(EPERM, ioctl(-1, TIOCSTI, "x"));
    FAILS(EPERM, ioctl(-1, TIOCLINUX, "x"));
    FAILS(EBADF, ioctl(-1, FIONREAD, NULL));
    CHECK(status_of("NoNewPrivs") == 1);
    CHECK(status_of("Seccomp") == 2);
}

static void *double_it(void *number)
{
    *(int *)number *= 2;
    return NULL;
}

static void threads_work(void)
{
    pthread_t thread;
    int number = 21;

    CHECK(pthread_create(&thread, NULL, double_it, &number) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(number == 42);
}

static void reading_works(void)
{
    const struct timespec pause = {0, 1000};
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    DIR *dir = opendir("/");
    char text[16];
    int fds[2];

    CHECK(fd >= 0 && dir);
    CHECK(read(fd, text, sizeof(text)) == sizeof(text));
    CHECK(closedir(dir) == 0);
    CHECK(access("/", R_OK) == 0);
    CHECK(pipe(fds) == 0);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(nanosleep(&pause, NULL) == 0);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
          MAP_FAILED);
}

static void starting_is_denied(void)
{
    char *arguments[] = {NULL};

    FAILS(EPERM, fork());
    FAILS(EPERM, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    FAILS(EPERM, syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0));
#ifdef __x86_64__
    FAILS(EPERM, syscall(SYS_fork));
    FAILS(EPERM, syscall(SYS_vfork));
#endif
    FAILS(EPERM, execv("/bin/true", arguments));
    FAILS(EPERM, execv("/proc/self/exe", arguments));
    FAILS(EPERM, syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, arguments, 0));
}

static void writing_is_denied(const char *folder)
{
    static const int flags[] = {O_WRONLY,           O_RDWR,    O_RDONLY | O_CREAT,
                                O_RDONLY | O_TRUNC, O_ACCMODE, O_TMPFILE | O_RDWR};
    char path[64];

    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        FAILS(EPERM, open("/dev/null", flags[i], 0600));
        FAILS(EPERM, openat(AT_FDCWD, "/dev/null", flags[i], 0600));
#ifdef __x86_64__
        FAILS(EPERM, syscall(SYS_open, "/dev/null", flags[i], 0600));
#endif
    }
    (void)snprintf(path, sizeof(path), "%s/made", folder);
    FAILS(EPERM, creat(path, 0600));
    FAILS(EPERM, mkdir(path, 0700));
    FAILS(EPERM, mkfifo(path, 0600));
    FAILS(EPERM, link("/etc/passwd", path));
    FAILS(EPERM, symlink("/etc/passwd", path));
    FAILS(EPERM, rename(folder, path));
    FAILS(EPERM, truncate(folder, 0));
    FAILS(EPERM, chmod(folder, 0777));
    FAILS(EPERM, chown(folder, 0, 0));
}

static void sockets_are(unsigned families)
{
    static const struct {
        unsigned family;
        int number;
    } known[] = {{CONFINE_UNIX, AF_UNIX},  {CONFINE_INET, AF_INET},
                 {CONFINE_INET, AF_INET6}, {CONFINE_NETLINK, AF_NETLINK},
                 {0, AF_PACKET},           {0, AF_ALG},
                 {0, 40 /* AF_VSOCK */}};
    int pair[2];

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (families & known[i].family)
            CHECK(socket(known[i].number, SOCK_DGRAM, 0) >= 0 || errno == EAFNOSUPPORT);
        else
            FAILS(EAFNOSUPPORT, socket(known[i].number, SOCK_RAW, 0));
    }
    if (families & CONFINE_UNIX)
        CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    else
        FAILS(EAFNOSUPPORT, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
}

static void capabilities_are(uint64_t effective, uint64_t permitted, uint64_t bounding)
{
    struct rlimit core;

    CHECK(status_of("CapEff") == effective);
    CHECK(status_of("CapPrm") == permitted);
    CHECK(status_of("CapBnd") == bounding);
    CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
}

/* Of those that this test was started with: the two, or for a root without the first, all. */
static uint64_t rights_of(uint64_t wanted)
{
    uint64_t have = status_of("CapEff");

    return have & 1ULL << CAP_SYS_PTRACE ? have & wanted : have;
}

static uint64_t readers_rights(void)
{
    return rights_of(1ULL << CAP_SYS_PTRACE | 1ULL << CAP_DAC_READ_SEARCH);
}

static uint64_t bounding_after(uint64_t keep)
{
    uint64_t bounding = status_of("CapBnd");

    return status_of("CapEff") & 1ULL << CAP_SETPCAP ? bounding & keep : bounding;
}

static void case_server(const char *folder)
{
    uint64_t keep = readers_rights(), bounding = bounding_after(keep);
    struct open_how how = {.flags = O_RDONLY};
    char file[64];

    (void)snprintf(file, sizeof(file), "%s/file", folder);
    CHECK(open(file, O_WRONLY | O_CREAT, 0600) >= 0);
    enter(&server);
    always_denied();
    starting_is_denied();
    writing_is_denied(folder);
    sockets_are(server.families);
    capabilities_are(keep, keep, bounding);
    reading_works();
    threads_work();
    CHECK(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", &how, sizeof(how)) >= 0);
    CHECK(unlink(file) == 0);
    CHECK(kill(getpid(), 0) == 0);
}

/* One right more, which opens nothing but what the kernel's drivers tell. */
static void case_counter(const char *folder)
{
    uint64_t keep = rights_of(1ULL << CAP_SYS_PTRACE | 1ULL << CAP_DAC_READ_SEARCH |
                              1ULL << CAP_PERFMON);
    uint64_t bounding = bounding_after(keep);

    enter(&counter);
    always_denied();
    starting_is_denied();
    writing_is_denied(folder);
    capabilities_are(keep, keep, bounding);
    reading_works();
}

static void case_reader(const char *folder)
{
    uint64_t keep = readers_rights(), bounding = bounding_after(keep);
    struct open_how how = {.flags = O_RDONLY};
    char path[64], text[256];

    enter(&reader);
    always_denied();
    starting_is_denied();
    writing_is_denied(folder);
    sockets_are(reader.families);
    capabilities_are(keep, keep, bounding);
    reading_works();
    FAILS(ENOSYS, syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", &how, sizeof(how)));
    FAILS(EPERM, unlink("/nonexistent"));
    // Files that tell about another process are still there.
    (void)snprintf(path, sizeof(path), "/proc/%d/exe", getppid());
    CHECK(readlink(path, text, sizeof(text)) > 0);
}

static void case_driver(const char *folder)
{
    uint64_t bounding = bounding_after(0);
    char path[64], text[256];
    int fd;

    enter(&driver);
    always_denied();
    starting_is_denied();
    sockets_are(driver.families);
    capabilities_are(0, 0, bounding);
    reading_works();
    threads_work();
    fd = open("/dev/null", O_RDWR);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1);
    if (!has_landlock())
        return;
    (void)snprintf(path, sizeof(path), "%s/made", folder);
    FAILS(EACCES, open(path, O_WRONLY | O_CREAT, 0600));
    FAILS(EACCES, mkdir(path, 0700));
    FAILS(EACCES, open("/proc/self/comm", O_WRONLY));
    // The price of it, and why it is not for readers.
    (void)snprintf(path, sizeof(path), "/proc/%d/exe", getppid());
    FAILS(EACCES, readlink(path, text, sizeof(text)));
}

static void case_nothing(const char *folder)
{
    uint64_t bounding = bounding_after(0);

    enter(&nothing);
    always_denied();
    starting_is_denied();
    writing_is_denied(folder);
    FAILS(EPERM, unlink("/nonexistent"));
    sockets_are(0);
    capabilities_are(0, 0, bounding);
    reading_works();
    threads_work();
}

/* A shell: what it may is what any program after exec may. */
static int run_shell(char *script)
{
    char shell[] = "/bin/sh", option[] = "-c";
    char *arguments[] = {shell, option, script, NULL};
    char *environment[] = {NULL};
    int status;
    pid_t pid;

    CHECK(posix_spawn(&pid, shell, NULL, NULL, arguments, environment) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void case_starter(const char *folder)
{
    uint64_t keep = readers_rights(), bounding = bounding_after(keep);
    char denied[] = "exec 2>/dev/null; ! unshare -m true && ! chroot / true";
    char script[512];
    int status;
    pid_t pid;

    (void)folder;
    enter(&starter);
    always_denied();
    sockets_are(starter.families);
    capabilities_are(0, keep, bounding);
    threads_work();
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(7);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
    CHECK(run_shell(denied) == 0);
    // What it starts has what was kept for it, and the filter.
    (void)snprintf(script, sizeof(script),
                   "grep -q '^CapEff:.%016llx$' /proc/self/status && "
                   "grep -q '^Seccomp:.2$' /proc/self/status && "
                   "grep -q '^NoNewPrivs:.1$' /proc/self/status",
                   (unsigned long long)keep);
    CHECK(run_shell(script) == 0);
}

/* Twice, as a worker of a confined keeper: both filters hold, and rights only shrink. */
static void case_nested(const char *folder)
{
    enter(&starter);
    enter(&driver);
    always_denied();
    starting_is_denied();
    CHECK(status_of("CapEff") == 0 && status_of("CapPrm") == 0);
    CHECK(open("/dev/null", O_RDWR) >= 0);
    (void)folder;
}

static void case_nobody(const char *folder)
{
    (void)folder;
    CHECK(geteuid() != 0 || setresuid(NOBODY, NOBODY, NOBODY) == 0);
    CHECK(prctl(PR_SET_DUMPABLE, 1) == 0); // as after exec
    enter(&server);
    always_denied();
    starting_is_denied();
    CHECK(status_of("CapEff") == 0);
    reading_works();
}

/* Not dumpable: our own files in /proc belong to root, and are still ours to read. */
static void hold(uint64_t capabilities)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct half[2];

    for (unsigned i = 0; i < ARRAY_LEN(half); i++)
        half[i].effective = half[i].permitted = half[i].inheritable =
            (uint32_t)(capabilities >> 32 * i);
    CHECK(syscall(SYS_capset, &header, half) == 0);
}

/* What a root is given that may not trace: its equals have the same, and it reads them. */
static void case_root_of_a_container(const char *folder)
{
    const uint64_t given = 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_CHOWN;

    (void)folder;
    if (geteuid() != 0)
        return;
    hold(given);
    enter(&server);
    CHECK(status_of("CapEff") == given && status_of("CapInh") == 0);
    FAILS(EPERM, chown("/", 0, 0));
}

/* A user to whom a service manager gives the two. */
static void case_ambient(const char *folder)
{
    const uint64_t two = 1ULL << CAP_SYS_PTRACE | 1ULL << CAP_DAC_READ_SEARCH;
    char script[128];

    (void)folder;
    if (geteuid() != 0 || (readers_rights() & two) != two)
        return;
    CHECK(prctl(PR_SET_KEEPCAPS, 1) == 0);
    CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
    hold(two);
    enter(&starter);
    CHECK(status_of("CapEff") == 0 && status_of("CapPrm") == two);
    (void)snprintf(script, sizeof(script),
                   "grep -q '^CapEff:.%016llx$' /proc/self/status",
                   (unsigned long long)two);
    CHECK(run_shell(script) == 0);
    enter(&server);
    CHECK(status_of("CapPrm") == 0); // it was not in force: it cannot be kept for reading
    CHECK(status_of("CapAmb") == 0);
}

static void case_hidden(const char *folder)
{
    static const char *const files[] = {"status", "statm", "uid_map", "environ", "mem"};
    char path[64], text[256];
    struct stat status;
    DIR *dir;
    int fd;

    (void)folder;
    CHECK(geteuid() != 0 || setresuid(NOBODY, NOBODY, NOBODY) == 0);
    CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
    enter(&server);
    CHECK(confine_hide_memory() == 0);
    CHECK(prctl(PR_GET_DUMPABLE) == 0);
    CHECK(stat("/proc/self/status", &status) == 0 && status.st_uid == 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        (void)snprintf(path, sizeof(path), "/proc/self/%s", files[i]);
        fd = open(path, O_RDONLY);
        CHECK(fd >= 0 || i >= 3); // the last two are what others shall not read
    }
    CHECK(readlink("/proc/self/ns/net", text, sizeof(text)) > 0);
    CHECK(readlink("/proc/self/exe", text, sizeof(text)) > 0);
    dir = opendir("/proc/self/fd");
    CHECK(dir && readdir(dir));
    fd = open("/etc/passwd", O_PATH);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    CHECK(open(path, O_RDONLY) >= 0);
}

/* A thread that writes beside one that never does. */
struct writer {
    const char *folder;
    pthread_barrier_t entered; // both have given up what they do
};

static void *write_in_thread(void *ctx)
{
    struct writer *writer = ctx;
    const struct confine_options options = {.write_files = true,
                                            .landlock = true,
                                            .write_below = writer->folder,
                                            .this_thread = true};
    char path[64];
    int fd;

    enter(&options);
    (void)pthread_barrier_wait(&writer->entered);
    (void)snprintf(path, sizeof(path), "%s/made", writer->folder);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && unlink(path) == 0);
    if (has_landlock())
        FAILS(EACCES, open("/tmp/test-confine-elsewhere", O_WRONLY | O_CREAT, 0600));
    FAILS(EAFNOSUPPORT, socket(AF_INET, SOCK_STREAM, 0));
    return NULL;
}

static void case_thread(const char *folder)
{
    struct confine_options options = server;
    struct writer writer = {.folder = folder};
    pthread_t thread;
    char path[64];

    options.this_thread = true;
    CHECK(pthread_barrier_init(&writer.entered, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, write_in_thread, &writer) == 0);
    enter(&options);
    (void)snprintf(path, sizeof(path), "%s/main", folder);
    FAILS(EPERM, open(path, O_WRONLY | O_CREAT, 0600));
    (void)pthread_barrier_wait(&writer.entered);
    CHECK(pthread_join(thread, NULL) == 0);
    FAILS(EPERM, open(path, O_WRONLY | O_CREAT, 0600));
    CHECK(socket(AF_INET, SOCK_STREAM, 0) >= 0);
}

static const struct {
    const char *name;
    void (*run)(const char *folder);
} cases[] = {
    {"server", case_server},   {"reader", case_reader},
    {"counter", case_counter}, {"driver", case_driver},
    {"nothing", case_nothing}, {"starter", case_starter},
    {"nested", case_nested},   {"root of a container", case_root_of_a_container},
    {"ambient", case_ambient}, {"nobody", case_nobody},
    {"hidden", case_hidden},   {"thread", case_thread},
};

static void test_cases(void **state)
{
    char folder[] = "/tmp/test-confine-XXXXXX";
    char path[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            cases[i].run(folder);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != 0)
            fail_msg("[%s] ended with %#x", cases[i].name, status);
    }
    (void)snprintf(path, sizeof(path), "%s/made", folder);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
