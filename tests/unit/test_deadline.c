// SPDX-License-Identifier: Apache-2.0
#include "net/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { WAITERS = 5, STEPS = 20000 };

static void test_order(void **state)
{
    struct deadline_list list = {.span_ms = 100};
    struct deadline a = {0}, b = {0};

    (void)state;
    assert_null(deadline_due(&list, UINT64_MAX));
    deadline_set(&a, &list, 1000);
    deadline_set(&b, &list, 1050);
    assert_null(deadline_due(&list, 1099));
    assert_ptr_equal(deadline_due(&list, 1100), &a);
    assert_ptr_equal(deadline_due(&list, 2000), &a); // it stays until cleared
    deadline_clear(&a);
    assert_null(a.list);
    assert_null(deadline_due(&list, 1149));
    assert_ptr_equal(deadline_due(&list, 1150), &b);
    deadline_clear(&b);
    assert_null(deadline_due(&list, UINT64_MAX));
    deadline_clear(&b); // which waits for nothing
    assert_true(list.first == NULL && list.last == NULL);
}

static void test_set_again(void **state)
{
    struct deadline_list list = {.span_ms = 100}, other = {.span_ms = 10};
    struct deadline a = {0}, b = {0};

    (void)state;
    deadline_set(&a, &list, 1000);
    deadline_set(&b, &list, 1010);
    deadline_set(&a, &list, 1020);
    assert_ptr_equal(deadline_due(&list, 1120), &b);
    deadline_set(&b, &other, 1030);
    assert_ptr_equal(deadline_due(&other, 1040), &b);
    assert_ptr_equal(list.first, &a);
    assert_ptr_equal(list.last, &a);
    assert_ptr_equal(a.list, &list);
    assert_ptr_equal(b.list, &other);
}

/* The list is whole in both directions, in order, and knows who is in it. */
static void check(const struct deadline_list *list, const struct deadline *waiters)
{
    const struct deadline *before = NULL;
    size_t n = 0, waiting = 0;

    for (const struct deadline *d = list->first; d; before = d, d = d->next, n++) {
        assert_ptr_equal(d->prev, before);
        assert_ptr_equal(d->list, list);
        assert_true(!before || before->at_ms <= d->at_ms);
    }
    assert_ptr_equal(list->last, before);
    for (size_t i = 0; i < WAITERS; i++)
        waiting += waiters[i].list == list;
    assert_int_equal(n, waiting);
}

static void test_any_sequence(void **state)
{
    struct deadline_list lists[2] = {{.span_ms = 7}, {.span_ms = 13}};
    struct deadline waiters[WAITERS] = {0};
    uint32_t random = 1;

    (void)state;
    for (uint64_t now = 0; now < STEPS; now++) {
        struct deadline *d;

        random = random * 1103515245U + 12345U;
        d = &waiters[(random >> 16) % WAITERS];
        if (random >> 28 < 5)
            deadline_clear(d);
        else
            deadline_set(d, &lists[random >> 31], now);
        d = deadline_due(&lists[0], now);
        assert_true(!d || (d == lists[0].first && d->at_ms <= now));
        if (d)
            deadline_clear(d);
        check(&lists[0], waiters);
        check(&lists[1], waiters);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_set_again),
        cmocka_unit_test(test_any_sequence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
