// SPDX-License-Identifier: Apache-2.0
/*
 * scope.h - the inside of a struct vramscope
 *
 * scope.c opens and closes it, follow.c connects and reads, take.c hands events out.
 */
#ifndef CLIENT_SCOPE_H
#define CLIENT_SCOPE_H

#include "client/backoff.h"
#include "client/decode.h"
#include "client/error_body.h"
#include "client/event_queue.h"
#include "client/poller.h"
#include "client/request.h"
#include "wire/sse.h"

/* vramscope_options with its texts copied and its defaults filled in. */
struct settings {
    enum vramscope_stream stream;
    char *token;
    char *token_file;
    char *ca_file;
    char *last_event_id; // "": none
    bool undecoded;
    bool once;
    size_t event_max;
    int connect_timeout_ms;
    int silence_timeout_ms; // 0: by the interval
    char *node;             // NULL: none
};

enum stage {
    STAGE_WAITING,   // for the next attempt, at due_ns
    STAGE_ASKING,    // until the head is there, or the whole of an error, by due_ns
    STAGE_STREAMING, // silent until due_ns at the latest
    STAGE_PARTED,    // with an event about it that is to be queued
    STAGE_ENDED,     // for ever
};

/* Why there is no stream. */
struct parting {
    enum vramscope_event_type type; // VRAMSCOPE_DISCONNECTED or VRAMSCOPE_NO_DATA
    int status;
    int retry_ms;
    struct error_body words; // `message` is the reason; `code` and `remedy` may be ""
};

struct vramscope {
    struct settings settings;
    struct target target;
    struct poller poller;
    struct request request;
    struct sse *sse;
    struct backoff backoff;
    enum stage stage;
    int64_t now_ns;             // as of this turn
    int64_t due_ns;             // of the stage
    int64_t began_ns, heard_ns; // of the stream: its head, and its last byte
    int64_t interval_ms;        // of the detail document; 0: not known
    bool held;                  // the queue was full: libcurl holds what has come
    struct buf error_body;
    struct parting parting;
    struct error_body told; // with the last VRAMSCOPE_NO_DATA that was an answer
    struct event_queue queue;

    struct event_entry *lent; // the event that vramscope_next() gave last
    const struct vramscope_snapshot *snapshot;
    const struct vramscope_detail *detail;
    struct complaint why;
};

int settings_copy(const struct vramscope_options *options,
                  struct settings *ret) MUST_CHECK;
void settings_done(struct settings *settings); // takes a zeroed one

/* `path`, with the node that is asked for; free() it. NULL: no memory. */
char *settings_path(const struct settings *settings, const char *path) MUST_CHECK;

/* The token as it is now, for token_free(); NULL: none. Errors are token_read()'s. */
int settings_token(const struct settings *settings, char **ret,
                   struct complaint *why) MUST_CHECK;

extern const struct sse_handler follow_sse_handler; // without its ctx
extern const struct request_handler follow_request_handler;

/* When vramscope_process() is due; POLLER_NEVER: only by the poller. */
int64_t follow_due_ns(const struct vramscope *scope);

/* Give back what vramscope_next() lent. */
void take_back(struct vramscope *scope);

#endif
