// SPDX-License-Identifier: Apache-2.0
/*
 * past.h - what each snapshot said, at full rate, for as long as a fixed memory reaches
 *
 * A moment is a snapshot in a few numbers: a row for the host and one for each model.
 * Moments lie one behind the other in chunks, each number as its difference from the one
 * before, so that half an hour of a busy host with 16 models takes less than 1 MiB. When
 * the memory is full the oldest chunk goes. Nothing is allocated once it is made.
 *
 * Any thread may call; one adds. Readers copy a chunk at a time under the lock and work on
 * their copy, so that who adds waits for microseconds.
 */
#ifndef HISTORY_PAST_H
#define HISTORY_PAST_H

#include "snapshot/snapshot.h"

enum {
    PAST_BYTES = 1 << 20,                     // half an hour of 16 models at 2 Hz
    PAST_ROWS_MAX = 1 + SNAPSHOT_MODELS_MAX,  // the host's, and the models'
    PAST_SERIES_MAX = 4 * SNAPSHOT_MODELS_MAX // whose names are remembered at a time
};

/* Figures of a row; UNKNOWN where it is not known. */
enum past_figure {
    PAST_ALLOCATED_BYTES,
    PAST_KV_USED_BYTES,
    PAST_KV_POOL_BYTES,
    PAST_HIT_PPM, // of prefix-cache queries in the last minute, in millionths
    PAST_REQUESTS_RUNNING,
    PAST_REQUESTS_WAITING,
    PAST_PREEMPTIONS, // the engine's counter: it begins anew with the engine
    PAST_FIGURES
};

#define PAST_HOST 0 // the series of the host's row

struct past_row {
    uint32_t series; // PAST_HOST, else a number that past_series() knows
    uint64_t figures[PAST_FIGURES];
};

struct past_moment {
    uint64_t taken_ns; // CLOCK_MONOTONIC
    int64_t unix_ms;   // may step back, as the wall clock does
    uint32_t n_rows;   // the host's is the first
    struct past_row rows[PAST_ROWS_MAX];
};

/* What a series is of: one served model on one port. */
struct past_series {
    char served_name[ENGINE_NAME_MAX + 1];
    char id[ENGINE_NAME_MAX + 1]; // as snapshot_model has it
    uint16_t port;
};

struct past;

/* `bytes` of moments; at least two chunks are held. */
int past_new(size_t bytes, struct past **ret) MUST_CHECK;
void past_free(struct past *past);

/*
 * The host's sums are over the models where a figure is known; where there are models, but
 * it is known of none, the sum is not known either. Its hit rate is the snapshot's; its
 * preemptions are those that were seen of any model since the past was made.
 */
void past_add(struct past *past, const struct snapshot *snapshot);

/* By who adds. Nothing from before is remembered; numbers of series are not used again. */
void past_clear(struct past *past);

/* Whose rows are of this number? False: none that are still remembered. */
bool past_series(struct past *past, uint32_t series, struct past_series *ret);

/*
 * Moments in the order in which they were added. A reader holds one chunk and its place;
 * moments that go before it has read them are passed over. It is its caller's thread's.
 */
struct past_reader;

/* It begins with the oldest there is. */
int past_reader_new(struct past *past, struct past_reader **ret) MUST_CHECK;
void past_reader_free(struct past_reader *reader);

/* Go to the first moment taken after `since_ns`; 0: the oldest there is. */
void past_reader_seek(struct past_reader *reader, uint64_t since_ns);

/* The next moment, lent until the next call; NULL: there is none yet. */
const struct past_moment *past_reader_next(struct past_reader *reader);

/* Moments that went unread since the last call. */
uint64_t past_reader_missed(struct past_reader *reader);

/* When the oldest and the newest were taken; 0: there is none. */
void past_span(struct past *past, uint64_t *ret_oldest_ns, uint64_t *ret_newest_ns);

#endif
