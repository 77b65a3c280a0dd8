// SPDX-License-Identifier: Apache-2.0
#include "host/host_files.h"

#include "host/host_proc.h"
#include "host/host_root.h"
#include "host/host_text.h"
#include "host/host_view.h"

#include <fcntl.h>

enum { STATUS_MAX = 16384 }; // about 1,500 bytes, and the list of groups

/* A file in the process's folder, all of it and of this process. */
static int read_of(struct host *host, const struct host_process *process,
                   const char *name, size_t max, struct buf *buf)
{
    OWNED(close_fd) int fd = host_open_same(host, process);
    int r = fd;

    buf_clear(buf);
    if (r >= 0)
        r = host_read_whole(fd, name, max, buf);
    if (r >= 0)
        r = host_check_same(fd, process);
    if (r < 0)
        buf_clear(buf);
    return r;
}

int host_read_cmdline(struct host *host, const struct host_process *process,
                      struct buf *buf)
{
    return read_of(host, process, "cmdline", HOST_CMDLINE_MAX, buf);
}

int host_read_environ(struct host *host, const struct host_process *process,
                      struct buf *buf)
{
    return read_of(host, process, "environ", HOST_ENVIRON_MAX, buf);
}

int host_read_environ_value(struct host *host, const struct host_process *process,
                            const char *name, char *dst, size_t room)
{
    OWNED(buf_done) struct buf buf;
    struct span value;
    int r;

    buf_init(&buf, HOST_ENVIRON_MAX);
    r = host_read_environ(host, process, &buf);
    if (r < 0)
        return r;
    r = host_find_variable(buf_span(&buf), name, &value);
    if (r < 0)
        return r;
    if (value.len >= room)
        return -ENAMETOOLONG;
    memcpy(dst, value.at, value.len);
    dst[value.len] = '\0';
    return (int)value.len;
}

int host_open_in_root(struct host *host, const struct host_process *process,
                      const char *path)
{
    OWNED(close_fd) int root_fd = host_open_root(host, process);

    return root_fd < 0 ? root_fd : host_open_file(host, root_fd, path);
}

int host_read_file_in_root(struct host *host, const struct host_process *process,
                           const char *path, struct buf *buf)
{
    OWNED(close_fd) int root_fd = host_open_root(host, process);

    buf_clear(buf);
    return root_fd < 0 ? root_fd : host_read_file(host, root_fd, path, buf);
}

int host_read_given_file(struct host *host, const struct host_process *process,
                         const char *path, struct buf *buf)
{
    OWNED(host_view_done) struct host_view view;
    int r;

    buf_clear(buf);
    host_view_init(&view, host, process);
    r = host_view_open(&view);
    if (r == 0)
        r = host_view_resolve(&view, span_of(path), &view.path);
    if (r == 0)
        r = host_view_read(&view, buf);
    if (r == 0)
        r = host_view_check(&view);
    if (r < 0)
        buf_clear(buf);
    return r;
}

/* Open the ordinary file that a descriptor of the process is of. */
static int open_descriptor(const struct host *host, int process_fd, const char *name)
{
    OWNED(close_fd) int path_fd = openat(process_fd, name, O_PATH | O_CLOEXEC);
    int r;

    if (path_fd >= 0)
        return host_reopen_file(host, path_fd);
    r = neg_errno();
    return r == -EPERM ? -EACCES : r;
}

/* -ENOENT: neither is an ordinary file. */
static int open_output(const struct host *host, int process_fd)
{
    static const char *const names[] = {"fd/1", "fd/2"};
    int r = -ENOENT;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        r = open_descriptor(host, process_fd, names[i]);
        if (r >= 0 || (r != -EINVAL && !host_is_gone(r)))
            return r;
    }
    return -ENOENT;
}

static int read_ns_pid(int process_fd, uint32_t *ret)
{
    OWNED(buf_done) struct buf status;
    int r;

    buf_init(&status, STATUS_MAX);
    r = host_read_whole(process_fd, "status", STATUS_MAX, &status);
    return r < 0 ? r : host_find_ns_pid(buf_span(&status), ret);
}

static int read_log_of(struct host *host, const struct host_process *process,
                       struct buf *buf, struct host_log *ret)
{
    OWNED(close_fd) int process_fd = host_open_same(host, process);
    OWNED(close_fd) int fd = -1;
    int r;

    if (process_fd < 0)
        return process_fd;
    r = read_ns_pid(process_fd, &ret->ns_pid);
    if (r < 0)
        return r;
    fd = open_output(host, process_fd);
    if (fd < 0)
        return fd;
    r = host_check_same(process_fd, process);
    if (r < 0)
        return r;
    r = host_read_up_to(fd, HOST_LOG_MAX, buf);
    ret->whole = r == 0;
    return MIN(r, 0);
}

int host_read_startup_log(struct host *host, const struct host_process *process,
                          struct buf *buf, struct host_log *ret)
{
    struct host_log found = {0};
    int r;

    buf_clear(buf);
    r = read_log_of(host, process, buf, &found);
    if (r < 0)
        buf_clear(buf);
    else
        *ret = found;
    return r;
}
