// SPDX-License-Identifier: Apache-2.0
/*
 * board_view.h - a board as one loop's clients see it: its streams, and what its last seconds
 * come to
 *
 * The board may be published to meanwhile. All calls are made from the loop's thread, or
 * while that does not run.
 */
#ifndef SERVE_BOARD_VIEW_H
#define SERVE_BOARD_VIEW_H

#include "serve/board.h"

struct board_view;

struct board_view_options {
    struct board *board; // lent
    uv_loop_t *loop;
    void (*wake)(void *ctx); // on any thread: board_view_deliver() is due
    void *ctx;
};

/* A view of a board that is published to stays until that ends: see board_view_free(). */
int board_view_new(const struct board_view_options *options,
                   struct board_view **ret) MUST_CHECK;
void board_view_drain(struct board_view *view); // also what is asked for later
void board_view_close(
    struct board_view *view); // ends its streams; then the loop must turn
void board_view_free(struct board_view *view); // while nothing is being published

struct board *board_view_board(const struct board_view *view);

/* Be ready to answer for that channel; else the first question sees to it. */
int board_view_open(struct board_view *view, enum channel_kind kind) MUST_CHECK;

/* Send what has been published, if anything. */
void board_view_deliver(struct board_view *view);

/* As outlet_answer_stream() and outlet_answer_once(). */
int board_view_answer_stream(struct board_view *view, enum channel_kind kind,
                             struct http_conn *conn,
                             const struct http_request *request) MUST_CHECK;
int board_view_answer_once(struct board_view *view, enum channel_kind kind,
                           struct http_conn *conn) MUST_CHECK;

/* As aggregated_write(). */
int board_view_write_aggregated(struct board_view *view, unsigned window_seconds,
                                uint64_t now_ns, struct buf *out) MUST_CHECK;

#endif
