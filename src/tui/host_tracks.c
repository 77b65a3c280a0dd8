// SPDX-License-Identifier: Apache-2.0
#include "tui/host_changes.h"
#include "tui/model_value.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    PLACE_TEXT_SIZE = TRACK_NAME_SIZE + 32,
    REASON_TEXT_SIZE = 80,
    KV_HIGH_PERCENT = 90,
    KV_LOW_PERCENT = 80,
};

static int compare(const struct track *track, const char *id, int64_t port)
{
    if (track->port != port)
        return track->port < port ? -1 : 1;
    return strcmp(track->model_id, id);
}

/* The first track that does not come before this one. */
static size_t place_of(const struct host *host, const char *id, int64_t port)
{
    size_t low = 0, high = host->n_tracks;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(host->tracks[middle], id, port) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct track *find(const struct host *host, const struct vramscope_model *model)
{
    const char *id = text_or_empty(model->model_id);
    size_t place = place_of(host, id, model->port);

    if (place < host->n_tracks && compare(host->tracks[place], id, model->port) == 0)
        return host->tracks[place];
    return NULL;
}

const struct track *host_track(const struct host *host,
                               const struct vramscope_model *model)
{
    return find(host, model);
}

static void track_free(struct track *track)
{
    if (track)
        free(track->model_id);
    free(track);
}

static void free_track(struct track **track)
{
    track_free(*track);
}

void tracks_done(struct host *host)
{
    for (size_t i = 0; i < host->n_tracks; i++)
        track_free(host->tracks[i]);
    free(host->tracks);
    host->tracks = NULL;
    host->n_tracks = 0;
}

static void remove_at(struct host *host, size_t place)
{
    track_free(host->tracks[place]);
    host->n_tracks--;
    memmove(&host->tracks[place], &host->tracks[place + 1],
            (host->n_tracks - place) * sizeof(struct track *));
}

/* Room for one more, at the cost of who is gone for the longest time. */
static bool make_room(struct host *host)
{
    size_t oldest = host->n_tracks;

    if (host->n_tracks < HOST_TRACKS_MAX)
        return true;
    for (size_t i = 0; i < host->n_tracks; i++)
        if (host->tracks[i]->gone &&
            (oldest == host->n_tracks ||
             host->tracks[i]->seen_look < host->tracks[oldest]->seen_look))
            oldest = i;
    if (oldest == host->n_tracks)
        return false;
    remove_at(host, oldest);
    return true;
}

static void drop_old(struct host *host, int64_t unix_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < host->n_tracks; i++) {
        struct track *track = host->tracks[i];

        if (track->gone && unix_ms - track->seen_unix_ms > TRACK_KEPT_MS)
            track_free(track);
        else
            host->tracks[kept++] = track;
    }
    host->n_tracks = kept;
}

/* "Qwen/Qwen3-8B on port 8000" */
static void place_text(char ret[PLACE_TEXT_SIZE], const struct track *track)
{
    if (track->port == 0)
        (void)snprintf(ret, PLACE_TEXT_SIZE, "%s on a Unix socket", track->name);
    else if (track->port < 0)
        (void)snprintf(ret, PLACE_TEXT_SIZE, "%s", track->name);
    else
        (void)snprintf(ret, PLACE_TEXT_SIZE, "%s on port %" PRId64, track->name,
                       track->port);
}

/* " (weights offloaded)", or "". */
static void reason_text(char ret[REASON_TEXT_SIZE], const struct vramscope_model *model)
{
    char reason[REASON_TEXT_SIZE - 4];

    cut_text(reason, sizeof(reason), text_or_empty(model->reason));
    (void)snprintf(ret, REASON_TEXT_SIZE, *reason ? " (%s)" : "%s", reason);
}

static bool is_bad_state(const char *state)
{
    return strcmp(state, "unreachable") == 0 || strcmp(state, "metrics-disabled") == 0;
}

static bool is_young_state(const char *state)
{
    return strcmp(state, "loading") == 0 || strcmp(state, "starting") == 0;
}

static void state_change(const struct look *look, struct track *track,
                         const struct vramscope_model *model)
{
    char place[PLACE_TEXT_SIZE], reason[REASON_TEXT_SIZE], state[TRACK_STATE_SIZE];

    cut_text(state, sizeof(state), text_or_empty(model->state));
    if (strcmp(state, track->state) == 0)
        return;
    place_text(place, track);
    reason_text(reason, model);
    look_tell(look, CHANGE_STATE, is_bad_state(state), "%s: %s -> %s%s", place,
              *track->state ? track->state : "?", *state ? state : "?", reason);
    memcpy(track->state, state, sizeof(state));
}

static void keep_counters(struct track *track, const struct vramscope_model *model)
{
    if (model->pid > 0)
        track->pid = model->pid;
    if (model->requests_preemptions >= 0)
        track->preemptions = model->requests_preemptions;
    if (model->prefix_lifetime.queries >= 0)
        track->queries = model->prefix_lifetime.queries;
}

static bool fell(int64_t before, int64_t now)
{
    return before >= 0 && now >= 0 && now < before;
}

/* Another process, or counters that began anew; those of the old one count no more. */
static bool restart_change(const struct look *look, struct track *track,
                           const struct vramscope_model *model)
{
    bool other_pid = track->pid > 0 && model->pid > 0 && track->pid != model->pid;
    char place[PLACE_TEXT_SIZE];

    if (!other_pid && !fell(track->preemptions, model->requests_preemptions) &&
        !fell(track->queries, model->prefix_lifetime.queries))
        return false;
    place_text(place, track);
    if (other_pid)
        look_tell(look, CHANGE_RESTARTED, true,
                  "%s was restarted: process %" PRId64 " -> %" PRId64, place, track->pid,
                  model->pid);
    else
        look_tell(look, CHANGE_RESTARTED, true, "%s was restarted: its counters fell",
                  place);
    if (!look->silent)
        track->restarted_unix_ms = look->unix_ms;
    track->preemptions = track->queries = VRAMSCOPE_UNKNOWN;
    return true;
}

static void preemption_change(const struct look *look, struct track *track,
                              const struct vramscope_model *model)
{
    char place[PLACE_TEXT_SIZE], passed[DURATION_TEXT_SIZE + 8];
    int64_t count;

    if (track->preemptions >= 0 && model->requests_preemptions >= 0)
        burst_add(&track->preempted, model->requests_preemptions - track->preemptions);
    if (look->silent)
        track->preempted.count = 0;
    count = burst_due(&track->preempted, look->unix_ms, passed);
    if (!count)
        return;
    place_text(place, track);
    look_tell(look, CHANGE_PREEMPTED, true, "%s: %" PRId64 " preemption%s%s", place,
              count, count == 1 ? "" : "s", passed);
}

/* While it loads there are no figures that could be old. */
static void stale_change(const struct look *look, struct track *track,
                         const struct vramscope_model *model)
{
    char place[PLACE_TEXT_SIZE], age[DURATION_TEXT_SIZE];

    if (model->stale == track->stale || (model->stale && is_young_state(track->state)))
        return;
    track->stale = model->stale;
    place_text(place, track);
    if (!model->stale) {
        look_tell(look, CHANGE_STALE, false, "%s: figures are fresh again", place);
        return;
    }
    duration_text(age, model->age_ms);
    if (model->age_ms < 0)
        look_tell(look, CHANGE_STALE, true, "%s: no figures come in", place);
    else
        look_tell(look, CHANGE_STALE, true, "%s: figures are stale: %s old", place, age);
}

static void kv_change(const struct look *look, struct track *track,
                      const struct vramscope_model *model)
{
    double percent = value_kv_percent(model);
    char place[PLACE_TEXT_SIZE];

    if (track->kv_high ? !(percent < KV_LOW_PERCENT) : !(percent > KV_HIGH_PERCENT))
        return;
    track->kv_high = !track->kv_high;
    place_text(place, track);
    look_tell(look, CHANGE_KV_HIGH, track->kv_high, "%s: KV cache %s %d %%", place,
              track->kv_high ? "above" : "below",
              track->kv_high ? KV_HIGH_PERCENT : KV_LOW_PERCENT);
}

static void add_sample(const struct look *look, struct track *track,
                       const struct vramscope_model *model)
{
    double values[N_HISTORY_SERIES] = {(double)NAN, (double)NAN, (double)NAN};

    if (model) {
        values[HISTORY_KV_USED] = value_kv_used(model);
        values[HISTORY_ALLOCATED] = value_vram(model);
        values[HISTORY_HIT_PERCENT] = value_hit_percent(model);
    }
    history_add_gap(&track->history, look->document_ms, look->interval_ms);
    history_add(&track->history, look->document_ms, values);
}

static void return_change(const struct look *look, struct track *track,
                          const struct vramscope_model *model)
{
    char place[PLACE_TEXT_SIZE], away[DURATION_TEXT_SIZE];

    duration_text(away, look->unix_ms - track->seen_unix_ms);
    place_text(place, track);
    cut_text(track->state, sizeof(track->state), text_or_empty(model->state));
    look_tell(look, CHANGE_APPEARED, false, "%s is back after %s (%s)", place, away,
              track->state);
    track->gone = false;
}

static void set_name(struct track *track, const struct vramscope_model *model)
{
    const char *name = text_or_empty(model->model);

    cut_text(track->name, sizeof(track->name),
             *name ? name : text_or_empty(model->model_id));
}

static void follow(const struct look *look, struct track *track,
                   const struct vramscope_model *model)
{
    set_name(track, model);
    if (track->gone)
        return_change(look, track, model);
    (void)restart_change(look, track, model); // has told it
    state_change(look, track, model);
    stale_change(look, track, model);
    preemption_change(look, track, model);
    kv_change(look, track, model);
    keep_counters(track, model);
    track->seen_look = look->host->look;
    track->seen_unix_ms = look->unix_ms;
    add_sample(look, track, model);
}

static void follow_gone(const struct look *look, struct track *track)
{
    char place[PLACE_TEXT_SIZE];

    if (!track->gone) {
        place_text(place, track);
        look_tell(look, CHANGE_VANISHED, true, "%s is gone", place);
    }
    track->gone = true;
    add_sample(look, track, NULL);
}

static int insert(struct host *host, const struct vramscope_model *model,
                  struct track **ret)
{
    const char *id = text_or_empty(model->model_id);
    OWNED(free_track) struct track *track = calloc(1, sizeof(*track));
    size_t place;

    if (!track)
        return -ENOMEM;
    track->model_id = strdup(id);
    if (!track->model_id)
        return -ENOMEM;
    track->port = model->port;
    track->preemptions = track->queries = VRAMSCOPE_UNKNOWN;
    set_name(track, model);
    cut_text(track->state, sizeof(track->state), text_or_empty(model->state));
    place = place_of(host, id, model->port);
    memmove(&host->tracks[place + 1], &host->tracks[place],
            (host->n_tracks - place) * sizeof(struct track *));
    *ret = host->tracks[place] = TAKE(track);
    host->n_tracks++;
    return 0;
}

/* A model of which there is no track yet. */
static int begin(const struct look *look, const struct vramscope_model *model)
{
    char place[PLACE_TEXT_SIZE], reason[REASON_TEXT_SIZE];
    struct track *track;
    int r;

    if (strlen(text_or_empty(model->model_id)) > TRACK_ID_MAX || !make_room(look->host))
        return 0;
    r = insert(look->host, model, &track);
    if (r < 0)
        return r;
    place_text(place, track);
    reason_text(reason, model);
    if (look->before)
        look_tell(look, CHANGE_APPEARED, false, "%s appeared: %s%s", place,
                  *track->state ? track->state : "?", reason);
    follow(look, track, model);
    return 0;
}

/*
 * Who has vanished is told before who has come gets a track: room is made by leaving out
 * only models that are gone. Of two rows with the same port and id the first counts.
 */
int tracks_follow(const struct look *look)
{
    const struct vramscope_detail *now = look->now;
    struct host *host = look->host;
    int r = 0;

    host->look++;
    for (size_t i = 0; i < now->n_models; i++) {
        struct track *track = find(host, now->models[i]);

        if (track && track->seen_look != host->look)
            follow(look, track, now->models[i]);
    }
    for (size_t i = 0; i < host->n_tracks; i++)
        if (host->tracks[i]->seen_look != host->look)
            follow_gone(look, host->tracks[i]);
    drop_old(host, look->unix_ms);
    for (size_t i = 0; i < now->n_models && r == 0; i++)
        if (!find(host, now->models[i]))
            r = begin(look, now->models[i]);
    return r;
}
