// SPDX-License-Identifier: Apache-2.0
/*
 * fetch.h - GET a URL again and again, suspiciously
 *
 * One fetch is one server: at most one request in flight, the connection kept for the
 * next. The transfer is libcurl's, on the owner's libuv loop. The other end may be
 * anything: there is a deadline for the whole transfer and ceilings on head, fields and
 * body; redirects are not followed, encodings not accepted, proxies not used.
 */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include "base/base.h"

#include <uv.h>

enum {
    FETCH_TOTAL_MS = 1000,
    FETCH_CONNECT_MS = 300,
    FETCH_BODY_MAX = 8 * 1024 * 1024,
    FETCH_WHY_MAX = 128,
};

enum fetch_outcome {
    FETCH_OK,         // status 200, whole body delivered
    FETCH_UNRESOLVED, // its name has no address, or none came in time
    FETCH_REFUSED,    // nobody accepts connections there
    FETCH_SILENT,     // connected, but not one byte came before the deadline
    FETCH_SLOW,       // the answer began and was not complete at the deadline
    FETCH_STATUS,     // an answer other than 200
    FETCH_BAD,        // too large, encoded, malformed, torn, or the consumer refused it
    FETCH_FAILED,     // anything else: TLS, name not found, out of memory
};

struct fetch_result {
    enum fetch_outcome outcome;
    long status;      // 0 when no status line came
    uint64_t took_ns; // whole transfer
    uint64_t body_bytes;
    char why[FETCH_WHY_MAX]; // a phrase for people; "" when FETCH_OK
};

/* A piece of the body. Negative stops the transfer: outcome FETCH_BAD. */
typedef int fetch_body_fn(void *ctx, struct span bytes);

/* The transfer is over; another may be started from here. */
typedef void fetch_done_fn(void *ctx, const struct fetch_result *result);

struct fetcher; // what all fetches of a loop share
struct fetch;

int fetcher_new(uv_loop_t *loop, struct fetcher **ret) MUST_CHECK;

/* Every fetch must be freed before. The loop must turn until its handles are closed. */
void fetcher_free(struct fetcher *fetcher);

struct fetch_options {
    const char *bearer;    // Authorization: Bearer ..., or NULL
    const char *ca_file;   // in place of the system's; NULL: those
    bool insecure;         // accept any certificate
    const char *unix_path; // of a socket to connect to, whatever the URL's host; or NULL
    fetch_body_fn *body;
    fetch_done_fn *done;
    void *ctx;
};

int fetch_new(struct fetcher *fetcher, const struct fetch_options *options,
              struct fetch **ret) MUST_CHECK;
void fetch_free(struct fetch *fetch); // ends a transfer in flight without calling done()

/* -EBUSY: one is in flight. `done` is never called from within. */
int fetch_start(struct fetch *fetch, const char *url) MUST_CHECK;

#endif
