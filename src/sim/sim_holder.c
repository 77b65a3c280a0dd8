// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_holder.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { NAME_ROOM = 64, LINE_ROOM = 64 };

struct names {
    char final[NAME_ROOM];
    char temporary[NAME_ROOM]; // not in `processes`, which holds nothing but pids
};

static struct names names_of(pid_t pid)
{
    struct names names;

    (void)snprintf(names.final, sizeof(names.final), "processes/%d", (int)pid);
    (void)snprintf(names.temporary, sizeof(names.temporary), ".process-%d", (int)pid);
    return names;
}

int sim_holder_open(const char *path, int *ret_fd)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return neg_errno();
    if (mkdirat(fd, "processes", 0755) < 0 && errno != EEXIST) {
        int r = neg_errno();

        (void)close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int sim_holder_write(int dir_fd, pid_t pid, uint64_t device, uint64_t bytes)
{
    struct names names = names_of(pid);
    char line[LINE_ROOM];
    int len = snprintf(line, sizeof(line), "%" PRIu64 " %" PRIu64 "\n", device, bytes);
    OWNED(close_fd)
    int fd =
        openat(dir_fd, names.temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t n;

    if (fd < 0)
        return neg_errno();
    n = write(fd, line, (size_t)len);
    if (n < 0)
        return neg_errno();
    if (n != len)
        return -EIO;
    if (renameat(dir_fd, names.temporary, dir_fd, names.final) < 0)
        return neg_errno();
    return 0;
}

void sim_holder_remove(int dir_fd, pid_t pid)
{
    struct names names = names_of(pid);

    if (dir_fd < 0)
        return;
    (void)unlinkat(dir_fd, names.final, 0); // it may be gone, or never have been
    (void)unlinkat(dir_fd, names.temporary, 0);
}
