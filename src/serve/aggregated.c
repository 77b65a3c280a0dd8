// SPDX-License-Identifier: Apache-2.0
#include "serve/aggregated.h"

#include "base/clock.h"
#include "encode/json.h"
#include "history/aggregate.h"
#include "serve/parameters.h"

#include <math.h>

enum {
    WINDOW_SECONDS = 5, // where none is asked for
    WINDOW_SECONDS_MAX = 60,
    SAMPLES_MAX = 640, // 60 s at 100 ms, and some for beats that come early
};

#define PPM_OF_PERCENT 1e4

static const struct {
    const char *key;
    enum past_figure figure;
    unsigned decimals; // 0: bytes, which are int64
    double unit;
} figures[] = {
    {"allocated_vram_bytes", PAST_ALLOCATED_BYTES, 0, 1},
    {"used_kv_cache_bytes", PAST_KV_USED_BYTES, 0, 1},
    {"prefix_cache_hit_rate", PAST_HIT_PPM, 2, PPM_OF_PERCENT},
    {"num_requests_running", PAST_REQUESTS_RUNNING, 2, 1},
    {"num_requests_waiting", PAST_REQUESTS_WAITING, 2, 1},
};

enum { FIGURES = ARRAY_LEN(figures) };

struct aggregated {
    struct board *board;
    struct past_reader *past;
    struct buf models;                   // the newest rows
    double values[FIGURES][SAMPLES_MAX]; // NAN: not known
};

int aggregated_new(struct board *board, struct aggregated **ret)
{
    struct aggregated *aggregated = calloc(1, sizeof(*aggregated));

    if (!aggregated)
        return -ENOMEM;
    aggregated->board = board;
    buf_init(&aggregated->models, SEED_EVENT_MAX);
    if (past_reader_new(board_past(board), &aggregated->past) < 0) {
        aggregated_free(aggregated);
        return -ENOMEM;
    }
    *ret = aggregated;
    return 0;
}

void aggregated_free(struct aggregated *aggregated)
{
    if (!aggregated)
        return;
    past_reader_free(aggregated->past);
    buf_done(&aggregated->models);
    free(aggregated);
}

int aggregated_read_window(struct span query, unsigned *ret_seconds)
{
    uint64_t seconds = WINDOW_SECONDS;
    int r = parameter_read_u64(query, "window", 1, WINDOW_SECONDS_MAX, &seconds);

    if (r < 0)
        return r;
    *ret_seconds = (unsigned)seconds;
    return 0;
}

static void write_number(struct buf *out, const char *key, double value,
                         unsigned decimals)
{
    buf_add_str(out, key);
    if (decimals || isnan(value))
        json_fixed(out, value, MAX(decimals, 1U));
    else
        buf_add_u64(out, value < (double)INT64_MAX ? (uint64_t)round(value) : INT64_MAX);
}

static double number_of(uint64_t value, double unit)
{
    return value == UNKNOWN ? (double)NAN : (double)value / unit;
}

/* Those taken after `since_ns` and until `newest_ns`, the newest of them: how many. */
static size_t take_samples(struct aggregated *aggregated, uint64_t since_ns,
                           uint64_t newest_ns)
{
    const struct past_moment *moment;
    size_t n = 0;

    past_reader_seek(aggregated->past, since_ns);
    for (;; n++) {
        moment = past_reader_next(aggregated->past);
        if (!moment || moment->taken_ns > newest_ns)
            return MIN(n, (size_t)SAMPLES_MAX);
        for (size_t i = 0; i < FIGURES; i++)
            aggregated->values[i][n % SAMPLES_MAX] =
                number_of(moment->rows[0].figures[figures[i].figure], figures[i].unit);
    }
}

/* {"min":...,"max":...,"avg":...,"p95":...,"p99":...,"count":N} */
static void write_figure(double *values, size_t n, size_t figure, struct buf *out)
{
    unsigned decimals = figures[figure].decimals;
    struct aggregate sum;

    aggregate(values, n, &sum);
    buf_add_str(out, ",\"");
    buf_add_str(out, figures[figure].key);
    write_number(out, "\":{\"min\":", sum.min, decimals);
    write_number(out, ",\"max\":", sum.max, decimals);
    write_number(out, ",\"avg\":", sum.mean, decimals);
    write_number(out, ",\"p95\":", sum.p95, decimals);
    write_number(out, ",\"p99\":", sum.p99, decimals);
    buf_add_str(out, ",\"count\":");
    buf_add_u64(out, sum.count);
    buf_add_char(out, '}');
}

int aggregated_write(struct aggregated *aggregated, unsigned window_seconds,
                     uint64_t now_ns, struct buf *out)
{
    uint64_t since_ns = now_ns - MIN(window_seconds * NS_PER_S, now_ns);
    struct buf *models = &aggregated->models;
    struct board_newest newest;
    size_t n;
    int r;

    buf_clear(models);
    r = board_newest(aggregated->board, models, &newest);
    if (r == 0)
        r = models->error;
    if (r < 0)
        return r;
    // The newest holds until the next, however old it is.
    since_ns = MIN(since_ns, newest.taken_ns - MIN(newest.taken_ns, (uint64_t)1));
    n = take_samples(aggregated, since_ns, newest.taken_ns);
    buf_add_str(out, "{\"total_vram_bytes\":");
    json_u64(out, newest.total_bytes);
    for (size_t i = 0; i < FIGURES; i++)
        write_figure(aggregated->values[i], n, i, out);
    buf_printf(out,
               ",\"window_seconds\":%u,\"sample_count\":%zu,\"models\":", window_seconds,
               n);
    buf_add(out, models->data, models->len);
    buf_add_str(out, "}\n");
    return 0;
}
