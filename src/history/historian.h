// SPDX-License-Identifier: Apache-2.0
/*
 * historian.h - the one thread that keeps history on disk, and answers what is asked of it
 *
 * What is to be kept waits in the past and the journal, which are in memory: once a minute,
 * and soon after an event, the thread reads what is new there and writes it as one
 * transaction. A disk that is full, read-only, damaged or slow delays nothing else; what it
 * does not take is tried again for as long as the past reaches back. With history in memory
 * alone the thread is there as well, for queries and observations, and may write nothing.
 *
 * Any thread may call, but where it says otherwise.
 */
#ifndef HISTORY_HISTORIAN_H
#define HISTORY_HISTORIAN_H

#include "history/advice.h"
#include "history/flight.h"
#include "history/history_query.h"
#include "history/journal.h"

enum {
    HISTORIAN_ANSWERS_MAX = 8,    // under way at a time
    HISTORIAN_ANSWERS_OF_ONE = 6, // client: as many connections as a browser has
    HISTORIAN_CLIENT_BYTES = 16,
    HISTORIAN_ANSWER_MS = 30 * 1000,
};

struct historian;
struct history_request;

/* What it is given is lent until historian_free(). */
struct historian_options {
    struct past *past;
    struct journal *journal;
    struct flight *flight; // NULL: no recordings are kept
    const char *path;      // of the database, absolute; NULL: memory alone
    const char *folder;    // it writes nowhere but below; NULL where path is
    struct store_limits limits;
    uint64_t interval_ms; // between two moments
    bool confine;         // give up, in the thread, all rights but these
};

/*
 * Begins, and waits for some seconds until what is on disk of before is in the journal; a
 * disk that takes longer is not waited for. Before the caller gives up its own rights.
 */
int historian_new(const struct historian_options *options,
                  struct historian **ret) MUST_CHECK;

/* Let it write what is there, and end. Requests fail from now on. */
void historian_stop(struct historian *historian);

/* True: it has ended. False: it waits for a disk, perhaps for ever. Takes NULL: true. */
bool historian_ended(struct historian *historian);
void historian_free(struct historian *historian); // once it has ended; takes NULL

/* How often something could not be written to disk; UNKNOWN: nothing is written there. */
uint64_t historian_errors(struct historian *historian);

/* What each model was seen to do, as of some minutes ago: how many were written. */
size_t historian_observations(struct historian *historian, struct observation *ret,
                              size_t max);

/*
 * ready(ctx) is called each time when history_request_piece() has something to say: on the
 * historian's thread, with its lock held, so it may do no more than wake somebody.
 */
struct history_asker {
    void (*ready)(void *ctx);
    void *ctx;
    struct span client; // HISTORIAN_CLIENT_BYTES that tell who it is; empty: nobody's
};

/*
 * Ask for an answer. -EBUSY: as many are under way as may be; -EUSERS: as many of this
 * client's.
 */
int historian_ask(struct historian *historian, const struct history_query *query,
                  const struct history_asker *asker,
                  struct history_request **ret) MUST_CHECK;

/*
 * 1: the piece is here, lent until history_request_next(), and more will come; 0: it is the
 * last. -EAGAIN: not yet. Other negative errnos: there will be none, `why` says why.
 */
int history_request_piece(struct history_request *request, struct span *ret,
                          struct complaint *why) MUST_CHECK;

/* The piece has been used: make the next one. */
void history_request_next(struct history_request *request);

/* At any time. ready() is not called any more. Takes NULL. */
void history_request_drop(struct history_request *request);

#endif
