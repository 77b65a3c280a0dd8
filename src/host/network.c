// SPDX-License-Identifier: Apache-2.0
#include "host/network.h"

#include "base/number.h"
#include "host/host_lines.h"
#include "host/host_parse.h"
#include "host/host_proc.h"
#include "host/host_root.h"
#include "host/host_text.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/stat.h>

enum {
    LINES_MAX = 65536, // a router's table may have millions
    USERS_MAX = 1024,  // a map has few lines
};

/* Keep the rows sorted. */
static void add_address(struct host_addresses *addresses,
                        const uint8_t address[HOST_ADDRESS_SIZE])
{
    uint32_t row = 0;
    int order = 1;

    while (row < addresses->n && order > 0) {
        order = memcmp(address, addresses->at[row], HOST_ADDRESS_SIZE);
        row += order > 0;
    }
    if (order == 0)
        return;
    if (addresses->n == HOST_ADDRESSES_MAX) {
        addresses->incomplete = true;
        return;
    }
    memmove(addresses->at[row + 1], addresses->at[row],
            (addresses->n - row) * sizeof(addresses->at[0]));
    memcpy(addresses->at[row], address, HOST_ADDRESS_SIZE);
    addresses->n++;
}

static bool read_v4(struct span text, uint8_t ret[HOST_ADDRESS_SIZE])
{
    char copy[INET_ADDRSTRLEN];
    struct in_addr address;

    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, &address) != 1)
        return false;
    host_map_v4(ret, &address);
    return true;
}

/*
 *            |-- 127.0.0.1
 *               /32 host LOCAL
 *         |-- 192.0.2.2
 *            /32 host LOCAL
 */
void host_add_trie_line(struct host_trie *trie, struct span line,
                        struct host_addresses *ret)
{
    enum { V4_AT = 12, LOOPBACK = 127 };
    struct span field = host_take_field(&line);

    if (span_is(field, "|--")) {
        trie->has_leaf = read_v4(host_take_field(&line), trie->leaf);
        return;
    }
    if (!host_starts_with(field, "/")) {
        trie->has_leaf = false;
        return;
    }
    if (trie->has_leaf && trie->leaf[V4_AT] != LOOPBACK && span_is(field, "/32") &&
        span_is(host_take_field(&line), "host") &&
        span_is(host_take_field(&line), "LOCAL"))
        add_address(ret, trie->leaf);
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = memchr(digits, c, sizeof(digits) - 1);

    return at ? (int)(at - digits) : -1;
}

/* fd000000000000000000000000000002 04 40 00 82     eth0: index, prefix, scope, flags */
void host_add_inet6_line(struct span line, struct host_addresses *ret)
{
    enum { FIELDS_TO_SCOPE = 3 };
    uint8_t address[HOST_ADDRESS_SIZE];
    struct span text = host_take_field(&line);

    if (text.len != sizeof(address) * 2)
        return;
    for (size_t i = 0; i < sizeof(address); i++) {
        int high = hex_digit(text.at[2 * i]), low = hex_digit(text.at[2 * i + 1]);

        if (high < 0 || low < 0)
            return;
        address[i] = (uint8_t)(high << 4 | low);
    }
    if (span_is(host_skip_fields(&line, FIELDS_TO_SCOPE), "00") && line.len > 0)
        add_address(ret, address);
}

/* A line of one of the lists; `trie` is for the list that needs more than one. */
typedef void add_line_fn(struct host_trie *trie, struct span line,
                         struct host_addresses *ret);

static void add_v6_line(struct host_trie *trie, struct span line,
                        struct host_addresses *ret)
{
    (void)trie;
    host_add_inet6_line(line, ret);
}

/* -ENOENT: a kernel without that family, or a process that has gone. */
static int read_list(int dir_fd, const char *path, add_line_fn *add,
                     struct host_addresses *ret)
{
    OWNED(close_fd) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    struct host_trie trie = {0};
    struct host_lines lines;
    struct span line;

    if (fd < 0)
        return neg_errno();
    host_lines_init(&lines, fd);
    for (int i = 0; i < LINES_MAX; i++) {
        int r = host_next_line(&lines, &line);

        if (r <= 0)
            return r;
        add(&trie, line, ret);
    }
    ret->incomplete = true;
    return 0;
}

static int read_addresses_at(int dir_fd, struct host_addresses *ret)
{
    int v4, v6;

    *ret = (struct host_addresses){0};
    v4 = read_list(dir_fd, "net/fib_trie", host_add_trie_line, ret);
    if (v4 < 0 && v4 != -ENOENT)
        return host_denial_of(v4);
    v6 = read_list(dir_fd, "net/if_inet6", add_v6_line, ret);
    if (v6 < 0 && v6 != -ENOENT)
        return host_denial_of(v6);
    return v4 < 0 && v6 < 0 ? -ENOENT : 0;
}

int host_read_addresses(struct host *host, uint32_t pid, struct host_addresses *ret)
{
    OWNED(close_fd) int fd = -1;
    int r;

    if (pid == 0)
        return read_addresses_at(host->proc_fd, ret);
    fd = host_open_process(host, pid);
    if (fd < 0)
        return fd;
    r = read_addresses_at(fd, ret);
    return host_is_gone(r) ? -ESRCH : r;
}

static int read_namespace(int dir_fd, const char *name, uint64_t *ret)
{
    char text[HOST_LINK_MAX];
    ssize_t n = readlinkat(dir_fd, name, text, sizeof(text));

    if (n < 0)
        return host_denial_of(neg_errno());
    return host_parse_net_link((struct span){text, (size_t)n}, ret);
}

int host_net_namespace(struct host *host, const struct host_process *process,
                       uint64_t *ret)
{
    OWNED(close_fd) int fd = host_open_same(host, process);
    uint64_t inode = 0;
    int r, same;

    if (fd < 0)
        return fd;
    r = read_namespace(fd, "ns/net", &inode);
    same = host_check_same(fd, process);
    if (same < 0)
        return same;
    if (r < 0)
        return host_is_gone(r) ? -ESRCH : r;
    *ret = inode;
    return 0;
}

/* Below each namespace's net the kernel has files of its own, with numbers of their own. */
static int compare_files(const struct host *host, int process_fd, bool *ret)
{
    struct stat ours, theirs;

    if (!host->is_live || fstatat(host->proc_fd, "net/tcp", &ours, 0) < 0 ||
        fstatat(process_fd, "net/tcp", &theirs, 0) < 0)
        return -ENODATA;
    *ret = ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
    return 0;
}

static int compare_addresses(const struct host *host, int process_fd, bool *ret)
{
    struct host_addresses ours, theirs;

    if (read_addresses_at(host->proc_fd, &ours) < 0 ||
        read_addresses_at(process_fd, &theirs) < 0 || (ours.n == 0 && theirs.n == 0))
        return -ENODATA;
    *ret = ours.n == theirs.n && ours.incomplete == theirs.incomplete &&
           memcmp(ours.at, theirs.at, ours.n * sizeof(ours.at[0])) == 0;
    return 0;
}

static int compare_namespaces(const struct host *host, int process_fd, bool *ret)
{
    uint64_t ours, theirs;

    if (read_namespace(host->proc_fd, "self/ns/net", &ours) < 0 ||
        read_namespace(process_fd, "ns/net", &theirs) < 0)
        return -ENODATA;
    *ret = ours == theirs;
    return 0;
}

int host_same_network(struct host *host, const struct host_process *process, bool *ret)
{
    OWNED(close_fd) int fd = host_open_same(host, process);
    bool same = false;
    int r, gone;

    if (fd < 0)
        return fd;
    r = compare_namespaces(host, fd, &same);
    if (r < 0)
        r = compare_files(host, fd, &same);
    if (r < 0)
        r = compare_addresses(host, fd, &same);
    gone = host_check_same(fd, process);
    if (gone < 0)
        return gone;
    if (r < 0)
        return r;
    *ret = same;
    return 0;
}

/* -ENOENT: a kernel without user namespaces. */
static int read_users(int dir_fd, const char *name, char text[USERS_MAX], size_t *ret)
{
    ssize_t len = host_read_start(dir_fd, name, text, USERS_MAX);

    *ret = len < 0 ? 0 : (size_t)len;
    return len < 0 && len != -ENOENT ? host_denial_of((int)len) : 0;
}

int host_same_users(struct host *host, const struct host_process *process, bool *ret)
{
    OWNED(close_fd) int fd = host_open_same(host, process);
    char ours[USERS_MAX], theirs[USERS_MAX];
    size_t our_len = 0, their_len = 0;
    int r, gone;

    if (fd < 0)
        return fd;
    r = read_users(host->proc_fd, "self/uid_map", ours, &our_len);
    if (r == 0)
        r = read_users(fd, "uid_map", theirs, &their_len);
    gone = host_check_same(fd, process);
    if (gone < 0)
        return gone;
    if (r < 0)
        return r;
    *ret = our_len == their_len && memcmp(ours, theirs, our_len) == 0;
    return 0;
}
