// SPDX-License-Identifier: Apache-2.0
#include "host/host_root.h"

#include "host/host_proc.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

enum {
    READ_CHUNK = 16384,
    TRIES_MAX = 8, // -EAGAIN: something was moved while ".." was looked up
};

#define CONFIGFS_MAGIC 0x62656570 // linux/magic.h lacks it

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

/* Their files look ordinary, and reading one may wait, or take what others wait for. */
static const unsigned long pseudo_file_systems[] = {
    PROC_SUPER_MAGIC, SYSFS_MAGIC,        DEBUGFS_MAGIC,       TRACEFS_MAGIC,
    SECURITYFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC,
    PSTOREFS_MAGIC,   EFIVARFS_MAGIC,     SELINUX_MAGIC,       NSFS_MAGIC,
    BINFMTFS_MAGIC,   CONFIGFS_MAGIC,
};

int host_check_same(int process_fd, const struct host_process *process)
{
    struct host_process now;
    int r = host_read_process_at(process_fd, process->pid, &now);

    if (r < 0)
        return r;
    return now.start_ticks == process->start_ticks ? 0 : -ESRCH;
}

int host_open_same(const struct host *host, const struct host_process *process)
{
    OWNED(close_fd) int fd = host_open_process(host, process->pid);
    int r = fd < 0 ? fd : host_check_same(fd, process);

    if (r < 0)
        return r;
    r = fd;
    fd = -1;
    return r;
}

/* "root" is a link that only the kernel can follow; no path of it is ever read. */
int host_open_root(const struct host *host, const struct host_process *process)
{
    OWNED(close_fd) int process_fd = host_open_same(host, process);
    OWNED(close_fd) int fd = -1;
    int r;

    if (process_fd < 0)
        return process_fd;
    fd = openat(process_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        r = neg_errno();
        return host_is_gone(r) ? -ESRCH : host_denial_of(r);
    }
    r = host_check_same(process_fd, process);
    if (r < 0)
        return r;
    r = fd;
    fd = -1;
    return r;
}

static int open_below(int root_fd, const char *path, uint64_t flags)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    int r = -EAGAIN;

    for (int i = 0; i < TRIES_MAX && r == -EAGAIN; i++) {
        long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

        r = fd < 0 ? neg_errno() : (int)fd;
    }
    return host_denial_of(r);
}

static int check_is_ordinary(int fd)
{
    struct stat status;
    struct statfs file_system;

    if (fstat(fd, &status) < 0 || fstatfs(fd, &file_system) < 0)
        return neg_errno();
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_LEN(pseudo_file_systems); i++)
        if ((unsigned long)file_system.f_type == pseudo_file_systems[i])
            return -EINVAL;
    return 0;
}

/*
 * Opening a device or a pipe is an act already: it starts watchdogs and lets writers go
 * on. So the file is looked at first, through a descriptor that opens nothing, and then
 * that same file is opened, whatever its path names by now.
 */
int host_reopen_file(const struct host *host, int path_fd)
{
    char self[32];
    int fd, r = check_is_ordinary(path_fd);

    if (r < 0)
        return r;
    (void)snprintf(self, sizeof(self), "self/fd/%d", path_fd);
    fd = openat(host->proc_fd, self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    r = neg_errno();
    return r == -ENOENT ? -ENOSYS : host_denial_of(r);
}

int host_open_file(const struct host *host, int root_fd, const char *path)
{
    OWNED(close_fd) int path_fd = open_below(root_fd, path, O_PATH);

    return path_fd < 0 ? path_fd : host_reopen_file(host, path_fd);
}

int host_open_folder(int root_fd, const char *path)
{
    return open_below(root_fd, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
}

/* Bytes read, 0 at the end. */
static ssize_t read_some(int fd, char *to, size_t room)
{
    ssize_t n;

    do
        n = read(fd, to, room);
    while (n < 0 && errno == EINTR);
    return n < 0 ? neg_errno() : n;
}

int host_read_up_to(int fd, size_t max, struct buf *buf)
{
    size_t left = MIN(max, buf->max - buf->len);
    char extra;
    ssize_t n = 1;

    while (left > 0 && n > 0) {
        size_t room = MIN(left, (size_t)READ_CHUNK);
        char *to = buf_reserve(buf, room);

        if (!to)
            return buf->error;
        n = read_some(fd, to, room);
        if (n < 0)
            return (int)n;
        buf->len += (size_t)n;
        left -= (size_t)n;
    }
    return n == 0 ? 0 : (int)read_some(fd, &extra, sizeof(extra));
}

/* Owns nothing. What was read of a file that cannot be read whole is of no use. */
static int read_all(int fd, size_t max, struct buf *buf)
{
    int r;

    buf_clear(buf);
    r = host_read_up_to(fd, max, buf);
    if (r != 0)
        buf_clear(buf);
    return r > 0 ? -E2BIG : r;
}

int host_read_whole(int dir_fd, const char *name, size_t max, struct buf *buf)
{
    OWNED(close_fd) int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int r;

    buf_clear(buf);
    if (fd < 0)
        r = neg_errno();
    else
        r = read_all(fd, max, buf);
    return host_is_gone(r) ? -ESRCH : host_denial_of(r);
}

int host_read_file(const struct host *host, int root_fd, const char *path,
                   struct buf *buf)
{
    OWNED(close_fd) int fd = host_open_file(host, root_fd, path);

    buf_clear(buf);
    return fd < 0 ? fd : read_all(fd, buf->max, buf);
}
