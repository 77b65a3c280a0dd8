// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "facts.h"
#include "join/kv.h"

#include <math.h>

#define U UNKNOWN
#define N ((double)NAN)
#define NO_LIMIT UNKNOWN
#define BIG (UINT64_C(1) << 62)

enum { A_OPT125M_BLOCK = 294912 }; // bytes of one block on one of its two GPUs

/* What engine, operator and driver say, and what follows from it. */
static const struct row {
    const char *row;
    uint32_t engines;
    double usage;
    uint64_t used_blocks, blocks, label;    // label: bytes per GPU in cache_config_info
    uint64_t per_block, pool_per_gpu, gpus; // the operator's
    uint32_t seen;                          // GPUs it is seen on
    uint64_t limit;
    uint64_t used;
    enum provenance used_how;
    uint64_t pool;
    enum provenance pool_how;
    const char *why; // words in the reason of `used`; NULL: it has none
} rows[] = {
    // clang-format off
    {"TP 2, exact", 1, 2809.0 / 25027, 2809, 25028, U, A_OPT125M_BLOCK, U, U, 2, 48 * GIB,
     1656815616, DERIVED, UINT64_C(14762115072), DERIVED, NULL},
    {"the operator's number of GPUs goes before what is seen", 1, 0.5, 50, 101, U, 1000, U, 4, 1, GIB,
     200000, DERIVED, 404000, DERIVED, NULL},
    {"DP 4 on 8 GPUs", 4, 0.4375, 7168, 16388, U, 1000, U, U, 8, GIB,
     14336000, DERIVED, 32776000, DERIVED, NULL},
    {"DP 4 on 6 GPUs", 4, 0.5, 10, 20, U, 1000, U, U, 6, GIB,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "divide evenly"},
    {"DP 4 on one GPU", 4, 0.5, 10, 20, U, 1000, U, U, 1, GIB,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "divide evenly"},
    {"label, TP 2", 1, 0.5, 400, 801, 8010000, U, U, U, 2, GIB,
     8000000, ESTIMATED, 16020000, ESTIMATED, "less than one block"},
    {"label, DP 2 with TP 2", 2, 0.5, 100, 202, 1010000, U, U, U, 4, GIB,
     2000000, ESTIMATED, 4040000, ESTIMATED, "less than one block"},
    {"the operator's pool goes before the label", 1, 0.5, 50, 101, 8010000, U, 101000, U, 1, GIB,
     50000, ESTIMATED, 101000, ESTIMATED, "less than one block"},
    {"bytes per block go before the pool", 1, 0.5, 50, 101, 8010000, 2000, 101000, U, 1, GIB,
     100000, DERIVED, 202000, DERIVED, NULL},
    {"rounded to the nearest byte", 1, 0.5, 1, 3, 100, U, U, U, 1, GIB,
     33, ESTIMATED, 100, ESTIMATED, "less than one block"},
    {"rounded up", 1, 0.5, 2, 3, 100, U, U, U, 1, GIB,
     67, ESTIMATED, 100, ESTIMATED, "less than one block"},
    {"blocks not known, pool known", 1, 0.25, U, U, U, U, 1000000, U, 2, GIB,
     500000, ESTIMATED, 2000000, ESTIMATED, "less than one block"},
    {"blocks not known, bytes per block known", 1, 0.25, U, U, U, 1000, U, U, 2, GIB,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "why the blocks are not known"},
    {"blocks not known: the pool answers where the block cannot", 1, 0.25, U, U, U, 1000, 1000000, U, 2, GIB,
     500000, ESTIMATED, 2000000, ESTIMATED, "less than one block"},
    {"no size at all", 1, 0.25, 25, 101, U, U, U, U, 1, GIB,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "how it was started"},
    {"no size at all, nothing in use", 1, 0, 0, 101, U, U, U, U, 1, GIB,
     0, DERIVED, U, FROM_NOWHERE, "no block is held"},
    {"no size, no blocks, nothing in use", 1, 0, U, U, U, U, U, U, 0, GIB,
     0, DERIVED, U, FROM_NOWHERE, "no block is held"},
    {"minus nothing", 1, -0.0, 0, 101, U, U, U, U, 1, GIB,
     0, DERIVED, U, FROM_NOWHERE, "no block is held"},
    {"GPUs not seen", 1, 0.25, 25, 101, U, 1000, U, U, 0, GIB,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "`gpus`"},
    {"GPUs not seen, but told", 1, 0.25, 25, 101, U, 1000, U, 1, 0, GIB,
     25000, DERIVED, 101000, DERIVED, NULL},
    {"usage not known", 1, N, U, U, 1000, 1000, U, U, 1, GIB,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "why the blocks are not known"},
    {"no engine yet", 0, N, U, U, U, 1000, U, U, 1, GIB,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "not told"},
    {"exactly as large as all GPUs", 1, 0.5, 50, 100, U, GIB, U, U, 1, 100 * GIB,
     50 * GIB, DERIVED, 100 * GIB, DERIVED, NULL},
    {"one byte larger than all GPUs", 1, 0.5, 50, 100, U, GIB, U, U, 1, 100 * GIB - 1,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "not believed"},
    {"larger than all GPUs, nothing in use", 1, 0, 0, 100, U, GIB, U, U, 1, GIB,
     0, DERIVED, U, FROM_NOWHERE, "no block is held"},
    {"no limit known", 1, 0.5, 50, 100, U, GIB, U, U, 1, NO_LIMIT,
     50 * GIB, DERIVED, 100 * GIB, DERIVED, NULL},
    {"hostile block", 1, 1e-9, 1, 1000000000, U, BIG, U, U, 1, 80 * GIB,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "not believed"},
    {"hostile block, no limit", 1, 1e-9, 1, 1000000000, U, BIG, U, U, 1, NO_LIMIT,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "not believed"},
    {"wraps to something small", 1, 0.5, 2, 4, U, BIG, U, 2, 1, NO_LIMIT,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "not believed"},
    {"no int64", 1, 0.5, 1, 2, U, BIG, U, U, 1, NO_LIMIT,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "not believed"},
    {"wraps 128 bits", 1, 0.5, 500000000, 1000000000, U, BIG, U, BIG, 1, NO_LIMIT,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "not believed"},
    {"hostile pool", 1, 0.5, 1, 1000, U, U, BIG, 8, 1, 80 * GIB,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "not believed"},
    {"hostile pool, no limit", 1, 0.001, 1, 1000, U, U, BIG, 8, 1, NO_LIMIT,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "not believed"},
    {"hostile pool, blocks not known", 1, 1.0, U, U, U, U, BIG, 8, 1, NO_LIMIT,
     U, FROM_NOWHERE, U, FROM_NOWHERE, "not believed"},
    {"hostile pool, nothing in use", 1, 0, 0, 1000, U, U, BIG, 8, 1, NO_LIMIT,
     0, DERIVED, U, FROM_NOWHERE, "no block is held"},
    {"a pool without blocks", 1, 1, 0, 1, U, 1000, U, U, 1, GIB,
     0, DERIVED, 1000, DERIVED, NULL},
    // clang-format on
};

static struct kv_bytes ask(const struct row *row, struct facts *f, uint64_t now_ns)
{
    struct join_engine *engine;

    facts_begin(f);
    engine = facts_engine(f, 8000, 1, "m");
    f->engines[0].page.engines = row->engines;
    f->engines[0].page.kv_usage_ratio = row->usage;
    f->engines[0].page.kv_used_blocks = row->used_blocks;
    f->engines[0].page.kv_blocks = row->blocks;
    f->engines[0].page.kv_memory_bytes = row->label;
    if (row->blocks == U)
        f->engines[0].page.kv_why = "why the blocks are not known";
    engine->kv_bytes_per_block = row->per_block;
    engine->kv_pool_bytes_per_gpu = row->pool_per_gpu;
    engine->gpus = row->gpus;
    return kv_bytes_of(engine, &(struct kv_holder){row->seen, U, row->limit}, now_ns);
}

static bool is_reason(struct figure figure, const char *words)
{
    if (!words)
        return !figure.why;
    return figure.why && strstr(figure.why, words);
}

static void check(const struct row *row, struct kv_bytes kv)
{
    if (kv.used.value != row->used || kv.used.how != row->used_how ||
        kv.pool.value != row->pool || kv.pool.how != row->pool_how ||
        !is_reason(kv.used, row->why))
        fail_msg("[%s] used %llu (%d, %s), pool %llu (%d)", row->row,
                 (unsigned long long)kv.used.value, (int)kv.used.how, kv.used.why,
                 (unsigned long long)kv.pool.value, (int)kv.pool.how);
    if ((kv.pool.how == FROM_NOWHERE) != (kv.pool.value == U) ||
        (kv.pool.how == FROM_NOWHERE && !kv.pool.why))
        fail_msg("[%s] a pool of unknown size without a reason", row->row);
}

static void test_rows(void **state)
{
    static struct facts f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(&rows[i], ask(&rows[i], &f, FACTS_NOW));
}

/* Whatever is known about the blocks, an engine asleep has none mapped. */
static void test_asleep(void **state)
{
    static struct facts f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kv_bytes kv;

        if (rows[i].engines == 0)
            continue;
        (void)ask(&rows[i], &f, FACTS_NOW);
        f.engines[0].page.asleep = true;
        kv = kv_bytes_of(&f.joined[0],
                         &(struct kv_holder){rows[i].seen, U, rows[i].limit}, FACTS_NOW);
        if (kv.used.value != 0 || kv.used.how != BY_ENGINE || kv.pool.value != 0)
            fail_msg("[%s] asleep: %llu", rows[i].row, (unsigned long long)kv.used.value);
    }
}

/* Figures that are forgotten are no figures. */
static void test_forgotten(void **state)
{
    static struct facts f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kv_bytes kv = ask(&rows[i], &f, FACTS_NOW + 5 * FACTS_NS_PER_S);

        if (kv.used.how != FROM_NOWHERE || kv.used.value != U ||
            kv.pool.how != FROM_NOWHERE || !is_reason(kv.used, "not told"))
            fail_msg("[%s] forgotten: %s", rows[i].row, kv.used.why);
    }
}

static void test_caveat(void **state)
{
    static struct facts f;
    struct kv_bytes kv;

    (void)state;
    (void)ask(&rows[0], &f, FACTS_NOW);
    f.engines[0].page.kv_caveat = "perhaps stale";
    kv = kv_bytes_of(&f.joined[0], &(struct kv_holder){2, U, U}, FACTS_NOW);
    assert_int_equal(kv.used.value, 1656815616);
    assert_int_equal(kv.used.how, ESTIMATED);
    assert_string_equal(kv.used.why, "perhaps stale");
    assert_int_equal(kv.pool.how, DERIVED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_asleep),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_caveat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
