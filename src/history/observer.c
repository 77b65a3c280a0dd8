// SPDX-License-Identifier: Apache-2.0
#include "history/advice.h"

#include "history/aggregate.h"

#include <math.h>

enum { HIGHEST_FIRST = 64 }; // room at first; it doubles

struct observer {
    struct observation seen;
    double *highest; // a heap: no value is below the first
    size_t n_highest, room;
    uint64_t counter; // of preemptions, as last read; UNKNOWN: not yet
    double hits;      // percent times milliseconds
    uint64_t hits_ms;
};

int observer_new(struct observer **ret)
{
    struct observer *observer = calloc(1, sizeof(*observer));

    if (!observer)
        return -ENOMEM;
    observer_begin(observer, &observer->seen.of);
    *ret = observer;
    return 0;
}

void observer_free(struct observer *observer)
{
    if (!observer)
        return;
    free(observer->highest);
    free(observer);
}

/* Nothing has been seen yet of a pool of that size. */
static void begin(struct observer *observer, uint64_t pool)
{
    struct past_series of = observer->seen.of;

    observer->seen = (struct observation){
        .of = of,
        .kv_pool_bytes = pool,
        .kv_used_max = UNKNOWN,
        .kv_used_p999 = UNKNOWN,
        .running_max = UNKNOWN,
        .waiting_max = UNKNOWN,
        .preemptions = (double)NAN,
        .hit_percent = (double)NAN,
    };
    observer->n_highest = 0;
    observer->counter = UNKNOWN;
    observer->hits = 0;
    observer->hits_ms = 0;
}

void observer_begin(struct observer *observer, const struct past_series *of)
{
    struct past_series copy = *of; // it may be our own

    observer->seen.of = copy;
    begin(observer, UNKNOWN);
}

static void swap(double *a, double *b)
{
    double last = *a;

    *a = *b;
    *b = last;
}

static void sift_up(double *heap, size_t at)
{
    while (at > 0 && heap[at] < heap[(at - 1) / 2]) {
        swap(&heap[at], &heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void sift_down(double *heap, size_t n)
{
    size_t at = 0, least = 1;

    while (least < n) {
        if (least + 1 < n && heap[least + 1] < heap[least])
            least++;
        if (heap[at] <= heap[least])
            return;
        swap(&heap[at], &heap[least]);
        at = least;
        least = 2 * at + 1;
    }
}

static int make_room(struct observer *observer)
{
    size_t room = MAX(2 * observer->room, (size_t)HIGHEST_FIRST);
    double *highest;

    if (observer->n_highest < observer->room)
        return 0;
    highest = realloc(observer->highest, room * sizeof(*highest));
    if (!highest)
        return -ENOMEM;
    observer->highest = highest;
    observer->room = room;
    return 0;
}

/* Keep it if it is among the highest. */
static int note_high(struct observer *observer, double value)
{
    double *heap = observer->highest;
    int r;

    if (observer->n_highest == OBSERVER_HIGHEST) {
        if (value > heap[0]) {
            heap[0] = value;
            sift_down(heap, observer->n_highest);
        }
        return 0;
    }
    r = make_room(observer);
    if (r < 0)
        return r;
    observer->highest[observer->n_highest] = value;
    sift_up(observer->highest, observer->n_highest++);
    return 0;
}

static void note_most(uint64_t *most, uint64_t value)
{
    if (value != UNKNOWN && (*most == UNKNOWN || value > *most))
        *most = value;
}

/* A row has the engine's counter, a slot what it rose by. One that fell begins anew. */
static void note_preemptions(struct observer *observer, const struct observed_row *row)
{
    uint64_t count = row->figures[PAST_PREEMPTIONS], last = observer->counter;
    double more = 0;

    if (count == UNKNOWN)
        return;
    if (row->is_slot) {
        more = (double)count;
        observer->counter = UNKNOWN;
    } else {
        observer->counter = count;
        if (last != UNKNOWN && count > last)
            more = (double)(count - last);
    }
    if (isnan(observer->seen.preemptions))
        observer->seen.preemptions = 0;
    observer->seen.preemptions += more;
}

static void note_requests(struct observer *observer, const struct observed_row *row)
{
    uint64_t running = row->figures[PAST_REQUESTS_RUNNING];
    uint64_t waiting = row->figures[PAST_REQUESTS_WAITING];
    uint64_t used = row->figures[PAST_KV_USED_BYTES];
    struct observation *seen = &observer->seen;

    note_most(&seen->running_max, running);
    note_most(&seen->waiting_max, waiting);
    if (running != UNKNOWN && running > 0)
        seen->busy_ms += row->ms;
    if (waiting == UNKNOWN || waiting == 0)
        return;
    seen->waiting_ms += row->ms;
    if (used != UNKNOWN &&
        100 * (double)used >= OBSERVATION_FULL_PERCENT * (double)seen->kv_pool_bytes)
        seen->full_ms += row->ms;
}

int observer_add(struct observer *observer, const struct observed_row *row)
{
    uint64_t pool = row->figures[PAST_KV_POOL_BYTES];
    uint64_t used = row->figures[PAST_KV_USED_BYTES];
    struct observation *seen = &observer->seen;
    int r;

    if (pool == UNKNOWN || pool == 0)
        return 0;
    if (seen->kv_pool_bytes != pool)
        begin(observer, pool);
    if (used != UNKNOWN) {
        r = note_high(observer, (double)used);
        if (r < 0)
            return r;
        note_most(&seen->kv_used_max, used);
        if (seen->samples++ == 0)
            seen->from_ms = row->unix_ms;
        seen->to_ms = row->unix_ms;
        seen->observed_ms += row->ms;
    }
    seen->from_slots = seen->from_slots || row->is_slot;
    note_preemptions(observer, row);
    note_requests(observer, row);
    if (!isnan(row->hit_percent)) {
        observer->hits += row->hit_percent * (double)row->ms;
        observer->hits_ms += row->ms;
    }
    return 0;
}

void observer_end(struct observer *observer, struct observation *ret)
{
    double most;

    *ret = observer->seen;
    if (observer->hits_ms > 0)
        ret->hit_percent = observer->hits / (double)observer->hits_ms;
    if (ret->samples == 0)
        return;
    // One in order is a heap, too: more can be added.
    aggregate_sort(observer->highest, observer->n_highest);
    most =
        aggregate_percentile(observer->highest, observer->n_highest, ret->samples, 0.999);
    ret->kv_used_p999 = isnan(most) ? UNKNOWN : (uint64_t)llround(most);
}
