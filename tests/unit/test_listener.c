// SPDX-License-Identifier: Apache-2.0
#include "net/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#define LONG_PATH                                                                      \
    "unix:/tmp/0123456789012345678901234567890123456789012345678901234567890123456789" \
    "0123456789012345678901234567890123456789"

// clang-format off
static const struct {
    const char *row;
    const char *address;
    bool allow_public;
    int r; // 0: it listens
    const char *says; // the URL begins so, or the complaint has it
} rows[] = {
    {"loopback", "127.0.0.1:0", false, 0, "http://127.0.0.1:"},
    {"another loopback address", "127.9.8.7:0", false, 0, "http://127.9.8.7:"},
    {"IPv6 loopback", "[::1]:0", false, 0, "http://[::1]:"},
    {"public, allowed", "0.0.0.0:0", true, 0, "http://0.0.0.0:"},
    {"public, not allowed", "0.0.0.0:0", false, -EACCES, "--allow-public"},
    {"public IPv6, not allowed", "[::]:0", false, -EACCES, "--allow-public"},
    {"not ours", "192.0.2.1:0", true, -EADDRNOTAVAIL, "192.0.2.1:0"},
    {"empty", "", false, -EINVAL, "HOST:PORT"},
    {"no port", "127.0.0.1", false, -EINVAL, "HOST:PORT"},
    {"empty port", "127.0.0.1:", false, -EINVAL, "HOST:PORT"},
    {"no host", ":6767", false, -EINVAL, "HOST:PORT"},
    {"no host in brackets", "[]:6767", false, -EINVAL, "HOST:PORT"},
    {"open bracket", "[::1:6767", false, -EINVAL, "HOST:PORT"},
    {"brackets without a port", "[::1]", false, -EINVAL, "HOST:PORT"},
    {"port too large", "127.0.0.1:65536", false, -EINVAL, "port"},
    {"port that wraps to 0", "127.0.0.1:131072", false, -EINVAL, "port"},
    {"negative port", "127.0.0.1:-1", false, -EINVAL, "port"},
    {"port after a blank", "127.0.0.1: 0", false, -EINVAL, "port"},
    {"port with a plus", "127.0.0.1:+0", false, -EINVAL, "port"},
    {"port by name", "127.0.0.1:http", false, -EINVAL, "port"},
    {"port and more", "127.0.0.1:0x", false, -EINVAL, "port"},
    {"empty path", "unix:", false, -ENAMETOOLONG, "unix:"},
    {"long path", LONG_PATH, false, -ENAMETOOLONG, "107"},
    {"no such folder", "unix:/nonexistent/x", false, -ENOENT, "No such file"},
};
// clang-format on

static const struct listener_options plain;

static void test_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct complaint complaint = {""};
        char url[LISTENER_URL_MAX] = "";
        struct listener_options options = {.allow_public = rows[i].allow_public};
        int fd = listener_open(rows[i].address, &options, url, sizeof(url), &complaint);

        if (rows[i].r == 0 && fd == -EADDRNOTAVAIL)
            continue; // a machine without IPv6
        if ((fd < 0 ? fd : 0) != rows[i].r ||
            !strstr(fd < 0 ? complaint.text : url, rows[i].says))
            fail_msg("[%s] is %d: %s%s", rows[i].row, fd, url, complaint.text);
        close_fd(&fd);
    }
}

static void test_port_of_the_url(void **state)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct complaint complaint;
    char url[LISTENER_URL_MAX];
    int fd = listener_open("127.0.0.1:0", &plain, url, sizeof(url), &complaint);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), again;

    (void)state;
    assert_true(fd >= 0 && client >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)strtoul(strrchr(url, ':') + 1, NULL, 10));
    assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);

    again = listener_open(url + strlen("http://"), &plain, url, sizeof(url), &complaint);
    assert_int_equal(again, -EADDRINUSE);
    assert_non_null(strstr(complaint.text, "Address already in use"));
    close_fd(&fd);
    close_fd(&client);
}

struct place {
    char folder[32];
    char address[64];
    const char *path;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    assert_non_null(place);
    (void)snprintf(place->folder, sizeof(place->folder), "/tmp/test_listener_XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->address, sizeof(place->address), "unix:%s/s", place->folder);
    place->path = place->address + 5;
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    (void)unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0);
    free(place);
    return 0;
}

static int open_at(const struct place *place)
{
    struct complaint complaint;
    char url[LISTENER_URL_MAX];
    int fd = listener_open(place->address, &plain, url, sizeof(url), &complaint);

    if (fd >= 0)
        assert_string_equal(url, place->address);
    else
        assert_non_null(strstr(complaint.text, place->address));
    return fd;
}

static void test_unix_socket(void **state)
{
    const struct place *place = *state;
    mode_t mask = umask(0);
    int fd = open_at(place);
    struct stat st;

    assert_true(fd >= 0);
    assert_int_equal(umask(mask), 0); // left as it was
    assert_int_equal(stat(place->path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(open_at(place), -EADDRINUSE);

    close_fd(&fd); // as a server that died: the file stays
    fd = open_at(place);
    assert_true(fd >= 0);
    close_fd(&fd);
}

static void test_file_is_not_replaced(void **state)
{
    const struct place *place = *state;
    int fd = open(place->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    struct stat st;

    assert_true(fd >= 0);
    close_fd(&fd);
    assert_int_equal(open_at(place), -EEXIST);
    assert_int_equal(stat(place->path, &st), 0);
}

/* A server that accepts nobody any more still lives: neither replaced nor waited for. */
static void test_busy_server(void **state)
{
    const struct place *place = *state;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), clients[4];

    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", place->path);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(listen(listener, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(clients[i], (struct sockaddr *)&name, sizeof(name));
    }
    (void)alarm(5); // ends a test that hangs
    assert_int_equal(open_at(place), -EADDRINUSE);
    (void)alarm(0);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        close_fd(&clients[i]);
    close_fd(&listener);
}

static void test_modes(void **state)
{
    static const uint32_t modes[] = {0660, 0600, 0666, 0777, 0400, 01};
    struct place *place = *state;

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct listener_options options = {.socket_mode = modes[i]};
        struct complaint complaint;
        char url[LISTENER_URL_MAX];
        mode_t mask = umask(0022);
        int fd = listener_open(place->address, &options, url, sizeof(url), &complaint);
        struct stat st;

        (void)umask(mask);
        assert_true(fd >= 0);
        assert_int_equal(stat(place->path, &st), 0);
        assert_int_equal(st.st_mode & 07777, modes[i]);
        assert_int_equal(unlink(place->path), 0);
        close_fd(&fd);
    }
}

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static int passed_tcp(const char *address)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(inet_pton(AF_INET, address, &name.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* On a name of `n` bytes, which is abstract where it begins with a zero byte. */
static int passed_unix(const char *path, size_t n)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(name.sun_path, path, n);
    assert_int_equal(bind(fd, (struct sockaddr *)&name,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
                     0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void expect_adopted(int fd, bool allow_public, int r, const char *says)
{
    struct listener_options options = {.allow_public = allow_public};
    struct complaint complaint = {""};
    char url[LISTENER_URL_MAX] = "";
    int got = listener_adopt(fd, &options, url, sizeof(url), &complaint);

    if (got != r || !strstr(r < 0 ? complaint.text : url, says))
        fail_msg("[%s] is %d: %s%s", says, got, url, complaint.text);
    if (r == 0)
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    if (fd >= 0)
        close_fd(&fd); // still ours
}

static void test_adopting(void **state)
{
    const struct place *place = *state;
    int fd = passed_tcp("127.0.0.1");
    char url[LISTENER_URL_MAX];
    struct complaint complaint;

    assert_int_equal(listener_adopt(fd, &plain, url, sizeof(url), &complaint), 0);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_SNDBUF), 2 * 64 * 1024);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 15000);
    expect_adopted(fd, false, 0, "http://127.0.0.1:");
    expect_adopted(passed_tcp("0.0.0.0"), false, -EACCES, "--allow-public");
    expect_adopted(passed_tcp("0.0.0.0"), true, 0, "http://0.0.0.0:");
    expect_adopted(passed_unix(place->path, strlen(place->path)), false, 0,
                   place->address);
    expect_adopted(passed_unix("\0test\nlistener", 14), false, 0, "unix:@test");
    expect_adopted(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), true, -EAFNOSUPPORT,
                   "neither of TCP nor of Unix");
    expect_adopted(-1, true, -EBADF, "descriptor -1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_port_of_the_url),
        TEST(test_unix_socket),
        TEST(test_file_is_not_replaced),
        TEST(test_busy_server),
        TEST(test_modes),
        TEST(test_adopting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
