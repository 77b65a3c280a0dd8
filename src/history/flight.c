// SPDX-License-Identifier: Apache-2.0
#include "history/flight.h"

#include "history/flight_folder.h"
#include "history/flight_tape.h"
#include "recording/recording_gzip.h"
#include "recording/recording_line.h"

#include <assert.h>
#include <pthread.h>

/* What stands before an entry's id and text among those that are pending. */
struct head {
    enum recording_kind kind;
    uint32_t id_len, text_len;
    int64_t unix_ms;
    uint64_t skipped;
};

/* Entries that have come in, one behind the other. */
struct pending {
    size_t len;
    uint64_t skipped; // for which there was no room, since the last one that is there
    int64_t skipped_ms;
    char bytes[FLIGHT_PENDING_BYTES];
};

struct alarm {
    bool raised;
    enum event_kind kind; // the first one's
    int64_t unix_ms;
};

struct flight {
    pthread_mutex_t lock; // of these two
    struct pending *pending;
    struct alarm alarm;

    struct pending *taken; // all else is of the thread that works
    struct flight_tape *tape;
    struct flight_folder *folder;
    struct buf line;
    bool has_written;
    int64_t written_ms; // or tried to
};

static void lock(struct flight *flight)
{
    (void)pthread_mutex_lock(&flight->lock);
}

static void unlock(struct flight *flight)
{
    (void)pthread_mutex_unlock(&flight->lock);
}

int flight_new(const char *folder, struct flight **ret)
{
    struct flight *flight = calloc(1, sizeof(*flight));
    int r;

    if (!flight)
        return -ENOMEM;
    (void)pthread_mutex_init(&flight->lock, NULL); // cannot fail
    buf_init(&flight->line, RECORDING_LINE_MAX);
    flight->pending = calloc(1, sizeof(*flight->pending));
    flight->taken = calloc(1, sizeof(*flight->taken));
    r = flight->pending && flight->taken ? flight_tape_new(&flight->tape) : -ENOMEM;
    if (r == 0)
        r = flight_folder_open(folder, &flight->folder);
    if (r < 0) {
        flight_free(flight);
        return r;
    }
    *ret = flight;
    return 0;
}

void flight_free(struct flight *flight)
{
    if (!flight)
        return;
    flight_folder_close(flight->folder);
    flight_tape_free(flight->tape);
    free(flight->pending);
    free(flight->taken);
    buf_done(&flight->line);
    (void)pthread_mutex_destroy(&flight->lock);
    free(flight);
}

static void put_bytes(struct pending *pending, const void *bytes, size_t len)
{
    assert(len <= FLIGHT_PENDING_BYTES - pending->len);
    if (len > 0)
        memcpy(pending->bytes + pending->len, bytes, len);
    pending->len += len;
}

static void put_skipped(struct pending *pending)
{
    const struct head head = {.kind = RECORDING_SKIPPED,
                              .unix_ms = pending->skipped_ms,
                              .skipped = pending->skipped};

    put_bytes(pending, &head, sizeof(head));
    pending->skipped = 0;
}

/* There is always room left for the number of those that there was none for. */
static void put_entry(struct pending *pending, const struct recording_entry *entry)
{
    size_t room = FLIGHT_PENDING_BYTES - pending->len;

    if (entry->id.len > room || entry->text.len > room ||
        3 * sizeof(struct head) + entry->id.len + entry->text.len > room) {
        pending->skipped++;
        pending->skipped_ms = entry->unix_ms;
        return;
    }
    if (pending->skipped)
        put_skipped(pending);
    put_bytes(pending,
              &(struct head){.kind = entry->kind,
                             .id_len = (uint32_t)entry->id.len,
                             .text_len = (uint32_t)entry->text.len,
                             .unix_ms = entry->unix_ms},
              sizeof(struct head));
    put_bytes(pending, entry->id.at, entry->id.len);
    put_bytes(pending, entry->text.at, entry->text.len);
}

static void add(struct flight *flight, const struct recording_entry *entry)
{
    lock(flight);
    put_entry(flight->pending, entry);
    unlock(flight);
}

void flight_add(struct flight *flight, int64_t unix_ms, struct span id,
                struct span document)
{
    add(flight,
        &(struct recording_entry){
            .kind = RECORDING_DETAIL, .unix_ms = unix_ms, .id = id, .text = document});
}

void flight_add_outage(struct flight *flight, int64_t unix_ms, const char *reason)
{
    add(flight, &(struct recording_entry){.kind = RECORDING_NO_DATA,
                                          .unix_ms = unix_ms,
                                          .text = span_of(reason)});
}

void flight_alarm(struct flight *flight, enum event_kind kind, int64_t unix_ms)
{
    lock(flight);
    if (!flight->alarm.raised)
        flight->alarm = (struct alarm){true, kind, unix_ms};
    unlock(flight);
}

/* Those that have come in, and room for more. */
static void take_pending(struct flight *flight)
{
    struct pending *taken = flight->taken;

    taken->len = 0;
    lock(flight);
    flight->taken = flight->pending;
    flight->pending = taken;
    unlock(flight);
    if (flight->taken->skipped)
        put_skipped(flight->taken);
}

static struct recording_entry read_entry(const struct pending *pending, size_t *at)
{
    struct recording_entry entry;
    struct head head;

    memcpy(&head, pending->bytes + *at, sizeof(head));
    *at += sizeof(head);
    entry = (struct recording_entry){
        .kind = head.kind,
        .unix_ms = head.unix_ms,
        .id = {pending->bytes + *at, head.id_len},
        .text = {pending->bytes + *at + head.id_len, head.text_len},
        .skipped = head.skipped,
    };
    *at += head.id_len + head.text_len;
    return entry;
}

static int write_line(struct flight *flight, const struct recording_entry *entry)
{
    struct complaint why;
    int r;

    buf_clear(&flight->line);
    r = recording_line_write(&flight->line, entry, &why);
    if (r == 0)
        r = flight->line.error;
    if (r == 0)
        flight_tape_add(flight->tape, buf_span(&flight->line), entry->unix_ms);
    return r;
}

/* One that no recording can have, a document that is none, is told as left out. */
static void put_down(struct flight *flight, const struct recording_entry *entry)
{
    const struct recording_entry left_out = {
        .kind = RECORDING_SKIPPED, .unix_ms = entry->unix_ms, .skipped = 1};

    if (write_line(flight, entry) < 0)
        (void)!write_line(flight, &left_out);
}

/* The clock may have been read before the alarm, or set since. */
static bool is_due(int64_t since_ms, int64_t now_ms, int64_t wait_ms)
{
    return now_ms - since_ms >= wait_ms || since_ms - now_ms > wait_ms;
}

/* The alarm, once what followed it is there; it is not raised any more. */
static struct alarm take_alarm(struct flight *flight, int64_t now_ms, bool at_end)
{
    struct alarm alarm;

    lock(flight);
    alarm = flight->alarm;
    alarm.raised =
        alarm.raised &&
        (at_end ||
         (is_due(alarm.unix_ms, now_ms, FLIGHT_AFTER_MS) &&
          (!flight->has_written || is_due(flight->written_ms, now_ms, FLIGHT_PAUSE_MS))));
    if (alarm.raised)
        flight->alarm.raised = false;
    unlock(flight);
    return alarm;
}

/* The recording's first line, in a member of its own. */
static int write_head(struct flight *flight, int64_t begin_ms)
{
    struct recording_gzip *gzip = NULL;
    int r;

    buf_clear(&flight->line);
    recording_head_write(&flight->line, "", begin_ms);
    r = flight->line.error;
    if (r == 0)
        r = recording_gzip_new(RECORDING_EFFORT_LEAST, flight_folder_write,
                               flight->folder, &gzip);
    if (r == 0)
        r = recording_gzip_add(gzip, buf_span(&flight->line), false);
    if (r == 0)
        r = recording_gzip_end(gzip);
    recording_gzip_free(gzip);
    return r;
}

static int write_recording(struct flight *flight, const struct alarm *alarm,
                           int64_t begin_ms, char *ret_path)
{
    int r = flight_folder_begin(flight->folder);

    if (r == 0)
        r = write_head(flight, begin_ms);
    if (r == 0)
        r = flight_tape_play(flight->tape, flight_folder_write, flight->folder);
    if (r == 0)
        r = flight_folder_keep(flight->folder, alarm->unix_ms, event_name(alarm->kind),
                               ret_path);
    flight_folder_drop(flight->folder); // nothing of it, where not all of it is there
    return r;
}

static int work(struct flight *flight, int64_t unix_ms, bool at_end, char *ret_path,
                struct complaint *complaint)
{
    struct alarm alarm = take_alarm(flight, unix_ms, at_end); // all of it has come in
    int64_t begin_ms;
    size_t at = 0;
    int r;

    take_pending(flight);
    while (at < flight->taken->len) {
        const struct recording_entry entry = read_entry(flight->taken, &at);

        put_down(flight, &entry);
    }
    if (!alarm.raised || !flight_tape_begin_ms(flight->tape, &begin_ms))
        return 0;
    flight->has_written = true;
    flight->written_ms = unix_ms;
    r = write_recording(flight, &alarm, begin_ms, ret_path);
    return r == 0
               ? 1
               : complain(complaint, r, "%s: the recording of \"%s\" cannot be kept: %s",
                          flight_folder_path(flight->folder), event_name(alarm.kind),
                          strerror(-r));
}

int flight_work(struct flight *flight, int64_t unix_ms, char *ret_path,
                struct complaint *complaint)
{
    return work(flight, unix_ms, false, ret_path, complaint);
}

int flight_end(struct flight *flight, int64_t unix_ms, char *ret_path,
               struct complaint *complaint)
{
    return work(flight, unix_ms, true, ret_path, complaint);
}
