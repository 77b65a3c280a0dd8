// SPDX-License-Identifier: Apache-2.0
#include "tui/display_text.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#define BAD "\xef\xbf\xbd"
#define ACUTE "\xcc\x81"
#define MIDDLE "\xe4\xb8\xad"    // U+4E2D, two cells
#define SMILE "\xf0\x9f\x98\x80" // U+1F600, two cells
#define SELECTOR "\xef\xb8\x8f"  // U+FE0F
#define E_ACUTE "\xc3\xa9"

enum { ROUNDS = 20000, INPUT_MAX = 48 };

// clang-format off
static const struct {
    const char *row;
    const char *text;
    int columns;
    const char *shown;
    int width; // of the whole text
    const char *ascii;
} rows[] = {
    {"plain", "Qwen/Qwen3-0.6B", -1, "Qwen/Qwen3-0.6B", 15, "Qwen/Qwen3-0.6B"},
    {"empty", "", -1, "", 0, ""},
    {"escape sequence", "a\033[2Jb", -1, "a" BAD "[2Jb", 6, "a?[2Jb"},
    {"operating system command", "\033]52;c;eA==\a", -1, BAD "]52;c;eA==" BAD, 12, "?]52;c;eA==?"},
    {"C1 as UTF-8, U+009B", "\xc2\x9b" "2J", -1, BAD "2J", 3, "?2J"},
    {"C1 as a byte", "\x9b" "2J", -1, BAD "2J", 3, "?2J"},
    {"DEL, tab, line ends", "\x7f\t\r\n", -1, BAD BAD BAD BAD, 4, "????"},
    {"two, three, four bytes", E_ACUTE MIDDLE SMILE, -1, E_ACUTE MIDDLE SMILE, 5, "???"},
    {"no-break space is a blank", "\xc2\xa0", -1, "\xc2\xa0", 1, "?"},
    {"soft hyphen", "\xc2\xad", -1, BAD, 1, "?"},
    {"bidi override and isolate", "\xe2\x80\xae" "a\xe2\x81\xa6", -1, BAD "a" BAD, 3, "?a?"},
    {"marks of direction", "\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", -1, BAD BAD BAD, 3, "???"},
    {"zero-width space, joiner, no joiner", "\xe2\x80\x8b\xe2\x80\x8d\xe2\x80\x8c", -1, BAD BAD BAD, 3, "???"},
    {"word joiner, byte order mark", "\xe2\x81\xa0\xef\xbb\xbf", -1, BAD BAD, 2, "??"},
    {"invisible operators", "\xe2\x81\xa1\xe2\x81\xa4", -1, BAD BAD, 2, "??"},
    {"separators of lines", "\xe2\x80\xa8\xe2\x80\xa9", -1, BAD BAD, 2, "??"},
    {"tags", "\xf3\xa0\x80\x81\xf3\xa0\x81\xbf", -1, BAD BAD, 2, "??"},
    {"annotation", "\xef\xbf\xb9\xef\xbf\xbb", -1, BAD BAD, 2, "??"},
    {"Mongolian vowel separator", "\xe1\xa0\x8e", -1, BAD, 1, "?"},
    {"fillers", "\xe1\x85\x9f\xe1\x85\xa0\xe3\x85\xa4\xef\xbe\xa0", -1, BAD BAD BAD BAD, 4, "????"},
    {"private use, in three planes", "\xee\x80\x80\xf3\xb0\x80\x80\xf4\x80\x80\x80", -1, BAD BAD BAD, 3, "???"},
    {"not assigned, not a character", "\xcd\xb8\xef\xbf\xbe\xef\xb7\x90", -1, BAD BAD BAD, 3, "???"},
    {"U+FFFD itself", BAD, -1, BAD, 1, "?"},
    {"overlong, surrogate, past the last", "\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80", -1,
     BAD BAD BAD BAD BAD BAD BAD BAD BAD, 9, "?????????"},
    {"torn at the end", "a\xe2\x82", -1, "a" BAD BAD, 3, "a??"},
    {"one combining", "e" ACUTE "x", -1, "e" ACUTE "x", 2, "e?x"},
    {"four combining", "e" ACUTE ACUTE ACUTE ACUTE "x", -1, "e" ACUTE ACUTE "x", 2, "e????x"},
    {"combining without a base", ACUTE "x", -1, BAD "x", 2, "?x"},
    {"combining behind what is replaced", "\001" ACUTE, -1, BAD ACUTE, 1, "??"},
    {"four bytes with two of four", SMILE "\xf0\x91\x8d\xa6\xf0\x91\x8d\xa7", -1,
     SMILE "\xf0\x91\x8d\xa6\xf0\x91\x8d\xa7", 2, "???"},
    {"variation selector", "\xe2\x9d\xa4" SELECTOR "x", -1, "\xe2\x9d\xa4x", 2, "??x"},
    {"Hangul vowel combines", "\xe1\x84\x80\xe1\x85\xa1", -1, "\xe1\x84\x80\xe1\x85\xa1", 2, "??"},
    {"cut to none", "abc", 0, "", 3, ""},
    {"just fits", "abc", 3, "abc", 3, "abc"},
    {"cut", "abcd", 3, "abc", 4, "abc"},
    {"combining signs of the last cell stay", "abe" ACUTE "x", 3, "abe" ACUTE, 4, "abe"},
    {"a wide sign that has one cell left", "ab" MIDDLE "x", 3, "ab", 5, "ab?"},
    {"a wide sign that has two", "ab" MIDDLE "x", 4, "ab" MIDDLE, 5, "ab?x"},
};

static const struct {
    const char *row;
    const char *json;
    const char *shown;
} documents[] = {
    {"plain", "{\"a\":[1,-2.50,null,true]}", "{\"a\":[1,-2.50,null,true]}"},
    {"line ends between tokens", "{\n\t\"a\" :\r\n1}\n", "{  \"a\" :  1} "},
    {"as it was escaped", "[\"\\u001b\\n\\\\\\\"\\/\"]", "[\"\\u001b\\n\\\\\\\"\\/\"]"},
    {"shown text stays", "[\"" E_ACUTE MIDDLE SMILE "\"]", "[\"" E_ACUTE MIDDLE SMILE "\"]"},
    {"DEL, C1, bidi", "[\"\x7f\xc2\x9b\xe2\x80\xae\"]", "[\"\\u007f\\u009b\\u202e\"]"},
    {"pairs of surrogates", "[\"\xf3\xa0\x80\x81\xf4\x8f\xbf\xbd\"]", "[\"\\udb40\\udc01\\udbff\\udffd\"]"},
    {"not assigned", "[\"\xcd\xb8\"]", "[\"\\u0378\"]"},
    {"third combining", "[\"e" ACUTE ACUTE ACUTE ACUTE "\"]", "[\"e" ACUTE ACUTE "\\u0301\\u0301\"]"},
    {"combining behind the quote", "[\"" ACUTE "\",\"x\"]", "[\"\\u0301\",\"x\"]"},
    {"in a key", "{\"\xe2\x80\x8b\":0}", "{\"\\u200b\":0}"},
    {"selector", "[\"\xe2\x9d\xa4" SELECTOR "\"]", "[\"\xe2\x9d\xa4\\ufe0f\"]"},
    {"quote behind a backslash", "[\"\\\"" ACUTE "\", \"\\\\\"\n]", "[\"\\\"" ACUTE "\", \"\\\\\" ]"},
    {"no JSON: a raw line end in a string", "[\"\n\"]", "[\"\\u000a\"]"},
    {"no JSON: no UTF-8", "[\"\x9b\"]", "[\"" BAD "\"]"},
    {"no JSON: control between tokens", "[\033]", "[\\u001b]"},
    {"empty", "", ""},
};
// clang-format on

/* What is written, NUL-terminated, from a copy of exactly its size. */
static const char *shown(struct buf *out, struct span text, bool ascii, int columns)
{
    char *copy = malloc(MAX(text.len, (size_t)1));

    assert_non_null(copy);
    memcpy(copy, text.at, text.len);
    buf_clear(out);
    display_text(out, (struct span){copy, text.len}, ascii, columns);
    buf_add_char(out, '\0');
    assert_int_equal(out->error, 0);
    free(copy);
    return out->data;
}

static void check_rows(void)
{
    struct buf out;

    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span text = span_of(rows[i].text);
        const char *got = shown(&out, text, false, rows[i].columns);
        int width = display_width(text);

        if (strcmp(got, rows[i].shown) != 0 || width != rows[i].width)
            fail_msg("[%s] is %d wide: %s", rows[i].row, width, got);
        got = shown(&out, text, true, rows[i].columns);
        if (strcmp(got, rows[i].ascii) != 0)
            fail_msg("[%s] in ASCII: %s", rows[i].row, got);
    }
    assert_string_equal(shown(&out, (struct span){"a\0b", 3}, false, -1), "a" BAD "b");
    buf_done(&out);
}

/* The same in every locale: also in one that is not of UTF-8. */
static void test_rows(void **state)
{
    (void)state;
    assert_non_null(setlocale(LC_ALL, "C"));
    check_rows();
    assert_non_null(setlocale(LC_ALL, "C.UTF-8"));
    check_rows();
}

static void test_documents(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        buf_clear(&out);
        display_json(&out, span_of(documents[i].json));
        if (!span_is(buf_span(&out), documents[i].shown))
            fail_msg("[%s] is %.*s", documents[i].row, (int)out.len, out.data);
    }
    buf_done(&out);
}

static uint32_t random_state = 1;

static uint32_t any(uint32_t below)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % below;
}

static size_t put_utf8(char *to, uint32_t c)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = n; i-- > 1; c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(n == 1 ? c : lead[n] | c);
    return n;
}

/* Any character, more often one of those that must not get through. */
static uint32_t any_character(void)
{
    static const uint32_t starts[] = {0,      0x7f,   0x300,   0x600,   0x2000,
                                      0xfe00, 0xfff0, 0xe0000, 0x1f600, 0x4e00};
    uint32_t c = any(4) ? starts[any(ARRAY_LEN(starts))] + any(0x80) : any(0x110000);

    return c >= 0xd800 && c <= 0xdfff ? 0x301 : c;
}

static size_t any_text(char text[INPUT_MAX])
{
    size_t len = 0;

    for (uint32_t n = any(10); n > 0; n--)
        if (any(3))
            len += put_utf8(text + len, any_character());
        else
            text[len++] = (char)any(256);
    return len;
}

/* jansson takes valid UTF-8 and nothing else. */
static bool is_utf8(struct span text)
{
    json_t *string = json_stringn(text.at, text.len);

    json_decref(string);
    return string != NULL;
}

static bool is_harmless(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];

        if (byte < 0x20 || byte == 0x7f)
            return false;
        if (byte == 0xc2 && i + 1 < text.len && (unsigned char)text.at[i + 1] < 0xa0)
            return false;
    }
    return is_utf8(text);
}

/* Cc, Cf, Zl, Zp, Cs and Co of Unicode's character database, behind a base. */
static void test_categories(void **state)
{
    static const uint32_t ranges[][2] = {
        {0x0000, 0x001f},   {0x007f, 0x009f},   {0x00ad, 0x00ad},     {0x0600, 0x0605},
        {0x061c, 0x061c},   {0x06dd, 0x06dd},   {0x070f, 0x070f},     {0x0890, 0x0891},
        {0x08e2, 0x08e2},   {0x180e, 0x180e},   {0x200b, 0x200f},     {0x2028, 0x202e},
        {0x2060, 0x2064},   {0x2066, 0x206f},   {0xe000, 0xf8ff},     {0xfeff, 0xfeff},
        {0xfff9, 0xfffb},   {0x110bd, 0x110bd}, {0x110cd, 0x110cd},   {0x13430, 0x13438},
        {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0001, 0xe0001},   {0xe0020, 0xe007f},
        {0xf0000, 0xffffd}, {0x1160, 0x1160},   {0x100000, 0x10fffd},
    };
    static const uint32_t shown_beside[] = {
        0x20,   0x7e,   0xa0,   0xac,   0xae,   0x606,  0x61b,  0x6de,  0x710,   0x200a,
        0x2010, 0x2027, 0x202f, 0x205f, 0x2070, 0xd7a3, 0xf900, 0xfffc, 0x110be, 0x1bc9f};
    struct buf out;
    char text[8] = "a";

    (void)state;
    buf_init(&out, 64);
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
        for (uint32_t c = ranges[i][0]; c <= ranges[i][1]; c++) {
            struct span span = {text, 1 + put_utf8(text + 1, c)};

            if (strcmp(shown(&out, span, false, -1), "a" BAD) != 0)
                fail_msg("U+%04X is shown", c);
        }
    for (size_t i = 0; i < ARRAY_LEN(shown_beside); i++) {
        struct span span = {text, 1 + put_utf8(text + 1, shown_beside[i])};

        text[span.len] = '\0';
        if (strcmp(shown(&out, span, false, -1), text) != 0)
            fail_msg("U+%04X is not shown", shown_beside[i]);
    }
    buf_done(&out);
}

static void test_any_bytes(void **state)
{
    struct buf once, twice;

    (void)state;
    buf_init(&once, 4096);
    buf_init(&twice, 4096);
    for (int i = 0; i < ROUNDS; i++) {
        char text[INPUT_MAX];
        struct span span = {text, any_text(text)};
        int columns = (int)any(12) - 1;
        const char *first = shown(&once, span, i % 2, columns);

        assert_true(is_harmless(span_of(first)));
        if (columns >= 0)
            assert_in_range(display_width(span_of(first)), 0, columns);
        assert_string_equal(shown(&twice, span_of(first), i % 2, -1), first);
    }
    buf_done(&once);
    buf_done(&twice);
}

/* Strings of any characters, as jansson writes them: the same value, on one harmless line. */
static void test_any_document(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    for (int i = 0; i < ROUNDS; i++) {
        char text[INPUT_MAX], *json;
        size_t len = 0;
        json_t *value, *again;

        for (uint32_t n = any(10); n > 0; n--)
            len += put_utf8(text + len, any_character());
        value = json_pack("{s:[o,i]}", "key", json_stringn(text, len), i);
        assert_non_null(value);
        json = json_dumps(value, JSON_INDENT(i % 3));
        buf_clear(&out);
        display_json(&out, span_of(json));
        again = json_loadb(out.data, out.len, JSON_ALLOW_NUL, NULL);
        assert_true(is_harmless(buf_span(&out)));
        assert_true(again && json_equal(value, again));
        free(json);
        json_decref(value);
        json_decref(again);
    }
    buf_done(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_documents),
        cmocka_unit_test(test_categories),   cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_any_document),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
