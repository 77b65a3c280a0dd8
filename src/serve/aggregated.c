// SPDX-License-Identifier: Apache-2.0
#include "serve/aggregated.h"

#include "base/number.h"
#include "encode/json.h"
#include "history/aggregate.h"

#include <math.h>

enum {
    WINDOW_SECONDS = 5, // where none is asked for
    WINDOW_SECONDS_MAX = 60,
};

#define NS_PER_S 1000000000ULL

struct aggregated {
    struct board *board;
    struct buf models; // the newest rows
    struct ring_sample samples[RING_SAMPLES];
    double values[RING_SAMPLES]; // of one figure
};

static const struct {
    const char *key;
    unsigned decimals; // 0: bytes, which are int64
} figures[RING_FIGURES] = {
    [RING_ALLOCATED_BYTES] = {"allocated_vram_bytes", 0},
    [RING_KV_USED_BYTES] = {"used_kv_cache_bytes", 0},
    [RING_HIT_PERCENT] = {"prefix_cache_hit_rate", 2},
    [RING_REQUESTS_RUNNING] = {"num_requests_running", 2},
    [RING_REQUESTS_WAITING] = {"num_requests_waiting", 2},
};

int aggregated_new(struct board *board, struct aggregated **ret)
{
    struct aggregated *aggregated = calloc(1, sizeof(*aggregated));

    if (!aggregated)
        return -ENOMEM;
    aggregated->board = board;
    buf_init(&aggregated->models, SEED_EVENT_MAX);
    *ret = aggregated;
    return 0;
}

void aggregated_free(struct aggregated *aggregated)
{
    if (!aggregated)
        return;
    buf_done(&aggregated->models);
    free(aggregated);
}

/* The next of a=1&b=2. False: there is none left. */
static bool take_item(struct span *query, struct span *ret)
{
    const char *end = query->len ? memchr(query->at, '&', query->len) : NULL;
    size_t len = end ? (size_t)(end - query->at) : query->len;

    if (query->len == 0)
        return false;
    *ret = (struct span){query->at, len};
    len += end != NULL;
    *query = (struct span){query->at + len, query->len - len};
    return true;
}

int aggregated_read_window(struct span query, unsigned *ret_seconds)
{
    static const char name[] = "window";
    const size_t name_len = strlen(name);
    uint64_t seconds = WINDOW_SECONDS;
    bool given = false;
    struct span item;

    while (take_item(&query, &item)) {
        if (item.len < name_len || memcmp(item.at, name, name_len) != 0)
            continue;
        if (item.len > name_len && item.at[name_len] != '=')
            continue; // another's name begins with it
        if (given || item.len == name_len)
            return -EINVAL;
        given = true;
        item = (struct span){item.at + name_len + 1, item.len - name_len - 1};
        if (number_read_u64(item, WINDOW_SECONDS_MAX, &seconds) < 0 || seconds == 0)
            return -EINVAL;
    }
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

/* {"min":...,"max":...,"avg":...,"p95":...,"p99":...,"count":N} */
static void write_figure(struct aggregated *aggregated, size_t n, enum ring_figure figure,
                         struct buf *out)
{
    unsigned decimals = figures[figure].decimals;
    struct aggregate sum;

    for (size_t i = 0; i < n; i++)
        aggregated->values[i] = aggregated->samples[i].figures[figure];
    aggregate(aggregated->values, n, &sum);
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
    struct board_past past = {.since_ns = now_ns - MIN(window_seconds * NS_PER_S, now_ns),
                              .samples = aggregated->samples,
                              .models = &aggregated->models};
    int r;

    buf_clear(past.models);
    r = board_look_back(aggregated->board, &past);
    if (r == 0)
        r = past.models->error;
    if (r < 0)
        return r;
    buf_add_str(out, "{\"total_vram_bytes\":");
    json_u64(out, past.total_bytes);
    for (size_t i = 0; i < RING_FIGURES; i++)
        write_figure(aggregated, past.n, (enum ring_figure)i, out);
    buf_printf(out,
               ",\"window_seconds\":%u,\"sample_count\":%zu,\"models\":", window_seconds,
               past.n);
    buf_add(out, past.models->data, past.models->len);
    buf_add_str(out, "}\n");
    return 0;
}
