// SPDX-License-Identifier: Apache-2.0
#include "history/watch_parts.h"

#include <stdio.h>

enum {
    NAME_CUT = 96,
    REASON_CUT = 64,
    REMEMBER_MS = 10 * 60 * 1000, // who is gone
};

/* "Qwen/Qwen3-8B on port 8000" */
const char *watch_place(char ret[WATCH_PLACE_SIZE], const struct track *track)
{
    char name[NAME_CUT];

    watch_cut(name, sizeof(name), track->served_name);
    if (track->port)
        (void)snprintf(ret, WATCH_PLACE_SIZE, "%s on port %u", name, track->port);
    else
        (void)snprintf(ret, WATCH_PLACE_SIZE, "%s", name);
    return ret;
}

static bool is_answering(enum engine_state state)
{
    return state == ENGINE_READY || state == ENGINE_SLEEPING;
}

/* It is as if it had never been told, without a word. */
static void forget(struct condition *condition)
{
    condition->told = false;
    condition->since_ns = 0;
}

/* ---- Which row is whose ---- */

typedef bool same_fn(const struct track *track, const struct snapshot_model *row);

static bool is_same_place(const struct track *track, const struct snapshot_model *row)
{
    return track->port == row->port && strcmp(track->served_name, row->served_name) == 0;
}

static bool is_same_process(const struct track *track, const struct snapshot_model *row)
{
    return track->pid && track->pid == row->pid;
}

static bool is_same(const struct track *track, const struct snapshot_model *row)
{
    return track->pid == row->pid && is_same_place(track, row);
}

/*
 * The engine itself; else its process under another name or port, as it goes by when it has
 * said more of itself; else whoever has its place, which is a restart.
 */
static same_fn *const same[] = {is_same, is_same_process, is_same_place};

static struct track *find(struct watch *watch, const struct snapshot_model *row,
                          same_fn *is_it)
{
    for (uint32_t i = 0; i < watch->n_tracks; i++)
        if (!watch->tracks[i].row && is_it(&watch->tracks[i], row))
            return &watch->tracks[i];
    return NULL;
}

/*
 * Where there is no room, who is gone for the longest time is forgotten, told or not: there
 * are as many places for them as for those that are there.
 */
static struct track *make_room(struct watch *watch)
{
    struct track *oldest = NULL;

    if (watch->n_tracks < TRACKS_MAX)
        return &watch->tracks[watch->n_tracks++];
    for (uint32_t i = 0; i < watch->n_tracks; i++) {
        struct track *track = &watch->tracks[i];

        if (!track->row && (!oldest || track->seen_ns < oldest->seen_ns))
            oldest = track;
    }
    return oldest;
}

/* Another process: nothing of the one before holds for it. */
static void begin_anew(struct track *track)
{
    track->at_start = false;
    track->was_ready = false;
    track->starts_ns = 0;
    track->page_ns = 0;
    track->page_engines = 0;
    track->queries = track->preemptions = UNKNOWN;
    track->preempted_ns = 0;
    track->kv_seen_ns = 0;
    track->pool_engines = 0;
    track->other_pool_ns = 0;
    track->held_bytes[0] = track->held_bytes[1] = UNKNOWN;
    track->dropped = false;
    forget(&track->collision);
    forget(&track->asleep);
    forget(&track->failing);
    forget(&track->preempting);
    forget(&track->kv_high);
}

static struct track *add(struct watch *watch, const struct snapshot_model *row)
{
    struct track *track = make_room(watch);

    *track = (struct track){
        .pid = row->pid, .start_ticks = row->start_ticks, .blocks = UNKNOWN};
    begin_anew(track);
    track->at_start = !watch->begun;
    track->asleep.told = row->state == ENGINE_SLEEPING; // by its being found so
    return track;
}

static void take_row(struct track *track, const struct snapshot_model *row)
{
    memcpy(track->served_name, row->served_name, sizeof(track->served_name));
    track->port = row->port;
    track->row = row;
}

/* Whose row each is; those without one are gone. */
static void match_rows(struct watch *watch, const struct snapshot *snapshot,
                       struct track *ret[SNAPSHOT_MODELS_MAX])
{
    for (uint32_t i = 0; i < watch->n_tracks; i++)
        watch->tracks[i].row = NULL;
    memset(ret, 0, SNAPSHOT_MODELS_MAX * sizeof(struct track *));
    for (size_t k = 0; k < ARRAY_LEN(same); k++)
        for (uint32_t i = 0; i < snapshot->n_models; i++) {
            if (ret[i])
                continue;
            ret[i] = find(watch, &snapshot->models[i], same[k]);
            if (ret[i])
                take_row(ret[i], &snapshot->models[i]);
        }
    for (uint32_t i = 0; i < snapshot->n_models; i++)
        if (!ret[i]) {
            ret[i] = add(watch, &snapshot->models[i]);
            take_row(ret[i], &snapshot->models[i]);
        }
}

/* ---- Found, lost, restarted ---- */

static void take_process(struct track *track)
{
    track->pid = track->row->pid;
    track->start_ticks = track->row->start_ticks;
}

static void see_found(struct watch *watch, struct track *track)
{
    const char *state = engine_state_name(track->row->state);
    char place[WATCH_PLACE_SIZE], passed[WATCH_TIME_SIZE];
    uint64_t lost_ns = track->there.told_ns[false];
    bool told;

    if (!condition_is_due(&track->there, true, 0, watch->now_ns))
        return;
    take_process(track); // found anew, not restarted
    watch_place(place, track);
    if (lost_ns)
        told = watch_tell(watch, EVENT_ENGINE_FOUND, watch_about(track),
                          "%s is back after %s: %s", place,
                          watch_time(passed, watch->now_ns - track->lost_ns), state);
    else
        told = watch_tell(watch, EVENT_ENGINE_FOUND, watch_about(track), "%s %s: %s",
                          place, track->at_start ? "was there" : "was found", state);
    if (told)
        condition_was_told(&track->there, watch->now_ns);
}

static void see_lost(struct watch *watch, struct track *track)
{
    char place[WATCH_PLACE_SIZE], size[WATCH_BYTES_SIZE];
    uint64_t bytes = track->held_bytes[0];
    bool told;

    if (!condition_is_due(&track->there, false, WATCH_LOST_MS, watch->now_ns))
        return;
    watch_place(place, track);
    if (bytes != UNKNOWN && bytes)
        told = watch_tell(watch, EVENT_ENGINE_LOST, watch_about(track),
                          "%s is gone: it held %s", place, watch_bytes(size, bytes));
    else
        told =
            watch_tell(watch, EVENT_ENGINE_LOST, watch_about(track), "%s is gone", place);
    if (!told)
        return;
    condition_was_told(&track->there, watch->now_ns);
    track->lost_ns = track->seen_ns;
    begin_anew(track);
    track->restart_due = false;
}

static bool fell(uint64_t before, uint64_t now)
{
    return before != UNKNOWN && now != UNKNOWN && now < before;
}

/*
 * A process that is older than the one before is the same server, seen from further up: its
 * launcher, or the process above its workers.
 */
static bool is_another_process(const struct track *track)
{
    const struct snapshot_model *row = track->row;

    if (track->pid && track->start_ticks && row->start_ticks)
        return row->start_ticks > track->start_ticks;
    return track->pid && track->pid != row->pid;
}

/*
 * Another process. Where that is not visible, counters that fell: of as many data-parallel
 * engines as before, since one of them missing on a page lowers the sums.
 */
static bool was_restarted(const struct track *track)
{
    const struct engine_page *page = &track->row->page;

    if (track->row->pid)
        return is_another_process(track);
    return page->engines && page->engines == track->page_engines &&
           (fell(track->queries, page_queries(page)) ||
            fell(track->preemptions, page->preemptions));
}

static bool tell_restart(struct watch *watch, const struct track *track)
{
    char place[WATCH_PLACE_SIZE];

    watch_place(place, track);
    if (track->old_pid && track->pid)
        return watch_tell(watch, EVENT_ENGINE_RESTARTED, watch_about(track),
                          "%s was restarted: process %u -> %u", place, track->old_pid,
                          track->pid);
    return watch_tell(watch, EVENT_ENGINE_RESTARTED, watch_about(track),
                      "%s was restarted: its counters began anew", place);
}

/* One that people take for gone is found again instead. */
static void see_restart(struct watch *watch, struct track *track)
{
    if (track->there.told && was_restarted(track)) {
        if (track->dropped)
            watch_tell_drop(watch, track);
        if (!track->restart_due)
            track->old_pid = track->row->pid ? track->pid : 0;
        track->restart_due = true;
        begin_anew(track);
        track->pid = 0;
        if (engine_starts(track->row->state))
            track->starts_ns = watch->now_ns;
    }
    if (track->row->pid)
        take_process(track);
    if (!track->restart_due || !pause_is_over(track->restart_told_ns, watch->now_ns) ||
        !tell_restart(watch, track))
        return;
    track->restart_due = false;
    track->restart_told_ns = watch->now_ns;
}

/* ---- Starting, sleeping, failing ---- */

/*
 * Seen to start: its process is there before its port, or it came while we watched. One
 * that was there already and has not answered yet may just be busy.
 */
static void see_start(struct watch *watch, struct track *track)
{
    enum engine_state state = track->row->state;

    if (state == ENGINE_READY && !track->row->stale)
        track->was_ready = true;
    if (is_answering(state) || state == ENGINE_METRICS_DISABLED)
        track->starts_ns = 0;
    else if (track->starts_ns == 0 && engine_starts(state) && !track->was_ready &&
             (state == ENGINE_LOADING || !track->at_start))
        track->starts_ns = watch->now_ns;
}

/* Who starts on a GPU of this one, and began before it; NULL: nobody. */
static const struct track *find_earlier(const struct watch *watch,
                                        const struct track *track)
{
    for (uint32_t i = 0; i < watch->n_tracks; i++) {
        const struct track *other = &watch->tracks[i];

        if (other == track || !other->row || !other->starts_ns ||
            !engine_starts(other->row->state) ||
            !(other->row->devices & track->row->devices))
            continue;
        if (other->starts_ns < track->starts_ns ||
            (other->starts_ns == track->starts_ns && other < track))
            return other;
    }
    return NULL;
}

/* Each measures how much memory is free while the other takes it. */
static void see_collision(struct watch *watch, const struct snapshot *snapshot,
                          struct track *track)
{
    const struct track *other = NULL;
    char place[WATCH_PLACE_SIZE], name[REASON_CUT];
    unsigned device;

    if (track->starts_ns == 0)
        forget(&track->collision);
    else if (engine_starts(track->row->state))
        other = find_earlier(watch, track);
    if (!other) {
        track->collision.since_ns = 0;
        return;
    }
    if (!condition_is_due(&track->collision, true, WATCH_COLLISION_MS, watch->now_ns))
        return;
    device = (unsigned)__builtin_ctzll(other->row->devices & track->row->devices);
    if (device >= snapshot->n_devices)
        return;
    watch_place(place, track);
    watch_cut(name, sizeof(name), other->served_name);
    if (watch_tell(watch, EVENT_START_COLLISION,
                   (struct watch_subject){track, snapshot->devices[device].uuid},
                   "%s starts on GPU %u while %s does", place,
                   snapshot->devices[device].index, name))
        condition_was_told(&track->collision, watch->now_ns);
}

static void see_sleep(struct watch *watch, struct track *track)
{
    char place[WATCH_PLACE_SIZE], passed[WATCH_TIME_SIZE];
    bool asleep = track->row->state == ENGINE_SLEEPING, told;
    uint64_t slept_ns = track->asleep.told_ns[true];

    if (!is_answering(track->row->state) ||
        !condition_is_due(&track->asleep, asleep, 0, watch->now_ns))
        return;
    watch_place(place, track);
    if (asleep)
        told = watch_tell(watch, EVENT_ENGINE_SLEPT, watch_about(track),
                          "%s was put to sleep", place);
    else if (slept_ns)
        told = watch_tell(watch, EVENT_ENGINE_WOKE, watch_about(track),
                          "%s woke up after %s", place,
                          watch_time(passed, watch->now_ns - slept_ns));
    else
        told =
            watch_tell(watch, EVENT_ENGINE_WOKE, watch_about(track), "%s woke up", place);
    if (told)
        condition_was_told(&track->asleep, watch->now_ns);
}

static bool tell_failing(struct watch *watch, const struct track *track)
{
    const struct snapshot_model *row = track->row;
    char place[WATCH_PLACE_SIZE], why[REASON_CUT], age[WATCH_TIME_SIZE];

    watch_place(place, track);
    watch_cut(why, sizeof(why), row->why[0] ? row->why : "no answer");
    if (!row->page_ns)
        return watch_tell(watch, EVENT_SCRAPE_FAILING, watch_about(track),
                          "%s gives no figures: %s", place, why);
    return watch_tell(
        watch, EVENT_SCRAPE_FAILING, watch_about(track), "%s gives no figures for %s: %s",
        place, watch_time(age, watch->now_ns - MIN(row->page_ns, watch->now_ns)), why);
}

static bool tell_scraped(struct watch *watch, const struct track *track)
{
    char place[WATCH_PLACE_SIZE], passed[WATCH_TIME_SIZE];

    watch_place(place, track);
    watch_time(passed, watch->now_ns - track->failing.told_ns[true]);
    return watch_tell(watch, EVENT_SCRAPE_BACK, watch_about(track),
                      "%s gives figures again after %s", place, passed);
}

/* One that starts or sleeps is not failing; nor is it back. */
static void see_failing(struct watch *watch, struct track *track)
{
    const struct snapshot_model *row = track->row;
    bool fails =
        row->state == ENGINE_UNREACHABLE ||
        (row->stale && !engine_starts(row->state) && row->state != ENGINE_SLEEPING);
    bool works = is_answering(row->state) && !row->stale;

    if (!track->was_ready || (!fails && !works)) {
        track->failing.since_ns = 0;
        return;
    }
    if (condition_is_due(&track->failing, fails, fails ? WATCH_FAILING_MS : 0,
                         watch->now_ns) &&
        (fails ? tell_failing(watch, track) : tell_scraped(watch, track)))
        condition_was_told(&track->failing, watch->now_ns);
}

/* ---- All of them ---- */

static void see(struct watch *watch, const struct snapshot *snapshot, struct track *track)
{
    see_found(watch, track);
    see_restart(watch, track);
    see_start(watch, track);
    see_collision(watch, snapshot, track);
    watch_see_memory(watch, track);
    see_sleep(watch, track);
    see_failing(watch, track);
    watch_see_page(watch, track);
    track->seen_ns = watch->now_ns;
}

static void see_gone(struct watch *watch, struct track *track)
{
    if (track->dropped)
        watch_tell_drop(watch, track);
    see_lost(watch, track);
}

/* Those who were not told of any more, and have been gone for long. */
static void drop_old(struct watch *watch)
{
    for (uint32_t i = watch->n_tracks; i-- > 0;) {
        struct track *track = &watch->tracks[i];

        if (!track->row && !track->there.told &&
            watch_passed_ms(watch, track->seen_ns) > REMEMBER_MS)
            *track = watch->tracks[--watch->n_tracks];
    }
}

void watch_see_models(struct watch *watch, const struct snapshot *snapshot)
{
    struct track *rows[SNAPSHOT_MODELS_MAX];

    match_rows(watch, snapshot, rows);
    for (uint32_t i = 0; i < snapshot->n_models; i++)
        see(watch, snapshot, rows[i]);
    for (uint32_t i = 0; i < watch->n_tracks; i++)
        if (!watch->tracks[i].row)
            see_gone(watch, &watch->tracks[i]);
    drop_old(watch);
}
