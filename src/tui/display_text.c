// SPDX-License-Identifier: Apache-2.0
#include "tui/display_text.h"

#include <locale.h>
#include <pthread.h>
#include <wchar.h>

enum {
    REPLACEMENT = 0xfffd,
    COMBINING_MAX = 2, // so that base and these fit into `struct sign`
};

struct range {
    uint32_t first, last;
};

/*
 * Unicode's categories Cc, Cf, Zl, Zp, Cs and Co, in order; and, marked so, letters that
 * are drawn as nothing. What is not assigned (Cn) has no width and needs no line here.
 */
// clang-format off
static const struct range hidden[] = {
    {0x0000, 0x001f}, {0x007f, 0x009f},     // C0, DEL, C1
    {0x00ad, 0x00ad},                       // soft hyphen
    {0x0600, 0x0605}, {0x061c, 0x061c}, {0x06dd, 0x06dd}, {0x070f, 0x070f},
    {0x0890, 0x0891}, {0x08e2, 0x08e2},
    {0x115f, 0x1160},                       // filler: Hangul
    {0x17b4, 0x17b5},                       // filler: Khmer
    {0x180e, 0x180e},
    {0x200b, 0x200f},                       // zero-width, marks of direction
    {0x2028, 0x202e},                       // separators, embeddings, overrides
    {0x2060, 0x206f},                       // invisible operators, isolates
    {0x3164, 0x3164},                       // filler: Hangul
    {0xd800, 0xf8ff},                       // surrogates, private use
    {0xfeff, 0xfeff},                       // byte order mark
    {0xffa0, 0xffa0},                       // filler: Hangul, half as wide
    {0xfff0, 0xfffb},                       // interlinear annotation
    {0x110bd, 0x110bd}, {0x110cd, 0x110cd},
    {0x13430, 0x1343f},                     // joiners of hieroglyphs
    {0x1bca0, 0x1bca3},                     // of shorthand
    {0x1d173, 0x1d17a},                     // of musical notation
    {0xe0000, 0xe00ff},                     // tags
    {0xf0000, 0x10ffff},                    // private use
};

/* Terminals do not agree on how wide a sign is with one of these, so all go without. */
static const struct range variation_selectors[] = {
    {0x180b, 0x180d}, {0x180f, 0x180f}, {0xfe00, 0xfe0f}, {0xe0100, 0xe01ef},
};
// clang-format on

static bool is_in(uint32_t c, const struct range *ranges, size_t n)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (c > ranges[middle].last)
            low = middle + 1;
        else if (c < ranges[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

static locale_t utf8_locale;

static void open_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
}

/* Of libc, and the same in every locale: -1 for what is not assigned. */
static int libc_width(uint32_t c)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    locale_t before;
    int width;

    (void)pthread_once(&once, open_locale);
    if (!utf8_locale)
        return -1; // all of it is replaced
    before = uselocale(utf8_locale);
    width = wcwidth((wchar_t)c);
    (void)uselocale(before);
    return width;
}

/* Cells: 1 or 2; 0: combines with the sign before it; -1: not to be shown. */
static int width_of(uint32_t c)
{
    int width;

    if ((c >= 0x20 && c < 0x7f) || c == REPLACEMENT)
        return 1;
    if (is_in(c, hidden, ARRAY_LEN(hidden)))
        return -1;
    width = libc_width(c);
    return MIN(width, 2);
}

/* Of a character that begins with this byte; 0: none does. */
static size_t length_of(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/*
 * The character at the front and its length (Unicode table 3-7: no overlong form, no
 * surrogate, nothing past U+10FFFF). What is not UTF-8 is one byte, read as NUL.
 */
static size_t decode(struct span text, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    static const uint32_t mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const unsigned char *s = (const unsigned char *)text.at;
    size_t n = length_of(s[0]);
    uint32_t c = s[0] & mask[n];

    *ret = 0;
    if (n == 0 || n > text.len)
        return 1;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 1;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[n] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
        return 1;
    *ret = c;
    return n;
}

static void skip(struct span *text, size_t n)
{
    text->at += n;
    text->len -= n;
}

/* Put as many combining characters behind the base as are allowed, and drop the others. */
static void take_combining(struct span *text, char *to)
{
    unsigned taken = 0;

    while (text->len > 0) {
        uint32_t c;
        size_t n = decode(*text, &c);

        if (c < 0x80 || width_of(c) != 0)
            break;
        if (taken < COMBINING_MAX &&
            !is_in(c, variation_selectors, ARRAY_LEN(variation_selectors))) {
            memcpy(to, text->at, n);
            to += n;
            taken++;
        }
        skip(text, n);
    }
}

bool display_next(struct span *text, bool ascii, struct sign *ret)
{
    static const char replacement[] = "\xef\xbf\xbd"; // U+FFFD
    uint32_t c;
    size_t n;
    int width;

    *ret = (struct sign){.width = 1}; // no byte of an earlier sign stays
    if (text->len == 0)
        return false;
    n = decode(*text, &c);
    width = width_of(c);

    if (ascii) {
        ret->text[0] = c >= 0x20 && c < 0x7f ? (char)c : '?';
        skip(text, n);
    } else if (width > 0) {
        ret->width = width;
        memcpy(ret->text, text->at, n);
        skip(text, n);
        take_combining(text, ret->text + n);
    } else { // also a combining character without a base
        memcpy(ret->text, replacement, sizeof(replacement) - 1);
        skip(text, n);
        take_combining(text, ret->text + sizeof(replacement) - 1);
    }
    return true;
}

void display_text(struct buf *out, struct span text, bool ascii, int columns)
{
    struct sign sign;
    int taken = 0;

    while (display_next(&text, ascii, &sign)) {
        if (columns >= 0 && sign.width > columns - taken)
            return;
        if (columns >= 0)
            taken += sign.width;
        buf_add_str(out, sign.text);
    }
}

int display_width(struct span text)
{
    struct sign sign;
    int width = 0;

    while (width <= INT32_MAX - 2 && display_next(&text, false, &sign))
        width += sign.width;
    return width;
}

static void add_escape(struct buf *out, uint32_t c)
{
    if (c > 0xffff) {
        buf_printf(out, "\\u%04x", 0xd800 + ((c - 0x10000) >> 10));
        c = 0xdc00 + ((c - 0x10000) & 0x3ff);
    }
    buf_printf(out, "\\u%04x", c);
}

/* How far into a JSON text we are. */
struct json_place {
    bool in_string;
    bool after_backslash;
    unsigned combining; // behind the base; COMBINING_MAX: no more of them
};

static void step(struct json_place *place, uint32_t c)
{
    if (place->after_backslash) {
        place->after_backslash = false;
    } else if (c == '"') {
        place->in_string = !place->in_string;
        place->combining = COMBINING_MAX; // the quote is no base
        return;
    } else if (c == '\\' && place->in_string) {
        place->after_backslash = true;
    }
    place->combining = place->in_string ? 0 : COMBINING_MAX;
}

/* May it be written as it is? */
static bool is_shown(struct json_place *place, uint32_t c)
{
    int width = width_of(c);

    if (width != 0)
        return width > 0;
    return place->combining++ < COMBINING_MAX &&
           !is_in(c, variation_selectors, ARRAY_LEN(variation_selectors));
}

void display_json(struct buf *out, struct span json)
{
    struct json_place place = {.combining = COMBINING_MAX};

    while (json.len > 0) {
        uint32_t c;
        size_t n = decode(json, &c);

        if ((unsigned char)json.at[0] >= 0x80 && n == 1) {
            buf_add_str(out, "\xef\xbf\xbd"); // no UTF-8, so no JSON
        } else if (!place.in_string && (c == '\n' || c == '\r' || c == '\t')) {
            buf_add_char(out, ' ');
        } else if (is_shown(&place, c)) {
            buf_add(out, json.at, n);
            if (width_of(c) > 0)
                step(&place, c);
        } else {
            add_escape(out, c);
        }
        skip(&json, n);
    }
}
