// SPDX-License-Identifier: Apache-2.0
#include "history/flight_folder.h"

#include "base/write_all.h"
#include "history/flight.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#define PART ".flight.ndjson.gz.part"
#define BEGIN "flight-"
#define END ".ndjson.gz"
#define UNIX_MS_MAX 253402300799999LL // the last millisecond of the year 9999

enum {
    NAME_SIZE = 128,
    SAME_NAME_MAX = 1000, // files of the same second and kind
    REMOVED_MAX = 1000,   // at a time
    MODE = 0640,          // names of models and processes are not for everybody
};

struct flight_folder {
    char *path;
    int dir;
    int fd; // of the file that is being written; -1: none is
};

int flight_folder_open(const char *path, struct flight_folder **ret)
{
    struct flight_folder *folder = calloc(1, sizeof(*folder));
    int r = 0;

    if (!folder)
        return -ENOMEM;
    folder->fd = folder->dir = -1;
    folder->path = strdup(path);
    if (!folder->path) {
        r = -ENOMEM;
    } else {
        folder->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder->dir < 0)
            r = neg_errno();
    }
    if (r == 0 && unlinkat(folder->dir, PART, 0) < 0 && errno != ENOENT)
        r = neg_errno();
    if (r < 0) {
        flight_folder_close(folder);
        return r;
    }
    *ret = folder;
    return 0;
}

void flight_folder_close(struct flight_folder *folder)
{
    if (!folder)
        return;
    flight_folder_drop(folder);
    close_fd(&folder->dir);
    free(folder->path);
    free(folder);
}

const char *flight_folder_path(const struct flight_folder *folder)
{
    return folder->path;
}

int flight_folder_begin(struct flight_folder *folder)
{
    flight_folder_drop(folder);
    (void)unlinkat(folder->dir, PART, 0); // there is none
    folder->fd = openat(folder->dir, PART,
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
    return folder->fd < 0 ? neg_errno() : 0;
}

int flight_folder_write(void *ctx, struct span piece)
{
    const struct flight_folder *folder = ctx;

    return write_all(folder->fd, piece);
}

void flight_folder_drop(struct flight_folder *folder)
{
    if (folder->fd < 0)
        return;
    close_fd(&folder->fd);
    folder->fd = -1;
    (void)unlinkat(folder->dir, PART, 0); // else the next start removes it
}

/* What the kernel has not been able to write is told here or never. */
static int finish_file(struct flight_folder *folder)
{
    int r = fsync(folder->fd) < 0 ? neg_errno() : 0;

    if (close(folder->fd) < 0 && r == 0)
        r = neg_errno();
    folder->fd = -1;
    return r;
}

/* A name that no file has; -EEXIST: there is none. */
static int find_name(const struct flight_folder *folder, int64_t unix_ms,
                     const char *kind, char name[NAME_SIZE])
{
    int64_t at_ms = MAX(unix_ms, (int64_t)0);
    time_t seconds = (time_t)(MIN(at_ms, (int64_t)UNIX_MS_MAX) / 1000);
    char when[32];
    struct stat status;
    struct tm utc;

    (void)gmtime_r(&seconds, &utc); // of every second until the year 9999
    (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &utc);
    for (int i = 1; i <= SAME_NAME_MAX; i++) {
        if (i == 1)
            (void)snprintf(name, NAME_SIZE, BEGIN "%s-%s" END, when, kind);
        else
            (void)snprintf(name, NAME_SIZE, BEGIN "%s-%s-%d" END, when, kind, i);
        if (fstatat(folder->dir, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            return errno == ENOENT ? 0 : neg_errno();
    }
    return -EEXIST;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Is it a name that find_name() makes? "00000000T000000Z-kind" or "...-kind-2". */
static bool is_ours(const char *name)
{
    static const char when[] = BEGIN "00000000T000000Z-";
    size_t at, len = strlen(name);

    if (len < strlen(when) + strlen(END) || len >= NAME_SIZE ||
        strcmp(name + len - strlen(END), END) != 0)
        return false;
    for (at = 0; when[at]; at++)
        if (when[at] == '0' ? !is_digit(name[at]) : name[at] != when[at])
            return false;
    for (; at < len - strlen(END); at++)
        if (!is_digit(name[at]) && name[at] != '-' && name[at] != '_' &&
            (name[at] < 'a' || name[at] > 'z'))
            return false;
    return true;
}

struct inventory {
    size_t n;
    uint64_t bytes;
    char oldest[NAME_SIZE]; // by its name
};

/* `newest` was just written, and is not the oldest whatever the clock said. */
static void take_stock(const struct flight_folder *folder, DIR *dir, const char *newest,
                       struct inventory *ret)
{
    const struct dirent *entry;
    struct stat status;

    *ret = (struct inventory){0};
    rewinddir(dir);
    while ((entry = readdir(dir))) {
        if (!is_ours(entry->d_name) ||
            fstatat(folder->dir, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(status.st_mode))
            continue;
        ret->n++;
        ret->bytes += (uint64_t)status.st_size;
        if (strcmp(entry->d_name, newest) != 0 &&
            (!ret->oldest[0] || strcmp(entry->d_name, ret->oldest) < 0))
            (void)snprintf(ret->oldest, sizeof(ret->oldest), "%s", entry->d_name);
    }
}

static void remove_oldest(const struct flight_folder *folder, const char *newest)
{
    int fd = openat(folder->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct inventory there;

    if (!dir) {
        close_fd(&fd);
        return; // there is more than should be until the next one is written
    }
    for (int i = 0; i < REMOVED_MAX; i++) {
        take_stock(folder, dir, newest, &there);
        if ((there.n <= FLIGHT_FILES_MAX && there.bytes <= FLIGHT_FILES_BYTES) ||
            !there.oldest[0] || unlinkat(folder->dir, there.oldest, 0) < 0)
            break;
    }
    (void)closedir(dir);
}

int flight_folder_keep(struct flight_folder *folder, int64_t unix_ms, const char *kind,
                       char *ret_path)
{
    char name[NAME_SIZE];
    int r = finish_file(folder);

    if (r == 0)
        r = find_name(folder, unix_ms, kind, name);
    if (r == 0 && renameat(folder->dir, PART, folder->dir, name) < 0)
        r = neg_errno();
    if (r < 0) {
        (void)unlinkat(folder->dir, PART, 0);
        return r;
    }
    (void)fsync(folder->dir); // the file is whole; only its name could be lost
    (void)snprintf(ret_path, PATH_MAX, "%s/%s", folder->path, name);
    remove_oldest(folder, name);
    return 0;
}
