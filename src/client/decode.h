// SPDX-License-Identifier: Apache-2.0
/*
 * decode.h - the JSON of one event as the structs of vramscope.h
 *
 * The text is not kept. A result is one piece of memory that never changes.
 * -EBADMSG: not JSON, or not such a document; -EFBIG: over a limit; -ENOMEM. Of all but
 * the last `why` says what is wrong, in a phrase.
 */
#ifndef CLIENT_DECODE_H
#define CLIENT_DECODE_H

#include "base/complaint.h"
#include "vramscope.h"

int decode_snapshot(struct span json, const struct vramscope_snapshot **ret,
                    struct complaint *why) MUST_CHECK;
void decode_snapshot_free(const struct vramscope_snapshot *snapshot); // takes NULL

/* Counted: vramscope_detail_unref() gives it back. */
int decode_detail(struct span json, const struct vramscope_detail **ret,
                  struct complaint *why) MUST_CHECK;

#endif
