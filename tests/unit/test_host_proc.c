// SPDX-License-Identifier: Apache-2.0
/*
 * Processes and listeners, in trees that the test makes and in the real /proc.
 */
#include "test_host_tree.h"

#include <sys/resource.h>

static struct host_tree tree;

static void expect_tree(const uint32_t *pids, size_t n, const char *expected)
{
    struct host *host = open_here();
    char text[256] = "";

    host_read_tree(host, pids, n, &tree);
    for (uint32_t i = 0; i < tree.n; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u<%u",
                       i ? " " : "", tree.processes[i].pid, tree.processes[i].parent_pid);
    assert_string_equal(text, expected);
    host_free(host);
}

static void test_no_root(void **state)
{
    struct host *host = NULL;

    (void)state;
    write_file("file", "");
    assert_int_equal(host_new("nowhere", &host), -ENOENT);
    assert_int_equal(host_new("file", &host), -ENOTDIR);
    assert_null(host);
    host_free(NULL);
}

static void test_process(void **state)
{
    struct host *host = open_here();
    struct host_process process = {0};

    (void)state;
    make_process(30, 20, 300);
    assert_int_equal(host_read_process(host, 30, &process), 0);
    assert_int_equal(process.pid, 30);
    assert_int_equal(process.parent_pid, 20);
    assert_int_equal(process.start_ticks, 300);
    assert_string_equal(process.comm, "p30");

    assert_int_equal(host_read_process(host, 31, &process), -ESRCH);
    make_folder("32");
    assert_int_equal(host_read_process(host, 32, &process), -ESRCH);
    write_file("32/stat", "");
    assert_int_equal(host_read_process(host, 32, &process), -EBADMSG);
    write_stat("32/stat", 33, 1, 1);
    assert_int_equal(host_read_process(host, 32, &process), -EBADMSG);
    write_file("34", "a file where a folder should be");
    assert_int_equal(host_read_process(host, 34, &process), -ESRCH);
    assert_int_equal(symlink("30", "35"), 0);
    assert_int_equal(host_read_process(host, 35, &process), -ESRCH);
    host_free(host);
}

static void test_stat_that_never_ends(void **state)
{
    struct host *host = open_here();
    struct host_process process;
    char text[4096];

    (void)state;
    memset(text, ' ', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text, "30 (x) S 1", 10);
    make_folder("30");
    write_file("30/stat", text);
    assert_int_equal(host_read_process(host, 30, &process), -EBADMSG);
    host_free(host);
}

static void test_tree(void **state)
{
    static const uint32_t pids[] = {40, 30, 99, 40, 50};

    (void)state;
    make_process(1, 0, 1);
    make_process(20, 1, 200);
    make_process(30, 20, 300);
    make_process(40, 30, 400);
    make_process(50, 20, 500);
    make_process(60, 1, 600); // of no interest
    expect_tree(pids, ARRAY_LEN(pids), "1<0 20<1 30<20 40<30 50<20");
    expect_tree(pids, 0, "");
    assert_null(host_tree_find(&tree, 20));

    expect_tree(&pids[1], 1, "1<0 20<1 30<20");
    assert_int_equal(host_tree_find(&tree, 20)->start_ticks, 200);
    assert_null(host_tree_find(&tree, 21));
    assert_null(host_tree_find(&tree, 31));
    assert_null(host_tree_find(&tree, 0));
    assert_false(tree.incomplete);
}

static void test_tree_of_the_gone(void **state)
{
    static const uint32_t pids[] = {30, 60};

    (void)state;
    make_process(30, 20, 300); // its parent has gone since
    make_process(60, 0, 600);  // its parent is outside of our pid namespace
    expect_tree(pids, ARRAY_LEN(pids), "30<20 60<0");
}

/* Without a descriptor nobody is gone: what was known of them holds. */
static void test_tree_that_cannot_be_read(void **state)
{
    static const uint32_t pid = 30;
    struct host *host = open_here();
    struct host_process process = {0};
    struct rlimit limit, none;

    (void)state;
    make_process(20, 1, 200);
    make_process(30, 20, 300);
    host_read_tree(host, &pid, 1, &tree);
    assert_int_equal(tree.n, 2);

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    host_read_tree(host, &pid, 1, &tree);
    assert_int_equal(host_read_process(host, 30, &process), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(host_may_pass(-EMFILE));
    assert_false(host_may_pass(-ESRCH));
    assert_int_equal(tree.n, 2);
    assert_true(tree.incomplete);
    assert_int_equal(host_tree_find(&tree, 30)->parent_pid, 20);

    host_read_tree(host, &pid, 1, &tree);
    assert_int_equal(tree.n, 2);
    assert_false(tree.incomplete);
    host_free(host);
}

static void test_tree_with_reused_parent(void **state)
{
    static const uint32_t child[] = {30};
    static const uint32_t both[] = {20, 30};

    (void)state;
    make_process(1, 0, 1);
    make_process(20, 1, 900); // younger than its alleged child
    make_process(30, 20, 300);
    expect_tree(child, 1, "30<0");
    expect_tree(both, 2, "1<0 20<1 30<0");
}

static void test_tree_in_a_circle(void **state)
{
    static const uint32_t pids[] = {20, 30};

    (void)state;
    make_process(20, 30, 300);
    make_process(30, 20, 300);
    make_process(40, 40, 300);
    expect_tree(pids, 2, "20<30 30<20");
    expect_tree((const uint32_t[]){40}, 1, "40<40");
}

static void test_tree_too_deep(void **state)
{
    struct host *host = open_here();
    uint32_t deepest = 2 * HOST_DEPTH_MAX;

    (void)state;
    for (uint32_t pid = 1; pid <= deepest; pid++)
        make_process(pid, pid - 1, pid);
    host_read_tree(host, &deepest, 1, &tree);
    assert_int_equal(tree.n, HOST_DEPTH_MAX);
    assert_int_equal(tree.processes[0].pid, HOST_DEPTH_MAX + 1);
    host_free(host);
}

static void test_tree_too_large(void **state)
{
    enum { N = HOST_PROCESSES_MAX + 1 };
    static uint32_t pids[N];
    struct host *host = open_here();

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        pids[i] = N - i;
        make_process(pids[i], 0, 1);
    }
    host_read_tree(host, pids, N - 1, &tree);
    assert_int_equal(tree.n, HOST_PROCESSES_MAX);
    assert_false(tree.incomplete);
    host_read_tree(host, pids, N, &tree);
    assert_int_equal(tree.n, HOST_PROCESSES_MAX);
    assert_true(tree.incomplete);
    for (uint32_t i = 0; i < tree.n; i++)
        assert_int_equal(tree.processes[i].pid, i + 2);
    host_free(host);
}

static int find_in(struct host *host, uint16_t port, struct host_process *ret)
{
    struct host_search search = {.port = port};
    int r = host_find_listeners(host, &search, 1);

    *ret = search.process;
    return r < 0 ? r : search.r;
}

/* The pid of who listens, or a negative errno. */
static int find_listener(uint16_t port)
{
    struct host *host = open_here();
    struct host_process process;
    int r = find_in(host, port, &process);

    host_free(host);
    return r < 0 ? r : (int)process.pid;
}

static void test_listener(void **state)
{
    (void)state;
    assert_int_equal(find_listener(8000), -ENOENT); // no file at all
    make_socket("net/tcp", 8000, 0x0a, 501);
    make_socket("net/tcp", 8001, 0x01, 502); // connected, not listening
    make_socket("net/tcp6", 8002, 0x0a, 503);
    make_socket("net/tcp6", 8003, 0x0a, 0);
    make_socket("net/tcp", 8004, 0x0a, 504);
    make_process(20, 1, 200);
    make_fd(20, "0", "/dev/null");
    make_fd(20, "3", "socket:[501]");
    make_fd(20, "4", "socket:[502]");
    make_fd(20, "5", "pipe:[503]");
    make_process(30, 1, 300);
    make_fd(30, "9", "socket:[503]");

    assert_int_equal(find_listener(8000), 20);
    assert_int_equal(find_listener(8001), -ENOENT);
    assert_int_equal(find_listener(8002), 30);
    assert_int_equal(find_listener(8003), -ENOENT);
    assert_int_equal(find_listener(8004), -EACCES); // listed, and held by nobody we see
    assert_int_equal(find_listener(80), -ENOENT);
}

/* Several in one walk: each has its own, and one process can be of two. */
static void test_listeners_at_once(void **state)
{
    static const struct {
        uint16_t port;
        int r;
        uint32_t pid;
    } want[] = {{8000, 0, 20},      {8001, 0, 30}, {8002, -EACCES, 0},
                {8003, -ENOENT, 0}, {8004, 0, 20}, {8001, 0, 30}};
    struct host_search searches[ARRAY_LEN(want)] = {0};
    struct host *host = open_here();

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        make_socket("net/tcp", 8000 + i, 0x0a, 501 + i);
    make_socket("net/tcp6", 8004, 0x0a, 504);
    make_process(20, 1, 200);
    make_fd(20, "3", "socket:[501]");
    make_fd(20, "4", "socket:[504]");
    make_process(30, 1, 100);
    make_fd(30, "3", "socket:[502]");
    make_process(40, 30, 300);
    make_fd(40, "3", "socket:[502]");
    make_fd(40, "4", "socket:[501]");
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        searches[i].port = want[i].port;
    assert_int_equal(host_find_listeners(host, searches, ARRAY_LEN(want)), 0);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(searches[i].r, want[i].r);
        assert_int_equal(searches[i].process.pid, want[i].pid);
    }
    host_free(host);
}

static void test_oldest_listener(void **state)
{
    (void)state;
    make_socket("net/tcp", 8000, 0x0a, 501);
    make_socket("net/tcp", 8000, 0x0a, 502); // the same port by SO_REUSEPORT
    make_socket("net/tcp6", 8000, 0x0a, 503);
    make_process(20, 30, 300);
    make_fd(20, "3", "socket:[501]");
    make_process(30, 1, 200);
    make_fd(30, "3", "socket:[502]");
    make_process(40, 30, 200); // in the same tick
    make_fd(40, "3", "socket:[503]");
    make_process(10, 1, 100); // older, and not concerned
    make_fd(10, "3", "socket:[504]");
    assert_int_equal(find_listener(8000), 30);
}

static void test_listener_among_ruins(void **state)
{
    (void)state;
    make_socket("net/tcp", 8000, 0x0a, 501);
    make_process(20, 1, 100); // without fd
    make_folder("21");        // without stat
    make_folder("22");
    write_file("22/stat", "22 (cut");
    make_fd(22, "3", "socket:[501]");
    make_process(23, 1, 50);
    write_file("23/fd", "not a folder");
    write_file("24", "not a folder");
    make_process(7, 1, 1);
    assert_int_equal(rename("7", "007"), 0);
    make_folder("self-made");
    make_folder("99999999999");
    make_process(30, 1, 300);
    make_fd(30, "3", "socket:[501]");
    assert_int_equal(find_listener(8000), 30);
}

static void test_long_socket_lists(void **state)
{
    static char line[20000];
    FILE *file;

    (void)state;
    for (unsigned i = 0; i < 3000; i++)
        make_socket("net/tcp", 9000, 0x01, i + 1);
    memset(line, 'x', sizeof(line) - 1);
    file = fopen("net/tcp", "a");
    assert_non_null(file);
    (void)fprintf(file, "%s\n\n%.8191s\n%.8192s\n", line, line, line);
    (void)fprintf(file, "%.8192s%s\n", line, // more than the reader's window
                  "0: 0100007F:1F42 0100007F:0000 0A 0:0 0:0 0 0 0 501 1");
    assert_int_equal(fclose(file), 0);
    make_socket("net/tcp", 8000, 0x0a, 501);
    file = fopen("net/tcp", "a");
    assert_non_null(file);
    (void)fprintf(file,
                  "   0: 0100007F:1F41 0100007F:0000 0A 0:0 0:0 0 0 0 501 1"); // cut
    assert_int_equal(fclose(file), 0);
    make_process(20, 1, 200);
    make_fd(20, "3", "socket:[501]");
    assert_int_equal(find_listener(8000), 20);
    assert_int_equal(find_listener(8001), -ENOENT);
    assert_int_equal(find_listener(8002), -ENOENT); // only the tail of a longer line
}

static void test_more_sockets_than_we_follow(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HOST_OWNERS_MAX + 10; i++)
        make_socket("net/tcp", 8000, 0x0a, 500 + i);
    make_process(20, 1, 200);
    make_fd(20, "3", "socket:[627]");
    assert_int_equal(find_listener(8000), 20);
    make_process(10, 1, 100);
    make_fd(10, "3", "socket:[628]");
    assert_int_equal(find_listener(8000), 20);
}

/*
 * The stat file is a pipe: what is read from it first is of one process, and then of
 * another that has got its pid.
 */
static void test_listener_with_reused_pid(void **state)
{
    pid_t writer;

    (void)state;
    make_socket("net/tcp", 8000, 0x0a, 501);
    make_folder("20");
    make_fd(20, "3", "socket:[501]");
    assert_int_equal(mkfifo("20/stat", 0600), 0);
    writer = fork_helper();
    if (writer == 0) {
        write_stat("20/stat", 20, 1, 200);
        (void)usleep(100000); // until the reader has met the end
        write_stat("20/stat", 20, 1, 900);
        _exit(0);
    }
    assert_int_equal(find_listener(8000), -EACCES);
    assert_int_equal(kill(writer, SIGKILL), 0);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
}

static void test_ourselves(void **state)
{
    struct host *host;
    struct host_process process;
    uint32_t pid = (uint32_t)getpid();
    const struct host_process *self;

    (void)state;
    assert_int_equal(host_new("/proc", &host), 0);
    assert_int_equal(host_read_process(host, pid, &process), 0);
    assert_int_equal(process.parent_pid, getppid());
    assert_true(process.start_ticks > 0);
    assert_true(*process.comm && strncmp(process.comm, program_invocation_short_name,
                                         strlen(process.comm)) == 0);

    host_read_tree(host, &pid, 1, &tree);
    self = host_tree_find(&tree, pid);
    assert_non_null(self);
    assert_memory_equal(self, &process, sizeof(process));
    host_free(host);
}

/* A child that holds our socket too does not become its owner. */
static void check_own_listener(int family)
{
    struct host *host;
    struct host_process process;
    uint16_t port;
    int fd = listen_somewhere(family, &port);
    pid_t child;

    if (fd < 0)
        return; // no IPv6 here
    child = fork_helper();
    if (child == 0) {
        (void)pause();
        _exit(0);
    }
    assert_int_equal(host_new("/proc", &host), 0);
    assert_int_equal(find_in(host, port, &process), 0);
    assert_int_equal(process.pid, getpid());

    assert_int_equal(close(fd), 0);
    assert_int_equal(find_in(host, port, &process), 0);
    assert_int_equal(process.pid, child);

    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(find_in(host, port, &process), -ENOENT);
    host_free(host);
}

static void test_own_listener(void **state)
{
    (void)state;
    check_own_listener(AF_INET);
    check_own_listener(AF_INET6);
}

/* Needs root, to become somebody who may not look into our fd folder. */
static void test_listener_of_another_user(void **state)
{
    enum { NOBODY = 65534 };
    uint16_t port;
    int fd, status;
    pid_t child;

    (void)state;
    if (geteuid() != 0)
        skip();
    fd = listen_somewhere(AF_INET, &port);
    assert_true(fd >= 0);
    child = fork_helper();
    if (child == 0) {
        struct host *host = NULL;
        struct host_process process;

        (void)close(fd);
        if (setresuid(NOBODY, NOBODY, NOBODY) < 0 || host_new("/proc", &host) < 0)
            _exit(1);
        if (host_read_process(host, (uint32_t)getppid(), &process) < 0)
            _exit(2);
        _exit(find_in(host, port, &process) == -EACCES ? 0 : 3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)close(fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_FOLDER(test_no_root),
        IN_FOLDER(test_process),
        IN_FOLDER(test_stat_that_never_ends),
        IN_FOLDER(test_tree),
        IN_FOLDER(test_tree_of_the_gone),
        IN_FOLDER(test_tree_that_cannot_be_read),
        IN_FOLDER(test_tree_with_reused_parent),
        IN_FOLDER(test_tree_in_a_circle),
        IN_FOLDER(test_tree_too_deep),
        IN_FOLDER(test_tree_too_large),
        IN_FOLDER(test_listener),
        IN_FOLDER(test_listeners_at_once),
        IN_FOLDER(test_oldest_listener),
        IN_FOLDER(test_listener_among_ruins),
        IN_FOLDER(test_long_socket_lists),
        IN_FOLDER(test_more_sockets_than_we_follow),
        IN_FOLDER(test_listener_with_reused_pid),
        cmocka_unit_test(test_ourselves),
        cmocka_unit_test(test_own_listener),
        cmocka_unit_test(test_listener_of_another_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
