// SPDX-License-Identifier: Apache-2.0
#include "base/syscall_filter.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0 // not one whose calls were looked at
#endif

/*
 * Debian 12's headers end before these; from 424 on all architectures have the same numbers.
 * Calls after the last one were not known when this was written, and do not exist.
 */
enum {
    CALL_MEMFD_SECRET = 447,
    CALL_FCHMODAT2 = 452,
    CALL_LAST = 462, // mseal
};

enum {
    INSTRUCTIONS_MAX = 512,
    WRITING = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY),
    NAMESPACES = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS |
                 CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS,
};

/* What nothing of ours does, and what a process that was taken over would try. */
static const unsigned always_denied[] = {
    // other processes' memory and descriptors
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_kcmp,
    SYS_pidfd_getfd,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_bpf,
    // ways around this filter or around paths
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_open_by_handle_at,
    SYS_personality,
    CALL_MEMFD_SECRET,
    SYS_fanotify_init,
    // mounts, roots, namespaces
    SYS_mount,
    SYS_umount2,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_setns,
    SYS_unshare,
    SYS_chroot,
    SYS_pivot_root,
    // keys
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    // the system as a whole
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_acct,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_syslog,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_vhangup,
    // other identities
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_setgroups,
#ifdef __x86_64__
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_uselib,
#endif
};

static const unsigned starting[] = {
    SYS_execve,
    SYS_execveat,
#ifdef __x86_64__
    SYS_fork,
    SYS_vfork,
#endif
};

static const unsigned changing_files[] = {
    SYS_mkdirat,     SYS_mknodat,      SYS_linkat,       SYS_symlinkat,  SYS_renameat2,
    SYS_truncate,    SYS_fchmod,       SYS_fchmodat,     CALL_FCHMODAT2, SYS_fchown,
    SYS_fchownat,    SYS_setxattr,     SYS_lsetxattr,    SYS_fsetxattr,  SYS_renameat,
    SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr,
#ifdef __x86_64__
    SYS_creat,       SYS_mkdir,        SYS_mknod,        SYS_link,       SYS_symlink,
    SYS_rename,      SYS_chmod,        SYS_chown,        SYS_lchown,
#endif
};

static const unsigned removing_files[] = {
    SYS_unlinkat,
#ifdef __x86_64__
    SYS_unlink,
    SYS_rmdir,
#endif
};

static const struct {
    unsigned family; // of enum confine_family
    unsigned number;
} families[] = {
    {CONFINE_UNIX, AF_UNIX},
    {CONFINE_INET, AF_INET},
    {CONFINE_INET, AF_INET6},
    {CONFINE_NETLINK, AF_NETLINK},
};

struct program {
    struct sock_filter code[INSTRUCTIONS_MAX];
    unsigned short n;
};

static void add(struct program *p, unsigned code, unsigned skip_if, unsigned skip_else,
                unsigned value)
{
    assert(p->n < INSTRUCTIONS_MAX); // a fixed program: the first test would see it
    p->code[p->n++] =
        (struct sock_filter){(uint16_t)code, (uint8_t)skip_if, (uint8_t)skip_else, value};
}

static void finish(struct program *p, unsigned verdict)
{
    add(p, BPF_RET | BPF_K, 0, 0, verdict);
}

static void fail_with(struct program *p, int error)
{
    finish(p, SECCOMP_RET_ERRNO | (unsigned)error);
}

/* The number of the call is loaded: what follows is for `call`, up to end_call(). */
static unsigned begin_call(struct program *p, unsigned call)
{
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, call);
    return p->n - 1U;
}

static void end_call(struct program *p, unsigned begun)
{
    p->code[begun].jf = (uint8_t)(p->n - begun - 1U);
}

static void deny(struct program *p, const unsigned *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned begun = begin_call(p, calls[i]);

        fail_with(p, EPERM);
        end_call(p, begun);
    }
}

static void deny_as_missing(struct program *p, unsigned call)
{
    unsigned begun = begin_call(p, call);

    fail_with(p, ENOSYS);
    end_call(p, begun);
}

/* The lower half: flags, families and requests are no longer (little-endian only). */
static void load_argument(struct program *p, unsigned number)
{
    add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0,
        (unsigned)offsetof(struct seccomp_data, args) + 8 * number);
}

static void deny_flags(struct program *p, unsigned call, unsigned argument,
                       unsigned flags)
{
    unsigned begun = begin_call(p, call);

    load_argument(p, argument);
    add(p, BPF_JMP | BPF_JSET | BPF_K, 0, 1, flags);
    fail_with(p, EPERM);
    finish(p, SECCOMP_RET_ALLOW);
    end_call(p, begun);
}

static void filter_clone(struct program *p, bool start_processes)
{
    unsigned begun = begin_call(p, SYS_clone);

    load_argument(p, 0);
    add(p, BPF_JMP | BPF_JSET | BPF_K, 0, 1, NAMESPACES);
    fail_with(p, EPERM);
    if (!start_processes) {
        add(p, BPF_JMP | BPF_JSET | BPF_K, 1, 0, CLONE_THREAD);
        fail_with(p, EPERM);
    }
    finish(p, SECCOMP_RET_ALLOW);
    end_call(p, begun);
}

static void filter_sockets(struct program *p, unsigned call, unsigned allowed)
{
    unsigned begun = begin_call(p, call);

    load_argument(p, 0);
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (!(allowed & families[i].family))
            continue;
        add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, families[i].number);
        finish(p, SECCOMP_RET_ALLOW);
    }
    fail_with(p, EAFNOSUPPORT);
    end_call(p, begun);
}

/* Typing into the terminal that one was started from. */
static void filter_terminal(struct program *p)
{
    static const unsigned requests[] = {TIOCSTI, TIOCLINUX};
    unsigned begun = begin_call(p, SYS_ioctl);

    load_argument(p, 1);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, requests[i]);
        fail_with(p, EPERM);
    }
    finish(p, SECCOMP_RET_ALLOW);
    end_call(p, begun);
}

static void filter_files(struct program *p, const struct confine_options *options)
{
    if (options->write_files)
        return;
    deny_flags(p, SYS_openat, 2, WRITING);
#ifdef __x86_64__
    deny_flags(p, SYS_open, 1, WRITING);
#endif
    deny(p, changing_files, ARRAY_LEN(changing_files));
    if (!options->remove_files)
        deny(p, removing_files, ARRAY_LEN(removing_files));
    if (!options->openat2)
        deny_as_missing(p, SYS_openat2);
}

static void assemble(struct program *p, const struct confine_options *options)
{
    add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCHITECTURE);
    finish(p, SECCOMP_RET_KILL_PROCESS); // no program of ours has calls of another
    add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    add(p, BPF_JMP | BPF_JGT | BPF_K, 0, 1, CALL_LAST); // x32's numbers are among them
    fail_with(p, ENOSYS);
    deny_as_missing(p, SYS_clone3); // its flags are behind a pointer
    deny(p, always_denied, ARRAY_LEN(always_denied));
    if (!options->start_processes)
        deny(p, starting, ARRAY_LEN(starting));
    filter_clone(p, options->start_processes);
    filter_sockets(p, SYS_socket, options->families);
    filter_sockets(p, SYS_socketpair, options->families);
    filter_terminal(p);
    filter_files(p, options);
    finish(p, SECCOMP_RET_ALLOW);
}

int syscall_filter_install(const struct confine_options *options)
{
    struct program program = {.n = 0};
    struct sock_fprog given;
    long r;

    if (ARCHITECTURE == 0)
        return -ENOSYS;
    assemble(&program, options);
    given = (struct sock_fprog){program.n, program.code};
    r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                options->this_thread ? 0 : SECCOMP_FILTER_FLAG_TSYNC, &given);
    if (r == 0)
        return 0;
    if (r > 0)
        return -EBUSY; // a thread has a filter of its own
    return errno == EINVAL ? -ENOSYS : neg_errno();
}
