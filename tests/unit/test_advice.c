// SPDX-License-Identifier: Apache-2.0
#include "advice_stage.h"

static void test_the_check_itself(void **state)
{
    static const char *const right[] = {
        "a: 6 x 7 = 42 blocks",
        "b: 5 x (10 + 2) / 7 = 9 bytes (0.00 GiB), rounded up",
        "c: 10 bytes / 4 x 2 = 5 blocks, rounded up",
        "d: (8 - 3) / 8 = 0.625, rounded up",
        "e: 86400 s / 3600 = 24.0 hours, 3 samples",
        "f without one"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(right); i++)
        check_line("right", right[i]);
}

static uint64_t burst(uint64_t i, uint64_t n)
{
    return i == n / 3 ? 9000 : 800 + i % 7;
}

static uint64_t nothing(uint64_t i, uint64_t n)
{
    (void)i, (void)n;
    return 0;
}

static uint64_t most_of_many(uint64_t i, uint64_t n)
{
    return i == n / 2 ? 83000 : 80000;
}

/* What differs from the usual one, what the best size is in blocks, and what is said. */
static const struct scene {
    const char *row;
    struct scene_model differs; // where not 0; `error` and `hours` likewise
    uint64_t best;              // blocks of each engine, as vLLM counts; U: no shrinking
    enum advice_confidence confidence;
    const char *words; // in the text
} scenes[] = {
    {"over-provisioned", {0}, 5769, CONFIDENCE_MEDIUM, "room for another copy of it"},
    {"for two days", {.hours = 48}, 5769, CONFIDENCE_HIGH, "48.0 hours"},
    {"for a little less", {.hours = 47.9}, 5769, CONFIDENCE_MEDIUM, "47.9 hours"},
    {"for five hours", {.hours = 5.9}, 5769, CONFIDENCE_LOW, "5.9 hours"},
    {"for a quarter of an hour", {.hours = 0.25}, 5769, CONFIDENCE_LOW, "15 minutes"},
    {"not yet", {.hours = 0.2498}, U, 0, NULL},
    {"tight", {.load = tight}, U, 0, NULL},
    {"in bursts", {.load = burst}, 9901, CONFIDENCE_MEDIUM, "bursts"},
    {"one request is the least",
     {.load = little},
     2049,
     CONFIDENCE_MEDIUM,
     "--max-model-len"},
    {"by the engine's own count: 6250 blocks for a request, of unlike layers",
     {.load = little, .size_tokens = 104857},
     6251,
     CONFIDENCE_MEDIUM,
     "greatest length"},
    {"a request as large as the pool",
     {.load = little, .max_model_len = 320000},
     U,
     0,
     NULL},
    {"its greatest length is not known", {.max_model_len = U}, U, 0, NULL},
    {"how its layers share blocks is not known", {.groups = U}, U, 0, NULL},
    {"two groups of layers: each takes 2048 blocks and one more",
     {.groups = 2, .load = nothing},
     4099,
     CONFIDENCE_MEDIUM,
     "greatest length"},
    {"five groups of layers, and it tells what fits",
     {.groups = U, .size_tokens = 64000, .load = nothing},
     10241,
     CONFIDENCE_MEDIUM,
     "greatest length"},
    {"TP 2", {.gpus = 2, .devices = 3}, 5769, CONFIDENCE_MEDIUM, "room for another copy"},
    {"DP 2: one may have held all",
     {.engines = 2, .devices = 3},
     5769,
     CONFIDENCE_MEDIUM,
     NULL},
    {"DP 2 with TP 2",
     {.engines = 2, .gpus = 2, .devices = 15},
     5769,
     CONFIDENCE_MEDIUM,
     NULL},
    {"like MLA: the same on each of 4 GPUs, 64 tokens in 4497408 bytes",
     {.gpus = 4, .devices = 15, .block_bytes = 4497408, .blocks = 9000},
     5769,
     CONFIDENCE_MEDIUM,
     NULL},
    {"an odd number of bytes", {.block_bytes = 2097151}, 5769, CONFIDENCE_MEDIUM, NULL},
    {"an estimate within a block", {.error = 2 * MIB}, 5769, CONFIDENCE_MEDIUM, NULL},
    {"an estimate within 4 %", {.error = 800 * 2 * MIB}, 5769, CONFIDENCE_MEDIUM, NULL},
    {"an estimate without a bound", {.error = U}, U, 0, NULL},
    {"unknown pool", {.block_bytes = NO_WHERE}, U, 0, NULL},
    {"nobody came for a day", {.load = nothing}, 2049, CONFIDENCE_MEDIUM, "0.0 %"},
    {"nobody came for five hours", {.load = nothing, .hours = 5}, U, 0, NULL},
    {"preempting", {.preemptions_per_hour = 1}, U, 0, NULL},
    {"a small pool: too little to gain", {.block_bytes = 64 << 10}, U, 0, NULL},
    {"17 GiB to gain, which is not a tenth of it",
     {.blocks = 100000, .load = most_of_many},
     U,
     0,
     NULL},
    {"prefixes are cached in the rest",
     {.hit_percent = 61},
     5769,
     CONFIDENCE_MEDIUM,
     "61 % hits"},
};

static struct scene_model differing(const struct scene_model *d)
{
    struct scene_model m = usual;

    m.engines = d->engines ? d->engines : m.engines;
    m.gpus = d->gpus ? d->gpus : m.gpus;
    m.devices = d->devices ? d->devices : m.devices;
    m.blocks = d->blocks ? d->blocks : m.blocks;
    m.block_bytes = d->block_bytes ? d->block_bytes : m.block_bytes;
    m.block_bytes = m.block_bytes == NO_WHERE ? 0 : m.block_bytes;
    m.error = d->error;
    m.max_model_len = d->max_model_len ? d->max_model_len : m.max_model_len;
    m.size_tokens = d->size_tokens ? d->size_tokens : m.size_tokens;
    m.groups = d->groups ? d->groups : m.groups;
    m.load = d->load ? d->load : m.load;
    m.hours = d->hours > 0 ? d->hours : m.hours;
    m.preemptions_per_hour = d->preemptions_per_hour;
    m.hit_percent = d->hit_percent > 0 ? d->hit_percent : m.hit_percent;
    return m;
}

/*
 * With the size advised vLLM makes this many blocks of each GPU, if a block really takes
 * `block_bytes`; the error of an estimate may have been either way.
 */
static void check_size(const struct scene *scene, const struct scene_model *m,
                       const struct advice *advice)
{
    uint64_t pool = m->blocks * m->block_bytes;
    uint64_t most = (pool + m->error) / m->blocks,
             blocks = advice->kv_bytes_per_gpu / most;
    char option[64];

    if (blocks != scene->best && blocks != scene->best + 1)
        fail_msg("[%s] %llu blocks, not %llu", scene->row, (unsigned long long)blocks,
                 (unsigned long long)scene->best);
    if (advice->kv_bytes_per_gpu > (scene->best + 1) * most)
        fail_msg("[%s] more than a block too much", scene->row);
    if (advice->freed_bytes != pool - m->error - advice->kv_bytes_per_gpu)
        fail_msg("[%s] frees %llu", scene->row, (unsigned long long)advice->freed_bytes);
    (void)snprintf(option, sizeof(option), "--kv-cache-memory-bytes=%llu",
                   (unsigned long long)advice->kv_bytes_per_gpu);
    assert_memory_equal(advice->command, option, strlen(option));
}

/* A pool of that share, less the rest, is not smaller, nor larger by more than a step. */
static void check_utilization(const struct scene *scene, const struct scene_model *m,
                              const struct advice *advice)
{
    double total = 79 * (double)GIB;
    double pool =
        advice->gpu_memory_utilization * total - (double)m->rest - (double)m->error;

    if (!(pool >= (double)advice->kv_bytes_per_gpu - 1) ||
        !(pool < (double)advice->kv_bytes_per_gpu + total / 1000 + 1))
        fail_msg("[%s] a share of %g", scene->row, advice->gpu_memory_utilization);
}

static void check_scene(const struct scene *scene)
{
    struct scene_model m = differing(&scene->differs);
    const struct advice *advice;

    begin();
    for (int i = 0; i < 4; i++)
        scene_device(snapshot, 80 * GIB, 1 * GIB);
    add(&m);
    ask(scene->row);
    advice = find(ADVICE_SHRINK);
    if (scene->best == U) {
        if (advice)
            fail_msg("[%s] shrink: %s", scene->row, advice->title);
        return;
    }
    if (!advice || n_told != 1)
        fail_msg("[%s] %zu pieces of advice", scene->row, n_told);
    assert_string_equal(advice->served_name, m.name);
    assert_int_equal(advice->port, m.port);
    assert_int_equal(advice->observed_ms, seen[0].observed_ms);
    if (advice->confidence != scene->confidence ||
        (scene->words && !strstr(advice->text, scene->words)))
        fail_msg("[%s] %s: %s", scene->row, advice_confidence_name(advice->confidence),
                 advice->text);
    check_size(scene, &m, advice);
    check_utilization(scene, &m, advice);
}

static void test_scenes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scenes); i++)
        check_scene(&scenes[i]);
}

/* What it rests on is told as it was observed. */
static void test_lines_of_a_shrink(void **state)
{
    static const char *const lines[] = {
        "observed: 86400 s / 3600 = 24.00 hours, 172800 samples",
        "KV pool on each GPU: 41943040000 bytes (39.06 GiB), 20000 blocks",
        "most in use: 10995367936 bytes / 41943040000 x 20000 = 5243 blocks, rounded up",
        "99.9 % of the time this would do: 6291456000 bytes / 41943040000 x 20000 = 3000 "
        "blocks, rounded up",
        "with 10 % to spare: 5243 x 1.10 = 5768 blocks, rounded up",
        "one request of 32768 tokens: 32768 / 16 = 2048 blocks, rounded up",
        "the larger, and one that vLLM keeps back: 5768 + 1 = 5769 blocks",
        "on each GPU: 5769 x 41943040000 / 20000 = 12098469888 bytes (11.27 GiB), "
        "rounded up",
        "frees on each GPU: 41943040000 - 12098469888 = 29844570112 bytes (27.79 GiB)",
        "room then on its fullest GPU, less 2 % of it: 24628953088 + 29844570112 - "
        "1717986919 = 52755536281 bytes (49.13 GiB)",
        "another copy takes on each GPU: 61270392832 - 41943040000 + 12098469888 = "
        "31425822720 bytes (29.27 GiB)",
        "--gpu-memory-utilization: (61270392832 - 41943040000 + 12098469888) / "
        "85899345920 "
        "= 0.366, rounded up",
    };

    (void)state;
    begin_on_one(80 * GIB);
    add(&usual);
    ask("lines");
    assert_int_equal(n_told, 1);
    assert_null(strstr(told[0].text, "Prefixes")); // of which nothing is known
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_string_equal(told[0].lines[i], lines[i]);
    assert_int_equal(told[0].n_lines, ARRAY_LEN(lines));
    assert_string_equal(told[0].command, "--kv-cache-memory-bytes=12098469888 "
                                         "--gpu-memory-utilization=0.366");
    assert_string_equal(told[0].title,
                        "A KV pool of 11.27 GiB would do, in place of 39.06 GiB");
}

/* The options that there are in that release, and those that count beside others. */
static void test_options(void **state)
{
    struct scene_model m = usual;

    (void)state;
    m.no_option = true;
    m.utilization = 0.9;
    begin_on_one(80 * GIB);
    add(&m);
    ask("an old release: its share less what the pool is smaller by");
    assert_string_equal(told[0].command, "--gpu-memory-utilization=0.553");
    assert_true(has_line(&told[0], "0.9 - (41943040000 - 12098469888) / 85899345920 "
                                   "= 0.553, rounded up"));
    assert_true(told[0].kv_bytes_per_gpu == U);
    assert_non_null(strstr(told[0].text, "other processes"));

    snapshot->processes[0].bytes--; // what it holds now does not matter
    ask("an old release, not all of which is listed");
    assert_string_equal(told[0].command, "--gpu-memory-utilization=0.553");
    snapshot->models[0].page.gpu_memory_utilization = N;
    ask("an old release whose share is not known");
    assert_string_equal(told[0].command, "");
    assert_true(isnan(told[0].gpu_memory_utilization));

    m.preemptions_per_hour = 5;
    m.utilization = 0.5;
    begin_on_one(80 * GIB);
    add(&m);
    ask("an old release with too small a pool");
    assert_int_equal(told[0].kind, ADVICE_GROW);
    assert_string_equal(told[0].command, "--gpu-memory-utilization=0.623");
    m.utilization = 0.9; // more than all of the GPU
    begin_on_one(80 * GIB);
    add(&m);
    ask("an old release with no share for more");
    assert_string_equal(told[0].command, "");

    m = usual;
    m.ordered_blocks = true;
    begin_on_one(80 * GIB);
    add(&m);
    ask("blocks were ordered");
    assert_string_equal(told[0].command, "--num-gpu-blocks-override=5769");
    assert_true(told[0].kv_bytes_per_gpu == U);
    assert_true(isnan(told[0].gpu_memory_utilization));

    begin_on_one(80 * GIB);
    add(&usual);
    snapshot->processes[0].bytes--; // some of its processes are not in the list
    ask("what it holds is not known");
    assert_string_equal(told[0].command, "--kv-cache-memory-bytes=12098469888");
    assert_true(isnan(told[0].gpu_memory_utilization));
    assert_false(has_line(&told[0], "another copy"));
}

static void test_two_of_one_name(void **state)
{
    struct scene_model other = usual;

    (void)state;
    other.devices = 2;
    begin_on_one(80 * GIB);
    scene_device(snapshot, 80 * GIB, U);
    add(&usual);
    add(&other);
    ask("one name and port in two containers");
    assert_int_equal(n_told, 0);
    snapshot->models[1].port = 8001;
    ask("each on a port of its own");
    assert_true(n_told > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_check_itself),  cmocka_unit_test(test_scenes),
        cmocka_unit_test(test_lines_of_a_shrink), cmocka_unit_test(test_options),
        cmocka_unit_test(test_two_of_one_name),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
