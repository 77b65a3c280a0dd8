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
     8000000, ESTIMATED, 16020000, ESTIMATED, "unlike numbers of layers"},
    {"label, DP 2 with TP 2", 2, 0.5, 100, 202, 1010000, U, U, U, 4, GIB,
     2000000, ESTIMATED, 4040000, ESTIMATED, "unlike numbers of layers"},
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

/* The engine's own count of bytes, which goes before all others. 400 of 802 blocks are in
 * use; the operator says that a block has 7 bytes. */
static const struct {
    const char *row;
    uint32_t engines;
    uint64_t capacity, active; // of all engines; active: then both are of one rank
    uint64_t gpus;
    uint64_t used, pool;
    const char *source;
} own_counts[] = {
    {"of the engine", 1, 802000, U, 1, 400000, 802000, "engine"},
    {"over all its GPUs already", 1, 802000, U, 4, 400000, 802000, "engine"},
    {"two engines", 2, 802000, U, 2, 400000, 802000, "engine"},
    {"its GPUs need not be known", 1, 802000, U, U, 400000, 802000, "engine"},
    {"of a rank, its null block left out", 1, 801000, 400001, 1, 400001, 802000,
     "engine"},
    {"of a rank of four", 1, 801000, 400001, 4, 1600004, 3208000, "engine"},
    {"two engines of two ranks", 2, 1600000, 400001, 4, 800002, 3208000, "engine"},
    {"nothing in use", 1, 801000, 0, 2, 0, 1604000, "engine"},
    {"of how many ranks?", 1, 800000, 400001, U, U, U, NULL},
    {"no capacity: the block counts", 1, U, 400001, 1, 2800, 5614, "kv_bytes_per_block"},
    {"larger than all GPUs: the block counts", 1, UINT64_C(1) << 50, U, 1, 2800, 5614,
     "kv_bytes_per_block"},
    {"more than an int64: the block counts", 1, INT64_MAX, 1, 2, 5600, 11228,
     "kv_bytes_per_block"},
};

static void test_own_counts(void **state)
{
    static struct facts f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(own_counts); i++) {
        const struct kv_holder holder = {0, U, 48 * GIB};
        struct row row = {.engines = own_counts[i].engines,
                          .usage = 0.5,
                          .used_blocks = 400,
                          .blocks = 802,
                          .label = U,
                          .per_block = 7,
                          .pool_per_gpu = U,
                          .gpus = own_counts[i].gpus};
        struct kv_bytes kv;
        bool own;

        (void)ask(&row, &f, FACTS_NOW);
        f.engines[0].page.kv_capacity_bytes = own_counts[i].capacity;
        f.engines[0].page.kv_active_bytes = own_counts[i].active;
        f.engines[0].page.kv_bytes_per_rank = own_counts[i].active != U;
        f.engines[0].page.kv_retained_bytes = own_counts[i].active;
        kv = kv_bytes_of(&f.joined[0], &holder, FACTS_NOW);
        if (own_counts[i].active != U && own_counts[i].gpus != U)
            assert_int_equal(kv.retained.value, own_counts[i].active *
                                                    own_counts[i].gpus /
                                                    own_counts[i].engines);
        else
            assert_true(kv.retained.how == FROM_NOWHERE && kv.retained.why);
        own = own_counts[i].source && strcmp(own_counts[i].source, "engine") == 0;
        if (kv.used.value != own_counts[i].used || kv.pool.value != own_counts[i].pool ||
            (kv.source != NULL) != (own_counts[i].source != NULL) ||
            (kv.source && strcmp(kv.source, own_counts[i].source) != 0) ||
            (kv.source && kv.used.how != (own ? BY_ENGINE : DERIVED)))
            fail_msg("[%s] %llu of %llu from %s (%s)", own_counts[i].row,
                     (unsigned long long)kv.used.value, (unsigned long long)kv.pool.value,
                     kv.source, kv.used.why);
    }
}

/* By how much the bytes may be off: a pool is off by less than a block of it. */
static const struct {
    const char *row;
    uint32_t engines;
    double usage;
    uint64_t blocks, per_block, pool_per_gpu, gpus;
    uint64_t used_error, pool_error;
} errors[] = {
    {"by blocks: none", 1, 0.5, 101, 1000, U, 1, 0, 0},
    {"half of a block", 1, 0.5, 101, U, 10100, 1, 50, 100},
    {"of a block on each GPU", 1, 0.5, 101, U, 10100, 4, 200, 400},
    {"of each engine", 2, 0.5, 202, U, 10100, 4, 200, 400},
    {"rounded up", 1, 0.501, 101, U, 10100, 1, 51, 100},
    {"nothing in use", 1, 0, 101, U, 10100, 1, 0, 100},
    {"how many blocks is not known", 1, 0.5, U, U, 10100, 1, U, U},
};

static void test_errors(void **state)
{
    static struct facts f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct row row = {.engines = errors[i].engines,
                          .usage = errors[i].usage,
                          .used_blocks = errors[i].blocks == U ? U : 50,
                          .blocks = errors[i].blocks,
                          .label = U,
                          .per_block = errors[i].per_block,
                          .pool_per_gpu = errors[i].pool_per_gpu,
                          .gpus = errors[i].gpus,
                          .limit = NO_LIMIT};
        struct kv_bytes kv = ask(&row, &f, FACTS_NOW);

        if (kv.used.value == U || kv.used.error != errors[i].used_error ||
            kv.pool.error != errors[i].pool_error)
            fail_msg("[%s] used %llu +- %lld, pool +- %lld", errors[i].row,
                     (unsigned long long)kv.used.value, (long long)kv.used.error,
                     (long long)kv.pool.error);
    }
}

/* Who tells of each GPU, and whether that is then the same on all. */
static const struct {
    const char *row;
    uint32_t engines;
    uint64_t label, per_block, pool_per_gpu;
    uint64_t pp; // as on its command line; 0: that is not visible
    bool same;
} each_gpu[] = {
    {"bytes per block", 1, U, 1000, U, 0, true},
    {"of several engines, each with its own blocks", 2, U, 1000, U, 0, false},
    {"the operator's pool", 1, U, U, 101000, 0, true},
    {"the operator's pool, several engines", 2, U, U, 101000, 0, true},
    {"ordered, nobody knows how", 1, 101000, U, U, 0, false},
    {"ordered", 1, 101000, U, U, 1, true},
    {"ordered, several engines", 2, 101000, U, U, 1, true},
    {"ordered, of pipeline stages", 1, 101000, U, U, 2, false},
};

static void test_same_on_each_gpu(void **state)
{
    static struct model_facts model;
    static struct facts f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(each_gpu); i++) {
        struct row row = {.engines = each_gpu[i].engines,
                          .usage = 0.5,
                          .used_blocks = 50,
                          .blocks = 202,
                          .label = each_gpu[i].label,
                          .per_block = each_gpu[i].per_block,
                          .pool_per_gpu = each_gpu[i].pool_per_gpu,
                          .gpus = U};
        const struct kv_holder holder = {2 * row.engines, U, NO_LIMIT};
        struct kv_bytes kv;

        (void)ask(&row, &f, FACTS_NOW);
        memset(&model, 0, sizeof(model));
        launch_clear(&model.launch);
        model.has_launch = true;
        model.launch.pp = each_gpu[i].pp;
        model.launch.tp = each_gpu[i].pp == 2 ? 1 : 2;
        f.joined[0].model = each_gpu[i].pp ? &model : NULL;
        kv = kv_bytes_of(&f.joined[0], &holder, FACTS_NOW);
        if (kv.pool.value == U || kv.same_on_each_gpu != each_gpu[i].same)
            fail_msg("[%s] %llu, %d (%s)", each_gpu[i].row,
                     (unsigned long long)kv.pool.value, kv.same_on_each_gpu, kv.pool.why);
    }
}

/* Of a kind that is not vLLM: its own word, and why its model says nothing. */
static void test_another_kind(void **state)
{
    static struct facts f;
    struct join_engine *engine;
    struct engine *asked;
    struct kv_holder holder = {4, U, U};
    struct kv_bytes kv;

    (void)state;
    facts_begin(&f);
    engine = facts_engine(&f, 30000, 7, "m");
    asked = &f.engines[0];
    asked->kind = &engine_sglang;
    asked->page.engines = 2;
    asked->page.kv_usage_ratio = 0.25;
    kv = kv_bytes_of(engine, &holder, FACTS_NOW);
    assert_int_equal(kv.used.how, FROM_NOWHERE);
    assert_string_equal(kv.used.why, engine_sglang.shape_why);
    assert_null(strstr(kv.retained.why, "vLLM"));

    asked->page.kv_told_bytes = 10 * GIB;
    asked->page.kv_told_error = 5000000;
    kv = kv_bytes_of(engine, &holder, FACTS_NOW);
    assert_string_equal(kv.source, "server_memory");
    assert_int_equal(kv.pool.how, ESTIMATED);
    assert_true(kv.pool.value == 40 * GIB); // of each of four GPUs
    assert_true(kv.pool.error == 20000000);
    assert_true(kv.used.value == 10 * GIB);
    assert_false(kv.same_on_each_gpu);

    // What the operator says counts more; and nothing is told of GPUs that are not known.
    engine->kv_pool_bytes_per_gpu = 8 * GIB;
    kv = kv_bytes_of(engine, &holder, FACTS_NOW);
    assert_string_equal(kv.source, "kv_pool_bytes_per_gpu");
    engine->kv_pool_bytes_per_gpu = U;
    holder.gpus = 0;
    kv = kv_bytes_of(engine, &holder, FACTS_NOW);
    assert_int_equal(kv.pool.how, FROM_NOWHERE);
    assert_non_null(strstr(kv.pool.why, "GPUs"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_asleep),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_caveat),
        cmocka_unit_test(test_own_counts),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_same_on_each_gpu),
        cmocka_unit_test(test_another_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
