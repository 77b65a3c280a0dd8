// SPDX-License-Identifier: Apache-2.0
/*
 * Write the history of a model as a daemon at two moments a second would have:
 *
 *   write_history FILE MODEL PORT POOL HOURS END_MS USUAL PEAK
 *
 * In bytes: a pool of POOL; of it USUAL in use, but PEAK in one moment in the middle.
 */
#include "history/store.h"

#include <inttypes.h>
#include <stdio.h>

enum { STEP_MS = 500, MOMENTS_AT_ONCE = 1000, ARGUMENTS = 9 };

struct plan {
    const char *model;
    uint16_t port;
    uint64_t pool, usual, peak;
    int64_t end_ms, n;
};

static int fail(const char *what, int r)
{
    (void)fprintf(stderr, "%s: %s\n", what, strerror(-r));
    return EXIT_FAILURE;
}

static void make_model(const struct plan *plan, int64_t i, struct snapshot_model *model)
{
    uint64_t used = i == plan->n / 2 ? plan->peak : plan->usual;

    (void)snprintf(model->served_name, sizeof(model->served_name), "%s", plan->model);
    snapshot_make_id(model->served_name, model->id);
    model->port = plan->port;
    model->allocated_bytes = figure_of(plan->pool, MEASURED, NULL);
    model->kv_pool_bytes = figure_of(plan->pool, DERIVED, NULL);
    model->kv_used_bytes = figure_of(used, DERIVED, NULL);
    engine_page_clear(&model->page);
    model->page.requests_running = 1 + (uint64_t)i % 5;
    model->page.requests_waiting = 0;
    model->page.preemptions = 0;
}

static int add(const struct plan *plan, int64_t i, struct snapshot_pool *pool,
               struct past *past)
{
    struct snapshot *snapshot = snapshot_new(pool);

    if (!snapshot)
        return -ENOMEM;
    snapshot->unix_ms = (uint64_t)(plan->end_ms - (plan->n - i) * STEP_MS);
    snapshot->taken_ns = (uint64_t)(i + 1) * STEP_MS * 1000000;
    snapshot->n_models = 1;
    make_model(plan, i, &snapshot->models[0]);
    past_add(past, snapshot);
    snapshot_unref(snapshot);
    return 0;
}

static int write_all_moments(const struct plan *plan, struct snapshot_pool *pool,
                             struct past *past, struct store *store)
{
    const struct past_moment *moment;
    struct past_reader *reader;
    int r = past_reader_new(past, &reader);

    for (int64_t i = 0; r == 0 && i < plan->n; i++) {
        r = add(plan, i, pool, past);
        moment = r == 0 ? past_reader_next(reader) : NULL;
        if (moment)
            r = store_add_moment(store, past, moment);
        if (r == 0 && (i % MOMENTS_AT_ONCE == 0 || i + 1 == plan->n))
            r = store_commit(store);
    }
    past_reader_free(reader);
    return r;
}

int main(int argc, char **argv)
{
    const struct store_limits limits = {.full_rate_ms = INT64_C(6) * 3600 * 1000,
                                        .slots_ms = INT64_C(30) * 24 * 3600 * 1000,
                                        .events_ms = INT64_C(30) * 24 * 3600 * 1000,
                                        .bytes = UINT64_C(512) << 20};
    struct complaint complaint = {""};
    struct snapshot_pool *pool;
    struct store *store;
    struct past *past;
    struct plan plan;
    int r;

    if (argc != ARGUMENTS)
        return fail("arguments", -EINVAL);
    plan = (struct plan){.model = argv[2],
                         .port = (uint16_t)strtoul(argv[3], NULL, 10),
                         .pool = strtoull(argv[4], NULL, 10),
                         .n = strtoll(argv[5], NULL, 10) * 3600 * 1000 / STEP_MS,
                         .end_ms = strtoll(argv[6], NULL, 10),
                         .usual = strtoull(argv[7], NULL, 10),
                         .peak = strtoull(argv[8], NULL, 10)};
    r = snapshot_pool_new(&pool);
    if (r == 0)
        r = past_new(PAST_BYTES, &past);
    if (r < 0)
        return fail("memory", r);
    r = store_open(argv[1], &limits, &store, &complaint);
    if (r < 0)
        return fail(complaint.text, r);
    r = write_all_moments(&plan, pool, past, store);
    store_close(store);
    past_free(past);
    snapshot_pool_free(pool);
    return r < 0 ? fail("write", r) : EXIT_SUCCESS;
}
