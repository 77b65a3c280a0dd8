// SPDX-License-Identifier: Apache-2.0
/*
 * publisher_parts.h - the parts of the publisher, private to it
 */
#ifndef PUBLISH_PUBLISHER_PARTS_H
#define PUBLISH_PUBLISHER_PARTS_H

#include "publish/connection_parts.h"
#include "publish/publisher.h"
#include "publish/subject.h"

enum { PAYLOAD_DEFAULT = 1 << 20 }; // a server's, unless it says otherwise

/* The connection, and what is only the thread's. */
struct link {
    struct connection connection;
    const struct publisher_options *options;
    char snapshot_subject[SUBJECT_SIZE];
    char event_subject[SUBJECT_SIZE];
    char claim_subject[SUBJECT_SIZE];
    uint64_t claim_ns;                  // when to say again that the name is ours
    uint64_t taken_ns;                  // when somebody else last said so; 0: nobody does
    char other_boot[COMPACT_BOOT_SIZE]; // who that was
};

void link_init(struct link *link, const struct nats_library *library,
               const struct publisher_options *options);
void link_done(struct link *link);

/* One try, which takes two seconds at most where names are found at once. */
int link_connect(struct link *link, struct connection_text *why) MUST_CHECK;
size_t link_max_payload(const struct link *link);

/* Hand it over. -E2BIG: the server does not take as much. -ENOTCONN: it is lost. */
int link_publish(struct link *link, const char *subject, struct span payload) MUST_CHECK;

/* Has the server taken all that was handed over? -ETIME: not within `ms`. -ENOTCONN. */
int link_confirm(struct link *link, unsigned ms) MUST_CHECK;

/* Say that the name is ours where it is time to, and hear who else says so. */
void link_claim(struct link *link, uint64_t now_ns);
bool link_name_is_taken(const struct link *link);

struct publisher {
    struct publisher_options options;
    struct link link;
    struct connection_thread thread;

    /* The loop's. */
    struct compact_writer *writer;
    struct buf written;

    /* The thread's. */
    struct buf sending;
    struct buf event;
    uint64_t told_event;
    uint64_t sent_event; // that or a newer one, of which it is not sure yet

    /* Under the thread's lock. */
    struct buf mail;
    bool is_new; // there was a tick, whether or not there is mail of it
    bool has_mail;
    bool mail_is_figures; // else it tells of an outage
    size_t max_payload;
    struct snapshot_nats state;
};

/* The thread, from its begin to its end. */
void publisher_run(void *publisher);

#endif
