// SPDX-License-Identifier: Apache-2.0
/*
 * archive.h - what outlives the minutes in memory: history and recordings on disk
 *
 * The configuration as paths and limits, and the historian that works by them. Called on
 * the loop's thread.
 */
#ifndef DAEMON_ARCHIVE_H
#define DAEMON_ARCHIVE_H

#include "base/complaint.h"
#include "config/config.h"
#include "history/historian.h"
#include "serve/board.h"

struct archive;

/* Is there a folder for the file that is named? For --check-config. */
int archive_check(const struct config *config, struct complaint *complaint) MUST_CHECK;

/*
 * Begin to keep what comes into past and journal, which are lent until archive_free().
 * What a disk has against it is logged, and no reason not to start; a folder that is not
 * there is. Before rights are given up, of which the historian keeps what it needs.
 */
int archive_open(const struct config *config, struct past *past, struct journal *journal,
                 struct archive **ret, struct complaint *complaint) MUST_CHECK;

/* Say where, once it serves; what the disk has against it was said. */
void archive_log(const struct archive *archive);

struct historian *archive_historian(struct archive *archive);

/* The id of the newest event of runs before this one; 0: none is known. */
uint64_t archive_newest_event(const struct archive *archive);

/* Of a kind that the minutes before explain; EVENT_KINDS: nothing happened. */
void archive_alarm(struct archive *archive, enum event_kind kind, int64_t unix_ms);

/* Of what is published, for the flight recorder; NULL: it is not wanted. */
const struct board_tap *archive_tap(struct archive *archive);

/* Write what there is, and end: it has, when archive_ended(). All take NULL. */
void archive_stop(struct archive *archive);
bool archive_ended(struct archive *archive);
void archive_free(struct archive *archive); // once it has ended

#endif
