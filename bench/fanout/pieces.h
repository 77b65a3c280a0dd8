// SPDX-License-Identifier: Apache-2.0
/*
 * pieces.h - a stream's bytes into its pieces: a head, then events and comments
 */
#ifndef FANOUT_PIECES_H
#define FANOUT_PIECES_H

#include "base/base.h"

#include <sys/types.h>

enum { PIECE_MAX = 5 << 20 }; // a gateway's details are up to 4 MiB

/* The head of a response: its length, 0: it is not whole yet. -EPROTO: it is not a 200. */
ssize_t piece_take_head(struct span bytes, bool *ret_chunked) MUST_CHECK;

/*
 * The piece at the start of `bytes`: a chunk, or all up to an empty line. Returns the bytes
 * it takes with its framing; 0: it is not whole yet. -EBADMSG: that is no chunk, or the last.
 */
ssize_t piece_take(struct span bytes, bool chunked, struct span *ret_piece) MUST_CHECK;

/* `data: {...}` and an empty line; with `fields`, an id may come before. */
bool piece_is_event(struct span piece, bool fields) MUST_CHECK;

#endif
