// SPDX-License-Identifier: Apache-2.0
#include "host/listeners.h"

#include "host/host_dir.h"
#include "host/host_lines.h"
#include "host/host_parse.h"
#include "host/host_proc.h"
#include "host/host_root.h"
#include "host/sock_diag.h"

#include <assert.h>
#include <fcntl.h>

/* Sets of searches are bits. */
struct walk {
    struct host_search *searches;
    size_t n;
    uint64_t listened; // there are sockets of their ports
    uint64_t found;    // of the process looked at: it holds one
    size_t n_sockets;  // several of a port: of several addresses, or that share it
    struct {
        uint64_t inode;
        uint64_t searches; // of its port
    } sockets[HOST_OWNERS_MAX];
};

static_assert(HOST_SEARCHES_MAX <= 64, "each has its bit");

enum { OTHERS_MAX = 4096 }; // lines in a row that are of no listening socket

/* Give the listening sockets that are listed in `path` below a folder. */
static int read_sockets(int dir_fd, const char *path, host_socket_fn *fn, void *ctx)
{
    OWNED(close_fd) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    struct host_lines lines;

    if (fd < 0)
        return neg_errno();
    host_lines_init(&lines, fd);
    // The kernel lists those that listen first; of connections there may be a million.
    for (unsigned others = 0; others < OTHERS_MAX; others++) {
        struct span line;
        struct host_socket found;
        int r = host_next_line(&lines, &line);

        if (r <= 0)
            return r;
        if (host_parse_tcp_line(line, &found) < 0 || found.state != HOST_TCP_LISTEN)
            continue;
        others = 0;
        if (found.inode != 0)
            fn(ctx, &found);
    }
    return 0;
}

/* A kernel without IPv6 has no tcp6, and one without IPv4 is thinkable; but not both. */
static int read_all_sockets(int dir_fd, host_socket_fn *fn, void *ctx)
{
    static const char *const files[] = {"net/tcp", "net/tcp6"};
    int found = -ENOENT;

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        int r = read_sockets(dir_fd, files[i], fn, ctx);

        if (r < 0 && r != -ENOENT)
            return r;
        if (r == 0)
            found = 0;
    }
    return found;
}

/* Those of our namespace. `fn` may get a socket twice. */
static int list_ours(struct host *host, host_socket_fn *fn, void *ctx)
{
    if (host->is_live && host_diag_listeners(host, fn, ctx) == 0)
        return 0;
    return read_all_sockets(host->proc_fd, fn, ctx);
}

/* Those whose socket it is. */
static uint64_t searches_for(const struct walk *walk, uint64_t inode)
{
    for (size_t i = 0; i < walk->n_sockets; i++)
        if (walk->sockets[i].inode == inode)
            return walk->sockets[i].searches;
    return 0;
}

static void add_socket(void *ctx, const struct host_socket *socket)
{
    struct walk *walk = ctx;
    uint64_t searches = 0;

    for (size_t i = 0; i < walk->n; i++)
        if (walk->searches[i].port == socket->port)
            searches |= UINT64_C(1) << i;
    if (!searches || walk->n_sockets == HOST_OWNERS_MAX ||
        searches_for(walk, socket->inode))
        return;
    walk->sockets[walk->n_sockets].inode = socket->inode;
    walk->sockets[walk->n_sockets++].searches = searches;
    walk->listened |= searches;
}

static bool is_before(const struct host_listener *listener,
                      const struct host_socket *socket)
{
    if (listener->port != socket->port)
        return listener->port < socket->port;
    return listener->inode < socket->inode;
}

/* A file that changes while it is read may list a socket twice. */
static void add_listener(void *ctx, const struct host_socket *socket)
{
    struct host_listeners *listeners = ctx;
    uint32_t low = 0, high = listeners->n;
    struct host_listener *at;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (is_before(&listeners->at[middle], socket))
            low = middle + 1;
        else
            high = middle;
    }
    at = &listeners->at[low];
    if (low < listeners->n && at->inode == socket->inode && at->port == socket->port)
        return;
    if (listeners->n == HOST_LISTENERS_MAX) {
        listeners->incomplete = true;
        return;
    }
    memmove(at + 1, at, (listeners->n - low) * sizeof(*at));
    *at = (struct host_listener){
        .inode = socket->inode,
        .uid = socket->uid,
        .port = socket->port,
    };
    memcpy(at->address, socket->address, sizeof(at->address));
    listeners->n++;
}

int host_read_listeners(struct host *host, uint32_t pid, struct host_listeners *ret)
{
    OWNED(close_fd) int fd = -1;
    int r;

    ret->n = 0;
    ret->incomplete = false;
    if (pid == 0)
        return list_ours(host, add_listener, ret);
    fd = host_open_process(host, pid);
    if (fd < 0)
        return fd;
    r = read_all_sockets(fd, add_listener, ret);
    return host_is_gone(r) ? -ESRCH : host_denial_of(r);
}

/* Whether to go on. */
typedef bool held_socket_fn(void *ctx, uint64_t inode);

/* The inode of the socket that a link names, or 0. A link is read and never followed. */
static int read_socket_link(int dir_fd, const char *name, uint64_t *ret)
{
    char text[HOST_LINK_MAX];
    ssize_t n = readlinkat(dir_fd, name, text, sizeof(text));

    *ret = 0;
    if (n < 0)
        return host_denial_of(neg_errno());
    if (host_parse_socket_link((struct span){text, (size_t)n}, ret) < 0)
        *ret = 0;
    return 0;
}

/*
 * Give the sockets that the process of an open folder holds. The folder can be listed
 * with fewer rights than its links need. -EACCES: a link could not be read.
 */
static int visit_sockets(int process_fd, held_socket_fn *fn, void *ctx)
{
    OWNED(close_fd)
    int fd = openat(process_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct host_dir dir;
    const char *name;
    int denied = 0;

    if (fd < 0)
        return host_denial_of(neg_errno());
    host_dir_init(&dir, fd);
    for (int i = 0; i < HOST_HELD_FDS_MAX; i++) {
        uint64_t inode;
        int r = host_dir_next(&dir, &name);

        if (r < 0)
            return host_denial_of(r);
        if (r == 0)
            break;
        if (read_socket_link(fd, name, &inode) == -EACCES)
            denied = -EACCES;
        if (inode != 0 && !fn(ctx, inode))
            return 0;
    }
    return denied;
}

/* Which rows of the listeners are held: a table of their inodes, and a bit for each. */
struct holding {
    const struct host_listeners *listeners;
    uint16_t slots[2 * HOST_LISTENERS_MAX]; // row + 1, or 0
    bool held[HOST_LISTENERS_MAX];
};

static uint16_t *find_slot(struct holding *holding, uint64_t inode)
{
    size_t at = (size_t)(inode * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    uint16_t *slot = &holding->slots[at % ARRAY_LEN(holding->slots)];

    while (*slot != 0 && holding->listeners->at[*slot - 1].inode != inode)
        slot = &holding->slots[++at % ARRAY_LEN(holding->slots)];
    return slot;
}

static bool mark_held(void *ctx, uint64_t inode)
{
    struct holding *holding = ctx;
    uint16_t row = *find_slot(holding, inode);

    if (row != 0)
        holding->held[row - 1] = true;
    return true;
}

int host_held_listeners(struct host *host, const struct host_process *process,
                        const struct host_listeners *listeners, uint32_t *ret_indices,
                        size_t max)
{
    OWNED(close_fd) int fd = host_open_same(host, process);
    struct holding holding = {.listeners = listeners};
    size_t n = 0;
    int r, denied;

    if (fd < 0)
        return fd;
    for (uint32_t i = 0; i < listeners->n; i++)
        *find_slot(&holding, listeners->at[i].inode) = (uint16_t)(i + 1);
    denied = visit_sockets(fd, mark_held, &holding);
    r = host_check_same(fd, process);
    if (r < 0)
        return r;
    if (denied < 0 && denied != -EACCES)
        return host_is_gone(denied) ? -ESRCH : denied;
    for (uint32_t i = 0; i < listeners->n && n < max; i++)
        if (holding.held[i])
            ret_indices[n++] = i;
    return n > 0 ? (int)n : denied;
}

static bool find_held(void *ctx, uint64_t inode)
{
    struct walk *walk = ctx;

    walk->found |= searches_for(walk, inode);
    return walk->found != walk->listened;
}

/*
 * 1 with the process that `pid` is, if it holds one of the sockets. Its start time is
 * compared before and after, because a pid may have changed hands in between.
 */
static int read_holder(struct host *host, uint32_t pid, struct walk *walk,
                       struct host_process *ret)
{
    OWNED(close_fd) int fd = host_open_process(host, pid);
    struct host_process process;
    int r;

    walk->found = 0;
    if (fd < 0)
        return fd;
    r = host_read_process_at(fd, pid, &process);
    if (r < 0)
        return r;
    r = visit_sockets(fd, find_held, walk);
    if (!walk->found)
        return r;
    r = host_check_same(fd, &process);
    if (r < 0)
        return r;
    *ret = process;
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

static void take_holder(struct walk *walk, const struct host_process *holder)
{
    for (size_t i = 0; i < walk->n; i++) {
        struct host_search *search = &walk->searches[i];

        if (!(walk->found >> i & 1) ||
            (search->r == 0 && !is_older(holder, &search->process)))
            continue;
        search->process = *holder;
        search->r = 0;
    }
}

/* Of all processes. */
static int find_oldest_holders(struct host *host, struct walk *walk)
{
    OWNED(close_fd)
    int fd = openat(host->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct host_dir dir;
    const char *name;
    int r;

    if (fd < 0)
        return neg_errno();
    host_dir_init(&dir, fd);
    for (r = host_dir_next(&dir, &name); r > 0; r = host_dir_next(&dir, &name)) {
        uint32_t pid = host_pid_of_name(name);
        struct host_process holder;

        r = pid ? read_holder(host, pid, walk, &holder) : 0;
        if (r < 0 && !is_about_one_process(r))
            return r;
        if (r > 0)
            take_holder(walk, &holder);
    }
    return r;
}

int host_find_listeners(struct host *host, struct host_search *searches, size_t n)
{
    struct walk walk = {.searches = searches, .n = n};
    int r;

    assert(n <= HOST_SEARCHES_MAX);
    r = list_ours(host, add_socket, &walk);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        searches[i].r = walk.listened >> i & 1 ? -EACCES : -ENOENT;
    return walk.listened ? find_oldest_holders(host, &walk) : 0;
}
