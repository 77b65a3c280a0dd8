// SPDX-License-Identifier: Apache-2.0
/*
 * view.h - a board as one loop's clients see it: its streams, and what its last seconds
 * come to
 *
 * The board may be published to meanwhile. All calls are made from the loop's thread, or
 * while that does not run.
 */
#ifndef SERVE_VIEW_H
#define SERVE_VIEW_H

#include "serve/board.h"

struct view;

struct view_options {
    struct board *board; // lent
    uv_loop_t *loop;
    void (*wake)(void *ctx); // on any thread: view_deliver() is due
    void *ctx;
};

/* A view of a board that is published to stays until that ends: see view_free(). */
int view_new(const struct view_options *options, struct view **ret) MUST_CHECK;
void view_drain(struct view *view); // also what is asked for later
void view_close(struct view *view); // ends its streams; then the loop must turn
void view_free(struct view *view);  // while nothing is being published

struct board *view_board(const struct view *view);

/* Be ready to answer for that channel; else the first question sees to it. */
int view_open(struct view *view, enum channel_kind kind) MUST_CHECK;

/* Send what has been published, if anything. */
void view_deliver(struct view *view);

/* As outlet_answer_stream() and outlet_answer_once(). */
int view_answer_stream(struct view *view, enum channel_kind kind, struct http_conn *conn,
                       const struct http_request *request) MUST_CHECK;
int view_answer_once(struct view *view, enum channel_kind kind,
                     struct http_conn *conn) MUST_CHECK;

/* As aggregated_write(). */
int view_write_aggregated(struct view *view, unsigned window_seconds, uint64_t now_ns,
                          struct buf *out) MUST_CHECK;

#endif
