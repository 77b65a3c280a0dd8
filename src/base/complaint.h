// SPDX-License-Identifier: Apache-2.0
/*
 * complaint.h - a sentence for the person who must act on an error
 *
 * Where an error is somebody's to mend (configuration, addresses, connecting), the
 * function takes a complaint and fills it on failure. The text names the file with line
 * and column, the flag, or the peer. It is cut, never overrun.
 */
#ifndef BASE_COMPLAINT_H
#define BASE_COMPLAINT_H

#include "base/base.h"

enum { COMPLAINT_MAX = 512 };

struct complaint {
    char text[COMPLAINT_MAX];
};

/* Write the sentence and give `r` back, so that `return complain(c, -EINVAL, ...)` works. */
int complain(struct complaint *complaint, int r, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
