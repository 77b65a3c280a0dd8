// SPDX-License-Identifier: Apache-2.0
#include "publish/subscriber.h"

#include "base/log.h"
#include "publish/connection_parts.h"
#include "publish/subject.h"

#include <stdio.h>

/*
 * What waits to be taken: of 1,000 nodes 10 seconds, of as many as there may be the
 * largest burst. What is older is not worth its memory.
 */
enum {
    WAITING_MAX = 65536,
    WAITING_BYTES_MAX = 64 << 20,
    LOOK_MS = 250,    // between two looks at how it goes, and whether we are to stop
    OF_USE_MS = 5000, // a connection that has stood for so long was no failure
    QUIET_MS = 60000, // without a loss, before the next is told
};

struct subscriber {
    struct subscriber_options options;
    struct connection connection;
    struct connection_thread thread;

    /* The thread's. */
    char prefix[SUBJECT_PREFIX_SIZE];
    uint64_t opened_ns;
    uint64_t look_ns;        // when to look next
    uint64_t missed_ns;      // when that last rose; 0: never
    uint64_t dropped;        // by the library, of this connection
    bool ever;               // there was a connection
    struct fleet_link heard; // that the state lacks

    /* Under the thread's lock. */
    struct fleet_link state;
};

static void hand_in(struct subscriber *subscriber, natsMsg *message)
{
    const struct nats_library *nats = &subscriber->thread.library;
    struct span bytes = {nats->natsMsg_GetData(message),
                         (size_t)nats->natsMsg_GetDataLength(message)};
    struct span node;

    subscriber->heard.messages++;
    subscriber->heard.bytes += bytes.len;
    if (subject_read_node(subscriber->prefix, nats->natsMsg_GetSubject(message), &node))
        subscriber->options.take(subscriber->options.ctx, node, bytes);
    else
        subscriber->heard.malformed++;
}

/* Told when it begins: a reader that is too slow mostly stays so. */
static void count_missed(struct subscriber *subscriber, uint64_t now_ns)
{
    int64_t dropped = 0;
    natsStatus s = subscriber->thread.library.natsSubscription_GetDropped(
        subscriber->connection.subscription, &dropped);
    uint64_t more = s == NATS_OK && (uint64_t)dropped > subscriber->dropped
                        ? (uint64_t)dropped - subscriber->dropped
                        : 0;

    if (more == 0)
        return;
    if (subscriber->missed_ns == 0 ||
        now_ns - subscriber->missed_ns > QUIET_MS * NS_PER_MS)
        log_warning("nats: more comes than is taken: messages of nodes are lost");
    subscriber->missed_ns = now_ns;
    subscriber->dropped += more;
    subscriber->heard.missed += more;
}

static void tell_state(struct subscriber *subscriber)
{
    struct fleet_link *heard = &subscriber->heard, *state = &subscriber->state;

    (void)pthread_mutex_lock(&subscriber->thread.lock);
    state->connected = subscriber->connection.nats != NULL;
    state->reconnects += heard->reconnects;
    state->messages += heard->messages;
    state->bytes += heard->bytes;
    state->malformed += heard->malformed;
    state->missed += heard->missed;
    (void)pthread_mutex_unlock(&subscriber->thread.lock);
    *heard = (struct fleet_link){0};
}

static void look(struct subscriber *subscriber, uint64_t now_ns)
{
    struct connection_text why;

    count_missed(subscriber, now_ns);
    if (!connection_is_lost(&subscriber->connection) &&
        connection_complaint(&subscriber->connection, &why))
        log_warning("nats: the server says: %s", why.text);
    if (now_ns - subscriber->opened_ns > OF_USE_MS * NS_PER_MS)
        connection_is_of_use(&subscriber->connection);
    tell_state(subscriber);
    subscriber->look_ns = now_ns + LOOK_MS * NS_PER_MS;
}

static int try_to_connect(struct subscriber *subscriber, struct connection_text *why)
{
    char subject[SUBJECT_SIZE];
    int r = connection_open(&subscriber->connection, why);

    subject_make(subject, subscriber->prefix, "*", "snapshot");
    if (r == 0)
        r = connection_subscribe(&subscriber->connection, subject, WAITING_MAX,
                                 WAITING_BYTES_MAX, why);
    return r;
}

static void begin(struct subscriber *subscriber)
{
    subscriber->heard.reconnects += subscriber->ever;
    subscriber->ever = true;
    subscriber->dropped = 0;
    subscriber->opened_ns = subscriber->look_ns = clock_now_ns();
    tell_state(subscriber);
    log_info("nats: listening to the nodes of '%s' at %s", subscriber->prefix,
             connection_server(&subscriber->connection).text);
}

/* Hand in what comes. The library says once that it has dropped something: go on. */
static void hear(struct subscriber *subscriber)
{
    const struct nats_library *nats = &subscriber->thread.library;
    natsStatus s = NATS_OK;

    while ((s == NATS_OK || s == NATS_TIMEOUT || s == NATS_SLOW_CONSUMER) &&
           !connection_thread_is_stopping(&subscriber->thread)) {
        natsMsg *message = NULL;
        uint64_t now_ns;

        s = nats->natsSubscription_NextMsg(&message, subscriber->connection.subscription,
                                           LOOK_MS);
        if (s == NATS_OK) {
            hand_in(subscriber, message);
            nats->natsMsg_Destroy(message);
            connection_is_of_use(&subscriber->connection);
        }
        now_ns = clock_now_ns();
        if (now_ns >= subscriber->look_ns)
            look(subscriber, now_ns);
    }
    count_missed(subscriber, clock_now_ns());
}

static void lose(struct subscriber *subscriber)
{
    struct connection_text why = {"it was closed"};

    if (connection_thread_is_stopping(&subscriber->thread))
        return;
    (void)connection_why_lost(&subscriber->connection, &why);
    log_warning("nats: the connection is lost: %s; trying again", why.text);
}

static void run(void *ctx)
{
    struct subscriber *subscriber = ctx;
    struct connection *connection = &subscriber->connection;
    struct connection_text why;
    bool go_on = true;

    while (go_on) {
        if (try_to_connect(subscriber, &why) == 0) {
            begin(subscriber);
            hear(subscriber);
            lose(subscriber);
            connection_close(connection);
            tell_state(subscriber);
        } else if (connection->failures == 0) {
            log_warning("nats: cannot connect: %s; trying again", why.text);
        }
        (void)pthread_mutex_lock(&subscriber->thread.lock);
        go_on = connection_thread_wait(
            &subscriber->thread,
            clock_now_ns() + connection_wait_ms(connection) * NS_PER_MS, NULL);
        (void)pthread_mutex_unlock(&subscriber->thread.lock);
    }
}

static void release(struct subscriber *subscriber)
{
    connection_options_free(&subscriber->options.connection);
    connection_done(&subscriber->connection);
    connection_thread_done(&subscriber->thread);
    free(subscriber);
}

int subscriber_new(const struct subscriber_options *options, struct subscriber **ret,
                   struct complaint *complaint)
{
    struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
    int r;

    if (!subscriber)
        return complain(complaint, -ENOMEM, "out of memory");
    subscriber->options = *options;
    subscriber->options.prefix = NULL; // is kept below
    (void)snprintf(subscriber->prefix, sizeof(subscriber->prefix), "%s", options->prefix);
    subscriber->thread.name = "subscriber";
    subscriber->thread.confine = options->confine;
    subscriber->thread.run = run;
    subscriber->thread.ctx = subscriber;
    connection_thread_init(&subscriber->thread);
    connection_init(&subscriber->connection, &subscriber->thread.library,
                    &subscriber->options.connection);
    r = connection_options_own(&subscriber->options.connection);
    if (r < 0)
        (void)complain(complaint, r, "out of memory");
    else
        r = connection_thread_start(&subscriber->thread, complaint);
    if (r < 0)
        release(subscriber);
    else
        *ret = subscriber;
    return r;
}

struct fleet_link subscriber_state(struct subscriber *subscriber)
{
    struct fleet_link state;

    (void)pthread_mutex_lock(&subscriber->thread.lock);
    state = subscriber->state;
    (void)pthread_mutex_unlock(&subscriber->thread.lock);
    return state;
}

void subscriber_stop(struct subscriber *subscriber)
{
    if (subscriber)
        connection_thread_stop(&subscriber->thread);
}

bool subscriber_ended(struct subscriber *subscriber)
{
    return !subscriber || connection_thread_ended(&subscriber->thread);
}

void subscriber_free(struct subscriber *subscriber)
{
    if (!subscriber)
        return;
    connection_thread_join(&subscriber->thread);
    release(subscriber);
}
