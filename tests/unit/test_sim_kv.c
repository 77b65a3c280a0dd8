// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/sim_kv.h"

enum { A, B, NONE = SIM_KV_NO_GROUP };

/* A pool of 20 blocks; the prefix of group A has 6 of them, that of B has 4. */
static struct sim_kv make_pool(void)
{
    struct sim_kv kv = {.usable = 20};

    kv.groups[A].blocks = 6;
    kv.groups[B].blocks = 4;
    return kv;
}

enum act { ADMIT, GROW, RELEASE };

/* One story: after each line the blocks in use are as said. */
static const struct {
    const char *row;
    enum act act;
    size_t group;
    uint64_t blocks;
    bool ok, hit;
    uint64_t used;
} story[] = {
    {"first of a group computes the prefix", ADMIT, A, 3, true, false, 9},
    {"second shares it", ADMIT, A, 2, true, true, 11},
    {"no group, no prefix", ADMIT, NONE, 5, true, false, 16},
    {"too large as a whole", ADMIT, B, 1, false, false, 16},
    {"grows", GROW, NONE, 4, true, false, 20},
    {"full", GROW, NONE, 1, false, false, 20},
    {"growing by nothing", GROW, NONE, 0, true, false, 20},
    {"one leaves, the prefix stays in use", RELEASE, A, 3, true, false, 17},
    {"the last leaves, the prefix becomes free", RELEASE, A, 2, true, false, 9},
    {"but is still in the cache", ADMIT, A, 1, true, true, 16},
    {"and leaves again", RELEASE, A, 1, true, false, 9},
    {"private part too large: nothing stays", ADMIT, B, 8, false, false, 9},
    {"so this is no hit", ADMIT, B, 1, true, false, 14},
    {"the free prefix is evicted for room", GROW, NONE, 6, true, false, 20},
    {"room again", RELEASE, NONE, 15, true, false, 5},
    {"the evicted prefix is no hit", ADMIT, A, 1, true, false, 12},
};

static void test_story(void **state)
{
    struct sim_kv kv = make_pool();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(story); i++) {
        bool ok = true, hit = false;

        if (story[i].act == ADMIT)
            ok = sim_kv_admit(&kv, story[i].group, story[i].blocks, &hit);
        else if (story[i].act == GROW)
            ok = sim_kv_grow(&kv, story[i].blocks);
        else
            sim_kv_release(&kv, story[i].group, story[i].blocks);
        if (ok != story[i].ok || hit != story[i].hit || kv.used != story[i].used)
            fail_msg("[%s] ok %d hit %d used %d", story[i].row, ok, hit, (int)kv.used);
    }
}

static void test_least_recently_used_goes_first(void **state)
{
    struct sim_kv kv = make_pool();
    bool hit;

    (void)state;
    assert_true(sim_kv_admit(&kv, A, 1, &hit));
    assert_true(sim_kv_admit(&kv, B, 1, &hit));
    sim_kv_release(&kv, B, 1);
    sim_kv_release(&kv, A, 1);
    assert_int_equal(kv.used, 0);
    assert_true(sim_kv_grow(&kv, 11)); // 10 blocks are blank
    assert_false(kv.groups[B].cached);
    assert_true(kv.groups[A].cached);
}

static void test_usage(void **state)
{
    struct sim_kv kv = {.usable = 25027, .used = 2809};

    (void)state;
    assert_true(sim_kv_usage(&kv) == 0.11223878211531546);
    kv.used = 0;
    assert_true(sim_kv_usage(&kv) == 0);
    kv.used = kv.usable;
    assert_true(sim_kv_usage(&kv) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_story),
        cmocka_unit_test(test_least_recently_used_goes_first),
        cmocka_unit_test(test_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
