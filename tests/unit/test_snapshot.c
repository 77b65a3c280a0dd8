// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "snapshot/snapshot.h"

/* A new one says nothing, whatever its memory held before. */
static void assert_empty(const struct snapshot *snapshot)
{
    const char *bytes = (const char *)snapshot;

    for (size_t i = 0; i < offsetof(struct snapshot, sources); i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(snapshot->total_bytes.how, FROM_NOWHERE);
    assert_int_equal(snapshot->n_devices, 0);
    assert_int_equal(snapshot->n_models, 0);
}

static void test_used_again_and_empty(void **state)
{
    struct snapshot_pool *pool;
    struct snapshot *first, *second, *third;

    (void)state;
    assert_int_equal(snapshot_pool_new(&pool), 0);
    first = snapshot_new(pool);
    assert_non_null(first);
    assert_empty(first);
    memset(first, 0xa5, sizeof(*first));
    second = snapshot_new(pool);
    assert_ptr_not_equal(second, first);
    snapshot_unref(first);

    third = snapshot_new(pool);
    assert_ptr_equal(third, first); // nothing is allocated once warm
    assert_empty(third);
    snapshot_unref(second);
    snapshot_unref(third);
    snapshot_pool_free(pool);
}

static void test_references(void **state)
{
    struct snapshot_pool *pool;
    struct snapshot *snapshot, *other;

    (void)state;
    assert_int_equal(snapshot_pool_new(&pool), 0);
    snapshot = snapshot_new(pool);
    snapshot->seq = 42;
    assert_ptr_equal(snapshot_ref(snapshot), snapshot);
    snapshot_unref(snapshot);
    other = snapshot_new(pool); // one reference is left: not this one
    assert_ptr_not_equal(other, snapshot);
    assert_int_equal(snapshot->seq, 42);
    snapshot_unref(snapshot);
    snapshot_unref(other);
    snapshot_unref(NULL);
    snapshot_pool_free(pool);
    snapshot_pool_free(NULL);
}

static const struct {
    const char *name, *id;
} ids[] = {
    {"", ""},
    {"Qwen/Qwen3-0.6B", "Qwen-Qwen3-0-6B"},
    {"abcXYZ019", "abcXYZ019"},
    {"a_b.c/d e", "a-b-c-d-e"},
    {"/models/llama", "-models-llama"},
    {"caf\xc3\xa9", "caf-"},
    {"\xe2\x82\xac\xf0\x9f\x99\x82", "--"},
    {"\xef\xbf\xbd", "-"},
    {"\"\\<>&", "-----"},
    {"@AZ[`az{/09:", "-AZ--az--09-"},
};

static void test_ids(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        char id[ENGINE_NAME_MAX + 1];

        snapshot_make_id(ids[i].name, id);
        if (strcmp(id, ids[i].id) != 0)
            fail_msg("[%s] %s", ids[i].name, id);
    }
}

static void test_long_ids(void **state)
{
    char name[2 * ENGINE_NAME_MAX + 1], id[ENGINE_NAME_MAX + 1];

    (void)state;
    memset(name, '.', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    snapshot_make_id(name, id);
    assert_int_equal(strlen(id), ENGINE_NAME_MAX);
    assert_int_equal(strspn(id, "-"), ENGINE_NAME_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_used_again_and_empty),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_long_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
