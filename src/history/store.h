// SPDX-License-Identifier: Apache-2.0
/*
 * store.h - history on disk: a SQLite database that anybody can read with `sqlite3`
 *
 * At full rate for some hours, in slots of ten seconds (mean, least, most) for some weeks,
 * bounded in bytes as well. docs/history.md has the schema. Rows come in batches, each a
 * transaction: what was committed is there after a crash, what was not is gone whole.
 *
 * One thread; no clock: times are the rows'. Every call may wait for the disk. Errors are
 * negative errnos: -ENOSPC, -EROFS, -EIO ...; -EBUSY: somebody else writes, try again;
 * -EBADMSG: the file is damaged, -ESTALE: it was moved away: close the store and open it
 * anew, which begins a new file.
 */
#ifndef HISTORY_STORE_H
#define HISTORY_STORE_H

#include "base/complaint.h"
#include "history/past.h"

enum {
    STORE_SLOT_MS = 10 * 1000,
    STORE_SERIES_MAX = 4096, // names in one file; rows of further ones are not kept
};

struct store_limits {
    int64_t full_rate_ms; // how long rows at full rate are kept; 6 h
    int64_t slots_ms;     // and slots; 30 days
    int64_t events_ms;    // and events; 30 days
    uint64_t bytes;       // of the file; the oldest go first; 1 GiB
};

struct store;

/*
 * Open or make the database; `path` is absolute. A file that is damaged is put aside as
 * PATH.damaged (one is kept) and a new one begun. Not touched and refused are one made by
 * a newer version (-ENOTSUP) and one that is not ours (-EBADMSG); -EBUSY: another process
 * has it open.
 * `complaint` says what happened, also on success (then it is a warning, else "").
 */
int store_open(const char *path, const struct store_limits *limits, struct store **ret,
               struct complaint *complaint) MUST_CHECK;
void store_close(struct store *store); // takes NULL; an open batch is committed

/*
 * A batch is begun by the first call and ended by store_commit(). After an error all calls
 * say the same until it is given up. Moments are placed by their wall clock; one whose
 * millisecond is taken, as the clock was set back, goes to the next that is free.
 */
int store_add_moment(struct store *store, struct past *past,
                     const struct past_moment *moment) MUST_CHECK;
int store_add_event(struct store *store, const struct event *event) MUST_CHECK;
int store_commit(struct store *store) MUST_CHECK;

/* Give the batch up, after an error. */
void store_roll_back(struct store *store);

/*
 * Remove some of what is too old, or too much, at `unix_ms`: a bounded piece of work. 1:
 * there is more; 0: none. A time far ahead of what is there is believed once it has lasted
 * for hours.
 */
int store_trim(struct store *store, int64_t unix_ms) MUST_CHECK;

/* Of the newest moment that is there; 0: there is none. */
int64_t store_newest_ms(struct store *store);

/* The highest id that an event here has ever had; 0: there was none. */
uint64_t store_newest_event(struct store *store);

/* The newest events, oldest first: how many. */
ssize_t store_read_events(struct store *store, struct event *ret, size_t max);

/* ---- Reading ---- */

/* A figure over a bucket of time; NAN where it was never known in it. */
struct history_figure {
    double mean, min, max;
};

/* What the samples of one series in one bucket say. */
struct history_point {
    int64_t unix_ms; // where the bucket begins; at full rate the moment itself
    uint64_t count;  // samples
    struct history_figure figures[PAST_FIGURES]; // hit rate in ppm; of preemptions NAN
    double preemptions; // that happened in the bucket; NAN: not known
};

struct history_span {
    int64_t from_ms; // from_ms <= time < to_ms
    int64_t to_ms;
    int64_t step_ms; // of a bucket, which begins at multiples of it; 0: full rate
    char model[ENGINE_NAME_MAX + 1]; // served name or id; "": all, and the host
};

/* A series that has rows there. */
struct history_series {
    int64_t number; // the store's
    bool is_host;
    struct past_series of; // of the host: "", "", 0
};

/* By port, then name; the host's first. -E2BIG: there are more than `max`. */
ssize_t store_series(struct store *store, const struct history_span *span,
                     struct history_series *ret, size_t max);

/*
 * Up to `max` points of one series from `*from_ms` on, at first the span's, which is set to
 * where to go on: no transaction is held between two calls. 0: there are no more. Buckets
 * are whole, those that have any of the span in them. Where the step is a multiple of a
 * slot they are of slots, else of rows at full rate, and of slots where there are none:
 * then a slot is in the bucket in which it begins, and at full rate a point of its own.
 */
ssize_t store_points(struct store *store, const struct history_span *span, int64_t number,
                     int64_t *from_ms, struct history_point *ret, size_t max);

#endif
