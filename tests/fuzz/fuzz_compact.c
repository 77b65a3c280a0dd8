// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_compact.c - messages as a hostile node would publish them
 *
 * What is accepted can be shown, and written and read again with nothing lost.
 */
#include "encode/compact.h"
#include "encode/detail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show(struct buf *out, const struct compact_message *message)
{
    static const struct detail_origin origin = {
        .boot = "0123456789abcdef", .version = "1", .interval_ms = 500};

    buf_clear(out);
    detail_write(out, &message->snapshot, &origin);
    if (out->error)
        abort();
}

static void write_again(const struct compact_message *message, struct buf *out)
{
    static struct compact_writer writer;
    int r = compact_write(&writer, out, &message->head,
                          message->has_figures ? &message->snapshot : NULL,
                          &message->snapshot.self, COMPACT_MAX);

    if (r < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct compact_reader reader;
    static struct compact_message message, again;
    static struct buf bytes, one, two;

    bytes.max = COMPACT_MAX;
    one.max = two.max = 4 * DETAIL_MAX; // each byte of a hostile text may be escaped
    if (compact_read(&reader, (struct span){(const char *)data, size}, &message) < 0)
        return 0;
    show(&one, &message);
    if (message.snapshot.n_processes > COMPACT_PROCESSES_MAX)
        return 0; // the rest would be left out
    write_again(&message, &bytes);
    if (compact_read(&reader, buf_span(&bytes), &again) < 0)
        abort();
    show(&two, &again);
    if (message.has_figures &&
        (one.len != two.len || memcmp(one.data, two.data, one.len) != 0))
        abort();
    return 0;
}
