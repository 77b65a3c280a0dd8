// SPDX-License-Identifier: Apache-2.0
/*
 * daemon.h - the parts wired to one loop
 *
 * A tick has two beats. At the first the sources are asked: the GPU worker for a sample,
 * the engines that are due for their metrics. COLLECT_MS later, whatever has come in is
 * joined, encoded and sent. Who is late is in the next snapshot; nobody is waited for.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "base/complaint.h"
#include "config/config.h"

struct daemon;

/* How to read the configuration again on SIGHUP: as config_load() was called. */
struct daemon_arguments {
    int argc;
    char **argv;
    char **environment;
};

/* Owns `config` from here on, even on failure. */
int daemon_new(struct config *config, const struct daemon_arguments *arguments,
               struct daemon **ret, struct complaint *complaint) MUST_CHECK;

/* False: a file system does not answer a thread of ours; only _exit() ends that. */
bool daemon_free(struct daemon *daemon);

/* Serve until SIGTERM or SIGINT. Returns the exit status. */
int daemon_run(struct daemon *daemon);

#endif
