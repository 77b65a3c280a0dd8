// SPDX-License-Identifier: Apache-2.0
/*
 * Processes told as they appear: in trees that the test makes, with and without a newest
 * pid, and on this machine.
 */
#include "host/host_scan.h"
#include "host/pid_table.h"
#include "test_gpu_allocs.h"
#include "test_host_tree.h"

enum { TOLD_MAX = 16384, BUDGET = 64 };

/* What was told since the last look. */
static struct {
    unsigned n;
    struct host_process at[TOLD_MAX];
} told;

static void tell(void *ctx, const struct host_process *process)
{
    assert_null(ctx);
    assert_true(told.n < TOLD_MAX);
    told.at[told.n++] = *process;
}

static unsigned times_told(uint32_t pid)
{
    unsigned n = 0;

    for (unsigned i = 0; i < told.n; i++)
        n += told.at[i].pid == pid;
    return n;
}

static struct host_scan *open_scan(struct host *host)
{
    struct host_scan *scan = NULL;

    told.n = 0;
    assert_int_equal(host_scan_new(host, &scan), 0);
    return scan;
}

static void run(struct host_scan *scan, unsigned times, unsigned budget)
{
    while (times-- > 0)
        host_scan_run(scan, budget, tell, NULL);
}

/* The pids told by one run, as text. */
static void expect_run(struct host_scan *scan, unsigned budget, const char *expected)
{
    char text[256] = "";

    told.n = 0;
    run(scan, 1, budget);
    for (unsigned i = 0; i < told.n; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u",
                       i ? " " : "", told.at[i].pid);
    assert_string_equal(text, expected);
}

static void make_task(unsigned pid, const char *flags, const char *signal, unsigned start)
{
    char path[PATH_ROOM], text[256];

    (void)snprintf(path, sizeof(path), "%u", pid);
    make_folder(path);
    (void)snprintf(path, sizeof(path), "%u/stat", pid);
    (void)snprintf(
        text, sizeof(text),
        "%u (p) S 1 1 1 0 -1 %s 1 2 3 4 5 6 7 8 20 0 12 0 %u 10 11 12 13 14 15 "
        "16 17 18 19 20 21 22 23 24 %s 3 0 0\n",
        pid, flags, start, signal);
    write_file(path, text);
}

static void remove_process(unsigned pid)
{
    char path[PATH_ROOM];

    (void)snprintf(path, sizeof(path), "%u/stat", pid);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof(path), "%u", pid);
    assert_int_equal(rmdir(path), 0);
}

/* Newly read from time to time: the folder's own order does not matter. */
static void test_sweeps(void **state)
{
    struct host *host = open_here();
    struct host_scan *scan;

    (void)state;
    make_process(20, 1, 200);
    make_task(21, "2129984", "0", 1);    // of the kernel
    make_task(22, "4194304", "-1", 200); // a thread, which no folder lists
    write_file("23", "no folder");
    make_folder("24");
    make_folder("self-made");
    scan = open_scan(host);
    expect_run(scan, BUDGET, "20");
    expect_run(scan, BUDGET, "");
    make_process(30, 1, 300);
    expect_run(scan, BUDGET, "30");
    expect_run(scan, BUDGET, "");
    expect_run(scan, BUDGET, "20"); // the second time
    expect_run(scan, BUDGET, "");
    expect_run(scan, BUDGET, "30");
    run(scan, 20, BUDGET);
    assert_int_equal(told.n, 1); // just that

    make_process(20, 1, 900); // its pid is used again
    expect_run(scan, BUDGET, "20");
    assert_int_equal(told.at[0].start_ticks, 900);
    remove_process(20);
    told.n = 0;
    run(scan, 8, BUDGET);
    assert_int_equal(told.n, 0); // gone before the second time
    make_process(20, 1, 900);
    expect_run(scan, BUDGET, "20"); // it had been forgotten
    make_process(40, 1, 1000);
    expect_run(scan, BUDGET, "40");
    make_process(40, 1, 1001); // another, before the second time
    told.n = 0;
    run(scan, 8, BUDGET);
    assert_int_equal(times_told(40), 2);
    assert_false(host_scan_is_incomplete(scan));
    host_scan_free(scan);
    host_scan_free(NULL);
    host_free(host);
}

static void test_budget(void **state)
{
    enum { N = 100 };
    struct host *host = open_here();
    struct host_scan *scan;

    (void)state;
    for (unsigned i = 0; i < N; i++)
        make_process(100 + i, 1, 100);
    scan = open_scan(host);
    for (unsigned i = 1; i <= HOST_SCAN_SECOND_RUNS; i++) {
        run(scan, 1, 10);
        assert_in_range(told.n, 10 * i - 2, 10 * i); // "." and ".." are names too
    }
    run(scan, 1, 10);
    assert_in_range(told.n, 56, 60); // and ten a second time
    run(scan, 16, 10);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(times_told(100 + i), 2);
    host_scan_free(scan);
    host_free(host);
}

static void write_newest(unsigned pid)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "0.51 0.14 0.19 4/106 %u\n", pid);
    write_file("loadavg", text);
}

/* Names read beforehand keep the folder from telling anything for a while. */
static struct host_scan *open_scan_with_newest(struct host *host, unsigned newest)
{
    make_folder("self");
    write_file("self/status", "Name:\ta\nNSpid:\t20\nNSpgid:\t20\n");
    write_newest(newest);
    return open_scan(host);
}

static void test_newest(void **state)
{
    struct host *host = open_here();
    struct host_scan *scan;

    (void)state;
    for (unsigned pid = 1000; pid < 1150; pid++)
        make_process(pid, 1, 100);
    scan = open_scan_with_newest(host, 2000);
    run(scan, 12, 2 * BUDGET);
    assert_int_equal(told.n, 300);

    /* Found by its number: a slice of one name would not do. */
    make_process(2003, 1, 300);
    make_task(2004, "4194304", "-1", 300);
    make_task(2005, "2129984", "0", 300);
    expect_run(scan, 1, "");
    write_newest(2010);
    expect_run(scan, 1, "2003");
    expect_run(scan, 1, "");
    expect_run(scan, 1, "");
    expect_run(scan, 1, "");
    make_process(2009, 1, 300);       // its number had been given already
    expect_run(scan, 1, "2003 2009"); // one for the second time
    for (unsigned pid = 2011; pid <= 2014; pid++)
        make_process(pid, 1, 300);
    write_newest(2014);
    told.n = 0;
    run(scan, 1, 2);
    assert_int_equal(times_told(2011) + times_told(2012), 2);
    run(scan, 1, 2);
    for (uint32_t pid = 2011; pid <= 2014; pid++)
        assert_int_equal(times_told(pid), 1);
    host_scan_free(scan);
    host_free(host);
}

static void test_newest_starts_again(void **state)
{
    struct host *host = open_here();
    struct host_scan *scan;

    (void)state;
    make_folder("sys");
    make_folder("sys/kernel");
    write_file("sys/kernel/pid_max", "32768\n");
    make_process(400, 1, 100);
    scan = open_scan_with_newest(host, 32765);
    run(scan, 20, BUDGET);
    assert_int_equal(told.n, 2);
    make_process(32767, 1, 500);
    make_process(299, 1, 500); // never given again
    make_process(300, 1, 500);
    make_process(400, 1, 500); // was known, and is another now
    write_newest(400);
    expect_run(scan, BUDGET, "32767 300 400 299"); // the last one by the folder

    write_newest(32767); // the largest, so that the next one is 300
    run(scan, 20, BUDGET);
    make_process(298, 1, 600);
    make_process(301, 1, 600);
    write_newest(301);
    expect_run(scan, BUDGET, "301 298");
    host_scan_free(scan);
    host_free(host);
}

/* The folder is read at once where the numbers have gone too far. */
static void test_newest_jumps(void **state)
{
    struct host *host = open_here();
    struct host_scan *scan;

    (void)state;
    make_process(400, 1, 100);
    scan = open_scan_with_newest(host, 1000);
    run(scan, 20, BUDGET);
    make_process(400, 1, 500);
    make_process(900000, 1, 500);
    write_newest(1000000);
    told.n = 0;
    run(scan, 2, BUDGET);
    assert_int_equal(told.n, 2);
    assert_int_equal(times_told(400), 1);

    make_process(900001, 1, 500);
    write_file("loadavg", "");
    told.n = 0;
    run(scan, 2, BUDGET);
    assert_int_equal(times_told(900001), 1);

    write_newest(900001); // one answer that was none is no reason not to ask again
    run(scan, 20, BUDGET);
    make_process(900002, 1, 500);
    write_newest(900002);
    expect_run(scan, 1, "900002");
    host_scan_free(scan);
    host_free(host);
}

/* Where pids are counted otherwise, the newest one is of no use. */
static void test_newest_of_others(void **state)
{
    struct host *host = open_here();
    struct host_scan *scan;

    (void)state;
    make_folder("self");
    write_file("self/status", "Name:\ta\nNSpid:\t20\t1\nNSpgid:\t20\t1\n");
    write_newest(20);
    scan = open_scan(host);
    run(scan, 20, BUDGET);
    make_process(15, 1, 500);
    expect_run(scan, BUDGET, "15");
    host_scan_free(scan);
    host_free(host);
}

static void test_table(void **state)
{
    struct pid_table table;
    uint32_t pid;

    (void)state;
    pid_table_init(&table);
    assert_null(pid_table_find(&table, 1));
    assert_null(pid_table_add(&table, 0));
    for (pid = 1; pid <= PID_TABLE_MAX; pid++) {
        struct pid_entry *entry = pid_table_add(&table, pid * 7);

        assert_non_null(entry);
        entry->mark = pid % 3;
        entry->start_ticks = pid;
    }
    assert_null(pid_table_add(&table, pid * 7));
    assert_null(pid_table_find(&table, 0));
    pid_table_keep(&table, 1);
    for (pid = 1; pid <= PID_TABLE_MAX; pid++) {
        const struct pid_entry *entry = pid_table_find(&table, pid * 7);

        assert_int_equal(entry != NULL, pid % 3 == 1);
        assert_true(!entry || entry->start_ticks == pid);
    }
    pid_table_keep(&table, 2);
    assert_int_equal(table.n, 0);
    for (uint32_t i = 0; i < table.slots; i++)
        assert_int_equal(table.entries[i].pid, 0);
    pid_table_done(&table);
}

static pid_t fork_sleeper(void)
{
    pid_t child = fork_helper();

    if (child == 0) {
        (void)pause();
        _exit(0);
    }
    return child;
}

static void end_child(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_live(void **state)
{
    enum { ALL = 4096 };
    struct host *host;
    struct host_scan *scan;
    pid_t first = fork_sleeper(), second;

    (void)state;
    assert_int_equal(host_new("/proc", &host), 0);
    scan = open_scan(host);
    run(scan, 1, ALL);
    assert_int_equal(times_told((uint32_t)getpid()), 1);
    assert_int_equal(times_told((uint32_t)first), 1);
    told.n = 0;
    run(scan, 8, ALL);
    assert_int_equal(times_told((uint32_t)first), 1);

    allocs = 0;
    told.n = 0;
    second = fork_sleeper();
    run(scan, 2, ALL);
    assert_int_equal(times_told((uint32_t)second), 1);
    assert_int_equal(times_told((uint32_t)first), 0);
    run(scan, 6, ALL);
    assert_int_equal(times_told((uint32_t)second), 2);
    assert_int_equal(allocs, 0);
    end_child(first);
    end_child(second);
    host_scan_free(scan);
    host_free(host);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_FOLDER(test_sweeps),       IN_FOLDER(test_budget),
        IN_FOLDER(test_newest),       IN_FOLDER(test_newest_starts_again),
        IN_FOLDER(test_newest_jumps), IN_FOLDER(test_newest_of_others),
        cmocka_unit_test(test_table), cmocka_unit_test(test_live),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
