// SPDX-License-Identifier: Apache-2.0
/*
 * Listening sockets, who holds them, and network namespaces: in trees that the test
 * makes, and on this machine.
 */
#include "host/host_proc.h"
#include "host/listeners.h"
#include "host/network.h"
#include "test_gpu_allocs.h"
#include "test_host_tree.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/syscall.h>

enum { NOBODY = 65534 };

static const struct host_process process = {.pid = 20, .start_ticks = 200};
static struct host_listeners listeners, others;

static void make_lists(void)
{
    make_socket("net/tcp", 8000, 0x0a, 503);
    make_socket("net/tcp", 9000, 0x01, 502); // connected
    make_socket("net/tcp", 8000, 0x0a, 501);
    make_socket("net/tcp", 8000, 0x0a, 501); // listed twice
    make_socket("net/tcp", 8000, 0x0a, 505);
    make_socket("net/tcp6", 22, 0x0a, 504);
    make_socket("net/tcp6", 23, 0x0a, 0); // nobody's
}

static void test_list(void **state)
{
    static const uint8_t loopback[] = {0, 0, 0,   0,   0,   0, 0, 0,
                                       0, 0, 255, 255, 127, 0, 0, 1};
    struct host *host = open_here();

    (void)state;
    assert_int_equal(host_read_listeners(host, 0, &listeners), -ENOENT);
    make_lists();
    assert_int_equal(host_read_listeners(host, 0, &listeners), 0);
    assert_int_equal(listeners.n, 4);
    assert_false(listeners.incomplete);
    assert_int_equal(listeners.at[0].port, 22);
    assert_int_equal(listeners.at[1].port, 8000);
    assert_int_equal(listeners.at[1].inode, 501);
    assert_int_equal(listeners.at[1].uid, 1000);
    assert_memory_equal(listeners.at[1].address, loopback, sizeof(loopback));
    assert_int_equal(listeners.at[2].inode, 503);
    assert_int_equal(listeners.at[3].inode, 505);

    assert_int_equal(host_read_listeners(host, 20, &listeners), -ESRCH);
    make_process(20, 1, 200);
    assert_int_equal(host_read_listeners(host, 20, &listeners), -ESRCH);
    assert_int_equal(rename("net", "20/net"), 0);
    assert_int_equal(host_read_listeners(host, 20, &listeners), 0);
    assert_int_equal(listeners.n, 4);
    host_free(host);
}

static void test_list_too_long(void **state)
{
    struct host *host = open_here();

    (void)state;
    for (unsigned i = 0; i < HOST_LISTENERS_MAX; i++)
        make_socket("net/tcp", 10000 - i, 0x0a, 1 + i);
    assert_int_equal(host_read_listeners(host, 0, &listeners), 0);
    assert_int_equal(listeners.n, HOST_LISTENERS_MAX);
    assert_false(listeners.incomplete);
    for (uint32_t i = 1; i < listeners.n; i++)
        assert_true(listeners.at[i - 1].port < listeners.at[i].port);
    make_socket("net/tcp", 1, 0x0a, 5000);
    assert_int_equal(host_read_listeners(host, 0, &listeners), 0);
    assert_int_equal(listeners.n, HOST_LISTENERS_MAX);
    assert_true(listeners.incomplete);
    host_free(host);
}

static void test_held(void **state)
{
    struct host *host = open_here();
    struct host_process other = process;
    uint32_t rows[4] = {9, 9, 9, 9};

    (void)state;
    make_lists();
    assert_int_equal(host_read_listeners(host, 0, &listeners), 0);
    assert_int_equal(host_held_listeners(host, &process, &listeners, rows, 4), -ESRCH);
    make_process(20, 1, 200);
    assert_int_equal(host_held_listeners(host, &process, &listeners, rows, 4), -ESRCH);
    make_fd(20, "0", "/dev/null");
    make_fd(20, "3", "socket:[503]");
    make_fd(20, "4", "socket:[504]");
    make_fd(20, "5", "socket:[504]"); // twice
    make_fd(20, "6", "pipe:[501]");
    make_fd(20, "7", "socket:[502]");
    assert_int_equal(host_held_listeners(host, &process, &listeners, rows, 4), 2);
    assert_int_equal(rows[0], 0);
    assert_int_equal(rows[1], 2);
    assert_int_equal(rows[2], 9);
    rows[1] = 9;
    assert_int_equal(host_held_listeners(host, &process, &listeners, rows, 1), 1);
    assert_int_equal(rows[1], 9);
    other.start_ticks = 201;
    assert_int_equal(host_held_listeners(host, &other, &listeners, rows, 4), -ESRCH);
    host_free(host);
}

static const char trie[] = "Main:\n"
                           "  +-- 0.0.0.0/0 3 0 5\n"
                           "     |-- 0.0.0.0\n"
                           "        /0 universe UNICAST\n"
                           "        |-- 127.0.0.1\n"
                           "           /32 host LOCAL\n"
                           "        |-- 192.0.2.9\n"
                           "           /24 link UNICAST\n"
                           "           /32 host LOCAL\n"
                           "        |-- 192.0.2.255\n"
                           "           /32 link BROADCAST\n"
                           "        |-- 300.0.2.4\n"
                           "           /32 host LOCAL\n"
                           "     +-- 10.0.0.0/8 2 0 2\n"
                           "           /32 host LOCAL\n"
                           "Local:\n"
                           "        |-- 192.0.2.9\n"
                           "           /32 host LOCAL\n"
                           "        |-- 10.0.0.7\n"
                           "           /32 host LOCAL\n";
static const char inet6[] = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n"
                            "00000000000000000000000000000001 01 80 10 80       lo\n"
                            "FD000000000000000000000000000002 04 40 00 82     eth0\n"
                            "fd00000000000000000000000000000 04 40 00 82     eth0\n"
                            "fd000000000000000000000000000003 04 40 00 82     eth0\n"
                            "fd000000000000000000000000000004 04 40 00\n";

static void test_addresses(void **state)
{
    struct host *host = open_here();
    struct host_addresses found;

    (void)state;
    assert_int_equal(host_read_addresses(host, 0, &found), -ENOENT);
    make_folder("net");
    write_file("net/fib_trie", trie);
    assert_int_equal(host_read_addresses(host, 0, &found), 0);
    assert_int_equal(found.n, 2);
    write_file("net/if_inet6", inet6);
    assert_int_equal(host_read_addresses(host, 0, &found), 0);
    assert_int_equal(found.n, 3);
    assert_memory_equal(&found.at[0][10], "\xff\xff\x0a\0\0\x07", 6);
    assert_memory_equal(&found.at[1][10], "\xff\xff\xc0\0\x02\x09", 6);
    assert_memory_equal(&found.at[2], "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03", 16);
    assert_false(found.incomplete);
    assert_int_equal(host_read_addresses(host, 20, &found), -ESRCH);
    make_process(20, 1, 200);
    assert_int_equal(host_read_addresses(host, 20, &found), -ESRCH);
    host_free(host);
}

static void test_too_many_addresses(void **state)
{
    struct host *host = open_here();
    struct host_addresses found;
    FILE *file;

    (void)state;
    make_folder("net");
    file = fopen("net/fib_trie", "w");
    assert_non_null(file);
    for (int i = 0; i <= HOST_ADDRESSES_MAX; i++)
        (void)fprintf(file, "  |-- 10.0.0.%d\n /32 host LOCAL\n", 100 - i);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(host_read_addresses(host, 0, &found), 0);
    assert_int_equal(found.n, HOST_ADDRESSES_MAX);
    assert_true(found.incomplete);
    host_free(host);
}

static void test_same_users(void **state)
{
    struct host *host = open_here();
    bool same = false;

    (void)state;
    assert_int_equal(host_same_users(host, &process, &same), -ESRCH);
    make_process(20, 1, 200);
    assert_int_equal(host_same_users(host, &process, &same), 0);
    assert_true(same); // a kernel without such namespaces
    make_folder("self");
    write_file("self/uid_map", "         0          0 4294967295\n");
    assert_int_equal(host_same_users(host, &process, &same), 0);
    assert_false(same);
    write_file("20/uid_map", "         0          0 4294967295\n");
    assert_int_equal(host_same_users(host, &process, &same), 0);
    assert_true(same);
    write_file("20/uid_map", "         0       1000          1\n");
    assert_int_equal(host_same_users(host, &process, &same), 0);
    assert_false(same);
    assert_int_equal(unlink("self/uid_map"), 0);
    assert_int_equal(host_same_users(host, &process, &same), 0);
    assert_false(same);
    write_file("self/uid_map", "         0          0 4294967295\n");
    write_file("20/uid_map", ""); // no map yet
    assert_int_equal(host_same_users(host, &process, &same), 0);
    assert_false(same);
    make_process(20, 1, 201);
    assert_int_equal(host_same_users(host, &process, &same), -ESRCH);
    host_free(host);
}

/* Below a root that is not the kernel's, links and addresses tell. */
static void test_same_network(void **state)
{
    struct host *host = open_here();
    uint64_t inode = 0;
    bool same = false;

    (void)state;
    assert_int_equal(host_same_network(host, &process, &same), -ESRCH);
    make_process(20, 1, 200);
    assert_int_equal(host_same_network(host, &process, &same), -ENODATA);
    make_folder("net");
    make_folder("20/net");
    write_file("net/fib_trie", trie);
    write_file("20/net/fib_trie", trie);
    assert_int_equal(host_same_network(host, &process, &same), 0);
    assert_true(same);
    write_file("20/net/fib_trie", "");
    assert_int_equal(host_same_network(host, &process, &same), 0);
    assert_false(same);
    write_file("net/fib_trie", "");
    assert_int_equal(host_same_network(host, &process, &same), -ENODATA);

    assert_int_equal(host_net_namespace(host, &process, &inode), -ESRCH);
    make_folder("self");
    make_folder("self/ns");
    make_folder("20/ns");
    assert_int_equal(symlink("net:[17]", "self/ns/net"), 0);
    assert_int_equal(symlink("net:[17]", "20/ns/net"), 0);
    assert_int_equal(host_net_namespace(host, &process, &inode), 0);
    assert_int_equal(inode, 17);
    assert_int_equal(host_same_network(host, &process, &same), 0);
    assert_true(same);
    assert_int_equal(unlink("20/ns/net"), 0);
    assert_int_equal(symlink("net:[18]", "20/ns/net"), 0);
    assert_int_equal(host_same_network(host, &process, &same), 0);
    assert_false(same);
    host_free(host);
}

static struct host *open_proc(void)
{
    struct host *host = NULL;

    assert_int_equal(host_new("/proc", &host), 0);
    return host;
}

static const struct host_listener *find_port(const struct host_listeners *all,
                                             uint16_t port)
{
    for (uint32_t i = 0; i < all->n; i++)
        if (all->at[i].port == port)
            return &all->at[i];
    return NULL;
}

/* What the kernel answers and what its files say is the same of our own socket. */
static void check_own(int family)
{
    struct host *host = open_proc();
    const struct host_listener *asked, *read;
    uint16_t port;
    int fd = listen_somewhere(family, &port);

    if (fd < 0) {
        host_free(host);
        return; // no IPv6 here
    }
    assert_int_equal(host_read_listeners(host, 0, &listeners), 0);
    assert_int_equal(host_read_listeners(host, (uint32_t)getpid(), &others), 0);
    asked = find_port(&listeners, port);
    read = find_port(&others, port);
    assert_non_null(asked);
    assert_non_null(read);
    assert_int_equal(asked->inode, read->inode);
    assert_int_equal(asked->uid, getuid());
    assert_int_equal(read->uid, getuid());
    assert_memory_equal(asked->address, read->address, sizeof(asked->address));
    assert_int_equal(asked->address[15], 1);
    assert_int_equal(asked->address[12], family == AF_INET ? 127 : 0);
    assert_true(host->diag_fd >= 0 || host->diag_refused);
    (void)close(fd);
    host_free(host);
}

static void test_own_listener(void **state)
{
    (void)state;
    check_own(AF_INET);
    check_own(AF_INET6);
}

/* More than one answer of the kernel holds. */
static void test_many_listeners(void **state)
{
    enum { N = 200 };
    struct host *host = open_proc();
    static int fds[N];
    static uint16_t ports[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        fds[i] = listen_somewhere(AF_INET, &ports[i]);
        assert_true(fds[i] >= 0);
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(host_read_listeners(host, 0, &listeners), 0);
        for (int i = 0; i < N; i++)
            assert_non_null(find_port(&listeners, ports[i]));
    }
    for (int i = 0; i < N; i++)
        (void)close(fds[i]);
    host_free(host);
}

static void refuse_netlink(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LEN(filter), filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        _exit(1);
}

static void expect_exit_0(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_netlink_refused(void **state)
{
    uint16_t port;
    int fd = listen_somewhere(AF_INET, &port);
    pid_t child;

    (void)state;
    assert_true(fd >= 0);
    child = fork_helper();
    if (child == 0) {
        struct host *host = NULL;

        refuse_netlink();
        if (host_new("/proc", &host) < 0 || host_read_listeners(host, 0, &listeners) < 0)
            _exit(2);
        if (!host->diag_refused || host->diag_fd >= 0)
            _exit(3);
        _exit(find_port(&listeners, port) ? 0 : 4);
    }
    expect_exit_0(child);
    (void)close(fd);
}

/* A child listens; later it is somebody whom a process without rights may not look into. */
static void test_listener_of_child(void **state)
{
    struct host *host = open_proc();
    struct host_process holder;
    uint32_t row[4];
    uint16_t port;
    int fd = listen_somewhere(AF_INET, &port);
    pid_t child = fork_helper();

    (void)state;
    if (child == 0) {
        (void)pause();
        _exit(0);
    }
    (void)close(fd);
    assert_int_equal(host_read_process(host, (uint32_t)child, &holder), 0);
    assert_int_equal(host_read_listeners(host, 0, &listeners), 0);
    assert_int_equal(host_held_listeners(host, &holder, &listeners, row, 4), 1);
    assert_int_equal(listeners.at[row[0]].port, port);
    allocs = 0;
    assert_int_equal(host_read_listeners(host, 0, &listeners), 0);
    assert_int_equal(host_read_listeners(host, (uint32_t)child, &others), 0);
    assert_int_equal(host_held_listeners(host, &holder, &listeners, row, 4), 1);
    assert_int_equal(allocs, 0);
    if (geteuid() == 0) {
        pid_t stranger = fork_helper();

        if (stranger == 0) {
            int r = setresuid(NOBODY, NOBODY, NOBODY);

            if (r == 0)
                r = host_held_listeners(host, &holder, &listeners, row, 4);
            _exit(r == -EACCES ? 0 : 1);
        }
        expect_exit_0(stranger);
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(host_held_listeners(host, &holder, &listeners, row, 4), -ESRCH);
    host_free(host);
}

/* Keep the right to list folders, and lose that to look into processes. */
static int drop_ptrace(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    data[0].effective = data[0].permitted = 1U << CAP_DAC_READ_SEARCH;
    return (int)syscall(SYS_capset, &header, data);
}

/* The descriptors can be listed, and what they are of cannot be read. */
static void test_links_denied(void **state)
{
    struct host *host;
    struct host_process holder;
    uint32_t row[4];
    int ready[2];
    char byte;
    pid_t child, stranger;

    (void)state;
    if (geteuid() != 0)
        skip();
    host = open_proc();
    assert_int_equal(pipe(ready), 0);
    child = fork_helper();
    if (child == 0) {
        if (setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
            prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || // forgotten with the user
            write(ready[1], "x", 1) != 1)
            _exit(1);
        (void)pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(host_read_process(host, (uint32_t)child, &holder), 0);
    stranger = fork_helper();
    if (stranger == 0) {
        int r = drop_ptrace();

        listeners.n = 0;
        if (r == 0)
            r = host_held_listeners(host, &holder, &listeners, row, 4);
        _exit(r == -EACCES ? 0 : 1);
    }
    expect_exit_0(stranger);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ready[0]);
    (void)close(ready[1]);
    host_free(host);
}

static bool is_elsewhere(struct host *host, const struct host_process *other)
{
    bool same = true;

    return host_same_network(host, other, &same) == 0 && !same;
}

/*
 * A child in a network namespace of its own, seen by us, who may look into it, and by
 * nobody, who may not. Neither has an address to be told apart by.
 */
static void test_other_namespace(void **state)
{
    struct host *host = open_proc();
    struct host_process self, other;
    uint64_t ours = 0, theirs = 0;
    bool same = false;
    int ready[2];
    char byte;
    pid_t child, stranger;

    (void)state;
    assert_int_equal(host_read_process(host, (uint32_t)getpid(), &self), 0);
    assert_int_equal(host_same_network(host, &self, &same), 0);
    assert_true(same);
    if (geteuid() != 0) {
        host_free(host);
        skip();
    }
    assert_int_equal(pipe(ready), 0);
    child = fork_helper();
    if (child == 0) {
        if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        (void)pause();
    }
    (void)close(ready[1]);
    if (read(ready[0], &byte, 1) == 1) { // else namespaces are not to be had
        assert_int_equal(host_read_process(host, (uint32_t)child, &other), 0);
        assert_int_equal(host_net_namespace(host, &self, &ours), 0);
        assert_int_equal(host_net_namespace(host, &other, &theirs), 0);
        assert_true(ours != theirs);
        assert_true(is_elsewhere(host, &other));
        assert_int_equal(host_read_listeners(host, (uint32_t)child, &others), 0);
        assert_int_equal(others.n, 0);
        stranger = fork_helper();
        if (stranger == 0) {
            if (setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
                host_net_namespace(host, &other, &theirs) != -EACCES)
                _exit(1);
            if (!is_elsewhere(host, &other))
                _exit(2);
            _exit(host_same_network(host, &self, &same) == 0 && same ? 0 : 3);
        }
        expect_exit_0(stranger);
    }
    (void)close(ready[0]);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    host_free(host);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_FOLDER(test_list),
        IN_FOLDER(test_list_too_long),
        IN_FOLDER(test_held),
        IN_FOLDER(test_addresses),
        IN_FOLDER(test_too_many_addresses),
        IN_FOLDER(test_same_network),
        IN_FOLDER(test_same_users),
        cmocka_unit_test(test_own_listener),
        cmocka_unit_test(test_many_listeners),
        cmocka_unit_test(test_netlink_refused),
        cmocka_unit_test(test_listener_of_child),
        cmocka_unit_test(test_links_denied),
        cmocka_unit_test(test_other_namespace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
