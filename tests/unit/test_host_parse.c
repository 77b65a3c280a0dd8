// SPDX-License-Identifier: Apache-2.0
#include "host/host_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* What follows the name, with the parent and the start time to be set. */
#define STAT(parent, start) \
    " S " parent " 4700 4700 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 12 0 " start " 1000 2\n"

#define GOOD STAT("4700", "987654")

static const struct {
    const char *row;
    const char *text;
    int r;
    struct host_process process;
} stats[] = {
    {"plain", "4711 (python3)" GOOD, 0, {4711, 4700, 987654, "python3"}},
    {"first process", "1 (init)" STAT("0", "0"), 0, {1, 0, 0, "init"}},
    {"largest",
     "2147483647 (x)" STAT("2147483647", "18446744073709551614"),
     0,
     {INT32_MAX, INT32_MAX, UINT64_MAX - 1, "x"}},
    {"empty name", "4711 ()" GOOD, 0, {4711, 4700, 987654, ""}},
    {"blanks in the name",
     "4711 (tmux: server)" GOOD,
     0,
     {4711, 4700, 987654, "tmux: server"}},
    {"brackets in the name", "4711 ((sd-pam))" GOOD, 0, {4711, 4700, 987654, "(sd-pam)"}},
    {"a stat line for a name",
     "4711 (a) S 1 (b)" GOOD,
     0,
     {4711, 4700, 987654, "a) S 1 (b"}},
    {"newline in the name",
     "4711 (a\nb)" GOOD,
     0,
     {4711, 4700, 987654,
      "a\xef\xbf\xbd"
      "b"}},
    {"escape in the name",
     "4711 (\033[2J)" GOOD,
     0,
     {4711, 4700, 987654, "\xef\xbf\xbd[2J"}},
    {"name that is not UTF-8",
     "4711 (\xff\xfe)" GOOD,
     0,
     {4711, 4700, 987654, "\xef\xbf\xbd\xef\xbf\xbd"}},
    {"name of a kernel thread",
     "4711 (kworker/u16:3-events_unbound)" GOOD,
     0,
     {4711, 4700, 987654, "kworker/u16:3-e"}},
    {"name cut between characters",
     "4711 (0123456789abcd\xc3\xa9)" GOOD,
     0,
     {4711, 4700, 987654, "0123456789abcd"}},
    {"empty", "", -EBADMSG, {0}},
    {"a pid only", "4711", -EBADMSG, {0}},
    {"open name", "4711 (python3", -EBADMSG, {0}},
    {"name that was not opened", "4711 python3)" GOOD, -EBADMSG, {0}},
    {"brackets the other way", "4711 )(" GOOD, -EBADMSG, {0}},
    {"no pid", "(python3)" GOOD, -EBADMSG, {0}},
    {"pid of blanks", " (python3)" GOOD, -EBADMSG, {0}},
    {"pid 0", "0 (python3)" GOOD, -EBADMSG, {0}},
    {"negative pid", "-1 (python3)" GOOD, -EBADMSG, {0}},
    {"pid too large", "2147483648 (python3)" GOOD, -EBADMSG, {0}},
    {"no blank after the pid", "4711(python3)" GOOD, -EBADMSG, {0}},
    {"nothing after the name", "4711 (python3)", -EBADMSG, {0}},
    {"no parent", "4711 (python3) S", -EBADMSG, {0}},
    {"parent only", "4711 (python3) S 4700", -EBADMSG, {0}},
    {"parent that is no number", "4711 (python3)" STAT("x", "1"), -EBADMSG, {0}},
    {"negative parent", "4711 (python3)" STAT("-1", "1"), -EBADMSG, {0}},
    {"start that is no number", "4711 (python3)" STAT("1", "-1"), -EBADMSG, {0}},
    {"start that is unknown",
     "4711 (python3)" STAT("1", "18446744073709551615"),
     -EBADMSG,
     {0}},
    {"start too large",
     "4711 (python3)" STAT("1", "99999999999999999999"),
     -EBADMSG,
     {0}},
    {"cut before the start",
     "4711 (python3) S 4700 4700 4700 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 12 0",
     -EBADMSG,
     {0}},
    {"cut in the start",
     "4711 (python3) S 4700 4700 4700 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 12 0 9876",
     -EBADMSG,
     {0}},
};

#define V4 "0100007F:1F40 00000000:0000 "
#define V6 "00000000000000000000000001000000:1F40 00000000000000000000000000000000:0000 "
#define LOOPBACK                                             \
    {                                                        \
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1 \
    }
#define LOOPBACK6                                      \
    {                                                  \
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 \
    }

#define REST \
    " 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0 0 10 0"

static const struct {
    const char *row;
    const char *line;
    int r;
    struct host_socket socket;
} sockets[] = {
    {"listening",
     "   0: " V4 "0A" REST,
     0,
     {12345, 8000, HOST_TCP_LISTEN, 1000, LOOPBACK}},
    {"listening on IPv6",
     "  17: " V6 "0A" REST,
     0,
     {12345, 8000, HOST_TCP_LISTEN, 1000, LOOPBACK6}},
    {"established",
     "1234567: 0100007F:FFFF 0100007F:1F40 01" REST,
     0,
     {12345, 65535, 1, 1000, LOOPBACK}},
    {"nobody's",
     " 3: " V4 "06 00000000:00000000 03:00000D5A 00000000  0  0 0 3 0000000000000000",
     0,
     {0, 8000, 6, 0, LOOPBACK}},
    {"largest inode",
     " 3: " V4 "0A 0:0 0:0 0 0 0 18446744073709551615 1",
     0,
     {UINT64_MAX, 8000, HOST_TCP_LISTEN, 0, LOOPBACK}},
    {"blanks at the end",
     " 3: " V4 "0A" REST "          ",
     0,
     {12345, 8000, HOST_TCP_LISTEN, 1000, LOOPBACK}},
    {"largest user",
     " 3: " V4 "0A 0:0 0:0 0 4294967295 0 7 1",
     0,
     {7, 8000, HOST_TCP_LISTEN, UINT32_MAX, LOOPBACK}},
    {"an address of its own",
     " 3: 040200C0:1F40 00000000:0000 0A" REST,
     0,
     {12345,
      8000,
      HOST_TCP_LISTEN,
      1000,
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 4}}},
    {"an IPv6 address of its own",
     " 3: B80D0120020001000400030006000500:1F40 00000000000000000000000000000000:0000 "
     "0A" REST,
     0,
     {12345,
      8000,
      HOST_TCP_LISTEN,
      1000,
      {0x20, 1, 0x0d, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6}}},
    {"empty", "", -EBADMSG, {0}},
    {"blanks", "      ", -EBADMSG, {0}},
    {"heading",
     "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt"
     "   uid  timeout inode",
     -EBADMSG,
     {0}},
    {"no slot", V4 "0A" REST, -EBADMSG, {0}},
    {"slot without a number", ": " V4 "0A" REST, -EBADMSG, {0}},
    {"slot without its colon", "0 " V4 "0A" REST, -EBADMSG, {0}},
    {"no port", "0: 0100007F 00000000:0000 0A" REST, -EBADMSG, {0}},
    {"short port", "0: 0100007F:1F4 00000000:0000 0A" REST, -EBADMSG, {0}},
    {"long port", "0: 0100007F:01F40 00000000:0000 0A" REST, -EBADMSG, {0}},
    {"address of no size", "0: 01007F:1F40 00000000:0000 0A" REST, -EBADMSG, {0}},
    {"address of another size",
     "0: 0100007F0000:1F40 00000000:0000 0A" REST,
     -EBADMSG,
     {0}},
    {"lower case", "0: 0100007f:1F40 00000000:0000 0A" REST, -EBADMSG, {0}},
    {"not hexadecimal", "0: 0100007G:1F40 00000000:0000 0A" REST, -EBADMSG, {0}},
    {"bad IPv6",
     "0: 000000000000000000000000010000 0:1F40 00000000:0000 0A" REST,
     -EBADMSG,
     {0}},
    {"bad remote", "0: 0100007F:1F40 00000000 0A" REST, -EBADMSG, {0}},
    {"bad state", "0: " V4 "A" REST, -EBADMSG, {0}},
    {"cut after the state", "0: " V4 "0A", -EBADMSG, {0}},
    {"cut before the inode", "0: " V4 "0A 0:0 0:0 0 1000 0", -EBADMSG, {0}},
    {"cut in the inode", "0: " V4 "0A 0:0 0:0 0 1000 0 123", -EBADMSG, {0}},
    {"user that is no number", "0: " V4 "0A 0:0 0:0 0 x 0 7 1", -EBADMSG, {0}},
    {"user too large", "0: " V4 "0A 0:0 0:0 0 4294967296 0 7 1", -EBADMSG, {0}},
    {"inode that is no number", "0: " V4 "0A 0:0 0:0 0 1000 0 x 1", -EBADMSG, {0}},
    {"inode too large",
     "0: " V4 "0A 0:0 0:0 0 0 0 18446744073709551616 1",
     -EBADMSG,
     {0}},
};

static const struct {
    const char *row;
    const char *link;
    int r;
    uint64_t inode;
} links[] = {
    {"socket", "socket:[12345]", 0, 12345},
    {"largest", "socket:[18446744073709551615]", 0, UINT64_MAX},
    {"pipe", "pipe:[12345]", -EBADMSG, 0},
    {"file", "/dev/null", -EBADMSG, 0},
    {"file that calls itself a socket", "/tmp/socket:[12345]", -EBADMSG, 0},
    {"deleted file", "socket:[12345] (deleted)", -EBADMSG, 0},
    {"empty", "", -EBADMSG, 0},
    {"prefix only", "socket:[", -EBADMSG, 0},
    {"no number", "socket:[]", -EBADMSG, 0},
    {"cut", "socket:[12345", -EBADMSG, 0},
    {"negative", "socket:[-1]", -EBADMSG, 0},
    {"too large", "socket:[18446744073709551616]", -EBADMSG, 0},
};

/* With flags as field 9 and the signal of its end as field 38. */
#define TASK(flags, signal)                                \
    "7 (a) b) S 1 1 1 0 -1 " flags                         \
    " 1 2 3 4 5 6 7 8 20 0 12 0 9 10 11 12 13 14 15 16 17" \
    " 18 19 20 21 22 23 24 " signal " 3 0 0\n"

static const struct {
    const char *row;
    const char *text;
    enum host_task task;
} tasks[] = {
    {"process", TASK("4194304", "17"), HOST_TASK_PROCESS},
    {"process whose parent wants no signal", TASK("4194304", "0"), HOST_TASK_PROCESS},
    {"thread", TASK("4194368", "-1"), HOST_TASK_THREAD},
    {"kernel thread", TASK("2129984", "17"), HOST_TASK_KERNEL},
    {"kthreadd", TASK("2129984", "0"), HOST_TASK_KERNEL},
    {"cut before the signal", "4711 (python3)" GOOD, HOST_TASK_PROCESS},
    {"empty", "", HOST_TASK_PROCESS},
};

static const struct {
    const char *row;
    const char *text;
    int r;
    uint32_t pid;
} loadavgs[] = {
    {"plain", "0.51 0.14 0.19 4/106 19559\n", 0, 19559},
    {"empty", "", -EBADMSG, 0},
    {"one field less", "0.51 0.14 0.19 19559\n", -EBADMSG, 0},
    {"one more", "0.51 0.14 0.19 4/106 19559 7\n", -EBADMSG, 0},
    {"no pid yet", "0.51 0.14 0.19 4/106 0\n", -EBADMSG, 0},
    {"no number", "0.51 0.14 0.19 4/106 x\n", -EBADMSG, 0},
    {"too large", "0.51 0.14 0.19 4/106 2147483648\n", -EBADMSG, 0},
};

/* A copy of exactly that size on the heap, so that reading past it is found. */
static struct span exact(const char *text)
{
    struct span copy = {NULL, strlen(text)};
    char *at = malloc(MAX(copy.len, (size_t)1));

    assert_non_null(at);
    memcpy(at, text, copy.len);
    copy.at = at;
    return copy;
}

static void release(struct span span)
{
    free((char *)(uintptr_t)span.at);
}

static void test_stat(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(stats); i++) {
        struct span text = exact(stats[i].text);
        struct host_process process = {0};
        int r = host_parse_stat(text, &process);

        release(text);
        if (r != stats[i].r || process.pid != stats[i].process.pid ||
            process.parent_pid != stats[i].process.parent_pid ||
            process.start_ticks != stats[i].process.start_ticks ||
            strcmp(process.comm, stats[i].process.comm) != 0)
            fail_msg("[%s] is %d: %u (%s) of %u since %ju", stats[i].row, r, process.pid,
                     process.comm, process.parent_pid, (uintmax_t)process.start_ticks);
    }
}

/* Every beginning of a good line is refused until the field after the start time. */
static void test_stat_cut_anywhere(void **state)
{
    static const char text[] = "4711 (a b)" GOOD;
    size_t whole = (size_t)(strstr(text, "987654 ") - text) + strlen("987654 ");
    struct host_process process;

    (void)state;
    for (size_t len = 0; len < sizeof(text); len++)
        assert_int_equal(host_parse_stat((struct span){text, len}, &process) == 0,
                         len >= whole);
}

static void test_tcp_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
        struct span line = exact(sockets[i].line);
        struct host_socket found = {0};
        int r = host_parse_tcp_line(line, &found);

        release(line);
        if (r != sockets[i].r || found.inode != sockets[i].socket.inode ||
            found.port != sockets[i].socket.port || found.uid != sockets[i].socket.uid ||
            memcmp(found.address, sockets[i].socket.address, sizeof(found.address)) !=
                0 ||
            found.state != sockets[i].socket.state)
            fail_msg("[%s] is %d: inode %ju port %u state %x", sockets[i].row, r,
                     (uintmax_t)found.inode, found.port, found.state);
    }
}

static void test_socket_link(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        struct span link = exact(links[i].link);
        uint64_t inode = 0;
        int r = host_parse_socket_link(link, &inode);

        release(link);
        if (r != links[i].r || inode != links[i].inode)
            fail_msg("[%s] is %d: %ju", links[i].row, r, (uintmax_t)inode);
    }
}

static void test_net_link(void **state)
{
    uint64_t inode = 0;

    (void)state;
    assert_int_equal(host_parse_net_link(span_of("net:[4026531833]"), &inode), 0);
    assert_int_equal(inode, 4026531833);
    assert_int_equal(host_parse_net_link(span_of("mnt:[4026531833]"), &inode), -EBADMSG);
    assert_int_equal(host_parse_net_link(span_of("net:[]"), &inode), -EBADMSG);
}

static void test_task(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++) {
        struct span text = exact(tasks[i].text);
        enum host_task task = host_parse_task(text);

        release(text);
        if (task != tasks[i].task)
            fail_msg("[%s] is %d", tasks[i].row, task);
    }
}

static void test_newest_pid(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(loadavgs); i++) {
        struct span text = exact(loadavgs[i].text);
        uint32_t pid = 0;
        int r = host_parse_newest_pid(text, &pid);

        release(text);
        if (r != loadavgs[i].r || pid != loadavgs[i].pid)
            fail_msg("[%s] is %d: %u", loadavgs[i].row, r, pid);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stat),       cmocka_unit_test(test_stat_cut_anywhere),
        cmocka_unit_test(test_tcp_line),   cmocka_unit_test(test_socket_link),
        cmocka_unit_test(test_net_link),   cmocka_unit_test(test_task),
        cmocka_unit_test(test_newest_pid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
