// SPDX-License-Identifier: Apache-2.0
/*
 * connection_parts.h - a connection and its thread, private to those who have one
 *
 * A connection is made anew after each loss, never by the library, which would send what it
 * has kept meanwhile. But for connection_init() and connection_done(), and what is told
 * otherwise, calls are the thread's.
 */
#ifndef PUBLISH_CONNECTION_PARTS_H
#define PUBLISH_CONNECTION_PARTS_H

#include "base/clock.h"
#include "publish/connection.h"
#include "publish/nats_library.h"

#include <pthread.h>

enum { CONNECTION_TEXT_SIZE = 200 };

/* What the library has to say, made harmless. */
struct connection_text {
    char text[CONNECTION_TEXT_SIZE];
};

struct connection {
    const struct nats_library *library;
    const struct connection_options *options;
    natsConnection *nats;           // NULL: there is none
    natsSubscription *subscription; // NULL: there is none
    unsigned failures;              // waits since one was last of use
    uint64_t random;
    pthread_mutex_t lock; // of what follows: the library tells it on a thread of its own
    pthread_cond_t changed;
    bool told_closed;            // nothing more will be told of the last one
    struct connection_text says; // what the server has against something; "": nothing
};

void connection_init(struct connection *connection, const struct nats_library *library,
                     const struct connection_options *options);
void connection_done(struct connection *connection);

/* One try, which takes two seconds at most where names are found at once. -ENOTCONN. */
int connection_open(struct connection *connection,
                    struct connection_text *why) MUST_CHECK;
void connection_close(struct connection *connection);

/* One to each; what is more than waits to be taken is dropped. -ENOTCONN: it is closed. */
int connection_subscribe(struct connection *connection, const char *subject, int messages,
                         int bytes, struct connection_text *why) MUST_CHECK;

bool connection_is_lost(const struct connection *connection);

/* Why it is of no use any more, as far as anybody said; false: nobody did. */
bool connection_why_lost(struct connection *connection, struct connection_text *ret);

/* The URL of the server, for the log. */
struct connection_text connection_server(const struct connection *connection);

/* What the server has said against something since the last call; false: nothing. */
bool connection_complaint(struct connection *connection, struct connection_text *ret);

/* Before the next try, at most 250 ms at first: more each time until it was of use. */
uint64_t connection_wait_ms(struct connection *connection);
void connection_is_of_use(struct connection *connection);

/* A thread that has a connection. Its owner may keep more under its lock. */
struct connection_thread {
    struct nats_library library;
    const char *name; // a literal
    bool confine;
    void (*run)(void *ctx);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    bool ended;
};

/* Any thread may call these; `name`, `confine`, `run` and `ctx` are set before. */
void connection_thread_init(struct connection_thread *thread);
void connection_thread_done(struct connection_thread *thread);
int connection_thread_start(struct connection_thread *thread,
                            struct complaint *complaint) MUST_CHECK;
void connection_thread_stop(struct connection_thread *thread);
bool connection_thread_is_stopping(struct connection_thread *thread);
bool connection_thread_ended(struct connection_thread *thread);
void connection_thread_join(struct connection_thread *thread);

/* With the lock held; `news` wakes too, NULL: nothing else does. False: we are to stop. */
bool connection_thread_wait(struct connection_thread *thread, uint64_t until_ns,
                            const bool *news);

#endif
