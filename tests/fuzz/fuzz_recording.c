// SPDX-License-Identifier: Apache-2.0
/* Whatever a file holds: what is read of it could be written again and read the same. */
#include "recording/recording.h"
#include "recording/recording_line.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

enum { ENTRIES_MAX = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static void check_entry(const struct recording_entry *entry)
{
    struct recording_scratch scratch;
    struct recording_entry again;
    struct complaint why = {""};
    struct buf line;

    buf_init(&line, RECORDING_LINE_MAX + 128);
    recording_scratch_init(&scratch);
    assert(recording_line_write(&line, entry, &why) == 0 && line.error == 0);
    assert(memchr(line.data, '\n', line.len) == line.data + line.len - 1);
    assert(!memchr(line.data, '\r', line.len));
    assert(recording_line_read((struct span){line.data, line.len - 1}, &scratch, &again,
                               &why) == 0);
    assert(again.kind == entry->kind && again.unix_ms == entry->unix_ms);
    assert(again.skipped == entry->skipped);
    if (entry->kind == RECORDING_DETAIL)
        assert(is_same(again.text, entry->text));
    recording_scratch_done(&scratch);
    buf_done(&line);
}

/* The first entry again, from its place. */
static void check_rewind(struct recording *recording, int64_t first_ms)
{
    struct recording_entry entry;
    struct complaint why = {""};

    assert(recording_rewind(recording, &why) == 0);
    assert(recording_next(recording, &entry, &why) == 1 && entry.unix_ms == first_ms);
}

static void read_all(struct recording *recording)
{
    struct recording_entry entry;
    struct complaint why = {""};
    int64_t first_ms = 0;
    int n = 0, r;

    while ((r = recording_next(recording, &entry, &why)) == 1 && n < ENTRIES_MAX) {
        if (n++ == 0)
            first_ms = entry.unix_ms;
        check_entry(&entry);
    }
    assert(r >= 0 || why.text[0]);
    assert((recording_skipped_lines(recording) > 0) ==
           (recording_fault(recording)[0] != 0));
    if (n)
        check_rewind(recording, first_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("recording", MFD_CLOEXEC);
    struct recording *recording = NULL;
    struct complaint why = {""};
    char path[64];

    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (recording_open(path, &recording, &why) == 0)
        read_all(recording);
    else
        assert(why.text[0]);
    recording_free(recording);
    (void)close(fd);
    return 0;
}
