// SPDX-License-Identifier: Apache-2.0
/*
 * flight.h - flight recorder: the last minutes at full rate, kept when something breaks
 *
 * Detail documents are held in memory as gzip members of some seconds each, within a fixed
 * budget; the oldest go. When an alarm is raised, and what followed it for FLIGHT_AFTER_MS
 * has come in as well, they are written as a recording (docs/recording.md) that `vramscope
 * replay` plays. Files are bounded in number and bytes; the oldest go.
 *
 * flight_add() and flight_alarm() are called on the tick and only copy; flight_work(), which
 * compresses and writes, on a thread of its own.
 */
#ifndef HISTORY_FLIGHT_H
#define HISTORY_FLIGHT_H

#include "base/complaint.h"
#include "snapshot/snapshot.h"

enum {
    FLIGHT_BYTES = 2 << 20,         // of compressed documents
    FLIGHT_PENDING_BYTES = 1 << 20, // of documents not yet compressed
    FLIGHT_BEFORE_MS = 5 * 60 * 1000,
    FLIGHT_AFTER_MS = 10 * 1000,
    FLIGHT_PAUSE_MS =
        60 * 1000, // between two recordings, however often the alarm is raised
    FLIGHT_FILES_MAX = 20,
    FLIGHT_FILES_BYTES = 64 << 20,
};

struct flight;

/*
 * `folder` is there, and ours: its recordings flight-*.ndjson.gz are, and what a crash has
 * left of one is removed. Lent for the call. Negative: it cannot be opened.
 */
int flight_new(const char *folder, struct flight **ret) MUST_CHECK;
void flight_free(struct flight *flight);

/* A document with its event id; one that does not fit is counted and told in the file. */
void flight_add(struct flight *flight, int64_t unix_ms, struct span id,
                struct span document);
/* There was none, for this reason. */
void flight_add_outage(struct flight *flight, int64_t unix_ms, const char *reason);

/*
 * Keep what is there. One that follows while another is being waited for joins it; one
 * that follows a recording too soon waits for the pause to end.
 */
void flight_alarm(struct flight *flight, enum event_kind kind, int64_t unix_ms);

/*
 * Compress what has come in, and write a recording that is due. 1: one was written, and
 * `ret_path` (PATH_MAX) names it. Negative: it could not be; `complaint` says why, and it
 * is given up.
 */
int flight_work(struct flight *flight, int64_t unix_ms, char *ret_path,
                struct complaint *complaint) MUST_CHECK;

/* The same for the last time: an alarm waits for nothing more. */
int flight_end(struct flight *flight, int64_t unix_ms, char *ret_path,
               struct complaint *complaint) MUST_CHECK;

#endif
