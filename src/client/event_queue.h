// SPDX-License-Identifier: Apache-2.0
/*
 * event_queue.h - events that came in and were not taken yet
 *
 * An entry is one piece of memory that holds the event with its texts. When the queue is
 * full its owner stops reading; what one read held already still goes in.
 */
#ifndef CLIENT_EVENT_QUEUE_H
#define CLIENT_EVENT_QUEUE_H

#include "base/base.h"
#include "vramscope.h"

enum {
    EVENT_QUEUE_LENGTH = 64,
    EVENT_QUEUE_BYTES = 4 * 1024 * 1024,
};

struct event_entry {
    struct vramscope_event event;
    struct event_entry *next;
    size_t bytes;
    char texts[];
};

struct event_queue {
    struct event_entry *first, *last;
    size_t length, bytes;
};

/* Texts of an event; one without an address becomes NULL there. */
struct event_texts {
    struct span name, id, data, reason, code, remedy;
};

/* Copy `event` with its texts to the end. -ENOMEM. */
int event_queue_add(struct event_queue *queue, const struct vramscope_event *event,
                    const struct event_texts *texts) MUST_CHECK;

/* The oldest, to be given to free(); NULL: there is none. */
struct event_entry *event_queue_take(struct event_queue *queue);

bool event_queue_is_full(const struct event_queue *queue);
void event_queue_done(struct event_queue *queue);

#endif
