// SPDX-License-Identifier: Apache-2.0
#include "host/host_lines.h"

void host_lines_init(struct host_lines *lines, int fd)
{
    lines->fd = fd;
    lines->skipping = false;
    lines->start = lines->end = 0;
}

/* Move what is left to the front and read behind it. 1, or 0 at the end of the file. */
static int refill(struct host_lines *lines)
{
    ssize_t n;

    if (lines->end - lines->start == HOST_LINES_ROOM) {
        lines->skipping = true;
        lines->start = lines->end;
    }
    memmove(lines->data, lines->data + lines->start, lines->end - lines->start);
    lines->end -= lines->start;
    lines->start = 0;
    n = read(lines->fd, lines->data + lines->end, HOST_LINES_ROOM - lines->end);
    if (n < 0)
        return neg_errno();
    lines->end += (size_t)n;
    return n > 0;
}

int host_next_line(struct host_lines *lines, struct span *ret)
{
    for (;;) {
        const char *start = lines->data + lines->start;
        size_t left = lines->end - lines->start;
        const char *newline = memchr(start, '\n', left);
        int r;

        if (newline) {
            bool skipped = lines->skipping;

            lines->start += (size_t)(newline - start) + 1;
            lines->skipping = false;
            if (skipped)
                continue;
            *ret = (struct span){start, (size_t)(newline - start)};
            return 1;
        }
        if (lines->skipping)
            lines->start = lines->end;
        r = refill(lines);
        if (r <= 0)
            return r;
    }
}
