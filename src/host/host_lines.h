// SPDX-License-Identifier: Apache-2.0
/*
 * host_lines.h - the lines of a file of any size, in a window of fixed size
 */
#ifndef HOST_HOST_LINES_H
#define HOST_HOST_LINES_H

#include "base/base.h"

enum { HOST_LINES_ROOM = 8192 };

struct host_lines {
    int fd;        // the caller's
    bool skipping; // the rest of a line that was longer than the window
    size_t start;  // of what has not been given yet
    size_t end;
    char data[HOST_LINES_ROOM];
};

void host_lines_init(struct host_lines *lines, int fd);

/*
 * 1 with the next whole line, without its end, until the next call; 0 at the end of the
 * file. Too long a line is left out, and so is a last one that was not ended.
 */
int host_next_line(struct host_lines *lines, struct span *ret) MUST_CHECK;

#endif
