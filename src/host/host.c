// SPDX-License-Identifier: Apache-2.0
#include "host/host.h"

#include "base/number.h"
#include "host/host_parse.h"
#include "host/host_proc.h"
#include "host/host_root.h"
#include "host/host_text.h"
#include "host/sock_diag.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>

enum {
    STAT_MAX = 2048,     // 52 fields of at most 20 digits, and a name of 64 bytes
    STATUS_START = 1024, // what precedes the user is a name and some numbers
    MEMINFO_MAX = 8192,  // about 60 lines
    PID_TEXT_MAX = 16,
};

int host_new(const char *proc_root, struct host **ret)
{
    OWNED(close_fd) int fd = open(proc_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct statfs file_system;
    struct host *host;

    if (fd < 0)
        return neg_errno();
    if (fstatfs(fd, &file_system) < 0)
        return neg_errno();
    host = calloc(1, sizeof(*host));
    if (!host)
        return -ENOMEM;
    host->proc_fd = fd;
    host->is_live = (unsigned long)file_system.f_type == PROC_SUPER_MAGIC;
    host->diag_fd = -1;
    fd = -1;
    *ret = host;
    return 0;
}

void host_free(struct host *host)
{
    if (!host)
        return;
    host_diag_close(host);
    (void)close(host->proc_fd); // only read
    free(host);
}

int host_open_process(const struct host *host, uint32_t pid)
{
    char name[PID_TEXT_MAX];
    int fd, r;

    (void)snprintf(name, sizeof(name), "%u", pid);
    fd = openat(host->proc_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    r = neg_errno();
    return host_is_gone(r) || r == -ELOOP ? -ESRCH : r;
}

uint32_t host_pid_of_name(const char *name)
{
    uint64_t pid;

    if (*name == '0' || number_read_u64(span_of(name), INT32_MAX, &pid) < 0)
        return 0;
    return (uint32_t)pid;
}

ssize_t host_read_start(int dir_fd, const char *name, char *text, size_t room)
{
    OWNED(close_fd) int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    size_t len = 0;

    if (fd < 0)
        return neg_errno();
    while (len < room) {
        ssize_t n = read(fd, text + len, room - len);

        if (n < 0)
            return neg_errno();
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/* Returns the length. -EBADMSG: longer than such a file can be. */
static ssize_t read_small_file(int dir_fd, const char *name, char *text, size_t room)
{
    ssize_t len = host_read_start(dir_fd, name, text, room);

    return len == (ssize_t)room ? -EBADMSG : len;
}

static int take_stat(struct span text, uint32_t pid, struct host_process *ret)
{
    struct host_process process;
    int r = host_parse_stat(text, &process);

    if (r < 0)
        return r;
    if (process.pid != pid)
        return -EBADMSG;
    *ret = process;
    return 0;
}

int host_read_process_at(int process_fd, uint32_t pid, struct host_process *ret)
{
    char text[STAT_MAX];
    ssize_t len = read_small_file(process_fd, "stat", text, sizeof(text));

    if (len < 0)
        return host_is_gone((int)len) ? -ESRCH : (int)len;
    return take_stat((struct span){text, (size_t)len}, pid, ret);
}

/*
 * Dozens are read in a tick. The kernel gives the whole text of such a file at the first
 * read, so that it is of one process; and no folder of a pid is a link there.
 */
static int read_live(const struct host *host, uint32_t pid, struct host_process *ret)
{
    char name[PID_TEXT_MAX], text[STAT_MAX];
    OWNED(close_fd) int fd = -1;
    ssize_t len;

    (void)snprintf(name, sizeof(name), "%u/stat", pid);
    fd = openat(host->proc_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    len = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (len < 0) {
        int r = neg_errno();

        return host_is_gone(r) ? -ESRCH : r;
    }
    return take_stat((struct span){text, (size_t)len}, pid, ret);
}

int host_read_process(struct host *host, uint32_t pid, struct host_process *ret)
{
    OWNED(close_fd) int fd = -1;

    if (host->is_live)
        return read_live(host, pid, ret);
    fd = host_open_process(host, pid);
    return fd < 0 ? fd : host_read_process_at(fd, pid, ret);
}

/* Where `pid` is among the rows, or where it belongs. */
static uint32_t find_row(const struct host_tree *tree, uint32_t pid)
{
    uint32_t low = 0, high = tree->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (tree->processes[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct host_process *host_tree_find(const struct host_tree *tree, uint32_t pid)
{
    uint32_t row = find_row(tree, pid);

    return row < tree->n && tree->processes[row].pid == pid ? &tree->processes[row]
                                                            : NULL;
}

static void add_row(struct host_tree *tree, const struct host_process *process)
{
    uint32_t row = find_row(tree, process->pid);
    struct host_process *at = &tree->processes[row];

    memmove(at + 1, at, (tree->n - row) * sizeof(*at));
    *at = *process;
    tree->n++;
}

/*
 * A parent is older than its child. One that is younger came after the real parent had
 * gone, and has only its pid: the link to it is cut.
 */
static bool keep_parent(struct host_tree *tree, uint32_t child,
                        const struct host_process *parent)
{
    struct host_process *row = &tree->processes[find_row(tree, child)];

    if (parent->start_ticks <= row->start_ticks)
        return true;
    row->parent_pid = 0;
    return false;
}

/*
 * Add `pid` and its ancestors, up to one that is in the tree or not there for us. The error
 * of one that may be there next time.
 */
static int add_with_ancestors(struct host *host, uint32_t pid, struct host_tree *tree)
{
    struct host_process process = {0};
    uint32_t child = 0;

    for (int depth = 0; pid != 0 && depth < HOST_DEPTH_MAX; depth++) {
        const struct host_process *known = host_tree_find(tree, pid);
        int r = 0;

        if (!known && tree->n == HOST_PROCESSES_MAX) {
            tree->incomplete = true;
            return 0;
        }
        if (known)
            process = *known;
        else
            r = host_read_process(host, pid, &process);
        if (r < 0)
            return host_may_pass(r) ? r : 0;
        if (child && !keep_parent(tree, child, &process))
            return 0;
        if (known)
            return 0;
        add_row(tree, &process);
        child = pid;
        pid = process.parent_pid;
    }
    return 0;
}

void host_read_tree(struct host *host, const uint32_t *pids, size_t n,
                    struct host_tree *tree)
{
    struct host_tree *read = &host->tree;
    int r = 0;

    read->n = 0;
    read->incomplete = false;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_with_ancestors(host, pids[i], read);
    if (r < 0) {
        tree->incomplete = true;
        return;
    }
    tree->n = read->n;
    tree->incomplete = read->incomplete;
    memcpy(tree->processes, read->processes, read->n * sizeof(read->processes[0]));
}

int host_read_owner(struct host *host, const struct host_process *process,
                    uint32_t *ret_uid)
{
    OWNED(close_fd) int fd = host_open_same(host, process);
    char text[STATUS_START];
    ssize_t len;
    uint32_t uid;
    int r;

    if (fd < 0)
        return fd;
    len = host_read_start(fd, "status", text, sizeof(text));
    if (len < 0)
        return host_is_gone((int)len) ? -ESRCH : host_denial_of((int)len);
    r = host_find_uid((struct span){text, (size_t)len}, &uid);
    if (r < 0)
        return r;
    r = host_check_same(fd, process);
    if (r < 0)
        return r;
    *ret_uid = uid;
    return 0;
}

int host_read_memory(struct host *host, uint64_t *ret_total, uint64_t *ret_available)
{
    char text[MEMINFO_MAX];
    ssize_t len = read_small_file(host->proc_fd, "meminfo", text, sizeof(text));
    struct span meminfo = {text, len < 0 ? 0 : (size_t)len};
    uint64_t total, available;
    int r;

    if (len < 0)
        return (int)len;
    r = host_find_memory(meminfo, "MemTotal", &total);
    if (r == 0)
        r = host_find_memory(meminfo, "MemAvailable", &available);
    if (r < 0)
        return r;
    *ret_total = total;
    *ret_available = available;
    return 0;
}
