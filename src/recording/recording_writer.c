// SPDX-License-Identifier: Apache-2.0
#include "recording/recording.h"

#include "base/write_all.h"
#include "recording/recording_gzip.h"
#include "recording/recording_line.h"

#include <fcntl.h>

enum {
    MEMBER_MS = 60 * 1000,
    FLUSH_MS = 5 * 1000,
};

struct recording_writer {
    char *path; // "stdout" for "-"
    int fd;
    int error;                   // that ended it
    struct recording_gzip *gzip; // NULL: plain
    int64_t member_ms,
        flushed_ms; // of the entry that it began with, or was flushed after
    uint64_t written;
    struct buf line;
};

static int no_memory(struct complaint *why)
{
    return complain(why, -ENOMEM, "out of memory");
}

static int write_out(void *ctx, struct span text)
{
    struct recording_writer *writer = ctx;
    int r = write_all(writer->fd, text);

    if (r == 0)
        writer->written += text.len;
    return r;
}

/* A clock that was set back does not keep what is due from being done. */
static bool is_due(int64_t since_ms, int64_t now_ms, int64_t every_ms)
{
    return now_ms < since_ms || now_ms - since_ms >= every_ms;
}

static int write_gzip(struct recording_writer *writer, struct span line, int64_t unix_ms)
{
    bool flush;
    int r = 0;

    if (is_due(writer->member_ms, unix_ms, MEMBER_MS))
        r = recording_gzip_end(writer->gzip);
    if (r < 0)
        return r;
    if (!recording_gzip_in_member(writer->gzip))
        writer->member_ms = writer->flushed_ms = unix_ms;
    flush = is_due(writer->flushed_ms, unix_ms, FLUSH_MS);
    if (flush)
        writer->flushed_ms = unix_ms;
    return recording_gzip_add(writer->gzip, line, flush);
}

static int tell(struct recording_writer *writer, int r, struct complaint *why)
{
    return complain(why, r, "%s: cannot be written: %s", writer->path, strerror(-r));
}

static int write_line(struct recording_writer *writer, int64_t unix_ms,
                      struct complaint *why)
{
    struct span line = buf_span(&writer->line);
    int r = writer->gzip ? write_gzip(writer, line, unix_ms) : write_out(writer, line);

    writer->error = r;
    return r < 0 ? tell(writer, r, why) : 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static int open_file(struct recording_writer *writer, const char *path, bool replace,
                     struct complaint *why)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (replace ? O_TRUNC : O_EXCL);

    writer->fd = strcmp(path, "-") == 0 ? STDOUT_FILENO : open(path, flags, 0666);
    if (writer->fd >= 0)
        return 0;
    if (errno == EEXIST)
        return complain(why, -EEXIST, "%s: there is such a file already", path);
    return complain(why, neg_errno(), "%s: cannot be made: %s", path, strerror(errno));
}

static void writer_free(struct recording_writer *writer)
{
    recording_gzip_free(writer->gzip);
    buf_done(&writer->line);
    free(writer->path);
    free(writer);
}

int recording_create(const char *path, bool replace, const char *url, int64_t unix_ms,
                     struct recording_writer **ret, struct complaint *why)
{
    struct recording_writer *writer = calloc(1, sizeof(*writer));
    int r = 0;

    if (!writer)
        return no_memory(why);
    buf_init(&writer->line, RECORDING_LINE_MAX);
    writer->fd = -1;
    writer->path = strdup(strcmp(path, "-") == 0 ? "stdout" : path);
    recording_head_write(&writer->line, url, unix_ms);
    if (!writer->path || writer->line.error ||
        (ends_with(path, ".gz") && recording_gzip_new(RECORDING_EFFORT_USUAL, write_out,
                                                      writer, &writer->gzip) < 0))
        r = no_memory(why);
    if (r == 0)
        r = open_file(writer, path, replace, why);
    if (r == 0)
        r = write_line(writer, unix_ms, why);
    if (r < 0) {
        if (writer->fd != STDOUT_FILENO)
            close_fd(&writer->fd);
        writer_free(writer);
        return r;
    }
    *ret = writer;
    return 0;
}

int recording_write(struct recording_writer *writer, const struct recording_entry *entry,
                    struct complaint *why)
{
    struct complaint cause = {""};
    int r;

    if (writer->error)
        return tell(writer, writer->error, why);
    buf_clear(&writer->line);
    r = recording_line_write(&writer->line, entry, &cause);
    if (r == 0 && writer->line.error == -E2BIG)
        r = complain(&cause, -E2BIG, "a line of more than %d bytes", RECORDING_LINE_MAX);
    if (r < 0)
        return complain(why, r, "%s: %s is left out", writer->path, cause.text);
    if (writer->line.error)
        return no_memory(why);
    return write_line(writer, entry->unix_ms, why);
}

uint64_t recording_written(const struct recording_writer *writer)
{
    return writer->written;
}

/* What the kernel has not been able to write yet is told here or never. */
static int close_file(struct recording_writer *writer)
{
    int r = 0;

    if (writer->fd == STDOUT_FILENO)
        return 0;
    if (fsync(writer->fd) < 0 && errno != EINVAL && errno != EROFS)
        r = neg_errno(); // a device or pipe has nothing to wait for
    if (close(writer->fd) < 0 && r == 0)
        r = neg_errno();
    return r;
}

int recording_close(struct recording_writer *writer, struct complaint *why)
{
    int r, closed;

    if (!writer)
        return 0;
    r = writer->error;
    if (r == 0 && writer->gzip)
        r = recording_gzip_end(writer->gzip);
    closed = close_file(writer);
    if (r == 0)
        r = closed;
    if (r < 0)
        r = tell(writer, r, why);
    writer_free(writer);
    return r;
}
