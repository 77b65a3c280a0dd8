// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "sim/sim_holder.h"
#include "sim/sim_tree.h"

enum { PATH_ROOM = 256, TEXT_ROOM = 128, HOLDERS_MAX = 16, PATIENCE_MS = 5000 };

static char dir[PATH_ROOM];

static int make_dir(void **state)
{
    (void)state;
    memcpy(dir, "/tmp/vramscope-sim-XXXXXX", sizeof("/tmp/vramscope-sim-XXXXXX"));
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    char path[2 * PATH_ROOM];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/processes", dir);
    (void)rmdir(path); // a test may not have made it
    return rmdir(dir);
}

struct holder {
    pid_t pid;
    unsigned long long device, bytes;
    char comm[TEXT_ROOM];
};

static void read_text(const char *path, char text[TEXT_ROOM])
{
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    assert_non_null(fgets(text, TEXT_ROOM, file));
    assert_int_equal(fclose(file), 0);
}

static void read_holder(const char *name, struct holder *holder)
{
    char path[4 * PATH_ROOM], text[TEXT_ROOM], *end;

    holder->pid = (pid_t)strtol(name, &end, 10);
    assert_true(*name != '\0' && *end == '\0');
    (void)snprintf(path, sizeof(path), "%s/processes/%s", dir, name);
    read_text(path, text);
    holder->device = strtoull(text, &end, 10);
    assert_int_equal(*end, ' ');
    holder->bytes = strtoull(end + 1, &end, 10);
    assert_string_equal(end, "\n");
    (void)snprintf(path, sizeof(path), "/proc/%s/comm", name);
    read_text(path, holder->comm);
}

static int by_device(const void *a, const void *b)
{
    const struct holder *x = a, *y = b;

    return (x->device > y->device) - (x->device < y->device);
}

/* Who holds memory, by device. */
static size_t read_holders(struct holder holders[HOLDERS_MAX])
{
    char path[2 * PATH_ROOM];
    struct dirent *entry;
    size_t n = 0;
    DIR *d;

    (void)snprintf(path, sizeof(path), "%s/processes", dir);
    d = opendir(path);
    assert_non_null(d);
    for (entry = readdir(d); entry; entry = readdir(d)) {
        if (*entry->d_name == '.')
            continue;
        assert_true(n < HOLDERS_MAX);
        read_holder(entry->d_name, &holders[n++]);
    }
    assert_int_equal(closedir(d), 0);
    qsort(holders, n, sizeof(*holders), by_device);
    return n;
}

static size_t count_files(void)
{
    char path[2 * PATH_ROOM];
    struct dirent *entry;
    size_t n = 0;
    DIR *d;

    (void)snprintf(path, sizeof(path), "%s/processes", dir);
    d = opendir(path);
    assert_non_null(d);
    for (entry = readdir(d); entry; entry = readdir(d))
        n += *entry->d_name != '.';
    assert_int_equal(closedir(d), 0);
    return n;
}

static int start(size_t engines, size_t gpus, const char *gpu_dir, struct sim_tree *tree,
                 struct complaint *complaint)
{
    static char words[] = "vramscope-sim\0--port\0008000\0--model\0a-name-of-some-length";
    char *argv[] = {words, words + 14, words + 21, words + 26, words + 34, NULL};
    const struct sim_tree_options options = {
        .engines = engines,
        .gpus = gpus,
        .gpu_index = 2,
        .vram_bytes = 17179869184,
        .gpu_dir = gpu_dir,
        .argc = 5,
        .argv = argv,
    };

    assert_string_equal(argv[4], "a-name-of-some-length");
    return sim_tree_start(&options, tree, complaint);
}

static void test_trees(void **state)
{
    static const struct {
        const char *row;
        size_t engines, gpus;
        const char *comm; // of all holders, as the kernel cuts it
    } rows[] = {
        {"one process", 1, 1, "VLLM::EngineCor\n"},
        {"data parallel", 3, 1, "VLLM::EngineCor\n"},
        {"tensor parallel", 1, 4, "VLLM::Worker_TP\n"},
        {"both", 2, 2, "VLLM::Worker_DP\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct holder holders[HOLDERS_MAX];
        struct complaint complaint;
        struct sim_tree tree;
        size_t n = rows[i].engines * rows[i].gpus;

        assert_int_equal(start(rows[i].engines, rows[i].gpus, dir, &tree, &complaint), 0);
        if (read_holders(holders) != n)
            fail_msg("[%s] not %zu holders", rows[i].row, n);
        for (size_t h = 0; h < n; h++) {
            assert_int_equal(holders[h].device, 2 + h);
            assert_true(holders[h].bytes == 17179869184U);
            assert_string_equal(holders[h].comm, rows[i].comm);
        }
        assert_int_equal(tree.n, rows[i].engines);
        sim_tree_stop(&tree);
        assert_int_equal(count_files(), 0);
        for (size_t h = 0; h < n; h++)
            assert_true(kill(holders[h].pid, 0) < 0);
        sim_tree_stop(&tree); // and again, to no effect
    }
}

static bool in_time(int *ms)
{
    const struct timespec pause = {0, 10 * 1000 * 1000};

    (void)nanosleep(&pause, NULL);
    *ms += 10;
    return *ms < PATIENCE_MS;
}

static void test_killed_engine_leaves_nothing(void **state)
{
    struct complaint complaint;
    struct sim_tree tree;
    int ms = 0;

    (void)state;
    assert_int_equal(start(2, 1, dir, &tree, &complaint), 0);
    assert_int_equal(sim_tree_reap(&tree), 0);
    assert_int_equal(kill(tree.children[0], SIGKILL), 0);
    while (sim_tree_reap(&tree) == 0)
        assert_true(in_time(&ms));
    assert_int_equal(tree.children[0], 0);
    assert_int_equal(count_files(), 1);
    sim_tree_stop(&tree);
    assert_int_equal(count_files(), 0);
}

static void test_killed_worker_ends_its_engine(void **state)
{
    struct holder holders[HOLDERS_MAX];
    struct complaint complaint;
    struct sim_tree tree;
    int ms = 0;

    (void)state;
    assert_int_equal(start(1, 2, dir, &tree, &complaint), 0);
    assert_int_equal(read_holders(holders), 2);
    assert_int_equal(kill(holders[1].pid, SIGKILL), 0);
    while (sim_tree_reap(&tree) == 0)
        assert_true(in_time(&ms));
    assert_int_equal(count_files(), 0);
    sim_tree_stop(&tree);
}

static void test_killed_engine_takes_its_workers_along(void **state)
{
    struct complaint complaint;
    struct sim_tree tree;
    int ms = 0;

    (void)state;
    assert_int_equal(start(1, 2, dir, &tree, &complaint), 0);
    assert_int_equal(kill(tree.children[0], SIGKILL), 0);
    while (count_files() > 0)
        assert_true(in_time(&ms));
    sim_tree_stop(&tree);
}

static void test_without_a_driver(void **state)
{
    struct complaint complaint;
    struct sim_tree tree;

    (void)state;
    assert_int_equal(start(1, 2, NULL, &tree, &complaint), 0);
    assert_int_equal(kill(tree.children[0], 0), 0);
    sim_tree_stop(&tree);
}

static void test_bad_folders(void **state)
{
    struct complaint complaint = {0};
    struct sim_tree tree;

    (void)state;
    assert_int_equal(start(1, 1, "/nonexistent/dir", &tree, &complaint), -ENOENT);
    assert_non_null(strstr(complaint.text, "--gpu-dir: cannot use '/nonexistent/dir'"));
    assert_int_equal(start(1, 1, "/dev/null", &tree, &complaint), -ENOTDIR);
}

/* The folder is gone when the children want to write. */
static void test_holders_that_cannot_tell(void **state)
{
    char path[2 * PATH_ROOM];
    int fd = -1;

    (void)state;
    assert_int_equal(sim_holder_open(dir, &fd), 0);
    assert_int_equal(sim_holder_open(dir, &fd), 0); // made before: no matter
    (void)snprintf(path, sizeof(path), "%s/processes", dir);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(sim_holder_write(fd, 1, 0, 1), -ENOENT);
    sim_holder_remove(fd, 1);
    sim_holder_remove(-1, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_trees),
        TEST(test_killed_engine_leaves_nothing),
        TEST(test_killed_worker_ends_its_engine),
        TEST(test_killed_engine_takes_its_workers_along),
        TEST(test_without_a_driver),
        TEST(test_bad_folders),
        TEST(test_holders_that_cannot_tell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
