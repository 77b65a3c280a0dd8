// SPDX-License-Identifier: Apache-2.0
#include "host/host_dir.h"

#include <dirent.h>

void host_dir_init(struct host_dir *dir, int fd)
{
    dir->fd = fd;
    dir->at = dir->end = 0;
}

int host_dir_next(struct host_dir *dir, const char **ret)
{
    const struct dirent64 *entry;

    if (dir->at == dir->end) {
        ssize_t n = getdents64(dir->fd, dir->data, sizeof(dir->data));

        if (n <= 0)
            return n < 0 ? neg_errno() : 0;
        dir->at = 0;
        dir->end = (size_t)n;
    }
    entry = (const void *)(dir->data + dir->at);
    dir->at += entry->d_reclen;
    *ret = entry->d_name;
    return 1;
}
