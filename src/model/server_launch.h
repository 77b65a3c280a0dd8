// SPDX-License-Identifier: Apache-2.0
/*
 * server_launch.h - which inference server a command line starts
 *
 * Enough to find a server and to know where its metrics are: which engine it is, under
 * what name it serves, on which port. Of vLLM, launch.h reads far more.
 */
#ifndef MODEL_SERVER_LAUNCH_H
#define MODEL_SERVER_LAUNCH_H

#include "model/launch.h"

struct server_launch {
    const char *engine;             // the name of its kind, a literal
    char name[LAUNCH_TEXT_MAX + 1]; // served model name, else the model; "": not told
    uint64_t port;                  // of its metrics; UNKNOWN: not told
    uint16_t default_port;          // where it is then; 0: at none, or it may be any
    const char *port_variable;      // of its environment, that goes before that; or NULL
    const char *no_port_why;        // why it has no metrics without a port; NULL: it has
    char uds[LAUNCH_TEXT_MAX + 1];  // it listens there instead
    bool tls;
    bool wrapped; // another program starts it, here or elsewhere
};

/* As launch_read(): 1, and `ret` is written; 0: it is no server's that we know. */
int server_launch_read(struct span cmdline, struct server_launch *ret) MUST_CHECK;

/* The engine whose workers are titled so, by the beginning of a title; NULL: none. */
const char *server_launch_titled(const char *title);

/* A port as an environment has it: 8080, :8080, HOST:8080, http://HOST:8080. */
bool server_launch_read_port(struct span text, uint64_t *ret);

#endif
