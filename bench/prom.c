// SPDX-License-Identifier: Apache-2.0
/*
 * prom.c - how fast a page is read when a dozen of its families are wanted
 *
 * The whole way of a scrape, reader with the names of all kinds and adapter, against memchr() for line feeds over
 * the same bytes in the same process, in turns. Prints both and their ratio.
 * Usage: bench_prom PAGE [MEGABYTES]
 */
#include "engine/page_reader.h"

#include <stdio.h>
#include <time.h>

enum { PIECE = 16 * 1024, ROUNDS = 9, PAGE_MAX = 1 << 20 };

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* In pieces, as they come from a socket. */
static int read_page(struct page_reader *reader, struct span page)
{
    struct engine_page figures;

    page_reader_begin(reader, NULL);
    while (page.len) {
        size_t n = MIN(page.len, (size_t)PIECE);

        if (page_reader_feed(reader, (struct span){page.at, n}) < 0)
            return -EBADMSG;
        page = (struct span){page.at + n, page.len - n};
    }
    if (page_reader_end(reader) < 0 || !page_reader_finish(reader, &figures))
        return -EBADMSG;
    return figures.engines ? 0 : -ENODATA;
}

static size_t count_lines(struct span page)
{
    size_t lines = 0;

    for (const char *at = page.at;; lines++) {
        at = memchr(at, '\n', (size_t)(page.at + page.len - at));
        if (!at)
            return lines;
        at++;
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), compare_doubles);
    return values[n / 2];
}

int main(int argc, char **argv)
{
    static char bytes[PAGE_MAX];
    double reader_rates[ROUNDS], memchr_rates[ROUNDS], ratios[ROUNDS];
    size_t megabytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    struct page_reader reader;
    struct span page = {bytes, 0};
    size_t lines = 0, repeats;

    if (!file) {
        (void)fprintf(stderr, "usage: bench_prom PAGE [MEGABYTES]\n");
        return 2;
    }
    page.len = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    if (page_reader_init(&reader) < 0 || read_page(&reader, page) < 0) {
        (void)fprintf(stderr, "%s: not a page of an engine\n", argv[1]);
        return 1;
    }

    repeats = megabytes * 1000000 / page.len + 1;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_s(), middle, end;

        for (size_t i = 0; i < repeats; i++)
            if (read_page(&reader, page) < 0)
                return 1;
        middle = now_s();
        for (size_t i = 0; i < repeats; i++)
            lines += count_lines(page);
        end = now_s();
        reader_rates[round] = (double)(page.len * repeats) / (middle - start) / 1e9;
        memchr_rates[round] = (double)(page.len * repeats) / (end - middle) / 1e9;
        ratios[round] = reader_rates[round] / memchr_rates[round];
    }
    (void)printf("page %zu bytes, %zu lines; reader %.2f GB/s, memchr %.2f GB/s, "
                 "reader/memchr %.2f (medians of %d rounds)\n",
                 page.len, lines / repeats / ROUNDS, median(reader_rates, ROUNDS),
                 median(memchr_rates, ROUNDS), median(ratios, ROUNDS), ROUNDS);
    page_reader_done(&reader);
    return 0;
}
