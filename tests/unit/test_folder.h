// SPDX-License-Identifier: Apache-2.0
/*
 * test_folder.h - a new folder to be in, which is removed with all that is in it
 */
#ifndef TESTS_UNIT_TEST_FOLDER_H
#define TESTS_UNIT_TEST_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline int enter_folder(void **state)
{
    char *folder = strdup("/tmp/vramscope-test.XXXXXX");

    *state = folder;
    return folder && mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *status, int type,
                             struct FTW *ftw)
{
    (void)status; // what it is, remove() finds out
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int leave_folder(void **state)
{
    char *folder = *state;
    int r = chdir("/");

    if (r == 0)
        r = nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
    return r;
}

#endif
