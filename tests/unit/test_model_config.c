// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model_config.h"
#include "model/model_limits.h"

#define U UNKNOWN

static int read_config(const char *json, struct model_config *ret, struct complaint *why)
{
    return model_config_read(span_of(json), ret, why);
}

/* One member of what is read. */
#define AT(member) offsetof(struct model_config, member)

static uint64_t number_of(const struct model_config *config, size_t offset)
{
    return *(const uint64_t *)(const void *)((const char *)config + offset);
}

// clang-format off
static const struct {
    const char *row, *json;
    size_t member;
    uint64_t value;
} numbers[] = {
    {"plain", "{\"num_hidden_layers\":28}", AT(layers), 28},
    {"as GPT-2 names it", "{\"n_layer\":12}", AT(layers), 12},
    {"first name wins", "{\"n_layer\":12,\"num_hidden_layers\":13}", AT(layers), 13},
    {"null is not given", "{\"num_hidden_layers\":null}", AT(layers), U},
    {"null, then another name", "{\"num_hidden_layers\":null,\"n_layer\":5}", AT(layers), 5},
    {"missing", "{}", AT(layers), U},
    {"KV heads", "{\"num_key_value_heads\":8}", AT(kv_heads), 8},
    {"KV heads of Falcon", "{\"num_kv_heads\":8,\"n_head_kv\":4}", AT(kv_heads), 4},
    {"KV heads of ChatGLM", "{\"multi_query_group_num\":2}", AT(kv_heads), 2},
    {"zero", "{\"head_dim\":0}", AT(head_dim), 0},
    {"nested", "{\"num_hidden_layers\":1,\"text_config\":{\"num_hidden_layers\":34}}",
     AT(layers), 34},
    {"nested, not in it", "{\"num_hidden_layers\":1,\"text_config\":{}}", AT(layers), U},
    {"nested twice", "{\"thinker_config\":{\"text_config\":{\"num_hidden_layers\":28}}}",
     AT(layers), 28},
    {"llm_config", "{\"llm_config\":{\"hidden_size\":896}}", AT(hidden_size), 896},
    {"language_config", "{\"language_config\":{\"hidden_size\":7}}", AT(hidden_size), 7},
    {"nested is null", "{\"text_config\":null,\"hidden_size\":7}", AT(hidden_size), 7},
    {"nested is text", "{\"text_config\":\"x\",\"hidden_size\":7}", AT(hidden_size), 7},
    {"vision is not text", "{\"vision_config\":{\"num_hidden_layers\":27}}", AT(layers), U},
    {"pattern", "{\"sliding_window_pattern\":6}", AT(sliding_window_pattern), 6},
    {"pattern, newer name", "{\"_sliding_window_pattern\":6}", AT(sliding_window_pattern), 6},
    {"pattern in letters", "{\"sliding_window_pattern\":\"LLLG\"}",
     AT(sliding_window_pattern), 4},
    {"no pattern", "{}", AT(sliding_window_pattern), U},
    {"MTP", "{\"num_nextn_predict_layers\":1}", AT(draft_layers), 1},
    {"MTP of Qwen", "{\"mtp_num_hidden_layers\":2}", AT(draft_layers), 2},
    {"indexers", "{\"indexer_types\":[\"full\",\"shared\",\"full\"]}", AT(indexers_named), 2},
    {"no indexers", "{}", AT(indexers_named), U},
    {"bfloat16", "{\"torch_dtype\":\"bfloat16\"}", AT(dtype_bytes), 2},
    {"with its module", "{\"dtype\":\"torch.float32\"}", AT(dtype_bytes), 4},
    {"dtype of the text", "{\"text_config\":{\"dtype\":\"float16\"}}", AT(dtype_bytes), 2},
    {"dtype goes first", "{\"dtype\":\"float32\",\"torch_dtype\":\"float16\"}",
     AT(dtype_bytes), 4},
    {"dtype not known", "{\"dtype\":\"int4\"}", AT(dtype_bytes), 0},
    {"dtype not given", "{}", AT(dtype_bytes), U},
    {"dtype of a wrong type", "{\"dtype\":7}", AT(dtype_bytes), 0},
    {"Python's words", "{\"a\":[NaN,Infinity,-Infinity],\"hidden_size\":8}",
     AT(hidden_size), 8},
    {"Python's words in text", "{\"a\":\"NaN \\\" Infinity\",\"hidden_size\":8}",
     AT(hidden_size), 8},
};

static const struct {
    const char *row, *json;
    int r;
    const char *why;
} bad[] = {
    {"empty", "", -EBADMSG, "no JSON"},
    {"list", "[]", -EBADMSG, "not a JSON object"},
    {"truncated", "{\"num_hidden_layers\":2", -EBADMSG, "line 1"},
    {"open text", "{\"a", -EBADMSG, "no JSON"},
    {"open escape", "{\"a\\", -EBADMSG, "no JSON"},
    {"two objects", "{}{}", -EBADMSG, "no JSON"},
    {"given twice", "{\"n_layer\":1,\"n_layer\":2}", -EBADMSG, "given twice"},
    {"not UTF-8", "{\"a\":\"\xff\"}", -EBADMSG, "no JSON"},
    {"fraction", "{\"num_hidden_layers\":2.5}", -EBADMSG, "whole number"},
    {"NaN", "{\"num_hidden_layers\":NaN}", -EBADMSG, "whole number"},
    {"infinity", "{\"num_hidden_layers\":-Infinity}", -EBADMSG, "whole number"},
    {"text", "{\"num_hidden_layers\":\"2\"}", -EBADMSG, "whole number"},
    {"true", "{\"num_hidden_layers\":true}", -EBADMSG, "whole number"},
    {"list of heads", "{\"num_key_value_heads\":[1,2]}", -EBADMSG, "whole number"},
    {"negative", "{\"num_hidden_layers\":-1}", -EBADMSG, "0..384"},
    {"too many layers", "{\"num_hidden_layers\":385}", -EBADMSG, "0..384"},
    {"over 64 bits", "{\"hidden_size\":99999999999999999999}", -EBADMSG, "too large"},
    {"flag is a number", "{\"use_sliding_window\":1}", -EBADMSG, "true nor false"},
    {"pattern of no letters", "{\"sliding_window_pattern\":\"\"}", -EBADMSG, "length"},
    {"pattern of others", "{\"sliding_window_pattern\":\"LGLG\"}", -EBADMSG, "LLLG"},
    {"pattern is a list", "{\"sliding_window_pattern\":[]}", -EBADMSG, "whole number"},
    {"layers no list", "{\"layer_types\":\"full_attention\"}", -EBADMSG, "not a list"},
    {"layers of objects", "{\"layer_types\":[{}]}", -EBADMSG, "kinds"},
    {"letters no text", "{\"hybrid_override_pattern\":7}", -EBADMSG, "not text"},
    {"place not there", "{\"n_layer\":2,\"attn_layer_indices\":[2]}", -EBADMSG, "not there"},
    {"place no number", "{\"n_layer\":2,\"attn_layer_indices\":[\"0\"]}", -EBADMSG, "whole"},
    {"places no list", "{\"n_layer\":2,\"attn_layer_indices\":1}", -EBADMSG, "not a list"},
    {"indexers no list", "{\"indexer_types\":1}", -EBADMSG, "not a list"},
    {"quantization no object", "{\"quantization_config\":[]}", -EBADMSG, "not an object"},
};

#define K(...) {__VA_ARGS__}
static const struct {
    const char *row, *json;
    uint32_t n;
    uint8_t kinds[5];
} kinds[] = {
    {"names", "{\"layer_types\":[\"full_attention\",\"sliding_attention\","
     "\"chunked_attention\",\"linear_attention\",\"other\"]}", 5,
     K(LAYER_FULL, LAYER_WINDOW, LAYER_CHUNKED, LAYER_STATE, LAYER_OTHER)},
    {"of Bamba", "{\"layers_block_type\":[\"mamba\",\"attention\",\"moe\"]}", 3,
     K(LAYER_STATE, LAYER_FULL, LAYER_NONE)},
    {"letters", "{\"hybrid_override_pattern\":\"M*-E?\"}", 5,
     K(LAYER_STATE, LAYER_FULL, LAYER_NONE, LAYER_NONE, LAYER_OTHER)},
    {"numbers", "{\"attn_type_list\":[0,1,2]}", 3, K(LAYER_STATE, LAYER_FULL, LAYER_OTHER)},
    {"places", "{\"n_layer\":3,\"attn_layer_indices\":[1]}", 3,
     K(LAYER_STATE, LAYER_FULL, LAYER_STATE)},
    {"places, layers not known", "{\"attn_layer_indices\":[1]}", 0, K(0)},
    {"names go before letters", "{\"layer_types\":[\"conv\"],"
     "\"hybrid_override_pattern\":\"**\"}", 1, K(LAYER_STATE)},
    {"null", "{\"layer_types\":null}", 0, K(0)},
    {"none", "{}", 0, K(0)},
};

static const struct {
    const char *row, *quant;
    enum checkpoint_kv kv;
} checkpoints[] = {
    {"none", "{}", CHECKPOINT_KV_UNSAID},
    {"fp8 weights", "{\"quant_method\":\"fp8\"}", CHECKPOINT_KV_UNSAID},
    {"null scheme", "{\"quant_method\":\"compressed-tensors\",\"kv_cache_scheme\":null}",
     CHECKPOINT_KV_UNSAID},
    {"fp8 scheme", "{\"quant_method\":\"compressed-tensors\",\"kv_cache_scheme\":"
     "{\"num_bits\":8,\"type\":\"float\",\"strategy\":\"tensor\"}}", CHECKPOINT_KV_FP8},
    {"int8 scheme", "{\"quant_method\":\"compressed-tensors\",\"kv_cache_scheme\":"
     "{\"num_bits\":8,\"type\":\"int\"}}", CHECKPOINT_KV_OTHER},
    {"modelopt", "{\"quant_method\":\"modelopt\",\"kv_cache_quant_algo\":\"FP8\"}",
     CHECKPOINT_KV_FP8_MAYBE},
    {"modelopt, as its own file has it", "{\"producer\":{\"name\":\"modelopt\"},"
     "\"quantization\":{\"quant_algo\":\"FP8\",\"kv_cache_quant_algo\":\"fp8\"}}",
     CHECKPOINT_KV_FP8_MAYBE},
    {"modelopt nvfp4", "{\"quant_method\":\"modelopt_fp4\","
     "\"kv_cache_quant_algo\":\"NVFP4\"}", CHECKPOINT_KV_OTHER},
    {"modelopt none", "{\"quant_method\":\"modelopt\",\"kv_cache_quant_algo\":null}",
     CHECKPOINT_KV_UNSAID},
    {"of nobody known", "{\"quant_method\":\"new\",\"kv_cache_scheme\":"
     "{\"num_bits\":8,\"type\":\"float\"}}", CHECKPOINT_KV_OTHER},
    {"scheme is a number", "{\"quant_method\":\"modelopt\",\"kv_cache_scheme\":8}",
     CHECKPOINT_KV_OTHER},
};
// clang-format on

static void test_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct model_config config;
        struct complaint why = {""};

        print_message("%s\n", numbers[i].row);
        if (read_config(numbers[i].json, &config, &why) != 0)
            fail_msg("%s", why.text);
        assert_int_equal(number_of(&config, numbers[i].member), numbers[i].value);
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct model_config config = {.layers = 77};
        struct complaint why = {""};

        print_message("%s\n", bad[i].row);
        assert_int_equal(read_config(bad[i].json, &config, &why), bad[i].r);
        if (!strstr(why.text, bad[i].why))
            fail_msg("%s", why.text);
        assert_int_equal(config.layers, 77);
    }
}

static void test_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct model_config config;
        struct complaint why = {""};

        print_message("%s\n", kinds[i].row);
        assert_int_equal(read_config(kinds[i].json, &config, &why), 0);
        assert_int_equal(config.n_kinds, kinds[i].n);
        assert_memory_equal(config.kind, kinds[i].kinds, kinds[i].n);
    }
}

static void test_checkpoints(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(checkpoints); i++) {
        // clang-format off
        static const char *const around[] = {
            "{\"quantization_config\":%s}",
            "{\"compression_config\":%s}",
            "{\"text_config\":{\"quantization_config\":%s}}",
        };
        // clang-format on

        print_message("%s\n", checkpoints[i].row);
        for (size_t j = 0; j < ARRAY_LEN(around); j++) {
            struct model_config config;
            struct complaint why = {""};
            const char *hole = strstr(around[j], "%s");
            char json[512] = "";
            size_t before = (size_t)(hole - around[j]);
            size_t len = strlen(checkpoints[i].quant);

            memcpy(json, around[j], before);
            memcpy(json + before, checkpoints[i].quant, len);
            memcpy(json + before + len, hole + 2, strlen(hole + 2));
            assert_int_equal(read_config(json, &config, &why), 0);
            assert_int_equal(config.checkpoint_kv, checkpoints[i].kv);
        }
    }
}

static void test_names_and_flags(void **state)
{
    struct model_config config;
    struct complaint why;

    (void)state;
    assert_int_equal(
        read_config("{\"model_type\":\"gemma3\",\"architectures\":[\"Gemma3For\\u0007\"],"
                    "\"is_encoder_decoder\":true,\"text_config\":{\"model_type\":"
                    "\"gemma3_text\",\"use_sliding_window\":false,\"multi_query\":true,"
                    "\"is_causal\":false,\"compress_ratios\":[1]}}",
                    &config, &why),
        0);
    assert_string_equal(config.type, "gemma3_text");
    assert_string_equal(config.root_type, "gemma3");
    assert_string_equal(config.architecture, "Gemma3For\xef\xbf\xbd");
    assert_true(config.no_sliding_window && config.multi_query && config.not_causal);
    assert_true(config.encoder_decoder && config.has_compress_ratios);
    assert_false(config.mixed_windows || config.new_decoder || config.differs_by_layer);
    assert_int_equal(read_config("{\"model_type\":7}", &config, &why), 0);
    assert_string_equal(config.type, "");
}

/* A text of `n` times `piece` between `before` and `after`. */
static struct span repeat(char *room, const char *before, const char *piece, size_t n,
                          const char *after)
{
    size_t len = strlen(before), step = strlen(piece);

    memcpy(room, before, len);
    for (size_t i = 0; i < n; i++, len += step)
        memcpy(room + len, piece, step);
    memcpy(room + len, after, strlen(after));
    return (struct span){room, len + strlen(after)};
}

static void test_limits(void **state)
{
    static char room[MODEL_JSON_MAX + 64];
    struct model_config config;
    struct complaint why;
    struct span text;

    (void)state;
    text = repeat(room, "{\"a\":\"", "x", MODEL_JSON_MAX - 8, "\"}");
    assert_int_equal(text.len, MODEL_JSON_MAX);
    assert_int_equal(model_config_read(text, &config, &why), 0);
    text = repeat(room, "{\"a\":\"", "x", MODEL_JSON_MAX - 7, "\"}");
    assert_int_equal(model_config_read(text, &config, &why), -EFBIG);

    text = repeat(room, "{\"a\":", "[", MODEL_JSON_DEPTH_MAX, "}");
    assert_int_equal(model_config_read(text, &config, &why), -EFBIG);
    text = repeat(room, "{\"a\":", "[", MODEL_JSON_DEPTH_MAX - 1, "}");
    assert_int_equal(model_config_read(text, &config, &why), -EBADMSG); // open brackets
    text = repeat(room, "{\"a\":\"\\\"", "[", MODEL_JSON_DEPTH_MAX, "\"}"); // in text
    assert_int_equal(model_config_read(text, &config, &why), 0);
    text = repeat(room, "{\"a\":[0", ",0", MODEL_JSON_VALUES_MAX - 2, "]}");
    assert_int_equal(model_config_read(text, &config, &why), 0);
    text = repeat(room, "{\"a\":[0", ",0", MODEL_JSON_VALUES_MAX, "]}");
    assert_int_equal(model_config_read(text, &config, &why), -EFBIG);

    text = repeat(room, "{\"hybrid_override_pattern\":\"", "M", MODEL_LAYERS_MAX, "\"}");
    assert_int_equal(model_config_read(text, &config, &why), 0);
    assert_int_equal(config.n_kinds, MODEL_LAYERS_MAX);
    text =
        repeat(room, "{\"hybrid_override_pattern\":\"", "M", MODEL_LAYERS_MAX + 1, "\"}");
    assert_int_equal(model_config_read(text, &config, &why), -EFBIG);
    text = repeat(room, "{\"layer_types\":[0", ",0", MODEL_LAYERS_MAX - 1, "]}");
    assert_int_equal(model_config_read(text, &config, &why), 0);
    text = repeat(room, "{\"layer_types\":[0", ",0", MODEL_LAYERS_MAX, "]}");
    assert_int_equal(model_config_read(text, &config, &why), -EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),         cmocka_unit_test(test_bad),
        cmocka_unit_test(test_kinds),           cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_names_and_flags), cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
