// SPDX-License-Identifier: Apache-2.0
/*
 * sim_server.h - the routes of a simulated vLLM server
 *
 * Everything runs on the loop's thread. The simulation goes on by the time that passes
 * between two calls of sim_server_advance() or two requests.
 */
#ifndef SIM_SIM_SERVER_H
#define SIM_SIM_SERVER_H

#include "net/http_server.h"
#include "sim/sim_options.h"

struct sim_server;

/* `options` is lent for the server's life. */
int sim_server_new(const struct sim_options *options, struct sim_server **ret,
                   struct complaint *complaint) MUST_CHECK;
void sim_server_free(struct sim_server *server);

/* Bring the simulation up to now: at least every few seconds. */
void sim_server_advance(struct sim_server *server);

/* The handler for net/http_server.h; `ctx` is the server. */
void sim_server_handle(void *ctx, struct http_conn *conn,
                       const struct http_request *request);

#endif
