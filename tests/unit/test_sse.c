// SPDX-License-Identifier: Apache-2.0
#include "wire/sse.h"

#include "wire/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { EVENT_MAX = 1024 };

#define TEXT(literal)                  \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }
#define FFFD "\xef\xbf\xbd"

// clang-format off
/* `events`: "name|id|data;" of each, "#text;" of a comment. Then id and retry at the end. */
static const struct {
    const char *row;
    struct span stream;
    int r;
    struct span events;
    const char *last_id;
    int retry_ms;
} streams[] = {
    {"empty", TEXT(""), 0, TEXT(""), "", -1},
    {"the seed's", TEXT("data: {\"a\":1}\n\n"), 0, TEXT("message||{\"a\":1};"), "", -1},
    {"the detail's", TEXT("id: b-1\nretry: 2000\ndata: {}\n\n"), 0,
     TEXT("message|b-1|{};"), "b-1", 2000},
    {"lag, bye", TEXT("id: b-1\ndata: {}\n\nevent: lag\ndata: {\"skipped\":7}\n\n"
     "retry: 50\nevent: bye\ndata: {}\n\n"), 0,
     TEXT("message|b-1|{};lag|b-1|{\"skipped\":7};bye|b-1|{};"), "b-1", 50},
    {"comment", TEXT(": no data (x)\n\n:\n:y\n"), 0, TEXT("# no data (x);#;#y;"), "", -1},
    {"two lines of data", TEXT("data: a\ndata: b\n\n"), 0, TEXT("message||a\nb;"), "", -1},
    {"empty data is an event", TEXT("data\n\ndata\ndata\n\ndata:\n\n"), 0,
     TEXT("message||;message||\n;message||;"), "", -1},
    {"no data is none", TEXT("event: x\nid: 7\n\ndata: a\n\n"), 0, TEXT("message|7|a;"), "7", -1},
    {"the id of an event without data stays", TEXT("id: 7\n\n"), 0, TEXT(""), "7", -1},
    {"cut off", TEXT("data: a\n\nid: 8\ndata: b\n"), 0, TEXT("message||a;"), "", -1},
    {"cut off in the line", TEXT("data: a\n\ndata: b"), 0, TEXT("message||a;"), "", -1},
    {"CR", TEXT("data: a\rdata: b\r\rdata: c\r\r"), 0, TEXT("message||a\nb;message||c;"), "", -1},
    {"CRLF", TEXT("data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n"), 0,
     TEXT("message||a\nb;message||c;"), "", -1},
    {"line ends mixed", TEXT("data: a\r\n\rdata: b\n\r\ndata: c\r\r\ndata: d\n\n"), 0,
     TEXT("message||a;message||b;message||c;message||d;"), "", -1},
    {"LF after CR is not one more", TEXT("data: a\r\n\ndata: b\r\n\r\n"), 0,
     TEXT("message||a;message||b;"), "", -1},
    {"BOM", TEXT("\xef\xbb\xbf" "data: a\n\n"), 0, TEXT("message||a;"), "", -1},
    {"BOM alone on its line", TEXT("\xef\xbb\xbf\ndata: a\n\n"), 0, TEXT("message||a;"), "", -1},
    {"two BOMs", TEXT("\xef\xbb\xbf\xef\xbb\xbf" "data: a\n\ndata: b\n\n"), 0,
     TEXT("message||b;"), "", -1},
    {"BOM later", TEXT("\n\xef\xbb\xbf" "data: a\n\n"), 0, TEXT(""), "", -1},
    {"half a BOM", TEXT("\xef\xbb" "data: a\n\ndata: b\n\n"), 0, TEXT("message||b;"), "", -1},
    {"BOM in the data stays", TEXT("data: \xef\xbb\xbf\n\n"), 0,
     TEXT("message||\xef\xbb\xbf;"), "", -1},
    {"one space goes", TEXT("data:  a \ndata:b\ndata:\t\n\n"), 0,
     TEXT("message|| a \nb\n\t;"), "", -1},
    {"colons", TEXT("data: a:b\ndata::\n\n"), 0, TEXT("message||a:b\n:;"), "", -1},
    {"fields that are none", TEXT("Data: a\n data: b\ndata : c\ndatum: d\nx\n\ndata: e\n\n"), 0,
     TEXT("message||e;"), "", -1},
    {"the last name counts", TEXT("event: a\nevent: b\ndata: c\n\ndata: d\n\n"), 0,
     TEXT("b||c;message||d;"), "", -1},
    {"an empty name is none", TEXT("event: a\nevent\ndata: c\n\n"), 0,
     TEXT("message||c;"), "", -1},
    {"id reset", TEXT("id: 1\ndata: a\n\nid\ndata: b\n\n"), 0,
     TEXT("message|1|a;message||b;"), "", -1},
    {"id with NUL", TEXT("id: 1\ndata: a\n\nid: 2\0003\ndata: b\n\n"), 0,
     TEXT("message|1|a;message|1|b;"), "1", -1},
    {"NUL elsewhere", TEXT("data: a\0b\n\n"), 0, TEXT("message||a\0b;"), "", -1},
    {"retry", TEXT("retry: 1500\n"), 0, TEXT(""), "", 1500},
    {"retry of 0", TEXT("retry:0\n"), 0, TEXT(""), "", 0},
    {"retry that is none", TEXT("retry: 1500\nretry: -1\nretry: 1e3\nretry\nretry:  7\n"
     "retry: 7 \n"), 0, TEXT(""), "", 1500},
    {"retry far off", TEXT("retry: 99999999999999999999999\n"), 0, TEXT(""), "", SSE_RETRY_MAX},
    {"not UTF-8", TEXT("data: a\xff" "b\xc3\ndata: \xe2\x82\nevent: \xc3\xa9\xe9\n"
     "id: \x80\n\n"), 0,
     TEXT("\xc3\xa9" FFFD "|" FFFD "|a" FFFD "b" FFFD "\n" FFFD ";"), FFFD, -1},
    {"not UTF-8 before the end of a CR line", TEXT("data: \xf0\x9f\x98\r\rdata: \x80\r\r"), 0,
     TEXT("message||" FFFD ";message||" FFFD ";"), "", -1},
    {"four bytes", TEXT("data: \xf0\x9f\x98\x80\n\n"), 0,
     TEXT("message||\xf0\x9f\x98\x80;"), "", -1},
};

/* As browsers decode: one U+FFFD for each maximal subpart. */
static const struct {
    const char *row;
    struct span bytes;
    const char *text;
} repairs[] = {
    {"empty", TEXT(""), ""},
    {"sound", TEXT("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"), "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"},
    {"long ASCII around", TEXT("0123456789abcde\xff" "0123456789abcde"),
     "0123456789abcde" FFFD "0123456789abcde"},
    {"bytes that never are", TEXT("\xc0\xc1\xf5\xfe\xff"), FFFD FFFD FFFD FFFD FFFD},
    {"continuations alone", TEXT("\x80\xbf"), FFFD FFFD},
    {"cut after 1 of 2", TEXT("\xc3" "a"), FFFD "a"},
    {"cut after 2 of 3", TEXT("\xe2\x82" "a"), FFFD "a"},
    {"cut after 3 of 4", TEXT("\xf0\x9f\x98" "a"), FFFD "a"},
    {"cut, and another begins", TEXT("\xf0\x9f\xe2\x82\xac"), FFFD "\xe2\x82\xac"},
    {"cut at the end", TEXT("\xf1\x80\x80"), FFFD},
    {"overlong", TEXT("\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf"),
     FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD},
    {"surrogates", TEXT("\xed\xa0\x80\xed\xbf\xbf"), FFFD FFFD FFFD FFFD FFFD FFFD},
    {"last before the surrogates", TEXT("\xed\x9f\xbf"), "\xed\x9f\xbf"},
    {"past the last", TEXT("\xf4\x8f\xbf\xbf\xf4\x90\x80\x80"),
     "\xf4\x8f\xbf\xbf" FFFD FFFD FFFD FFFD},
    {"the table of Unicode", TEXT("a\xf1\x80\x80\xe1\x80\xc2" "b\x80" "c\x80\xbf" "d"),
     "a" FFFD FFFD FFFD "b" FFFD "c" FFFD FFFD "d"},
};
// clang-format on

struct record {
    struct buf text;
    unsigned n;
    unsigned refuse_at; // the number of the event that gets -EDOM; 0: none
};

static int take_event(void *ctx, const struct sse_event *event)
{
    struct record *record = ctx;

    buf_add(&record->text, event->name.at, event->name.len);
    buf_add_char(&record->text, '|');
    buf_add(&record->text, event->id.at, event->id.len);
    buf_add_char(&record->text, '|');
    buf_add(&record->text, event->data.at, event->data.len);
    buf_add_char(&record->text, ';');
    return ++record->n == record->refuse_at ? -EDOM : 0;
}

static int take_comment(void *ctx, struct span text)
{
    struct record *record = ctx;

    buf_add_char(&record->text, '#');
    buf_add(&record->text, text.at, text.len);
    buf_add_char(&record->text, ';');
    return 0;
}

static struct sse *set_up(struct record *record, const char *last_id)
{
    const struct sse_handler handler = {take_event, take_comment, record};
    struct sse *sse = NULL;

    *record = (struct record){0};
    buf_init(&record->text, 1 << 20);
    assert_int_equal(sse_new(&handler, EVENT_MAX, span_of(last_id), &sse), 0);
    return sse;
}

static void tear_down(struct sse *sse, struct record *record)
{
    sse_free(sse);
    buf_done(&record->text);
}

/* Feed the stream in pieces of `first` bytes and then of `then`, each on a heap of its own. */
static int feed(struct sse *sse, struct span stream, size_t first, size_t then)
{
    int r = 0;

    for (size_t at = 0, n = first; at < stream.len; at += n, n = then) {
        char *piece;

        n = MIN(n, stream.len - at);
        piece = malloc(MAX(n, (size_t)1));
        assert_non_null(piece);
        memcpy(piece, stream.at + at, n);
        r = sse_feed(sse, (struct span){piece, n});
        free(piece);
    }
    return r;
}

static bool same(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static void check_stream(size_t i, size_t first, size_t then)
{
    struct record record;
    struct sse *sse = set_up(&record, "");
    int r = feed(sse, streams[i].stream, first, then);

    if (r != streams[i].r || !same(buf_span(&record.text), streams[i].events) ||
        !span_is(sse_last_id(sse), streams[i].last_id) ||
        sse_retry_ms(sse) != streams[i].retry_ms)
        fail_msg("[%s] in %zu + %zu is %d, id %.*s, retry %d: %.*s", streams[i].row,
                 first, then, r, (int)sse_last_id(sse).len, sse_last_id(sse).at,
                 sse_retry_ms(sse), (int)record.text.len, record.text.data);
    tear_down(sse, &record);
}

static void test_streams(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        size_t len = streams[i].stream.len;

        check_stream(i, 1, 1);
        check_stream(i, 2, 3);
        for (size_t first = 0; first <= len; first++)
            check_stream(i, first, MAX(len, (size_t)1));
    }
}

static void test_repairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(repairs); i++) {
        struct buf text;

        buf_init(&text, 3 * repairs[i].bytes.len);
        utf8_repair(&text, repairs[i].bytes);
        if (text.error || !span_is(buf_span(&text), repairs[i].text))
            fail_msg("[%s] is %.*s", repairs[i].row, (int)text.len, text.data);
        buf_done(&text);
    }
}

/* What fits by one byte, and what does not; however it is split. */
static const struct {
    const char *row;
    const char *head;
    size_t fill; // bytes of 'x' after the head
    const char *tail;
    int r;
} lengths[] = {
    {"longest event", "data: ", EVENT_MAX - 6, "\n\n", 0},
    {"one more", "data: ", EVENT_MAX - 5, "\n\n", -EFBIG},
    {"a line without an end", "data: ", EVENT_MAX - 5, "", -EFBIG},
    {"of several lines", "event: a\nid: 1\ndata: ", EVENT_MAX - 19, "\n\n", 0},
    {"of several lines, one more", "event: a\nid: 1\ndata: ", EVENT_MAX - 18, "\n\n",
     -EFBIG},
    {"longest comment", ":", EVENT_MAX - 1, "\n", 0},
    {"longer comment", ":", EVENT_MAX, "\n", -EFBIG},
    {"comment within an event", "data: a\n:", EVENT_MAX - 7, "\n\n", -EFBIG},
    {"comments between events", "data: a\n\n:", EVENT_MAX - 1, "\n:b\ndata: c\n\n", 0},
    {"longer field of no name", "", EVENT_MAX + 1, "\n", -EFBIG},
    {"longest name", "event:", SSE_NAME_MAX, "\ndata\n\n", 0},
    {"longer name", "event:", SSE_NAME_MAX + 1, "\ndata\n\n", -ENAMETOOLONG},
    {"longest id", "id:", EVENT_MAX - 7, "\ndata\n\n", 0},
};

static void test_lengths(void **state)
{
    static const size_t pieces[] = {1, 7, EVENT_MAX - 1, EVENT_MAX + 1, 1 << 16};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct buf stream;

        buf_init(&stream, 1 << 16);
        buf_add_str(&stream, lengths[i].head);
        memset(buf_reserve(&stream, lengths[i].fill), 'x', lengths[i].fill);
        stream.len += lengths[i].fill;
        buf_add_str(&stream, lengths[i].tail);
        for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
            struct record record;
            struct sse *sse = set_up(&record, "");
            int r = feed(sse, buf_span(&stream), pieces[k], pieces[k]);

            if (r != lengths[i].r)
                fail_msg("[%s] in %zu is %d", lengths[i].row, pieces[k], r);
            tear_down(sse, &record);
        }
        buf_done(&stream);
    }
}

/* Bytes that are no UTF-8 grow to three times themselves; that is within the limits. */
static void test_growth(void **state)
{
    struct record record;
    struct sse *sse = set_up(&record, "");
    char stream[EVENT_MAX + 2];

    (void)state;
    memset(stream, 0xff, sizeof(stream));
    memcpy(stream, "data:", 5);
    memcpy(stream + EVENT_MAX, "\n\n", 2);
    assert_int_equal(sse_feed(sse, (struct span){stream, sizeof(stream)}), 0);
    assert_int_equal(record.n, 1);
    assert_int_equal(record.text.len, strlen("message||;") + 3 * (EVENT_MAX - 5));
    memcpy(stream, "    :", 5);
    *stream = ':';
    assert_int_equal(sse_feed(sse, (struct span){stream, sizeof(stream)}), 0);
    tear_down(sse, &record);
}

static void test_restart(void **state)
{
    struct record record;
    struct sse *sse = set_up(&record, "0");

    (void)state;
    assert_true(span_is(sse_last_id(sse), "0"));
    assert_int_equal(
        sse_feed(sse, span_of("data: a\n\nid: 1\ndata: b\n\nid: 2\ndata: c\r")), 0);
    sse_restart(sse);
    assert_true(span_is(sse_last_id(sse), "1"));
    assert_int_equal(sse_feed(sse, span_of("\n\xef\xbb\xbf"
                                           "data: d\n\nevent: x\nda")),
                     0);
    sse_restart(sse);
    assert_int_equal(sse_feed(sse, span_of("\xef\xbb\xbf"
                                           "data: e\n\n")),
                     0);
    assert_true(span_is(buf_span(&record.text), "message|0|a;message|1|b;message|1|e;"));
    tear_down(sse, &record);
}

static void test_error_sticks_until_restart(void **state)
{
    struct record record;
    struct sse *sse = set_up(&record, "");

    (void)state;
    record.refuse_at = 2;
    assert_int_equal(
        sse_feed(sse, span_of("id: 1\ndata: a\n\nid: 2\ndata: b\n\ndata: c\n\n")), -EDOM);
    assert_int_equal(sse_feed(sse, span_of("data: d\n\n")), -EDOM);
    assert_int_equal(record.n, 2);
    assert_true(span_is(sse_last_id(sse), "1")); // the second may be sent again
    sse_restart(sse);
    assert_int_equal(sse_feed(sse, span_of("data: e\n\n")), 0);
    assert_int_equal(record.n, 3);
    tear_down(sse, &record);
}

/* A stranger's last id, as somebody kept it. */
static void test_last_id_given(void **state)
{
    char id[SSE_ID_MAX + 1];
    struct sse *sse = NULL;

    (void)state;
    memset(id, 'x', sizeof(id));
    assert_int_equal(
        sse_new(&(struct sse_handler){0}, EVENT_MAX, (struct span){id, sizeof(id)}, &sse),
        -ENAMETOOLONG);
    assert_null(sse);
    assert_int_equal(
        sse_new(&(struct sse_handler){0}, EVENT_MAX, (struct span){id, SSE_ID_MAX}, &sse),
        0);
    assert_int_equal(sse_last_id(sse).len, SSE_ID_MAX);
    sse_free(sse);
    sse_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_repairs),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_error_sticks_until_restart),
        cmocka_unit_test(test_last_id_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
