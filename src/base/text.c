// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <strings.h>

static const char REPLACEMENT[] = "\xef\xbf\xbd"; // U+FFFD

/*
 * Length of the well-formed UTF-8 character at the start of `s` (Unicode table 3-7), or 0.
 */
static size_t utf8_length(const unsigned char *s, size_t len)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t n;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        n = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        n = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        n = 4;
    else
        return 0;

    if (s[0] == 0xe0)
        low = 0xa0; // overlong below
    else if (s[0] == 0xed)
        high = 0x9f; // surrogates above
    else if (s[0] == 0xf0)
        low = 0x90; // overlong below
    else if (s[0] == 0xf4)
        high = 0x8f; // past U+10FFFF above

    if (n > len || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return n;
}

static bool is_control(const unsigned char *s, size_t n)
{
    if (n == 1)
        return s[0] < 0x20 || s[0] == 0x7f;
    if (n == 2)
        return s[0] == 0xc2 && s[1] < 0xa0; // C1
    return n == 3 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9);
}

size_t text_clean(char *dst, size_t room, struct span src)
{
    const unsigned char *s = (const unsigned char *)src.at;
    size_t left = src.len, out = 0;

    while (left > 0) {
        size_t n = utf8_length(s, left);
        bool keep = n > 0 && !is_control(s, n);
        size_t add = keep ? n : sizeof(REPLACEMENT) - 1;

        if (out + add >= room)
            break;
        memcpy(dst + out, keep ? (const char *)s : REPLACEMENT, add);
        out += add;
        n = n ? n : 1;
        s += n;
        left -= n;
    }
    dst[out] = '\0';
    return out;
}

struct span text_trim(struct span text)
{
    static const char blanks[] = " \t\r\n";

    while (text.len && memchr(blanks, *text.at, sizeof(blanks) - 1))
        text = (struct span){text.at + 1, text.len - 1};
    while (text.len && memchr(blanks, text.at[text.len - 1], sizeof(blanks) - 1))
        text.len--;
    return text;
}

bool text_same_word(struct span text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

bool text_is_of_name(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-';
}
