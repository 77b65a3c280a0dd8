// SPDX-License-Identifier: Apache-2.0
/*
 * store_parts.h - what the files of the store share; for store*.c alone
 *
 *     store.c         opening and closing; batches, statements, errors
 *     store_file.c    the file: whose it is, made, put aside
 *     store_schema.c  tables, statements, settings
 *     store_slot.c    many samples in one row, and rows from and into statements
 *     store_write.c   moments and events come in
 *     store_trim.c    what is too old or too much goes
 *     store_read.c    points, series and events
 *
 * A slot is made, when a moment of another slot comes, from the rows at full rate that are
 * there: nothing of it is in memory but which one it is, and that is in the file too. So
 * it is whole after a crash, and when the clock has been set back into it.
 */
#ifndef HISTORY_STORE_PARTS_H
#define HISTORY_STORE_PARTS_H

#include "history/store.h"
#include "history/store_file.h"

#include <math.h>
#include <sqlite3.h>
#include <sys/types.h>

enum {
    STORE_APPLICATION_ID = 0x76726d73, // "vrms"
    STORE_VERSION = 1,
    STORE_FIGURES = PAST_PREEMPTIONS, // those of which there are mean, least and most
    STORE_PAGE_BYTES = 4096,
    STORE_BUSY_MS = 250,             // how long somebody else may hold the file
    STORE_WAL_PAGES = 1000,          // then they are moved into the file
    STORE_WAL_PAGES_MAX = 16 * 1024, // if a reader that stays does not let them
    STORE_NAMES = 4 * SNAPSHOT_MODELS_MAX,
};

enum store_statement {
    STORE_BEGIN,
    STORE_COMMIT,
    STORE_ROLL_BACK,
    STORE_ADD_SAMPLE,
    STORE_FIND_SERIES,
    STORE_ADD_SERIES,
    STORE_COUNT_SERIES,
    STORE_UNDER_WAY,
    STORE_SET_UNDER_WAY,
    STORE_END_UNDER_WAY,
    STORE_SERIES_WITH_SAMPLES,
    STORE_HAS_SAMPLE,
    STORE_SAMPLES,
    STORE_SLOTS,
    STORE_PUT_SLOT,
    STORE_REMOVE_SAMPLES,
    STORE_ADD_EVENT,
    STORE_NEWEST_SAMPLE,
    STORE_NEWEST_SLOT,
    STORE_NEWEST_EVENT,
    STORE_EVENTS,
    STORE_SERIES_BETWEEN,
    STORE_OLDEST_SAMPLE,
    STORE_OLDEST_SLOT,
    STORE_OLDEST_EVENT,
    STORE_TIME_SEEN,
    STORE_TRIM_SAMPLES,
    STORE_TRIM_SLOTS,
    STORE_TRIM_EVENTS,
    STORE_TRIM_SERIES,
    STORE_PAGES,
    STORE_FREE_PAGES,
    STORE_VACUUM,
    STORE_STATEMENTS
};

/* What a number of `past` is in the file. */
struct store_name {
    uint32_t past;  // PAST_HOST: an empty place
    int64_t series; // negative: there is no room for it
};

/* What grows too old. */
enum store_kept { KEPT_SAMPLES, KEPT_SLOTS, KEPT_EVENTS, STORE_KEPT };

struct store {
    char *path;
    int lock; // of PATH.lock
    sqlite3 *db;
    sqlite3_stmt *statements[STORE_STATEMENTS];
    struct store_limits limits;
    dev_t device; // of the file, to know it again
    ino_t inode;
    bool in_batch;
    bool is_damaged;    // was found to be, while open
    int error;          // of this batch; 0
    uint64_t wal_pages; // at the last commit

    /* What the file says, too: read again after a batch was given up. */
    bool is_loaded;
    bool has_slot;   // there is one under way
    bool slot_again; // it was made before, and the rows it was made from are gone
    int64_t slot_ms; // where it begins
    uint64_t n_series;

    struct store_name names[STORE_NAMES];
    size_t next_name; // where one is forgotten
    bool is_trimming[STORE_KEPT];
    bool is_shrinking;
};

/* A row at full rate. */
struct store_sample {
    int64_t unix_ms;
    double figures[STORE_FIGURES]; // NAN
    uint64_t preemptions;          // the counter; UNKNOWN
};

/* Many samples in a few numbers. */
struct store_tally {
    uint64_t count;
    struct {
        uint64_t known;
        double sum, min, max;
    } figures[STORE_FIGURES];
    double preemptions; // NAN
};

struct store_slot {
    int64_t unix_ms;
    struct store_tally tally;
};

/* The counter of preemptions as it was last known. */
struct store_counter {
    int64_t unix_ms;
    uint64_t value; // UNKNOWN
};

/* `ms` down to a multiple of `step`. */
static inline int64_t store_floor(int64_t ms, int64_t step)
{
    int64_t rest = ms % step;

    return ms - (rest < 0 ? rest + step : rest);
}

/* ---- store.c ---- */

/* The errno of what the database has just said. */
int store_errno(struct store *store);

/* To the next row: 1; 0: there is none, and the statement can be used again. */
int store_step(struct store *store, sqlite3_stmt *statement) MUST_CHECK;

/* Bind numbers from the first parameter on, and begin anew. */
sqlite3_stmt *store_bind(struct store *store, enum store_statement which, size_t n,
                         const int64_t *numbers);

/* Run one that gives no rows. */
int store_run(struct store *store, enum store_statement which, size_t n,
              const int64_t *numbers) MUST_CHECK;

/* The first number of its first row; `none` where there is no row, or it is NULL. */
int store_number(struct store *store, enum store_statement which, size_t n,
                 const int64_t *numbers, int64_t none, int64_t *ret) MUST_CHECK;

/* Read what the file says of the slot under way, unless that is known. */
int store_load(struct store *store) MUST_CHECK;

/* Begin a batch, unless one is. */
int store_begin(struct store *store) MUST_CHECK;

/* ---- store_schema.c ---- */

int store_make_schema(sqlite3 *db) MUST_CHECK;                // of an empty file
int store_set_up(sqlite3 *db) MUST_CHECK;                     // what is not in the file
int store_prepare_statements(struct store *store) MUST_CHECK; // SQLite's codes

/* ---- store_write.c ---- */

/* Make the slot under way, so that rows it is made from may go; none is then. */
int store_finish_slot(struct store *store) MUST_CHECK;

/* Names of this file's series are no longer known. */
void store_forget_names(struct store *store);

/* ---- store_slot.c ---- */

void store_tally_init(struct store_tally *tally);

/* Preemptions are those since `counter`, which becomes this sample's. */
void store_tally_sample(struct store_tally *tally, const struct store_sample *sample,
                        struct store_counter *counter);
void store_tally_add(struct store_tally *tally, const struct store_tally *other);
void store_count(const struct store_sample *sample, struct store_counter *counter);

void store_load_sample(sqlite3_stmt *row, struct store_sample *ret);
void store_load_slot(sqlite3_stmt *row, struct store_slot *ret);
int store_bind_row(sqlite3_stmt *statement, const struct past_row *row); // from the third
int store_bind_tally(sqlite3_stmt *statement, const struct store_tally *tally);

#endif
