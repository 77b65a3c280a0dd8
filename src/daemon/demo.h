// SPDX-License-Identifier: Apache-2.0
/*
 * demo.h - a GPU host to look at where there is none
 *
 * Starts simulated vLLM servers (vramscope-sim, a program of its own) on ports 8000 to
 * 8002, or on free ones where those are taken, and gives a folder that is the state of a
 * simulated driver: the servers tell it what memory they hold. Everything from there on
 * is the real thing.
 */
#ifndef DAEMON_DEMO_H
#define DAEMON_DEMO_H

#include "base/complaint.h"
#include "config/config.h"

#include <uv.h>

struct demo;

/*
 * Start the servers and wait until they listen. They are found as all are; if `config`
 * has no discovery they are added to its engines.
 */
int demo_new(uv_loop_t *loop, struct config *config, struct demo **ret,
             struct complaint *complaint) MUST_CHECK;

/* Ends the servers and removes the folder; the loop must turn once more. */
void demo_free(struct demo *demo);

const char *demo_gpu_dir(const struct demo *demo);

#endif
