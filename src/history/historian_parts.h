// SPDX-License-Identifier: Apache-2.0
/*
 * historian_parts.h - what the historian is made of; private to historian*.c
 *
 * historian.c is the thread's life, historian_disk.c writes, historian_request.c answers,
 * historian_observe.c observes.
 */
#ifndef HISTORY_HISTORIAN_PARTS_H
#define HISTORY_HISTORIAN_PARTS_H

#include "base/clock.h"
#include "history/historian.h"
#include "history/history_answer.h"
#include "history/past_points.h"

#include <pthread.h>
#include <stdatomic.h>

/* Who has the request's piece and answer. */
enum request_state {
    REQUEST_WANTED, // the historian will make a piece
    REQUEST_MAKING, // it is about to
    REQUEST_READY,  // who asks looks at it
};

struct history_request {
    struct historian *historian;
    struct history_request *next; // of all, in the order of their turns
    struct history_query query;
    void (*ready)(void *ctx);
    void *ctx;
    bool has_client;
    uint8_t client[HISTORIAN_CLIENT_BYTES];
    enum request_state state;
    bool dropped; // while it was being made: the historian frees it
    int result;   // of what is ready: 1, 0 or a negative errno
    struct buf piece;
    struct past_points *points;
    struct history_answer *answer; // NULL: not begun
};

/* All but the atomic ones is the thread's own. */
struct disk {
    atomic_bool is_used; // history is to be kept on disk
    atomic_ullong errors;
    struct store *store; // NULL: not open now
    struct past_reader *reader;
    uint64_t written_ns;       // taken_ns of the last moment that was committed
    uint64_t written_event;    // the journal's id of the last that was committed
    uint64_t ids_before;       // ids there are the journal's and this
    bool knows_ids;            // and that is known
    uint64_t tried_ns;         // when it was last begun to write what is new
    uint64_t retry_ns;         // nothing is tried before
    uint64_t pause_ms;         // after the next error
    uint64_t lost;             // moments that went unwritten since the last message
    uint64_t written_since_ns; // without an error; 0: there was one
    bool is_in_trouble;        // as was told, and not yet that it is over
    int told;                  // the error that was told last
    uint64_t told_ns;          // and when
    struct event events[JOURNAL_EVENTS];
};

/* A round over all models; the thread's own. */
struct observing {
    uint64_t due_ns;
    bool under_way;
    size_t at, n;
    struct past_series of[SNAPSHOT_MODELS_MAX];
    uint32_t numbers[SNAPSHOT_MODELS_MAX]; // of the past
    struct observation seen[SNAPSHOT_MODELS_MAX];
    size_t n_seen;
    struct observer *observer;
    struct past_reader *reader;
};

struct historian {
    struct historian_options options;
    pthread_t thread;
    pthread_mutex_t lock; // of what is below
    pthread_cond_t changed;
    bool stopping;
    bool is_ready;
    bool is_late; // it was not ready in time, and is not waited for
    bool ended;
    struct history_request *requests;
    size_t n_requests;
    struct observation observations[SNAPSHOT_MODELS_MAX];
    size_t n_observations;
    uint64_t work_ns;   // when there is next something to be done unasked; the thread's
    uint64_t write_ns;  // when to see whether to write; likewise
    uint64_t flight_ns; // when to compress what the flight recorder holds
    struct disk disk;
    struct observing observing;
};

int64_t historian_unix_ms(void);

/* Open the database, and put its events into the journal. */
void disk_begin(struct historian *historian);

/*
 * Is it time to write what is new? Each batch writes a page for each series at least, so
 * that few large ones are written: not before a minute's moments wait, or half of what
 * memory holds; but what has happened is written with what led to it, and in trouble it is
 * tried each time.
 */
bool disk_is_due(const struct historian *historian);

/* Write what is new. Errors are logged and counted. */
void disk_write(struct historian *historian);

/* Counted each time, told once: `what` is a sentence of somebody else's, or "". */
void disk_fail(struct historian *historian, int error, const char *what);

/* Remove what is too old. True: there is more to do. */
bool disk_trim(struct historian *historian);

/* The last batch, and the end of it. */
void disk_end(struct historian *historian);

/* With the lock held: make one piece, if one is wanted; the lock is released meanwhile. */
bool requests_serve(struct historian *historian);

/* With the lock held: all fail. */
void requests_fail(struct historian *historian);

int observing_init(struct observing *observing, struct past *past) MUST_CHECK;
void observing_done(struct observing *observing);

/* Observe one model, where it is time to. True: there are more of this round. */
bool observe(struct historian *historian);

#endif
