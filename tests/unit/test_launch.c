// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/launch.h"
#include "model/model_limits.h"

#include <math.h>

#define U UNKNOWN
#define SERVE "vllm\0serve\0M\0"
#define LINE(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }
#define AT(member) offsetof(struct launch, member)

static const void *member(const struct launch *launch, size_t offset)
{
    return (const char *)launch + offset;
}

// clang-format off
static const struct {
    const char *row;
    struct span line;
    int r;
    enum launch_kind kind;
    const char *model;
} programs[] = {
    {"vllm serve", LINE("vllm\0serve\0Qwen/Qwen3-0.6B\0"), 1, LAUNCH_SERVE, "Qwen/Qwen3-0.6B"},
    {"as a script", LINE("/usr/bin/python3\0/usr/local/bin/vllm\0serve\0M\0"), 1, LAUNCH_SERVE,
     "M"},
    {"as a module", LINE("python3\0-m\0vllm.entrypoints.cli.main\0serve\0M\0"), 1,
     LAUNCH_SERVE, "M"},
    {"API server", LINE("python\0-m\0vllm.entrypoints.openai.api_server\0--model\0M\0"), 1,
     LAUNCH_API_SERVER, "M"},
    {"API server by path",
     LINE("python\0/opt/vllm/entrypoints/openai/api_server.py\0--model=M\0"), 1,
     LAUNCH_API_SERVER, "M"},
    {"API server has no positional", LINE("python\0-m\0vllm.entrypoints.openai.api_server\0M\0"),
     1, LAUNCH_API_SERVER, ""},
    {"Rust", LINE("vllm-rs\0frontend\0--listen-fd\0" "3\0--args-json\0{\"model\":\"M\","
      "\"tensor_parallel_size\":2}\0"), 1, LAUNCH_RUST, "M"},
    {"Rust, model_tag", LINE("/x/vllm-rs\0frontend\0--args-json\0{\"model_tag\":\"M\"}\0"), 1,
     LAUNCH_RUST, "M"},
    {"Rust without arguments", LINE("vllm-rs\0frontend\0"), 1, LAUNCH_RUST, ""},
    {"model by option", LINE("vllm\0serve\0--model\0M\0"), 1, LAUNCH_SERVE, "M"},
    {"model after a known option", LINE("vllm\0serve\0--port\0" "9\0M\0"), 1, LAUNCH_SERVE, "M"},
    {"after a flag", LINE("vllm\0serve\0--disable-log-stats\0M\0"), 1, LAUNCH_SERVE, "M"},
    {"after one not known: not taken", LINE("vllm\0serve\0--seed\0M\0"), 1, LAUNCH_SERVE, ""},
    {"after one not known, joined", LINE("vllm\0serve\0--seed=1\0M\0"), 1, LAUNCH_SERVE, "M"},
    {"no model", LINE("vllm\0serve\0"), 1, LAUNCH_SERVE, ""},
    {"no last NUL", LINE("vllm\0serve\0M"), 1, LAUNCH_SERVE, "M"},
    {"title of a worker", LINE("VLLM::EngineCore\0\0\0\0"), 0, 0, NULL},
    {"bench", LINE("vllm\0bench\0serve\0"), 0, 0, NULL},
    {"name inside a name", LINE("myvllm\0serve\0M\0"), 0, 0, NULL},
    {"only its name", LINE("vllm\0"), 0, 0, NULL},
    {"another server", LINE("python\0-m\0sglang.launch_server\0"), 0, 0, NULL},
    {"too far behind", LINE("a\0b\0c\0d\0e\0f\0g\0h\0vllm\0serve\0M\0"), 0, 0, NULL},
    {"empty", LINE(""), 0, 0, NULL},
    {"blank", LINE("\0\0\0\0"), 0, 0, NULL},
};

static const struct {
    const char *row;
    struct span line;
    size_t member;
    uint64_t value;
    bool unclear;
} counts[] = {
    {"apart", LINE(SERVE "--tensor-parallel-size\0" "4\0"), AT(tp), 4, false},
    {"joined", LINE(SERVE "--tensor-parallel-size=4\0"), AT(tp), 4, false},
    {"underscores", LINE(SERVE "--tensor_parallel_size\0" "4\0"), AT(tp), 4, false},
    {"brief", LINE(SERVE "-tp\0" "8\0"), AT(tp), 8, false},
    {"brief, joined", LINE(SERVE "-tp=8\0"), AT(tp), 8, false},
    {"the last wins", LINE(SERVE "-tp\0" "8\0-tp\0" "2\0"), AT(tp), 2, false},
    {"not given", LINE(SERVE), AT(tp), U, false},
    {"no value", LINE(SERVE "-tp\0"), AT(tp), U, true},
    {"an option for a value", LINE(SERVE "-tp\0--port\0" "7\0"), AT(tp), U, true},
    {"and that one is read", LINE(SERVE "-tp\0--port\0" "7\0"), AT(port), 7, true},
    {"no number", LINE(SERVE "-tp\0four\0"), AT(tp), U, true},
    {"negative", LINE(SERVE "-tp\0-4\0"), AT(tp), U, true},
    {"too large", LINE(SERVE "-tp\0" "4294967296\0"), AT(tp), U, true},
    {"beginning of a name", LINE(SERVE "--tensor-parallel\0" "4\0"), AT(tp), U, true},
    {"-pp", LINE(SERVE "-pp\0" "2\0"), AT(pp), 2, false},
    {"-dp", LINE(SERVE "-dp\0" "2\0"), AT(dp), 2, false},
    {"-dcp", LINE(SERVE "-dcp\0" "4\0"), AT(dcp), 4, false},
    {"-pcp", LINE(SERVE "-pcp\0" "4\0"), AT(pcp), 4, false},
    {"block size", LINE(SERVE "--block-size\0" "64\0"), AT(block_size), 64, false},
    {"port", LINE(SERVE "--port\0" "8001\0"), AT(port), 8001, false},
    {"API servers", LINE(SERVE "--api-server-count=3\0"), AT(api_servers), 3, false},
    {"override", LINE(SERVE "--num-gpu-blocks-override\0" "512\0"),
     AT(num_gpu_blocks_override), 512, false},
    {"bytes", LINE(SERVE "--kv-cache-memory-bytes\0" "8589934592\0"),
     AT(kv_cache_memory_bytes), 8589934592, false},
    {"binary unit", LINE(SERVE "--kv-cache-memory-bytes=8G\0"),
     AT(kv_cache_memory_bytes), 8589934592, false},
    {"decimal unit", LINE(SERVE "--kv-cache-memory-bytes=20g\0"),
     AT(kv_cache_memory_bytes), 20000000000, false},
    {"decimal fraction", LINE(SERVE "--kv-cache-memory-bytes=25.6k\0"),
     AT(kv_cache_memory_bytes), 25600, false},
    {"tera", LINE(SERVE "--kv-cache-memory-bytes=1T\0"),
     AT(kv_cache_memory_bytes), UINT64_C(1) << 40, false},
    {"its shorter name", LINE(SERVE "--kv-cache-memory=1K\0"), AT(kv_cache_memory_bytes), 1024,
     false},
    {"binary fraction", LINE(SERVE "--kv-cache-memory-bytes=1.5G\0"),
     AT(kv_cache_memory_bytes), U, true},
    {"exponent", LINE(SERVE "--kv-cache-memory-bytes=1e3k\0"),
     AT(kv_cache_memory_bytes), U, true},
    {"only a unit", LINE(SERVE "--kv-cache-memory-bytes=G\0"), AT(kv_cache_memory_bytes), U,
     true},
    {"empty", LINE(SERVE "--kv-cache-memory-bytes=\0"), AT(kv_cache_memory_bytes), U, true},
    {"over the top", LINE(SERVE "--kv-cache-memory-bytes=9999999999T\0"),
     AT(kv_cache_memory_bytes), U, true},
    {"length", LINE(SERVE "--max-model-len\0" "32k\0"), AT(max_model_len), 32000, false},
    {"length by itself", LINE(SERVE "--max-model-len\0auto\0"), AT(max_model_len), U, false},
    {"the same", LINE(SERVE "--max-model-len\0-1\0"), AT(max_model_len), U, false},
    {"drafts", LINE(SERVE "--speculative-config\0{\"method\":\"mtp\","
      "\"num_speculative_tokens\":3}\0"), AT(speculative_tokens), 3, false},
    {"draft ranks", LINE(SERVE "-sc\0{\"method\":\"eagle\","
      "\"draft_tensor_parallel_size\":1}\0"), AT(draft_tp), 1, false},
    {"drafts, part by part", LINE(SERVE "--speculative-config.num_speculative_tokens\0" "2\0"),
     AT(speculative_tokens), 2, false},
    {"drafts are no JSON", LINE(SERVE "--speculative-config\0{\0"), AT(speculative_tokens), U,
     true},
    {"drafts of a wrong type", LINE(SERVE "--speculative-config\0"
      "{\"num_speculative_tokens\":-3}\0"), AT(speculative_tokens), U, true},
    {"option not known", LINE(SERVE "--swap-space\0" "4\0-tp=2\0"), AT(tp), 2, false},
    {"very long option", LINE(SERVE "--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0-tp=2\0"), AT(tp), 2, false},
    {"dashes alone", LINE(SERVE "--\0-\0-=\0--=\0-tp=2\0"), AT(tp), 2, false},
    {"Rust", LINE("vllm-rs\0frontend\0--args-json\0{\"tensor_parallel_size\":2}\0"), AT(tp), 2,
     false},
    {"Rust, text", LINE("vllm-rs\0frontend\0--args-json\0{\"tensor_parallel_size\":\"2\"}\0"),
     AT(tp), 2, false},
    {"Rust, no JSON", LINE("vllm-rs\0frontend\0--args-json\0{]\0"), AT(tp), U, true},
    {"Rust, too large",
     LINE("vllm-rs\0frontend\0--args-json\0{\"tensor_parallel_size\":4294967296}\0"), AT(tp), U,
     true},
    {"Rust, negative", LINE("vllm-rs\0frontend\0--args-json\0{\"tensor_parallel_size\":-2}\0"),
     AT(tp), U, true},
};

static const struct {
    const char *row;
    struct span line;
    size_t member;
    const char *value;
} texts[] = {
    {"name", LINE(SERVE "--served-model-name\0a\0b\0"), AT(served_name), "a"},
    {"names take no model's place", LINE(SERVE "--served-model-name\0a\0b\0"), AT(model), "M"},
    {"only the first stands alone", LINE(SERVE "-tp\0" "1\0N\0"), AT(model), "M"},
    {"cache type", LINE(SERVE "--kv-cache-dtype\0fp8_e4m3\0"), AT(cache_dtype), "fp8_e4m3"},
    {"dtype", LINE(SERVE "--dtype=half\0"), AT(dtype), "half"},
    {"quantization", LINE(SERVE "-q\0awq\0"), AT(quantization), "awq"},
    {"host", LINE(SERVE "--host\0::1\0"), AT(host), "::1"},
    {"socket", LINE(SERVE "--uds\0/run/v.sock\0"), AT(uds), "/run/v.sock"},
    {"root path", LINE(SERVE "--root-path\0/a\0"), AT(root_path), "/a"},
    {"config file", LINE(SERVE "--config\0/etc/v.yaml\0"), AT(config_file), "/etc/v.yaml"},
    {"underscores in a value stay", LINE(SERVE "--model=a_b\0"), AT(model), "a_b"},
    {"equals in a value", LINE(SERVE "--model=a=b\0"), AT(model), "a=b"},
    {"dot in a value", LINE(SERVE "--model=Qwen3-0.6B\0"), AT(model), "Qwen3-0.6B"},
    {"method", LINE(SERVE "--speculative-config={\"method\":\"ngram\"}\0"), AT(draft_method),
     "ngram"},
    {"method, part by part", LINE(SERVE "--speculative-config.method\0eagle\0"),
     AT(draft_method), "eagle"},
    {"draft model", LINE(SERVE "--speculative-model\0D\0"), AT(draft_model), "D"},
    {"word too long", LINE(SERVE "--dtype=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0"), AT(dtype), ""},
    {"Rust, first of names", LINE("vllm-rs\0frontend\0--args-json\0"
      "{\"served_model_name\":[\"a\",\"b\"]}\0"), AT(served_name), "a"},
    {"Rust, NUL inside", LINE("vllm-rs\0frontend\0--args-json\0{\"model\":\"a\\u0000b\"}\0"),
     AT(model), ""},
};

static const struct {
    const char *row;
    struct span line;
    size_t member;
    bool value;
} flags[] = {
    {"no TLS", LINE(SERVE), AT(tls), false},
    {"TLS", LINE(SERVE "--ssl-certfile\0c\0"), AT(tls), true},
    {"overrides", LINE(SERVE "--hf-overrides\0{}\0"), AT(hf_overrides), true},
    {"overrides by part", LINE(SERVE "--hf-overrides.num_hidden_layers\0" "4\0"),
     AT(hf_overrides), true},
    {"KV transfer", LINE(SERVE "--kv-transfer-config={}\0"), AT(kv_transfer), true},
    {"no stats", LINE(SERVE "--disable-log-stats\0"), AT(stats_off), true},
    {"experts", LINE(SERVE "--enable-expert-parallel\0"), AT(expert_parallel), true},
    {"experts, brief", LINE(SERVE "-ep\0"), AT(expert_parallel), true},
    {"no hybrid manager", LINE(SERVE "--disable-hybrid-kv-cache-manager\0"), AT(hybrid_off),
     true},
    {"hybrid manager", LINE(SERVE "--no-disable-hybrid-kv-cache-manager\0"), AT(hybrid_on),
     true},
    {"layers exempt", LINE(SERVE "--kv-cache-dtype-skip-layers\0" "0\0" "1\0"), AT(skips_layers),
     true},
    {"speculative", LINE(SERVE "--speculative-model\0D\0"), AT(speculative), true},
    {"Rust, flag", LINE("vllm-rs\0frontend\0--args-json\0{\"disable_log_stats\":true}\0"),
     AT(stats_off), true},
    {"Rust, not", LINE("vllm-rs\0frontend\0--args-json\0{\"disable_log_stats\":false}\0"),
     AT(stats_off), false},
    {"Rust, no layers exempt",
     LINE("vllm-rs\0frontend\0--args-json\0{\"kv_cache_dtype_skip_layers\":[]}\0"),
     AT(skips_layers), false},
    {"Rust, overrides are null", LINE("vllm-rs\0frontend\0--args-json\0{\"hf_overrides\":null}\0"),
     AT(hf_overrides), false},
};

static const struct {
    const char *row;
    struct span line;
    enum kv_draft draft;
    enum kv_hybrid hybrid;
} uses[] = {
    {"none", LINE(SERVE), KV_DRAFT_NONE, KV_HYBRID_DEFAULT},
    {"ngram", LINE(SERVE "-sc={\"method\":\"ngram\"}\0"), KV_DRAFT_NONE, KV_HYBRID_DEFAULT},
    {"mtp", LINE(SERVE "-sc={\"method\":\"mtp\"}\0"), KV_DRAFT_MTP, KV_HYBRID_DEFAULT},
    {"deepseek_mtp", LINE(SERVE "-sc={\"method\":\"deepseek_mtp\"}\0"), KV_DRAFT_MTP,
     KV_HYBRID_DEFAULT},
    {"eagle3", LINE(SERVE "-sc={\"method\":\"eagle3\",\"model\":\"D\"}\0"), KV_DRAFT_MODEL,
     KV_HYBRID_DEFAULT},
    {"method left to the server", LINE(SERVE "-sc={\"model\":\"D\"}\0"), KV_DRAFT_UNKNOWN,
     KV_HYBRID_DEFAULT},
    {"dflash", LINE(SERVE "-sc={\"method\":\"dflash\"}\0"), KV_DRAFT_UNKNOWN,
     KV_HYBRID_DEFAULT},
    {"connector", LINE(SERVE "--kv-transfer-config\0{}\0"), KV_DRAFT_NONE, KV_HYBRID_UNSURE},
    {"connector, manager kept", LINE(SERVE "--kv-transfer-config\0{}\0"
      "--no-disable-hybrid-kv-cache-manager\0"), KV_DRAFT_NONE, KV_HYBRID_DEFAULT},
    {"manager off", LINE(SERVE "--disable-hybrid-kv-cache-manager\0"), KV_DRAFT_NONE,
     KV_HYBRID_OFF},
};
// clang-format on

static void test_programs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        struct launch launch = {.tp = 77};

        print_message("%s\n", programs[i].row);
        assert_int_equal(launch_read(programs[i].line, &launch), programs[i].r);
        if (programs[i].r == 0) {
            assert_int_equal(launch.tp, 77);
            continue;
        }
        assert_int_equal(launch.kind, programs[i].kind);
        assert_string_equal(launch.model, programs[i].model);
    }
}

static void test_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct launch launch;

        print_message("%s\n", counts[i].row);
        assert_int_equal(launch_read(counts[i].line, &launch), 1);
        assert_int_equal(*(const uint64_t *)member(&launch, counts[i].member),
                         counts[i].value);
        assert_int_equal(launch.unclear, counts[i].unclear);
    }
}

static void test_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct launch launch;

        print_message("%s\n", texts[i].row);
        assert_int_equal(launch_read(texts[i].line, &launch), 1);
        assert_string_equal(member(&launch, texts[i].member), texts[i].value);
    }
}

static void test_flags(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        struct launch launch;

        print_message("%s\n", flags[i].row);
        assert_int_equal(launch_read(flags[i].line, &launch), 1);
        assert_int_equal(*(const bool *)member(&launch, flags[i].member), flags[i].value);
    }
}

static void test_uses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
        struct launch launch;

        print_message("%s\n", uses[i].row);
        assert_int_equal(launch_read(uses[i].line, &launch), 1);
        assert_int_equal(launch_draft(&launch), uses[i].draft);
        assert_int_equal(launch_hybrid(&launch), uses[i].hybrid);
    }
}

static void test_ratio(void **state)
{
    struct launch launch;
    static const struct span good = LINE(SERVE "--gpu-memory-utilization\0"
                                               "0.45\0"),
                             large = LINE(SERVE "--gpu-memory-utilization=1.5\0");

    (void)state;
    assert_int_equal(launch_read(good, &launch), 1);
    assert_true(launch.gpu_memory_utilization > 0.44 &&
                launch.gpu_memory_utilization < 0.46);
    assert_int_equal(launch_read(large, &launch), 1);
    assert_true(isnan(launch.gpu_memory_utilization) && launch.unclear);
}

static void test_too_many_args(void **state)
{
    static char line[3 * 5000];
    static const char start[] = SERVE;
    struct launch launch;

    (void)state;
    for (size_t i = 0; i < sizeof(line); i += 3)
        memcpy(line + i, "-x", 3);
    memcpy(line, start, sizeof(start) - 1);
    assert_int_equal(launch_read((struct span){line, sizeof(line)}, &launch), 1);
    assert_true(launch.unclear);
    assert_string_equal(launch.model, "M");
}

// clang-format off
static const struct {
    const char *row;
    struct span line;
    bool wrapped;
} wraps[] = {
    {"itself", LINE("vllm\0serve\0M\0"), false},
    {"itself, by its path", LINE("/opt/venv/bin/vllm\0serve\0M\0"), false},
    {"Python", LINE("/usr/bin/python3.12\0/usr/local/bin/vllm\0serve\0M\0"), false},
    {"Python with options", LINE("python\0-u\0-X\0faulthandler\0/x/vllm\0serve\0M\0"), false},
    {"a module", LINE("python3\0-I\0-m\0vllm.entrypoints.cli.main\0serve\0"), false},
    {"API server", LINE("python\0-m\0vllm.entrypoints.openai.api_server\0"), false},
    {"Rust", LINE("vllm-rs\0frontend\0"), false},
    {"on another host", LINE("ssh\0host\0vllm\0serve\0M\0"), true},
    {"in a container", LINE("docker\0run\0image\0vllm\0serve\0M\0"), true},
    {"below an init", LINE("tini\0--\0vllm\0serve\0M\0"), true},
    {"Python below another", LINE("sudo\0python3\0-m\0vllm.entrypoints.openai.api_server\0"), true},
    {"a script of Python's", LINE("python3\0supervise.py\0vllm\0serve\0M\0"), true},
};
// clang-format on

static void test_wraps(void **state)
{
    static struct launch launch;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wraps); i++)
        if (launch_read(wraps[i].line, &launch) != 1 ||
            launch.wrapped != wraps[i].wrapped)
            fail_msg("[%s]", wraps[i].row);
}

static void test_python(void **state)
{
    static const struct {
        struct span line;
        bool is;
    } rows[] = {
        {LINE("python\0app.py\0"), true},
        {LINE("/a/b/python3.11\0"), true},
        {LINE("/python/bin/supervise\0"), false},
        {LINE("systemd\0"), false},
        {LINE(""), false},
        {LINE("pytho\0n\0"), false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (launch_is_python(rows[i].line) != rows[i].is)
            fail_msg("%zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs),      cmocka_unit_test(test_counts),
        cmocka_unit_test(test_texts),         cmocka_unit_test(test_flags),
        cmocka_unit_test(test_uses),          cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_too_many_args), cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_python),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
