// SPDX-License-Identifier: Apache-2.0
#include "publish/publisher_parts.h"

#include "base/thread.h"

enum { STACK_BYTES = 256 * 1024 };

/* What the options point at is the publisher's own: a configuration may be replaced. */
static int own_options(struct publisher_options *options)
{
    const char **texts[] = {&options->creds_file, &options->token, &options->ca_file,
                            &options->cert_file, &options->key_file};
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (*texts[i]) {
            *texts[i] = strdup(*texts[i]);
            r = *texts[i] ? r : -ENOMEM;
        }
    for (size_t i = 0; i < options->n_servers; i++) {
        options->servers[i] = strdup(options->servers[i]);
        r = options->servers[i] ? r : -ENOMEM;
    }
    return r;
}

static void free_text(const char *text)
{
    free((void *)(uintptr_t)text);
}

static void free_options(struct publisher_options *options)
{
    if (options->token)
        explicit_bzero((void *)(uintptr_t)options->token, strlen(options->token));
    free_text(options->creds_file);
    free_text(options->token);
    free_text(options->ca_file);
    free_text(options->cert_file);
    free_text(options->key_file);
    for (size_t i = 0; i < options->n_servers; i++)
        free_text(options->servers[i]);
}

static void release(struct publisher *publisher)
{
    free_options(&publisher->options);
    link_done(&publisher->link);
    (void)pthread_cond_destroy(&publisher->changed);
    (void)pthread_mutex_destroy(&publisher->lock);
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
    publisher->told_event = options->told_event;
    publisher->max_payload = PAYLOAD_DEFAULT;
    publisher->state.used = true;
    buf_init(&publisher->written, COMPACT_MAX);
    buf_init(&publisher->mail, COMPACT_MAX);
    buf_init(&publisher->sending, COMPACT_MAX);
    buf_init(&publisher->event, PAYLOAD_DEFAULT);
    thread_init_lock(&publisher->lock, &publisher->changed);
    link_init(&publisher->link, &publisher->library, &publisher->options);
    publisher->writer = calloc(1, sizeof(*publisher->writer));
    if (own_options(&publisher->options) < 0 || !publisher->writer) {
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
    r = nats_library_load(&publisher->library, complaint);
    if (r == 0) {
        r = thread_start(&publisher->thread, STACK_BYTES, publisher_run, publisher);
        if (r < 0)
            (void)complain(complaint, r, "cannot publish: %s", strerror(-r));
    }
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

    (void)pthread_mutex_lock(&publisher->lock);
    max = publisher->max_payload;
    (void)pthread_mutex_unlock(&publisher->lock);
    return max;
}

/* What is in the mailbox gives way to what was written; -E2BIG: to nothing. */
static void put_mail(struct publisher *publisher, int r, bool is_figures)
{
    (void)pthread_mutex_lock(&publisher->lock);
    if (publisher->has_mail && publisher->mail_is_figures)
        publisher->state.skipped++;
    if (r == 0)
        swap(&publisher->written, &publisher->mail);
    else
        publisher->state.too_large += is_figures;
    publisher->is_new = true;
    publisher->has_mail = r == 0;
    publisher->mail_is_figures = is_figures;
    (void)pthread_cond_signal(&publisher->changed);
    (void)pthread_mutex_unlock(&publisher->lock);
}

void publisher_offer(struct publisher *publisher, const struct snapshot *snapshot)
{
    struct compact_head head = publisher->options.identity;
    int r;

    head.unix_ms = snapshot->unix_ms;
    r = compact_write(publisher->writer, &publisher->written, &head, snapshot,
                      &snapshot->self, max_payload(publisher));
    put_mail(publisher, r, true);
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
    (void)pthread_mutex_lock(&publisher->lock);
    state = publisher->state;
    (void)pthread_mutex_unlock(&publisher->lock);
    return state;
}

void publisher_stop(struct publisher *publisher)
{
    if (!publisher)
        return;
    (void)pthread_mutex_lock(&publisher->lock);
    publisher->stopping = true;
    (void)pthread_cond_signal(&publisher->changed);
    (void)pthread_mutex_unlock(&publisher->lock);
}

bool publisher_ended(struct publisher *publisher)
{
    bool ended;

    if (!publisher)
        return true;
    (void)pthread_mutex_lock(&publisher->lock);
    ended = publisher->ended;
    (void)pthread_mutex_unlock(&publisher->lock);
    return ended;
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    (void)pthread_join(publisher->thread, NULL);
    release(publisher);
}
