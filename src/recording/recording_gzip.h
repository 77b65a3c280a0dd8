// SPDX-License-Identifier: Apache-2.0
/*
 * recording_gzip.h - text as gzip members, handed on in pieces as they are compressed
 *
 * A member is begun by the first text and ended when it is told; it is read without those
 * before it, and members one behind the other are one text.
 */
#ifndef RECORDING_RECORDING_GZIP_H
#define RECORDING_RECORDING_GZIP_H

#include "base/base.h"

enum recording_effort { RECORDING_EFFORT_LEAST, RECORDING_EFFORT_USUAL };

/* Takes a piece of the file; a negative result is handed on to who added or ended. */
typedef int recording_piece_fn(void *ctx, struct span piece);

struct recording_gzip;

int recording_gzip_new(enum recording_effort effort, recording_piece_fn *put, void *ctx,
                       struct recording_gzip **ret) MUST_CHECK;
void recording_gzip_free(struct recording_gzip *gzip); // takes NULL

/* Compress; what comes of it is handed on once there is much of it, or at once. */
int recording_gzip_add(struct recording_gzip *gzip, struct span text,
                       bool at_once) MUST_CHECK;

/* All that was added is handed on, and a whole member. None is begun: nothing is done. */
int recording_gzip_end(struct recording_gzip *gzip) MUST_CHECK;

bool recording_gzip_in_member(const struct recording_gzip *gzip);

#endif
