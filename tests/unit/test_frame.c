// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/frame.h"

#include <stdio.h>

enum { EVENT_MAX = 64 * 1024 };

static struct frame_pool *pool;

static int make_pool(void **state)
{
    (void)state;
    return frame_pool_new(EVENT_MAX, &pool);
}

static int free_pool(void **state)
{
    (void)state;
    frame_pool_free(pool);
    return 0;
}

/* Bytes that tell their place: a shift would show. */
static char byte_at(size_t i)
{
    return (char)('a' + (i + i / 26) % 26);
}

static void fill(struct frame *frame, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_add_char(frame_text(frame), byte_at(i));
}

/* The event, and the same between "SIZE\r\n" and "\r\n". */
static void check(const struct frame *frame, size_t len)
{
    struct span chunk = frame_chunk(frame), event = frame_event(frame);
    char head[16];
    size_t n = (size_t)snprintf(head, sizeof(head), "%zx\r\n", len);

    if (event.len != len || chunk.len != n + len + 2)
        fail_msg("[%zu] event of %zu, chunk of %zu", len, event.len, chunk.len);
    assert_memory_equal(chunk.at, head, n);
    assert_memory_equal(chunk.at + n + len, "\r\n", 2);
    assert_ptr_equal(event.at, chunk.at + n);
    for (size_t i = 0; i < len; i++)
        if (event.at[i] != byte_at(i))
            fail_msg("[%zu] byte %zu", len, i);
}

static const size_t sizes[] = {1, 15, 16, 255, 256, 4095, 4096, 65535, 65536, 16, 1};

static void test_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct frame *frame = frame_new(pool);

        assert_non_null(frame);
        fill(frame, sizes[i]);
        assert_int_equal(frame_seal(frame), 0);
        check(frame, sizes[i]);
        frame_unref(frame);
    }
}

/* As a chunk it would be the end of the body. */
static void test_empty(void **state)
{
    struct frame *frame = frame_new(pool);

    (void)state;
    assert_non_null(frame);
    assert_int_equal(frame_seal(frame), -EINVAL);
    frame_unref(frame);
}

/* Too large in many pieces, in one, and by more than the frame has room for at all. */
static void test_too_large(void **state)
{
    static const char text[2 * EVENT_MAX];
    static const size_t tries[] = {EVENT_MAX + 1, EVENT_MAX + 2, EVENT_MAX + 3,
                                   2 * EVENT_MAX};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        struct frame *frame = frame_new(pool);

        fill(frame, tries[i]);
        assert_int_equal(frame_seal(frame), -E2BIG);
        frame_unref(frame);

        frame = frame_new(pool);
        buf_add(frame_text(frame), text, tries[i]);
        assert_int_equal(frame_seal(frame), -E2BIG);
        frame_unref(frame);
    }

    // Nothing of that sticks to the frame that is used again.
    for (int i = 0; i < 2; i++) {
        struct frame *frame = frame_new(pool);

        fill(frame, 5);
        assert_int_equal(frame_seal(frame), 0);
        check(frame, 5);
        frame_unref(frame);
    }
}

static void test_memory_is_used_again(void **state)
{
    struct frame *first = frame_new(pool), *again;
    const char *data;

    (void)state;
    fill(first, 3000);
    assert_int_equal(frame_seal(first), 0);
    data = frame_text(first)->data;
    frame_unref(first);

    again = frame_new(pool);
    assert_ptr_equal(again, first);
    fill(again, 2000);
    assert_int_equal(frame_seal(again), 0);
    assert_ptr_equal(frame_text(again)->data, data);
    check(again, 2000);
    frame_unref(again);
}

static void test_references(void **state)
{
    struct frame *frame = frame_new(pool), *other;

    (void)state;
    fill(frame, 100);
    assert_int_equal(frame_seal(frame), 0);
    assert_ptr_equal(frame_ref(frame), frame);
    assert_ptr_equal(frame_ref(frame), frame);
    frame_unref(frame);
    frame_unref(frame);
    other = frame_new(pool); // one reference is left: not this one
    assert_ptr_not_equal(other, frame);
    check(frame, 100);
    frame_unref(frame);
    frame_unref(other);
    frame_unref(NULL);
}

/* More frames at once than are kept afterwards. */
static void test_many(void **state)
{
    struct frame *frames[40];

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
            frames[i] = frame_new(pool);
            fill(frames[i], i + 1);
            assert_int_equal(frame_seal(frames[i]), 0);
        }
        for (size_t i = 0; i < ARRAY_LEN(frames); i++)
            check(frames[i], i + 1);
        for (size_t i = 0; i < ARRAY_LEN(frames); i++)
            frame_unref(frames[i]);
    }
}

/* Large ones: there may be too many, and few of them are kept. */
static void test_scarce(void **state)
{
    enum { LARGE = 13 << 20, N = FRAMES_LENT_MAX / LARGE + 1 };
    struct frame *frames[N], *again[N];
    struct frame_pool *large;

    (void)state;
    assert_int_equal(frame_pool_new(LARGE, &large), 0);
    for (size_t i = 0; i < N; i++) {
        frames[i] = frame_new(large);
        (void)buf_reserve(frame_text(frames[i]), LARGE);
        fill(frames[i], 1);
        assert_int_equal(frame_seal(frames[i]), 0);
        assert_int_equal(frame_is_scarce(frames[0]), i == N - 1);
    }
    frame_unref(frames[1]);
    assert_false(frame_is_scarce(frames[0]));
    for (size_t i = 0; i < N; i++)
        if (i != 1)
            frame_unref(frames[i]);

    for (size_t i = 0; i < N; i++) {
        again[i] = frame_new(large);
        assert_int_equal(frame_text(again[i])->room > LARGE, i < 2);
    }
    for (size_t i = 0; i < N; i++)
        frame_unref(again[i]);
    frame_pool_free(large);
}

static void test_pool_of_nothing(void **state)
{
    struct frame_pool *empty;

    (void)state;
    frame_pool_free(NULL);
    assert_int_equal(frame_pool_new(EVENT_MAX, &empty), 0);
    frame_pool_free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_empty),
        cmocka_unit_test(test_too_large),  cmocka_unit_test(test_memory_is_used_again),
        cmocka_unit_test(test_references), cmocka_unit_test(test_many),
        cmocka_unit_test(test_scarce),     cmocka_unit_test(test_pool_of_nothing),
    };

    return cmocka_run_group_tests(tests, make_pool, free_pool);
}
