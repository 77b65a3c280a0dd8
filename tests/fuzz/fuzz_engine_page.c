// SPDX-License-Identifier: Apache-2.0
/*
 * What any server answers, taken for any kind's: the first byte says which kind is expected,
 * the second in what pieces the page comes; NUL parts the page from its other parts.
 */
#include "engine/page_reader.h"

#include <assert.h>
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_count(uint64_t count)
{
    assert(count == UNKNOWN || count <= INT64_MAX);
}

/* What join/ and encode/ rely on, whatever was said. */
static void check_page(const struct engine_page *page)
{
    assert(memchr(page->served_name, '\0', sizeof(page->served_name)));
    assert(memchr(page->kv_dtype, '\0', sizeof(page->kv_dtype)));
    assert(page->engines <= ENGINE_SERIES_MAX);
    assert(isnan(page->kv_usage_ratio) ||
           (page->kv_usage_ratio >= 0 && page->kv_usage_ratio <= 1));
    assert((page->kv_blocks == UNKNOWN) == (page->kv_used_blocks == UNKNOWN));
    assert(page->kv_blocks == UNKNOWN || page->kv_used_blocks <= page->kv_blocks);
    assert(isnan(page->prefix.hits) == isnan(page->prefix.queries));
    assert(isnan(page->prefix.hits) ||
           (page->prefix.hits >= 0 && page->prefix.hits <= page->prefix.queries));
    assert(!isnan(page->kv_usage_ratio) || page->kv_why);
    check_count(page->kv_block_tokens);
    check_count(page->kv_size_tokens);
    check_count(page->kv_told_bytes);
    check_count(page->requests_running);
    check_count(page->requests_waiting);
}

static bool read_all(struct page_reader *reader, struct span input, size_t piece,
                     struct engine_page *ret)
{
    const char *nul = memchr(input.at, '\0', input.len);
    size_t len = nul ? (size_t)(nul - input.at) : input.len;
    int r = 0;

    for (size_t at = 0; r == 0 && at < len; at += piece)
        r = page_reader_feed(reader, (struct span){input.at + at, MIN(piece, len - at)});
    if (r == 0)
        r = page_reader_end(reader);
    for (enum engine_part part = ENGINE_PART_LIVE; r == 0 && nul && part < ENGINE_PARTS;
         part++) {
        input = (struct span){nul + 1, input.len - (size_t)(nul + 1 - input.at)};
        nul = input.len ? memchr(input.at, '\0', input.len) : NULL;
        len = nul ? (size_t)(nul - input.at) : input.len;
        page_reader_take_part(reader, part, (struct span){input.at, len});
    }
    return r == 0 && page_reader_finish(reader, ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct engine_kind *expected = NULL;
    struct engine_page pages[2];
    struct page_reader reader;
    bool read[2];

    if (size < 2 || page_reader_init(&reader) < 0)
        return 0;
    if (data[0] % (engine_kinds_n + 1))
        expected = engine_kinds[data[0] % (engine_kinds_n + 1) - 1];
    for (int i = 0; i < 2; i++) {
        page_reader_begin(&reader, expected);
        read[i] = read_all(&reader, (struct span){(const char *)data + 2, size - 2},
                           i ? data[1] + 1U : size, &pages[i]);
        if (read[i])
            check_page(&pages[i]);
    }
    assert(read[0] == read[1]);
    assert(!read[0] || (pages[0].kv_blocks == pages[1].kv_blocks &&
                        pages[0].requests_running == pages[1].requests_running));
    page_reader_done(&reader);
    return 0;
}
