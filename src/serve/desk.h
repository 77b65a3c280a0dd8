// SPDX-License-Identifier: Apache-2.0
/*
 * desk.h - where one loop's clients are served: its server, its streams, the routes
 *
 * A desk reads the board, the journal and what the historian answers, and changes none of
 * them. All calls are made from its loop's thread, or while that does not run.
 */
#ifndef SERVE_DESK_H
#define SERVE_DESK_H

#include "history/journal.h"
#include "serve/advice.h"
#include "serve/board.h"
#include "serve/gate.h"

struct desk;
struct node_boards;

struct desk_options {
    struct http_server_options server; // but for the handler, which is the desk's
    struct board *board;
    struct node_boards *nodes;               // lent; NULL: this is no gateway
    struct journal *journal;                 // what happened; NULL: nobody notes it
    struct observations_source observations; // of the advice
    struct gate *gate;                       // who is let in
    uint64_t interval_ms;     // figures older than three of them are not fresh
    uint64_t (*now_ns)(void); // CLOCK_MONOTONIC
    void (*wake)(void *ctx);  // on any thread: desk_deliver() is due
    void *ctx;

    struct historian *historian; // lent; NULL: nobody keeps history
};

/* Where *ret is set on failure, it is to be closed and freed like any other. */
int desk_new(const struct desk_options *options, struct desk **ret) MUST_CHECK;

/* As http_server_drain(), with every stream told. */
void desk_drain(struct desk *desk, http_drained_fn *drained, void *ctx);
void desk_close(struct desk *desk); // ends every connection; then the loop must turn
void desk_free(struct desk *desk);

struct http_server *desk_server(struct desk *desk);

/* Send what has been published. */
void desk_deliver(struct desk *desk);

#endif
