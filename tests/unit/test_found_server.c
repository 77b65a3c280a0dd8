// SPDX-License-Identifier: Apache-2.0
/* Where a server listens, when there are no descriptors to find that out with. */
#include "daemon/found_server.h"
#include "test_host_tree.h"

#include <sys/resource.h>

#define CONTAINER "  |-- 172.17.0.2\n     /32 host LOCAL\n"
#define HOST "  |-- 192.0.2.2\n     /32 host LOCAL\n"

enum { DESCRIPTORS_NEEDED = 2 }; // at a time: the folder of a process, and a file of it

static struct host_listeners listeners;

static void write_socket(const char *path, unsigned port, unsigned inode)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "  sl  local_address rem_address   st\n"
                   "   0: 00000000:%04X 00000000:0000 0A 00000000:00000000 00:00000000 "
                   "00000000  1000        0 %u 1 0000000000000000 100 0 0 10 0\n",
                   port, inode);
    write_file(path, text);
}

/* Allow so many descriptors more than there are. */
static void allow_descriptors(rlim_t more, struct rlimit *ret_old)
{
    struct rlimit limit;
    int fd = dup(STDERR_FILENO);

    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, ret_old), 0);
    limit = *ret_old;
    limit.rlim_cur = (rlim_t)fd + more;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void give_back_descriptors(const struct rlimit *old)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, old), 0);
}

static struct found_server make_server(void)
{
    struct found_server server = {
        .found = {.root = {.pid = 20, .start_ticks = 200}, .why = "loading"},
        .facts = {.uid = 1000, .port = 8000},
        .own_users = true,
    };

    make_process(20, 1, 200);
    make_fd(20, "3", "socket:[501]");
    make_folder("20/net");
    make_folder("net");
    write_socket("20/net/tcp", 8000, 501);
    write_file("20/net/fib_trie", CONTAINER);
    write_file("net/fib_trie", HOST);
    return server;
}

/* Look inside at every chance that there is. */
static void look(struct found_server *server, struct host *host)
{
    for (int i = 0; i < 2; i++)
        found_server_look_inside(server, host, &listeners);
}

static void test_known_facts_stay(void **state)
{
    struct found_server server = make_server();
    struct host *host = open_here();
    struct rlimit old;

    (void)state;
    look(&server, host);
    assert_string_equal(server.found.url, "http://172.17.0.2:8000");
    assert_int_equal(server.found.inode, 501);
    for (rlim_t more = 0; more < DESCRIPTORS_NEEDED; more++) {
        allow_descriptors(more, &old);
        look(&server, host);
        give_back_descriptors(&old);
        assert_string_equal(server.found.url, "http://172.17.0.2:8000");
        assert_null(server.found.why);
        assert_int_equal(server.addresses.n, 1);
    }
    write_file("20/net/tcp", "");
    look(&server, host);
    assert_string_equal(server.found.url, "");
    assert_string_equal(server.found.why, "its port is not open any more");
    host_free(host);
}

/*
 * Who holds a socket is not guessed by its user for want of descriptors, but looked up as
 * soon as there are some, although no socket has come or gone.
 */
static void test_looked_at_once_more(void **state)
{
    struct found_server server = make_server();
    struct host *host = open_here();
    struct rlimit old;

    (void)state;
    server.own_network = true;
    server.facts.port = 0;
    write_socket("20/net/tcp6", 8001, 502);
    make_fd(20, "4", "socket:[502]");
    assert_int_equal(unlink("20/fd/3"), 0);
    assert_int_equal(host_read_listeners(host, 20, &listeners), 0);
    assert_int_equal(listeners.n, 2);
    for (rlim_t more = 0; more < DESCRIPTORS_NEEDED; more++) {
        allow_descriptors(more, &old);
        found_server_look(&server, host, &listeners, 1);
        give_back_descriptors(&old);
        assert_string_equal(server.found.url, "");
        assert_int_equal(server.found.inode, 0);
    }
    found_server_look(&server, host, &listeners, 1);
    assert_string_equal(server.found.url, "http://127.0.0.1:8001");
    assert_int_equal(server.found.inode, 502);
    host_free(host);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_FOLDER(test_known_facts_stay),
        IN_FOLDER(test_looked_at_once_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
