// SPDX-License-Identifier: Apache-2.0
#include "host/host_parse.h"
#include "host/host_proc.h"

#include "base/number.h"

#include <dirent.h>
#include <fcntl.h>

enum {
    LINES_ROOM = 8192, // a line has about 150 bytes
    LINK_MAX = 64,     // "socket:[" and 20 digits; what is longer is no socket
};

/* The lines of a file of any size, in a window of fixed size. */
struct lines {
    int fd;
    bool skipping; // the rest of a line that was longer than the window
    size_t start;  // of what has not been given yet
    size_t end;
    char data[LINES_ROOM];
};

/* The listening sockets of one port: several addresses, or several that share it. */
struct sockets {
    size_t n;
    uint64_t inodes[HOST_OWNERS_MAX];
};

static void close_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir); // only read
}

/* Move what is left to the front and read behind it. 1, or 0 at the end of the file. */
static int refill(struct lines *lines)
{
    ssize_t n;

    if (lines->end - lines->start == LINES_ROOM) {
        lines->skipping = true;
        lines->start = lines->end;
    }
    memmove(lines->data, lines->data + lines->start, lines->end - lines->start);
    lines->end -= lines->start;
    lines->start = 0;
    n = read(lines->fd, lines->data + lines->end, LINES_ROOM - lines->end);
    if (n < 0)
        return neg_errno();
    lines->end += (size_t)n;
    return n > 0;
}

/* 1 with the next whole line, 0 at the end of the file. Too long a line is left out. */
static int next_line(struct lines *lines, struct span *ret)
{
    for (;;) {
        const char *start = lines->data + lines->start;
        size_t left = lines->end - lines->start;
        const char *newline = memchr(start, '\n', left);
        int r;

        if (newline) {
            bool skipped = lines->skipping;

            lines->start += (size_t)(newline - start) + 1;
            lines->skipping = false;
            if (skipped)
                continue;
            *ret = (struct span){start, (size_t)(newline - start)};
            return 1;
        }
        if (lines->skipping)
            lines->start = lines->end;
        r = refill(lines);
        if (r <= 0)
            return r;
    }
}

/* Add the sockets that listen on `port` and are listed in `path`. */
static int read_sockets(const struct host *host, const char *path, uint16_t port,
                        struct sockets *sockets)
{
    OWNED(close_fd) int fd = openat(host->proc_fd, path, O_RDONLY | O_CLOEXEC);
    struct lines lines;

    if (fd < 0)
        return neg_errno();
    lines.fd = fd;
    lines.skipping = false;
    lines.start = lines.end = 0;
    for (;;) {
        struct span line;
        struct host_socket found;
        int r = next_line(&lines, &line);

        if (r <= 0)
            return r;
        if (host_parse_tcp_line(line, &found) < 0 || found.state != HOST_TCP_LISTEN ||
            found.port != port || found.inode == 0)
            continue;
        if (sockets->n < HOST_OWNERS_MAX)
            sockets->inodes[sockets->n++] = found.inode;
    }
}

/* A kernel without IPv6 has no tcp6, and one without IPv4 is thinkable. */
static int find_sockets(const struct host *host, uint16_t port, struct sockets *ret)
{
    static const char *const files[] = {"net/tcp", "net/tcp6"};

    ret->n = 0;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        int r = read_sockets(host, files[i], port, ret);

        if (r < 0 && r != -ENOENT)
            return r;
    }
    return ret->n ? 0 : -ENOENT;
}

static bool is_one_of(const struct sockets *sockets, uint64_t inode)
{
    for (size_t i = 0; i < sockets->n; i++)
        if (sockets->inodes[i] == inode)
            return true;
    return false;
}

/* A link is read and never followed. */
static bool is_socket_link(int dir_fd, const char *name, const struct sockets *sockets)
{
    char text[LINK_MAX];
    ssize_t n = readlinkat(dir_fd, name, text, sizeof(text));
    uint64_t inode;

    return n > 0 && host_parse_socket_link((struct span){text, (size_t)n}, &inode) == 0 &&
           is_one_of(sockets, inode);
}

/* Owns `fd` from here on, even on failure. */
static DIR *take_dir(int fd)
{
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir && fd >= 0)
        (void)close(fd); // only read
    return dir;
}

/* 1: the process holds one of the sockets. */
static int holds_socket(int process_fd, const struct sockets *sockets)
{
    OWNED(close_dir)
    DIR *dir = take_dir(openat(process_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

    if (!dir)
        return neg_errno();
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (is_socket_link(dirfd(dir), entry->d_name, sockets))
            return 1;
    return 0;
}

/*
 * 1 with the process that `pid` is, if it holds one of the sockets. Its start time is
 * compared before and after, because a pid may have changed hands in between.
 */
static int read_holder(struct host *host, uint32_t pid, const struct sockets *sockets,
                       struct host_process *ret)
{
    OWNED(close_fd) int fd = host_open_process(host, pid);
    struct host_process before, after;
    int r;

    if (fd < 0)
        return fd;
    r = host_read_process_at(fd, pid, &before);
    if (r < 0)
        return r;
    r = holds_socket(fd, sockets);
    if (r <= 0)
        return r;
    r = host_read_process_at(fd, pid, &after);
    if (r < 0)
        return r;
    if (before.start_ticks != after.start_ticks)
        return -ESRCH;
    *ret = after;
    return 1;
}

static bool is_older(const struct host_process *a, const struct host_process *b)
{
    if (a->start_ticks != b->start_ticks)
        return a->start_ticks < b->start_ticks;
    return a->pid < b->pid;
}

/* What one process keeps from us does not hide the others; having no memory does. */
static bool is_about_one_process(int error)
{
    return host_is_gone(error) || error == -EACCES || error == -EPERM ||
           error == -EBADMSG;
}

/* Name of a process's folder, or 0. */
static uint32_t pid_of(const char *name)
{
    uint64_t pid;

    if (*name == '0' || number_read_u64(span_of(name), INT32_MAX, &pid) < 0)
        return 0;
    return (uint32_t)pid;
}

int host_find_listener(struct host *host, uint16_t port, struct host_process *ret)
{
    OWNED(close_dir) DIR *dir = NULL;
    struct host_process oldest = {0};
    struct sockets sockets;
    int r = find_sockets(host, port, &sockets);

    if (r < 0)
        return r;
    dir = take_dir(openat(host->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir)
        return neg_errno();

    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        uint32_t pid = pid_of(entry->d_name);
        struct host_process holder;

        r = pid ? read_holder(host, pid, &sockets, &holder) : 0;
        if (r < 0 && !is_about_one_process(r))
            return r;
        if (r > 0 && (oldest.pid == 0 || is_older(&holder, &oldest)))
            oldest = holder;
    }
    if (oldest.pid == 0)
        return -EACCES;
    *ret = oldest;
    return 0;
}
