// SPDX-License-Identifier: Apache-2.0
/*
 * player.h - a recording in time: which entry is due, when the next one is
 *
 * Intervals are those of the recording, divided by the speed; a longer one than a minute is
 * played as a minute, one back in time (a clock that was set, recordings one behind the
 * other) as none. The clock is the caller's, who passes its time in: nothing here waits.
 *
 * Going back is cheap: every few seconds of the recording the place is noted.
 */
#ifndef RECORDING_PLAYER_H
#define RECORDING_PLAYER_H

#include "recording/recording.h"

#define PLAYER_SPEED_MIN 0.01
#define PLAYER_SPEED_MAX 1000.0

enum {
    PLAYER_GAP_MAX_MS = 60 * 1000,
    PLAYER_LOOP_PAUSE_MS = 1000, // between the last entry and the first one
};

struct player;

struct player_options {
    struct recording *recording; // lent
    double speed;                // within the limits above
    bool loop;
};

/* Playing begins with the first player_next(). */
int player_new(const struct player_options *options, struct player **ret) MUST_CHECK;
void player_free(struct player *player); // takes NULL

/*
 * The next entry that is due, lent until the next call: 1; 0: none is yet. Negative: the
 * file cannot be read any further; what has been played can be gone back to.
 */
int player_next(struct player *player, uint64_t now_ns, struct recording_entry *ret,
                struct complaint *why) MUST_CHECK;

/* Until the next entry is due, after player_next() gave 0. UINT64_MAX: none will be. */
uint64_t player_wait_ns(const struct player *player, uint64_t now_ns);

/* The recording's wall clock: that of the entry given last, and what has passed since. */
int64_t player_unix_ms(const struct player *player, uint64_t now_ns);

bool player_ended(const struct player *player); // all has been played

void player_hold(struct player *player, bool held, uint64_t now_ns);

/* `factor` times what it was, within the limits. */
void player_speed(struct player *player, double factor, uint64_t now_ns);

/*
 * Forward or back in the recording. What lies between, or just before, is due at once. The
 * start and the end are as far as it goes.
 */
int player_seek(struct player *player, int64_t by_ms, uint64_t now_ns,
                struct complaint *why) MUST_CHECK;

#endif
