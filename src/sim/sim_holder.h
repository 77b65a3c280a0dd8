// SPDX-License-Identifier: Apache-2.0
/*
 * sim_holder.h - what a process of the tree says to the simulated driver
 */
#ifndef SIM_SIM_HOLDER_H
#define SIM_SIM_HOLDER_H

#include "base/base.h"

#include <sys/types.h>

/* Open `path` and make its folder `processes`. *ret_fd is the caller's to close. */
int sim_holder_open(const char *path, int *ret_fd) MUST_CHECK;

/* Write processes/<pid>, whole or not at all. */
int sim_holder_write(int dir_fd, pid_t pid, uint64_t device, uint64_t bytes) MUST_CHECK;

/* Remove it, if it is there. A negative `dir_fd` stands for no driver. */
void sim_holder_remove(int dir_fd, pid_t pid);

#endif
