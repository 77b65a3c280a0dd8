// SPDX-License-Identifier: Apache-2.0
/*
 * front.h - what the daemon shows to others: the service, and the sockets it listens on
 *
 * Everything of the configuration that is about clients is applied here, at the start and
 * where it may change on a reload.
 */
#ifndef DAEMON_FRONT_H
#define DAEMON_FRONT_H

#include "base/complaint.h"
#include "config/config.h"
#include "daemon/service_manager.h"
#include "serve/service.h"

struct front;

/* All of it is lent: the configuration for the call, what else there is until the end. */
struct front_options {
    uv_loop_t *loop;
    const struct config *config;
    struct service_manager *manager; // NULL: none has started us
    struct past *past;               // of what is published
    struct historian *historian;     // answers for what is longer ago
    const struct board_tap *tap;     // of what is published; NULL: none
    struct journal *journal;         // of what happened
    struct node_boards *nodes;       // of a gateway; NULL: this is a host
};

/* As many descriptors as its clients take, before anything else is opened. */
int front_raise_descriptors(const struct config *config,
                            struct complaint *complaint) MUST_CHECK;

/*
 * Listen on every address of the configuration and on the sockets that were passed, which
 * take the place of the default address; who connects waits for front_start().
 * Where *ret is set on failure, it is to be closed and freed like any other.
 */
int front_open(const struct front_options *options, struct front **ret,
               struct complaint *complaint) MUST_CHECK;

/* Would its certificate do? For --check-config; what is doubtful is logged. */
int front_check(const struct config *config, struct complaint *complaint) MUST_CHECK;

/*
 * Make ready what may change while clients are there: the token, the hosts and origins that
 * are let in, and the TLS certificate, which is read again even if its name is the same.
 * Negative errno: something of it is refused, `complaint` says what. Nothing changes before
 * front_commit(), of the same configuration, which cannot fail.
 */
int front_prepare(struct front *front, const struct config *config,
                  struct complaint *complaint) MUST_CHECK;
void front_commit(struct front *front, const struct config *config);

/* Serve, and say in the log where. */
int front_start(struct front *front) MUST_CHECK;

/* As service_drain(). */
void front_drain(struct front *front, http_drained_fn *drained, void *ctx);

void front_close(struct front *front); // ends every connection; then the loop must turn
void front_free(struct front *front);

struct service *front_service(struct front *front);

#endif
