// SPDX-License-Identifier: Apache-2.0
/*
 * hub.h - send each event to every subscriber
 *
 * A slow reader is never queued for: it holds the rest of one frame and at most one newer
 * frame, which later frames replace. A live monitor owes its readers the present, not the
 * past. Every frame is a whole snapshot, so that skipping one loses nothing but time; a
 * hub that is told to says how many were skipped, in an event of its own. Where frames are
 * scarce because slow readers hold so many, those who are slowest are parted from.
 *
 * A hub may keep its last frames, for readers who come back and say what they saw last.
 *
 * Readers are served in a steady order, a slice at a time, so that a long round delays
 * nothing else on the loop. A frame that comes before the round is over goes to whoever
 * has waited longest first.
 *
 * All calls but hub_stats() are made from the loop's thread.
 */
#ifndef SERVE_HUB_H
#define SERVE_HUB_H

#include "net/http_server.h"
#include "serve/frame.h"

struct hub;

struct hub_stats {
    size_t subscribers;
    uint64_t frames_sent;    // whole
    uint64_t frames_skipped; // replaced by a newer one before they could be sent
};

struct hub_options {
    uv_loop_t *loop;
    struct frame_pool *lag_frames; // for `event: lag`; NULL: skipping is not told
    size_t past;                   // frames kept for those who come back
    unsigned slice;                // subscribers served in one go; 0: 512
};

int hub_new(const struct hub_options *options, struct hub **ret) MUST_CHECK;
void hub_close(struct hub *hub); // ends every stream; then the loop must turn
void hub_free(struct hub *hub);  // after that

/* Answer a HEAD request for the stream. */
void hub_answer_head(struct http_conn *conn);

/*
 * Turn `conn` into a subscriber, `first` being its first event. With `after`, it is sent
 * instead what is kept of the frames that came after the one of that number, and waits if
 * that is the newest; a number past it is as none. Answers the request in any case.
 */
void hub_add(struct hub *hub, struct http_conn *conn, struct frame *first,
             const uint64_t *after);

/*
 * Send `frame`, of the rising number `seq`, to every subscriber. Takes references of its
 * own; the caller keeps theirs.
 */
void hub_send(struct hub *hub, struct frame *frame, uint64_t seq);

/* The same for what is said in passing: not kept, nor counted when it is left out. */
void hub_tell(struct hub *hub, struct frame *frame);

/*
 * End every stream properly, after what it is in the middle of and then `last` (NULL:
 * nothing). Who reads slowly stays until it has taken them, or hub_close() comes.
 */
void hub_drain(struct hub *hub, struct frame *last);

/* Keep nothing of what was sent until now. */
void hub_forget(struct hub *hub);

struct hub_stats hub_stats(const struct hub *hub);

#endif
