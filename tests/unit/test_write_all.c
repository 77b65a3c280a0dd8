// SPDX-License-Identifier: Apache-2.0
#include "base/write_all.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { BYTES = 1 << 20 }; // many times what a pipe holds

/* In a process of its own: counts what comes, and ends with 0 if it is all and in order. */
static void read_all(int fd)
{
    unsigned char piece[4096];
    size_t at = 0;
    ssize_t n;

    while ((n = read(fd, piece, sizeof(piece))) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (piece[i] != (unsigned char)(at++ * 31 % 251))
                _exit(1);
    _exit(n == 0 && at == BYTES ? 0 : 2);
}

static void through_a_pipe(int flags)
{
    char *text = malloc(BYTES);
    int ends[2], status;
    pid_t reader;

    assert_non_null(text);
    for (size_t i = 0; i < BYTES; i++)
        text[i] = (char)(unsigned char)(i * 31 % 251);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    reader = fork();
    assert_true(reader >= 0);
    if (reader == 0) {
        (void)close(ends[1]);
        read_all(ends[0]);
    }
    (void)close(ends[0]);
    assert_int_equal(fcntl(ends[1], F_SETFL, flags), 0);
    assert_int_equal(write_all(ends[1], (struct span){text, BYTES}), 0);
    (void)close(ends[1]);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
    free(text);
}

static void test_a_slow_reader(void **state)
{
    (void)state;
    through_a_pipe(0);
    through_a_pipe(O_NONBLOCK);
}

static void test_errors(void **state)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_true(full >= 0);
    assert_int_equal(write_all(full, span_of("text")), -ENOSPC);
    assert_int_equal(write_all(full, span_of("")), 0);
    (void)close(full);
    assert_int_equal(write_all(-1, span_of("text")), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_slow_reader),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
