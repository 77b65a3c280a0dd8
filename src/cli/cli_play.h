// SPDX-License-Identifier: Apache-2.0
/*
 * cli_play.h - a recording that is played, for those who show or serve it
 */
#ifndef CLI_CLI_PLAY_H
#define CLI_CLI_PLAY_H

#include "cli/cli.h"
#include "recording/player.h"

struct play {
    struct recording *recording;
    struct player *player;
    bool has_told; // what is wrong with the first line that was skipped
};

/* Open cli->operand. In place; `why` says what is wrong with it. */
int play_open(struct play *play, const struct cli *cli, struct complaint *why) MUST_CHECK;
void play_close(struct play *play);

/*
 * Decode an entry's document, the caller's. NULL: it is refused, and the recording counts
 * it as a line that is none.
 */
const struct vramscope_detail *play_decode(struct play *play,
                                           const struct recording_entry *entry);

/* Say on stderr what is wrong with the first line that was skipped, once. */
void play_tell_fault(struct play *play);

/* The same at the end, and how many there were. */
void play_tell_faults(struct play *play);

/* Serve it at cli->listen: the exit status. */
int cli_replay_serve(const struct cli *cli, struct play *play);

#endif
