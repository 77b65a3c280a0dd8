// SPDX-License-Identifier: Apache-2.0
#include "publish/node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "test_folder.h"

#define A16 "abcdefghijklmnop"
#define A64 A16 A16 A16 A16

/* NULL: there is no such name. */
static const struct {
    const char *given;
    const char *name;
} names[] = {
    {"gpu1", "gpu1"},
    {"GPU_1-a", "GPU_1-a"},
    {"gpu1.example", "gpu1-example"}, // a dot would make two tokens of it
    {"*", "-"},                       // and this would be a wildcard
    {">", "-"},
    {"a b\tc\r\n", "a-b-c--"},
    {"k\xc3\xb6ln", "k-ln"},
    {A64, A64},
    {A64 "x", A64},
    {"", NULL},
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char name[COMPACT_NODE_SIZE] = "";
        int r = node_make_name(names[i].given, name);

        if ((r == 0) != (names[i].name != NULL) ||
            (names[i].name && strcmp(name, names[i].name) != 0))
            fail_msg("[%s] is %d, %s", names[i].given, r, name);
    }
}

static void test_host_name(void **state)
{
    char name[COMPACT_NODE_SIZE] = "";

    (void)state;
    assert_int_equal(node_make_name(NULL, name), 0);
    assert_true(strlen(name) > 0);
}

static void write_id(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

#define ID "0123456789abcdef0123456789abcdef"

static void test_machine(void **state)
{
    char machine[COMPACT_MACHINE_SIZE], other[COMPACT_MACHINE_SIZE];

    (void)state;
    write_id("machine-id", ID "\n");
    assert_int_equal(node_read_machine(".", ".", machine), 0);
    // printf 'vramscope node v1' | openssl dgst -sha256 -hmac 0123456789abcdef...
    assert_string_equal(machine, "de1cd7819c41c39fdb38b1db5c90663a");
    write_id("machine-id", "1123456789abcdef0123456789abcdef\n");
    assert_int_equal(node_read_machine(".", ".", other), 0);
    assert_string_not_equal(machine, other);
}

/* The boot id, which has dashes, takes the place of one that is missing or no id. */
static void test_no_machine_id(void **state)
{
    static const char *const bad[] = {"", "uninitialized\n", "0123\n", "/dev/null"};
    char machine[COMPACT_MACHINE_SIZE], boot[COMPACT_MACHINE_SIZE];

    (void)state;
    assert_int_equal(mkdir("sys", 0700) + mkdir("sys/kernel", 0700) +
                         mkdir("sys/kernel/random", 0700),
                     0);
    write_id("sys/kernel/random/boot_id", "01234567-89ab-cdef-0123-456789abcdef\n");
    write_id("machine-id", ID "\n");
    assert_int_equal(node_read_machine(".", ".", machine), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        write_id("machine-id", bad[i]);
        assert_int_equal(node_read_machine(".", ".", boot), 0);
        assert_string_equal(boot, machine); // of the same digits
    }
    assert_int_equal(unlink("sys/kernel/random/boot_id"), 0);
    assert_int_equal(node_read_machine(".", ".", boot), -ENOENT);
    assert_int_equal(rmdir("sys/kernel/random") + rmdir("sys/kernel") + rmdir("sys"), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_host_name),
        cmocka_unit_test(test_machine),
        cmocka_unit_test(test_no_machine_id),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
