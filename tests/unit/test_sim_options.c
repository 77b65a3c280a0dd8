// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/sim_options.h"

enum { WORDS_MAX = 16 };

static int read_words(char **words, struct sim_options *options,
                      struct complaint *complaint)
{
    int n = 0;

    while (words[n])
        n++;
    return sim_options_read(n, words, options, complaint);
}

#define PROGRAM "vramscope-sim"
#define BASE PROGRAM, "--port", "0", "--model", "m"

static void test_defaults(void **state)
{
    char *words[] = {BASE, NULL};
    struct sim_options options;
    struct complaint complaint;

    (void)state;
    assert_int_equal(read_words(words, &options, &complaint), 0);
    assert_string_equal(options.host, "127.0.0.1");
    assert_string_equal(options.model, "m");
    assert_int_equal(options.port, 0);
    assert_int_equal(options.load.engines, 1);
    assert_int_equal(options.load.kv_blocks, 4096);
    assert_int_equal(options.load.block_size, 16);
    assert_int_equal(options.load.pattern, SIM_STEADY);
    assert_int_equal(options.load.seed, 1);
    assert_int_equal(options.gpus, 1);
    assert_true(options.vram_bytes == 17179869184U);
    assert_true(options.kv_pool_bytes == UNKNOWN);
    assert_null(options.gpu_dir);
    assert_null(options.page);
    assert_false(options.no_filter);
}

static void test_all_given(void **state)
{
    char *first[] = {PROGRAM, "--port=8000", "--model=a=b", "--engines",
                     "4",     "--kv-blocks", "25028",       "--block-size",
                     "784",   "--load",      "burst",       "--seed=18446744073709551615",
                     NULL};
    char *second[] = {
        BASE,  "--vram",          "85899345920",     "--gpus=8",    "--gpu-index",
        "3",   "--gpu-dir=/x",    "--kv-pool-bytes", "1",           "--host",
        "::1", "--max-clients=7", "--page=p",        "--no-filter", NULL};
    struct sim_options options;
    struct complaint complaint;

    (void)state;
    assert_int_equal(read_words(first, &options, &complaint), 0);
    assert_int_equal(options.port, 8000);
    assert_string_equal(options.model, "a=b");
    assert_int_equal(options.load.engines, 4);
    assert_int_equal(options.load.kv_blocks, 25028);
    assert_int_equal(options.load.block_size, 784);
    assert_int_equal(options.load.pattern, SIM_BURST);
    assert_true(options.load.seed == UINT64_MAX);

    assert_int_equal(read_words(second, &options, &complaint), 0);
    assert_true(options.vram_bytes == 85899345920U);
    assert_int_equal(options.gpus, 8);
    assert_int_equal(options.gpu_index, 3);
    assert_string_equal(options.gpu_dir, "/x");
    assert_int_equal(options.kv_pool_bytes, 1);
    assert_string_equal(options.host, "::1");
    assert_int_equal(options.max_clients, 7);
    assert_string_equal(options.page, "p");
    assert_true(options.no_filter);
}

static void test_help_needs_nothing_else(void **state)
{
    char *help[] = {PROGRAM, "--help", NULL}, *version[] = {PROGRAM, "--version", NULL};
    struct sim_options options;
    struct complaint complaint;

    (void)state;
    assert_int_equal(read_words(help, &options, &complaint), 0);
    assert_true(options.help);
    assert_int_equal(read_words(version, &options, &complaint), 0);
    assert_true(options.version);
}

static void test_refused(void **state)
{
    static const struct {
        const char *row;
        const char *words[WORDS_MAX];
        const char *part; // of the sentence
    } rows[] = {
        {"nothing", {PROGRAM}, "--port is missing"},
        {"no model", {PROGRAM, "--port", "0"}, "--model is missing"},
        {"no value", {PROGRAM, "--port"}, "--port needs a value"},
        {"port too large", {PROGRAM, "--port", "65536"}, "--port: '65536'"},
        {"port negative", {PROGRAM, "--port", "-1"}, "--port: '-1'"},
        {"port empty", {PROGRAM, "--port="}, "--port: ''"},
        {"port in words", {PROGRAM, "--port", "http"}, "whole number"},
        {"unknown", {BASE, "--frobnicate"}, "unknown option '--frobnicate'"},
        {"prefix of a name", {BASE, "--eng", "2"}, "unknown option '--eng'"},
        {"stray word", {BASE, "here"}, "unknown option 'here'"},
        {"empty word", {BASE, ""}, "unknown option ''"},
        {"flag with a value", {BASE, "--help=1"}, "--help takes no value"},
        {"no engines", {BASE, "--engines", "0"}, "from 1 to 64"},
        {"too many engines", {BASE, "--engines", "65"}, "from 1 to 64"},
        {"blocks overflow", {BASE, "--kv-blocks", "99999999999999999999"}, "--kv-blocks"},
        {"pattern", {BASE, "--load", "sinus"}, "'sinus' is none of"},
        {"pool too small", {BASE, "--kv-blocks", "4"}, "64 tokens are needed"},
        {"processes", {BASE, "--engines=64", "--gpus=5"}, "more than 256"},
        {"model empty", {PROGRAM, "--model="}, "--model: the value is empty"},
        {"model with newline", {PROGRAM, "--model", "a\nb"}, "control characters"},
        {"model not UTF-8", {PROGRAM, "--model", "\xff"}, "not UTF-8"},
        {"page empty", {BASE, "--page", ""}, "--page: the value is empty"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sim_options options = {.port = 77};
        struct complaint complaint = {0};
        char *words[WORDS_MAX];

        memcpy(words, rows[i].words, sizeof(words));
        if (read_words(words, &options, &complaint) != -EINVAL ||
            !strstr(complaint.text, rows[i].part) || options.port != 77)
            fail_msg("[%s] '%s'", rows[i].row, complaint.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_all_given),
        cmocka_unit_test(test_help_needs_nothing_else),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
