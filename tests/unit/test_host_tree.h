// SPDX-License-Identifier: Apache-2.0
/*
 * test_host_tree.h - make a tree that stands for /proc, in a folder that is removed again
 */
#ifndef TESTS_UNIT_TEST_HOST_TREE_H
#define TESTS_UNIT_TEST_HOST_TREE_H

#include "host/host.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "test_folder.h"

enum { PATH_ROOM = 128 };

/* A child that does not outlive us, even when a check fails. */
static inline pid_t fork_helper(void)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        _exit(1);
    return child;
}

static inline void make_folder(const char *path)
{
    if (mkdir(path, 0700) < 0)
        assert_int_equal(errno, EEXIST);
}

static inline void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void write_stat(const char *path, unsigned pid, unsigned parent,
                              unsigned start)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "%u (p%u) S %u 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %u 1000 2\n", pid,
                   pid, parent, start);
    write_file(path, text);
}

static inline void make_process(unsigned pid, unsigned parent, unsigned start)
{
    char path[PATH_ROOM];

    (void)snprintf(path, sizeof(path), "%u", pid);
    make_folder(path);
    (void)snprintf(path, sizeof(path), "%u/stat", pid);
    write_stat(path, pid, parent, start);
}

static inline void make_fd(unsigned pid, const char *name, const char *link)
{
    char path[PATH_ROOM];

    (void)snprintf(path, sizeof(path), "%u/fd", pid);
    make_folder(path);
    (void)snprintf(path, sizeof(path), "%u/fd/%s", pid, name);
    assert_int_equal(symlink(link, path), 0);
}

/* Append a socket to net/tcp or net/tcp6. */
static inline void make_socket(const char *path, unsigned port, unsigned state,
                               unsigned inode)
{
    const char *address =
        strcmp(path, "net/tcp") == 0 ? "0100007F" : "00000000000000000000000001000000";
    FILE *file;

    make_folder("net");
    file = fopen(path, "a");
    assert_non_null(file);
    if (ftell(file) == 0)
        (void)fprintf(file, "  sl  local_address rem_address   st\n");
    (void)fprintf(file,
                  "   0: %s:%04X %s:0000 %02X 00000000:00000000 00:00000000 00000000  "
                  "1000        0 %u 1 0000000000000000 100 0 0 10 0\n",
                  address, port, address, state, inode);
    assert_int_equal(fclose(file), 0);
}

static inline struct host *open_here(void)
{
    struct host *host = NULL;

    assert_int_equal(host_new(".", &host), 0);
    return host;
}

/* A socket that listens on a free port of 127.0.0.1, or ::1. */
static inline int listen_somewhere(int family, uint16_t *port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t len = family == AF_INET ? sizeof(address.v4) : sizeof(address.v6);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.any.sa_family = (sa_family_t)family;
    if (family == AF_INET)
        address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        address.v6.sin6_addr = in6addr_loopback;
    if (fd < 0 || bind(fd, &address.any, len) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, &address.any, &len) < 0) {
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    *port = ntohs(family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    return fd;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

#endif
