// SPDX-License-Identifier: Apache-2.0
/*
 * fleet.h - the nodes that publish, and what they come to (docs/fleet.md)
 *
 * One thread hands in messages as they come; another asks each tick for the sums. Of each
 * node the newest message is kept, nothing older: of FLEET_NODES_MAX nodes at most, and
 * where they say very much in all only what is summed up. All times are passed in. A node's age goes by our own
 * clock; its own tells only by how much longer than the quickest a message was under way,
 * so that what has waited on the way is not taken for new, whatever its clock says.
 *
 * Two runs of the program under one name: the one that began later replaces the other at
 * once, as after a restart, unless that goes on to speak. Then both are nodes, by name and
 * machine ("gpu17@1a2b3c4d"), until one of them is lost. Of two on one machine with the
 * same GPUs, whatever their names, the one that began last is counted; of gateways under
 * one name that which sums up more nodes, and it gives way to none that knows fewer.
 *
 * No I/O. Any thread may call where nothing else is said.
 */
#ifndef FLEET_FLEET_H
#define FLEET_FLEET_H

#include "encode/compact.h"

struct fleet;

enum {
    FLEET_MESSAGES_PER_SECOND = 20, // of a node; it may send twice as many at once
    FLEET_FORGET_S = 3600,          // a node that is lost is shown for so long
    FLEET_EVENTS = 512,             // that wait for fleet_next_event(); older ones go
};

int fleet_new(struct fleet **ret) MUST_CHECK;
void fleet_free(struct fleet *fleet);

/*
 * The sum is published as `node` under `prefix`, by this gateway and others of the same
 * nodes: what is made of that is not counted. Before the first message.
 */
void fleet_publish_as(struct fleet *fleet, const char *prefix, const char *node);

/*
 * A message of `node`, as its subject has it. By one thread. 1: it has something new of a
 * node that is watched, see fleet_watch(). Bad ones are counted, with their node where
 * that is known; nothing is logged here.
 */
int fleet_take(struct fleet *fleet, struct span node, struct span message,
               uint64_t now_ns, uint64_t unix_ms);

/*
 * Fill `ret`, an empty snapshot: its `fleet` but for `link`, whose counts that fleet_take()
 * keeps are added; totals; and `models`, the largest rows. By one thread. -ENODATA: no node
 * that counts has figures, totals are not known, and `fleet` is filled. -ENOMEM.
 */
int fleet_sum(struct fleet *fleet, uint64_t now_ns, uint64_t unix_ms,
              struct snapshot *ret) MUST_CHECK;

/*
 * What has happened on nodes, and to nodes as fleet_sum() has found it (node_found, ...),
 * each once and in the order in which it came. By the thread of fleet_sum(). What nodes
 * tell of the time before they were first heard is left out, but for the last minute.
 */
bool fleet_next_event(struct fleet *fleet, struct event *ret);

/* What there is to know of one node beside its message. */
struct fleet_status {
    enum node_state state;
    char reason[FLEET_REASON_SIZE]; // a sentence, but for a node that is live; or ""
    uint64_t message;               // rises with each of its messages that was read
};

/*
 * The node that `?node=` names. -ENOENT: there is none, or no longer; -ENOTUNIQ: two
 * publish under that name, and `ret->reason` says what to call them.
 */
int fleet_status(struct fleet *fleet, struct span name, uint64_t now_ns,
                 struct fleet_status *ret) MUST_CHECK;

/* Its newest message, read. As fleet_status(); -ENODATA: none that can be read is kept. */
int fleet_read(struct fleet *fleet, struct span name, struct compact_reader *reader,
               struct compact_message *ret, struct fleet_status *ret_status) MUST_CHECK;

/* fleet_take() tells of its messages, or no longer. A node that is not there is passed over. */
void fleet_watch(struct fleet *fleet, struct span name, bool watched);

/* What could not be read, one sentence for the log; false: nothing since the last call. */
bool fleet_complaint(struct fleet *fleet, char *ret, size_t room);

#endif
