// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "advice_scene.h"

#include <ctype.h>

#define U UNKNOWN
#define N ((double)NAN)
#define MIB (UINT64_C(1) << 20)
#define GIB SCENE_GIB
#define NO_WHERE UINT64_MAX

static struct snapshot *snapshot;
static struct observation seen[SNAPSHOT_MODELS_MAX];
static struct advice told[ADVICE_MAX];
static size_t n_seen, n_told;

/* ---- The arithmetic: each line with an equals sign is worked out anew ---- */

struct reader {
    const char *at;
    bool bad;
};

static long double read_sum(struct reader *reader);

static void skip_words(struct reader *reader)
{
    for (;;) {
        while (*reader->at == ' ')
            reader->at++;
        if (*reader->at == 'x' && reader->at[1] == ' ')
            return;
        if (!isalpha((unsigned char)*reader->at))
            return;
        while (isalpha((unsigned char)*reader->at))
            reader->at++;
    }
}

static long double read_term(struct reader *reader)
{
    long double value;
    char *end;

    skip_words(reader);
    if (*reader->at == '(') {
        reader->at++;
        value = read_sum(reader);
        skip_words(reader);
        reader->bad = reader->bad || *reader->at != ')';
        reader->at += *reader->at == ')';
    } else {
        value = strtold(reader->at, &end);
        reader->bad = reader->bad || end == reader->at;
        reader->at = end;
    }
    skip_words(reader);
    return value;
}

static long double read_product(struct reader *reader)
{
    long double value = read_term(reader);

    while (*reader->at == 'x' || *reader->at == '/') {
        char sign = *reader->at++;
        long double other = read_term(reader);

        value = sign == 'x' ? value * other : value / other;
    }
    return value;
}

static long double read_sum(struct reader *reader)
{
    long double value = read_product(reader);

    while (*reader->at == '+' || *reader->at == '-') {
        char sign = *reader->at++;
        long double other = read_product(reader);

        value = sign == '+' ? value + other : value - other;
    }
    return value;
}

/* One unit of the last digit of the number at `text`. */
static long double unit_of(const char *text)
{
    long double unit = 1;

    while (isdigit((unsigned char)*text))
        text++;
    if (*text == '.')
        for (text++; isdigit((unsigned char)*text); text++)
            unit /= 10;
    return unit;
}

/* Every "N bytes (G GiB)" says the same twice. */
static void check_gib(const char *row, const char *line)
{
    const char *at = line;

    while ((at = strstr(at, " bytes (")) != NULL) {
        const char *start = at;

        while (start > line && isdigit((unsigned char)start[-1]))
            start--;
        if (fabsl(strtold(start, NULL) / (long double)GIB - strtold(at + 8, NULL)) >
            0.0051L)
            fail_msg("[%s] bytes and GiB differ: %s", row, line);
        at++;
    }
}

static void check_line(const char *row, const char *line)
{
    const char *equals = strstr(line, " = "), *colon = NULL, *at;
    bool up = strstr(line, "rounded up") != NULL;
    struct reader reader;
    long double is, said, unit, off;

    check_gib(row, line);
    if (!equals)
        return;
    for (at = line; at < equals; at++)
        if (at[0] == ':' && at[1] == ' ')
            colon = at;
    if (!colon)
        fail_msg("[%s] no expression: %s", row, line);
    reader = (struct reader){colon + 1, false};
    is = read_sum(&reader);
    if (reader.bad || reader.at != equals + 1)
        fail_msg("[%s] is no expression: %s", row, line);
    said = strtold(equals + 3, NULL);
    unit = unit_of(equals + 3);
    off = said - is;
    if (up ? off < -1e-9L || off >= unit + 1e-9L
           : fabsl(off) > unit / 2 + 0.01L * fabsl(is) * (unit < 1))
        fail_msg("[%s] %.6Lf, not %.6Lf: %s", row, is, said, line);
}

static void check_arithmetic(const char *row, const struct advice *advice)
{
    assert_true(advice->n_lines > 0 && advice->n_lines < ADVICE_LINES);
    for (uint32_t i = 0; i < advice->n_lines; i++) {
        assert_true(strlen(advice->lines[i]) < ADVICE_LINE_SIZE - 1); // nothing was cut
        check_line(row, advice->lines[i]);
    }
    assert_true(strlen(advice->text) < ADVICE_TEXT_SIZE - 1);
    assert_true(strlen(advice->title) > 0 &&
                strlen(advice->title) < ADVICE_TITLE_SIZE - 1);
}

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

/* ---- Scenes ---- */

static int set_up(void **state)
{
    (void)state;
    snapshot = calloc(1, sizeof(*snapshot));
    return snapshot ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(snapshot);
    return 0;
}

static void begin(void)
{
    memset(snapshot, 0, sizeof(*snapshot));
    snapshot->unix_ms = SCENE_START_MS;
    n_seen = n_told = 0;
}

static void add(const struct scene_model *m)
{
    scene_model(snapshot, m);
    scene_observe(m, &seen[n_seen++]);
}

static void ask(const char *row)
{
    memset(told, 0x5a, sizeof(told));
    n_told = advise(seen, n_seen, snapshot, told, ARRAY_LEN(told));
    for (size_t i = 0; i < n_told; i++)
        check_arithmetic(row, &told[i]);
}

/* The only one of its kind; NULL: there is none. */
static const struct advice *find(enum advice_kind kind)
{
    for (size_t i = 0; i < n_told; i++)
        if (told[i].kind == kind)
            return &told[i];
    return NULL;
}

static bool has_line(const struct advice *advice, const char *words)
{
    for (uint32_t i = 0; i < advice->n_lines; i++)
        if (strstr(advice->lines[i], words))
            return true;
    return false;
}

/* A hill of 5243 blocks in the afternoon; for 0.1 % of the time above 3000. */
static uint64_t day(uint64_t i, uint64_t n)
{
    if (i >= n / 2 && i <= n / 2 + n / 2000)
        return 5243;
    return 1000 + 2000 * (i % 1000) / 999;
}

static uint64_t tight(uint64_t i, uint64_t n)
{
    (void)n;
    return 17000 + i % 1800;
}

static uint64_t burst(uint64_t i, uint64_t n)
{
    return i == n / 3 ? 9000 : 800 + i % 7;
}

static uint64_t full(uint64_t i, uint64_t n)
{
    (void)n;
    return i % 10 == 0 ? 19999 : 12000;
}

static uint64_t little(uint64_t i, uint64_t n)
{
    (void)n;
    return i % 50;
}

static uint64_t nothing(uint64_t i, uint64_t n)
{
    (void)i, (void)n;
    return 0;
}

static const struct scene_model usual = {
    .name = "org/one",
    .port = 8000,
    .engines = 1,
    .gpus = 1,
    .devices = 1,
    .blocks = 20000,
    .block_bytes = 2 * MIB,
    .max_model_len = 32768, // 2048 blocks
    .size_tokens = U,
    .rest = 18 * GIB,
    .utilization = N,
    .load = day,
    .hours = 24,
    .hit_percent = N,
};

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

static void begin_on_one(uint64_t total)
{
    begin();
    scene_device(snapshot, total, U);
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
    begin_on_one(80 * GIB);
    add(&m);
    ask("an old release");
    assert_string_equal(told[0].command, "--gpu-memory-utilization=0.366");
    assert_true(told[0].kv_bytes_per_gpu == U);
    assert_non_null(strstr(told[0].text, "other processes"));

    m = usual;
    m.ordered_blocks = true;
    begin_on_one(80 * GIB);
    add(&m);
    ask("blocks were ordered");
    assert_string_equal(told[0].command, "--num-gpu-blocks-override=5769");
    assert_true(told[0].kv_bytes_per_gpu == U);

    begin_on_one(80 * GIB);
    add(&usual);
    snapshot->processes[0].bytes--; // some of its processes are not in the list
    ask("what it holds is not known");
    assert_string_equal(told[0].command, "--kv-cache-memory-bytes=12098469888");
    assert_true(isnan(told[0].gpu_memory_utilization));
    assert_false(has_line(&told[0], "another copy"));
}

static void test_grow(void **state)
{
    struct scene_model m = usual;
    const struct advice *advice;

    (void)state;
    m.preemptions_per_hour = 5;
    begin_on_one(80 * GIB);
    add(&m);
    ask("preempting");
    advice = find(ADVICE_GROW);
    assert_non_null(advice);
    assert_int_equal(n_told, 1);
    assert_int_equal(advice->severity, SEVERITY_WARNING);
    assert_int_equal(advice->kv_bytes_per_gpu, 25000 * 2 * MIB);
    assert_true(has_line(advice, "preemptions: 119 / 24.00 hours = 5.0 an hour"));
    assert_string_equal(advice->command, "--kv-cache-memory-bytes=52428800000 "
                                         "--gpu-memory-utilization=0.836");

    m = usual;
    m.load = full;
    m.waiting = 3;
    begin_on_one(64 * GIB); // 7.94 GiB are free, less 1.28 GiB: 3382 blocks
    add(&m);
    ask("full, with little room");
    advice = find(ADVICE_GROW);
    assert_non_null(advice);
    assert_int_equal(advice->kv_bytes_per_gpu / (2 * MIB), 20000 + 2896);
    assert_true(
        has_line(advice, "with requests waiting: 100 x 8640.0 s / 86400.0 s = 10.00 %"));
    m.waiting = 0;
    begin_on_one(80 * GIB);
    add(&m);
    ask("full, nobody waits");
    assert_int_equal(n_told, 0);

    m.preemptions_per_hour = 5;
    m.error = U; // nor are its sizes known
    begin_on_one(80 * GIB);
    add(&m);
    ask("preempting, of unknown size");
    advice = find(ADVICE_GROW);
    assert_non_null(advice);
    assert_string_equal(advice->command, "");
    assert_true(advice->kv_bytes_per_gpu == U);
}

/* The second has on the same GPU what the first one needs. */
static void test_two_on_one_gpu(void **state)
{
    struct scene_model first = usual, second = usual;
    const struct advice *grow, *shrink;

    (void)state;
    first.preemptions_per_hour = 5;
    first.blocks = 5000;
    first.rest = 10 * GIB;
    second.name = "org/two";
    second.port = 8001;
    begin_on_one(78 * GIB);
    add(&first);
    add(&second);
    ask("two");
    assert_int_equal(n_told, 2);
    grow = &told[0]; // the more severe is first, whatever its port
    shrink = &told[1];
    assert_int_equal(grow->kind, ADVICE_GROW);
    assert_string_equal(grow->served_name, "org/one");
    assert_string_equal(grow->command, "");
    assert_true(has_line(grow, "org/two, port 8001, could give: 29844570112 bytes"));
    assert_non_null(strstr(grow->text, "no room"));
    assert_int_equal(shrink->kind, ADVICE_SHRINK);
    assert_string_equal(shrink->served_name, "org/two");
    assert_true(has_line(shrink, "a copy of org/one takes") ||
                has_line(shrink, "another copy takes"));

    second.devices = 2; // the other's is none of its
    begin_on_one(23 * GIB);
    scene_device(snapshot, 80 * GIB, U);
    add(&first);
    add(&second);
    ask("two, each on its own");
    assert_int_equal(told[0].kind, ADVICE_GROW);
    assert_false(has_line(&told[0], "could give"));
}

static void test_who_fits(void **state)
{
    struct scene_model large = usual, small = usual;

    (void)state;
    large.rest = 70 * GIB; // another of it would not fit
    small.name = "org/small";
    small.port = 8001;
    small.blocks = 1000;
    small.max_model_len = 1024;
    small.rest = GIB;
    small.load = little;
    small.devices = 2;
    begin_on_one(120 * GIB);
    scene_device(snapshot, 80 * GIB, U);
    add(&large);
    add(&small);
    ask("who fits");
    assert_int_equal(told[0].kind, ADVICE_SHRINK);
    assert_true(has_line(&told[0], "a copy of org/small takes on each GPU: "));
    assert_non_null(strstr(told[0].text, "room for a copy of org/small."));
    small.rest = 79 * GIB;
    begin_on_one(120 * GIB);
    scene_device(snapshot, 90 * GIB, U);
    add(&large);
    add(&small);
    ask("nobody fits");
    assert_null(strstr(told[0].text, "There would then be room"));
}

static void test_hit_rate(void **state)
{
    struct scene_model m = usual;

    (void)state;
    m.load = tight;
    m.hit_percent = 3.5;
    m.queries = 1e6;
    begin_on_one(80 * GIB);
    add(&m);
    ask("few hits");
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0].kind, ADVICE_LOW_HIT_RATE);
    assert_true(has_line(&told[0], "since the engine began: 35000 of 1000000 tokens"));
    snapshot->models[0].page.kv_block_tokens = 784;
    ask("long blocks");
    assert_non_null(strstr(told[0].text, "784 tokens"));
    snapshot->models[0].page.prefix.queries = 99999;
    ask("little traffic");
    assert_int_equal(n_told, 0);
    m.hit_percent = 20;
    begin_on_one(80 * GIB);
    add(&m);
    ask("enough hits");
    assert_int_equal(n_told, 0);
    m.hit_percent = N;
    begin_on_one(80 * GIB);
    add(&m);
    ask("prefix caching is off");
    assert_int_equal(n_told, 0);
}

static void test_start_collision(void **state)
{
    struct scene_model first = usual, second = usual;

    (void)state;
    first.load = second.load = tight;
    first.utilization = 0.6;
    second.utilization = 0.5;
    second.port = 8001;
    second.devices = 2;
    begin_on_one(160 * GIB);
    scene_device(snapshot, 80 * GIB, U);
    add(&first);
    add(&second);
    ask("each on its own GPU");
    assert_int_equal(n_told, 0);
    snapshot->models[1].devices = 1;
    ask("more than all");
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0].kind, ADVICE_START_COLLISION);
    assert_string_equal(told[0].device, "GPU-0");
    assert_string_equal(told[0].served_name, "");
    assert_string_equal(told[0].lines[0],
                        "shares of this GPU: 0.600 + 0.500 = 1.100, more than 1");
    snapshot->models[1].page.kv_memory_option = false;
    ask("an older release counts what others hold as its own");
    assert_int_equal(n_told, 0);
    snapshot->models[1].page.kv_memory_option = true;
    snapshot->models[1].page.gpu_memory_utilization = 0.4;
    ask("just all");
    assert_int_equal(n_told, 0);
    snapshot->n_events = 1;
    snapshot->events[0] =
        (struct event){.kind = EVENT_START_COLLISION, .device = "GPU-0"};
    snapshot->models[0].page.gpu_memory_utilization = 0.9; // all lines, and it was seen
    ask("seen starting at once");
    assert_int_equal(n_told, 1);
    assert_non_null(strstr(told[0].text, "starting at once"));
    n_seen = 0;
    ask("nobody was seen long enough");
    assert_int_equal(n_told, 0);
}

static void test_unified_memory(void **state)
{
    struct scene_model m = usual;

    (void)state;
    m.load = tight;
    begin_on_one(64 * GIB);
    snapshot->devices[0].unified = true;
    add(&m);
    ask("unified");
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0].kind, ADVICE_UNIFIED_MEMORY);
    assert_int_equal(told[0].severity, SEVERITY_INFO);
    snapshot->models[0].page.kv_memory_bytes = 41943040000;
    ask("it was ordered in bytes");
    assert_int_equal(n_told, 0);
    snapshot->devices[0].mem_used_bytes = 60 * GIB;
    ask("there is little left");
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0].severity, SEVERITY_WARNING);
    snapshot->devices[0].unified = false;
    ask("of its own");
    assert_int_equal(n_told, 0);
}

/* What was observed is of another pool, or of nobody that is here. */
static void test_another_moment(void **state)
{
    (void)state;
    begin_on_one(80 * GIB);
    add(&usual);
    snapshot->models[0].kv_pool_bytes.value -= 2 * MIB;
    ask("another pool");
    assert_int_equal(n_told, 0);
    snapshot->models[0].kv_pool_bytes.value += 2 * MIB;
    snapshot->models[0].port = 8001;
    ask("another port");
    assert_int_equal(n_told, 0);
    snapshot->models[0].port = 8000;
    assert_int_equal(advise(seen, 1, snapshot, told, 0), 0);
    ask("it is here");
    assert_int_equal(n_told, 1);
    snapshot->models[0].kv_pool_per_gpu = figure_unknown("unlike parts");
    ask("pipeline stages");
    assert_int_equal(n_told, 0);
}

/* Names of any length, in signs of four bytes, are cut between signs. */
static void test_long_names(void **state)
{
    struct scene_model first = usual, second = usual;
    char name[ENGINE_NAME_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ENGINE_NAME_MAX; i += 4)
        memcpy(name + i, "\xf0\x9f\xa6\x99", 4);
    name[ENGINE_NAME_MAX] = '\0';
    first.name = name;
    first.preemptions_per_hour = 5;
    second.name = name;
    second.port = 8001;
    begin_on_one(97 * GIB);
    add(&first);
    add(&second);
    ask("long names");
    assert_int_equal(n_told, 2);
    assert_string_equal(told[0].served_name, name);
    assert_null(strstr(told[0].text, "\xef\xbf\xbd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_check_itself),
        cmocka_unit_test(test_scenes),
        cmocka_unit_test(test_lines_of_a_shrink),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_two_on_one_gpu),
        cmocka_unit_test(test_who_fits),
        cmocka_unit_test(test_hit_rate),
        cmocka_unit_test(test_start_collision),
        cmocka_unit_test(test_unified_memory),
        cmocka_unit_test(test_another_moment),
        cmocka_unit_test(test_long_names),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
