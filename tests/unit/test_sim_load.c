// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "sim/sim_load.h"

#define MS_NS 1000000U
#define S_NS 1000000000U

enum { STEPS = 1000 };

static const enum sim_value counters[] = {
    SIM_PREFIX_QUERIES,  SIM_PREFIX_HITS,    SIM_PREEMPTIONS,       SIM_PROMPT_TOKENS,
    SIM_PROMPT_COMPUTED, SIM_PROMPT_CACHED,  SIM_GENERATION_TOKENS, SIM_FINISHED_STOP,
    SIM_FINISHED_LENGTH, SIM_FINISHED_ABORT,
};

static struct sim_load *make(struct sim_load_options options)
{
    struct sim_load *load = NULL;

    assert_int_equal(sim_load_new(&options, &load), 0);
    return load;
}

/* Pools of all shapes, each under each pattern. */
static const struct {
    const char *row;
    uint64_t kv_blocks, block_size;
} pools[] = {
    {"usual", 4096, 16},         {"small", 257, 16},           {"smallest", 5, 16},
    {"one usable block", 2, 64}, {"token blocks", 65, 1},      {"hybrid", 208, 784},
    {"huge blocks", 2, 2096},    {"real opt-125m", 25028, 16}, {"large", 300000, 16},
};

static double value_of(const struct sim_load *load, size_t engine, enum sim_value value)
{
    return sim_load_stats(load, engine)->values[value];
}

static void check_gauges(const char *row, const struct sim_load *load, size_t engine)
{
    const struct sim_stats *stats = sim_load_stats(load, engine);
    double usable = (double)(sim_load_options(load)->kv_blocks - 1);
    double used = stats->values[SIM_KV_USAGE] * usable;

    if (fabs(used - round(used)) > 1e-6 || (uint64_t)round(used) != stats->used_blocks ||
        used < 0 || used > usable)
        fail_msg("[%s] %f of %f blocks", row, used, usable);
    assert_true(stats->values[SIM_WAITING] == stats->values[SIM_WAITING_CAPACITY] +
                                                  stats->values[SIM_WAITING_DEFERRED]);
    if (stats->values[SIM_RUNNING] == 0)
        assert_int_equal(stats->used_blocks, 0);
    else
        assert_true(stats->used_blocks > 0);
}

static void check_counters(const char *row, const struct sim_load *load, size_t engine,
                           double *last)
{
    const double *values = sim_load_stats(load, engine)->values;
    double block_size = (double)sim_load_options(load)->block_size;

    for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
        double value = values[counters[i]];

        if (value < last[i])
            fail_msg("[%s] counter %zu fell from %f to %f", row, i, last[i], value);
        last[i] = value;
    }
    assert_true(values[SIM_PREFIX_HITS] <= values[SIM_PREFIX_QUERIES]);
    assert_true(fmod(values[SIM_PREFIX_HITS], block_size) == 0);
    assert_true(values[SIM_PROMPT_TOKENS] ==
                values[SIM_PROMPT_COMPUTED] + values[SIM_PROMPT_CACHED]);
}

static void test_every_step_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pools); i++) {
        for (int pattern = 0; pattern < SIM_PATTERNS; pattern++) {
            double last[2][ARRAY_LEN(counters)] = {0};
            struct sim_load *load =
                make((struct sim_load_options){2, pools[i].kv_blocks, pools[i].block_size,
                                               (enum sim_pattern)pattern, 7});

            for (unsigned step = 0; step < STEPS; step++) {
                sim_load_advance(load, 37 * MS_NS);
                for (size_t engine = 0; engine < 2; engine++) {
                    check_gauges(pools[i].row, load, engine);
                    check_counters(pools[i].row, load, engine, last[engine]);
                }
            }
            sim_load_free(load);
        }
    }
}

static void test_same_seed_same_history(void **state)
{
    struct sim_load_options options = {2, 4096, 16, SIM_BURST, 42};
    struct sim_load *even = make(options), *uneven = make(options), *other;

    (void)state;
    options.seed++;
    other = make(options);
    for (unsigned i = 0; i < 40; i++)
        sim_load_advance(even, 500 * MS_NS);
    sim_load_advance(uneven, 1);
    sim_load_advance(uneven, 0);
    sim_load_advance(uneven, 7 * (uint64_t)S_NS);
    sim_load_advance(uneven, 13 * (uint64_t)S_NS - 1);
    sim_load_advance(other, 20 * (uint64_t)S_NS);

    for (size_t engine = 0; engine < 2; engine++) {
        assert_memory_equal(sim_load_stats(even, engine), sim_load_stats(uneven, engine),
                            sizeof(struct sim_stats));
        assert_memory_not_equal(sim_load_stats(even, engine),
                                sim_load_stats(other, engine), sizeof(struct sim_stats));
    }
    assert_memory_not_equal(sim_load_stats(even, 0), sim_load_stats(even, 1),
                            sizeof(struct sim_stats));
    sim_load_free(even);
    sim_load_free(uneven);
    sim_load_free(other);
}

struct seen {
    double min, max, mean;
};

static struct seen watch_usage(const struct sim_load_options *options, unsigned seconds)
{
    struct sim_load *load = make(*options);
    struct seen seen = {1, 0, 0};

    sim_load_advance(load, 10 * (uint64_t)S_NS); // warm up
    for (unsigned i = 0; i < seconds; i++) {
        double usage;

        sim_load_advance(load, S_NS);
        usage = value_of(load, 0, SIM_KV_USAGE);
        seen.min = fmin(seen.min, usage);
        seen.max = fmax(seen.max, usage);
        seen.mean += usage / seconds;
    }
    sim_load_free(load);
    return seen;
}

static void test_patterns_look_as_named(void **state)
{
    static const struct {
        const char *row;
        enum sim_pattern pattern;
        double min_low, min_high, max_low, max_high, mean_low, mean_high;
    } rows[] = {
        {"steady", SIM_STEADY, 0.15, 0.40, 0.45, 0.75, 0.30, 0.60},
        {"sine", SIM_SINE, 0.00, 0.20, 0.65, 1.00, 0.30, 0.60},
        {"burst", SIM_BURST, 0.00, 0.05, 0.95, 1.00, 0.30, 0.90},
        {"idle", SIM_IDLE, 0, 0, 0, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sim_load_options options = {1, 4096, 16, rows[i].pattern, 1};
        struct seen seen = watch_usage(&options, 120);

        if (seen.min < rows[i].min_low || seen.min > rows[i].min_high ||
            seen.max < rows[i].max_low || seen.max > rows[i].max_high ||
            seen.mean < rows[i].mean_low || seen.mean > rows[i].mean_high)
            fail_msg("[%s] min %f max %f mean %f", rows[i].row, seen.min, seen.max,
                     seen.mean);
    }
}

static void test_burst_preempts_and_queues(void **state)
{
    struct sim_load *load = make((struct sim_load_options){1, 4096, 16, SIM_BURST, 1});
    double waiting = 0;

    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        sim_load_advance(load, S_NS);
        waiting = fmax(waiting, value_of(load, 0, SIM_WAITING));
    }
    assert_true(waiting > 10);
    assert_true(value_of(load, 0, SIM_PREEMPTIONS) > 0);
    assert_true(value_of(load, 0, SIM_FINISHED_STOP) > 100);
    assert_true(value_of(load, 0, SIM_FINISHED_LENGTH) > 0);
    sim_load_free(load);
}

/* Each request is counted once, however often it was preempted. */
static void test_books_agree_when_all_have_left(void **state)
{
    struct sim_load *load = make((struct sim_load_options){1, 1024, 16, SIM_BURST, 1});
    double finished = 0, queued = 0;
    const struct sim_stats *stats = sim_load_stats(load, 0);

    (void)state;
    for (unsigned i = 0; i < 60 * 20 || stats->values[SIM_RUNNING] > 0; i++)
        sim_load_advance(load, 50 * MS_NS);
    assert_true(stats->values[SIM_PREEMPTIONS] > 0);
    assert_true(stats->values[SIM_WAITING] == 0);
    assert_true(stats->values[SIM_PREFIX_QUERIES] == stats->values[SIM_PROMPT_TOKENS]);
    assert_true(stats->values[SIM_PREFIX_HITS] == stats->values[SIM_PROMPT_CACHED]);
    assert_true(stats->values[SIM_PROMPT_TOKENS] ==
                stats->histograms[SIM_REQUEST_PROMPT_TOKENS].sum);
    assert_true(stats->values[SIM_GENERATION_TOKENS] ==
                stats->histograms[SIM_REQUEST_GENERATION_TOKENS].sum);
    for (int i = SIM_FINISHED_STOP; i <= SIM_FINISHED_REPETITION; i++)
        finished += stats->values[i];
    for (size_t i = 0; i < SIM_BUCKETS_MAX; i++)
        queued += (double)stats->histograms[SIM_QUEUE_SECONDS].buckets[i];
    assert_true(queued == finished);
    sim_load_free(load);
}

static void test_idle_is_nothing_at_all(void **state)
{
    static const struct sim_stats idle = {.values[SIM_AWAKE] = 1};
    struct sim_load *load = make((struct sim_load_options){1, 4096, 16, SIM_IDLE, 1});

    (void)state;
    sim_load_advance(load, 60 * (uint64_t)S_NS);
    assert_memory_equal(sim_load_stats(load, 0), &idle, sizeof(idle));
    sim_load_free(load);
}

/* A prefix shorter than a block cannot be hit. */
static void test_hits_need_whole_blocks(void **state)
{
    struct sim_load *load = make((struct sim_load_options){1, 2, 2096, SIM_STEADY, 1});

    (void)state;
    sim_load_advance(load, 60 * (uint64_t)S_NS);
    assert_true(value_of(load, 0, SIM_PREFIX_QUERIES) > 0);
    assert_true(value_of(load, 0, SIM_PREFIX_HITS) == 0);
    sim_load_free(load);
}

static void test_refused_options(void **state)
{
    static const struct {
        const char *row;
        struct sim_load_options options;
    } rows[] = {
        {"no engine", {0, 4096, 16, SIM_STEADY, 1}},
        {"too many engines", {SIM_ENGINES_MAX + 1, 4096, 16, SIM_STEADY, 1}},
        {"no block", {1, 0, 16, SIM_STEADY, 1}},
        {"only the null block", {1, 1, 1024, SIM_STEADY, 1}},
        {"too few tokens", {1, 4, 16, SIM_STEADY, 1}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sim_load *load = NULL;

        if (sim_load_new(&rows[i].options, &load) != -EINVAL || load)
            fail_msg("[%s] was accepted", rows[i].row);
    }
    sim_load_free(NULL);
}

static void test_pattern_names(void **state)
{
    enum sim_pattern pattern = SIM_STEADY;

    (void)state;
    assert_true(sim_pattern_find("idle", &pattern));
    assert_int_equal(pattern, SIM_IDLE);
    assert_false(sim_pattern_find("", &pattern));
    assert_false(sim_pattern_find("Idle", &pattern));
    assert_int_equal(pattern, SIM_IDLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_step_is_sound),
        cmocka_unit_test(test_same_seed_same_history),
        cmocka_unit_test(test_patterns_look_as_named),
        cmocka_unit_test(test_burst_preempts_and_queues),
        cmocka_unit_test(test_books_agree_when_all_have_left),
        cmocka_unit_test(test_idle_is_nothing_at_all),
        cmocka_unit_test(test_hits_need_whole_blocks),
        cmocka_unit_test(test_refused_options),
        cmocka_unit_test(test_pattern_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
