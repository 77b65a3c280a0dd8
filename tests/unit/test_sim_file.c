// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>

#include "sim/sim_file.h"

static char path[] = "/tmp/vramscope-page-XXXXXX";

static void write_page(const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The clock of file times is coarse: move the time on by hand. */
static void set_mtime(time_t seconds)
{
    const struct timespec times[] = {{seconds, 0}, {seconds, 0}};

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_follows_the_file(void **state)
{
    struct sim_file file;

    (void)state;
    close_fd(&(int){mkstemp(path)});
    sim_file_init(&file, path);

    write_page("a 1\n");
    set_mtime(1000);
    assert_int_equal(sim_file_refresh(&file), 0);
    assert_true(span_is(buf_span(&file.bytes), "a 1\n"));

    write_page("a 2\n");
    set_mtime(1000);
    assert_int_equal(sim_file_refresh(&file), 0);
    assert_true(span_is(buf_span(&file.bytes), "a 1\n")); // nothing shows a change

    set_mtime(1001);
    assert_int_equal(sim_file_refresh(&file), 0);
    assert_true(span_is(buf_span(&file.bytes), "a 2\n"));

    write_page("");
    assert_int_equal(sim_file_refresh(&file), 0);
    assert_int_equal(file.bytes.len, 0);

    assert_int_equal(unlink(path), 0);
    assert_int_equal(sim_file_refresh(&file), -ENOENT);

    write_page("back\n");
    assert_int_equal(sim_file_refresh(&file), 0);
    assert_true(span_is(buf_span(&file.bytes), "back\n"));
    assert_int_equal(unlink(path), 0);
    sim_file_done(&file);
}

static void test_unreadable(void **state)
{
    static const struct {
        const char *path;
        int r;
    } rows[] = {{"/nonexistent", -ENOENT}, {"/tmp", -EISDIR}, {"/dev/zero", -EFBIG}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sim_file file;

        sim_file_init(&file, rows[i].path);
        assert_int_equal(sim_file_refresh(&file), rows[i].r);
        sim_file_done(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_the_file),
        cmocka_unit_test(test_unreadable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
