// SPDX-License-Identifier: Apache-2.0
/*
 * frame.h - the bytes of one event, made once and shared by all who read it
 *
 * A frame holds the event as an HTTP/1.1 chunk; what HTTP/1.0 readers get is the part of
 * it between the chunk's size and its end. Immutable and counted; frames nobody holds any
 * more are used again with their memory, so that a warm tick allocates nothing; of large
 * ones only a few are kept for that. Frames and pools may be used from several threads; a
 * frame is filled by one.
 */
#ifndef SERVE_FRAME_H
#define SERVE_FRAME_H

#include "base/buf.h"

enum {
    FRAME_EVENT_MAX = 16 * 1000 * 1000, // that any pool may be made for
    FRAMES_LENT_MAX = 48 << 20,         // bytes in use of a pool before it is scarce
};

struct frame;
struct frame_pool;

/* Frames of events of at most `event_max` bytes. */
int frame_pool_new(size_t event_max, struct frame_pool **ret) MUST_CHECK;
void frame_pool_free(struct frame_pool *pool); // every frame must be given back

/*
 * Begin a frame: its event is appended to the buffer that frame_text() gives, up to the
 * pool's event_max, then frame_seal() completes it. NULL: no memory.
 */
struct frame *frame_new(struct frame_pool *pool);
struct buf *frame_text(struct frame *frame);
int frame_seal(struct frame *frame) MUST_CHECK; // the buffer's error; -EINVAL: empty

/* So much of its pool is in use that who is slow to read a frame must give it up. */
bool frame_is_scarce(const struct frame *frame);

struct frame *frame_ref(struct frame *frame);
void frame_unref(struct frame *frame); // takes NULL

struct span frame_chunk(const struct frame *frame); // with HTTP/1.1 chunk framing
struct span frame_event(const struct frame *frame); // the event alone

#endif
