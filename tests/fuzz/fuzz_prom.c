// SPDX-License-Identifier: Apache-2.0
/* Pieces of any size (the first byte, plus 1) give the same samples and the same error. */
#include "wire/prom.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take_sample(void *ctx, unsigned family, struct span labels, double value)
{
    struct prom_label label;

    buf_printf(ctx, "%u %a;", family, value);
    while (prom_next_label(&labels, &label) == 1)
        buf_add(ctx, label.value.at, label.value.len);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "b:c_total"};
    struct buf out[2] = {{.max = 1024 * 1024}, {.max = 1024 * 1024}};
    int r[2] = {0, 0};

    for (int i = 0; i < 2 && size; i++) {
        size_t piece = i ? *data + 1U : size;
        struct prom_reader reader;

        prom_init(&reader, names, ARRAY_LEN(names), take_sample, &out[i]);
        for (size_t at = 0; at < size; at += piece)
            r[i] = prom_feed(
                &reader, (struct span){(const char *)data + at, MIN(piece, size - at)});
        prom_done(&reader);
    }
    assert(r[0] == r[1] && out[0].len == out[1].len);
    assert(out[0].len == 0 || memcmp(out[0].data, out[1].data, out[0].len) == 0);
    buf_done(&out[0]);
    buf_done(&out[1]);
    return 0;
}
