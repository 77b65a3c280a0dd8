// SPDX-License-Identifier: Apache-2.0
#include "base/write_all.h"

#include <poll.h>

int write_all(int fd, struct span text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.at, text.len);

        if (n < 0 && errno == EAGAIN) {
            struct pollfd room = {fd, POLLOUT, 0};

            (void)poll(&room, 1, -1);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return neg_errno();
        text.at += n;
        text.len -= (size_t)n;
    }
    return 0;
}
