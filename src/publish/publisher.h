// SPDX-License-Identifier: Apache-2.0
/*
 * publisher.h - tell a NATS server what there is (docs/fleet.md)
 *
 * The tick writes a message into a mailbox that holds one, the newest, and goes on: all
 * that may take time is done by a thread of the publisher's, which sends what it finds
 * there and waits until the server has taken it before it looks again. So no more than one
 * message is under way, nothing that is old is sent after a connection was lost, and
 * memory is that of three messages.
 *
 * The thread connects, again and again where it must, at rising intervals that chance
 * varies. It and those of the library keep only the right to read files and to talk to
 * servers. But for that thread, calls are made from the loop's.
 */
#ifndef PUBLISH_PUBLISHER_H
#define PUBLISH_PUBLISHER_H

#include "base/complaint.h"
#include "encode/compact.h"
#include "history/journal.h"
#include "publish/connection.h"

/* Lent for the call, but for the journal, which is until the end. */
struct publisher_options {
    struct connection_options connection;
    const char *prefix;           // of subjects: "vramscope"
    bool shared_name;             // others publish the same under it: it is not claimed
    struct compact_head identity; // what each message says of the node
    struct journal *journal;      // whose events are published
    uint64_t told_event;          // the id of the newest that is not
    bool confine;
};

struct publisher;

/* Loads the library and starts the thread; there need not be a server. */
int publisher_new(const struct publisher_options *options, struct publisher **ret,
                  struct complaint *complaint) MUST_CHECK;

/* The newest snapshot, and what happened. Copies; waits for nobody. */
void publisher_offer(struct publisher *publisher, const struct snapshot *snapshot);

/* Of which gateways the sum is made, from now on: with or without figures. */
void publisher_tell_via(struct publisher *publisher, const struct fleet_via *via);

/* There is no snapshot, and why; the last one is not sent any more. */
void publisher_offer_outage(struct publisher *publisher, const char *code,
                            const char *reason, const struct snapshot_self *self,
                            uint64_t unix_ms);

/* How it goes. Takes NULL: nothing is published. */
struct snapshot_nats publisher_state(struct publisher *publisher);

void publisher_stop(struct publisher *publisher);  // soon; takes NULL
bool publisher_ended(struct publisher *publisher); // then it may be freed
void publisher_free(struct publisher *publisher);  // waits for the thread; takes NULL

#endif
