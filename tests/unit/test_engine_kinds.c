// SPDX-License-Identifier: Apache-2.0
/* What the kinds of engines beside vLLM make of their pages; vLLM's own are elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/page_reader.h"
#include "page.h"

#include <math.h>
#include <unistd.h>

#ifndef SOURCE_FIXTURES_DIR
#define SOURCE_FIXTURES_DIR "tests/fixtures"
#endif

#define U UNKNOWN
#define N ((double)NAN)

enum { WHY = 1, CAVEAT = 2 };

struct row {
    const char *expected; // kind; NULL: any
    const char *files[ENGINE_PARTS];
    const char *kind; // of the page
    const char *name;
    uint32_t engines;
    double usage;
    uint64_t used, blocks, block_tokens, size_tokens, told;
    uint64_t running, waiting;
    double hits, queries;
    unsigned flags;
};

#define SG(file)                   \
    {                              \
        "sglang_" file, NULL, NULL \
    }

// clang-format off
/*                                                                     usage  used blocks tokens in: block all  told  running waiting hits queries */
static const struct row ours[] = {
    {"sglang", {"sglang_plain.txt", NULL, "sglang_info.json"}, "sglang", "acme/plain", 1,
                                                                       0.25, 2500, 10000, 1, 10000, 38923141120, 4, 2, 300, 1000, 0},
    {NULL, SG("plain.txt"), "sglang", "acme/plain", 1,                 0.25, 2500, 10000, 1, 10000, U, 4, 2, 300, 1000, 0},
    {NULL, SG("dp.txt"), "sglang", "dp", 2,                            4001.0 / 16000, 63, 250, 64, 8000, U, 5, 1, 400, 1000, 0},
    {"sglang", {"sglang_dp.txt", NULL, "sglang_info_dp.json"}, "sglang", "dp", 2,
                                                                       4001.0 / 16000, 63, 250, 64, 8000, 2684354560, 5, 1, 400, 1000, 0},
    {"sglang", SG("usage_alone.txt"), "sglang", "old", 1,              0.28, U, U, U, U, U, 162, U, N, N, WHY | CAVEAT},
    {"sglang", {"sglang_stages.txt", NULL, "sglang_info.json"}, "sglang", "pp", 1,
                                                                       0.1, 10, 100, 1, 100, U, U, U, N, N, 0},
    {"sglang", {"sglang_stages.txt", NULL, "sglang_info_cut.json"}, "sglang", "pp", 1,
                                                                       0.1, 1, 6, 16, 100, U, U, U, N, N, 0},
    {"sglang", SG("used_above.txt"), "sglang", "above", 1,             N, U, U, U, U, U, U, U, N, N, WHY},
    {"sglang", {"fresh.txt", NULL, NULL}, "sglang", "", 1,             N, U, U, U, U, U, U, U, N, N, WHY},
    {NULL, {"trtllm_plain.txt", NULL, NULL}, "trtllm", "trt", 1,       0.5, 50, 100, 32, U, U, 3, 1, 320, 1280, 0},
    {"trtllm", {"trtllm_old.txt", NULL, NULL}, "trtllm", "old", 1,     0.25, U, U, U, U, U, U, U, N, N, WHY},
    {"trtllm", {"trtllm_free.txt", NULL, NULL}, "trtllm", "free", 1,   0.25, 25, 100, U, U, U, U, U, N, N, 0},
    {"trtllm", {"fresh.txt", NULL, NULL}, "trtllm", "", 1,             N, U, U, U, U, U, U, U, N, N, WHY},
    {NULL, {"triton_plain.txt", NULL, NULL}, "triton", "llama", 1,     0.25, 25, 100, 64, U, U, 3, 7, N, N, 0},
    {NULL, {"triton_two.txt", NULL, NULL}, "triton", "a", 1,           N, U, U, U, U, U, 4, U, N, N, WHY},
    {"triton", {"fresh.txt", NULL, NULL}, "triton", "", 1,             N, U, U, U, U, U, U, U, N, N, WHY},
    {NULL, {"llamacpp_plain.txt", "slots_one.json", "props.json"}, "llamacpp", "acme-7b-q4.gguf", 1,
                                                                       0.5, U, U, U, 8192, U, 2, 1, 300, 1000, 0},
    {NULL, {"llamacpp_plain.txt", "slots_two.json", "props_alias.json"}, "llamacpp", "acme", 1,
                                                                       0.25, U, U, U, 2000, U, 2, 1, 300, 1000, CAVEAT},
    {NULL, {"llamacpp_plain.txt", "slots_past.json", NULL}, "llamacpp", "", 1,
                                                                       0.125, U, U, U, 2000, U, 2, 1, 300, 1000, CAVEAT},
    {NULL, {"llamacpp_plain.txt", "slots_silent.json", NULL}, "llamacpp", "", 1,
                                                                       N, U, U, U, U, U, 2, 1, 300, 1000, WHY},
    {NULL, {"llamacpp_plain.txt", "slots_above.json", NULL}, "llamacpp", "", 1,
                                                                       N, U, U, U, U, U, 2, 1, 300, 1000, WHY},
    {NULL, {"llamacpp_plain.txt", "slots_error.json", NULL}, "llamacpp", "", 1,
                                                                       N, U, U, U, U, U, 2, 1, 300, 1000, WHY},
    {NULL, {"llamacpp_plain.txt", NULL, NULL}, "llamacpp", "", 1,      N, U, U, U, U, U, 2, 1, 300, 1000, WHY},
    {NULL, {"llamacpp_old.txt", NULL, NULL}, "llamacpp", "", 1,        0.5, U, U, U, U, U, 1, U, N, N, CAVEAT},
    {"ollama", {"ollama_two.json", NULL, NULL}, "ollama", "large:70b", 1,
                                                                       N, U, U, U, U, U, U, U, N, N, WHY},
    {"ollama", {"ollama_none.json", NULL, NULL}, "ollama", "", 1,      N, U, U, U, U, U, U, U, N, N, WHY},
    {"ollama", {"ollama_cpu.json", NULL, NULL}, "ollama", "cpu:1b", 1, N, U, U, U, U, U, U, U, N, N, WHY},
    {"tgi", {"tgi_plain.txt", NULL, "tgi_info.json"}, "tgi", "acme/tgi", 1,
                                                                       N, U, U, U, 16384, U, 8, 4, N, N, WHY},
    {NULL, {"nim_plain.txt", NULL, NULL}, "nim", "nim/llama", 1,       0.125, U, U, U, U, U, 2, 1, N, N, WHY},
    {"nim", {"nim_vllm.txt", NULL, NULL}, "vllm", "nim/llama", 1,      0.5, U, U, U, U, U, 5, U, N, N, WHY},
    {NULL, {"dynamo_plain.txt", NULL, NULL}, "dynamo", "acme/dyn", 1,  0.82, 820, 1000, U, U, U, 3, U, N, N, 0},
    {"dynamo", {"dynamo_sglang.txt", NULL, NULL}, "sglang", "inner", 1, 0.1, U, U, U, 100, U, U, U, N, N, WHY},
    {NULL, {"lmdeploy_dp.txt", NULL, NULL}, "lmdeploy", "acme/lm", 2,  0.375, U, U, U, U, U, 5, 1, N, N, WHY | CAVEAT},
    {NULL, {"both_engines.txt", NULL, NULL}, "sglang", "first", 1,     N, U, U, U, U, U, 1, U, N, N, WHY},
};

/* Captured pages that are not part of the source. */
static const struct row captured[] = {
    {NULL, {"sglang_0.5.10_datadog.txt", NULL, NULL}, "sglang", "facebook/opt-125m", 1,
                                                                       37.0 / 430839, U, U, U, 430839, U, 0, 0, 1, 5, WHY},
    {NULL, {"sglang_docs_llama31_8b_sample.txt", NULL, NULL}, "sglang", "meta-llama/Llama-3.1-8B-Instruct", 1,
                                                                       0.28, U, U, U, U, U, 162, 2826, N, N, WHY | CAVEAT},
    {NULL, {"sglang_dp2_tp4_lines.txt", NULL, NULL}, "sglang", "glm", 2,
                                                                       0.15, U, U, U, U, U, 2, 4, 1700, 2000, WHY | CAVEAT},
    {NULL, {"triton_trtllm_readme_sample.txt", NULL, NULL}, "triton", "tensorrt_llm", 1,
                                                                       1.0 / 6239, 1, 6239, 64, U, U, 1, 1, N, N, 0},
    {NULL, {"llamacpp_2025-mid_no_kv_metrics.txt", NULL, NULL}, "llamacpp", "", 1,
                                                                       N, U, U, U, U, U, U, U, N, N, WHY},
    {NULL, {"llamacpp_2026_n_tokens_max.txt", NULL, NULL}, "llamacpp", "", 1,
                                                                       N, U, U, U, U, U, 0, 0, N, N, WHY},
    {NULL, {"llamacpp_pre2025-05_kv_usage_nan_ind.txt", NULL, NULL}, "llamacpp", "", 1,
                                                                       0, U, U, U, U, U, 0, 0, N, N, CAVEAT},
};
// clang-format on

static void check(const struct row *row, const struct engine_kind *kind,
                  const struct engine_page *page)
{
    const struct {
        const char *what;
        uint64_t is, wanted;
    } counts[] = {
        {"engines", page->engines, row->engines},
        {"used blocks", page->kv_used_blocks, row->used},
        {"blocks", page->kv_blocks, row->blocks},
        {"block tokens", page->kv_block_tokens, row->block_tokens},
        {"size tokens", page->kv_size_tokens, row->size_tokens},
        {"told bytes", page->kv_told_bytes, row->told},
        {"running", page->requests_running, row->running},
        {"waiting", page->requests_waiting, row->waiting},
        {"a reason", page->kv_why != NULL, (row->flags & WHY) != 0},
        {"a caveat", page->kv_caveat != NULL, (row->flags & CAVEAT) != 0},
    };
    const struct {
        const char *what;
        double is, wanted;
    } values[] = {
        {"usage", page->kv_usage_ratio, row->usage},
        {"hits", page->prefix.hits, row->hits},
        {"queries", page->prefix.queries, row->queries},
    };

    if (strcmp(kind->name, row->kind) != 0)
        fail_msg("[%s] is %s", row->files[0], kind->name);
    if (strcmp(page->served_name, row->name) != 0)
        fail_msg("[%s] serves '%s'", row->files[0], page->served_name);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        if (counts[i].is != counts[i].wanted)
            fail_msg("[%s, %s] %s: %llu, not %llu (%s)", row->files[0],
                     row->files[1] ? row->files[1] : "-", counts[i].what,
                     (unsigned long long)counts[i].is,
                     (unsigned long long)counts[i].wanted,
                     page->kv_why ? page->kv_why : "no reason");
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        if (!page_same(values[i].is, values[i].wanted))
            fail_msg("[%s] %s: %.17g, not %.17g", row->files[0], values[i].what,
                     values[i].is, values[i].wanted);
    assert_true(page->kv_told_bytes == U || page->kv_told_error == 5368710);
}

/* As a scraper does, the page in pieces of `piece` bytes. */
static int read_parts(struct page_reader *reader, const char *dir, const struct row *row,
                      size_t piece)
{
    int r = 0;

    page_reader_begin(reader,
                      row->expected ? engine_kind_named(span_of(row->expected)) : NULL);
    for (enum engine_part part = 0; part < ENGINE_PARTS; part++) {
        struct span text = {NULL, 0};
        char *owned = row->files[part] ? page_load(dir, row->files[part], &text) : NULL;
        size_t at = 0;

        if (row->files[part] && !owned)
            fail_msg("[%s] cannot be read", row->files[part]);
        for (; part == ENGINE_PART_PAGE && r == 0 && at < text.len; at += piece)
            r = page_reader_feed(reader,
                                 (struct span){text.at + at, MIN(piece, text.len - at)});
        if (part == ENGINE_PART_PAGE && r == 0)
            r = page_reader_end(reader);
        else if (r == 0 && owned)
            page_reader_take_part(reader, part, text);
        free(owned);
    }
    return r;
}

static void check_rows(const char *dir, const struct row *rows, size_t n)
{
    static const size_t pieces[] = {SIZE_MAX / 2, 1, 7, 4096};
    struct page_reader reader;

    assert_int_equal(page_reader_init(&reader), 0);
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < ARRAY_LEN(pieces); p++) {
            struct engine_page page;

            if (read_parts(&reader, dir, &rows[i], pieces[p]) < 0)
                fail_msg("[%s] is refused", rows[i].files[0]);
            if (!page_reader_finish(&reader, &page))
                fail_msg("[%s] is no engine's", rows[i].files[0]);
            check(&rows[i], reader.kind, &page);
        }
    page_reader_done(&reader);
}

static void test_our_pages(void **state)
{
    const char *dir = getenv("SOURCE_FIXTURES_DIR");
    char kinds[1024];

    (void)state;
    (void)snprintf(kinds, sizeof(kinds), "%s/kinds", dir ? dir : SOURCE_FIXTURES_DIR);
    check_rows(kinds, ours, ARRAY_LEN(ours));
}

static void test_captured_pages(void **state)
{
    const char *dir = getenv("FIXTURES_DIR");

    (void)state;
    if (!dir || !dir[0] || access(dir, R_OK) != 0) {
        print_message("no folder in FIXTURES_DIR: captured pages are not read\n");
        skip();
    }
    check_rows(dir, captured, ARRAY_LEN(captured));
}

/* What fails a page, and the words for it. */
static const struct {
    const char *expected, *file, *why;
} refused[] = {
    {NULL, "label_twice.txt", "metrics page, line 1: malformed labels"},
    {"ollama", "ollama_cut.json", "its answer in JSON: malformed, or cut off"},
    {"ollama", "ollama_text.json", "its answer in JSON: malformed, or cut off"},
    {"ollama", "tgi_plain.txt", "its answer in JSON: malformed, or cut off"},
};

static void test_refused_pages(void **state)
{
    const char *dir = getenv("SOURCE_FIXTURES_DIR");
    struct page_reader reader;
    char kinds[1024], why[ENGINE_WHY_MAX];

    (void)state;
    (void)snprintf(kinds, sizeof(kinds), "%s/kinds", dir ? dir : SOURCE_FIXTURES_DIR);
    assert_int_equal(page_reader_init(&reader), 0);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        const struct row row = {.expected = refused[i].expected,
                                .files = {refused[i].file}};

        assert_true(read_parts(&reader, kinds, &row, SIZE_MAX / 2) < 0);
        assert_true(page_reader_complain(&reader, why, sizeof(why)));
        assert_string_equal(why, refused[i].why);
    }
    page_reader_begin(&reader, NULL);
    assert_false(page_reader_complain(&reader, why, sizeof(why)));
    page_reader_done(&reader);
}

/* A page that is nobody's: of vLLM, too, whose metrics are then off. */
static void test_nobodys_page(void **state)
{
    static const char text[] = "http_requests_total 1\n";
    const struct engine_kind *const expected[] = {NULL, &engine_vllm};
    struct engine_page page;
    struct page_reader reader;

    (void)state;
    assert_int_equal(page_reader_init(&reader), 0);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        page_reader_begin(&reader, expected[i]);
        assert_int_equal(page_reader_feed(&reader, span_of(text)), 0);
        assert_int_equal(page_reader_end(&reader), 0);
        assert_false(page_reader_finish(&reader, &page));
    }
    page_reader_done(&reader);
}

static void test_urls_of_metrics(void **state)
{
    static const struct {
        const char *url;
        size_t tail;
        const struct engine_kind *kind;
    } urls[] = {
        {"http://h:8000", 0, NULL},
        {"http://h:8000/metrics", 8, NULL},
        {"http://h:8000/vllm/metrics", 8, NULL},
        {"http://h:8000/prometheus/metrics", 19, &engine_trtllm},
        {"http://h:8000/v1/metrics", 11, &engine_nim},
        {"http://h:11434/api/ps", 7, &engine_ollama},
        {"http:/metrics", 8, NULL},
        {"", 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        const struct engine_kind *kind = NULL;

        assert_int_equal(engine_kind_url_tail(span_of(urls[i].url), &kind), urls[i].tail);
        assert_ptr_equal(kind, urls[i].kind);
    }
}

/* Each kind says what it must, and nothing that does not fit where it is shown. */
static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < engine_kinds_n; i++) {
        const struct engine_kind *kind = engine_kinds[i];

        assert_ptr_equal(engine_kind_named(span_of(kind->name)), kind);
        if (kind->owner)
            assert_ptr_equal(engine_kind_owned_by(span_of(kind->owner)), kind);
        assert_true(strlen(kind->off_why) < ENGINE_WHY_MAX);
        assert_true(kind->page_zeroed <= kind->page_size);
        assert_true(kind->names[ENGINE_PART_PAGE].n <= 64);
        assert_true((kind->live_path != NULL) == (kind->names[ENGINE_PART_LIVE].n > 0));
        if (kind->names[ENGINE_PART_SETTINGS].n)
            assert_non_null(kind->questions[ENGINE_ASK_SETTINGS]);
    }
    assert_null(engine_kind_named(span_of("nobody")));
    assert_null(engine_kind_owned_by(span_of("organization")));
    assert_string_equal(engine_kind_owned_by(span_of("tensorrt_llm"))->name, "trtllm");
    assert_string_equal(engine_trtllm.paths[0], "/prometheus/metrics");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_our_pages),     cmocka_unit_test(test_captured_pages),
        cmocka_unit_test(test_refused_pages), cmocka_unit_test(test_nobodys_page),
        cmocka_unit_test(test_table),         cmocka_unit_test(test_urls_of_metrics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
