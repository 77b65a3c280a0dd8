// SPDX-License-Identifier: Apache-2.0
#include "history/journal.h"

#include <assert.h>
#include <pthread.h>

enum { SAME_MS = 1000 }; // by which the times of one event may differ

struct journal {
    pthread_mutex_t lock; // of all below
    uint64_t newest_id;   // 0: there was none yet
    size_t n;
    size_t n_critical;
    uint16_t
        order[JOURNAL_EVENTS]; // places of `events`, oldest first; then the free ones
    struct event events[JOURNAL_EVENTS];
};

int journal_new(struct journal **ret)
{
    struct journal *journal = calloc(1, sizeof(*journal));

    if (!journal)
        return -ENOMEM;
    (void)pthread_mutex_init(&journal->lock, NULL); // cannot fail
    for (size_t i = 0; i < JOURNAL_EVENTS; i++)
        journal->order[i] = (uint16_t)i;
    *ret = journal;
    return 0;
}

void journal_free(struct journal *journal)
{
    if (!journal)
        return;
    (void)pthread_mutex_destroy(&journal->lock);
    free(journal);
}

static int64_t add_limited(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static bool is_critical(const struct event *event)
{
    return event_severity(event->kind) == SEVERITY_CRITICAL;
}

static struct event *at(struct journal *journal, size_t i)
{
    return &journal->events[journal->order[i]];
}

/* Which goes: the oldest that is not critical, as long as those are not too many. */
static size_t find_oldest(struct journal *journal)
{
    size_t i = 0;

    if (journal->n_critical > JOURNAL_CRITICAL)
        return 0;
    while (is_critical(at(journal, i)))
        i++;
    return i;
}

/* The oldest of a node that has more than its share of the room; `n`: it has not. */
static size_t find_oldest_of(struct journal *journal, const char *node)
{
    size_t oldest = journal->n, events = 0;

    for (size_t i = journal->n; node[0] && i-- > 0;)
        if (strcmp(at(journal, i)->node, node) == 0) {
            oldest = i;
            events++;
        }
    return events >= JOURNAL_OF_NODE ? oldest : journal->n;
}

/* For one of that node, "": of our own. */
static void remove_oldest(struct journal *journal, const char *node)
{
    size_t own = find_oldest_of(journal, node);
    size_t i = own < journal->n ? own : find_oldest(journal);
    uint16_t place = journal->order[i];

    journal->n--;
    journal->n_critical -= is_critical(&journal->events[place]);
    memmove(&journal->order[i], &journal->order[i + 1],
            (journal->n - i) * sizeof(journal->order[0]));
    journal->order[journal->n] = place;
}

static_assert((int)JOURNAL_OF_NODE > (int)SNAPSHOT_EVENTS_MAX &&
                  (int)JOURNAL_CRITICAL + (int)SNAPSHOT_EVENTS_MAX < (int)JOURNAL_EVENTS,
              "there is always one to remove, and it is none of the newest");

static void add(struct journal *journal, const struct event *event, uint64_t id)
{
    struct event *place;

    if (journal->n == JOURNAL_EVENTS)
        remove_oldest(journal, event->node);
    place = at(journal, journal->n++);
    *place = *event;
    place->id = journal->newest_id = id;
    journal->n_critical += is_critical(event);
}

void journal_restore(struct journal *journal, const struct event *events, size_t n)
{
    (void)pthread_mutex_lock(&journal->lock);
    for (size_t i = 0; i < n; i++)
        if (events[i].id > journal->newest_id)
            add(journal, &events[i], events[i].id);
    (void)pthread_mutex_unlock(&journal->lock);
}

void journal_add(struct journal *journal, const struct event *event)
{
    (void)pthread_mutex_lock(&journal->lock);
    add(journal, event, journal->newest_id + 1);
    (void)pthread_mutex_unlock(&journal->lock);
}

static bool is_same(const struct event *a, const struct event *b)
{
    char one[EVENT_TEXT_SIZE], other[EVENT_TEXT_SIZE];

    if (a->kind != b->kind || a->port != b->port ||
        a->unix_ms > add_limited(b->unix_ms, SAME_MS) ||
        b->unix_ms > add_limited(a->unix_ms, SAME_MS))
        return false;
    event_say_where(a, one);
    event_say_where(b, other);
    return strcmp(one, other) == 0;
}

void journal_add_once(struct journal *journal, const struct event *event)
{
    bool there = false;

    (void)pthread_mutex_lock(&journal->lock);
    for (size_t i = 0; i < journal->n && !there; i++)
        there = is_same(at(journal, i), event);
    if (!there)
        add(journal, event, journal->newest_id + 1);
    (void)pthread_mutex_unlock(&journal->lock);
}

/* The first place of an id above `after`; `n`: there is none. */
static size_t find_after(struct journal *journal, uint64_t after)
{
    size_t first = journal->n;

    while (first > 0 && at(journal, first - 1)->id > after)
        first--;
    return first;
}

bool journal_next(struct journal *journal, uint64_t after, struct event *ret)
{
    size_t i;
    bool found;

    (void)pthread_mutex_lock(&journal->lock);
    i = find_after(journal, after);
    found = i < journal->n;
    if (found)
        *ret = *at(journal, i);
    (void)pthread_mutex_unlock(&journal->lock);
    return found;
}

size_t journal_copy(struct journal *journal, uint64_t after, struct event *ret,
                    size_t max)
{
    size_t first, n;

    (void)pthread_mutex_lock(&journal->lock);
    first = find_after(journal, after);
    n = MIN(journal->n - first, max);
    first = journal->n - n;
    for (size_t i = 0; i < n; i++)
        ret[i] = *at(journal, first + i);
    (void)pthread_mutex_unlock(&journal->lock);
    return n;
}
