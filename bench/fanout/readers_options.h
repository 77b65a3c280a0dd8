// SPDX-License-Identifier: Apache-2.0
/*
 * readers_options.h - what readers.c is told to do
 */
#ifndef FANOUT_READERS_OPTIONS_H
#define FANOUT_READERS_OPTIONS_H

#include "base/base.h"

enum { READERS_MAX = 19900, TICKS_MAX = 2000 };

struct readers_options {
    uint64_t readers, ticks, interval_ms, stalled, pid, softirq_pid, port;
    bool fields; // an event has more lines than its data
    bool probe;  // a figure tells when it was published
    const char *path;
};

/* Ends the program where they cannot be understood. */
void readers_options_read(int argc, char **argv, struct readers_options *options);

#endif
