// SPDX-License-Identifier: Apache-2.0
/*
 * cli_replay_snapshot.h - a recorded document as the snapshot that it was written from
 *
 * As far as GET /vram/stream tells it: with the same figures it is written the same.
 */
#ifndef CLI_CLI_REPLAY_SNAPSHOT_H
#define CLI_CLI_REPLAY_SNAPSHOT_H

#include "base/complaint.h"
#include "snapshot/snapshot.h"

struct vramscope_detail;

/* -EBADMSG: no daemon wrote that; the snapshot is then not to be used. */
int replay_snapshot_fill(struct snapshot *snapshot, const struct vramscope_detail *detail,
                         struct complaint *why) MUST_CHECK;

#endif
