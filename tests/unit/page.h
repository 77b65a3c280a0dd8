// SPDX-License-Identifier: Apache-2.0
/*
 * page.h - for tests: a metrics page read as the scraper would, without a server
 */
#ifndef UNIT_PAGE_H
#define UNIT_PAGE_H

#include "engine/engine_kind.h"
#include "wire/prom.h"

#include <math.h>
#include <stdio.h>

enum { PAGE_TEXT_MAX = 512 * 1024 };

/* What came of a page. */
struct page_reading {
    int r;            // of the reading: 0, or what failed it
    const char *why;  // the kind's own words for that; NULL: none
    uint64_t samples; // wanted ones seen
    struct engine_page page;
};

struct page_state {
    void *gathered;
    struct page_reading *ret;
};

static inline int page_sample(void *ctx, unsigned name, struct span labels, double value)
{
    struct page_state *state = ctx;

    state->ret->samples++;
    return engine_vllm.sample(state->gathered, name, labels, value, &state->ret->why);
}

/* Read `text`, fed in pieces of `piece` bytes. */
static inline void page_read(struct span text, size_t piece, struct page_reading *ret)
{
    struct page_state state = {malloc(engine_vllm.page_size), ret};
    struct prom_reader reader;

    if (!state.gathered)
        abort();
    memset(state.gathered, 0xa5, engine_vllm.page_size); // as an old page leaves it
    memset(state.gathered, 0, engine_vllm.page_zeroed);
    *ret = (struct page_reading){0};
    engine_page_clear(&ret->page);
    prom_init(&reader, engine_vllm.names[0].at, engine_vllm.names[0].n, page_sample,
              &state);
    while (text.len && ret->r == 0) {
        size_t n = MIN(text.len, piece);

        ret->r = prom_feed(&reader, (struct span){text.at, n});
        text = (struct span){text.at + n, text.len - n};
    }
    if (ret->r == 0)
        engine_vllm.finish(state.gathered, &ret->page);
    prom_done(&reader);
    free(state.gathered);
}

/* The file's text, to be freed; NULL: it cannot be read. */
static inline char *page_load(const char *dir, const char *name, struct span *ret)
{
    char path[4096], *text = malloc(PAGE_TEXT_MAX);
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "re");
    if (!file || !text) {
        if (file)
            (void)fclose(file);
        free(text);
        return NULL;
    }
    *ret = (struct span){text, fread(text, 1, PAGE_TEXT_MAX, file)};
    (void)fclose(file);
    return text;
}

/* But for rounding; what is not known is the same as what is not known. */
static inline bool page_same(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-12 * fmax(1, fabs(b));
}

#endif
