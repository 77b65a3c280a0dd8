// SPDX-License-Identifier: Apache-2.0
/*
 * What history on disk costs: a day of a host with 16 busy models at 2 Hz goes through
 * past_add(), a reader and store_add_moment() in batches of a minute, with trimming as
 * the daemon does it; time is injected. Then ranges are read as `/v1/history` reads them.
 * Usage: bench_history [FOLDER] [HOURS] [SECONDS OF A BATCH]
 */
#include "history/store.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

enum { MODELS = 16, TICK_MS = 500, POINTS = 11000, TIMES_MAX = 1 << 17 };

#define START_MS INT64_C(1790000000000)
#define HOUR_MS INT64_C(3600000)

static uint64_t dice = 88172645463325252;
static uint64_t batch_ticks;
static float batch_ms[TIMES_MAX];
static size_t n_batches;

static uint64_t roll(uint64_t below)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % below;
}

static double now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Of a file in /proc/self, the number behind a name. */
static long long own_number(const char *file_name, const char *name)
{
    FILE *file = fopen(file_name, "r");
    char line[128];
    long long number = -1;

    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtoll(line + strlen(name), NULL, 10);
    if (file)
        (void)fclose(file);
    return number;
}

static long long rss_kib(void)
{
    return own_number("/proc/self/status", "VmRSS:");
}

/* KV in use wanders by blocks of 2 MiB, as many requests come as go. */
static void make_model(struct snapshot_model *model, uint32_t i, uint64_t tick)
{
    static uint64_t blocks[MODELS], preemptions[MODELS], running[MODELS];
    const uint64_t pool = 7000 + 100 * i;

    if (model->port == 0) {
        (void)snprintf(model->served_name, sizeof(model->served_name),
                       "organisation/model-%u-instruct", i);
        snapshot_make_id(model->served_name, model->id);
        model->port = (uint16_t)(8000 + i);
    }
    blocks[i] = (blocks[i] + roll(81) + pool - 40) % pool;
    running[i] = (running[i] + roll(3) + 255) % 256;
    preemptions[i] += roll(50) == 0;
    model->allocated_bytes.value = (uint64_t)40 << 30 | i << 21;
    model->kv_pool_bytes.value = pool << 21;
    model->kv_used_bytes.value = blocks[i] << 21;
    model->page.requests_running = running[i];
    model->page.requests_waiting = roll(4) ? 0 : roll(20);
    model->page.preemptions = preemptions[i];
    model->prefix_minute.queries = 1e6;
    model->prefix_minute.hits = 5e5 + 1e5 * sin((double)tick / 600) + (double)roll(1000);
}

static void make_snapshot(struct snapshot *snapshot, uint64_t tick)
{
    snapshot->taken_ns = (tick + 1) * TICK_MS * 1000000;
    snapshot->unix_ms = (uint64_t)START_MS + tick * TICK_MS;
    snapshot->allocated_bytes = figure_of((uint64_t)640 << 30, MEASURED, NULL);
    snapshot->hit_percent = 50;
    snapshot->n_models = MODELS;
    for (uint32_t i = 0; i < MODELS; i++)
        make_model(&snapshot->models[i], i, tick);
}

static int write_batch(struct store *store, struct past *past, struct past_reader *reader)
{
    const struct past_moment *moment;
    int64_t last_ms = 0;
    double began_ms = now_ms();
    int r = 0;

    for (moment = past_reader_next(reader); r == 0 && moment;
         moment = past_reader_next(reader)) {
        r = store_add_moment(store, past, moment);
        last_ms = moment->unix_ms;
    }
    if (r == 0)
        r = store_commit(store);
    if (n_batches < TIMES_MAX)
        batch_ms[n_batches++] = (float)(now_ms() - began_ms);
    while (r == 0 && last_ms) {
        r = store_trim(store, last_ms);
        if (r == 0)
            break;
        r = r < 0 ? r : 0;
    }
    return r;
}

static int write_all(struct store *store, uint64_t ticks)
{
    struct snapshot_pool *pool = NULL;
    struct past *past = NULL;
    struct past_reader *reader = NULL;
    struct snapshot *snapshot;
    int r = 0;

    if (snapshot_pool_new(&pool) < 0 || past_new(PAST_BYTES, &past) < 0 ||
        past_reader_new(past, &reader) < 0)
        return -ENOMEM;
    snapshot = snapshot_new(pool);
    if (!snapshot)
        return -ENOMEM;
    (void)printf("RSS with the past in memory: %lld KiB\n", rss_kib());
    for (uint64_t tick = 0; r == 0 && tick < ticks; tick++) {
        make_snapshot(snapshot, tick);
        past_add(past, snapshot);
        if ((tick + 1) % batch_ticks == 0)
            r = write_batch(store, past, reader);
        if (tick == ticks / 2)
            (void)printf(
                "RSS while it is written: %lld KiB, of SQLite %lld KiB (at most %lld)\n",
                rss_kib(), (long long)sqlite3_memory_used() / 1024,
                (long long)sqlite3_memory_highwater(0) / 1024);
    }
    snapshot_unref(snapshot);
    snapshot_pool_free(pool);
    past_reader_free(reader);
    past_free(past);
    return r;
}

static int compare_times(const void *a, const void *b)
{
    const float *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void tell_batches(double took_ms)
{
    double sum = 0;

    if (n_batches == 0)
        return;
    qsort(batch_ms, n_batches, sizeof(batch_ms[0]), compare_times);
    for (size_t i = 0; i < n_batches; i++)
        sum += (double)batch_ms[i];
    (void)printf("%zu batches of %" PRIu64
                 " moments of %d rows: mean %.2f ms, p99 %.2f ms, most %.1f "
                 "ms; all with trimming %.1f s, %.0f MB written\n",
                 n_batches, batch_ticks, MODELS + 1, sum / (double)n_batches,
                 (double)batch_ms[n_batches * 99 / 100], (double)batch_ms[n_batches - 1],
                 took_ms / 1e3,
                 (double)own_number("/proc/self/io", "write_bytes:") / 1e6);
}

/* One range, of one model or of all and the host, best of five. */
static void read_range(struct store *store, const char *what, const char *model,
                       int64_t to_ms, int64_t length_ms, int64_t step_ms)
{
    static struct history_series series[256];
    static struct history_point points[64];
    struct history_span span = {
        .from_ms = to_ms - length_ms, .to_ms = to_ms, .step_ms = step_ms};
    double best_ms = (double)INFINITY;
    size_t total = 0;

    (void)snprintf(span.model, sizeof(span.model), "%s", model);
    for (int turn = 0; turn < 5; turn++) {
        double began_ms = now_ms();
        ssize_t n = store_series(store, &span, series, 256);

        total = 0;
        for (ssize_t i = 0; i < n; i++) {
            int64_t from_ms = span.from_ms;
            ssize_t got;

            do {
                got = store_points(store, &span, series[i].number, &from_ms, points, 64);
                total += (size_t)MAX(got, (ssize_t)0);
            } while (got > 0);
        }
        best_ms = fmin(best_ms, now_ms() - began_ms);
    }
    (void)printf("%-34s %7zu points %8.1f ms\n", what, total, best_ms);
}

static int print_table(void *ctx, int n, char **values, char **names)
{
    double rows = n == 3 ? strtod(values[1], NULL) : 0;
    double bytes = n == 3 ? strtod(values[2], NULL) : 0;

    (void)ctx;
    (void)names;
    if (rows > 0)
        (void)printf("%-8s %9s rows %11s bytes: %.0f bytes a row, %.2f MB a model-day\n",
                     values[0], values[1], values[2], bytes / rows,
                     bytes / rows * 86400 / (strcmp(values[0], "slot") == 0 ? 10 : 0.5) /
                         1e6);
    return 0;
}

static void tell_size(const char *path)
{
    sqlite3 *db = NULL;
    struct stat status;

    if (stat(path, &status) == 0)
        (void)printf("the file: %.1f MB\n", (double)status.st_size / 1e6);
    if (sqlite3_open(path, &db) == SQLITE_OK)
        (void)sqlite3_exec(db,
                           "SELECT name, sum(ncell), sum(pgsize) FROM dbstat"
                           " WHERE name IN ('sample','slot') GROUP BY name",
                           print_table, NULL, NULL);
    (void)sqlite3_close(db);
}

static void read_all(struct store *store, int64_t end_ms)
{
    const char *one = "organisation/model-3-instruct";

    read_range(store, "6 h of one model, 40 s", one, end_ms, 6 * HOUR_MS, 40000);
    read_range(store, "6 h of one model, 36 s (full rate)", one, end_ms, 6 * HOUR_MS,
               36000);
    read_range(store, "6 h of 16 and the host, 40 s", "", end_ms, 6 * HOUR_MS, 40000);
    read_range(store, "6 h of 16 and the host, 36 s", "", end_ms, 6 * HOUR_MS, 36000);
    read_range(store, "24 h of one model, 10 s", one, end_ms, 24 * HOUR_MS, 10000);
    read_range(store, "24 h of 16 and the host, 150 s", "", end_ms, 24 * HOUR_MS, 150000);
    read_range(store, "1 h of one model, all rows", one, end_ms, HOUR_MS, 0);
}

int main(int argc, char **argv)
{
    const struct store_limits limits = {6 * HOUR_MS, 30 * 24 * HOUR_MS, 30 * 24 * HOUR_MS,
                                        512 << 20};
    uint64_t hours = argc > 2 ? strtoul(argv[2], NULL, 10) : 24;
    uint64_t seconds = argc > 3 ? strtoul(argv[3], NULL, 10) : 60;
    char path[PATH_MAX];
    struct complaint complaint;
    struct store *store = NULL;
    double began_ms;
    int r;

    (void)snprintf(path, sizeof(path), "%s/bench-history.db",
                   argc > 1 ? argv[1] : "/tmp");
    (void)unlink(path); // of a run before
    (void)printf("RSS at the start: %lld KiB\n", rss_kib());
    batch_ticks = MAX(seconds, (uint64_t)1) * 1000 / TICK_MS;
    began_ms = now_ms();
    r = store_open(path, &limits, &store, &complaint);
    if (r < 0) {
        (void)fprintf(stderr, "%s\n", complaint.text);
        return 1;
    }
    (void)printf("RSS with the store open: %lld KiB; it was made in %.1f ms\n", rss_kib(),
                 now_ms() - began_ms);
    began_ms = now_ms();
    r = write_all(store, hours * 3600 * 1000 / TICK_MS);
    if (r < 0) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(-r));
        return 1;
    }
    tell_batches(now_ms() - began_ms);
    read_all(store, START_MS + (int64_t)hours * HOUR_MS);
    (void)printf("RSS at the end: %lld KiB, SQLite at most %lld KiB\n", rss_kib(),
                 (long long)sqlite3_memory_highwater(0) / 1024);
    store_close(store);
    tell_size(path);
    (void)unlink(path);
    return 0;
}
