// SPDX-License-Identifier: Apache-2.0
#include "tui/screen_file.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define MIDDLE "\xe4\xb8\xad" // U+4E2D, two cells
#define WHEN INT64_C(1790000000123)
#define NAME "vramscope-20260921-141320.txt" // that time in UTC

static char folder[] = "/tmp/test_screen_file.XXXXXX";

static int set_up(void **state)
{
    (void)state;
    (void)setenv("TZ", "UTC0", 1);
    tzset();
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(NAME);
    (void)unlink("elsewhere");
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static void make(struct canvas *canvas)
{
    *canvas = (struct canvas){0};
    assert_int_equal(canvas_resize(canvas, 4, 12), 0);
    (void)canvas_put(canvas, (struct place){0, 1, 11}, STYLE_TEXT,
                     span_of("a " MIDDLE "\033 "));
    (void)canvas_put(canvas, (struct place){2, 0, 12}, STYLE_BADGE,
                     span_of("twelve cells"));
}

static void test_file(void **state)
{
    static const char wanted[] = " a " MIDDLE "\xef\xbf\xbd\n\ntwelve cells\n\n";
    char name[SCREEN_FILE_NAME_SIZE], text[128] = "";
    struct canvas canvas;
    struct stat facts;
    int fd;

    (void)state;
    make(&canvas);
    (void)umask(0);
    assert_int_equal(screen_file_write(&canvas, WHEN, name), 0);
    assert_string_equal(name, NAME);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &facts) == 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    assert_int_equal(read(fd, text, sizeof(text) - 1), sizeof(wanted) - 1);
    assert_string_equal(text, wanted);
    close_fd(&fd);

    assert_int_equal(screen_file_write(&canvas, WHEN, name), -EEXIST);
    assert_int_equal(stat(NAME, &facts), 0);
    assert_int_equal(facts.st_size, sizeof(wanted) - 1);
    assert_int_equal(unlink(NAME), 0);
    canvas_done(&canvas);
}

/* A link that lies there is not written through. */
static void test_link(void **state)
{
    char name[SCREEN_FILE_NAME_SIZE];
    struct canvas canvas;

    (void)state;
    make(&canvas);
    assert_int_equal(symlink("elsewhere", NAME), 0);
    assert_int_equal(screen_file_write(&canvas, WHEN, name), -EEXIST);
    assert_int_equal(access("elsewhere", F_OK), -1);
    assert_int_equal(unlink(NAME), 0);
    canvas_done(&canvas);
}

static void test_absurd_times(void **state)
{
    static const int64_t times[] = {INT64_MIN, INT64_MAX, -1, 0};
    char name[SCREEN_FILE_NAME_SIZE];
    struct canvas canvas;

    (void)state;
    make(&canvas);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        assert_int_equal(screen_file_write(&canvas, times[i], name), 0);
        assert_true(strncmp(name, "vramscope-", 10) == 0 && !strchr(name, '/'));
        assert_int_equal(unlink(name), 0);
    }
    canvas_done(&canvas);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_absurd_times),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
