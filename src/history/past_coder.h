// SPDX-License-Identifier: Apache-2.0
/*
 * past_coder.h - moments as bytes, each as its difference from the one before
 *
 *     moment: flags (1 byte), taken, wall time, [number of rows, series of each], rows
 *     row:    a bit for each figure that is another, then those figures
 *
 * A number is the difference from that of the same series in the moment before, modulo
 * 2^64, as a zigzag varint: exact, whatever the figure, and a byte or two for one that moves
 * little. Of times it is the difference from the last difference. The rows are named where
 * they are others than before. Before the first moment all is zero, so that what was
 * written after a reset is read without what came before.
 */
#ifndef HISTORY_PAST_CODER_H
#define HISTORY_PAST_CODER_H

#include "history/past.h"

enum {
    PAST_VARINT_MAX = 10, // bytes
    PAST_ENCODED_MAX =
        1 + 3 * PAST_VARINT_MAX +
        PAST_ROWS_MAX * (PAST_VARINT_MAX + 1 + PAST_FIGURES * PAST_VARINT_MAX),
};

/* What the next moment is compared with. A zeroed coder is one that was reset. */
struct past_coder {
    struct past_moment last;
    uint64_t taken_step, unix_step; // to it from the one before
    struct past_row before[PAST_ROWS_MAX];
};

void past_coder_reset(struct past_coder *coder);

/* Write the bytes of a moment: how many. */
size_t past_encode(struct past_coder *coder, const struct past_moment *moment,
                   uint8_t ret[PAST_ENCODED_MAX]);

/* Read one into `last`; `bytes` are past_encode()'s. How many it took. */
size_t past_decode(struct past_coder *coder, const uint8_t *bytes);

#endif
