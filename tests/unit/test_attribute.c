// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "facts.h"
#include "join/attribute.h"

#define U UNKNOWN

enum { A, B, ENGINES }; // two engines: A listens as process 100, B as 200

/* (pid, parent) of a tree, and (pid, device, bytes) of what the driver lists. */
struct process {
    uint32_t pid, parent;
};

struct held {
    uint32_t pid, device;
    uint64_t bytes;
};

enum { NOT_LISTED = 1, INCOMPLETE = 2, B_NOT_VISIBLE = 4, NO_GPU = 8 };

struct wanted {
    uint64_t bytes;
    enum provenance how;
    const char *why; // words of the reason; NULL: there is none
    uint64_t devices;
};

/* Both servers run; 1 is init. */
#define ROOTS           \
    {100, 1}, {200, 1}, \
    {                   \
        1, 0            \
    }

static const struct row {
    const char *row;
    unsigned flags;
    struct process tree[10];
    struct held held[8];
    struct wanted wanted[ENGINES];
    uint64_t other;
    uint64_t devices[3];
} rows[] = {
    // clang-format off
    {"nobody holds anything", 0, {ROOTS}, {{0}},
     {{U, FROM_NOWHERE, "proxy", 0}, {U, FROM_NOWHERE, "proxy", 0}}, 0, {0, 0, 0}},
    {"the server itself", 0, {ROOTS}, {{100, 0, 5}},
     {{5, MEASURED, NULL, 1}, {U, FROM_NOWHERE, "proxy", 0}}, 0, {5, 0, 0}},
    {"TP workers over two GPUs", 0, {ROOTS, {101, 100}, {102, 101}, {103, 101}}, {{102, 0, 10}, {103, 1, 11}},
     {{21, MEASURED, NULL, 3}, {U, FROM_NOWHERE, "proxy", 0}}, 0, {10, 11, 0}},
    {"one worker with two rows on one device", 0, {ROOTS, {101, 100}}, {{101, 1, 10}, {101, 1, 3}},
     {{13, MEASURED, NULL, 2}, {U, FROM_NOWHERE, "proxy", 0}}, 0, {0, 13, 0}},
    {"API server siblings of the engine core", 0, {ROOTS, {101, 100}, {102, 100}, {103, 100}},
     {{101, 0, 1}, {102, 0, 2}, {103, 0, 40}},
     {{43, MEASURED, NULL, 1}, {U, FROM_NOWHERE, "proxy", 0}}, 0, {43, 0, 0}},
    {"two servers share a GPU", 0, {ROOTS, {101, 100}, {201, 200}}, {{101, 0, 7}, {201, 0, 9}},
     {{7, MEASURED, NULL, 1}, {9, MEASURED, NULL, 1}}, 0, {16, 0, 0}},
    {"a server started by another: the nearer one counts", 0, {{100, 1}, {200, 100}, {201, 200}, {1, 0}}, {{201, 0, 9}, {100, 0, 1}},
     {{1, MEASURED, NULL, 1}, {9, MEASURED, NULL, 1}}, 0, {10, 0, 0}},
    {"a process of another tree", 0, {ROOTS, {300, 1}, {301, 300}}, {{301, 2, 50}},
     {{U, FROM_NOWHERE, "proxy", 0}, {U, FROM_NOWHERE, "proxy", 0}}, 50, {0, 0, 50}},
    {"the server's parent is not the server", 0, {{100, 50}, {200, 1}, {50, 1}, {1, 0}}, {{50, 0, 8}},
     {{U, FROM_NOWHERE, "proxy", 0}, {U, FROM_NOWHERE, "proxy", 0}}, 8, {8, 0, 0}},
    {"an orphan: its parent is gone", 0, {ROOTS, {101, 0}}, {{101, 0, 8}},
     {{U, FROM_NOWHERE, "proxy", 0}, {U, FROM_NOWHERE, "proxy", 0}}, 8, {8, 0, 0}},
    {"a hidden pid", 0, {ROOTS, {101, 100}}, {{101, 0, 7}, {9999, 0, 30}},
     {{7, ESTIMATED, "--pid=host", 1}, {U, FROM_NOWHERE, "--pid=host", 0}}, 30, {37, 0, 0}},
    {"bytes the driver hides", 0, {ROOTS, {101, 100}, {201, 200}}, {{101, 0, U}, {201, 1, 4}},
     {{U, FROM_NOWHERE, "does not tell", 1}, {4, MEASURED, NULL, 2}}, 0, {0, 4, 0}},
    {"hidden bytes before known ones", 0, {ROOTS, {101, 100}, {102, 100}}, {{101, 0, U}, {102, 1, 4}},
     {{U, FROM_NOWHERE, "does not tell", 3}, {U, FROM_NOWHERE, "proxy", 0}}, 0, {0, 4, 0}},
    {"hidden bytes after known ones", 0, {ROOTS, {101, 100}, {102, 100}}, {{102, 1, 4}, {101, 0, U}},
     {{U, FROM_NOWHERE, "does not tell", 3}, {U, FROM_NOWHERE, "proxy", 0}}, 0, {0, 4, 0}},
    {"hidden bytes of a stranger", 0, {ROOTS, {300, 1}}, {{300, 0, U}, {100, 0, 2}},
     {{2, MEASURED, NULL, 1}, {U, FROM_NOWHERE, "proxy", 0}}, 0, {2, 0, 0}},
    {"bytes that cannot be", 0, {ROOTS}, {{100, 0, UINT64_C(1) << 63}, {100, 1, UINT64_C(1) << 63}, {200, 1, U - 1}},
     {{U, FROM_NOWHERE, "does not tell", 3}, {U, FROM_NOWHERE, "does not tell", 2}}, 0, {0, 0, 0}},
    {"a stranger's bytes that cannot be", 0, {ROOTS, {300, 1}}, {{300, 0, U - 1}, {300, 1, 6}},
     {{U, FROM_NOWHERE, "proxy", 0}, {U, FROM_NOWHERE, "proxy", 0}}, 6, {0, 6, 0}},
    {"the list is not complete", INCOMPLETE, {ROOTS, {101, 100}}, {{101, 0, 7}},
     {{7, ESTIMATED, "not complete", 1}, {U, FROM_NOWHERE, "not complete", 0}}, 0, {7, 0, 0}},
    {"no list yet", NOT_LISTED, {ROOTS}, {{0}},
     {{U, FROM_NOWHERE, "not listed", 0}, {U, FROM_NOWHERE, "not listed", 0}}, 0, {0, 0, 0}},
    {"a server whose process is not visible", B_NOT_VISIBLE, {ROOTS, {101, 100}, {201, 200}}, {{101, 0, 7}, {201, 0, 9}},
     {{7, MEASURED, NULL, 1}, {U, FROM_NOWHERE, "not visible", 0}}, 9, {16, 0, 0}},
    {"no GPU on this host", NO_GPU, {ROOTS}, {{0}},
     {{0, MEASURED, "no GPU", 0}, {0, MEASURED, "no GPU", 0}}, 0, {0, 0, 0}},
    {"a tree that bites its tail", 0, {{100, 1}, {200, 1}, {300, 301}, {301, 300}}, {{300, 0, 3}},
     {{U, FROM_NOWHERE, "proxy", 0}, {U, FROM_NOWHERE, "proxy", 0}}, 3, {3, 0, 0}},
    {"its own parent", 0, {{100, 100}, {200, 200}, {300, 300}}, {{300, 0, 3}, {100, 1, 4}},
     {{4, MEASURED, NULL, 2}, {U, FROM_NOWHERE, "proxy", 0}}, 3, {3, 4, 0}},
    // clang-format on
};

static void set_up(const struct row *row, struct facts *f)
{
    facts_begin(f);
    for (int i = 0; i < 3; i++)
        facts_device(f, 80 * GIB, GIB);
    for (size_t i = 0; i < ARRAY_LEN(row->tree) && row->tree[i].pid; i++)
        facts_process(f, row->tree[i].pid, row->tree[i].parent);
    for (size_t i = 0; i < ARRAY_LEN(row->held) && row->held[i].pid; i++)
        facts_holds(f, row->held[i].pid, row->held[i].device, row->held[i].bytes);
    facts_engine(f, 8000, 100, "a");
    facts_engine(f, 8001, row->flags & B_NOT_VISIBLE ? 0 : 200, "b");
    if (row->flags & NOT_LISTED)
        f->gpu.processes_taken_ns = 0;
    if (row->flags & INCOMPLETE)
        f->gpu.processes_incomplete = 1;
    if (row->flags & NO_GPU)
        f->join.gpu = NULL;
}

static void check(const struct row *row, const struct attributions *shares)
{
    for (int i = 0; i < ENGINES; i++) {
        const struct wanted *wanted = &row->wanted[i];
        struct figure is = shares->engines[i].bytes;
        bool why = wanted->why ? is.why && strstr(is.why, wanted->why) : !is.why;

        if (is.value != wanted->bytes || is.how != wanted->how || !why ||
            shares->engines[i].devices != wanted->devices)
            fail_msg("[%s] engine %d: %llu (%d, %s) on %llx", row->row, i,
                     (unsigned long long)is.value, (int)is.how, is.why,
                     (unsigned long long)shares->engines[i].devices);
    }
    if (shares->other_bytes != row->other)
        fail_msg("[%s] other %llu", row->row, (unsigned long long)shares->other_bytes);
    for (int i = 0; i < 3; i++)
        if (shares->devices_bytes[i] != row->devices[i])
            fail_msg("[%s] device %d: %llu", row->row, i,
                     (unsigned long long)shares->devices_bytes[i]);
}

static void test_rows(void **state)
{
    static struct facts f;
    static struct attributions shares;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        set_up(&rows[i], &f);
        attribute(&f.join, &shares);
        check(&rows[i], &shares);
    }
}

/* The order in which a driver lists its processes says nothing. */
static void test_order_does_not_matter(void **state)
{
    static struct facts f;
    static struct attributions shares;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        set_up(&rows[i], &f);
        for (uint32_t a = 0, b = f.gpu.n_processes; a + 1 < b; a++, b--) {
            struct gpu_process process = f.gpu.processes[a];

            f.gpu.processes[a] = f.gpu.processes[b - 1];
            f.gpu.processes[b - 1] = process;
        }
        attribute(&f.join, &shares);
        check(&rows[i], &shares);
    }
}

/* A chain of ancestors is followed HOST_DEPTH_MAX processes, and no further. */
static void test_depth(void **state)
{
    static struct facts f;
    static struct attributions shares;

    (void)state;
    for (uint32_t depth = HOST_DEPTH_MAX - 1; depth <= HOST_DEPTH_MAX; depth++) {
        facts_begin(&f);
        facts_device(&f, 80 * GIB, GIB);
        facts_process(&f, 100, 1);
        for (uint32_t i = 1; i <= depth; i++)
            facts_process(&f, 100 + i, 100 + i - 1);
        facts_holds(&f, 100 + depth, 0, 5);
        facts_engine(&f, 8000, 100, "a");
        attribute(&f.join, &shares);
        assert_int_equal(shares.engines[0].bytes.value,
                         depth < HOST_DEPTH_MAX ? 5 : UNKNOWN);
        assert_int_equal(shares.other_bytes, depth < HOST_DEPTH_MAX ? 0 : 5);
    }
}

static void test_last_device_and_engine(void **state)
{
    static struct facts f;
    static struct attributions shares;

    (void)state;
    facts_begin(&f);
    for (int i = 0; i < GPU_DEVICES_MAX; i++)
        facts_device(&f, 80 * GIB, GIB);
    for (uint32_t i = 0; i < SNAPSHOT_MODELS_MAX; i++) {
        facts_process(&f, 100 + i, 1);
        facts_engine(&f, (uint16_t)(8000 + i), 100 + i, "m");
        facts_holds(&f, 100 + i, i % GPU_DEVICES_MAX, i + 1);
    }
    attribute(&f.join, &shares);
    for (uint32_t i = 0; i < SNAPSHOT_MODELS_MAX; i++) {
        assert_int_equal(shares.engines[i].bytes.value, i + 1);
        assert_true(shares.engines[i].devices == 1ULL << i % GPU_DEVICES_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_last_device_and_engine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
