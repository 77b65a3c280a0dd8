// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/page.h"

#include <stdio.h>
#define ZLIB_CONST
#include <zlib.h>

enum { FILE_MAX = 1 << 20, PACKED_MAX = 120 << 10, TAG_LENGTH = 26 };

/* What was answered last; `extra` is copied, the body is the program's own. */
static struct http_response answered;
static char extra[256];

void __wrap_http_respond(struct http_conn *conn, const struct http_response *response);

void __wrap_http_respond(struct http_conn *conn, const struct http_response *response)
{
    (void)conn;
    answered = *response;
    (void)snprintf(extra, sizeof(extra), "%s", response->extra ? response->extra : "");
}

static bool is_same(struct span a, struct span b)
{
    return a.at == b.at && a.len == b.len;
}

static void check_unpacked(const struct page_file *file)
{
    static char unpacked[FILE_MAX];
    z_stream stream = {.next_in = (const Bytef *)file->gzip.at,
                       .avail_in = (uInt)file->gzip.len,
                       .next_out = (Bytef *)unpacked,
                       .avail_out = FILE_MAX};

    assert_int_equal(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    assert_int_equal(stream.total_out, file->plain.len);
    assert_memory_equal(unpacked, file->plain.at, file->plain.len);
    assert_int_equal(inflateEnd(&stream), Z_OK);
}

static void test_files(void **state)
{
    size_t packed = 0;

    (void)state;
    assert_string_equal(page_files[0].path, "/");
    assert_true(page_files[0].is_document);
    for (const struct page_file *file = page_files; file->path; file++) {
        assert_int_equal(strlen(file->tag), TAG_LENGTH);
        assert_true(file->tag[0] == '"' && file->tag[TAG_LENGTH - 1] == '"');
        assert_true(file->plain.len > 0 && file->plain.len <= FILE_MAX);
        assert_ptr_equal(page_find(span_of(file->path)), file); // no path twice
        check_unpacked(file);
        packed += file->gzip.len;
    }
    assert_true(packed < PACKED_MAX);
}

static void test_what_is_no_file(void **state)
{
    static const char *const paths[] = {"",  "//", "/x", "/index.html", "/dashboard.j",
                                        "*", "/?", "/.", "dashboard.js"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (page_find(span_of(paths[i])))
            fail_msg("[%s] is a file", paths[i]);
    assert_null(page_find((struct span){NULL, 0}));
}

static void answer(const char *accept_encoding, const char *if_none_match)
{
    struct http_request request = {0};

    if (accept_encoding)
        request.accept_encoding = span_of(accept_encoding);
    if (if_none_match)
        request.if_none_match = span_of(if_none_match);
    page_answer(NULL, &request, &page_files[0]);
    assert_non_null(strstr(extra, page_files[0].tag));
    assert_non_null(strstr(extra, "Vary: Accept-Encoding\r\n"));
    assert_non_null(strstr(extra, "Cache-Control: no-cache\r\n"));
    assert_string_equal(extra + strlen(extra) - 2, "\r\n");
}

static void test_plain(void **state)
{
    (void)state;
    answer(NULL, NULL);
    assert_int_equal(answered.status, 200);
    assert_string_equal(answered.type, "text/html; charset=utf-8");
    assert_true(is_same(answered.body, page_files[0].plain));
    assert_null(strstr(extra, "Content-Encoding"));
    answer("br", "\"another\"");
    assert_int_equal(answered.status, 200);
    assert_true(is_same(answered.body, page_files[0].plain));
}

static void test_packed(void **state)
{
    (void)state;
    answer("gzip, br", NULL);
    assert_int_equal(answered.status, 200);
    assert_true(is_same(answered.body, page_files[0].gzip));
    assert_non_null(strstr(extra, "Content-Encoding: gzip\r\n"));
}

static void test_not_modified(void **state)
{
    char tag[64];

    (void)state;
    (void)snprintf(tag, sizeof(tag), "W/%s", page_files[0].tag);
    answer("gzip", tag);
    assert_int_equal(answered.status, 304);
    assert_null(answered.type);
    assert_int_equal(answered.body.len, 0);
    assert_null(strstr(extra, "Content-Encoding"));
}

/* Nothing from elsewhere, nothing inline, in no frame, no text taken for a script. */
static void test_policy(void **state)
{
    static const char *const rules[] = {
        "default-src 'none';",     "script-src 'self';",
        "style-src 'self';",       "connect-src 'self';",
        "frame-ancestors 'none';", "base-uri 'none';",
        "form-action 'none';",     "require-trusted-types-for 'script';"};

    (void)state;
    answer(NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (!strstr(answered.policy, rules[i]))
            fail_msg("[%s] is not in the policy", rules[i]);
    assert_null(strstr(answered.policy, "unsafe"));
    assert_null(strstr(answered.policy, "http"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_plain),        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_not_modified), cmocka_unit_test(test_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
