// SPDX-License-Identifier: Apache-2.0
#include "history/past.h"

#include "history/past_chunks.h"
#include "history/past_coder.h"

#include <math.h>
#include <pthread.h>

#define PPM 1e6

/* A name that is remembered, as some moment may be of it. */
struct series {
    uint32_t number;      // 0: free
    uint64_t last_chunk;  // the newest one that has a row of it
    uint64_t seen_in;     // the moment that had it last, counted from 1
    uint64_t preemptions; // its counter, when that was last known
    uint16_t port;
    char served_name[ENGINE_NAME_MAX + 1];
};

/* Who adds alone writes; only what others read as well, the series, takes the lock. */
struct past {
    struct past_chunks *chunks;
    uint32_t last_number;
    uint64_t preempted;           // of all models, since we are there
    uint64_t moments;             // added
    uint32_t used[PAST_ROWS_MAX]; // the series of each row last time: likely the same
    struct past_moment moment;
    struct past_coder coder;
    uint8_t bytes[PAST_ENCODED_MAX];
    pthread_mutex_t lock; // of what is below
    struct series series[PAST_SERIES_MAX];
};

int past_new(size_t bytes, struct past **ret)
{
    struct past *past = calloc(1, sizeof(*past));

    if (!past)
        return -ENOMEM;
    (void)pthread_mutex_init(&past->lock, NULL); // cannot fail
    if (past_chunks_new(bytes, &past->chunks) < 0) {
        past_free(past);
        return -ENOMEM;
    }
    *ret = past;
    return 0;
}

void past_free(struct past *past)
{
    if (!past)
        return;
    past_chunks_free(past->chunks);
    (void)pthread_mutex_destroy(&past->lock);
    free(past);
}

struct past_chunks *past_chunks_of(struct past *past)
{
    return past->chunks;
}

static uint64_t ppm_of(double ratio)
{
    return isnan(ratio) ? UNKNOWN : (uint64_t)round(fmin(fmax(ratio, 0), 1) * PPM);
}

static uint64_t allocated(const struct snapshot_model *model)
{
    return model->allocated_bytes.value;
}

static uint64_t kv_used(const struct snapshot_model *model)
{
    return model->kv_used_bytes.value;
}

static uint64_t kv_pool(const struct snapshot_model *model)
{
    return model->kv_pool_bytes.value;
}

/* Known as the document knows it: not where the engine has ratios in place of counters. */
static uint64_t hit_ppm(const struct snapshot_model *model)
{
    const struct hit_counts *minute = &model->prefix_minute;

    if (model->page.prefix_from_ratio || isnan(model->page.prefix.queries) ||
        !(minute->queries > 0))
        return UNKNOWN;
    return ppm_of(minute->hits / minute->queries);
}

static uint64_t running(const struct snapshot_model *model)
{
    return model->page.requests_running;
}

static uint64_t waiting(const struct snapshot_model *model)
{
    return model->page.requests_waiting;
}

static uint64_t preemptions(const struct snapshot_model *model)
{
    return model->page.preemptions;
}

typedef uint64_t figure_fn(const struct snapshot_model *model);

static figure_fn *const figures_of[PAST_FIGURES] = {
    [PAST_ALLOCATED_BYTES] = allocated, [PAST_KV_USED_BYTES] = kv_used,
    [PAST_KV_POOL_BYTES] = kv_pool,     [PAST_HIT_PPM] = hit_ppm,
    [PAST_REQUESTS_RUNNING] = running,  [PAST_REQUESTS_WAITING] = waiting,
    [PAST_PREEMPTIONS] = preemptions,
};

/* Over the models where it is known; of no models it is 0. */
static uint64_t sum_of(const struct snapshot *snapshot, figure_fn *figure_of_model)
{
    bool known = snapshot->n_models == 0;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        uint64_t value = figure_of_model(&snapshot->models[i]);

        if (value == UNKNOWN)
            continue;
        known = true;
        sum = add_saturating(sum, value);
    }
    return known ? sum : UNKNOWN;
}

static void fill_host(struct past_row *row, const struct snapshot *snapshot)
{
    row->series = PAST_HOST;
    for (size_t i = 0; i < PAST_FIGURES; i++)
        row->figures[i] = sum_of(snapshot, figures_of[i]);
    row->figures[PAST_ALLOCATED_BYTES] = snapshot->allocated_bytes.value;
    row->figures[PAST_HIT_PPM] = ppm_of(snapshot->hit_percent / 100);
}

/* Of two models that are called the same in one snapshot, each has a series of its own. */
static bool is_of(const struct series *series, const struct snapshot_model *model,
                  uint64_t moment)
{
    return series->number && series->seen_in != moment && series->port == model->port &&
           strcmp(series->served_name, model->served_name) == 0;
}

/* No moment that is still there can be of it. */
static bool is_free(const struct past *past, const struct series *series)
{
    return series->number == 0 || series->last_chunk < past_chunks_oldest(past->chunks);
}

static struct series *find_series(struct past *past, uint32_t row,
                                  const struct snapshot_model *model)
{
    if (is_of(&past->series[past->used[row]], model, past->moments))
        return &past->series[past->used[row]];
    for (size_t i = 0; i < PAST_SERIES_MAX; i++)
        if (is_of(&past->series[i], model, past->moments))
            return &past->series[i];
    return NULL;
}

/* NULL: every place is another's, or every number was. */
static struct series *new_series(struct past *past, const struct snapshot_model *model)
{
    size_t i = 0;

    while (i < PAST_SERIES_MAX && !is_free(past, &past->series[i]))
        i++;
    if (i == PAST_SERIES_MAX || past->last_number == UINT32_MAX)
        return NULL;
    (void)pthread_mutex_lock(&past->lock);
    past->series[i].number = ++past->last_number;
    past->series[i].preemptions = UNKNOWN;
    past->series[i].port = model->port;
    memcpy(past->series[i].served_name, model->served_name, sizeof(model->served_name));
    (void)pthread_mutex_unlock(&past->lock);
    return &past->series[i];
}

/*
 * The host's are those that its models were seen to have: their counters' sum would jump
 * with each model that comes, goes or is not known for a while.
 */
static void count_preemptions(struct past *past, struct series *series, uint64_t value)
{
    if (value == UNKNOWN)
        return;
    if (series->preemptions != UNKNOWN && value > series->preemptions)
        past->preempted = add_saturating(past->preempted, value - series->preemptions);
    series->preemptions = value;
}

/* A row of the moment. Where there is no room for the name it is left out. */
static void add_row(struct past *past, const struct snapshot_model *model)
{
    struct past_moment *moment = &past->moment;
    struct past_row *row = &moment->rows[moment->n_rows];
    struct series *series = find_series(past, moment->n_rows, model);

    if (!series)
        series = new_series(past, model);
    if (!series)
        return;
    series->seen_in = past->moments;
    // Until it is known which chunk it comes into: it is not free for the next row.
    series->last_chunk = UINT64_MAX;
    past->used[moment->n_rows++] = (uint32_t)(series - past->series);
    row->series = series->number;
    for (size_t i = 0; i < PAST_FIGURES; i++)
        row->figures[i] = figures_of[i](model);
    count_preemptions(past, series, row->figures[PAST_PREEMPTIONS]);
}

static void fill_moment(struct past *past, const struct snapshot *snapshot)
{
    struct past_moment *moment = &past->moment;

    moment->taken_ns = snapshot->taken_ns;
    moment->unix_ms = (int64_t)snapshot->unix_ms;
    moment->n_rows = 1;
    fill_host(&moment->rows[0], snapshot);
    for (uint32_t i = 0; i < snapshot->n_models; i++)
        add_row(past, &snapshot->models[i]);
    if (moment->rows[0].figures[PAST_PREEMPTIONS] != UNKNOWN)
        moment->rows[0].figures[PAST_PREEMPTIONS] = past->preempted;
}

void past_add(struct past *past, const struct snapshot *snapshot)
{
    bool in_another = false;
    uint64_t chunk;
    size_t len;

    past->moments++;
    fill_moment(past, snapshot);
    len = past_encode(&past->coder, &past->moment, past->bytes);
    if (!past_chunks_have_room(past->chunks, len)) {
        past_coder_reset(&past->coder); // each chunk is read without the one before
        len = past_encode(&past->coder, &past->moment, past->bytes);
        in_another = true;
    }
    chunk = past_chunks_add(past->chunks, past->moment.taken_ns, past->bytes, len,
                            in_another);
    for (uint32_t i = 1; i < past->moment.n_rows; i++)
        past->series[past->used[i]].last_chunk = chunk;
}

void past_clear(struct past *past)
{
    past_chunks_clear(past->chunks);
    (void)pthread_mutex_lock(&past->lock);
    for (size_t i = 0; i < PAST_SERIES_MAX; i++)
        past->series[i].number = 0;
    (void)pthread_mutex_unlock(&past->lock);
}

bool past_series(struct past *past, uint32_t series, struct past_series *ret)
{
    bool found = false;

    (void)pthread_mutex_lock(&past->lock);
    for (size_t i = 0; i < PAST_SERIES_MAX && !found; i++) {
        const struct series *one = &past->series[i];

        found = one->number == series && series != PAST_HOST;
        if (!found)
            continue;
        memcpy(ret->served_name, one->served_name, sizeof(ret->served_name));
        ret->port = one->port;
    }
    (void)pthread_mutex_unlock(&past->lock);
    if (found)
        snapshot_make_id(ret->served_name, ret->id);
    return found;
}

void past_span(struct past *past, uint64_t *ret_oldest_ns, uint64_t *ret_newest_ns)
{
    past_chunks_span(past->chunks, ret_oldest_ns, ret_newest_ns);
}
