// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_file.h"

#include <fcntl.h>

enum { CHUNK = 64 * 1024 };

void sim_file_init(struct sim_file *file, const char *path)
{
    *file = (struct sim_file){.path = path};
    buf_init(&file->bytes, SIM_FILE_BYTES_MAX + CHUNK);
}

void sim_file_done(struct sim_file *file)
{
    buf_done(&file->bytes);
}

static bool is_seen(const struct sim_file *file, const struct stat *now)
{
    const struct stat *seen = &file->seen;

    return file->read && seen->st_dev == now->st_dev && seen->st_ino == now->st_ino &&
           seen->st_size == now->st_size && seen->st_mtim.tv_sec == now->st_mtim.tv_sec &&
           seen->st_mtim.tv_nsec == now->st_mtim.tv_nsec;
}

static int read_whole(int fd, struct buf *bytes)
{
    buf_clear(bytes);
    for (;;) {
        char *to = buf_reserve(bytes, CHUNK);
        ssize_t n;

        if (!to)
            return bytes->error == -E2BIG ? -EFBIG : bytes->error;
        n = read(fd, to, CHUNK);
        if (n < 0)
            return neg_errno();
        if (n == 0)
            return 0;
        bytes->len += (size_t)n;
    }
}

int sim_file_refresh(struct sim_file *file)
{
    OWNED(close_fd) int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    struct stat now;
    int r;

    if (fd < 0 || fstat(fd, &now) < 0)
        return neg_errno();
    if (is_seen(file, &now))
        return 0;
    file->read = false;
    r = read_whole(fd, &file->bytes);
    if (r < 0)
        return r;
    file->seen = now;
    file->read = true;
    return 0;
}
