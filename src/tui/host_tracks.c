// SPDX-License-Identifier: Apache-2.0
#include "tui/host_changes.h"
#include "tui/model_value.h"

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

static bool is_gone(const struct host *host, const struct track *track)
{
    return track->seen_look != host->look;
}

/* Room for one more, at the cost of who is gone for the longest time. */
static bool make_room(struct host *host)
{
    size_t oldest = host->n_tracks;

    if (host->n_tracks < HOST_TRACKS_MAX)
        return true;
    for (size_t i = 0; i < host->n_tracks; i++)
        if (is_gone(host, host->tracks[i]) &&
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

        if (is_gone(host, track) && unix_ms - track->seen_unix_ms > TRACK_KEPT_MS)
            track_free(track);
        else
            host->tracks[kept++] = track;
    }
    host->n_tracks = kept;
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

static void follow(const struct look *look, struct track *track,
                   const struct vramscope_model *model)
{
    track->seen_look = look->host->look;
    track->seen_unix_ms = look->unix_ms;
    add_sample(look, track, model);
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
    struct track *track;
    int r;

    if (strlen(text_or_empty(model->model_id)) > TRACK_ID_MAX || !make_room(look->host))
        return 0;
    r = insert(look->host, model, &track);
    if (r < 0)
        return r;
    follow(look, track, model);
    return 0;
}

/* By our clock, which need not be the daemon's. */
static void note_restarts(const struct look *look)
{
    for (size_t i = 0; i < look->now->n_events; i++) {
        const struct vramscope_host_event *event = look->now->events[i];
        const struct vramscope_model model = {.model_id = event->model_id,
                                              .port = event->port};
        struct track *track;

        if (strcmp(text_or_empty(event->kind), "engine_restarted") != 0 ||
            event->unix_ms <= 0 || event->unix_ms > look->document_ms)
            continue;
        track = find(look->host, &model);
        if (track)
            track->restarted_unix_ms =
                look->unix_ms - (look->document_ms - event->unix_ms);
    }
}

/*
 * Who is gone is followed before who has come gets a track: room is made by leaving out
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

        if (track && is_gone(host, track))
            follow(look, track, now->models[i]);
    }
    for (size_t i = 0; i < host->n_tracks; i++)
        if (is_gone(host, host->tracks[i]))
            add_sample(look, host->tracks[i], NULL);
    drop_old(host, look->unix_ms);
    for (size_t i = 0; i < now->n_models && r == 0; i++)
        if (!find(host, now->models[i]))
            r = begin(look, now->models[i]);
    note_restarts(look);
    return r;
}
