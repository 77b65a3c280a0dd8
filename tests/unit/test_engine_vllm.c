// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "page.h"

#include <dirent.h>
#include <math.h>

#ifndef SOURCE_FIXTURES_DIR
#define SOURCE_FIXTURES_DIR "tests/fixtures"
#endif

#define U UNKNOWN
#define N ((double)NAN)

enum { WHY = 1, CAVEAT = 2, ASLEEP = 4, RATIO = 8 };

struct row {
    const char *file;
    const char *name;
    uint32_t engines;
    double usage;
    uint64_t used, blocks, memory;
    uint64_t running, waiting, preemptions;
    double hits, queries;
    unsigned flags; // of those above; none is there unless it is named
};

// clang-format off
/*                                          usage   used  blocks memory  running waiting preemptions  hits queries */
static const struct row ours[] = {
    {"v1_plain.txt", "acme/plain-7b", 1,    0.25,    250,  1001, U,      12, 5, 3,   1500000, 2000000, 0},
    {"decoy_names.txt", "decoy", 1,         0.5,      50,   101, U,       1, 2, 4,   40, 100, 0},
    {"decoy_labels.txt", "labels", 1,       0.5,     100,   201, U,       2, U, U,   N, N, 0},
    {"dp_sum.txt", "dp", 3,                 0.5,    1500,  3003, 1048576, 7, 8, U,   60, 600, 0},
    {"dp_one_config.txt", "dp", 2,          0.375,   300,   802, U,       U, U, U,   N, N, 0},
    {"dp_uneven.txt", "dp", 2,              0.375,     U,     U, U,       U, U, U,   N, N, WHY},
    {"dp_differ.txt", "dp", 2,              0.5,       U,     U, U,       U, U, U,   N, N, WHY},
    {"dp_one_silent.txt", "dp", 2,          N,         U,     U, U,       7, U, U,   N, N, WHY},
    {"dp_external_lb.txt", "rank3", 1,      0.75,    300,   401, U,       6, U, U,   N, N, 0},
    {"dp_one_asleep.txt", "half", 2,        0.25,    100,   402, U,       U, U, U,   N, N, 0},
    {"asleep.txt", "sleeper", 1,            0,         0,   101, U,       0, U, U,   N, N, ASLEEP},
    {"sleep_not_a_number.txt", "awake", 1,  0.5,      50,   101, U,       U, U, U,   N, N, 0},
    {"both_names.txt", "both", 1,           0.25,    100,   401, U,       U, U, U,   320, 800, 0},
    {"old_names.txt", "old", 1,             0.5,     200,   401, U,       U, U, U,   20, 50, 0},
    {"mixed_units.txt", "mixed", 1,         0,         U,     U, U,       U, U, U,   N, N, WHY},
    {"pid_stale.txt", "pids", 2,            0.5,     400,   802, U,       3, U, U,   N, N, CAVEAT},
    {"pid_with_old_name.txt", "pids", 1,    0.25,    100,   401, U,       U, U, U,   N, N, 0},
    {"v0.txt", "zero", 1,                   0.75,    750,  1000, U,       2, 1, U,   100, 400, RATIO},
    {"ray_rate_off.txt", "ray", 1,          0.01,      U,     U, U,       U, U, U,   N, N, WHY},
    {"blocks_none.txt", "none", 1,          0.5,       U,     U, U,       U, U, U,   N, N, WHY},
    {"openmetrics.txt", "rust", 1,          0.5,       U,     U, U,       7, U, U,   5, 10, WHY},
    {"two_models.txt", "first", 1,          N,         U,     U, U,       3, U, U,   30, 400, WHY},
    {"twice_same.txt", "twice", 1,          0.5,       U,     U, U,       3, U, U,   N, N, WHY},
    {"hits_missing.txt", "half", 1,         0,         U,     U, U,       U, U, U,   N, N, WHY},
    {"hits_above_queries.txt", "more", 1,   0,         U,     U, U,       U, U, U,   N, N, WHY},
    {"negative_counts.txt", "minus", 2,     0,         U,     U, U,       U, 0, U,   N, N, WHY},
    {"huge_counters.txt", "huge", 2,        0,         U,     U, U,       U, U, U,   N, N, WHY},
    {"only_config.txt", "", 0,              N,         U,     U, U,       U, U, U,   N, N, WHY},
    {"memory_bytes.txt", "bytes", 1,        0.5,     400,   801, 8589934592, U, U, U, N, N, 0},
    {"v1_hybrid.txt", "hybrid", 1,   103.0 / 207, 103,   208, 10737418240, 4, 0, U, 7840, 16000, 0},
    {"v029_fp8.txt", "fp8", 1,       400.0 / 799, 400,   800, 8589934592, 2, 1, U,  0, 0, 0},
    {"v030_prefix_hit.txt", "org/thirty", 1, 0.75, 1536, 2049, U,     3, 0, 2,   1024, 4096, 0},
    {"capacity_bytes.txt", "sized", 2, 0.375,  300,   802, 7,         U, U, U,   N, N, 0},
    {"capacity_per_rank.txt", "ranked", 1, 0.25, 100, 401, U,         U, U, U,   N, N, 0},
    {"one_block.txt", "tiny", 1,            1,         0,     1, U,       U, U, U,   N, N, 0},
    {"torn_end.txt", "torn", 1,             0.5,       U,     U, U,       U, 2, U,   N, N, WHY},
    {"no_engine_metrics.txt", "", 0,        N,         U,     U, U,       U, U, U,   N, N, WHY},
    {"hostile_name.txt",
     "a\"b\\c\xef\xbf\xbd" "d\xef\xbf\xbd[31m\xef\xbf\xbd\xc3\xa9}", 1,
                                            0.5,       U,     U, U,       1, U, U,   N, N, WHY},
    {"empty_name.txt", "", 2,               N,         U,     U, U,       U, U, U,   N, N, WHY},
};

/* Captured and generated pages that are not part of the source; see test_captured_pages. */
static const struct row captured[] = {
    {"GEN_vllm_2026-08_dp4_single_apiserver.txt", "Qwen/Qwen3-0.6B", 4,
                                            0.4375, 7168, 16388, U,      18, 6, 0,   2500, 10000, 0},
    {"GEN_vllm_v0.8.5_v1_engine.txt", "Qwen/Qwen3-0.6B", 1,
                                            0.2509765625, 1028, 4097, U,  3, 0, 0,   250, 1000, 0},
    {"GEN_vllm_v0.9.2_both_names.txt", "Qwen/Qwen3-0.6B", 1,
                                            0.2509765625, 1028, 4097, U,  3, 0, 0,   250, 1000, 0},
    {"vllm_podwarden_0.25.1_TRIMMED.txt", "qwopus3.6-27b-coder-fp8-model", 1,
                                            0.5,    7025, 14050, U,       3, 2, 12,  1100, 2000, 0},
    {"vllm_v0_0.4_opt125m.txt", "facebook/opt-125m", 1,
                                            0,         0,  7281, U,       0, 0, 0,   N, N, 0},
    {"vllm_v0_ray_excerpt.txt", "neuralmagic/Meta-Llama-3.1-70B-Instruct-FP8", 1,
                                            5.882698982295764e-05, U, U, U, 0, 0, U, N, N, WHY},
    {"vllm_v1_0.25.1_opt125m_tp2_idle.txt", "opt-125m-tp2", 1,
                                            0,         0, 25028, U,       0, 0, 0,   0, 0, 0},
    {"vllm_v1_0.25.1_opt125m_tp2_loaded.txt", "opt-125m-tp2", 1,
                                            0.11223878211531546, 2809, 25028, U, 64, 64, 0, 2480, 339968, 0},
    {"vllm_v1_0.28_qwen3.8_27b_hybrid_lines.txt", "qwen3.8-27b", 1,
                                            0,         0,   208, 10737418240, 0, 0, U, 7840, 16681, 0},
    {"vllm_v1_0.29_kvbytes_label_line.txt", "", 0,
                                            N,         U,     U, U,       U, U, U,   N, N, WHY},
    {"vllm_v1_0.30_qwen25_0.5b_cpu_lines.txt", "Qwen/Qwen2.5-0.5B-Instruct", 1,
                                            0,         U,     U, U,       0, 0, U,   N, N, WHY},
    {"vllm_v1_2026-04_created_gauges_excerpt.txt", "llama-vllm-single", 1,
                                            0,         U,     U, U,       0, 0, 0,   0, 0, WHY},
    {"vllm_v1_2026-07_glm52_autoround_mtp3_after.txt", "glm52-w4a16-tiered", 1,
                                            0,         0,  6251, U,       0, 0, 0,   0, 0, 0},
    {"vllm_v1_2026-07_glm52_dcp4_before.txt", "glm52-w4a16-tiered", 1,
                                            0,         0,  6253, U,       0, 0, 0,   0, 0, 0},
    {"vllm_v1_2026-07_glm52_mtp3_after.txt", "glm52-w4a16-tiered", 1,
                                            0,         0,  6251, U,       0, 0, 0,   0, 0, 0},
    {"vllm_v1_2026-07_glm52_mtp3_before.txt", "glm52-w4a16-tiered", 1,
                                            0,         0,  6251, U,       0, 0, 0,   0, 0, 0},
    {"vllm_v1_2026_overload_lines.txt", "org/m", 1,
                                            0.231717933836332, U, U, U,  11, 719, 353, N, N, WHY},
    {"vllm_v1_pid_label_multiproc_lines.txt", "Qwen/Qwen3-VL-8B-Instruct", 1,
                                            0.6530455880475035, U, U, U,  U, U, U,   N, N, WHY | CAVEAT},
};
// clang-format on

static void check_counts(const struct row *row, const struct engine_page *page)
{
    const struct {
        const char *what;
        uint64_t is, wanted;
    } counts[] = {
        {"engines", page->engines, row->engines},
        {"used blocks", page->kv_used_blocks, row->used},
        {"blocks", page->kv_blocks, row->blocks},
        {"memory bytes", page->kv_memory_bytes, row->memory},
        {"running", page->requests_running, row->running},
        {"waiting", page->requests_waiting, row->waiting},
        {"preemptions", page->preemptions, row->preemptions},
        {"asleep", page->asleep, (row->flags & ASLEEP) != 0},
        {"a reason", page->kv_why != NULL, (row->flags & WHY) != 0},
        {"a caveat", page->kv_caveat != NULL, (row->flags & CAVEAT) != 0},
        {"from a ratio", page->prefix_from_ratio, (row->flags & RATIO) != 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        if (counts[i].is != counts[i].wanted)
            fail_msg("[%s] %s: %llu, not %llu (%s)", row->file, counts[i].what,
                     (unsigned long long)counts[i].is,
                     (unsigned long long)counts[i].wanted,
                     page->kv_why ? page->kv_why : "no reason");
}

static void check_page(const struct row *row, const struct page_reading *reading)
{
    const struct engine_page *page = &reading->page;

    if (reading->r != 0)
        fail_msg("[%s] %d: %s", row->file, reading->r, reading->why);
    if (strcmp(page->served_name, row->name) != 0)
        fail_msg("[%s] name '%s'", row->file, page->served_name);
    check_counts(row, page);
    if (!page_same(page->kv_usage_ratio, row->usage))
        fail_msg("[%s] usage %.17g", row->file, page->kv_usage_ratio);
    if (!page_same(page->prefix.hits, row->hits) ||
        !page_same(page->prefix.queries, row->queries))
        fail_msg("[%s] hits %.17g of %.17g", row->file, page->prefix.hits,
                 page->prefix.queries);
}

/* However the bytes come in, the page says the same. */
static void check_file(const char *dir, const struct row *row)
{
    static const size_t pieces[] = {SIZE_MAX, 4096, 7};
    struct page_reading reading;
    struct span text = {NULL, 0};
    char *owned = page_load(dir, row->file, &text);

    if (!owned)
        fail_msg("[%s] cannot be read in %s", row->file, dir);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        page_read(text, pieces[i], &reading);
        check_page(row, &reading);
    }
    free(owned);
}

static const char *source_fixtures(void)
{
    const char *dir = getenv("SOURCE_FIXTURES_DIR");

    return dir ? dir : SOURCE_FIXTURES_DIR;
}

/* NULL: they are not at hand. */
static const char *captured_fixtures(void)
{
    const char *dir = getenv("FIXTURES_DIR");

    return dir && dir[0] && access(dir, R_OK) == 0 ? dir : NULL;
}

static void test_our_pages(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        check_file(source_fixtures(), &ours[i]);
}

/* Pages that contradict themselves. */
static const struct {
    const char *file;
    int r;
    const char *why;
} refused[] = {
    {"twice_differing.txt", -EBADMSG, "the same series twice with different values"},
    {"twice_label.txt", -EBADMSG, "malformed labels"},
    {"sleep_conflict.txt", -EBADMSG, "the same series twice with different values"},
};

static void test_refused_pages(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct page_reading reading;
        struct span text = {NULL, 0};
        char *owned = page_load(source_fixtures(), refused[i].file, &text);

        assert_non_null(owned);
        page_read(text, SIZE_MAX, &reading);
        if (reading.r != refused[i].r || strcmp(reading.why, refused[i].why) != 0)
            fail_msg("[%s] %d: %s", refused[i].file, reading.r, reading.why);
        free(owned);
    }
}

static bool is_captured(const char *file)
{
    size_t len = strlen(file);

    return (strncmp(file, "vllm_", 5) == 0 || strncmp(file, "GEN_vllm_", 9) == 0) &&
           len > 4 && strcmp(file + len - 4, ".txt") == 0;
}

/* A page that somebody adds must get its row. */
static void check_all_have_rows(const char *path)
{
    DIR *dir = opendir(path);

    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        bool found = !is_captured(entry->d_name);

        for (size_t i = 0; i < ARRAY_LEN(captured); i++)
            found = found || strcmp(entry->d_name, captured[i].file) == 0;
        if (!found)
            fail_msg("[%s] has no row", entry->d_name);
    }
    (void)closedir(dir);
}

static void test_captured_pages(void **state)
{
    const char *dir = captured_fixtures();

    (void)state;
    if (!dir) {
        print_message("no folder in FIXTURES_DIR: captured pages are not read\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_LEN(captured); i++)
        check_file(dir, &captured[i]);
    check_all_have_rows(dir);
}

/* Pages of other servers have nothing for us, and do not fail. */
static void test_other_engines(void **state)
{
    static const char *const files[] = {
        "sglang_docs_llama31_8b_sample.txt", "sglang_0.5.10_datadog.txt",
        "llamacpp_pre2025-05_kv_usage_nan_ind.txt", "tgis_ibm_vllm_pr18_excerpt.txt",
        "triton_trtllm_readme_sample.txt"};
    const char *dir = captured_fixtures();

    (void)state;
    if (!dir)
        skip();
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct page_reading reading;
        struct span text = {NULL, 0};
        char *owned = page_load(dir, files[i], &text);

        assert_non_null(owned);
        page_read(text, SIZE_MAX, &reading);
        if (reading.r != 0 || reading.samples != 0)
            fail_msg("[%s] %d, %d samples", files[i], reading.r, (int)reading.samples);
        free(owned);
    }
}

/* Read the page `head` `word` `tail`. */
static void read_words(struct page_reading *ret, const char *head, const char *word,
                       const char *tail)
{
    static char text[16 * 1024];
    int n = snprintf(text, sizeof(text), "%s%s%s", head, word, tail);

    assert_in_range(n, 1, sizeof(text) - 1);
    page_read((struct span){text, (size_t)n}, SIZE_MAX, ret);
}

/* The fraction, as a stranger might write it. Blocks: 101. */
static const struct {
    const char *word;
    double usage;
    uint64_t used;
} usages[] = {
    {"0", 0, 0},         {"0.0", 0, 0},     {"-0.0", 0, 0},  {"1", 1, 100},
    {"1e+00", 1, 100},   {"5e-1", 0.5, 50}, {".5", N, U},    {"0.004", 0.004, 0},
    {"0.005", 0.005, 1}, {"+0.5", 0.5, 50}, {"NaN", N, U},   {"-nan(ind)", N, U},
    {"+Inf", N, U},      {"-Inf", N, U},    {"-1", N, U},    {"-0.0001", N, U},
    {"1.0000001", N, U}, {"25", N, U},      {"250", N, U},   {"0x1p-1", N, U},
    {"0_5", N, U},       {"0,5", N, U},     {"1e400", N, U}, {"1e-400", 0, 0},
    {"half", N, U},      {"0.5%", N, U},    {"0.5.5", N, U},
};

static void test_usage_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(usages); i++) {
        struct page_reading reading;

        read_words(&reading,
                   "vllm:cache_config_info{engine=\"0\",num_gpu_blocks=\"101\"} 1\n"
                   "vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\"} ",
                   usages[i].word, "\n");
        if (reading.r != 0 || !page_same(reading.page.kv_usage_ratio, usages[i].usage) ||
            reading.page.kv_used_blocks != usages[i].used ||
            (reading.page.kv_why != NULL) != isnan(usages[i].usage))
            fail_msg("[%s] %d, usage %g, used %lld", usages[i].word, reading.r,
                     reading.page.kv_usage_ratio, (long long)reading.page.kv_used_blocks);
    }
}

/* num_gpu_blocks as a stranger might write it; half of them are in use. */
static const struct {
    const char *word;
    uint64_t blocks, used;
} blocks[] = {
    {"101", 101, 50},
    {"1000000000", 1000000000, 500000000},
    {"1000000001", U, U},
    {"9223372036854775808", U, U},
    {"18446744073709551615", U, U},
    {"99999999999999999999999999", U, U},
    {"1e30", U, U},
    {"-5", U, U},
    {"+5", U, U},
    {" 5", U, U},
    {"5.0", U, U},
    {"0x65", U, U},
    {"0", U, U},
    {"", U, U},
    {"None", U, U},
    {"\\\"5", U, U},
};

static void test_block_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        struct page_reading reading;

        read_words(&reading, "vllm:cache_config_info{num_gpu_blocks=\"", blocks[i].word,
                   "\"} 1\n"
                   "vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\"} 0.5\n");
        if (reading.r != 0 || reading.page.kv_blocks != blocks[i].blocks ||
            reading.page.kv_used_blocks != blocks[i].used ||
            (reading.page.kv_why != NULL) != (blocks[i].blocks == U))
            fail_msg("[%s] %d, %llu of %llu", blocks[i].word, reading.r,
                     (unsigned long long)reading.page.kv_used_blocks,
                     (unsigned long long)reading.page.kv_blocks);
    }
}

static const struct {
    const char *word;
    uint64_t bytes;
} memories[] = {
    {"8589934592", 8589934592},
    {"1125899906842624", UINT64_C(1) << 50},
    {"1125899906842625", U},
    {"4611686018427387904", U},
    {"None", U},
    {"8GiB", U},
    {"-1", U},
};

static void test_memory_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(memories); i++) {
        struct page_reading reading;

        read_words(&reading, "vllm:cache_config_info{kv_cache_memory_bytes=\"",
                   memories[i].word,
                   "\"} 1\n"
                   "vllm:kv_cache_usage_perc{model_name=\"m\"} 0.5\n");
        if (reading.r != 0 || reading.page.kv_memory_bytes != memories[i].bytes)
            fail_msg("[%s] %d, %llu", memories[i].word, reading.r,
                     (unsigned long long)reading.page.kv_memory_bytes);
    }
}

/* What was ordered, of each of two engines: NULL is no such label. */
static const struct {
    const char *row;
    const char *labels[2];
    double utilization;
    bool option;
} orders[] = {
    {"neither", {"", ""}, N, false},
    {"both, the pool by its share",
     {"gpu_memory_utilization=\"0.92\",kv_cache_memory_bytes=\"None\"",
      "gpu_memory_utilization=\"0.92\",kv_cache_memory_bytes=\"None\""},
     0.92,
     true},
    {"an old release",
     {"gpu_memory_utilization=\"0.9\"", "gpu_memory_utilization=\"0.9\""},
     0.9,
     false},
    {"they differ",
     {"gpu_memory_utilization=\"0.9\"", "gpu_memory_utilization=\"0.8\""},
     N,
     false},
    {"one does not say", {"gpu_memory_utilization=\"0.9\"", ""}, N, false},
    {"more than all",
     {"gpu_memory_utilization=\"1.01\"", "gpu_memory_utilization=\"1.01\""},
     N,
     false},
    {"none of it",
     {"gpu_memory_utilization=\"0\"", "gpu_memory_utilization=\"0\""},
     N,
     false},
    {"no number",
     {"gpu_memory_utilization=\"NaN\"", "gpu_memory_utilization=\"NaN\""},
     N,
     false},
};

static void test_orders(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        struct page_reading reading;
        char second[256];

        (void)snprintf(second, sizeof(second),
                       "} 1\nvllm:cache_config_info{engine=\"1\",%s} 1\n"
                       "vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\"} 0.5\n"
                       "vllm:kv_cache_usage_perc{engine=\"1\",model_name=\"m\"} 0.5\n",
                       orders[i].labels[1]);
        read_words(&reading, "vllm:cache_config_info{engine=\"0\",", orders[i].labels[0],
                   second);
        if (reading.r != 0 ||
            !page_same(reading.page.gpu_memory_utilization, orders[i].utilization) ||
            reading.page.kv_memory_option != orders[i].option)
            fail_msg("[%s] %d, %g", orders[i].row, reading.r,
                     reading.page.gpu_memory_utilization);
    }
}

/* Bytes that some builds tell, over all engines: NULL is no such line. */
static const struct {
    const char *row;
    const char *capacity[2], *active[2]; // of engines 0 and 1
    uint64_t capacity_bytes, active_bytes;
    bool per_rank;
} own_bytes[] = {
    {"none", {NULL, NULL}, {NULL, NULL}, U, U, false},
    {"capacity", {"1e+09", "1e+09"}, {NULL, NULL}, 2000000000, U, false},
    {"and what is in use", {"4e+08", "4e+08"}, {"1", "2.0"}, 800000000, 3, true},
    {"nothing in use", {"4e+08", "4e+08"}, {"0", "0"}, 800000000, 0, true},
    {"one engine does not say", {"4e+08", NULL}, {"1", "2"}, U, 3, true},
    {"nor what is in use", {"4e+08", "4e+08"}, {"1", NULL}, 800000000, U, true},
    {"not a number", {"NaN", "4e+08"}, {NULL, NULL}, U, U, false},
    {"below 0", {"-1", "4e+08"}, {"4e+08", "-1"}, U, U, true},
    {"without end", {"+Inf", "4e+08"}, {"1e400", "0"}, U, U, true},
    {"the most", {"1125899906842624", "0"}, {NULL, NULL}, UINT64_C(1) << 50, U, false},
    {"more than the most", {"1125899906842624", "1"}, {NULL, NULL}, U, U, false},
};

static size_t write_bytes(char *to, size_t size, const char *family,
                          const char *const values[2])
{
    size_t len = 0;

    for (unsigned i = 0; i < 2; i++)
        if (values[i])
            len += (size_t)snprintf(to + len, size - len,
                                    "vllm:%s{engine=\"%u\",model_name=\"m\"} %s\n",
                                    family, i, values[i]);
    return len;
}

static void test_own_bytes(void **state)
{
    static const char *const usage[2] = {"0.5", "0.5"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(own_bytes); i++) {
        struct page_reading reading;
        const struct engine_page *page = &reading.page;
        char text[1024];
        size_t len = write_bytes(text, sizeof(text), "kv_cache_usage_perc", usage);

        len += write_bytes(text + len, sizeof(text) - len, "kv_cache_capacity_bytes",
                           own_bytes[i].capacity);
        len += write_bytes(text + len, sizeof(text) - len, "kv_cache_active_bytes",
                           own_bytes[i].active);
        page_read((struct span){text, len}, SIZE_MAX, &reading);
        if (reading.r != 0 || page->kv_capacity_bytes != own_bytes[i].capacity_bytes ||
            page->kv_active_bytes != own_bytes[i].active_bytes ||
            page->kv_bytes_per_rank != own_bytes[i].per_rank)
            fail_msg("[%s] %d: %llu of %llu", own_bytes[i].row, reading.r,
                     (unsigned long long)page->kv_active_bytes,
                     (unsigned long long)page->kv_capacity_bytes);
    }
}

/* Names are cut at ENGINE_NAME_MAX, between two characters. */
static const struct {
    size_t characters, kept;
    const char *character;
} lengths[] = {
    {255, 255, "n"},           {256, 256, "n"},        {257, 256, "n"},
    {1000, 256, "n"},          {128, 256, "\xc3\xa9"}, {129, 256, "\xc3\xa9"},
    {90, 255, "\xe2\x82\xac"},
};

static void test_long_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct page_reading reading;
        char name[1024] = "";

        for (size_t at = 0; at < lengths[i].characters; at++)
            memcpy(name + at * strlen(lengths[i].character), lengths[i].character,
                   strlen(lengths[i].character) + 1);
        read_words(&reading, "vllm:kv_cache_usage_perc{model_name=\"", name, "\"} 0\n");
        if (reading.r != 0 || strlen(reading.page.served_name) != lengths[i].kept ||
            strncmp(reading.page.served_name, name, lengths[i].kept) != 0)
            fail_msg("[%zu x %s] %d, kept %zu", lengths[i].characters,
                     lengths[i].character, reading.r, strlen(reading.page.served_name));
    }
}

/* 64 engines are a large server; 65 are an attack. So are labels without end. */
static void test_many_engines(void **state)
{
    (void)state;
    for (unsigned n = ENGINE_SERIES_MAX; n <= ENGINE_SERIES_MAX + 1; n++) {
        static char text[64 * 1024];
        struct page_reading reading;
        size_t len = 0;

        for (unsigned i = 0; i < n; i++)
            len += (size_t)snprintf(
                text + len, sizeof(text) - len,
                "vllm:kv_cache_usage_perc{engine=\"%u\",model_name=\"m\"} 0.5\n"
                "vllm:cache_config_info{engine=\"%u\",num_gpu_blocks=\"6464\"} 1\n",
                i, i);
        page_read((struct span){text, len}, SIZE_MAX, &reading);
        if (n > ENGINE_SERIES_MAX) {
            assert_int_equal(reading.r, -E2BIG);
            assert_non_null(reading.why);
            continue;
        }
        assert_int_equal(reading.r, 0);
        assert_int_equal(reading.page.engines, n);
        assert_int_equal(reading.page.kv_blocks, 6464);
        assert_int_equal(reading.page.kv_used_blocks, 64 * 50);
    }
}

static const struct {
    const char *row;
    const char *text;
    int r;
} lines[] = {
    {"engine label of 15 bytes",
     "vllm:num_requests_running{engine=\"123456789012345\"} 1", 0},
    {"engine label of 16 bytes",
     "vllm:num_requests_running{engine=\"1234567890123456\"} 1", -E2BIG},
    {"the same on the configuration",
     "vllm:cache_config_info{engine=\"1234567890123456\"} 1", -E2BIG},
    {"no value", "vllm:num_requests_running{engine=\"0\"}", -EBADMSG},
    {"open braces", "vllm:num_requests_running{engine=\"0\" 1", -EBADMSG},
    {"label without quotes", "vllm:num_requests_running{engine=0} 1", -EBADMSG},
    {"no labels", "vllm:num_requests_running 1", 0},
    {"empty labels", "vllm:num_requests_running{} 1", 0},
    {"a broken line that is not wanted", "vllm:generation_tokens_total{{{ \"", 0},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct page_reading reading;

        read_words(&reading, lines[i].text, "\n", "");
        if (reading.r != lines[i].r)
            fail_msg("[%s] %d: %s", lines[i].row, reading.r, reading.why);
    }
}

static void test_nothing(void **state)
{
    struct page_reading reading;

    (void)state;
    page_read((struct span){"", 0}, SIZE_MAX, &reading);
    assert_int_equal(reading.r, 0);
    assert_int_equal(reading.page.engines, 0);
    assert_false(reading.page.asleep);
    assert_true(isnan(reading.page.kv_usage_ratio));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_our_pages),      cmocka_unit_test(test_refused_pages),
        cmocka_unit_test(test_captured_pages), cmocka_unit_test(test_other_engines),
        cmocka_unit_test(test_usage_words),    cmocka_unit_test(test_block_words),
        cmocka_unit_test(test_memory_words),   cmocka_unit_test(test_orders),
        cmocka_unit_test(test_own_bytes),      cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_many_engines),   cmocka_unit_test(test_lines),
        cmocka_unit_test(test_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
