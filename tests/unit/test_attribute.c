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

/* ---- who is whose, by titles and adoptions ---- */

enum { SERVERS_KNOWN = 16, ADOPTS = 32 };

/* Its own devices, 60 bytes used on each: what no process explains is unattributed. */
static const struct kind {
    const char *row;
    unsigned flags;
    struct {
        uint32_t pid, parent;
        const char *comm;
    } tree[8];
    struct held held[6];
    struct join_adoption adoptions[2];
    uint64_t bytes[ENGINES]; // U: not known
    uint64_t other, orphan, orphans;
} kinds[] = {
    // clang-format off
    {"TP: a worker for each of two GPUs", SERVERS_KNOWN,
     {{101, 100, "VLLM::EngineCor"}, {102, 101, "VLLM::Worker_TP"}, {103, 101, "VLLM::Worker_TP"}},
     {{102, 0, 20}, {103, 1, 21}}, {{0}}, {41, U}, 0, 0, 0},
    {"PP and TP", SERVERS_KNOWN,
     {{101, 100, "VLLM::EngineCor"}, {102, 101, "VLLM::Worker_PP"}, {103, 101, "VLLM::Worker_PP"}},
     {{102, 0, 20}, {103, 1, 21}, {102, 1, 1}}, {{0}}, {42, U}, 0, 0, 0},
    {"DP: engine cores without workers", SERVERS_KNOWN,
     {{101, 100, "VLLM::EngineCor"}, {102, 100, "VLLM::EngineCor"}, {103, 100, "VLLM::DPCoordin"}},
     {{101, 0, 30}, {102, 1, 31}}, {{0}}, {61, U}, 0, 0, 0},
    {"MIG: two instances of one GPU are two devices", SERVERS_KNOWN,
     {{101, 100, "VLLM::EngineCor"}, {201, 200, "VLLM::EngineCor"}},
     {{101, 0, 11}, {201, 1, 12}}, {{0}}, {11, 12}, 0, 0, 0},
    {"MPS: the client holds it, its daemon a little", SERVERS_KNOWN,
     {{101, 100, "VLLM::EngineCor"}, {300, 1, "nvidia-cuda-mps"}},
     {{101, 0, 40}, {300, 0, 2}}, {{0}}, {40, U}, 2, 0, 0},
    {"an orphan", SERVERS_KNOWN, {{300, 1, "VLLM::Worker_TP"}},
     {{300, 0, 33}, {300, 1, 4}}, {{0}}, {U, U}, 0, 37, 2},
    {"an orphan below what is left of its tree", SERVERS_KNOWN,
     {{300, 1, "VLLM::EngineCor"}, {301, 300, "VLLM::Worker_TP"}},
     {{301, 0, 33}}, {{0}}, {U, U}, 0, 33, 1},
    {"an orphan that hides its bytes", SERVERS_KNOWN, {{300, 1, "VLLM::Worker_TP"}},
     {{300, 0, U}, {300, 1, 4}}, {{0}}, {U, U}, 0, 4, 2},
    {"not every server is known: no orphan", 0, {{300, 1, "VLLM::Worker_TP"}},
     {{300, 0, 33}}, {{0}}, {U, U}, 33, 0, 0},
    {"a title that is another's", SERVERS_KNOWN, {{300, 1, "VLLM:Worker"}, {301, 1, "vllm::Worker"}},
     {{300, 0, 33}, {301, 0, 1}}, {{0}}, {U, U}, 34, 0, 0},
    {"adopted: Ray's workers", SERVERS_KNOWN | ADOPTS,
     {{300, 1, "raylet"}, {301, 300, "ray::RayWorkerW"}, {302, 300, "ray::RayWorkerW"}},
     {{301, 0, 20}, {302, 1, 21}}, {{301, 100}, {302, 200}}, {20, 21}, 0, 0, 0},
    {"adopted by a server that has gone", SERVERS_KNOWN | ADOPTS, {{301, 1, "ray::RayWorkerW"}},
     {{301, 0, 20}}, {{301, 999}}, {U, U}, 20, 0, 0},
    {"adopted, but in another's tree: the tree counts", SERVERS_KNOWN | ADOPTS,
     {{301, 200, "ray::RayWorkerW"}},
     {{301, 0, 20}}, {{301, 100}}, {U, 20}, 0, 0, 0},
    {"a pid used again: not below its old parent", SERVERS_KNOWN,
     {{101, 0, "python3"}},
     {{101, 0, 9}, {100, 0, 1}}, {{0}}, {1, U}, 9, 0, 0},
    {"a training job on the same GPU", SERVERS_KNOWN,
     {{101, 100, "VLLM::EngineCor"}, {300, 1, "torchrun"}, {301, 300, "pt_main_thread"}},
     {{101, 0, 25}, {301, 0, 26}, {300, 1, 3}}, {{0}}, {25, U}, 29, 0, 0},
    {"hidden by the pid namespace", SERVERS_KNOWN, {{101, 100, "VLLM::EngineCor"}},
     {{101, 0, 25}, {4242, 0, 26}}, {{0}}, {25, U}, 26, 0, 0},
    // clang-format on
};

static void set_up_kind(const struct kind *kind, struct facts *f)
{
    static const struct process roots[] = {{1, 0}, {100, 1}, {200, 1}};

    facts_begin(f);
    for (int i = 0; i < 2; i++)
        facts_device(f, 80 * GIB, 60);
    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        facts_process(f, roots[i].pid, roots[i].parent);
    for (size_t i = 0; i < ARRAY_LEN(kind->tree) && kind->tree[i].pid; i++) {
        facts_process(f, kind->tree[i].pid, kind->tree[i].parent);
        for (uint32_t j = 0; j < f->tree.n; j++)
            if (f->tree.processes[j].pid == kind->tree[i].pid)
                (void)strncpy(f->tree.processes[j].comm, kind->tree[i].comm,
                              HOST_COMM_MAX - 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(kind->held) && kind->held[i].pid; i++)
        facts_holds(f, kind->held[i].pid, kind->held[i].device, kind->held[i].bytes);
    facts_engine(f, 8000, 100, "a");
    facts_engine(f, 8001, 200, "b");
    f->join.servers_known = kind->flags & SERVERS_KNOWN;
    f->join.adoptions = kind->adoptions;
    while (kind->flags & ADOPTS && f->join.n_adoptions < ARRAY_LEN(kind->adoptions) &&
           kind->adoptions[f->join.n_adoptions].pid)
        f->join.n_adoptions++;
}

static void test_kinds(void **state)
{
    static struct facts f;
    static struct attributions shares;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct kind *kind = &kinds[i];
        uint64_t orphans;

        set_up_kind(kind, &f);
        attribute(&f.join, &shares);
        for (int j = 0; j < ENGINES; j++)
            if (shares.engines[j].bytes.value != kind->bytes[j])
                fail_msg("[%s] engine %d: %llu", kind->row, j,
                         (unsigned long long)shares.engines[j].bytes.value);
        orphans = 0;
        for (uint32_t j = 0; j < f.gpu.n_processes; j++)
            orphans += shares.owner[j] == ATTRIBUTE_ORPHAN;
        if (shares.other_bytes != kind->other || shares.orphan_bytes != kind->orphan ||
            orphans != kind->orphans)
            fail_msg("[%s] other %llu, orphan %llu in %llu", kind->row,
                     (unsigned long long)shares.other_bytes,
                     (unsigned long long)shares.orphan_bytes,
                     (unsigned long long)orphans);
    }
}

/* In every row, what is published adds up to what is used. */
static void test_sums(void **state)
{
    static struct facts f;
    struct snapshot_pool *pool;

    (void)state;
    assert_int_equal(snapshot_pool_new(&pool), 0);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct snapshot *snapshot = snapshot_new(pool);
        int64_t sum;

        set_up_kind(&kinds[i], &f);
        assert_int_equal(join(&f.join, snapshot), 0);
        sum = (int64_t)(snapshot->models_bytes + snapshot->other_bytes +
                        snapshot->orphan_bytes) +
              snapshot->unattributed_bytes;
        if (sum != 120 || snapshot->orphan_bytes != kinds[i].orphan ||
            snapshot->other_bytes != kinds[i].other)
            fail_msg("[%s] %lld of 120", kinds[i].row, (long long)sum);
        snapshot_unref(snapshot);
    }
    snapshot_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),  cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_depth), cmocka_unit_test(test_last_device_and_engine),
        cmocka_unit_test(test_kinds), cmocka_unit_test(test_sums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
