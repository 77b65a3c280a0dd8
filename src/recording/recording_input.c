// SPDX-License-Identifier: Apache-2.0
#include "recording/recording_input.h"

#include <fcntl.h>
#include <zlib.h>

enum {
    PIECE_MAX = 64 * 1024,
    GZIP_WINDOW = 15 + 16, // the largest, and gzip alone
};

struct recording_input {
    int fd;
    bool gzip;
    bool in_member;
    uint64_t file_at;             // of the end of `raw`
    size_t raw_at, raw_len;       // what is left of `raw`
    uint64_t to_skip;             // bytes of text, to the place that was sought
    struct recording_place piece; // where the piece given last begins
    uint64_t next_skip;           // the same of the next one
    z_stream inflate;
    unsigned char raw[PIECE_MAX];
    unsigned char text[PIECE_MAX];
};

static int fail(int r, struct complaint *why)
{
    return complain(why, r, "cannot be read: %s", strerror(-r));
}

/* More bytes behind those that are there: how many; 0 at the end of the file. */
static ssize_t fill(struct recording_input *input)
{
    ssize_t n;

    do
        n = read(input->fd, input->raw + input->raw_len,
                 sizeof(input->raw) - input->raw_len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return neg_errno();
    input->raw_len += (size_t)n;
    input->file_at += (size_t)n;
    return n;
}

static ssize_t refill(struct recording_input *input)
{
    input->raw_at = input->raw_len = 0;
    return fill(input);
}

static uint64_t here(const struct recording_input *input)
{
    return input->file_at - (input->raw_len - input->raw_at);
}

static int next_plain(struct recording_input *input, struct span *ret,
                      struct complaint *why)
{
    ssize_t n = 1;

    if (input->raw_at == input->raw_len)
        n = refill(input);
    if (n < 0)
        return fail((int)n, why);
    input->piece = (struct recording_place){here(input), 0};
    *ret = (struct span){(const char *)input->raw + input->raw_at,
                         input->raw_len - input->raw_at};
    input->raw_at = input->raw_len;
    return ret->len > 0;
}

/* Decompress what is there into `text`: how many bytes came of it. */
static ssize_t inflate_some(struct recording_input *input, struct complaint *why)
{
    z_stream *z = &input->inflate;
    int r;

    z->next_in = input->raw + input->raw_at;
    z->avail_in = (unsigned)(input->raw_len - input->raw_at);
    z->next_out = input->text;
    z->avail_out = sizeof(input->text);
    r = inflate(z, Z_NO_FLUSH);
    input->raw_at = input->raw_len - z->avail_in;
    input->in_member = r != Z_STREAM_END;
    if (r == Z_MEM_ERROR)
        return complain(why, -ENOMEM, "out of memory");
    if (r < 0 && r != Z_BUF_ERROR && z->avail_out == sizeof(input->text))
        return complain(why, -EBADMSG, "damaged gzip at byte %llu: %s",
                        (unsigned long long)here(input), z->msg ? z->msg : "no cause");
    return (ssize_t)(sizeof(input->text) - z->avail_out);
}

static void begin_member(struct recording_input *input)
{
    (void)inflateReset(&input->inflate); // fails on a stream that is none
    input->piece = (struct recording_place){here(input), 0};
    input->next_skip = 0;
    input->in_member = true;
}

static int next_gzip(struct recording_input *input, struct span *ret,
                     struct complaint *why)
{
    ssize_t n = 0;

    while (n == 0) {
        if (input->raw_at == input->raw_len) {
            n = refill(input);
            if (n <= 0)
                return n < 0 ? fail((int)n, why) : 0;
        }
        if (!input->in_member)
            begin_member(input);
        n = inflate_some(input, why);
        if (n < 0)
            return (int)n;
    }
    input->piece.skip = input->next_skip;
    input->next_skip += (uint64_t)n;
    *ret = (struct span){(const char *)input->text, (size_t)n};
    return 1;
}

static bool is_gzip(const struct recording_input *input)
{
    return input->raw_len >= 2 && input->raw[0] == 0x1f && input->raw[1] == 0x8b;
}

/* Enough of the file to tell what it is. */
static int look(struct recording_input *input)
{
    ssize_t n = 1;

    while (n > 0 && input->raw_len < 2)
        n = fill(input);
    if (n < 0)
        return (int)n;
    input->gzip = is_gzip(input);
    return 0;
}

int recording_input_open(const char *path, struct recording_input **ret,
                         struct complaint *why)
{
    struct recording_input *input = calloc(1, sizeof(*input));
    int r;

    if (!input)
        return complain(why, -ENOMEM, "out of memory");
    if (inflateInit2(&input->inflate, GZIP_WINDOW) != Z_OK) {
        free(input);
        return complain(why, -ENOMEM, "out of memory");
    }
    input->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    r = input->fd < 0 ? neg_errno() : look(input);
    if (r < 0) {
        recording_input_free(input);
        return fail(r, why);
    }
    *ret = input;
    return 0;
}

void recording_input_free(struct recording_input *input)
{
    if (!input)
        return;
    (void)inflateEnd(&input->inflate);
    if (input->fd != STDIN_FILENO)
        close_fd(&input->fd);
    free(input);
}

int recording_input_next(struct recording_input *input, struct span *ret,
                         struct complaint *why)
{
    struct span piece = {NULL, 0};
    int r = 1;

    while (r == 1 && piece.len == 0) {
        size_t skip;

        r = input->gzip ? next_gzip(input, &piece, why) : next_plain(input, &piece, why);
        skip = (size_t)MIN(input->to_skip, (uint64_t)piece.len);
        input->to_skip -= skip;
        input->piece.skip += skip;
        piece = (struct span){piece.at + skip, piece.len - skip};
    }
    *ret = piece;
    return r;
}

struct recording_place recording_input_place(const struct recording_input *input)
{
    return input->piece;
}

int recording_input_seek(struct recording_input *input, struct recording_place place,
                         struct complaint *why)
{
    if (lseek(input->fd, (off_t)place.at, SEEK_SET) < 0)
        return complain(why, neg_errno(), "no place in it can be sought: %s",
                        strerror(errno));
    input->file_at = place.at;
    input->raw_at = input->raw_len = 0;
    input->in_member = false;
    input->to_skip = place.skip;
    input->piece = place;
    return 0;
}
