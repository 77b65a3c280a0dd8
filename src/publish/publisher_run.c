// SPDX-License-Identifier: Apache-2.0
#include "publish/publisher_parts.h"

#include "base/confine.h"
#include "base/log.h"
#include "encode/event_list.h"
#include "encode/json.h"

#include <signal.h>
#include <sys/random.h>
#include <time.h>

enum {
    WAIT_MIN_MS = 250,   // before the second try to connect
    WAIT_MAX_MS = 30000, // between two
    LOOK_MS = 5000,      // at claims, where there is nothing else to do
    CONFIRM_MS = 250,    // how often it is seen that we are to stop
    STALLED_MS = 10000,  // a server that takes nothing for so long is left
    EVENTS_AT_ONCE = 16,
    END_MS = 1000, // for the library's threads
};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

/* Of this thread, and of those that the library will start from it. */
static bool give_up_rights(const struct publisher_options *options)
{
    static const struct confine_options rights = {
        .rights = CONFINE_DROP,
        .families = CONFINE_UNIX | CONFINE_INET,
        .this_thread = true,
    };
    struct complaint complaint = {""};
    int r = options->confine ? confine(&rights, &complaint) : 0;

    if (r < 0)
        log_warning("nats: %s; nothing is published. --no-confine goes without",
                    complaint.text);
    return r >= 0;
}

static void block_signals(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
}

/* With the lock held. False: we are to stop. */
static bool wait_until(struct publisher *publisher, uint64_t until_ns, bool for_news)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / (1000 * NS_PER_MS)),
                             .tv_nsec = (long)(until_ns % (1000 * NS_PER_MS))};
    int error = 0;

    while (!publisher->stopping && !(for_news && publisher->is_new) && !error)
        error = pthread_cond_timedwait(&publisher->changed, &publisher->lock, &until);
    return !publisher->stopping;
}

static bool is_stopping(struct publisher *publisher)
{
    bool stopping;

    (void)pthread_mutex_lock(&publisher->lock);
    stopping = publisher->stopping;
    (void)pthread_mutex_unlock(&publisher->lock);
    return stopping;
}

/* Twice as long after each failure; the half of it is chance, so that not all come at once. */
static uint64_t wait_ms(struct publisher *publisher)
{
    unsigned doublings = MIN(publisher->failures, 8U);
    uint64_t most = MIN((uint64_t)WAIT_MIN_MS << doublings, (uint64_t)WAIT_MAX_MS);

    publisher->random ^= publisher->random << 13;
    publisher->random ^= publisher->random >> 7;
    publisher->random ^= publisher->random << 17;
    return most / 2 + publisher->random % (most / 2 + 1);
}

static void note_connected(struct publisher *publisher, bool connected)
{
    (void)pthread_mutex_lock(&publisher->lock);
    publisher->state.connected = connected;
    if (connected)
        publisher->max_payload = link_max_payload(&publisher->link);
    (void)pthread_mutex_unlock(&publisher->lock);
}

static void lose(struct publisher *publisher, const char *why)
{
    log_warning("nats: the connection is lost: %s; trying again", why);
    link_disconnect(&publisher->link);
    note_connected(publisher, false);
    publisher->failures++; // a server that ends each connection is not to be rushed at
}

/* Not at once after a connection, either: one may be ended as soon as it is there. */
static void try_to_connect(struct publisher *publisher, bool *ever)
{
    struct link_why why = {""};
    char server[SAYS_MAX];

    if (link_connect(&publisher->link, &why) < 0) {
        if (publisher->failures++ == 0)
            log_warning("nats: cannot connect: %s; trying again", why.text);
        return;
    }
    note_connected(publisher, true);
    if (*ever) {
        (void)pthread_mutex_lock(&publisher->lock);
        publisher->state.reconnects++;
        (void)pthread_mutex_unlock(&publisher->lock);
    }
    *ever = true;
    link_server(&publisher->link, server, sizeof(server));
    log_info("nats: publishing to %s as node '%s'", server,
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

/* They are not noted as told before the server has taken them. */
static int send_events(struct publisher *publisher, uint64_t *told, size_t *n)
{
    struct event event;

    *told = publisher->told_event;
    for (*n = 0;
         *n < EVENTS_AT_ONCE && journal_next(publisher->options.journal, *told, &event);
         ++*n) {
        int r;

        write_event(publisher, &event);
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
        if (is_stopping(publisher))
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

    (void)pthread_mutex_lock(&publisher->lock);
    has_mail = publisher->has_mail;
    is_figures = publisher->mail_is_figures;
    if (has_mail) {
        struct buf mail = publisher->mail;

        publisher->mail = publisher->sending;
        publisher->sending = mail;
    }
    publisher->has_mail = publisher->is_new = false;
    (void)pthread_mutex_unlock(&publisher->lock);
    if (!has_mail)
        return 0;
    r = link_publish(&publisher->link, publisher->link.snapshot_subject,
                     buf_span(&publisher->sending));
    if (r == -E2BIG && is_figures) {
        (void)pthread_mutex_lock(&publisher->lock);
        publisher->state.too_large++;
        (void)pthread_mutex_unlock(&publisher->lock);
    }
    return r == -ENOTCONN ? r : r == 0 && is_figures;
}

static void note_sent(struct publisher *publisher, int snapshots, size_t events)
{
    struct link_why why;

    if (link_complaint(&publisher->link, &why))
        log_warning("nats: the server says: %s", why.text);
    (void)pthread_mutex_lock(&publisher->lock);
    publisher->state.published += (uint64_t)snapshots;
    publisher->state.events += events;
    publisher->state.name_taken = link_name_is_taken(&publisher->link);
    (void)pthread_mutex_unlock(&publisher->lock);
}

/* Tell what is new. Negative: the connection is of no more use. */
static int send_all(struct publisher *publisher)
{
    uint64_t told;
    size_t events;
    int snapshots = 0, r;

    link_claim(&publisher->link, now_ns());
    r = send_events(publisher, &told, &events);
    if (r == 0)
        r = snapshots = send_mail(publisher);
    if (r >= 0)
        r = confirm(publisher);
    if (r < 0)
        return r;
    publisher->told_event = told;
    publisher->failures = 0;
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

static void run_until_stopped(struct publisher *publisher)
{
    bool ever = false, told_of_size = false, go_on = true;

    while (go_on) {
        uint64_t until_ns = now_ns() + LOOK_MS * NS_PER_MS;
        int r = 0;

        if (!publisher->link.connection)
            try_to_connect(publisher, &ever);
        if (publisher->link.connection)
            r = send_all(publisher);
        if (r < 0 && r != -ECANCELED) {
            struct link_why why = {""};

            if (!link_complaint(&publisher->link, &why))
                (void)strncpy(why.text,
                              r == -ETIME ? "the server takes nothing" : "it was closed",
                              sizeof(why.text) - 1);
            lose(publisher, why.text);
        }
        if (!publisher->link.connection)
            until_ns = now_ns() + wait_ms(publisher) * NS_PER_MS;
        else
            tell_of_size(publisher, &told_of_size);
        (void)pthread_mutex_lock(&publisher->lock);
        go_on = wait_until(publisher, until_ns, publisher->link.connection != NULL);
        (void)pthread_mutex_unlock(&publisher->lock);
    }
}

void *publisher_run(void *ctx)
{
    struct publisher *publisher = ctx;

    (void)pthread_setname_np(pthread_self(), "publisher");
    block_signals();
    if (getrandom(&publisher->random, sizeof(publisher->random), GRND_NONBLOCK) < 0 ||
        publisher->random == 0)
        publisher->random = now_ns() | 1;
    if (give_up_rights(&publisher->options)) {
        run_until_stopped(publisher);
        link_disconnect(&publisher->link);
        (void)publisher->library.nats_CloseAndWait(END_MS); // the process ends anyway
    }
    (void)pthread_mutex_lock(&publisher->lock);
    publisher->ended = true;
    (void)pthread_mutex_unlock(&publisher->lock);
    return NULL;
}
