// SPDX-License-Identifier: Apache-2.0
/*
 * Files of another process: in a tree that stands for /proc, with a root full of traps,
 * and in the real /proc.
 */
#include "host/host_files.h"
#include "host/model_files.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "test_folder.h"

enum { PID = 20, START = 200, NOBODY = 65534, TEXT_MAX = 4096 };

#define ROOT "20/root"
#define CACHE "/home/u/.cache/huggingface/hub"
#define REPOSITORY "/models--Org--Name-0.6B"
#define REVISION "0123456789abcdef0123456789abcdef01234567"

static const struct host_process process = {.pid = PID, .start_ticks = START};

static void make_folders(const char *path)
{
    char part[512];

    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        (void)snprintf(part, sizeof(part), "%.*s", (int)i, path);
        if (mkdir(part, 0755) < 0)
            assert_int_equal(errno, EEXIST);
    }
}

/* With the folders above it. */
static void write_bytes(const char *path, const char *data, size_t len)
{
    char folder[512];
    const char *slash = strrchr(path, '/');
    FILE *file;

    if (slash) {
        (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
        make_folders(folder);
    }
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

static void make_link(const char *target, const char *path)
{
    assert_int_equal(symlink(target, path), 0);
}

static void write_stat(unsigned start)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "20 (p) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %u 1000 2\n", start);
    write_file("20/stat", text);
}

#define SET_ENVIRON(text) write_bytes("20/environ", text, sizeof(text) - 1)

static struct host *open_here(void)
{
    struct host *host = NULL;

    assert_int_equal(host_new(".", &host), 0);
    return host;
}

/* The text of a file in the root, or what went wrong, as "error N". */
static void expect_file(const char *row, const char *path, const char *expected)
{
    struct host *host = open_here();
    char text[TEXT_MAX] = "";
    struct buf buf;
    int r;

    buf_init(&buf, TEXT_MAX - 1);
    r = host_read_file_in_root(host, &process, path, &buf);
    if (r < 0)
        (void)snprintf(text, sizeof(text), "error %d", -r);
    else if (buf.len)
        memcpy(text, buf.data, buf.len);
    if (strcmp(text, expected) != 0 || (r < 0 && buf.len))
        fail_msg("[%s] is \"%s\"", row, text);
    buf_done(&buf);
    host_free(host);
}

/* The secret lies outside of the root; nothing may lead there. */
static const struct {
    const char *row;
    const char *target; // of a link, /link; NULL: none
    const char *path;
    const char *expected;
} paths[] = {
    {"absolute", NULL, "/inside", "in"},
    {"relative", NULL, "inside", "in"},
    {"in a folder", NULL, "/folder/deep", "deep"},
    {"up and down", NULL, "/folder/../inside", "in"},
    {"up past the root", NULL, "/../../inside", "in"},
    {"up past the root, to the secret", NULL, "/../secret", "error 2"},
    {"not there", NULL, "/nothing", "error 2"},
    {"empty", NULL, "", "error 2"},
    {"below a file", NULL, "/inside/x", "error 20"},
    {"folder", NULL, "/folder", "error 22"},
    {"the root", NULL, "/", "error 22"},
    {"pipe", NULL, "/pipe", "error 22"},
    {"relative link", "folder/deep", "/link", "deep"},
    {"absolute link", "/folder/deep", "/link", "deep"},
    {"link to a folder", "/folder", "/link/deep", "deep"},
    {"link out, absolute", "/tmp/../20/secret", "/link", "error 2"},
    {"link out, upwards", "../../../../../../../20/secret", "/link", "error 2"},
    {"link out, to the next", "../secret", "/link", "error 2"},
    {"link to itself", "link", "/link", "error 40"},
    {"link to nothing", "nothing", "/link", "error 2"},
    {"link to a pipe", "/pipe", "/link", "error 22"},
};

static void make_root(void)
{
    write_file("20/secret", "secret");
    write_file(ROOT "/inside", "in");
    write_file(ROOT "/folder/deep", "deep");
    assert_int_equal(mkfifo(ROOT "/pipe", 0600), 0);
}

static void test_paths(void **state)
{
    (void)state;
    make_root();
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (paths[i].target)
            make_link(paths[i].target, ROOT "/link");
        expect_file(paths[i].row, paths[i].path, paths[i].expected);
        if (paths[i].target)
            assert_int_equal(unlink(ROOT "/link"), 0);
    }
}

/* The machine's own folder as the root: with its real /proc, /dev and /sys in it. */
static void test_kernel_files(void **state)
{
    static const struct {
        const char *row;
        const char *path;
        const char *expected;
    } rows[] = {
        {"own root by /proc", "/proc/self/root/etc/passwd", "error 40"},
        {"own folder by /proc", "/proc/self/cwd/stat", "error 40"},
        {"a descriptor", "/proc/self/fd/0", "error 40"},
        {"a program", "/proc/self/exe", "error 40"},
        {"a file of /proc", "/proc/self/status", "error 22"},
        {"one that waits", "/proc/kmsg", "error 22"},
        {"a file of /sys", "/sys/kernel/uevent_seqnum", "error 22"},
        {"a device", "/dev/null", "error 22"},
        {"a device that never ends", "/dev/zero", "error 22"},
    };

    (void)state;
    assert_int_equal(rmdir(ROOT), 0);
    make_link("/", ROOT);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (access(rows[i].path, F_OK) == 0)
            expect_file(rows[i].row, rows[i].path, rows[i].expected);
}

/* Only root may make devices. */
static void test_device(void **state)
{
    (void)state;
    if (mknod(ROOT "/null", S_IFCHR | 0666, makedev(1, 3)) < 0)
        skip();
    expect_file("device", "/null", "error 22");
}

static void test_sizes(void **state)
{
    static char data[TEXT_MAX + 1];

    (void)state;
    memset(data, 'x', TEXT_MAX);
    write_bytes(ROOT "/most", data, TEXT_MAX - 1);
    write_bytes(ROOT "/more", data, TEXT_MAX);
    write_file(ROOT "/empty", "");
    write_file(ROOT "/sparse", "");
    assert_int_equal(truncate(ROOT "/sparse", INT64_C(1) << 40), 0);
    expect_file("more", "/more", "error 7");
    expect_file("sparse", "/sparse", "error 7");
    expect_file("empty", "/empty", "");
    data[TEXT_MAX - 1] = '\0';
    expect_file("most", "/most", data);
}

/* A path longer than the kernel takes. */
static void test_long_path(void **state)
{
    static char path[8192];

    (void)state;
    for (size_t i = 0; i + 2 < sizeof(path); i += 2)
        memcpy(path + i, "./", 2);
    expect_file("long", path, "error 36");
}

/* What is open stays what it was, whatever happens to its path and its process. */
static void test_replaced_midway(void **state)
{
    struct host *host = open_here();
    char text[16] = "";
    int fd;

    (void)state;
    write_file(ROOT "/inside", "old");
    write_file(ROOT "/new", "new");
    fd = host_open_in_root(host, &process, "/inside");
    assert_true(fd >= 0);
    assert_int_equal(rename(ROOT "/new", ROOT "/inside"), 0);
    assert_int_equal(unlink("20/stat"), 0);
    assert_int_equal(read(fd, text, sizeof(text)), 3);
    assert_string_equal(text, "old");
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(close(fd), 0);
    host_free(host);
}

static void swap_for_ever(void)
{
    int r = 0;

    while (r >= 0) { // that some of it fails is a part of it
        r = symlink("../../secret", ROOT "/one");
        r = rename(ROOT "/one", ROOT "/folder/now");
        r = link(ROOT "/inside", ROOT "/two");
        r = rename(ROOT "/two", ROOT "/folder/now");
        r = rename(ROOT "/folder", ROOT "/aside");
        r = rename(ROOT "/aside", ROOT "/folder");
    }
    _exit(1);
}

/* Links and files change places all the time, and the secret is one of the targets. */
static void test_race(void **state)
{
    struct host *host = open_here();
    pid_t racer;

    (void)state;
    make_root();
    racer = fork();
    assert_true(racer >= 0);
    if (racer == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        swap_for_ever();
    }
    for (int i = 0; i < 20000; i++) {
        char byte = 0;
        int fd = host_open_in_root(host, &process, "/folder/now");

        if (fd < 0) {
            assert_true(fd == -ENOENT || fd == -EAGAIN);
            continue;
        }
        assert_int_equal(read(fd, &byte, 1), 1);
        assert_int_equal(byte, 'i');
        (void)close(fd);
    }
    assert_int_equal(kill(racer, SIGKILL), 0);
    assert_int_equal(waitpid(racer, NULL, 0), racer);
    host_free(host);
}

static void test_cmdline(void **state)
{
    static char data[HOST_CMDLINE_MAX + 1];
    struct host *host = open_here();
    struct buf buf;

    (void)state;
    buf_init(&buf, 1 << 20);
    write_bytes("20/cmdline", "a\0--b\0\x1b\0", 8);
    assert_int_equal(host_read_cmdline(host, &process, &buf), 0);
    assert_int_equal(buf.len, 8);
    assert_memory_equal(buf.data, "a\0--b\0\x1b\0", 8);

    write_bytes("20/cmdline", data, HOST_CMDLINE_MAX);
    assert_int_equal(host_read_cmdline(host, &process, &buf), 0);
    assert_int_equal(buf.len, HOST_CMDLINE_MAX);
    write_bytes("20/cmdline", data, HOST_CMDLINE_MAX + 1);
    assert_int_equal(host_read_cmdline(host, &process, &buf), -E2BIG);
    assert_int_equal(buf.len, 0);
    write_file("20/cmdline", "");
    assert_int_equal(host_read_cmdline(host, &process, &buf), 0);
    assert_int_equal(buf.len, 0);
    assert_int_equal(unlink("20/cmdline"), 0);
    assert_int_equal(host_read_cmdline(host, &process, &buf), -ESRCH);
    make_link("stat", "20/cmdline");
    assert_int_equal(host_read_cmdline(host, &process, &buf), -ELOOP);
    buf_done(&buf);
    host_free(host);
}

/* Another process has got the pid: before, or while we read. */
static void test_reused_pid(void **state)
{
    struct host *host = open_here();
    struct model_name name = {.model = "/m"};
    struct model_file config;
    struct complaint complaint;
    struct host_log log;
    struct buf buf;
    char value[16];

    (void)state;
    buf_init(&buf, 4096);
    write_stat(START + 1);
    write_file("20/cmdline", "x");
    write_file(ROOT "/x", "x");
    SET_ENVIRON("A=1\0");
    assert_int_equal(host_read_cmdline(host, &process, &buf), -ESRCH);
    assert_int_equal(host_read_environ_value(host, &process, "A", value, 16), -ESRCH);
    assert_int_equal(host_open_in_root(host, &process, "/x"), -ESRCH);
    assert_int_equal(host_read_startup_log(host, &process, &buf, &log), -ESRCH);
    assert_int_equal(host_find_model_config(host, &process, &name, &config, &complaint),
                     -ESRCH);
    buf_done(&buf);
    host_free(host);
}

static int read_given(struct host *host, const struct host_process *of, struct buf *buf)
{
    return host_read_given_file(host, of, "/x", buf);
}

/* The stat file is a pipe, which tells of one process first and then of another. */
static void test_pid_reused_midway(void **state)
{
    static const struct {
        int (*read)(struct host *, const struct host_process *, struct buf *);
        int looks; // at the stat file, before the last one
    } readers[] = {{host_read_cmdline, 1}, {host_read_environ, 1}, {read_given, 3}};
    struct host *host = open_here();
    struct buf buf;

    (void)state;
    buf_init(&buf, 4096);
    write_file("20/cmdline", "x");
    write_file(ROOT "/x", "x");
    SET_ENVIRON("A=1\0");
    assert_int_equal(unlink("20/stat"), 0);
    assert_int_equal(mkfifo("20/stat", 0600), 0);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        pid_t writer = fork();

        assert_true(writer >= 0);
        if (writer == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (int n = 0; n < readers[i].looks; n++) {
                write_stat(START);
                (void)usleep(100000); // until the reader has met the end
            }
            write_stat(START + 1);
            _exit(0);
        }
        assert_int_equal(readers[i].read(host, &process, &buf), -ESRCH);
        assert_int_equal(buf.len, 0);
        assert_int_equal(waitpid(writer, NULL, 0), writer);
    }
    buf_done(&buf);
    host_free(host);
}

static void test_environ(void **state)
{
    struct host *host = open_here();
    char value[8] = "kept";

    (void)state;
    SET_ENVIRON("HOME=/root\0HF_HOME=/models\0EMPTY=\0");
    assert_int_equal(host_read_environ_value(host, &process, "HF_HOME", value, 8), 7);
    assert_string_equal(value, "/models");
    assert_int_equal(host_read_environ_value(host, &process, "HF_HOME", value, 7),
                     -ENAMETOOLONG);
    assert_int_equal(host_read_environ_value(host, &process, "NONE", value, 8), -ENOENT);
    assert_string_equal(value, "/models");
    assert_int_equal(host_read_environ_value(host, &process, "EMPTY", value, 1), 0);
    assert_string_equal(value, "");
    SET_ENVIRON("VLLM::EngineCore\0\0HF_HOME=/models\0");
    assert_int_equal(host_read_environ_value(host, &process, "HF_HOME", value, 8),
                     -EBADMSG);
    host_free(host);
}

static void test_startup_log(void **state)
{
    static char data[HOST_LOG_MAX + 1];
    struct host *host = open_here();
    struct host_log log;
    struct buf buf;

    (void)state;
    buf_init(&buf, HOST_LOG_MAX);
    make_folders("20/fd");
    assert_int_equal(host_read_startup_log(host, &process, &buf, &log), -ESRCH);
    write_file("20/status", "NSpid:\t20\t1\n");
    assert_int_equal(host_read_startup_log(host, &process, &buf, &log), -ENOENT);
    assert_int_equal(mkfifo("20/pipe", 0600), 0);
    write_file("20/log", "started\n");
    make_link("../pipe", "20/fd/1");
    make_link("/dev/null", "20/fd/2");
    assert_int_equal(host_read_startup_log(host, &process, &buf, &log), -ENOENT);

    assert_int_equal(unlink("20/fd/2"), 0);
    make_link("../log", "20/fd/2");
    assert_int_equal(host_read_startup_log(host, &process, &buf, &log), 0);
    assert_int_equal(buf.len, 8);
    assert_memory_equal(buf.data, "started\n", 8);
    assert_true(log.whole);
    assert_int_equal(log.ns_pid, 1);

    write_bytes("20/log", data, HOST_LOG_MAX);
    assert_int_equal(host_read_startup_log(host, &process, &buf, &log), 0);
    assert_int_equal(buf.len, HOST_LOG_MAX);
    assert_true(log.whole);
    write_bytes("20/log", data, HOST_LOG_MAX + 1);
    assert_int_equal(host_read_startup_log(host, &process, &buf, &log), 0);
    assert_int_equal(buf.len, HOST_LOG_MAX);
    assert_false(log.whole);
    buf_done(&buf);
    host_free(host);
}

/* "PATH: TEXT" or "error N: what the complaint says". */
static void find_config(const struct model_name *name, char *text, size_t room)
{
    struct host *host = open_here();
    struct model_file config;
    struct complaint complaint;
    int r = host_find_model_config(host, &process, name, &config, &complaint);

    if (r < 0) {
        (void)snprintf(text, room, "error %d: %s", -r, complaint.text);
    } else {
        (void)snprintf(text, room, "%s: %.*s", config.path, (int)config.text.len,
                       config.text.data ? config.text.data : "");
        model_file_done(&config);
    }
    host_free(host);
}

/* `expected` is all of it, or the start of an error. */
static void expect_config(const char *row, const struct model_name *name,
                          const char *expected)
{
    char text[2048];
    size_t len = strncmp(expected, "error", 5) == 0 ? strlen(expected) : sizeof(text);

    find_config(name, text, sizeof(text));
    if (strncmp(text, expected, len) != 0)
        fail_msg("[%s] is \"%s\"", row, text);
}

static void expect_model(const char *row, const char *model, const char *expected)
{
    expect_config(row, &(struct model_name){.model = model}, expected);
}

/* As the hub's client lays it out: the file itself is a link to a blob. */
static void make_snapshot(const char *repository, const char *revision, const char *text)
{
    char path[512], target[64];

    (void)snprintf(target, sizeof(target), "../../blobs/%s", text);
    (void)snprintf(path, sizeof(path), "%s/blobs/%s", repository, text);
    write_file(path, text);
    (void)snprintf(path, sizeof(path), "%s/snapshots/%s", repository, revision);
    make_folders(path);
    (void)snprintf(path, sizeof(path), "%s/snapshots/%s/config.json", repository,
                   revision);
    make_link(target, path);
}

static void test_model_path(void **state)
{
    (void)state;
    SET_ENVIRON("HOME=/home/u\0");
    write_file(ROOT "/models/m/config.json", "abs");
    write_file(ROOT "/work/m/config.json", "rel");
    write_file(ROOT "/work/Org/Name/config.json", "org");
    write_file(ROOT "/home/u/m/config.json", "home");
    write_file(ROOT "/x.gguf", "");
    make_link("/work", "20/cwd");
    expect_model("absolute", "/models/m", "/models/m/config.json: abs");
    expect_model("with slash", "/models/m/", "/models/m/config.json: abs");
    expect_model("relative", "m", "/work/m/config.json: rel");
    expect_model("with dot", "./m", "/work/./m/config.json: rel");
    expect_model("upwards", "../models/m", "/work/../models/m/config.json: abs");
    expect_model("upwards out", "../../../20/m", "error 2: ");
    expect_model("in the home", "~/m", "/home/u/m/config.json: home");
    expect_model("as a name", "Org/Name", "/work/Org/Name/config.json: org");
    expect_model("not there", "/models/n",
                 "error 2: \"/models/n/config.json\" of process 20: no such file");
    expect_model("a file", "/x.gguf", "error 20: \"/x.gguf/config.json\"");
    expect_model("empty", "", "error 22");
    expect_model("cursor moves", "/\x1b[2Jx",
                 "error 2: \"/\xef\xbf\xbd[2Jx/config.json\"");
}

static void test_model_below_chroot(void **state)
{
    char here[256], target[512];

    (void)state;
    SET_ENVIRON("HOME=/home/u\0");
    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(rmdir(ROOT), 0);
    write_file("20/jail/work/m/config.json", "jailed");
    (void)snprintf(target, sizeof(target), "%s/20/jail", here);
    make_link(target, ROOT);
    (void)snprintf(target, sizeof(target), "%s/20/jail/work", here);
    make_link(target, "20/cwd");
    expect_model("below", "m", "/work/m/config.json: jailed");

    assert_int_equal(unlink("20/cwd"), 0);
    (void)snprintf(target, sizeof(target), "%s/20/jailer", here);
    make_link(target, "20/cwd");
    expect_model("beside", "./m", "error 2: ");
}

static void test_model_in_cache(void **state)
{
    static const char repository[] = ROOT CACHE REPOSITORY;
    static const char snapshot[] = CACHE REPOSITORY "/snapshots/";
    char expected[512];

    (void)state;
    make_link("/", "20/cwd");
    SET_ENVIRON("HOME=/home/u\0");
    expect_model("no cache", "Org/Name-0.6B",
                 "error 2: \"" CACHE REPOSITORY "/snapshots\" of process 20");
    make_snapshot(repository, REVISION, "first");
    (void)snprintf(expected, sizeof(expected), "%s" REVISION "/config.json: first",
                   snapshot);
    expect_model("only one", "Org/Name-0.6B", expected);

    make_snapshot(repository, "other", "second");
    expect_model("several", "Org/Name-0.6B",
                 "error 76: \"" CACHE REPOSITORY
                 "/snapshots\" of process 20: several snapshots");
    expect_config("by its name", &(struct model_name){"Org/Name-0.6B", "other"},
                  CACHE REPOSITORY "/snapshots/other/config.json: second");
    expect_config("by no name", &(struct model_name){"Org/Name-0.6B", "nothing"},
                  "error 2: \"" CACHE REPOSITORY "/snapshots/nothing/config.json\"");
    expect_config("by an odd name", &(struct model_name){"Org/Name-0.6B", "../other"},
                  "error 22: ");

    write_file(ROOT CACHE REPOSITORY "/refs/main", "other");
    write_file(ROOT CACHE REPOSITORY "/refs/pr/1", REVISION "\n");
    expect_model("ref", "Org/Name-0.6B",
                 CACHE REPOSITORY "/snapshots/other/config.json: second");
    expect_config("ref in a folder", &(struct model_name){"Org/Name-0.6B", "pr/1"},
                  expected);
    write_file(ROOT CACHE REPOSITORY "/refs/main", "gone");
    expect_model("ref to nothing", "Org/Name-0.6B",
                 "error 2: \"" CACHE REPOSITORY "/snapshots/gone/config.json\"");
}

static void test_odd_refs(void **state)
{
    static const struct {
        const char *row;
        const char *ref;
    } rows[] = {
        {"empty", ""},        {"upwards", ".."},
        {"a path", "a/b"},    {"a path upwards", "../../../../x"},
        {"absolute", "/etc"}, {"two lines", "a\nb"},
        {"blank", "a b"},     {"control", "a\x1b"},
    };

    (void)state;
    make_link("/", "20/cwd");
    SET_ENVIRON("HOME=/home/u\0");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        write_file(ROOT CACHE REPOSITORY "/refs/main", rows[i].ref);
        expect_model(rows[i].row, "Org/Name-0.6B",
                     "error 74: \"" CACHE REPOSITORY "/refs/main\"");
    }
    assert_int_equal(truncate(ROOT CACHE REPOSITORY "/refs/main", 1 << 20), 0);
    expect_model("huge", "Org/Name-0.6B", "error 7: ");
}

static void test_odd_snapshots(void **state)
{
    static const char folder[] = ROOT CACHE REPOSITORY "/snapshots";
    char path[512];

    (void)state;
    make_link("/", "20/cwd");
    SET_ENVIRON("HOME=/home/u\0");
    make_folders(folder);
    expect_model("none", "Org/Name-0.6B", "error 2: ");
    write_file(ROOT CACHE REPOSITORY "/snapshots/.hidden", "");
    expect_model("hidden", "Org/Name-0.6B", "error 2: ");
    write_file(ROOT CACHE REPOSITORY "/snapshots/a b", "");
    expect_model("odd", "Org/Name-0.6B", "error 74: ");
    assert_int_equal(unlink(ROOT CACHE REPOSITORY "/snapshots/a b"), 0);
    for (int i = 0; i < 4100; i++) {
        (void)snprintf(path, sizeof(path), "%s/.%d", folder, i);
        write_file(path, "");
    }
    expect_model("many", "Org/Name-0.6B", "error 7: ");
}

/* "index: TEXT", "size: BYTES" or "error N: what the complaint says". */
static void expect_weights(const char *row, const char *model, const char *expected)
{
    struct host *host = open_here();
    struct model_name name = {.model = model};
    struct model_weights weights;
    struct complaint complaint;
    char text[2048];
    int r = host_find_model_weights(host, &process, &name, &weights, &complaint);

    if (r < 0)
        (void)snprintf(text, sizeof(text), "error %d: %s", -r, complaint.text);
    else if (weights.index.len)
        (void)snprintf(text, sizeof(text), "index: %.*s%s", (int)weights.index.len,
                       weights.index.data,
                       weights.file_bytes == UNKNOWN ? "" : " and a size");
    else
        (void)snprintf(text, sizeof(text), "size: %llu",
                       (unsigned long long)weights.file_bytes);
    if (r == 0)
        model_weights_done(&weights);
    host_free(host);
    if (strncmp(text, expected, strlen(expected)) != 0)
        fail_msg("[%s] is \"%s\"", row, text);
}

#define INDEX "/model.safetensors.index.json"

static void test_weights(void **state)
{
    (void)state;
    SET_ENVIRON("HOME=/home/u\0");
    make_link("/work", "20/cwd");
    expect_weights("no folder", "/m", "error 2: \"/m/config.json\" of process 20");
    write_file(ROOT "/m/model.safetensors", "0123456789");
    expect_weights("no config", "/m", "error 2: \"/m/config.json\" of process 20");
    write_file(ROOT "/m/config.json", "{}");
    expect_weights("one file", "/m", "size: 10");
    expect_weights("one file, with slash", "/m/", "size: 10");
    write_file(ROOT "/m/pytorch_model.bin", "x");
    expect_weights("others count for nothing", "/m", "size: 10");
    write_file(ROOT "/m/consolidated.safetensors", "x");
    expect_weights("several", "/m", "error 2: \"/m/\" of process 20");
    write_file(ROOT "/m" INDEX, "{}");
    expect_weights("index", "/m", "index: {}");

    write_file(ROOT "/work/n/config.json", "{}");
    expect_weights("none", "n", "error 2: ");
    write_file(ROOT "/work/n/model-00001.safetensors", "x");
    expect_weights("another name", "n",
                   "error 2: \"/work/n/model.safetensors\" of process 20: no such file");
    write_file(ROOT "/config.json", "{}");
    write_file(ROOT "/model.safetensors", "x");
    expect_weights("in the root", "/", "size: 1");
}

static void test_odd_weights(void **state)
{
    (void)state;
    SET_ENVIRON("HOME=/home/u\0");
    make_link("/", "20/cwd");
    write_file("20/secret", "secret");
    write_file(ROOT "/m/config.json", "{}");
    make_link("../../secret", ROOT "/m/model.safetensors");
    expect_weights("link out", "/m", "error 2: \"/m/model.safetensors\"");
    make_link("../../secret", ROOT "/m" INDEX);
    expect_weights("index that leads out", "/m", "error 2: \"/m/model.safetensors\"");
    assert_int_equal(unlink(ROOT "/m" INDEX), 0);
    make_link("model.safetensors.index.json", ROOT "/m" INDEX);
    expect_weights("index that goes round", "/m", "error 40: ");
    assert_int_equal(unlink(ROOT "/m" INDEX), 0);
    make_folders(ROOT "/m" INDEX);
    expect_weights("index is a folder", "/m", "error 22: ");
    assert_int_equal(rmdir(ROOT "/m" INDEX), 0);
    assert_int_equal(unlink(ROOT "/m/model.safetensors"), 0);
    assert_int_equal(mkfifo(ROOT "/m/model.safetensors", 0600), 0);
    expect_weights("a pipe", "/m", "error 22: ");
    assert_int_equal(unlink(ROOT "/m/model.safetensors"), 0);
    write_file(ROOT "/m/model.safetensors", "");
    expect_weights("empty", "/m", "error 74: ");
    assert_int_equal(truncate(ROOT "/m/model.safetensors", INT64_C(1) << 42), 0);
    expect_weights("4 TiB", "/m", "size: 4398046511104");

    write_file(ROOT "/m" INDEX, " ");
    assert_int_equal(truncate(ROOT "/m" INDEX, MODEL_INDEX_MAX), 0);
    expect_weights("most", "/m", "index: ");
    assert_int_equal(truncate(ROOT "/m" INDEX, MODEL_INDEX_MAX + 1), 0);
    expect_weights("more", "/m", "error 7: \"/m" INDEX "\"");
    write_stat(START + 1);
    expect_weights("another process", "/m", "error 3: ");
}

/* As the hub's client has it: links to blobs. */
static void test_weights_in_cache(void **state)
{
    static const char repository[] = ROOT CACHE REPOSITORY;
    static const char snapshot[] = ROOT CACHE REPOSITORY "/snapshots/" REVISION;
    char path[512];

    (void)state;
    make_link("/", "20/cwd");
    SET_ENVIRON("HOME=/home/u\0");
    make_snapshot(repository, REVISION, "{}");
    (void)snprintf(path, sizeof(path), "%s/model.safetensors", snapshot);
    make_link("../../blobs/weights", path);
    expect_weights("not loaded yet", "Org/Name-0.6B", "error 2: ");
    write_file(ROOT CACHE REPOSITORY "/blobs/weights", "0123456789");
    expect_weights("one file", "Org/Name-0.6B", "size: 10");
    (void)snprintf(path, sizeof(path), "%s" INDEX, snapshot);
    make_link("../../blobs/index", path);
    expect_weights("index not loaded yet", "Org/Name-0.6B", "size: 10");
    write_file(ROOT CACHE REPOSITORY "/blobs/index", "[]");
    expect_weights("index", "Org/Name-0.6B", "index: []");
}

static const struct {
    const char *row;
    const char *path;
    const char *expected;
} given[] = {
    {"absolute", "/etc/v.yaml", "abs"},
    {"relative", "v.yaml", "rel"},
    {"with dot", "./v.yaml", "rel"},
    {"upwards", "../etc/v.yaml", "abs"},
    {"in the home", "~/v.yaml", "home"},
    {"only looks like it", "~v.yaml", "tilde"},
    {"link out", "/etc/out.yaml", "error 2"},
    {"upwards out", "../../../../20/secret", "error 2"},
    {"pipe", "/etc/pipe", "error 22"},
    {"folder", "/etc", "error 22"},
    {"empty", "", "error 22"},
    {"not there", "w.yaml", "error 2"},
    {"large", "/etc/large", "error 7"},
};

static void expect_given(const char *row, const char *path, const char *expected)
{
    struct host *host = open_here();
    char text[TEXT_MAX] = "";
    struct buf buf;
    int r;

    buf_init(&buf, TEXT_MAX - 1);
    buf_add_str(&buf, "what was there");
    r = host_read_given_file(host, &process, path, &buf);
    if (r < 0)
        (void)snprintf(text, sizeof(text), "error %d", -r);
    else if (buf.len)
        memcpy(text, buf.data, buf.len);
    if (strcmp(text, expected) != 0 || (r < 0 && buf.len))
        fail_msg("[%s] is \"%s\"", row, text);
    buf_done(&buf);
    host_free(host);
}

static void test_given_file(void **state)
{
    static char path[HOST_PATH_MAX + 1];

    (void)state;
    make_link("/work", "20/cwd");
    SET_ENVIRON("HOME=/home/u\0");
    write_file("20/secret", "secret");
    write_file(ROOT "/etc/v.yaml", "abs");
    write_file(ROOT "/work/v.yaml", "rel");
    write_file(ROOT "/work/~v.yaml", "tilde");
    write_file(ROOT "/home/u/v.yaml", "home");
    write_file(ROOT "/etc/large", "");
    assert_int_equal(truncate(ROOT "/etc/large", TEXT_MAX), 0);
    make_link("../../secret", ROOT "/etc/out.yaml");
    assert_int_equal(mkfifo(ROOT "/etc/pipe", 0600), 0);
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        expect_given(given[i].row, given[i].path, given[i].expected);

    memset(path, '/', HOST_PATH_MAX);
    expect_given("long", path, "error 36");
    SET_ENVIRON("VLLM::EngineCore\0");
    expect_given("no environment needed", "v.yaml", "rel");
    expect_given("needed", "~/v.yaml", "error 74");
    SET_ENVIRON("A=1\0");
    write_file(ROOT "/etc/passwd", "x:x:99999:1::/no:\n");
    expect_given("no home", "~/v.yaml", "error 61");
    write_stat(START + 1);
    expect_given("another process", "/etc/v.yaml", "error 3");
}

/* Where the cache is: the file in each place says which it is. */
static const struct {
    const char *row;
    struct span environment;
    const char *place; // NULL: none
} caches[] = {
#define ENVIRON(literal)             \
    {                                \
        literal, sizeof(literal) - 1 \
    }
    {"home", ENVIRON("HOME=/home/u\0"), CACHE},
    {"XDG_CACHE_HOME", ENVIRON("HOME=/home/u\0XDG_CACHE_HOME=/xdg\0"),
     "/xdg/huggingface/hub"},
    {"HF_HOME", ENVIRON("XDG_CACHE_HOME=/xdg\0HF_HOME=/hf\0"), "/hf/hub"},
    {"HF_HUB_CACHE", ENVIRON("HF_HOME=/hf\0HF_HUB_CACHE=/hub\0"), "/hub"},
    {"old name", ENVIRON("HF_HOME=/hf\0HUGGINGFACE_HUB_CACHE=/old\0"), "/old"},
    {"old and new name", ENVIRON("HUGGINGFACE_HUB_CACHE=/old\0HF_HUB_CACHE=/hub\0"),
     "/hub"},
    {"empty ones", ENVIRON("HF_HOME=\0HF_HUB_CACHE=\0HOME=/home/u\0"), CACHE},
    {"with ~", ENVIRON("HF_HOME=~/hf\0HOME=/home/u\0"), "/home/u/hf/hub"},
    {"relative", ENVIRON("HF_HOME=hf\0HOME=/home/u\0"), "/work/hf/hub"},
    {"relative home", ENVIRON("HOME=/\0"), "/.cache/huggingface/hub"},
    {"out of the root", ENVIRON("HF_HOME=/../../none\0"), NULL},
    {"home of passwd", ENVIRON("A=1\0"), "/home/passwd/.cache/huggingface/hub"},
    {"no environment", ENVIRON(""), "/home/passwd/.cache/huggingface/hub"},
    {"~ of passwd", ENVIRON("HF_HUB_CACHE=~\0"), "/home/passwd"},
};

static void test_caches(void **state)
{
    char text[512];

    (void)state;
    make_link("/work", "20/cwd");
    (void)snprintf(text, sizeof(text), "x:x:99999:1::/no:\nu:x:%u:1::/home/passwd:\n",
                   geteuid());
    write_file(ROOT "/etc/passwd", text);
    for (size_t i = 0; i < ARRAY_LEN(caches); i++) {
        if (!caches[i].place)
            continue;
        (void)snprintf(text, sizeof(text), ROOT "%s" REPOSITORY, caches[i].place);
        if (access(text, F_OK) < 0)
            make_snapshot(text, "r", "text");
    }
    for (size_t i = 0; i < ARRAY_LEN(caches); i++) {
        write_bytes("20/environ", caches[i].environment.at, caches[i].environment.len);
        if (caches[i].place)
            (void)snprintf(text, sizeof(text),
                           "%s" REPOSITORY "/snapshots/r/config.json: text",
                           caches[i].place);
        else
            (void)snprintf(text, sizeof(text), "error 2: ");
        expect_model(caches[i].row, "Org/Name-0.6B", text);
    }
}

static void test_no_home(void **state)
{
    (void)state;
    make_link("/", "20/cwd");
    SET_ENVIRON("A=1\0");
    expect_model("no passwd", "Org/Name", "error 2: \"/etc/passwd\" of process 20");
    write_file(ROOT "/etc/passwd", "x:x:99999:1::/no:\n");
    expect_model("not in passwd", "Org/Name", "error 61: \"/etc/passwd\" of process 20");
    SET_ENVIRON("VLLM::EngineCore\0");
    expect_model("written over", "Org/Name", "error 74: \"environ\" of process 20");
}

static const struct {
    const char *row;
    const char *name;
    bool ok;
} names[] = {
    {"one part", "gpt2", true},
    {"two parts", "Qwen/Qwen3-0.6B", true},
    {"underscores", "_a/b__c_", true},
    {"empty", "", false},
    {"slash", "/", false},
    {"no org", "/a", false},
    {"no name", "a/", false},
    {"two slashes", "a//b", false},
    {"three parts", "a/b/c", false},
    {"upwards", "..", false},
    {"upwards in it", "a/..", false},
    {"dots", "a..b", false},
    {"hyphens", "a--b", false},
    {"dot first", ".a", false},
    {"dot last", "a.", false},
    {"hyphen first", "-a/b", false},
    {"blank", "a b", false},
    {"newline", "a\n", false},
    {"colon", "s3://a", false},
    {"beyond ASCII", "m\xc3\xb6", false},
    {"NUL's neighbor", "a\x01", false},
};

static void test_hub_names(void **state)
{
    char name[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (model_is_hub_name(span_of(names[i].name)) != names[i].ok)
            fail_msg("[%s]", names[i].row);
    }
    memset(name, 'a', sizeof(name));
    assert_true(model_is_hub_name((struct span){name, 96}));
    assert_false(model_is_hub_name((struct span){name, 97}));
    name[96] = '/';
    assert_true(model_is_hub_name((struct span){name, 193}));
    assert_false(model_is_hub_name((struct span){name, 194}));

    assert_true(model_is_revision(span_of("refs/pr/1")));
    assert_false(model_is_revision(span_of("a/../b")));
    assert_false(model_is_revision(span_of("a/b/c/d/e")));
}

/* Longest names and paths end in an error, and nowhere else. */
static void test_long_models(void **state)
{
    char model[2048], home[1200];

    (void)state;
    make_link("/", "20/cwd");
    memcpy(home, "HF_HUB_CACHE=/", 14);
    memset(home + 14, 'h', sizeof(home) - 14);
    for (size_t len = 600; len < 1100; len += 7) {
        home[len] = '\0';
        write_bytes("20/environ", home, len + 1);
        home[len] = 'h';
        expect_model("long cache", "Org/Name", "error ");
    }
    for (size_t len = 900; len < sizeof(model); len += 11) {
        memset(model, '/', len);
        model[len] = '\0';
        expect_model("long path", model, "error ");
        memset(model, 'a', len);
        expect_model("long name", model, "error ");
    }
}

static void find_ourselves(struct host **host, struct host_process *ret)
{
    assert_int_equal(host_new("/proc", host), 0);
    assert_int_equal(host_read_process(*host, (uint32_t)getpid(), ret), 0);
}

static void test_ourselves(void **state)
{
    struct host_process self;
    struct model_name name;
    struct model_file config;
    struct complaint complaint;
    struct host *host;
    struct buf buf;
    char here[256], home[256];

    find_ourselves(&host, &self);
    buf_init(&buf, 1 << 20);
    assert_int_equal(host_read_cmdline(host, &self, &buf), 0);
    assert_true(buf.len > 0 && buf.data[buf.len - 1] == '\0');
    assert_non_null(strstr(buf.data, program_invocation_short_name));
    if (getenv("PATH") && strlen(getenv("PATH")) < sizeof(home)) {
        assert_true(host_read_environ_value(host, &self, "PATH", home, sizeof(home)) > 0);
        assert_string_equal(home, getenv("PATH"));
    }
    assert_int_equal(host_open_in_root(host, &self, "/dev/null"), -EINVAL);
    assert_int_equal(host_open_in_root(host, &self, "/proc/self/root/etc/passwd"),
                     -ELOOP);

    write_file("m/config.json", "ours");
    assert_non_null(getcwd(here, sizeof(here)));
    name = (struct model_name){.model = "m"};
    assert_int_equal(host_find_model_config(host, &self, &name, &config, &complaint), 0);
    assert_int_equal(config.text.len, 4);
    assert_memory_equal(config.path, here, strlen(here));
    assert_string_equal(config.path + strlen(here), "/m/config.json");
    model_file_done(&config);
    buf_done(&buf);
    host_free(host);
    (void)state;
}

/* A child whose output goes to a file, as `vllm serve > log` does it. */
static void test_log_of_a_child(void **state)
{
    struct host_process child = {0};
    struct host_log log;
    struct host *host;
    struct buf buf;
    int ready[2];
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open("log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || write(fd, "up\n", 3) != 3 ||
            write(ready[1], "x", 1) != 1)
            _exit(1);
        (void)pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    buf_init(&buf, HOST_LOG_MAX);
    assert_int_equal(host_new("/proc", &host), 0);
    assert_int_equal(host_read_process(host, (uint32_t)pid, &child), 0);
    assert_int_equal(host_read_startup_log(host, &child, &buf, &log), 0);
    assert_int_equal(buf.len, 3);
    assert_true(log.whole);
    assert_true(log.ns_pid > 0 && log.ns_pid <= (uint32_t)pid);

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(host_read_startup_log(host, &child, &buf, &log), -ESRCH);
    assert_int_equal(host_open_in_root(host, &child, "/"), -ESRCH);
    buf_done(&buf);
    host_free(host);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

/* What somebody else may see of us, as a sum of bits: 0 is all that is expected. */
static int look_as_nobody(const struct host_process *other)
{
    struct model_name name = {.model = "Org/Name"};
    struct model_file config;
    struct complaint complaint = {""};
    struct host *host = NULL;
    struct host_log log;
    struct buf buf;
    char value[16];
    int bad = 0;

    if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
        host_new("/proc", &host) < 0)
        return 1;
    buf_init(&buf, 1 << 20);
    if (host_read_cmdline(host, other, &buf) < 0 || buf.len == 0)
        bad |= 2;
    if (host_read_environ_value(host, other, "HOME", value, 16) != -EACCES)
        bad |= 4;
    if (host_open_in_root(host, other, "/etc/passwd") != -EACCES)
        bad |= 8;
    if (host_read_startup_log(host, other, &buf, &log) != -EACCES)
        bad |= 16;
    if (host_find_model_config(host, other, &name, &config, &complaint) != -EACCES ||
        !strstr(complaint.text, "run as the same user or root"))
        bad |= 32;
    buf_done(&buf);
    host_free(host);
    return bad;
}

/* Needs root, to become somebody who may not look. */
static void test_not_permitted(void **state)
{
    struct host_process self;
    struct host *host;
    pid_t child;
    int status;

    (void)state;
    if (geteuid() != 0)
        skip();
    find_ourselves(&host, &self);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(look_as_nobody(&self));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    host_free(host);
}

/* A file in the root that only others may read. */
static void test_unreadable_file(void **state)
{
    pid_t child;
    int status;

    (void)state;
    if (geteuid() != 0)
        skip();
    write_file(ROOT "/inside", "in");
    assert_int_equal(chmod(ROOT "/inside", 0600), 0);
    assert_int_equal(chmod(".", 0755), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct host *host = NULL;

        if (setresuid(NOBODY, NOBODY, NOBODY) < 0 || host_new(".", &host) < 0)
            _exit(1);
        _exit(host_open_in_root(host, &process, "/inside") == -EACCES ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* From here on the kernel has no openat2. */
static int forget_openat2(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LEN(filter), filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void test_old_kernel(void **state)
{
    pid_t child;
    int status;

    (void)state;
    make_root();
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char text[COMPLAINT_MAX];

        if (forget_openat2() < 0)
            _exit(77);
        if (host_open_in_root(open_here(), &process, "/inside") != -ENOSYS)
            _exit(1);
        find_config(&(struct model_name){.model = "/m"}, text, sizeof(text));
        _exit(strstr(text, "openat2") ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

/* A root of /proc without `self` is told apart from a file that is missing. */
static void test_no_self(void **state)
{
    (void)state;
    make_root();
    assert_int_equal(unlink("self"), 0);
    expect_file("no self", "/inside", "error 38");
}

/* Every way in, and every way it fails, gives its descriptors back. */
static void test_descriptors(void **state)
{
    static const char *const tried[] = {"/inside", "/nothing", "/folder", "/pipe"};
    struct rlimit few = {.rlim_cur = 24, .rlim_max = RLIM_INFINITY};
    struct rlimit before;

    (void)state;
    make_root();
    SET_ENVIRON("HF_HUB_CACHE=/hub\0");
    make_link("/", "20/cwd");
    make_snapshot(ROOT "/hub" REPOSITORY, "r", "text");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < 30; i++) {
        struct host *host = open_here();

        for (size_t j = 0; j < ARRAY_LEN(tried); j++) {
            int fd = host_open_in_root(host, &process, tried[j]);

            assert_int_not_equal(fd, -EMFILE);
            if (fd >= 0)
                (void)close(fd);
        }
        expect_model("repeated", "Org/Name-0.6B",
                     "/hub" REPOSITORY "/snapshots/r/config.json: text");
        host_free(host);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static int set_up(void **state)
{
    if (enter_folder(state) < 0)
        return -1;
    make_folders(ROOT);
    write_stat(START);
    return symlink("/proc/self", "self");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, leave_folder)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_FOLDER(test_paths),
        IN_FOLDER(test_kernel_files),
        IN_FOLDER(test_device),
        IN_FOLDER(test_sizes),
        IN_FOLDER(test_long_path),
        IN_FOLDER(test_replaced_midway),
        IN_FOLDER(test_race),
        IN_FOLDER(test_cmdline),
        IN_FOLDER(test_reused_pid),
        IN_FOLDER(test_pid_reused_midway),
        IN_FOLDER(test_environ),
        IN_FOLDER(test_startup_log),
        IN_FOLDER(test_model_path),
        IN_FOLDER(test_model_below_chroot),
        IN_FOLDER(test_model_in_cache),
        IN_FOLDER(test_odd_refs),
        IN_FOLDER(test_odd_snapshots),
        IN_FOLDER(test_weights),
        IN_FOLDER(test_odd_weights),
        IN_FOLDER(test_weights_in_cache),
        IN_FOLDER(test_given_file),
        IN_FOLDER(test_caches),
        IN_FOLDER(test_no_home),
        cmocka_unit_test(test_hub_names),
        IN_FOLDER(test_long_models),
        IN_FOLDER(test_ourselves),
        IN_FOLDER(test_log_of_a_child),
        IN_FOLDER(test_not_permitted),
        IN_FOLDER(test_unreadable_file),
        IN_FOLDER(test_old_kernel),
        IN_FOLDER(test_no_self),
        IN_FOLDER(test_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
