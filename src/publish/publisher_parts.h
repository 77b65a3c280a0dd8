// SPDX-License-Identifier: Apache-2.0
/*
 * publisher_parts.h - the parts of the publisher, private to it
 */
#ifndef PUBLISH_PUBLISHER_PARTS_H
#define PUBLISH_PUBLISHER_PARTS_H

#include "publish/nats_library.h"
#include "publish/publisher.h"

#include <pthread.h>

enum {
    SUBJECT_SIZE = 96,
    SAYS_MAX = 200,
    PAYLOAD_DEFAULT = 1 << 20, // a server's, unless it says otherwise
};

#define NS_PER_MS UINT64_C(1000000)

/* The connection, and what is only the thread's. */
struct link {
    const struct nats_library *library;
    const struct publisher_options *options;
    natsConnection *connection; // NULL: there is none
    natsSubscription *claims;
    char snapshot_subject[SUBJECT_SIZE];
    char event_subject[SUBJECT_SIZE];
    char claim_subject[SUBJECT_SIZE];
    uint64_t claim_ns;                  // when to say again that the name is ours
    uint64_t taken_ns;                  // when somebody else last said so; 0: nobody does
    char other_boot[COMPACT_BOOT_SIZE]; // who that was
    pthread_mutex_t lock; // of what follows: the library tells it on a thread of its own
    char says[SAYS_MAX];  // what the server has against something; "": nothing
};

/* Whatever the library has to say of what went wrong, made harmless. */
struct link_why {
    char text[SAYS_MAX];
};

void link_init(struct link *link, const struct nats_library *library,
               const struct publisher_options *options);
void link_done(struct link *link);

/* One try, which takes two seconds at most where names are found at once. */
int link_connect(struct link *link, struct link_why *why) MUST_CHECK;
void link_disconnect(struct link *link);
bool link_is_lost(const struct link *link);
size_t link_max_payload(const struct link *link);
void link_server(const struct link *link, char *ret, size_t room); // for the log

/* Hand it over. -E2BIG: the server does not take as much. -ENOTCONN: it is lost. */
int link_publish(struct link *link, const char *subject, struct span payload) MUST_CHECK;

/* Has the server taken all that was handed over? -ETIME: not within `ms`. -ENOTCONN. */
int link_confirm(struct link *link, unsigned ms) MUST_CHECK;

/* What the server has said against something since the last call; false: nothing. */
bool link_complaint(struct link *link, struct link_why *ret);

/* Say that the name is ours where it is time to, and hear who else says so. */
void link_claim(struct link *link, uint64_t now_ns);
bool link_name_is_taken(const struct link *link);

struct publisher {
    struct publisher_options options;
    struct nats_library library;
    struct link link;
    pthread_t thread;

    /* The loop's. */
    struct compact_writer *writer;
    struct buf written;

    /* The thread's. */
    struct buf sending;
    struct buf event;
    uint64_t told_event;
    unsigned failures; // to connect, one after the other
    uint64_t random;

    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct buf mail;
    bool is_new; // there was a tick, whether or not there is mail of it
    bool has_mail;
    bool mail_is_figures; // else it tells of an outage
    bool stopping;
    bool ended;
    size_t max_payload;
    struct snapshot_nats state;
};

/* The thread, from its begin to its end. */
void *publisher_run(void *publisher);

#endif
