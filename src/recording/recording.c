// SPDX-License-Identifier: Apache-2.0
#include "recording/recording.h"

#include "recording/recording_input.h"
#include "recording/recording_line.h"

struct recording {
    char *path; // "stdin" for "-"
    char *url;
    struct recording_input *input;
    struct span piece; // what is left of it
    size_t piece_at;   // of its beginning, that is not left
    struct buf torn;   // the beginning of a line that is in several pieces
    uint64_t line;     // number of the one read last
    struct recording_scratch scratch;
    uint64_t skipped;
    struct complaint fault;
    struct recording_mark first; // entry
};

enum line_end { LINE_WHOLE, LINE_CUT_OFF, LINE_TOO_LONG };

static int next_piece(struct recording *recording, struct complaint *why)
{
    int r = recording_input_next(recording->input, &recording->piece, why);

    recording->piece_at = 0;
    if (r <= 0)
        recording->piece.len = 0;
    return r;
}

static void drop(struct recording *recording, size_t len)
{
    recording->piece.at += len;
    recording->piece.len -= len;
    recording->piece_at += len;
}

/* Take the rest of a line that began in an earlier piece. */
static int read_torn(struct recording *recording, struct span *ret,
                     enum line_end *ret_end, struct complaint *why)
{
    const char *end = NULL;
    int r = 1;

    buf_clear(&recording->torn);
    while (!end && r > 0) {
        struct span *piece = &recording->piece;
        size_t len;

        end = piece->len ? memchr(piece->at, '\n', piece->len) : NULL;
        len = end ? (size_t)(end - piece->at) : piece->len;
        buf_add(&recording->torn, piece->at, len);
        drop(recording, end ? len + 1 : len);
        if (recording->torn.error && recording->line == 1)
            break; // it is no recording, wherever that line ends
        if (!end)
            r = next_piece(recording, why);
    }
    if (r < 0)
        return r;
    if (recording->torn.error == -ENOMEM)
        return complain(why, -ENOMEM, "out of memory");
    *ret = buf_span(&recording->torn);
    *ret_end = recording->torn.error ? LINE_TOO_LONG : end ? LINE_WHOLE : LINE_CUT_OFF;
    return 1;
}

/* The next line without its end: 1; 0 at the end of the file. */
static int read_line(struct recording *recording, struct span *ret,
                     enum line_end *ret_end, struct complaint *why)
{
    struct span *piece = &recording->piece;
    const char *end;

    if (piece->len == 0) {
        int r = next_piece(recording, why);

        if (r <= 0)
            return r;
    }
    recording->line++;
    end = memchr(piece->at, '\n', piece->len);
    if (!end)
        return read_torn(recording, ret, ret_end, why);
    *ret = (struct span){piece->at, (size_t)(end - piece->at)};
    *ret_end = LINE_WHOLE;
    drop(recording, ret->len + 1);
    return 1;
}

void recording_refuse(struct recording *recording, const char *reason)
{
    if (recording->skipped++ == 0)
        (void)complain(&recording->fault, 0, "%s: line %llu: %s", recording->path,
                       (unsigned long long)recording->line, reason);
}

/* The first line of a recording that was put behind another. */
static bool is_head(struct span line)
{
    static const char begin[] = "{\"vramscope_recording\":";

    return line.len > sizeof(begin) && memcmp(line.at, begin, sizeof(begin) - 1) == 0;
}

/* Fault of the file, not of a line. */
static int fail(const struct recording *recording, int r, const struct complaint *cause,
                struct complaint *why)
{
    return complain(why, r, "%s: line %llu: %s", recording->path,
                    (unsigned long long)recording->line, cause->text);
}

int recording_next(struct recording *recording, struct recording_entry *ret,
                   struct complaint *why)
{
    for (;;) {
        struct complaint cause = {""};
        enum line_end end = LINE_WHOLE;
        struct span line;
        int r = read_line(recording, &line, &end, &cause);

        if (r < 0)
            return fail(recording, r == -ENOMEM ? r : -EIO, &cause, why);
        if (r == 0)
            return 0;
        if (end == LINE_TOO_LONG) {
            (void)complain(&cause, 0, "it is longer than %d bytes", RECORDING_LINE_MAX);
        } else if (!is_head(line)) {
            r = recording_line_read(line, &recording->scratch, ret, &cause);
            if (r == 0)
                return 1;
            if (r == -ENOMEM)
                return fail(recording, r, &cause, why);
        } else {
            continue;
        }
        if (end == LINE_CUT_OFF)
            (void)complain(&cause, 0, "it is cut off by the end of the file");
        recording_refuse(recording, cause.text);
    }
}

static int read_head(struct recording *recording, struct complaint *why)
{
    struct complaint cause = {""};
    enum line_end end = LINE_WHOLE;
    const char *url = "";
    struct span line;
    int r = read_line(recording, &line, &end, &cause);

    if (r == 0)
        return complain(why, -EBADMSG, "%s: it is empty", recording->path);
    if (r > 0 && end == LINE_TOO_LONG)
        r = complain(&cause, -EBADMSG, "it is too long");
    else if (r > 0)
        r = recording_head_read(line, &recording->scratch, &url, &cause);
    if (r == -EBADMSG || r == -EFBIG)
        return complain(why, -EBADMSG, "%s: line 1: not a recording of vramscope: %s",
                        recording->path, cause.text);
    if (r < 0)
        return fail(recording, r, &cause, why);
    recording->first = recording_mark(recording);
    recording->url = strdup(url);
    return recording->url ? 0 : complain(why, -ENOMEM, "out of memory");
}

int recording_open(const char *path, struct recording **ret, struct complaint *why)
{
    struct recording *recording = calloc(1, sizeof(*recording));
    struct complaint cause = {""};
    int r;

    if (!recording)
        return complain(why, -ENOMEM, "out of memory");
    buf_init(&recording->torn, RECORDING_LINE_MAX);
    recording_scratch_init(&recording->scratch);
    recording->path = strdup(strcmp(path, "-") == 0 ? "stdin" : path);
    if (!recording->path) {
        recording_free(recording);
        return complain(why, -ENOMEM, "out of memory");
    }
    r = recording_input_open(path, &recording->input, &cause);
    r = r < 0 ? complain(why, r, "%s: %s", recording->path, cause.text)
              : read_head(recording, why);
    if (r < 0) {
        recording_free(recording);
        return r;
    }
    *ret = recording;
    return 0;
}

void recording_free(struct recording *recording)
{
    if (!recording)
        return;
    recording_input_free(recording->input);
    recording_scratch_done(&recording->scratch);
    buf_done(&recording->torn);
    free(recording->path);
    free(recording->url);
    free(recording);
}

struct recording_mark recording_mark(const struct recording *recording)
{
    struct recording_place place = recording_input_place(recording->input);

    return (struct recording_mark){place.at, place.skip + recording->piece_at,
                                   recording->line};
}

int recording_seek(struct recording *recording, const struct recording_mark *mark,
                   struct complaint *why)
{
    struct complaint cause = {""};
    int r = recording_input_seek(recording->input,
                                 (struct recording_place){mark->at, mark->skip}, &cause);

    if (r < 0)
        return complain(why, r, "%s: %s", recording->path, cause.text);
    recording->piece = (struct span){NULL, 0};
    recording->piece_at = 0;
    recording->line = mark->line;
    return 0;
}

int recording_rewind(struct recording *recording, struct complaint *why)
{
    recording->skipped = 0;
    recording->fault = (struct complaint){""};
    return recording_seek(recording, &recording->first, why);
}

uint64_t recording_skipped_lines(const struct recording *recording)
{
    return recording->skipped;
}

const char *recording_fault(const struct recording *recording)
{
    return recording->fault.text;
}

const char *recording_url(const struct recording *recording)
{
    return recording->url;
}
