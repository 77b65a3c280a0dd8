// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

enum { GOT_MAX = 4096 };

/* Stderr goes into a pipe from begin() to end(), which gives what was written. */
struct capture {
    int pipe[2];
    int saved;
    char got[GOT_MAX];
};

static void begin(struct capture *capture)
{
    assert_int_equal(pipe(capture->pipe), 0);
    capture->saved = dup(STDERR_FILENO);
    assert_true(capture->saved >= 0);
    assert_true(dup2(capture->pipe[1], STDERR_FILENO) >= 0);
}

static const char *end(struct capture *capture)
{
    ssize_t n;

    assert_true(dup2(capture->saved, STDERR_FILENO) >= 0);
    close_fd(&capture->pipe[1]);
    close_fd(&capture->saved);
    n = read(capture->pipe[0], capture->got, GOT_MAX - 1);
    assert_true(n >= 0);
    capture->got[n] = '\0';
    close_fd(&capture->pipe[0]);
    return capture->got;
}

// clang-format off
static const struct {
    const char *row;
    const char *text;
    const char *line;
} rows[] = {
    {"plain", "hello", "t: hello\n"},
    {"empty", "", "t: \n"},
    {"forged line", "a\nt: error: b", "t: a\\x0at: error: b\n"},
    {"carriage return and escape", "\r\033[2J", "t: \\x0d\\x1b[2J\n"},
    {"DEL", "\x7f", "t: \\x7f\n"},
    {"UTF-8", "\xc3\xa9", "t: \xc3\xa9\n"},
    {"C1: CSI as one character", "\xc2\x9b" "2J", "t: \\xc2\\x9b2J\n"},
    {"first after C1", "\xc2\xa0", "t: \xc2\xa0\n"},
    {"backslash stays", "\\x41", "t: \\x41\n"},
};
// clang-format on

static void test_escapes(void **state)
{
    struct capture capture;

    (void)state;
    (void)unsetenv("JOURNAL_STREAM");
    log_init("t", LOG_LEVEL_INFO);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        begin(&capture);
        log_info("%s", rows[i].text);
        if (strcmp(end(&capture), rows[i].line) != 0)
            fail_msg("[%s] is %s", rows[i].row, capture.got);
    }
}

static void test_levels(void **state)
{
    struct capture capture;

    (void)state;
    (void)unsetenv("JOURNAL_STREAM");
    log_init("t", LOG_LEVEL_WARNING);
    begin(&capture);
    log_error("%d", 1);
    log_warning("%d", 2);
    log_info("%d", 3);
    log_set_level(LOG_LEVEL_DEBUG);
    log_info("%d", 4);
    log_debug("%d", 5);
    assert_string_equal(end(&capture), "t: error: 1\nt: warning: 2\nt: 4\nt: debug: 5\n");
}

/* The level's prefix is for the journal alone, not for whoever inherited the variable. */
static void test_journal(void **state)
{
    struct capture capture;
    struct stat st;
    char stream[64];

    (void)state;
    begin(&capture);
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    (void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
                   (uintmax_t)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    log_init("t", LOG_LEVEL_INFO);
    log_error("a\nb");
    assert_string_equal(end(&capture), "<3>a\\x0ab\n");

    begin(&capture);
    assert_int_equal(setenv("JOURNAL_STREAM", "1:2", 1), 0);
    log_init("t", LOG_LEVEL_INFO);
    log_error("a");
    assert_string_equal(end(&capture), "t: error: a\n");
    (void)unsetenv("JOURNAL_STREAM");
}

static void check_line(struct capture *capture)
{
    const char *line = end(capture);

    assert_true(strlen(line) > 900 && strlen(line) < 1100);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

/*
 * Too long or not, it is one line that ends: every length where it is cut, and some around
 * that in a format of their own, as only so many of one are written.
 */
static void test_long_lines(void **state)
{
    static char text[GOT_MAX];
    struct capture capture;

    (void)state;
    log_init("t", LOG_LEVEL_INFO);
    for (int fill = 0; fill < 2; fill++) {
        for (size_t len = 1010; len < 1034; len++) {
            memset(text, fill ? '\n' : 'x', len);
            text[len] = '\0';
            begin(&capture);
            log_info("%s", text);
            check_line(&capture);
        }
        for (size_t len = 900; len < 1200; len += 10) {
            memset(text, fill ? '\n' : 'x', len);
            text[len] = '\0';
            begin(&capture);
            log_info("x%s", text);
            check_line(&capture);
        }
    }
}

/* 64 at once, and no more; other lines are not concerned. */
static void test_floods(void **state)
{
    struct capture capture;
    const char *got;
    size_t lines = 0;

    (void)state;
    log_init("t", LOG_LEVEL_INFO);
    begin(&capture);
    for (int i = 0; i < 100; i++)
        log_info("flood %d", i);
    log_info("another");
    got = end(&capture);
    for (const char *at = strstr(got, "t: flood "); at; at = strstr(at + 1, "t: flood "))
        lines++;
    assert_in_range(lines, 64, 65);
    assert_non_null(strstr(got, "t: flood 63\n"));
    assert_null(strstr(got, "t: flood 70"));
    assert_non_null(strstr(got, "t: another\n"));
}

/* What was left out is told by the next line of the same format. */
static void test_what_was_left_out(void **state)
{
    struct capture capture;
    struct timespec pause = {.tv_nsec = 250 * 1000 * 1000};
    const char *got;

    (void)state;
    log_init("t", LOG_LEVEL_INFO);
    begin(&capture);
    for (int i = 0; i < 75; i++) {
        if (i == 74)
            (void)nanosleep(&pause, NULL);
        log_info("again %d", i);
    }
    got = end(&capture);
    assert_non_null(strstr(got, "t: again 74 (10 like it were left out)\n"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes), cmocka_unit_test(test_levels),
        cmocka_unit_test(test_journal), cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_floods),  cmocka_unit_test(test_what_was_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
