// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "publish/subject.h"

#define SIXTEEN "0123456789abcdef"
#define LONGEST SIXTEEN SIXTEEN SIXTEEN SIXTEEN

static const struct {
    const char *prefix, *subject;
    const char *node; // NULL: it is refused
} rows[] = {
    {"vramscope", "vramscope.v1.gpu17.snapshot", "gpu17"},
    {"vramscope", "vramscope.v1.A-z_09.snapshot", "A-z_09"},
    {"vramscope", "vramscope.v1.snapshot.snapshot", "snapshot"},
    {"a.b", "a.b.v1.gpu17.snapshot", "gpu17"},
    {"vramscope", "vramscope.v1." LONGEST ".snapshot", LONGEST},
    {LONGEST, LONGEST ".v1." LONGEST ".snapshot", LONGEST},
    {"vramscope", "vramscope.v1." LONGEST "0.snapshot", NULL},
    {"vramscope", "", NULL},
    {"vramscope", "vramscope", NULL},
    {"vramscope", "vramscope.v1.gpu17", NULL},
    {"vramscope", "vramscope.v1.gpu17.", NULL},
    {"vramscope", "vramscope.v1.gpu17.snapsho", NULL},
    {"vramscope", "vramscope.v1.gpu17.snapshots", NULL},
    {"vramscope", "vramscope.v1.gpu17.snapshot.x", NULL},
    {"vramscope", "vramscope.v1.gpu17.event", NULL},
    {"vramscope", "vramscope.v2.gpu17.snapshot", NULL},
    {"vramscope", "vramscope.v1..snapshot", NULL},
    {"vramscope", "vramscope.v1.a.b.snapshot", NULL},
    {"vramscope", "vramscope.v1.a/b.snapshot", NULL},
    {"vramscope", "vramscope.v1.a\033b.snapshot", NULL},
    {"vramscope", "vramscope.v1.\303\244.snapshot", NULL},
    {"vramscope", "vramscope.v1.*.snapshot", NULL},
    {"vramscope", "Vramscope.v1.gpu17.snapshot", NULL},
    {"vramscope", "vramscopes.v1.gpu17.snapshot", NULL},
    {"vramscope", "x.vramscope.v1.gpu17.snapshot", NULL},
    {"a.b", "a.v1.gpu17.snapshot", NULL},
};

static void test_node_of_a_snapshot(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span node = {"", 0};
        bool good = subject_read_node(rows[i].prefix, rows[i].subject, &node);

        if (good != (rows[i].node != NULL) || (good && !span_is(node, rows[i].node)))
            fail_msg("[%s] '%.*s'", rows[i].subject, (int)node.len, node.at);
    }
}

static void test_what_is_made_is_read(void **state)
{
    char subject[SUBJECT_SIZE];
    struct span node;

    (void)state;
    subject_make(subject, "vramscope.eu", "gpu17", "event");
    assert_string_equal(subject, "vramscope.eu.v1.gpu17.event");
    subject_make(subject, LONGEST, LONGEST, "snapshot");
    assert_true(subject_read_node(LONGEST, subject, &node));
    assert_true(span_is(node, LONGEST));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_of_a_snapshot),
        cmocka_unit_test(test_what_is_made_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
