// SPDX-License-Identifier: Apache-2.0
#include "publish/publisher_parts.h"

#include "base/log.h"
#include "encode/event_list.h"
#include "encode/json.h"

enum {
    LOOK_MS = 5000,     // at claims, where there is nothing else to do
    CONFIRM_MS = 250,   // how often it is seen that we are to stop
    STALLED_MS = 10000, // a server that takes nothing for so long is left
    EVENTS_AT_ONCE = 16,
};

static void note_connected(struct publisher *publisher, bool connected)
{
    (void)pthread_mutex_lock(&publisher->thread.lock);
    publisher->state.connected = connected;
    if (connected)
        publisher->max_payload = link_max_payload(&publisher->link);
    (void)pthread_mutex_unlock(&publisher->thread.lock);
}

static void lose(struct publisher *publisher, const char *why)
{
    log_warning("nats: the connection is lost: %s; trying again", why);
    connection_close(&publisher->link.connection);
    publisher->sent_event = publisher->told_event;
    note_connected(publisher, false);
}

static void try_to_connect(struct publisher *publisher, bool *ever)
{
    struct connection *connection = &publisher->link.connection;
    struct connection_text why = {""};

    if (link_connect(&publisher->link, &why) < 0) {
        if (connection->failures == 0)
            log_warning("nats: cannot connect: %s; trying again", why.text);
        return;
    }
    note_connected(publisher, true);
    if (*ever) {
        (void)pthread_mutex_lock(&publisher->thread.lock);
        publisher->state.reconnects++;
        (void)pthread_mutex_unlock(&publisher->thread.lock);
    }
    *ever = true;
    log_info("nats: publishing to %s as node '%s'", connection_server(connection).text,
             publisher->options.identity.node);
}

/* {"boot":"...","events":[{...}]}, as GET /v1/events has it. */
static void write_event(struct publisher *publisher, const struct event *event)
{
    struct buf *out = &publisher->event;

    buf_clear(out);
    buf_add_str(out, "{\"boot\":");
    json_quote(out, publisher->options.identity.boot);
    buf_add_str(out, ",\"events\":");
    event_list_write(out, event, 1);
    buf_add_str(out, "}\n");
}

/*
 * They are not noted as told before the server has taken them. One for which there is no
 * memory waits; one that is too large would do so for ever.
 */
static int send_events(struct publisher *publisher, uint64_t *told, size_t *n)
{
    struct event event;

    *told = publisher->sent_event;
    for (*n = 0;
         *n < EVENTS_AT_ONCE && journal_next(publisher->options.journal, *told, &event);
         ++*n) {
        int r;

        write_event(publisher, &event);
        if (publisher->event.error == -ENOMEM)
            break;
        r = publisher->event.error
                ? publisher->event.error
                : link_publish(&publisher->link, publisher->link.event_subject,
                               buf_span(&publisher->event));
        if (r == -ENOTCONN)
            return r;
        *told = event.id;
    }
    return 0;
}

/* A server that has stopped to read holds up nobody but this thread. */
static int confirm(struct publisher *publisher)
{
    int r = -ETIME;

    for (unsigned ms = 0; r == -ETIME && ms < STALLED_MS; ms += CONFIRM_MS) {
        if (connection_thread_is_stopping(&publisher->thread))
            return -ECANCELED;
        r = link_confirm(&publisher->link, CONFIRM_MS);
    }
    return r;
}

/* 1: a snapshot; 0: something else, or nothing that the server takes. */
static int send_mail(struct publisher *publisher)
{
    bool has_mail, is_figures;
    int r;

    (void)pthread_mutex_lock(&publisher->thread.lock);
    has_mail = publisher->has_mail;
    is_figures = publisher->mail_is_figures;
    if (has_mail) {
        struct buf mail = publisher->mail;

        publisher->mail = publisher->sending;
        publisher->sending = mail;
    }
    publisher->has_mail = publisher->is_new = false;
    (void)pthread_mutex_unlock(&publisher->thread.lock);
    if (!has_mail)
        return 0;
    r = link_publish(&publisher->link, publisher->link.snapshot_subject,
                     buf_span(&publisher->sending));
    if (r == -E2BIG && is_figures) {
        (void)pthread_mutex_lock(&publisher->thread.lock);
        publisher->state.too_large++;
        (void)pthread_mutex_unlock(&publisher->thread.lock);
    }
    return r == -ENOTCONN ? r : r == 0 && is_figures;
}

static void note_sent(struct publisher *publisher, int snapshots, size_t events)
{
    struct connection_text why;

    if (connection_complaint(&publisher->link.connection, &why))
        log_warning("nats: the server says: %s", why.text);
    (void)pthread_mutex_lock(&publisher->thread.lock);
    publisher->state.published += (uint64_t)snapshots;
    publisher->state.events += events;
    publisher->state.name_taken = link_name_is_taken(&publisher->link);
    (void)pthread_mutex_unlock(&publisher->thread.lock);
}

/*
 * Tell what is new. Negative: the connection is of no more use. The library (3.4) confirms
 * what it could not send, too, when the connection breaks just then: events count as told
 * when it still stands a tick later.
 */
static int send_all(struct publisher *publisher)
{
    uint64_t told;
    size_t events;
    int snapshots = 0, r;

    if (connection_is_lost(&publisher->link.connection))
        return -ENOTCONN;
    publisher->told_event = publisher->sent_event;
    link_claim(&publisher->link, clock_now_ns());
    r = send_events(publisher, &told, &events);
    if (r == 0)
        r = snapshots = send_mail(publisher);
    if (r >= 0)
        r = confirm(publisher);
    if (r < 0)
        return r;
    publisher->sent_event = told;
    connection_is_of_use(&publisher->link.connection);
    note_sent(publisher, snapshots, events);
    return 0;
}

static void tell_of_size(struct publisher *publisher, bool *told)
{
    bool too_large = publisher_state(publisher).too_large > 0;

    if (too_large && !*told)
        log_warning("nats: a snapshot is more than the %zu bytes that the server takes, "
                    "even without its models: raise its max_payload",
                    link_max_payload(&publisher->link));
    *told = too_large;
}

static void lose_by(struct publisher *publisher, int r)
{
    struct connection_text why;

    if (connection_why_lost(&publisher->link.connection, &why))
        lose(publisher, why.text);
    else
        lose(publisher, r == -ETIME ? "the server takes nothing" : "it was closed");
}

void publisher_run(void *ctx)
{
    struct publisher *publisher = ctx;
    struct connection *connection = &publisher->link.connection;
    bool ever = false, told_of_size = false, go_on = true;

    while (go_on) {
        uint64_t until_ns = clock_now_ns() + LOOK_MS * NS_PER_MS;
        int r = 0;

        if (!connection->nats)
            try_to_connect(publisher, &ever);
        if (connection->nats)
            r = send_all(publisher);
        if (r < 0 && r != -ECANCELED)
            lose_by(publisher, r);
        if (!connection->nats)
            until_ns = clock_now_ns() + connection_wait_ms(connection) * NS_PER_MS;
        else
            tell_of_size(publisher, &told_of_size);
        (void)pthread_mutex_lock(&publisher->thread.lock);
        go_on = connection_thread_wait(&publisher->thread, until_ns,
                                       connection->nats ? &publisher->is_new : NULL);
        (void)pthread_mutex_unlock(&publisher->thread.lock);
    }
    connection_close(&publisher->link.connection);
}
