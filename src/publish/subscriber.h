// SPDX-License-Identifier: Apache-2.0
/*
 * subscriber.h - hear what nodes publish to a NATS server (docs/fleet.md)
 *
 * A thread connects, again and again where it must, at rising intervals that chance
 * varies, and hands in each message of PREFIX.v1.*.snapshot as it comes, however large.
 * What it has not taken when the bounded queue of the library is full is lost, and counted.
 * It and the threads of the library keep only the right to read files and to talk to
 * servers.
 */
#ifndef PUBLISH_SUBSCRIBER_H
#define PUBLISH_SUBSCRIBER_H

#include "base/complaint.h"
#include "publish/connection.h"
#include "snapshot/fleet.h"

/* Lent for the call, but for `ctx`, which is until the end. */
struct subscriber_options {
    struct connection_options connection;
    const char *prefix; // of subjects: "vramscope"
    bool confine;

    /*
     * On the subscriber's thread, which nothing else waits for; `node` as in the subject,
     * lent like the message.
     */
    void (*take)(void *ctx, struct span node, struct span message);
    void *ctx;
};

struct subscriber;

/* Loads the library and starts the thread; there need not be a server. */
int subscriber_new(const struct subscriber_options *options, struct subscriber **ret,
                   struct complaint *complaint) MUST_CHECK;

/*
 * How it goes, a quarter of a second ago at most: connected, reconnects, messages, bytes,
 * missed, and of malformed what was of no subject of ours. Any thread.
 */
struct fleet_link subscriber_state(struct subscriber *subscriber);

void subscriber_stop(struct subscriber *subscriber);  // soon; takes NULL
bool subscriber_ended(struct subscriber *subscriber); // then it may be freed; NULL: true
void subscriber_free(struct subscriber *subscriber);  // waits for the thread; takes NULL

#endif
