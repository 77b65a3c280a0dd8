// SPDX-License-Identifier: Apache-2.0
/*
 * history.h - GET /v1/history: answers of the historian, on their way to one loop's clients
 *
 * A piece is made while the one before is being sent, and no sooner. Who reads too slowly
 * for the server's limits, or for HISTORIAN_ANSWER_MS in all, loses the connection before
 * the last chunk.
 *
 * All calls are made from the loop's thread, or while that does not run.
 */
#ifndef SERVE_HISTORY_H
#define SERVE_HISTORY_H

#include "base/complaint.h"
#include "history/historian.h"
#include "net/http_server.h"

struct history_desk;

struct history_desk_options {
    uv_loop_t *loop;
    struct historian *historian; // lent
    uint64_t interval_ms;        // between two moments
    uint64_t (*now_ns)(void);    // CLOCK_MONOTONIC
};

int history_desk_new(const struct history_desk_options *options,
                     struct history_desk **ret) MUST_CHECK;
void history_desk_close(
    struct history_desk *desk); // ends answers; then the loop must turn
void history_desk_free(struct history_desk *desk); // takes NULL

/*
 * 0: it is, or will be, answered. -EINVAL: `why` names the parameter; -EBUSY: too many
 * answers are under way, -EUSERS: too many of this address; -ENOMEM: then it is the caller's
 * to answer.
 */
int history_desk_answer(struct history_desk *desk, struct http_conn *conn,
                        const struct http_request *request,
                        struct complaint *why) MUST_CHECK;

#endif
