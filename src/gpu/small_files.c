// SPDX-License-Identifier: Apache-2.0
#include "gpu/small_files.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/number.h"

static int open_folder(int dir_fd, const char *path, int flags, struct folder *ret)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);

    ret->fd = fd;
    ret->error = fd < 0 ? neg_errno() : 0;
    ret->at = 0;
    ret->len = 0;
    return ret->error;
}

int folder_open(int dir_fd, const char *path, struct folder *ret)
{
    return open_folder(dir_fd, path, 0, ret);
}

int folder_open_no_link(int dir_fd, const char *path, struct folder *ret)
{
    return open_folder(dir_fd, path, O_NOFOLLOW, ret);
}

void folder_done(struct folder *folder)
{
    close_fd(&folder->fd);
    folder->fd = -1;
}

void folder_rewind(struct folder *folder)
{
    folder->at = 0;
    folder->len = 0;
    folder->error = lseek(folder->fd, 0, SEEK_SET) < 0 ? neg_errno() : 0;
}

/* Not readdir(), which would allocate for each listing. */
static bool fill(struct folder *folder)
{
    ssize_t n = getdents64(folder->fd, folder->names, sizeof(folder->names));

    folder->at = 0;
    folder->len = n > 0 ? (size_t)n : 0;
    if (n < 0)
        folder->error = neg_errno();
    return n > 0;
}

const char *folder_next(struct folder *folder)
{
    while (folder->at < folder->len || fill(folder)) {
        const struct dirent64 *entry = (const void *)(folder->names + folder->at);

        folder->at += entry->d_reclen;
        if (entry->d_name[0] != '.')
            return entry->d_name;
    }
    return NULL;
}

bool name_read(const char *name, const char *prefix, uint32_t *ret)
{
    size_t len = strlen(prefix);
    uint64_t number;

    if (strncmp(name, prefix, len) != 0 || (name[len] == '0' && name[len + 1]) ||
        number_read_u64(span_of(name + len), UINT32_MAX, &number) < 0)
        return false;
    *ret = (uint32_t)number;
    return true;
}

int small_file_read(int dir_fd, const char *path, char *to, size_t room, struct span *ret)
{
    OWNED(close_fd) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t len = 0;

    if (fd < 0)
        return neg_errno();
    for (;;) {
        ssize_t n = read(fd, to + len, room - len);

        if (n < 0)
            return neg_errno();
        if (n == 0)
            break;
        len += (size_t)n;
        if (len == room)
            return -EFBIG;
    }
    if (len > 0 && to[len - 1] == '\n')
        len--;
    *ret = (struct span){to, len};
    return 0;
}

int small_file_read_u64(int dir_fd, const char *path, uint64_t *ret)
{
    char text[64];
    struct span span;
    int r = small_file_read(dir_fd, path, text, sizeof(text), &span);

    if (r == -EFBIG)
        return -EBADMSG;
    if (r < 0)
        return r;
    return number_read_u64(span, UNKNOWN - 1, ret) < 0 ? -EBADMSG : 0;
}

bool take_until(struct span *rest, char c, struct span *ret)
{
    const char *end;

    if (rest->len == 0)
        return false;
    end = memchr(rest->at, c, rest->len);
    ret->at = rest->at;
    ret->len = end ? (size_t)(end - rest->at) : rest->len;
    rest->at += ret->len + (end ? 1 : 0);
    rest->len -= ret->len + (end ? 1 : 0);
    return true;
}
