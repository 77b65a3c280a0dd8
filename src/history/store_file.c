// SPDX-License-Identifier: Apache-2.0
#include "history/store_file.h"

#include "history/store_parts.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

enum {
    HEADER_SIZE = 100,
    USER_VERSION_AT = 60,
    APPLICATION_ID_AT = 68,
    FILE_MODE = 0640
};

static const struct {
    int code, error;
} errors[] = {
    {SQLITE_FULL, -ENOSPC},    {SQLITE_READONLY, -EROFS},  {SQLITE_BUSY, -EBUSY},
    {SQLITE_LOCKED, -EBUSY},   {SQLITE_NOMEM, -ENOMEM},    {SQLITE_CORRUPT, -EBADMSG},
    {SQLITE_NOTADB, -EBADMSG}, {SQLITE_PERM, -EACCES},     {SQLITE_AUTH, -EACCES},
    {SQLITE_TOOBIG, -E2BIG},   {SQLITE_INTERRUPT, -EINTR},
};

/*
 * What the system said to the database, which forgets it when a commit fails: then errno
 * still has it. Of that, no room is believed; no room is no room, by whatever limit.
 */
static int system_error(int told, int last)
{
    bool no_room = last == EDQUOT || last == EFBIG;

    if (told == EDQUOT || told == EFBIG || (told == 0 && no_room))
        return -ENOSPC;
    return told > 0 ? -told : -EIO;
}

/*
 * A read that the disk fails is called a damaged file by the database, too: that file may
 * be read the next time, and is not to be put aside.
 */
static bool is_of_disk(int code, int last)
{
    return (code & 0xff) == SQLITE_CORRUPT && (last == EIO || last == ENXIO);
}

int store_file_errno(int code, sqlite3 *db)
{
    int last = errno;

    if (is_of_disk(code, last))
        return -last;
    if (code == SQLITE_READONLY_DBMOVED)
        return -ESTALE;
    if (code == SQLITE_IOERR_NOMEM)
        return -ENOMEM;
    if (code == SQLITE_CANTOPEN_SYMLINK)
        return -ELOOP;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i].code == (code & 0xff))
            return errors[i].error;
    return system_error(db ? sqlite3_system_errno(db) : 0, last);
}

/* `path` with something behind it. */
static int beside(const char *path, const char *ending, char ret[PATH_MAX])
{
    int n = snprintf(ret, PATH_MAX, "%s%s", path, ending);

    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int store_file_resolve(const char *path, char **ret, struct complaint *complaint)
{
    const char *name = strrchr(path, '/');
    char folder[PATH_MAX], resolved[PATH_MAX];
    int n;

    if (!name || name[1] == '\0' || strlen(path) > PATH_MAX - 32)
        return complain(complaint, -EINVAL, "%s is not the absolute path of a file",
                        path);
    n = snprintf(folder, sizeof(folder), "%.*s/", (int)(name - path), path);
    if (n < 0 || !realpath(folder, resolved)) {
        int r = neg_errno();

        return complain(complaint, r, "the folder of %s: %s", path, strerror(-r));
    }
    if (asprintf(ret, "%s%s", strcmp(resolved, "/") == 0 ? "" : resolved, name) < 0)
        return complain(complaint, -ENOMEM, "%s: no memory", path);
    return 0;
}

/* A lock on the file itself would be lost when any descriptor of it is closed. */
int store_file_lock(const char *path, int *ret_fd, struct complaint *complaint)
{
    OWNED(close_fd) int fd = -1;
    char name[PATH_MAX];
    int r = beside(path, ".lock", name);

    if (r < 0)
        return complain(complaint, r, "%s: %s", path, strerror(-r));
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0) {
        r = neg_errno();
        return complain(complaint, r, "cannot open %s: %s", name, strerror(-r));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        r = errno == EWOULDBLOCK ? -EBUSY : neg_errno();
        if (r == -EBUSY)
            return complain(complaint, r, "%s is in use: another process has locked %s",
                            path, name);
        return complain(complaint, r, "cannot lock %s: %s", name, strerror(-r));
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static uint32_t big_endian(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Zeros are what a machine that lost power may leave of a file. */
static bool is_zeros(const unsigned char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (at[i])
            return false;
    return true;
}

static int judge_header(const char *path, const unsigned char *header, size_t len,
                        struct complaint *complaint)
{
    static const char magic[16] = "SQLite format 3";
    uint32_t version;

    if (len == 0)
        return 0;
    if (is_zeros(header, len))
        return -EBADMSG;
    if (len < HEADER_SIZE || memcmp(header, magic, sizeof(magic)) != 0 ||
        big_endian(header + APPLICATION_ID_AT) != STORE_APPLICATION_ID)
        return complain(complaint, -EEXIST,
                        "%s is there and is not a history of this program; it is left as "
                        "it is",
                        path);
    version = big_endian(header + USER_VERSION_AT);
    if (version > STORE_VERSION)
        return complain(
            complaint, -ENOTSUP,
            "%s was made by a newer version (its format is %u, ours is %d); it "
            "is left as it is",
            path, version, STORE_VERSION);
    return version == STORE_VERSION ? 1 : -EBADMSG;
}

int store_file_look(const char *path, struct complaint *complaint)
{
    OWNED(close_fd) int fd = -1;
    unsigned char header[HEADER_SIZE];
    struct stat status;
    ssize_t n;

    fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &status) < 0) {
        int r = neg_errno();

        return complain(complaint, r, "cannot open %s: %s", path,
                        r == -ELOOP ? "it is a symbolic link" : strerror(-r));
    }
    if (!S_ISREG(status.st_mode))
        return complain(complaint, -EINVAL, "%s is not a regular file", path);
    n = pread(fd, header, sizeof(header), 0);
    if (n < 0) {
        int r = neg_errno();

        return complain(complaint, r, "cannot read %s: %s", path, strerror(-r));
    }
    return judge_header(path, header, (size_t)n, complaint);
}

/* What belonged to a file of that name that is gone; that it is not there is well. */
static void remove_rests(const char *path)
{
    static const char *const endings[] = {"-wal", "-shm", "-journal"};
    char name[PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (beside(path, endings[i], name) == 0)
            (void)unlink(name);
}

static int sync_folder(const char *path)
{
    OWNED(close_fd) int fd = -1;
    char folder[PATH_MAX];
    const char *name = strrchr(path, '/');

    (void)snprintf(folder, sizeof(folder), "%.*s/", (int)(name - path), path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? neg_errno() : 0;
}

static int make_at(const char *name)
{
    OWNED(close_fd) int fd = -1;
    sqlite3 *db = NULL;
    int code, r = 0;

    (void)unlink(name); // of one that was killed here
    remove_rests(name);
    fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return neg_errno();
    code = sqlite3_open_v2(name, &db,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                               SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                           NULL);
    if (code == SQLITE_OK)
        code = store_make_schema(db);
    if (code != SQLITE_OK)
        r = store_file_errno(code, db);
    (void)sqlite3_close(db); // what was to be there is committed
    return r;
}

int store_file_make(const char *path, struct complaint *complaint)
{
    char name[PATH_MAX];
    int r = beside(path, ".new", name);

    if (r == 0)
        r = make_at(name);
    if (r == 0) {
        remove_rests(path);
        r = rename(name, path) < 0 ? neg_errno() : sync_folder(path);
    }
    if (r < 0) {
        (void)unlink(name); // if it is there
        remove_rests(name);
        return complain(complaint, r, "cannot make %s: %s", path, strerror(-r));
    }
    return 0;
}

int store_file_put_aside(const char *path)
{
    char aside[PATH_MAX], log[PATH_MAX];
    int r = beside(path, ".damaged-wal", aside); // the longest of the names

    if (r == 0)
        r = beside(path, "-wal", log);
    if (r == 0)
        r = beside(path, ".damaged", aside);
    if (r < 0)
        return r;
    remove_rests(aside);
    if (rename(path, aside) < 0)
        return neg_errno();
    memcpy(aside + strlen(aside), "-wal", sizeof("-wal"));
    (void)rename(log, aside); // often there is none
    remove_rests(path);
    return 0;
}
