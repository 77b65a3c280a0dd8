// SPDX-License-Identifier: Apache-2.0
#include "wire/utf8.h"

static const char REPLACEMENT[] = "\xef\xbf\xbd"; // U+FFFD

/* Bytes at the start that are ASCII. */
static size_t ascii_length(struct span bytes)
{
    size_t n = 0;

    while (bytes.len - n >= sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, bytes.at + n, sizeof(word));
        if (word & 0x8080808080808080)
            break;
        n += sizeof(word);
    }
    while (n < bytes.len && (unsigned char)bytes.at[n] < 0x80)
        n++;
    return n;
}

/* How a character that is not ASCII goes on; by its first byte (Unicode table 3-7). */
struct form {
    size_t len;              // 0: no character begins so
    unsigned char low, high; // bounds of the second byte
};

static struct form form_of(unsigned char first)
{
    if (first >= 0xc2 && first <= 0xdf)
        return (struct form){2, 0x80, 0xbf};
    if (first == 0xe0)
        return (struct form){3, 0xa0, 0xbf}; // overlong below
    if (first == 0xed)
        return (struct form){3, 0x80, 0x9f}; // surrogates above
    if (first >= 0xe1 && first <= 0xef)
        return (struct form){3, 0x80, 0xbf};
    if (first == 0xf0)
        return (struct form){4, 0x90, 0xbf}; // overlong below
    if (first >= 0xf1 && first <= 0xf3)
        return (struct form){4, 0x80, 0xbf};
    if (first == 0xf4)
        return (struct form){4, 0x80, 0x8f}; // past U+10FFFF above
    return (struct form){0, 0, 0};
}

/*
 * Bytes of the character at the start of `bytes`, which is not ASCII; `whole` says whether
 * it is one, or the longest beginning of one.
 */
static size_t take_character(struct span bytes, bool *whole)
{
    const unsigned char *s = (const unsigned char *)bytes.at;
    struct form form = form_of(s[0]);
    size_t n = 1;

    while (n < form.len && n < bytes.len && s[n] >= form.low && s[n] <= form.high) {
        form.low = 0x80;
        form.high = 0xbf;
        n++;
    }
    *whole = form.len && n == form.len;
    return n;
}

void utf8_repair(struct buf *to, struct span bytes)
{
    while (bytes.len) {
        size_t n = ascii_length(bytes);
        bool whole = true;

        if (n == 0)
            n = take_character(bytes, &whole);
        if (whole)
            buf_add(to, bytes.at, n);
        else
            buf_add(to, REPLACEMENT, sizeof(REPLACEMENT) - 1);
        bytes = (struct span){bytes.at + n, bytes.len - n};
    }
}
