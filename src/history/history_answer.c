// SPDX-License-Identifier: Apache-2.0
#include "history/history_answer.h"

#include "encode/json.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

enum {
    POINTS_AT_ONCE = 128,
    PIECE_FULL = HISTORY_PIECE_BYTES - 4096, // no row is longer than what is left
};

struct history_answer {
    struct history_query query;
    struct history_source source;
    struct history_series *series;
    size_t n_series;
    bool begun;
    bool in_series;   // the head of series[at] is written
    size_t at;        // series being written
    int64_t from_ms;  // where its next points begin
    bool first_point; // none of it is written yet
    bool last_points; // there are no more than those that were read
    size_t n_points, next_point;
    struct history_point points[POINTS_AT_ONCE];
};

static const struct {
    const char *name;
    double unit;            // of a sample in one of what is published
    unsigned mean_decimals; // 0: whole, as bytes are
    unsigned decimals;      // of a sample
} columns[] = {
    [PAST_ALLOCATED_BYTES] = {"allocated_vram_bytes", 1, 0, 0},
    [PAST_KV_USED_BYTES] = {"used_kv_cache_bytes", 1, 0, 0},
    [PAST_KV_POOL_BYTES] = {"kv_pool_bytes", 1, 0, 0},
    [PAST_HIT_PPM] = {"prefix_cache_hit_rate", 1e4, 4, 4},
    [PAST_REQUESTS_RUNNING] = {"num_requests_running", 1, 3, 0},
    [PAST_REQUESTS_WAITING] = {"num_requests_waiting", 1, 3, 0},
};

int history_answer_new(const struct history_query *query,
                       const struct history_source *source, struct history_answer **ret)
{
    struct history_answer *answer = calloc(1, sizeof(*answer));

    if (!answer)
        return -ENOMEM;
    answer->query = *query;
    answer->source = *source;
    *ret = answer;
    return 0;
}

void history_answer_free(struct history_answer *answer)
{
    if (!answer)
        return;
    free(answer->series);
    free(answer);
}

/* There may be thousands of names on disk, and are a few. */
static int find_series(struct history_answer *answer)
{
    static const size_t rooms[] = {64, 512, STORE_SERIES_MAX + 1};
    ssize_t n = -E2BIG;

    for (size_t i = 0; i < ARRAY_LEN(rooms) && n == -E2BIG; i++) {
        struct history_series *series =
            realloc(answer->series, rooms[i] * sizeof(*series));

        if (!series)
            return -ENOMEM;
        answer->series = series;
        n = answer->source.series(answer->source.ctx, &answer->query.span, series,
                                  rooms[i]);
    }
    if (n < 0)
        return (int)n;
    answer->n_series = (size_t)n;
    return 0;
}

static void add_name(struct buf *out, const char *name, const char *suffix, bool quoted)
{
    buf_printf(out, quoted ? ",\"%s%s\"" : ",%s%s", name, suffix);
}

/* The names of the columns after the first, each after a comma. */
static void add_columns(struct buf *out, bool quoted)
{
    add_name(out, "count", "", quoted);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        add_name(out, columns[i].name, "_avg", quoted);
        add_name(out, columns[i].name, "_min", quoted);
        add_name(out, columns[i].name, "_max", quoted);
    }
    add_name(out, "preemptions", "", quoted);
}

static void add_head(const struct history_answer *answer, struct buf *out)
{
    const struct history_span *span = &answer->query.span;

    if (answer->query.format == HISTORY_CSV) {
        buf_add_str(out, "time,model,model_id,port");
        add_columns(out, false);
        buf_add_str(out, "\r\n");
        return;
    }
    buf_printf(out, "{\"from_ms\":%lld,\"to_ms\":%lld,\"step_ms\":%lld,\"columns\":[",
               (long long)span->from_ms, (long long)span->to_ms,
               (long long)span->step_ms);
    buf_add_str(out, "\"unix_ms\"");
    add_columns(out, true);
    buf_add_str(out, "],\"series\":[");
}

/* Of `decimals`, 0: whole. What is not known is null, or in CSV nothing. */
static void add_number(struct buf *out, double value, unsigned decimals, bool csv)
{
    bool known = isfinite(value) && value >= 0 && value < 1e15;

    buf_add_char(out, ',');
    if (!known)
        buf_add_str(out, csv ? "" : "null");
    else if (decimals)
        json_fixed(out, value, decimals);
    else
        buf_add_u64(out, (uint64_t)llround(value));
}

static void add_figures(struct buf *out, const struct history_point *point, bool csv)
{
    buf_add_char(out, ',');
    buf_add_u64(out, point->count);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        const struct history_figure *figure = &point->figures[i];
        unsigned decimals = columns[i].decimals;
        double unit = columns[i].unit;

        add_number(out, figure->mean / unit, columns[i].mean_decimals, csv);
        add_number(out, figure->min / unit, decimals, csv);
        add_number(out, figure->max / unit, decimals, csv);
    }
    add_number(out, point->preemptions, 0, csv);
}

/*
 * A name is an engine's to choose: one that a spreadsheet would take for a formula gets a
 * quote before it, and one with a comma or a quote is in quotes.
 */
static void add_cell(struct buf *out, const char *text)
{
    bool formula = *text && strchr("=+-@\t\r", *text);

    buf_add_char(out, ',');
    if (!formula && !strpbrk(text, ",\"\r\n;'")) {
        buf_add_str(out, text);
        return;
    }
    buf_add_str(out, formula ? "\"'" : "\"");
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            buf_add_char(out, '"');
        buf_add_char(out, *c);
    }
    buf_add_char(out, '"');
}

static void add_time(struct buf *out, int64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm = {0};

    (void)gmtime_r(&seconds, &tm); // fails past the year 2^31 only
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
               tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
               (int)(unix_ms % 1000));
}

static void add_csv_point(struct buf *out, const struct history_series *series,
                          const struct history_point *point)
{
    add_time(out, point->unix_ms);
    if (series->is_host) {
        buf_add_str(out, ",,,");
    } else {
        add_cell(out, series->of.served_name);
        add_cell(out, series->of.id);
        buf_printf(out, ",%u", series->of.port);
    }
    add_figures(out, point, true);
    buf_add_str(out, "\r\n");
}

static void add_json_point(struct buf *out, const struct history_point *point, bool first)
{
    buf_printf(out, "%s[%lld", first ? "" : ",", (long long)point->unix_ms);
    add_figures(out, point, false);
    buf_add_char(out, ']');
}

static void begin_series(struct history_answer *answer, struct buf *out)
{
    const struct history_series *series = &answer->series[answer->at];

    answer->in_series = true;
    answer->first_point = true;
    answer->last_points = false;
    answer->from_ms = answer->query.span.from_ms;
    answer->n_points = answer->next_point = 0;
    if (answer->query.format == HISTORY_CSV)
        return;
    buf_add_str(out, answer->at ? ",{\"model\":" : "{\"model\":");
    if (series->is_host) {
        buf_add_str(out, "null,\"model_id\":null,\"port\":null,\"points\":[");
        return;
    }
    json_quote(out, series->of.served_name);
    buf_add_str(out, ",\"model_id\":");
    json_quote(out, series->of.id);
    buf_printf(out, ",\"port\":%u,\"points\":[", series->of.port);
}

static void end_series(struct history_answer *answer, struct buf *out)
{
    if (answer->query.format == HISTORY_JSON)
        buf_add_str(out, "]}");
    answer->in_series = false;
    answer->at++;
}

static int read_points(struct history_answer *answer)
{
    ssize_t n = answer->source.points(answer->source.ctx, &answer->query.span,
                                      answer->series[answer->at].number, &answer->from_ms,
                                      answer->points, POINTS_AT_ONCE);

    if (n < 0)
        return (int)n;
    answer->n_points = (size_t)n;
    answer->next_point = 0;
    answer->last_points = n == 0;
    return 0;
}

static void add_point(struct history_answer *answer, struct buf *out)
{
    const struct history_point *point = &answer->points[answer->next_point++];

    if (answer->query.format == HISTORY_CSV)
        add_csv_point(out, &answer->series[answer->at], point);
    else
        add_json_point(out, point, answer->first_point);
    answer->first_point = false;
}

static int begin_answer(struct history_answer *answer, struct buf *out)
{
    int r = find_series(answer);

    if (r < 0)
        return r;
    add_head(answer, out);
    answer->begun = true;
    return 1;
}

/* One more series, points or end. 0: that was the end. */
static int write_some(struct history_answer *answer, struct buf *out)
{
    if (!answer->begun)
        return begin_answer(answer, out);
    if (answer->at == answer->n_series) {
        if (answer->query.format == HISTORY_JSON)
            buf_add_str(out, "]}\n");
        return 0;
    }
    if (!answer->in_series) {
        begin_series(answer, out);
    } else if (answer->next_point < answer->n_points) {
        add_point(answer, out);
    } else if (answer->last_points) {
        end_series(answer, out);
    } else {
        int r = read_points(answer);

        return r < 0 ? r : 1;
    }
    return 1;
}

int history_answer_next(struct history_answer *answer, struct buf *out)
{
    size_t full = out->len + PIECE_FULL;
    int r = 1;

    while (r > 0 && out->len < full && !out->error)
        r = write_some(answer, out);
    return out->error ? out->error : r;
}
