// SPDX-License-Identifier: Apache-2.0
#include "serve/metrics_page.h"

#include "version.h"

#include <pthread.h>

struct metrics_page {
    struct frame_pool *frames;
    pthread_mutex_t lock; // of all below
    struct metrics_writer writer;
    const struct snapshot *snapshot;    // lent; NULL in an outage
    const struct snapshot_fleet *fleet; // likewise, of a gateway in an outage; else NULL
    struct snapshot_self self;
    bool has_self;
    uint64_t sample_unix_ms;
    struct frame *made[METRICS_FORMATS]; // of what was published last; NULL: not yet
};

static void lock(struct metrics_page *page)
{
    (void)pthread_mutex_lock(&page->lock);
}

static void unlock(struct metrics_page *page)
{
    (void)pthread_mutex_unlock(&page->lock);
}

int metrics_page_new(bool fleet, struct metrics_page **ret)
{
    struct metrics_page *page = calloc(1, sizeof(*page));
    int r;

    if (!page)
        return -ENOMEM;
    (void)pthread_mutex_init(&page->lock, NULL); // cannot fail
    metrics_writer_init(&page->writer);
    r = frame_pool_new(fleet ? FLEET_METRICS_MAX : METRICS_MAX, &page->frames);
    if (r < 0) {
        metrics_page_free(page);
        return r;
    }
    *ret = page;
    return 0;
}

/* They are of the past. */
static void forget(struct metrics_page *page)
{
    for (size_t i = 0; i < METRICS_FORMATS; i++) {
        frame_unref(page->made[i]);
        page->made[i] = NULL;
    }
}

void metrics_page_free(struct metrics_page *page)
{
    if (!page)
        return;
    forget(page);
    frame_pool_free(page->frames);
    metrics_writer_done(&page->writer);
    (void)pthread_mutex_destroy(&page->lock);
    free(page);
}

void metrics_page_publish(struct metrics_page *page, const struct snapshot *snapshot)
{
    lock(page);
    forget(page);
    page->snapshot = snapshot;
    page->fleet = NULL;
    page->sample_unix_ms = snapshot->unix_ms;
    unlock(page);
}

void metrics_page_publish_outage(struct metrics_page *page,
                                 const struct snapshot_fleet *fleet)
{
    lock(page);
    forget(page);
    page->snapshot = NULL;
    page->fleet = fleet;
    unlock(page);
}

void metrics_page_tell_self(struct metrics_page *page, const struct snapshot_self *self)
{
    lock(page);
    page->self = *self;
    page->has_self = true;
    unlock(page);
}

/* Under the lock. */
static int make(struct metrics_page *page, enum metrics_format format)
{
    const struct metrics_facts facts = {.version = VRAMSCOPE_VERSION,
                                        .snapshot = page->snapshot,
                                        .self = page->has_self ? &page->self : NULL,
                                        .fleet = page->fleet,
                                        .sample_unix_ms = page->sample_unix_ms};
    struct frame *frame = frame_new(page->frames);
    int r;

    if (!frame)
        return -ENOMEM;
    metrics_write(&page->writer, frame_text(frame), &facts, format);
    r = frame_seal(frame);
    if (r < 0)
        frame_unref(frame);
    else
        page->made[format] = frame;
    return r;
}

int metrics_page_get(struct metrics_page *page, enum metrics_format format,
                     struct frame **ret)
{
    int r = 0;

    lock(page);
    if (!page->made[format])
        r = make(page, format);
    if (r == 0)
        *ret = frame_ref(page->made[format]);
    unlock(page);
    return r;
}
