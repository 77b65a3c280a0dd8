// SPDX-License-Identifier: Apache-2.0
#include "publish/publisher_parts.h"

static void release(struct publisher *publisher)
{
    connection_options_free(&publisher->options.connection);
    link_done(&publisher->link);
    connection_thread_done(&publisher->thread);
    buf_done(&publisher->written);
    buf_done(&publisher->mail);
    buf_done(&publisher->sending);
    buf_done(&publisher->event);
    free(publisher->writer);
    free(publisher);
}

static struct publisher *new_publisher(const struct publisher_options *options)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));

    if (!publisher)
        return NULL;
    publisher->options = *options;
    publisher->told_event = publisher->sent_event = options->told_event;
    publisher->max_payload = PAYLOAD_DEFAULT;
    publisher->state.used = true;
    buf_init(&publisher->written, COMPACT_MAX);
    buf_init(&publisher->mail, COMPACT_MAX);
    buf_init(&publisher->sending, COMPACT_MAX);
    buf_init(&publisher->event, PAYLOAD_DEFAULT);
    publisher->thread.name = "publisher";
    publisher->thread.confine = options->confine;
    publisher->thread.run = publisher_run;
    publisher->thread.ctx = publisher;
    connection_thread_init(&publisher->thread);
    link_init(&publisher->link, &publisher->thread.library, &publisher->options);
    publisher->options.prefix = NULL; // is in the subjects now
    publisher->writer = calloc(1, sizeof(*publisher->writer));
    if (connection_options_own(&publisher->options.connection) < 0 ||
        !publisher->writer) {
        release(publisher);
        return NULL;
    }
    return publisher;
}

int publisher_new(const struct publisher_options *options, struct publisher **ret,
                  struct complaint *complaint)
{
    struct publisher *publisher = new_publisher(options);
    int r;

    if (!publisher)
        return complain(complaint, -ENOMEM, "out of memory");
    r = connection_thread_start(&publisher->thread, complaint);
    if (r < 0) {
        release(publisher);
        return r;
    }
    *ret = publisher;
    return 0;
}

static void swap(struct buf *a, struct buf *b)
{
    struct buf c = *a;

    *a = *b;
    *b = c;
}

static size_t max_payload(struct publisher *publisher)
{
    size_t max;

    (void)pthread_mutex_lock(&publisher->thread.lock);
    max = publisher->max_payload;
    (void)pthread_mutex_unlock(&publisher->thread.lock);
    return max;
}

/*
 * What is in the mailbox gives way to what was written; -E2BIG, or -ENOMEM this once: to
 * nothing.
 */
static void put_mail(struct publisher *publisher, int r, bool is_figures)
{
    (void)pthread_mutex_lock(&publisher->thread.lock);
    if (publisher->has_mail && publisher->mail_is_figures)
        publisher->state.skipped++;
    if (r == 0)
        swap(&publisher->written, &publisher->mail);
    else if (r == -E2BIG)
        publisher->state.too_large += is_figures;
    else
        publisher->state.skipped += is_figures;
    publisher->is_new = true;
    publisher->has_mail = r == 0;
    publisher->mail_is_figures = is_figures;
    (void)pthread_cond_signal(&publisher->thread.changed);
    (void)pthread_mutex_unlock(&publisher->thread.lock);
}

void publisher_offer(struct publisher *publisher, const struct snapshot *snapshot)
{
    struct compact_head head = publisher->options.identity;
    int r;

    head.unix_ms = snapshot->unix_ms;
    if (snapshot->fleet) {
        head.nodes = snapshot->fleet->n_counted;
        head.gpus = snapshot->fleet->n_devices;
    }
    r = compact_write(publisher->writer, &publisher->written, &head, snapshot,
                      &snapshot->self, max_payload(publisher));
    put_mail(publisher, r, true);
}

void publisher_tell_via(struct publisher *publisher, const struct fleet_via *via)
{
    publisher->options.identity.via = *via;
}

static void copy(char *dst, size_t room, const char *src)
{
    size_t len = strnlen(src, room - 1);

    memcpy(dst, src, len);
    dst[len] = '\0';
}

void publisher_offer_outage(struct publisher *publisher, const char *code,
                            const char *reason, const struct snapshot_self *self,
                            uint64_t unix_ms)
{
    struct compact_head head = publisher->options.identity;
    int r;

    head.unix_ms = unix_ms;
    copy(head.outage_code, sizeof(head.outage_code), code);
    copy(head.outage_reason, sizeof(head.outage_reason), reason);
    r = compact_write(publisher->writer, &publisher->written, &head, NULL, self,
                      max_payload(publisher));
    put_mail(publisher, r, false);
}

struct snapshot_nats publisher_state(struct publisher *publisher)
{
    struct snapshot_nats state = {0};

    if (!publisher)
        return state;
    (void)pthread_mutex_lock(&publisher->thread.lock);
    state = publisher->state;
    (void)pthread_mutex_unlock(&publisher->thread.lock);
    return state;
}

void publisher_stop(struct publisher *publisher)
{
    if (publisher)
        connection_thread_stop(&publisher->thread);
}

bool publisher_ended(struct publisher *publisher)
{
    return !publisher || connection_thread_ended(&publisher->thread);
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    connection_thread_join(&publisher->thread);
    release(publisher);
}
