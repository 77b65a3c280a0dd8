// SPDX-License-Identifier: Apache-2.0
#include "base/response_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define OK_LINE "HTTP/1.1 200 OK\r\n"
#define INTERIM "HTTP/1.1 100 Continue\r\n\r\n"
#define TEN \
    "a: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\n"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

// clang-format off
static const struct {
    const char *row;
    const char *head;
    const char *why; // part of it; NULL: taken
    bool ended;
} rows[] = {
    {"whole", OK_LINE "A: b\r\n\r\n", NULL, true},
    {"bare line feeds", "HTTP/1.1 200 OK\nA: b\n\n", NULL, true},
    {"torn", OK_LINE "A: b\r\n", NULL, false},
    {"torn after an interim one", INTERIM OK_LINE, NULL, false},
    {"trailers", OK_LINE "\r\nA: b\r\n", NULL, true},
    {"interim responses", INTERIM INTERIM INTERIM INTERIM OK_LINE "\r\n", NULL, true},
    {"one too many", INTERIM INTERIM INTERIM INTERIM INTERIM OK_LINE "\r\n", "interim", false},
    {"100 fields", OK_LINE HUNDRED "\r\n", NULL, true},
    {"101 fields", OK_LINE HUNDRED "A: b\r\n", "100 fields", false},
    {"fields of all of them", INTERIM OK_LINE HUNDRED "\r\nA: b\r\n", "100 fields", true},
    {"no field", OK_LINE "\x01\r\n", NULL, false},

    {"identity", OK_LINE "Content-Encoding: identity\r\n", NULL, false},
    {"in other letters", OK_LINE "content-ENCODING:\tIdentity \r\n", NULL, false},
    {"chunked", OK_LINE "Transfer-Encoding: chunked\r\n", NULL, false},
    {"gzip", OK_LINE "Content-Encoding: gzip\r\n", "encoded", false},
    {"gzip, no blank", OK_LINE "content-encoding:gzip\r\n", "encoded", false},
    {"identity, then gzip", OK_LINE "Content-Encoding: identity, gzip\r\n", "encoded", false},
    {"something like it", OK_LINE "Content-Encoding: identityx\r\n", "encoded", false},
    {"none named", OK_LINE "Content-Encoding:\r\n", "encoded", false},
    {"the other's", OK_LINE "Content-Encoding: chunked\r\n", "encoded", false},
    {"gzip, then chunked", OK_LINE "Transfer-Encoding: gzip, chunked\r\n", "encoded", false},
    {"another field", OK_LINE "X-Content-Encoding: gzip\r\n", NULL, false},
    {"the name alone", OK_LINE "Content-Encoding\r\n", NULL, false},
};
// clang-format on

/* Line after line, each in memory of its own: reading past it is found. */
static const char *take_all(struct response_head *head, const char *text)
{
    const char *why = NULL;

    while (*text && !why) {
        size_t len = (size_t)(strchr(text, '\n') + 1 - text);
        OWNED(free_str) char *line = malloc(len);

        assert_non_null(line);
        memcpy(line, text, len);
        why = response_head_take(head, (struct span){line, len});
        text += len;
    }
    return why;
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct response_head head = {0};
        const char *why = take_all(&head, rows[i].head);

        if (!why != !rows[i].why || (why && !strstr(why, rows[i].why)) ||
            head.ended != rows[i].ended)
            fail_msg("[%s] has%s ended: %s", rows[i].row, head.ended ? "" : " not", why);
    }
}

static void test_size(void **state)
{
    static char line[RESPONSE_HEAD_MAX];
    struct response_head head = {0};

    (void)state;
    memset(line, 'x', sizeof(line));
    assert_null(response_head_take(&head, (struct span){line, sizeof(line) - 2}));
    assert_null(response_head_take(&head, span_of("\r\n")));
    assert_string_equal(response_head_take(&head, span_of("x")), RESPONSE_HEAD_TOO_LARGE);
    head = (struct response_head){0};
    assert_null(response_head_take(&head, (struct span){line, 0}));
    assert_false(head.ended);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
