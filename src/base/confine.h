// SPDX-License-Identifier: Apache-2.0
/*
 * confine.h - give up, for good, what a process will not need
 *
 * confine() is called once, before threads and before anything from outside is read; or,
 * with `this_thread`, once by each of the threads that are there by then. What it takes
 * away is inherited by whatever the caller starts, and nothing gives it back:
 *
 *   no_new_privs   no program started gains a right by its file's mode or capabilities
 *   capabilities   none but those of `rights`, in no set; see below
 *   Landlock       with `landlock`: no exec, nothing written, made or removed but below
 *                  `write_below`, no TCP, no signal to others
 *   system calls   a seccomp filter: what no program of ours does at all (tracing, mounts,
 *                  namespaces, modules, keys, other identities ...) and what the options
 *                  do not ask for fails with EPERM, sockets of other families with
 *                  EAFNOSUPPORT, calls newer than this file and clone3() with ENOSYS, on
 *                  which libraries fall back
 *   core dumps     none, in the whole process
 *
 * Reading /proc/PID/fd, exe, root, ns or environ of others asks the kernel whether one may
 * trace them. A Landlock domain says no to that for every process outside of it, whatever
 * else one may do (measured on Linux 6.18, ABI 7, as root): hence none for who reads them.
 * The kernel also says no where the other has a capability that one lacks, unless one has
 * CAP_SYS_PTRACE. So who has that keeps it, with CAP_DAC_READ_SEARCH; a root without it, as
 * in a container, keeps what it was given, or it could not see its equals any more.
 * CAP_PERFMON also opens perf_event_open() and some of bpf(), which the filter denies.
 *
 * Threads share memory and descriptors: giving up rights in one holds off mistakes and what
 * reads strangers' bytes there, but nobody who has taken over the whole process.
 *
 * A filter sees numbers, not what pointers point at: openat2() may open for writing where
 * it is allowed at all. Writing the filter ourselves and not with libseccomp saves 0.35
 * MiB of resident memory in each process (measured), as much as the rest of a tick takes.
 */
#ifndef BASE_CONFINE_H
#define BASE_CONFINE_H

#include "base/base.h"
#include "base/complaint.h"

enum confine_rights {
    CONFINE_DROP,    // no capability
    CONFINE_READ,    // those that read other processes' files in /proc; see `counters`
    CONFINE_HAND_ON, // the same for programs it starts, but none in force for itself
};

enum confine_family {
    CONFINE_UNIX = 1 << 0,
    CONFINE_INET = 1 << 1, // IPv4 and IPv6
    CONFINE_NETLINK = 1 << 2,
};

struct confine_options {
    enum confine_rights rights;
    bool counters;           // with rights: what the kernel counts for CAP_PERFMON alone
    unsigned families;       // of sockets: CONFINE_UNIX | ...
    bool start_processes;    // else neither fork nor exec; threads always
    bool write_files;        // else none is opened for writing, made, renamed or changed
    bool remove_files;       // allowed even without write_files
    bool openat2;            // likewise; write_files implies it
    bool landlock;           // not for who reads other processes' files
    const char *write_below; // with `landlock`; NULL: nowhere
    bool this_thread;        // and those that it starts; others keep what they have
};

/*
 * 0: all of it is in force. 1: as much as this kernel can; `complaint` says what it lacks.
 * Negative: not in force or only in part, `complaint` says what failed; the process should
 * not go on.
 */
int confine(const struct confine_options *options,
            struct complaint *complaint) MUST_CHECK;

/*
 * From here on no other process of the same user can read this one's memory, nor does a
 * core dump. For who has read a secret. /proc/self stays ours to read.
 */
int confine_hide_memory(void) MUST_CHECK;

#endif
