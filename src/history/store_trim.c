// SPDX-License-Identifier: Apache-2.0
#include "history/store_parts.h"

enum {
    TRIM_ROWS = 2000, // removed at a time; more only where one slot's time has more
    TRIM_STEPS = 64,
    FREE_PAGES_KEPT = 1024,    // for what comes next, whatever the size of the file
    BELIEVED_SLOTS = 6 * 360,  // six hours of them
    PAUSE_MS = 10 * 60 * 1000, // a longer one between two slots may be no time at all
};

#define NONE INT64_MAX

/* What goes is removed by time, from the oldest on, and in whole slots. */
static const struct {
    enum store_statement oldest, remove;
    int64_t step_ms;
} kept[STORE_KEPT] = {
    [KEPT_SAMPLES] = {STORE_OLDEST_SAMPLE, STORE_TRIM_SAMPLES, STORE_SLOT_MS},
    [KEPT_SLOTS] = {STORE_OLDEST_SLOT, STORE_TRIM_SLOTS, 6 * STORE_SLOT_MS},
    [KEPT_EVENTS] = {STORE_OLDEST_EVENT, STORE_TRIM_EVENTS, 60 * STORE_SLOT_MS},
};

static int oldest_of(struct store *store, enum store_kept what, int64_t *ret)
{
    return store_number(store, kept[what].oldest, 0, NULL, NONE, ret);
}

/* Rows before `until_ms`, some of them; 1: there are more. */
static int remove_some(struct store *store, enum store_kept what, int64_t until_ms)
{
    int removed = 0, r = 0;

    for (int i = 0; r == 0 && i < TRIM_STEPS && removed < TRIM_ROWS; i++) {
        int64_t oldest_ms, end_ms;

        r = oldest_of(store, what, &oldest_ms);
        if (r < 0 || oldest_ms >= until_ms)
            return r;
        end_ms = MIN(store_floor(oldest_ms, kept[what].step_ms) + kept[what].step_ms,
                     until_ms);
        if (what == KEPT_SAMPLES && store->has_slot && end_ms > store->slot_ms)
            r = store_finish_slot(store);
        if (r == 0)
            r = store_run(store, kept[what].remove, 1, &end_ms);
        removed += sqlite3_changes(store->db);
    }
    return r < 0 ? r : 1;
}

/*
 * The time by which things are old, at most the clock's. Where that was set far ahead, what
 * is there is no older for it: time is what has been seen to pass since the slot of six
 * hours of slots ago. So a new time is believed once it has lasted so long, and what was
 * there before a machine was off for weeks goes six hours after it is on again.
 */
static int believed_ms(struct store *store, int64_t unix_ms, int64_t *ret)
{
    const int64_t numbers[] = {BELIEVED_SLOTS, PAUSE_MS};
    int64_t seen_ms;
    int r =
        store_number(store, STORE_TIME_SEEN, ARRAY_LEN(numbers), numbers, NONE, &seen_ms);

    if (r == 0)
        *ret = MIN(unix_ms, seen_ms);
    return r;
}

/* A little more than the age is left to grow, so that each page is written seldom. */
static int trim_by_age(struct store *store, enum store_kept what, int64_t unix_ms)
{
    const int64_t ages[STORE_KEPT] = {store->limits.full_rate_ms, store->limits.slots_ms,
                                      store->limits.events_ms};
    int64_t now_ms, until_ms, oldest_ms;
    int r = oldest_of(store, what, &oldest_ms);

    if (r == 0 && !store->is_trimming[what] &&
        oldest_ms >= store_floor(unix_ms - ages[what], STORE_SLOT_MS) - ages[what] / 64)
        return 0; // by no clock
    if (r == 0)
        r = believed_ms(store, unix_ms, &now_ms);
    if (r < 0)
        return r;
    until_ms = store_floor(now_ms - ages[what], STORE_SLOT_MS);
    if (oldest_ms < until_ms - ages[what] / 64)
        store->is_trimming[what] = true;
    if (!store->is_trimming[what])
        return 0;
    r = remove_some(store, what, until_ms);
    if (r == 0)
        store->is_trimming[what] = false;
    return r;
}

struct pages {
    uint64_t all, free, limit;
};

static int count_pages(struct store *store, struct pages *ret)
{
    int64_t all, free;
    int r = store_number(store, STORE_PAGES, 0, NULL, 0, &all);

    if (r == 0)
        r = store_number(store, STORE_FREE_PAGES, 0, NULL, 0, &free);
    if (r < 0)
        return r;
    ret->all = (uint64_t)all;
    ret->free = MIN((uint64_t)free, ret->all);
    ret->limit = store->limits.bytes / STORE_PAGE_BYTES;
    return 0;
}

/* The oldest there is of any kind; of the same time the rows at full rate. */
static int remove_oldest(struct store *store)
{
    enum store_kept what = KEPT_SAMPLES;
    int64_t oldest_ms = NONE;

    for (int i = 0; i < STORE_KEPT; i++) {
        int64_t ms;
        int r = oldest_of(store, (enum store_kept)i, &ms);

        if (r < 0)
            return r;
        if (ms != NONE)
            ms = store_floor(ms, STORE_SLOT_MS);
        if (ms >= oldest_ms)
            continue;
        oldest_ms = ms;
        what = (enum store_kept)i;
    }
    return oldest_ms == NONE ? 0 : remove_some(store, what, NONE);
}

/* Begin shortly before the limit, and go on until there is room for a while. */
static int trim_by_size(struct store *store)
{
    struct pages pages;
    uint64_t used;
    int r = count_pages(store, &pages);

    if (r < 0)
        return r;
    used = pages.all - pages.free;
    if (used > pages.limit - pages.limit / 32)
        store->is_shrinking = true;
    else if (used <= pages.limit - pages.limit / 16)
        store->is_shrinking = false;
    if (!store->is_shrinking)
        return 0;
    r = remove_oldest(store);
    if (r == 0)
        store->is_shrinking = false; // it is small, and still too large: an absurd limit
    return r;
}

/* Give pages back that are free: too many, or where the file is too large. */
static int trim_free_pages(struct store *store)
{
    struct pages pages;
    int r = count_pages(store, &pages);

    if (r < 0 || pages.free == 0)
        return r;
    if (pages.all <= pages.limit && pages.free <= FREE_PAGES_KEPT + pages.all / 4)
        return 0;
    r = store_run(store, STORE_VACUUM, 0, NULL);
    return r < 0 ? r : 1;
}

static int trim_series(struct store *store)
{
    int r = store_run(store, STORE_TRIM_SERIES, 0, NULL);
    int removed = sqlite3_changes(store->db);

    if (r < 0 || removed == 0)
        return r;
    store->n_series -= MIN(store->n_series, (uint64_t)removed);
    store_forget_names(store);
    return 0;
}

/* What was begun before, and goes on. */
static bool is_removing(const struct store *store)
{
    bool removing = store->is_shrinking;

    for (int i = 0; i < STORE_KEPT; i++)
        removing = removing || store->is_trimming[i];
    return removing;
}

static int trim_some(struct store *store, int64_t unix_ms)
{
    int changes = sqlite3_total_changes(store->db), r = 0;
    bool removed = is_removing(store);

    for (int i = 0; r == 0 && i < STORE_KEPT; i++)
        r = trim_by_age(store, (enum store_kept)i, unix_ms);
    if (r == 0)
        r = trim_by_size(store);
    removed = removed || sqlite3_total_changes(store->db) != changes;
    if (r == 0 && removed)
        r = trim_series(store);
    if (r == 0)
        r = trim_free_pages(store);
    return r;
}

int store_trim(struct store *store, int64_t unix_ms)
{
    bool had_batch = store->in_batch;
    int r = store_begin(store), more;

    if (r < 0)
        return r;
    more = trim_some(store, unix_ms);
    if (more < 0)
        store->error = more;
    if (had_batch)
        return more;
    r = more < 0 ? more : store_commit(store);
    if (r < 0)
        store_roll_back(store);
    return r < 0 ? r : more;
}
