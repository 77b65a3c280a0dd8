// SPDX-License-Identifier: Apache-2.0
/*
 * draw_words.c - what figures and states mean, in words and styles
 */
#include "tui/draw_parts.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

enum {
    RESTARTED_SHOWN_MS = 60 * 1000,
    DRIVER_SILENT_MS = 2000,
    INTERVAL_MAX_MS = 60 * 1000
};

int64_t sum_of(int64_t a, int64_t b)
{
    int64_t sum;

    if (!is_known(a) || !is_known(b))
        return is_known(a) ? a : b;
    if (__builtin_add_overflow(a, b, &sum))
        return a > 0 ? INT64_MAX : -INT64_MAX;
    return sum == VRAMSCOPE_UNKNOWN ? -INT64_MAX : sum;
}

bool is_known(int64_t value)
{
    return value != VRAMSCOPE_UNKNOWN;
}

bool is_figure_known(const struct vramscope_figure *figure)
{
    return figure->from != VRAMSCOPE_FROM_UNKNOWN && is_known(figure->value);
}

enum style figure_style(const struct vramscope_figure *figure)
{
    return is_figure_known(figure) ? STYLE_TEXT : STYLE_DIM;
}

enum style kv_style(double percent)
{
    if (isnan(percent))
        return STYLE_DIM;
    if (percent >= 85)
        return STYLE_CRITICAL;
    return percent >= 70 ? STYLE_WARNING : STYLE_GOOD;
}

const char *kv_alarm(const struct drawing *drawing, double percent)
{
    enum style style = kv_style(percent);
    bool ascii = drawing->view->glyphs == GLYPHS_ASCII;

    if (style == STYLE_CRITICAL)
        return ascii ? "!!" : "▲▲";
    if (style == STYLE_WARNING)
        return ascii ? "!" : "▲";
    return "";
}

void time_text(char ret[FIGURE_TEXT_SIZE], int64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm local;

    if (unix_ms <= 0 || !localtime_r(&seconds, &local) ||
        strftime(ret, FIGURE_TEXT_SIZE, "%H:%M:%S", &local) == 0)
        snprintf(ret, FIGURE_TEXT_SIZE, "--:--:--");
}

const char *standstill(const struct view *view)
{
    if (view->paused)
        return "PAUSED";
    return view->held ? "HELD" : NULL;
}

/* A gateway without figures goes on to tell of its nodes. */
static bool tells_outage(const struct host *host)
{
    return host->state == HOST_NO_DATA && host->detail && host->detail->outage;
}

bool is_faded(const struct drawing *drawing, const struct host *host)
{
    return (host->state != HOST_LIVE && !tells_outage(host)) ||
           host_is_stale(host, drawing->view->now_unix_ms);
}

bool has_news(const struct drawing *drawing, const struct host *host)
{
    return host->state == HOST_LIVE && !is_faded(drawing, host);
}

/* The daemon looks each beat; it takes two seconds for silence (docs/wire.md, /healthz). */
bool is_driver_stale(const struct vramscope_detail *detail)
{
    int64_t interval_ms = MIN(detail->interval_ms, (int64_t)INTERVAL_MAX_MS);
    int64_t limit_ms = DRIVER_SILENT_MS;

    if (interval_ms > 0)
        limit_ms = MAX(limit_ms, 3 * interval_ms);
    return is_known(detail->gpu_age_ms) && detail->gpu_age_ms > limit_ms;
}

bool is_driver_faded(const struct drawing *drawing, const struct host *host)
{
    const struct vramscope_detail *detail = detail_of(drawing, host);

    return is_faded(drawing, host) || (detail && is_driver_stale(detail));
}

const struct vramscope_detail *detail_of(const struct drawing *drawing,
                                         const struct host *host)
{
    for (size_t i = 0; i < drawing->view->n_hosts; i++)
        if (drawing->view->hosts[i] == host)
            return drawing->view->shown[i];
    return NULL;
}

bool has_figures(const struct drawing *drawing)
{
    for (size_t i = 0; i < drawing->view->n_hosts; i++)
        if (drawing->view->shown[i])
            return true;
    return false;
}

static void add_model(struct totals *totals, const struct vramscope_model *model)
{
    totals->running = sum_of(totals->running, model->requests_running);
    totals->waiting = sum_of(totals->waiting, model->requests_waiting);
    totals->preempted = sum_of(totals->preempted, model->requests_preemptions);
    if (is_figure_known(&model->kv_capacity))
        totals->kv_capacity = sum_of(totals->kv_capacity, model->kv_capacity.value);
    if (is_figure_known(&model->kv_used) &&
        (model->kv_used.from == VRAMSCOPE_FROM_DERIVED ||
         model->kv_used.from == VRAMSCOPE_FROM_ESTIMATED))
        totals->kv_worked_out = true;
}

/* Of a gateway: rows may be left out of its document, but not out of its own sums. */
static void add_fleet(struct totals *totals, const struct vramscope_detail *detail)
{
    const struct vramscope_fleet *fleet = detail->fleet;

    totals->running = sum_of(totals->running, fleet->requests_running);
    totals->waiting = sum_of(totals->waiting, fleet->requests_waiting);
    for (size_t i = 0; detail->models_left_out == 0 && i < detail->n_models; i++)
        totals->preempted =
            sum_of(totals->preempted, detail->models[i]->requests_preemptions);
    if (is_figure_known(&fleet->kv_pool))
        totals->kv_capacity = sum_of(totals->kv_capacity, fleet->kv_pool.value);
    totals->kv_worked_out |= fleet->kv_pool.from == VRAMSCOPE_FROM_DERIVED ||
                             fleet->kv_pool.from == VRAMSCOPE_FROM_ESTIMATED;
}

static void add_hits(struct totals *totals, const struct vramscope_detail *detail,
                     double *hits, double *queries)
{
    for (size_t i = 0; i < detail->n_models; i++) {
        const struct vramscope_hits *minute = &detail->models[i]->prefix_minute;

        if (!is_known(minute->hits) || !is_known(minute->queries))
            continue;
        *hits += (double)minute->hits;
        *queries += (double)minute->queries;
    }
    totals->hit_percent = detail->prefix_hit_percent;
    totals->hit_in_window = detail->prefix_in_window;
}

/* The hit rate of one host is what that host says; of several, that of all their tokens. */
struct totals totals_of(const struct drawing *drawing)
{
    struct totals totals = {
        .total = VRAMSCOPE_UNKNOWN,
        .allocated = VRAMSCOPE_UNKNOWN,
        .kv_used = VRAMSCOPE_UNKNOWN,
        .kv_capacity = VRAMSCOPE_UNKNOWN,
        .running = VRAMSCOPE_UNKNOWN,
        .waiting = VRAMSCOPE_UNKNOWN,
        .preempted = VRAMSCOPE_UNKNOWN,
        .hit_percent = (double)NAN,
    };
    double hits = 0, queries = 0;

    for (size_t i = 0; i < drawing->view->n_hosts; i++) {
        const struct host *host = drawing->view->hosts[i];
        const struct vramscope_detail *detail = drawing->view->shown[i];

        if (!detail)
            continue;
        totals.hosts++;
        totals.models += detail->n_models;
        totals.faded |= is_faded(drawing, host);
        totals.total = sum_of(totals.total, detail->total.value);
        totals.allocated = sum_of(totals.allocated, detail->allocated.value);
        totals.kv_used = sum_of(totals.kv_used, detail->kv_used_bytes);
        totals.kv_unknown = sum_of(totals.kv_unknown, detail->kv_unknown_models);
        add_hits(&totals, detail, &hits, &queries);
        if (detail->fleet)
            add_fleet(&totals, detail);
        for (size_t k = 0; !detail->fleet && k < detail->n_models; k++)
            add_model(&totals, detail->models[k]);
    }
    if (totals.hosts > 1) {
        totals.hit_percent = queries > 0 ? 100 * hits / queries : (double)NAN;
        totals.hit_in_window = true;
    }
    return totals;
}

static bool was_restarted(const struct drawing *drawing, const struct row *row)
{
    const struct track *track = host_track(row->host, row->model);
    int64_t now = drawing->view->now_unix_ms;

    return track && track->restarted_unix_ms > 0 && now >= track->restarted_unix_ms &&
           now - track->restarted_unix_ms < RESTARTED_SHOWN_MS;
}

static void set_words(struct state_words *words, const char *word, const char *brief)
{
    snprintf(words->word, sizeof(words->word), "%s", word);
    snprintf(words->brief, sizeof(words->brief), "%s", brief);
}

static void stale_words(struct state_words *words, const struct row *row)
{
    bool known = is_known(row->model->age_ms);
    char age[FIGURE_TEXT_SIZE], word[FIGURE_TEXT_SIZE + 8];

    age_text(age, row->model->age_ms);
    words->is_badge = true;
    words->style = STYLE_WARNING;
    snprintf(word, sizeof(word), "STALE%s%s", known ? " " : "", known ? age : "");
    set_words(words, word, "STALE");
}

/* What a host that is not heard has last said of its models is not their state now. */
static struct state_words words_of_silent(const struct drawing *drawing,
                                          const struct host *host)
{
    const struct signs *signs = drawing->signs;
    struct state_words words = {signs->alarm, STYLE_WARNING, "", "", true};
    bool lost = host->state == HOST_LOST || host->state == HOST_GONE;

    if (lost) {
        words.sign = signs->cross;
        words.style = STYLE_CRITICAL;
    }
    set_words(&words, lost ? "HOST LOST" : "HOST SILENT", lost ? "LOST" : "SILENT");
    return words;
}

/* Whoever answers, but with old figures, is stale before all else. */
struct state_words state_words(const struct drawing *drawing, const struct row *row)
{
    const struct signs *signs = drawing->signs;
    const struct {
        const char *state, *sign, *word, *brief;
        enum style style;
    } states[] = {
        {"ready", signs->live, "ready", "ready", STYLE_GOOD},
        {"loading", signs->half, "LOADING", "LOADING", STYLE_DIM},
        {"starting", signs->half, "STARTING", "STARTING", STYLE_DIM},
        {"sleeping", signs->hollow, "SLEEPING", "SLEEPING", STYLE_DIM},
        {"metrics-disabled", signs->dotted, "NO METRICS", "NO METR.", STYLE_WARNING},
        {"unreachable", signs->cross, "UNREACHABLE", "UNREACH.", STYLE_CRITICAL},
    };
    const char *state = row->model->state ? row->model->state : "";
    struct state_words words = {signs->dotted, STYLE_WARNING, "", "", false};
    bool is_ready = strcmp(state, "ready") == 0;

    if (is_faded(drawing, row->host) && !drawing->view->is_recording)
        return words_of_silent(drawing, row->host);
    set_words(&words, state[0] ? state : "--", state[0] ? state : "--");
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        if (strcmp(state, states[i].state) != 0)
            continue;
        words.sign = states[i].sign;
        words.style = states[i].style;
        words.is_badge =
            states[i].style == STYLE_WARNING || states[i].style == STYLE_CRITICAL;
        set_words(&words, states[i].word, states[i].brief);
    }
    if (row->model->stale && is_ready) {
        words.sign = signs->alarm;
        stale_words(&words, row);
    } else if (is_ready && was_restarted(drawing, row)) {
        words.is_badge = true;
        set_words(&words, "RESTARTED", "RESTART.");
    }
    return words;
}
