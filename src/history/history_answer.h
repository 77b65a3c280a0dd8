// SPDX-License-Identifier: Apache-2.0
/*
 * history_answer.h - the answer to a query, written piece by piece
 *
 * One thread. A piece is bounded, and so is what is kept between two of them.
 */
#ifndef HISTORY_HISTORY_ANSWER_H
#define HISTORY_HISTORY_ANSWER_H

#include "base/buf.h"
#include "history/history_query.h"
#include "history/history_source.h"

enum { HISTORY_PIECE_BYTES = 64 * 1024 };

struct history_answer;

int history_answer_new(const struct history_query *query,
                       const struct history_source *source,
                       struct history_answer **ret) MUST_CHECK;
void history_answer_free(struct history_answer *answer); // takes NULL

/*
 * Append the next piece, of at most HISTORY_PIECE_BYTES. 1: there is more to come; 0: this
 * was the last. Negative: it cannot be finished.
 */
int history_answer_next(struct history_answer *answer, struct buf *out) MUST_CHECK;

#endif
