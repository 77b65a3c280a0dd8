// SPDX-License-Identifier: Apache-2.0
/*
 * small_files.h - folders and one-line files of /sys and /proc, without allocating
 *
 * Everything is relative to a folder's descriptor. The last part of a path may not be a
 * link unless it is said to be one; those before it are followed, as sysfs needs.
 */
#ifndef GPU_SMALL_FILES_H
#define GPU_SMALL_FILES_H

#include "base/base.h"

/* A folder being listed. `fd` also serves to open what is in it; -1: none is open. */
struct folder {
    int fd;
    int error; // negative errno: the listing broke off
    size_t at, len;
    char names[2048] __attribute__((aligned(8))); // of struct dirent64
};

/* The path may end in a link to a folder: class/drm/card0 is one, and so is its device. */
int folder_open(int dir_fd, const char *path, struct folder *ret) MUST_CHECK;
int folder_open_no_link(int dir_fd, const char *path, struct folder *ret) MUST_CHECK;
void folder_done(struct folder *folder);

/* Without those that begin with a dot. NULL: the end, or `error`. */
const char *folder_next(struct folder *folder);
void folder_rewind(struct folder *folder);

/* <prefix><number>, the number in decimal and as the kernel writes it: no zero in front. */
bool name_read(const char *name, const char *prefix, uint32_t *ret) MUST_CHECK;

/* The file whole, without the newline at its end. -EFBIG: it does not fit. */
int small_file_read(int dir_fd, const char *path, char *to, size_t room,
                    struct span *ret) MUST_CHECK;

/* A decimal number below UNKNOWN. -EBADMSG: the file says something else. */
int small_file_read_u64(int dir_fd, const char *path, uint64_t *ret) MUST_CHECK;

/* Up to `c`, which is consumed; the rest when there is none. False: nothing is left. */
bool take_until(struct span *rest, char c, struct span *ret) MUST_CHECK;

#endif
