// SPDX-License-Identifier: Apache-2.0
#include "history/historian_parts.h"

#include "base/log.h"

enum {
    BATCH_MOMENTS = 512,
    BATCH_MS = 60 * 1000, // what a crash may take with it
    PAUSE_MS = 4 * 1000,  // after the first error; then twice that, and so on
    PAUSE_MAX_MS = 60 * 1000,
    SETTLED_MS = 4 * 1000, // written without an error: it is well again
    AGAIN_MS = 10 * 60 * 1000,
};

static void close_store(struct disk *disk)
{
    if (!disk->store)
        return;
    store_roll_back(disk->store);
    store_close(TAKE(disk->store));
}

static const char *words_of(int error)
{
    return error == -ESTALE    ? "it is another file now, or gone"
           : error == -EBADMSG ? "it is damaged"
                               : strerror(-error);
}

/* A disk that comes and goes is not told of each time. */
static bool is_news(const struct disk *disk, int error, uint64_t now_ns)
{
    if (error != disk->told)
        return true;
    return !disk->is_in_trouble && now_ns - disk->told_ns >= AGAIN_MS * NS_PER_MS;
}

void disk_fail(struct historian *historian, int error, const char *what)
{
    struct disk *disk = &historian->disk;
    uint64_t now_ns = clock_now_ns();

    disk->errors++;
    disk->written_since_ns = 0;
    if (is_news(disk, error, now_ns)) {
        log_warning("history is kept in memory alone for now: %s%s%s",
                    *what ? "" : historian->options.path, *what ? "" : ": ",
                    *what ? what : words_of(error));
        disk->is_in_trouble = true;
        disk->told = error;
        disk->told_ns = now_ns;
    }
    disk->pause_ms =
        disk->pause_ms ? MIN(2 * disk->pause_ms, (uint64_t)PAUSE_MAX_MS) : PAUSE_MS;
    disk->retry_ns = now_ns + disk->pause_ms * NS_PER_MS;
    close_store(disk); // another may be in its place
    past_reader_seek(disk->reader, disk->written_ns);
}

static void succeed(struct historian *historian)
{
    struct disk *disk = &historian->disk;
    uint64_t now_ns = clock_now_ns();

    disk->pause_ms = 0;
    if (!disk->written_since_ns)
        disk->written_since_ns = now_ns;
    if (!disk->is_in_trouble || now_ns - disk->written_since_ns < SETTLED_MS * NS_PER_MS)
        return;
    log_info("history is kept on disk again: %s%s", historian->options.path,
             disk->lost ? ", but for what memory does not reach back to" : "");
    disk->is_in_trouble = false;
    disk->lost = 0;
}

/*
 * Ids go on from the newest that is there. Where the journal does not know that one, as it
 * could not be read in time, its own began anew: on disk they are so many more.
 */
static void find_written_event(struct historian *historian)
{
    struct disk *disk = &historian->disk;
    uint64_t there = store_newest_event(disk->store);
    struct event newest = {.id = 0};

    (void)journal_copy(historian->options.journal, 0, &newest, 1);
    if (!disk->knows_ids || there < disk->ids_before ||
        there - disk->ids_before > newest.id)
        disk->ids_before = there;
    disk->written_event = there - disk->ids_before;
    disk->knows_ids = true;
}

static int open_store(struct historian *historian)
{
    struct disk *disk = &historian->disk;
    struct complaint complaint = {""};
    int r = store_open(historian->options.path, &historian->options.limits, &disk->store,
                       &complaint);

    if (r < 0) {
        disk_fail(historian, r, complaint.text);
        return r;
    }
    if (*complaint.text)
        log_warning("history: %s", complaint.text);
    find_written_event(historian);
    return 0;
}

/* Is it open, or time to try again? */
static bool is_open(struct historian *historian)
{
    struct disk *disk = &historian->disk;

    if (!disk->is_used || clock_now_ns() < disk->retry_ns)
        return false;
    return disk->store || open_store(historian) == 0;
}

/* Not behind the back of who did not wait: there are other events by then. */
static void restore_events(struct historian *historian, size_t n)
{
    struct disk *disk = &historian->disk;

    (void)pthread_mutex_lock(&historian->lock);
    if (!historian->is_late) {
        journal_restore(historian->options.journal, disk->events, n);
        disk->ids_before = 0;
    }
    (void)pthread_mutex_unlock(&historian->lock);
    find_written_event(historian);
}

void disk_begin(struct historian *historian)
{
    struct disk *disk = &historian->disk;
    ssize_t n;

    if (!is_open(historian))
        return;
    n = store_read_events(disk->store, disk->events, ARRAY_LEN(disk->events));
    if (n < 0) {
        disk_fail(historian, (int)n, "");
        return;
    }
    restore_events(historian, (size_t)n);
}

/* A batch; how many moments it has. */
static ssize_t write_moments(struct historian *historian)
{
    struct disk *disk = &historian->disk;
    const struct past_moment *moment = NULL;
    uint64_t newest_ns = disk->written_ns;
    ssize_t n = 0;
    int r = 0;

    while (r == 0 && n < BATCH_MOMENTS && (moment = past_reader_next(disk->reader))) {
        r = store_add_moment(disk->store, historian->options.past, moment);
        newest_ns = moment->taken_ns;
        n++;
    }
    if (r == 0 && n)
        r = store_commit(disk->store);
    if (r < 0)
        return r;
    disk->written_ns = newest_ns;
    disk->lost += past_reader_missed(disk->reader);
    return n;
}

static int write_events(struct historian *historian)
{
    struct disk *disk = &historian->disk;
    size_t n = journal_copy(historian->options.journal, disk->written_event, disk->events,
                            ARRAY_LEN(disk->events));
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        disk->events[i].id += disk->ids_before;
        r = store_add_event(disk->store, &disk->events[i]);
    }
    if (r == 0 && n)
        r = store_commit(disk->store);
    if (r == 0 && n)
        disk->written_event = disk->events[n - 1].id - disk->ids_before;
    return r;
}

bool disk_is_due(const struct historian *historian)
{
    const struct disk *disk = &historian->disk;
    uint64_t oldest_ns, newest_ns, from_ns;
    struct event event;

    past_span(historian->options.past, &oldest_ns, &newest_ns);
    from_ns = MAX(disk->written_ns, oldest_ns);
    return !disk->store || disk->is_in_trouble ||
           newest_ns >= from_ns + BATCH_MS * NS_PER_MS ||
           newest_ns + oldest_ns >= 2 * from_ns || // half of it
           journal_next(historian->options.journal, disk->written_event, &event);
}

void disk_write(struct historian *historian)
{
    ssize_t n;
    int r;

    historian->disk.tried_ns = clock_now_ns();
    if (!is_open(historian))
        return;
    r = write_events(historian);
    do {
        n = r < 0 ? r : write_moments(historian);
    } while (n == BATCH_MOMENTS);
    if (n < 0)
        disk_fail(historian, (int)n, "");
    else
        succeed(historian);
}

bool disk_trim(struct historian *historian)
{
    int r = historian->disk.store ? store_trim(historian->disk.store, historian_unix_ms())
                                  : 0;

    if (r < 0)
        disk_fail(historian, r, "");
    return r > 0;
}

void disk_end(struct historian *historian)
{
    historian->disk.retry_ns = 0;
    disk_write(historian);
    close_store(&historian->disk);
}
