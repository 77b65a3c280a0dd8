// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/server_answers.h"

static void test_version(void **state)
{
    static const struct {
        const char *json;
        int result;
        enum kv_rule rule;
    } rows[] = {
        {"{\"version\":\"0.25.1\"}", 0, KV_RULE_HALF},
        {"{\"version\":\"0.12.0\"}", 0, KV_RULE_QUARTER},
        {"{\"version\":\"0.11.2+cu129\"}", 0, KV_RULE_LEAST},
        {"{\"version\":\"dev\"}", 0, KV_RULE_UNKNOWN},
        {"{\"version\":25}", -EBADMSG, KV_RULE_ALL_FULL},
        {"{}", -EBADMSG, KV_RULE_ALL_FULL},
        {"", -EBADMSG, KV_RULE_ALL_FULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct complaint why = {""};
        enum kv_rule rule = KV_RULE_ALL_FULL; // as it was, where there is no answer

        assert_int_equal(server_read_version(span_of(rows[i].json), &rule, &why),
                         rows[i].result);
        assert_int_equal(rule, rows[i].rule);
        assert_true(rows[i].result == 0 || why.text[0]);
    }
}

static void test_models(void **state)
{
    static const struct {
        const char *json;
        int result;
        const char *root;
        uint64_t max_model_len;
    } rows[] = {
        {"{\"object\":\"list\",\"data\":[{\"id\":\"a\",\"root\":\"org/"
         "m\",\"parent\":null,"
         "\"max_model_len\":4096}]}",
         0, "org/m", 4096},
        // An adapter may come first; it is not the model.
        {"{\"data\":[{\"id\":\"lora\",\"root\":\"/adapters/x\",\"parent\":\"a\","
         "\"max_model_len\":null},{\"id\":\"a\",\"root\":\"/models/m\"}]}",
         0, "/models/m", UNKNOWN},
        {"{\"data\":[{\"root\":\"m\",\"max_model_len\":-1}]}", 0, "m", UNKNOWN},
        {"{\"data\":[{\"root\":\"m\",\"max_model_len\":4096.5}]}", 0, "m", UNKNOWN},
        {"{\"data\":[{\"root\":7}]}", -EBADMSG, "before", 1},
        {"{\"data\":[{\"root\":\"a\\u0000b\"}]}", -EBADMSG, "before", 1},
        {"{\"data\":[]}", -EBADMSG, "before", 1},
        {"{\"data\":\"none\"}", -EBADMSG, "before", 1},
        {"{\"error\":\"Unauthorized\"}", -EBADMSG, "before", 1},
        {"{\"data\":[{\"root\":\"m\"", -EBADMSG, "before", 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct server_model model = {"", "before", 1};
        struct complaint why = {""};

        assert_int_equal(server_read_models(span_of(rows[i].json), &model, &why),
                         rows[i].result);
        assert_string_equal(model.root, rows[i].root);
        assert_int_equal(model.max_model_len, rows[i].max_model_len);
        assert_true(rows[i].result == 0 || why.text[0]);
    }
}

#define PARTS                                                                       \
    "\"parallel_config\":{\"tensor_parallel_size\":4,\"pipeline_parallel_size\":2," \
    "\"data_parallel_size\":1},"                                                    \
    "\"cache_config\":{\"block_size\":16,\"cache_dtype\":\"auto\"},"                \
    "\"scheduler_config\":{\"disable_hybrid_kv_cache_manager\":false},"             \
    "\"speculative_config\":{\"method\":\"eagle3\",\"model\":\"D\"},"               \
    "\"kv_transfer_config\":{}"
#define PRINTED                                                   \
    "\"Qwen3Config {\\n  \\\"model_type\\\": \\\"qwen3\\\",\\n  " \
    "\\\"num_hidden_layers\\\": 28,\\n  \\\"dtype\\\": \\\"bfloat16\\\"\\n}\\n\""
#define NESTED                                                      \
    "\"Gemma3Config {\\n  \\\"model_type\\\": \\\"gemma3\\\",\\n  " \
    "\\\"text_config\\\": {\\n \\\"num_hidden_layers\\\": 28\\n}\\n}\\n\""

static void read_as(const char *json, int result, struct launch *launch,
                    struct model_config *config, struct server_settings *ret)
{
    struct complaint why = {""};

    assert_int_equal(server_read_settings(span_of(json), launch, config, ret, &why),
                     result);
    assert_true(result == 0 || why.text[0]);
}

static void test_settings(void **state)
{
    static struct launch launch, before;
    struct server_settings settings;
    struct model_config config;

    (void)state;
    launch_clear(&launch);
    read_as("{\"vllm_config\":{\"model_config\":{\"model\":\"N\",\"dtype\":"
            "\"torch.bfloat16\",\"max_model_len\":4096,\"quantization\":null,"
            "\"hf_config\":" PRINTED "}," PARTS "},"
            "\"vllm_env\":{\"VLLM_MLA_DISABLE\":false}}",
            0, &launch, &config, &settings);
    assert_string_equal(launch.model, "N");
    assert_string_equal(launch.dtype, "torch.bfloat16");
    assert_int_equal(launch.tp, 4);
    assert_int_equal(launch.pp, 2);
    assert_int_equal(launch.block_size, 16);
    assert_int_equal(launch.max_model_len, 4096);
    assert_int_equal(launch.dcp, UNKNOWN);
    assert_int_equal(launch_draft(&launch), KV_DRAFT_MODEL);
    assert_int_equal(launch_hybrid(&launch), KV_HYBRID_DEFAULT);
    assert_true(launch.kv_transfer && !launch.unclear);
    assert_true(settings.has_config && settings.has_environment && !settings.env_unclear);
    assert_int_equal(config.layers, 28);
    assert_string_equal(config.type, "qwen3");

    before = launch;
    read_as("{\"vllm", -EBADMSG, &launch, &config, &settings);
    read_as("{\"vllm_config\":\"as text\"}", -EBADMSG, &launch, &config, &settings);
    assert_memory_equal(&launch, &before, sizeof(launch));
}

/* What cannot be known from it is not made up. */
static void test_settings_that_tell_less(void **state)
{
    static const struct {
        const char *json;
        bool has_config, has_environment, env_unclear;
    } rows[] = {
        {"{\"vllm_config\":{\"model_config\":{}," PARTS "}}", false, false, false},
        {"{\"vllm_config\":{\"model_config\":{\"hf_config\":" NESTED "}," PARTS "},"
         "\"vllm_env\":{}}",
         false, true, false},
        {"{\"vllm_config\":{\"model_config\":{\"hf_config\":\"Qwen3Config {\"}," PARTS
         "},\"vllm_env\":{\"VLLM_MLA_DISABLE\":true}}",
         false, true, true},
        {"{\"vllm_config\":{\"model_config\":{\"hf_config\":" PRINTED "}," PARTS "},"
         "\"vllm_env\":{\"VLLM_PP_LAYER_PARTITION\":\"3,4\"}}",
         true, true, true},
        {"{\"vllm_config\":{\"model_config\":{\"hf_config\":" PRINTED "}," PARTS "},"
         "\"vllm_env\":{\"VLLM_PP_LAYER_PARTITION\":null}}",
         true, true, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static struct launch launch;
        struct server_settings settings;
        struct model_config config;

        launch_clear(&launch);
        read_as(rows[i].json, 0, &launch, &config, &settings);
        assert_int_equal(launch.tp, 4);
        assert_int_equal(settings.has_config, rows[i].has_config);
        assert_int_equal(settings.has_environment, rows[i].has_environment);
        assert_int_equal(settings.env_unclear, rows[i].env_unclear);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_settings_that_tell_less),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
