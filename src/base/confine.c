// SPDX-License-Identifier: Apache-2.0
#include "base/confine.h"

#include "base/syscall_filter.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define BIT(n) (UINT64_C(1) << (n))
#define READING (BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_READ_SEARCH))

enum { CAPABILITIES_MAX = 64 };

/* Two calls to the kernel, and no library for them. */
struct capabilities {
    uint64_t effective, permitted, inheritable;
};

static int get_capabilities(struct capabilities *ret)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct half[2];

    if (syscall(SYS_capget, &header, half) < 0)
        return neg_errno();
    ret->effective = half[0].effective | (uint64_t)half[1].effective << 32;
    ret->permitted = half[0].permitted | (uint64_t)half[1].permitted << 32;
    ret->inheritable = half[0].inheritable | (uint64_t)half[1].inheritable << 32;
    return 0;
}

static int set_capabilities(const struct capabilities *set)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct half[2];

    for (unsigned i = 0; i < ARRAY_LEN(half); i++)
        half[i] = (struct __user_cap_data_struct){
            .effective = (uint32_t)(set->effective >> 32 * i),
            .permitted = (uint32_t)(set->permitted >> 32 * i),
            .inheritable = (uint32_t)(set->inheritable >> 32 * i)};
    return syscall(SYS_capset, &header, half) < 0 ? neg_errno() : 0;
}

/*
 * Who may not take from the bounding set (without CAP_SETPCAP) need not: with no_new_privs
 * no program's file gives anything out of it.
 */
static int bound_capabilities(uint64_t keep)
{
    for (unsigned i = 0; i < CAPABILITIES_MAX; i++) {
        if (keep & BIT(i))
            continue;
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
            return errno == EINVAL || errno == EPERM ? 0
                                                     : neg_errno(); // EINVAL: the last
    }
    return 0;
}

/* A program keeps over exec, without help of its file, only what is ambient. */
static int hand_on_capabilities(uint64_t keep)
{
    for (unsigned i = 0; i < CAPABILITIES_MAX; i++)
        if (keep & BIT(i) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            return neg_errno();
    return 0;
}

static uint64_t capabilities_kept(const struct confine_options *options,
                                  uint64_t effective)
{
    uint64_t wanted = READING | (options->counters ? BIT(CAP_PERFMON) : 0);

    if (options->rights == CONFINE_DROP)
        return 0;
    return effective & BIT(CAP_SYS_PTRACE) ? effective & wanted : effective;
}

static int limit_capabilities(const struct confine_options *options)
{
    enum confine_rights rights = options->rights;
    struct capabilities set;
    uint64_t keep;
    int r = get_capabilities(&set);

    if (r < 0)
        return r;
    keep = capabilities_kept(options, set.effective);
    r = bound_capabilities(keep);
    if (r < 0)
        return r;
    set = (struct capabilities){
        .effective = rights == CONFINE_HAND_ON ? 0 : keep,
        .permitted = keep,
        .inheritable = rights == CONFINE_HAND_ON ? keep : 0,
    };
    r = set_capabilities(&set); // what is no longer inheritable is not ambient either
    return r == 0 && rights == CONFINE_HAND_ON ? hand_on_capabilities(keep) : r;
}

/*
 * Landlock: Debian 12's header knows ABI 2 of what kernels have, and libc has no functions.
 * A right that a kernel does not know must not be named to it.
 */
enum {
    CALL_LANDLOCK_CREATE_RULESET = 444,
    CALL_LANDLOCK_ADD_RULE = 445,
    CALL_LANDLOCK_RESTRICT_SELF = 446,
    LANDLOCK_GET_ABI = 1,
    LANDLOCK_BELOW_PATH = 1,
};

struct landlock_ruleset {
    uint64_t files, net, scoped;
};

struct landlock_below {
    uint64_t files;
    int32_t folder_fd;
} __attribute__((packed));

static const struct {
    int abi;
    struct landlock_ruleset rights;
} landlock_rights[] = {
    {1, {.files = BIT(0) | BIT(1)}}, // execute, write
    {1, {.files = BIT(4) | BIT(5)}}, // remove a folder, a file
    {1,
     {.files = BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12)}}, // make
    {2, {.files = BIT(13)}},          // link or rename into another folder
    {3, {.files = BIT(14)}},          // truncate
    {4, {.net = BIT(0) | BIT(1)}},    // bind, connect TCP
    {5, {.files = BIT(15)}},          // ioctl of a device
    {6, {.scoped = BIT(0) | BIT(1)}}, // abstract sockets, signals: to who is outside
};

enum { LANDLOCK_EXECUTE = 1 << 0 };

static int allow_below(int ruleset_fd, const char *path, uint64_t files)
{
    OWNED(close_fd) int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct landlock_below rule = {files, fd};

    if (fd < 0)
        return neg_errno();
    return syscall(CALL_LANDLOCK_ADD_RULE, ruleset_fd, LANDLOCK_BELOW_PATH, &rule, 0) < 0
               ? neg_errno()
               : 0;
}

/* -ENOSYS: this kernel has no Landlock, or it is switched off. */
static int limit_files(const char *write_below)
{
    long abi = syscall(CALL_LANDLOCK_CREATE_RULESET, NULL, 0, LANDLOCK_GET_ABI);
    struct landlock_ruleset set = {0};
    OWNED(close_fd) int fd = -1;
    int r = 0;

    if (abi < 0)
        return errno == EOPNOTSUPP ? -ENOSYS : neg_errno();
    for (size_t i = 0; i < ARRAY_LEN(landlock_rights); i++) {
        if (landlock_rights[i].abi > abi)
            continue;
        set.files |= landlock_rights[i].rights.files;
        set.net |= landlock_rights[i].rights.net;
        set.scoped |= landlock_rights[i].rights.scoped;
    }
    // An older kernel takes the longer structure as long as what it does not know is 0.
    fd = (int)syscall(CALL_LANDLOCK_CREATE_RULESET, &set, sizeof(set), 0);
    if (fd < 0)
        return neg_errno();
    if (write_below)
        r = allow_below(fd, write_below, set.files & ~(uint64_t)LANDLOCK_EXECUTE);
    if (r == 0 && syscall(CALL_LANDLOCK_RESTRICT_SELF, fd, 0) < 0)
        r = neg_errno();
    return r;
}

static int forbid_new_privileges(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? neg_errno() : 0;
}

static int forbid_core_dumps(void)
{
    const struct rlimit none = {0, 0};

    return setrlimit(RLIMIT_CORE, &none) < 0 ? neg_errno() : 0;
}

int confine(const struct confine_options *options, struct complaint *complaint)
{
    int missing = 0;
    int r = forbid_core_dumps();

    if (r < 0)
        return complain(complaint, r, "cannot forbid core dumps: %s", strerror(-r));
    r = limit_capabilities(options);
    if (r < 0)
        return complain(complaint, r, "cannot give up capabilities: %s", strerror(-r));
    r = forbid_new_privileges();
    if (r < 0)
        return complain(complaint, r, "cannot set no_new_privs: %s", strerror(-r));
    if (options->landlock) {
        r = limit_files(options->write_below);
        if (r == -ENOSYS)
            missing = complain(complaint, 1, "this kernel has no Landlock");
        else if (r < 0)
            return complain(complaint, r, "Landlock: %s", strerror(-r));
    }
    r = syscall_filter_install(options);
    if (r == -ENOSYS)
        return complain(complaint, 1, "this kernel has no system call filter");
    if (r < 0)
        return complain(complaint, r, "cannot filter system calls: %s", strerror(-r));
    return missing;
}

int confine_hide_memory(void)
{
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? neg_errno() : 0;
}
