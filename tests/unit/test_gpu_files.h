// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_files.h - a folder of files that a test replaces while others read them
 */
#ifndef TESTS_UNIT_TEST_GPU_FILES_H
#define TESTS_UNIT_TEST_GPU_FILES_H

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base.h"

enum { FILES_PATH_MAX = 128 };

static char files_dir[FILES_PATH_MAX];

/* Good until the next call but one. */
static inline const char *files_path(const char *name)
{
    static char paths[2][2 * FILES_PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 2];

    assert_true(snprintf(path, sizeof(paths[0]), "%s/%s", files_dir, name) > 0);
    return path;
}

static inline void files_write(const char *name, const char *text)
{
    const char *new = files_path("new file");
    FILE *file = fopen(new, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(new, files_path(name)), 0);
}

static inline void files_copy(const char *path, const char *name, mode_t mode)
{
    static char bytes[1 << 16];
    FILE *from = fopen(path, "re"), *to = fopen(files_path("copy"), "we");
    size_t n;

    assert_non_null(from);
    assert_non_null(to);
    do {
        n = fread(bytes, 1, sizeof(bytes), from);
        assert_int_equal(fwrite(bytes, 1, n, to), n);
    } while (n == sizeof(bytes));
    assert_int_equal(ferror(from), 0);
    assert_int_equal(fclose(from), 0);
    assert_int_equal(fclose(to), 0);
    assert_int_equal(chmod(files_path("copy"), mode), 0);
    assert_int_equal(rename(files_path("copy"), files_path(name)), 0);
}

/* How many lines of the file begin with `start` and a blank. */
static inline unsigned files_count(const char *name, const char *start)
{
    FILE *file = fopen(files_path(name), "re");
    char line[256];
    unsigned n = 0;
    size_t len = strlen(start);

    while (file && fgets(line, sizeof(line), file))
        n += strncmp(line, start, len) == 0 && line[len] == ' ';
    if (file)
        assert_int_equal(fclose(file), 0);
    return n;
}

static inline int files_remove_one(const char *path, const struct stat *stat, int type,
                                   struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline int files_setup(void **state)
{
    (void)state;
    memcpy(files_dir, "/tmp/vramscope-gpu-XXXXXX", sizeof("/tmp/vramscope-gpu-XXXXXX"));
    return mkdtemp(files_dir) ? 0 : -1;
}

static inline int files_teardown(void **state)
{
    (void)state;
    return nftw(files_dir, files_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
