// SPDX-License-Identifier: Apache-2.0
/*
 * process_cost.h - what a process has spent so far, and holds
 */
#ifndef FANOUT_PROCESS_COST_H
#define FANOUT_PROCESS_COST_H

#include "base/base.h"

#include <sys/types.h>

struct process_cost {
    double cpu_s;          // user and system, of all its threads, to the nanosecond
    uint64_t anonymous_kb; // resident memory that no file backs
};

/* -ESRCH: there is no such process. */
int process_cost_read(pid_t pid, struct process_cost *ret) MUST_CHECK;

#endif
