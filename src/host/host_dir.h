// SPDX-License-Identifier: Apache-2.0
/*
 * host_dir.h - the names in a folder, without an allocation
 *
 * opendir() allocates each time; these are read on paths that must not. The descriptor
 * is the caller's and stays open.
 */
#ifndef HOST_HOST_DIR_H
#define HOST_HOST_DIR_H

#include "base/base.h"

enum { HOST_DIR_ROOM = 4096 }; // about 150 names; one has at most 255 bytes and 24 more

struct host_dir {
    int fd;
    size_t at; // of what has not been given yet
    size_t end;
    _Alignas(uint64_t) char data[HOST_DIR_ROOM];
};

/* To be read from where the descriptor stands. */
void host_dir_init(struct host_dir *dir, int fd);

/* 1 with the next name, which lasts until the next call; 0 at the end. */
int host_dir_next(struct host_dir *dir, const char **ret) MUST_CHECK;

#endif
