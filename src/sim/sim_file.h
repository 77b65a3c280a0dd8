// SPDX-License-Identifier: Apache-2.0
/*
 * sim_file.h - a file served instead of the simulated page, read again when it changes
 */
#ifndef SIM_SIM_FILE_H
#define SIM_SIM_FILE_H

#include "base/buf.h"

#include <sys/stat.h>

enum { SIM_FILE_BYTES_MAX = 64 * 1024 * 1024 };

struct sim_file {
    const char *path; // lent
    struct buf bytes;
    struct stat seen; // of what `bytes` holds
    bool read;
};

void sim_file_init(struct sim_file *file, const char *path);
void sim_file_done(struct sim_file *file);

/* Bring `bytes` up to date. -EFBIG: larger than SIM_FILE_BYTES_MAX. */
int sim_file_refresh(struct sim_file *file) MUST_CHECK;

#endif
