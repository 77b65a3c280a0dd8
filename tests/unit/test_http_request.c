// SPDX-License-Identifier: Apache-2.0
#include "net/http_request.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { BYTES_MAX = 4 * HTTP_HEAD_MAX };

#define HOST "Host: h\r\n"
#define END "\r\n"
#define GET_11 "GET / HTTP/1.1\r\n"
#define GET_10 "GET / HTTP/1.0\r\n"

// clang-format off
/* `facts` is "METHOD minor path|query|host|keep or close". */
static const struct {
    const char *row;
    const char *head;
    int r;
    const char *facts;
} heads[] = {
    {"plain", GET_11 HOST END, 0, "GET 1 /||h|keep"},
    {"head", "HEAD /x HTTP/1.1\r\n" HOST END, 0, "HEAD 1 /x||h|keep"},
    {"options", "OPTIONS /x HTTP/1.1\r\n" HOST END, 0, "OPTIONS 1 /x||h|keep"},
    {"options for all", "OPTIONS * HTTP/1.1\r\n" HOST END, 0, "OPTIONS 1 *||h|keep"},
    {"another method", "POST /x HTTP/1.1\r\n" HOST END, 0, "OTHER 1 /x||h|keep"},
    {"no such method", "BREW /x HTTP/1.1\r\n" HOST END, -501, NULL},
    {"method in lower case", "get / HTTP/1.1\r\n" HOST END, -501, NULL},
    {"method that is longer", "GETX / HTTP/1.1\r\n" HOST END, -501, NULL},
    {"method that is no token", "GE(T / HTTP/1.1\r\n" HOST END, -400, NULL},
    {"no method", " / HTTP/1.1\r\n" HOST END, -400, NULL},
    {"connect", "CONNECT h:80 HTTP/1.1\r\n" HOST END, -400, NULL},
    {"HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\n", -505, NULL},

    {"query", "GET /a?b=c&d HTTP/1.1\r\n" HOST END, 0, "GET 1 /a|b=c&d|h|keep"},
    {"empty query", "GET /a? HTTP/1.1\r\n" HOST END, 0, "GET 1 /a||h|keep"},
    {"two question marks", "GET /a?b?c HTTP/1.1\r\n" HOST END, 0, "GET 1 /a|b?c|h|keep"},
    {"encoded", "GET /%2e%2e/x HTTP/1.1\r\n" HOST END, 0, "GET 1 /%2e%2e/x||h|keep"},
    {"two slashes", "GET //x HTTP/1.1\r\n" HOST END, 0, "GET 1 //x||h|keep"},
    {"no slash", "GET x HTTP/1.1\r\n" HOST END, -400, NULL},
    {"query only", "GET ?x HTTP/1.1\r\n" HOST END, -400, NULL},
    {"star with a query", "GET *?x HTTP/1.1\r\n" HOST END, -400, NULL},
    {"no target", "GET HTTP/1.1\r\n" HOST END, -400, NULL},
    {"fragment", "GET /a#b HTTP/1.1\r\n" HOST END, -400, NULL},
    {"tab in the target", "GET /a\tb HTTP/1.1\r\n" HOST END, -400, NULL},
    {"form feed in the target", "GET /a\fb HTTP/1.1\r\n" HOST END, -400, NULL},
    {"blank in the target", "GET /a b HTTP/1.1\r\n" HOST END, -400, NULL},
    {"control byte in the target", "GET /a\001b HTTP/1.1\r\n" HOST END, -400, NULL},
    {"DEL in the target", "GET /a\177b HTTP/1.1\r\n" HOST END, -400, NULL},
    {"high byte in the target", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST END, -400, NULL},
    {"absolute", "GET http://x:1/a?b HTTP/1.1\r\n" HOST END, 0, "GET 1 /a|b|x:1|keep"},
    {"absolute in capitals", "GET HTTP://x/a HTTP/1.1\r\n" HOST END, 0, "GET 1 /a||x|keep"},
    {"absolute without a path", "GET http://x HTTP/1.1\r\n" HOST END, 0, "GET 1 /||x|keep"},
    {"absolute without a host", "GET http:///a HTTP/1.1\r\n" HOST END, -400, NULL},
    {"scheme only", "GET http:// HTTP/1.1\r\n" HOST END, -400, NULL},
    {"absolute by TLS", "GET HTTPS://x/a HTTP/1.1\r\n" HOST END, 0, "GET 1 /a||x|keep"},
    {"another scheme", "GET ftp://x/ HTTP/1.1\r\n" HOST END, -400, NULL},
    {"absolute and no Host", "GET http://x/a HTTP/1.1\r\n" END, -400, NULL},

    {"1.0 without Host", GET_10 END, 0, "GET 0 /|||close"},
    {"1.0 with Host", GET_10 HOST END, 0, "GET 0 /||h|close"},
    {"0.9", "GET /\r\n\r\n", -400, NULL},
    {"0.9 with fields", "GET /\r\n" HOST END, -400, NULL},
    {"0.9, spelled out", "GET / HTTP/0.9\r\n" HOST END, -505, NULL},
    {"1.2", "GET / HTTP/1.2\r\n" HOST END, 0, "GET 1 /||h|keep"},
    {"1.9", "GET / HTTP/1.9\r\n" HOST END, 0, "GET 1 /||h|keep"},
    {"1.9 and more", "GET / HTTP/1.9 \r\n" HOST END, -505, NULL},
    {"1.9 and a folded line", "GET / HTTP/1.9\r\n X\r\n" HOST END, -400, NULL},
    {"Origin twice", "GET / HTTP/1.1\r\n" HOST "Origin: a\r\nOrigin: b\r\n" END, -400, NULL},
    {"Sec-Fetch-Site twice",
     "GET / HTTP/1.1\r\n" HOST "Sec-Fetch-Site: none\r\nsec-fetch-site: none\r\n" END, -400, NULL},
    {"Authorization twice",
     "GET / HTTP/1.1\r\n" HOST "Authorization: a\r\nAuthorization: a\r\n" END, -400, NULL},
    {"2.0", "GET / HTTP/2.0\r\n" HOST END, -505, NULL},
    {"3", "GET / HTTP/3\r\n" HOST END, -505, NULL},
    {"1.10", "GET / HTTP/1.10\r\n" HOST END, -505, NULL},
    {"version in lower case", "GET / http/1.1\r\n" HOST END, -400, NULL},
    {"another protocol", "GET / HTCPCP/1.0\r\n" HOST END, -400, NULL},
    {"RTSP", "OPTIONS / RTSP/1.0\r\n" HOST END, -400, NULL},
    {"ICE", "SOURCE / ICE/1.0\r\n" HOST END, -400, NULL},
    {"two blanks after the method", "GET  / HTTP/1.1\r\n" HOST END, -400, NULL},
    {"two blanks after the target", "GET /  HTTP/1.1\r\n" HOST END, -400, NULL},
    {"tab after the method", "GET\t/ HTTP/1.1\r\n" HOST END, -400, NULL},
    {"blank after the version", "GET / HTTP/1.1 \r\n" HOST END, -505, NULL},
    {"more after the version", "GET / HTTP/1.1 x\r\n" HOST END, -505, NULL},
    {"carriage return in the line", "GET /\r HTTP/1.1\r\n" HOST END, -400, NULL},

    {"no Host", GET_11 END, -400, NULL},
    {"two Hosts", GET_11 HOST HOST END, -400, NULL},
    {"two Hosts in 1.0", GET_10 HOST HOST END, -400, NULL},
    {"empty Host", GET_11 "Host:\r\n" END, 0, "GET 1 /|||keep"},
    {"Host without a blank", GET_11 "Host:x\r\n" END, 0, "GET 1 /||x|keep"},
    {"Host in blanks", GET_11 "hOST: \t x \t\r\n" END, 0, "GET 1 /||x|keep"},
    {"two hosts in one Host", GET_11 "Host: x, y\r\n" END, 0, "GET 1 /||x, y|keep"},

    {"close", GET_11 HOST "Connection: close\r\n" END, 0, "GET 1 /||h|close"},
    {"close in capitals", GET_11 HOST "CONNECTION: CLOSE\r\n" END, 0, "GET 1 /||h|close"},
    {"close in a list", GET_11 HOST "Connection: te, close ,x\r\n" END, 0,
     "GET 1 /||h|close"},
    {"close, then keep-alive", GET_11 HOST "Connection: close\r\n"
     "Connection: keep-alive\r\n" END, 0, "GET 1 /||h|close"},
    {"keep-alive and close", GET_10 "Connection: keep-alive, close\r\n" END, 0,
     "GET 0 /|||close"},
    {"something like close", GET_11 HOST "Connection: closed\r\n" END, 0,
     "GET 1 /||h|keep"},
    {"keep-alive in 1.0", GET_10 "Connection: Keep-Alive\r\n" END, 0, "GET 0 /|||keep"},
    {"upgrade", GET_11 HOST "Connection: upgrade\r\nUpgrade: websocket\r\n" END, 0,
     "GET 1 /||h|keep"},

    {"body of no bytes", GET_11 HOST "Content-Length: 0\r\n" END, 0, "GET 1 /||h|keep"},
    {"body", GET_11 HOST "Content-Length: 1\r\n" END, -413, NULL},
    {"body of 00 bytes", GET_11 HOST "Content-Length: 00\r\n" END, -413, NULL},
    {"body after close", GET_11 HOST "Connection: close\r\nContent-Length: 5\r\n" END,
     -413, NULL},
    {"body in 1.0", GET_10 "Content-Length: 5\r\n" END, -413, NULL},
    {"body of -1 bytes", GET_11 HOST "Content-Length: -1\r\n" END, -400, NULL},
    {"body of +0 bytes", GET_11 HOST "Content-Length: +0\r\n" END, -400, NULL},
    {"body of 0x0 bytes", GET_11 HOST "Content-Length: 0x0\r\n" END, -400, NULL},
    {"body of 0, 0 bytes", GET_11 HOST "Content-Length: 0, 0\r\n" END, -400, NULL},
    {"body of unsaid length", GET_11 HOST "Content-Length:\r\n" END, -400, NULL},
    {"body of 2^64 bytes", GET_11 HOST "Content-Length: 18446744073709551616\r\n" END,
     -400, NULL},
    {"length twice", GET_11 HOST "Content-Length: 0\r\nContent-Length: 0\r\n" END, -400,
     NULL},
    {"chunks", GET_11 HOST "Transfer-Encoding: chunked\r\n" END, -400, NULL},
    {"chunks in 1.0", GET_10 "Transfer-Encoding: chunked\r\n" END, -400, NULL},
    {"an encoding nobody knows", GET_11 HOST "Transfer-Encoding: xchunked\r\n" END, -400,
     NULL},
    {"length, then chunks", GET_11 HOST "Content-Length: 0\r\n"
     "Transfer-Encoding: chunked\r\n" END, -400, NULL},
    {"chunks, then length", GET_11 HOST "Transfer-Encoding: chunked\r\n"
     "Content-Length: 0\r\n" END, -400, NULL},
    {"chunks, misspelled", GET_11 HOST "Transfer-Encoding : chunked\r\n" END, -400, NULL},
    {"length, misspelled", GET_11 HOST "Content-Length : 5\r\n" END, -400, NULL},

    {"blank before the colon", GET_11 HOST "X : y\r\n" END, -400, NULL},
    {"tab before the colon", GET_11 HOST "X\t: y\r\n" END, -400, NULL},
    {"blank in a name", GET_11 HOST "X y: z\r\n" END, -400, NULL},
    {"no name", GET_11 HOST ": y\r\n" END, -400, NULL},
    {"no colon", GET_11 HOST "X\r\n" END, -400, NULL},
    {"high byte in a name", GET_11 HOST "X\xff: y\r\n" END, -400, NULL},
    {"parenthesis in a name", GET_11 HOST "X(: y\r\n" END, -400, NULL},
    {"high byte in a value", GET_11 HOST "X: \xff\r\n" END, 0, "GET 1 /||h|keep"},
    {"control byte in a value", GET_11 HOST "X: \001\r\n" END, -400, NULL},
    {"DEL in a value", GET_11 HOST "X: \177\r\n" END, -400, NULL},
    {"carriage return in a value", GET_11 HOST "X: a\rb\r\n" END, -400, NULL},
    {"folded line", GET_11 HOST "X: a\r\n b\r\n" END, -400, NULL},
    {"folded with a tab", GET_11 HOST "X: a\r\n\tb\r\n" END, -400, NULL},
    {"folded Host", GET_11 "Host:\r\n h\r\n" END, -400, NULL},
    {"blank before the first field", GET_11 " " HOST END, -400, NULL},
    {"empty line first", "\r\n" GET_11 HOST END, -400, NULL},
    {"torn", GET_11 "Ho", -400, NULL},
    {"torn after Host", GET_11 HOST "X: y\r\n", -400, NULL},
    {"torn in the last line", GET_11 HOST "X: y\r\n\r", -400, NULL},
    {"two heads", GET_11 HOST END GET_11 HOST END, -400, NULL},
    {"no line feed at the end", GET_11 HOST "\rx", -400, NULL},
    {"line feeds only", "GET / HTTP/1.1\nHost: h\n\n", -400, NULL},
    {"nothing", "", -400, NULL},
};

static const struct {
    const char *row;
    const char *query;
    const char *name;
    const char *value; // NULL: not found
} queries[] = {
    {"only", "a=1", "a", "1"},
    {"second", "a=1&b=2", "b", "2"},
    {"first of two", "a=1&a=2", "a", "1"},
    {"empty value", "a=&b=2", "a", ""},
    {"value with an equals sign", "a=b=c", "a", "b=c"},
    {"not decoded", "a=%31+", "a", "%31+"},
    {"empty parts", "&&a=1&", "a", "1"},
    {"name that begins alike", "ab=1&a=2", "a", "2"},
    {"name that ends alike", "ba=1", "a", NULL},
    {"no equals sign", "a&b", "a", NULL},
    {"empty", "", "a", NULL},
    {"in another's value", "b=a=1", "a", NULL},
};
// clang-format on

/* A copy of exactly that size on the heap, so that reading past it is found. */
static struct span exact(struct span bytes)
{
    char *at = malloc(MAX(bytes.len, (size_t)1));

    assert_non_null(at);
    memcpy(at, bytes.at, bytes.len);
    return (struct span){at, bytes.len};
}

static void release(struct span span)
{
    free((char *)(uintptr_t)span.at);
}

static void write_facts(const struct http_request *request, char *facts, size_t room)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "OTHER"};

    (void)snprintf(facts, room, "%s %d %.*s|%.*s|%.*s|%s", methods[request->method],
                   request->minor, (int)request->path.len, request->path.at,
                   (int)request->query.len, request->query.at ? request->query.at : "",
                   (int)request->host.len, request->host.at ? request->host.at : "",
                   request->keep_alive ? "keep" : "close");
}

static void test_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct span head = exact(span_of(heads[i].head));
        struct http_request request;
        char facts[256] = "";
        int r = http_request_parse(head, &request);

        if (r == 0)
            write_facts(&request, facts, sizeof(facts));
        if (r != heads[i].r || (r == 0 && strcmp(facts, heads[i].facts) != 0))
            fail_msg("[%s] is %d: %s", heads[i].row, r, facts);
        release(head);
    }
}

static void test_fields(void **state)
{
    static const char head[] = GET_11 "Accept: a/b\r\nAUTHORIZATION:  Bearer x \r\n" HOST
                                      "last-event-id: 7\r\nOrigin: http://o\r\n"
                                      "Sec-Fetch-Site: none\r\nAccept: second\r\n"
                                      "Accept-Encoding: br\r\nIf-None-Match: \"t\"\r\n"
                                      "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
                                      "Acceptable: no\r\nX-Origin: no\r\n" END;
    struct http_request request;

    (void)state;
    assert_int_equal(http_request_parse(span_of(head), &request), 0);
    assert_true(span_is(request.accept, "a/b"));
    assert_true(span_is(request.authorization, "Bearer x"));
    assert_true(span_is(request.last_event_id, "7"));
    assert_true(span_is(request.origin, "http://o"));
    assert_true(span_is(request.sec_fetch_site, "none"));
    assert_true(span_is(request.accept_encoding, "br"));
    assert_true(span_is(request.if_none_match, "\"t\""));
    assert_true(span_is(request.sec_fetch_mode, "cors"));
    assert_true(span_is(request.sec_fetch_dest, "empty"));

    assert_int_equal(http_request_parse(span_of(GET_11 HOST "Origin:\r\n" END), &request),
                     0);
    assert_non_null(request.origin.at); // there, but empty
    assert_int_equal(request.origin.len, 0);
    assert_null(request.accept.at);
    assert_null(request.authorization.at);
    assert_null(request.last_event_id.at);
    assert_null(request.sec_fetch_site.at);
    assert_null(request.query.at);
}

// clang-format off
static const struct {
    const char *list; // Accept-Encoding; NULL: absent
    bool gzip;
} codings[] = {
    {NULL, false},
    {"", false},
    {"gzip", true},
    {"GZip", true},
    {"deflate, gzip;q=1.0, *;q=0.5", true},
    {"br ,\tgzip ", true},
    {"gzip;q=0.001", true},
    {"gzip; q=0.5", true},
    {"gzip;q=0", false},
    {"gzip ; Q=0.000", false},
    {"br, gzip;q=0.0, deflate", false},
    {"gzip;", true},
    {"xgzip", false},
    {"gzipx", false},
    {"x-gzip;q=1", false},
    {"identity", false},
    {",,,", false},
    {";q=0", false},
};

static const struct {
    const char *list; // If-None-Match; NULL: absent
    bool matches;     // "abc"
} tags[] = {
    {NULL, false},
    {"", false},
    {"\"abc\"", true},
    {"W/\"abc\"", true},
    {"*", true},
    {"\"x\", W/\"abc\"", true},
    {"\"x\",\"abc\",\"y\"", true},
    {"abc", false},
    {"W/abc", false},
    {"W/", false},
    {"w/\"abc\"", false},
    {"\"ABC\"", false},
    {"\"abcd\"", false},
    {"\"ab\"", false},
};
// clang-format on

static struct span exact_or_none(const char *text)
{
    return text ? exact(span_of(text)) : (struct span){NULL, 0};
}

static void test_codings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
        struct span list = exact_or_none(codings[i].list);

        if (http_accepts_coding(list, "gzip") != codings[i].gzip)
            fail_msg("[%s] is not %d", codings[i].list, codings[i].gzip);
        if (list.at)
            release(list);
    }
}

static void test_tags(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        struct span list = exact_or_none(tags[i].list);

        if (http_tag_matches(list, "\"abc\"") != tags[i].matches)
            fail_msg("[%s] is not %d", tags[i].list, tags[i].matches);
        if (list.at)
            release(list);
    }
}

static void test_field_limit(void **state)
{
    struct http_request request;
    struct buf head;

    (void)state;
    buf_init(&head, HTTP_HEAD_MAX);
    for (int fields = HTTP_FIELDS_MAX; fields <= HTTP_FIELDS_MAX + 1; fields++) {
        buf_clear(&head);
        buf_add_str(&head, GET_11 HOST);
        for (int i = 1; i < fields; i++)
            buf_add_str(&head, "X: y\r\n");
        buf_add_str(&head, END);
        assert_int_equal(http_request_parse(buf_span(&head), &request),
                         fields > HTTP_FIELDS_MAX ? -431 : 0);
    }
    buf_done(&head);
}

static void test_queries(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        struct span query = exact(span_of(queries[i].query)), value = {NULL, 0};
        bool found = http_query_find(query, queries[i].name, &value);

        if (found != (queries[i].value != NULL) ||
            (found && !span_is(value, queries[i].value)))
            fail_msg("[%s] is %d: %.*s", queries[i].row, found, (int)value.len, value.at);
        release(query);
    }
    assert_false(http_query_find((struct span){NULL, 0}, "a", &(struct span){0}));
}

/* What a run of bytes is made of, in this order. */
struct bytes {
    const char *row;
    size_t line;       // of the request line, CRLF included; 0: none
    size_t line_ended; // 0: the line goes on past what there is
    size_t rest;       // of further lines, CRLF included
    const char *end;
    int r; // -1: the length of it all; 0: not complete
};

// clang-format off
static const struct bytes lengths[] = {
    {"one line and the end", 16, 1, 0, "\r\n", -1},
    {"some lines", 16, 1, 100, "\r\n", -1},
    {"nothing", 0, 0, 0, "", 0},
    {"no end", 16, 1, 100, "", 0},
    {"half of the end", 16, 1, 100, "\r", 0},
    {"half of the line's end", 16, 0, 0, "\r", 0},
    {"longest line", HTTP_LINE_MAX, 1, 0, "\r\n", -1},
    {"line too long", HTTP_LINE_MAX + 1, 1, 0, "\r\n", -414},
    {"longest line, unfinished", HTTP_LINE_MAX, 0, 0, "", 0},
    {"line too long, unfinished", HTTP_LINE_MAX + 1, 0, 0, "", -414},
    {"far too long", BYTES_MAX / 2, 0, 0, "", -414},
    {"largest head", 16, 1, HTTP_HEAD_MAX - 18, "\r\n", -1},
    {"head too large", 16, 1, HTTP_HEAD_MAX - 17, "\r\n", -431},
    {"head too large by far", 16, 1, BYTES_MAX / 2, "\r\n", -431},
    {"large head, unfinished", 16, 1, HTTP_HEAD_MAX - 17, "", 0},
    {"head too large, unfinished", 16, 1, HTTP_HEAD_MAX - 16, "", -431},
    {"line feed alone ends the line", 16, 0, 0, "\n", -400},
    {"line feed alone ends the head", 16, 1, 0, "\n", -400},
    {"line feed first", 0, 0, 0, "\n", -400},
    {"NUL", 16, 1, 0, "\x80", -400},
    {"NUL in the line", 16, 0, 0, "\x80", -400},
    {"NUL past the longest line", HTTP_LINE_MAX + 9, 0, 0, "\x80", -414},
    {"line feed past the longest line", HTTP_LINE_MAX + 9, 0, 0, "\n", -414},
    {"NUL past the largest head", 16, 1, HTTP_HEAD_MAX, "\x80", -431},
};
// clang-format on

/* In `end`, \x80 stands for NUL. */
static void write_bytes(const struct bytes *row, struct buf *to)
{
    buf_init(to, BYTES_MAX);
    for (size_t i = 0; i < row->line; i++)
        buf_add_char(to, 'x');
    if (row->line_ended)
        memcpy(to->data + to->len - 2, "\r\n", 2);
    for (size_t i = 0; i < row->rest; i++)
        buf_add_char(to, 'y');
    if (row->rest)
        memcpy(to->data + to->len - 2, "\r\n", 2);
    for (const char *c = row->end; *c; c++)
        buf_add_char(to, *c == '\x80' ? '\0' : *c);
    assert_int_equal(to->error, 0);
}

/* `step` more bytes each time, until there is an answer or there are no more. */
static int length_in_steps(struct span bytes, size_t step)
{
    size_t scanned = 0, len = 0;
    int r = 0;

    while (r == 0 && len < bytes.len) {
        struct span so_far;

        len = MIN(len + step, bytes.len);
        so_far = exact((struct span){bytes.at, len});
        r = http_head_length(so_far, &scanned);
        assert_int_equal(scanned, r == 0 ? len : scanned);
        release(so_far);
    }
    return r;
}

static void test_lengths(void **state)
{
    static const size_t steps[] = {BYTES_MAX, 1, 1460, HTTP_LINE_MAX, HTTP_HEAD_MAX};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct buf bytes;
        int expected;

        write_bytes(&lengths[i], &bytes);
        expected = lengths[i].r == -1 ? (int)bytes.len : lengths[i].r;
        for (size_t j = 0; j < ARRAY_LEN(steps); j++) {
            int r = length_in_steps(buf_span(&bytes), steps[j]);

            if (r != expected)
                fail_msg("[%s] in steps of %zu is %d, expected %d", lengths[i].row,
                         steps[j], r, expected);
        }
        buf_done(&bytes);
    }
}

/* The head ends where it ends, whatever comes after it. */
static void test_length_of_first(void **state)
{
    static const char two[] = GET_11 HOST END GET_11 HOST END;
    size_t scanned = 0;

    (void)state;
    assert_int_equal(http_head_length(span_of(two), &scanned), (sizeof(two) - 1) / 2);
    assert_int_equal(scanned, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),       cmocka_unit_test(test_fields),
        cmocka_unit_test(test_codings),     cmocka_unit_test(test_tags),
        cmocka_unit_test(test_field_limit), cmocka_unit_test(test_queries),
        cmocka_unit_test(test_lengths),     cmocka_unit_test(test_length_of_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
