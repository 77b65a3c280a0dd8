// SPDX-License-Identifier: Apache-2.0
/*
 * flight_tape.h - the last minutes' lines in memory, compressed
 *
 * Lines are held as gzip members of some seconds each, one behind the other in one
 * fixed ring of bytes. The oldest members go where there is no room, or once they are older
 * than FLIGHT_BEFORE_MS and FLIGHT_AFTER_MS by the time that has passed between the lines: a clock that is set
 * forward does not make what was just put down old.
 */
#ifndef HISTORY_FLIGHT_TAPE_H
#define HISTORY_FLIGHT_TAPE_H

#include "base/base.h"
#include "recording/recording_gzip.h"

struct flight_tape;

int flight_tape_new(struct flight_tape **ret) MUST_CHECK;
void flight_tape_free(struct flight_tape *tape); // takes NULL

/* A line with its end, at most FLIGHT_PENDING_BYTES. */
void flight_tape_add(struct flight_tape *tape, struct span line, int64_t unix_ms);

/* Every member there is goes to `put`, oldest first, in pieces; its error is handed on. */
int flight_tape_play(struct flight_tape *tape, recording_piece_fn *put,
                     void *ctx) MUST_CHECK;

/* Of the oldest line that is there; false: there is none. */
bool flight_tape_begin_ms(const struct flight_tape *tape, int64_t *ret_unix_ms);

size_t flight_tape_bytes(const struct flight_tape *tape); // compressed

#endif
