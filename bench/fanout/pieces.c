// SPDX-License-Identifier: Apache-2.0
#include "pieces.h"

bool piece_is_event(struct span piece, bool fields)
{
    static const char begin[] = "data: {", later[] = "\ndata: {", end[] = "}\n\n";

    if (piece.len < sizeof(begin) + sizeof(end) ||
        memcmp(piece.at + piece.len - (sizeof(end) - 1), end, sizeof(end) - 1) != 0)
        return false;
    if (memcmp(piece.at, begin, sizeof(begin) - 1) == 0)
        return true;
    return fields && memcmp(piece.at, "id: ", 4) == 0 &&
           memmem(piece.at, piece.len, later, sizeof(later) - 1);
}

static ssize_t take_chunk(struct span bytes, struct span *ret_piece)
{
    size_t size = 0, i = 0;

    for (; i < bytes.len && i < 8; i++) {
        const char *digits = "0123456789abcdef", *at;

        at = strchr(digits, bytes.at[i] | 0x20);
        if (bytes.at[i] == '\r' || !at)
            break;
        size = size * 16 + (size_t)(at - digits);
    }
    if (bytes.len < i + 2)
        return 0;
    if (i == 0 || size == 0 || size > PIECE_MAX || memcmp(bytes.at + i, "\r\n", 2) != 0)
        return -EBADMSG;
    if (bytes.len < i + size + 4)
        return 0;
    if (memcmp(bytes.at + i + 2 + size, "\r\n", 2) != 0)
        return -EBADMSG;
    *ret_piece = (struct span){bytes.at + i + 2, size};
    return (ssize_t)(i + size + 4);
}

/* Without chunks: up to the next empty line. */
static ssize_t take_plain(struct span bytes, struct span *ret_piece)
{
    const char *end = memmem(bytes.at, bytes.len, "\n\n", 2);

    if (!end)
        return bytes.len > PIECE_MAX ? -EBADMSG : 0;
    *ret_piece = (struct span){bytes.at, (size_t)(end - bytes.at) + 2};
    return (ssize_t)ret_piece->len;
}

ssize_t piece_take(struct span bytes, bool chunked, struct span *ret_piece)
{
    return chunked ? take_chunk(bytes, ret_piece) : take_plain(bytes, ret_piece);
}

ssize_t piece_take_head(struct span bytes, bool *ret_chunked)
{
    static const char field[] = "\r\nTransfer-Encoding: chunked\r\n";
    const char *end = memmem(bytes.at, bytes.len, "\r\n\r\n", 4);

    if (!end)
        return bytes.len > PIECE_MAX ? -EPROTO : 0;
    if (strncmp(bytes.at, "HTTP/1.1 200 ", 13) != 0)
        return -EPROTO;
    *ret_chunked =
        memmem(bytes.at, (size_t)(end - bytes.at) + 2, field, sizeof(field) - 1);
    return end + 4 - bytes.at;
}
