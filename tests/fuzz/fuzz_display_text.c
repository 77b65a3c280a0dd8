// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever comes, a terminal gets valid UTF-8 without a control character, and what was made
 * harmless once stays as it is; a JSON text keeps its value.
 */
#include "tui/display_text.h"

#include <assert.h>
#include <jansson.h>

enum { OUTPUT_MAX = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_harmless(struct span text)
{
    json_t *utf8 = json_stringn(text.len ? text.at : "", text.len);

    assert(utf8);
    json_decref(utf8);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];

        assert(byte >= 0x20 && byte != 0x7f);
        assert(byte != 0xc2 || (unsigned char)text.at[i + 1] >= 0xa0);
    }
}

static void check_text(struct span text, bool ascii)
{
    struct buf once, twice;

    buf_init(&once, OUTPUT_MAX);
    buf_init(&twice, OUTPUT_MAX);
    display_text(&once, text, ascii, -1);
    display_text(&twice, buf_span(&once), ascii, -1);
    check_harmless(buf_span(&once));
    assert(once.len == twice.len);
    assert(once.len == 0 || memcmp(once.data, twice.data, once.len) == 0);
    buf_done(&once);
    buf_done(&twice);
}

static void check_json(struct span text)
{
    const size_t flags = JSON_ALLOW_NUL | JSON_DECODE_ANY;
    bool has_nul = text.len > 0 && memchr(text.at, 0, text.len); // jansson's end of text
    json_t *value = has_nul ? NULL : json_loadb(text.at, text.len, flags, NULL), *again;
    struct buf out;

    buf_init(&out, OUTPUT_MAX);
    display_json(&out, text);
    check_harmless(buf_span(&out));
    again = value ? json_loadb(out.data, out.len, flags, NULL) : NULL;
    assert(!value || json_equal(value, again));
    json_decref(value);
    json_decref(again);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};

    check_text(text, false);
    check_text(text, true);
    check_json(text);
    return 0;
}
