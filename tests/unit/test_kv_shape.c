// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/kv_shape.h"

#include <stdio.h>

#define U UNKNOWN

static struct model_config read_config(const char *json)
{
    struct model_config config;
    struct complaint why = {""};

    if (model_config_read(span_of(json), &config, &why) < 0)
        fail_msg("%s: %s", json, why.text);
    return config;
}

// clang-format off
#define QWEN3_06B \
    "{\"model_type\":\"qwen3\",\"num_hidden_layers\":28,\"num_attention_heads\":16," \
    "\"num_key_value_heads\":8,\"head_dim\":128,\"hidden_size\":1024," \
    "\"sliding_window\":null,\"use_sliding_window\":false,\"max_window_layers\":28," \
    "\"torch_dtype\":\"bfloat16\"}"
#define LLAMA_8B \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":32,\"num_attention_heads\":32," \
    "\"num_key_value_heads\":8,\"hidden_size\":4096,\"torch_dtype\":\"bfloat16\"}"
#define LLAMA_70B \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":80,\"num_attention_heads\":64," \
    "\"num_key_value_heads\":8,\"hidden_size\":8192,\"torch_dtype\":\"bfloat16\"}"
#define EAGLE_8B \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":1,\"num_attention_heads\":32," \
    "\"num_key_value_heads\":8,\"hidden_size\":4096,\"torch_dtype\":\"float16\"}"
#define QWEN25_05B \
    "{\"model_type\":\"qwen2\",\"num_hidden_layers\":24,\"num_attention_heads\":14," \
    "\"num_key_value_heads\":2,\"hidden_size\":896,\"sliding_window\":32768," \
    "\"max_window_layers\":21,\"use_sliding_window\":false,\"torch_dtype\":\"bfloat16\"}"
#define QWEN3_235B \
    "{\"model_type\":\"qwen3_moe\",\"num_hidden_layers\":94,\"num_attention_heads\":64," \
    "\"num_key_value_heads\":4,\"head_dim\":128,\"hidden_size\":4096," \
    "\"torch_dtype\":\"bfloat16\",\"quantization_config\":{\"quant_method\":\"fp8\"}}"
#define OPT_125M \
    "{\"model_type\":\"opt\",\"num_hidden_layers\":12,\"num_attention_heads\":12," \
    "\"hidden_size\":768,\"torch_dtype\":\"float16\"}"
#define DEEPSEEK_V3 \
    "{\"model_type\":\"deepseek_v3\",\"num_hidden_layers\":61," \
    "\"num_attention_heads\":128,\"num_key_value_heads\":128,\"kv_lora_rank\":512," \
    "\"qk_rope_head_dim\":64,\"v_head_dim\":128,\"hidden_size\":7168," \
    "\"num_nextn_predict_layers\":1,\"torch_dtype\":\"bfloat16\"}"
#define DEEPSEEK_V32 \
    "{\"model_type\":\"deepseek_v32\",\"num_hidden_layers\":61," \
    "\"num_attention_heads\":128,\"num_key_value_heads\":128,\"kv_lora_rank\":512," \
    "\"qk_rope_head_dim\":64,\"index_topk\":2048,\"index_head_dim\":128," \
    "\"num_nextn_predict_layers\":1,\"torch_dtype\":\"bfloat16\"}"
#define GLM_52 \
    "{\"model_type\":\"glm_moe_dsa\",\"num_hidden_layers\":78," \
    "\"num_attention_heads\":64,\"num_key_value_heads\":64,\"head_dim\":192," \
    "\"kv_lora_rank\":512,\"qk_rope_head_dim\":64,\"index_topk\":2048," \
    "\"index_head_dim\":128,\"index_topk_freq\":4,\"index_skip_topk_offset\":3," \
    "\"index_topk_pattern\":null,\"num_nextn_predict_layers\":1," \
    "\"dtype\":\"bfloat16\"}"
#define GPT_OSS(layers) \
    "{\"model_type\":\"gpt_oss\",\"num_hidden_layers\":" layers "," \
    "\"num_attention_heads\":64,\"num_key_value_heads\":8,\"head_dim\":64," \
    "\"hidden_size\":2880,\"sliding_window\":128}"
#define GEMMA3_27B \
    "{\"model_type\":\"gemma3\",\"torch_dtype\":\"bfloat16\",\"text_config\":{" \
    "\"model_type\":\"gemma3_text\",\"num_hidden_layers\":62,\"head_dim\":128," \
    "\"num_attention_heads\":32,\"num_key_value_heads\":16,\"hidden_size\":5376," \
    "\"sliding_window\":1024},\"vision_config\":{\"num_hidden_layers\":27}}"
#define GEMMA3_LAYERS(layers) \
    "{\"model_type\":\"gemma3\",\"torch_dtype\":\"bfloat16\",\"text_config\":{" \
    "\"model_type\":\"gemma3_text\",\"num_hidden_layers\":" layers "," \
    "\"hidden_size\":2560,\"sliding_window\":1024}}"
#define GEMMA3_4B GEMMA3_LAYERS("34")
#define GEMMA3N \
    "{\"model_type\":\"gemma3n\",\"text_config\":{\"model_type\":\"gemma3n_text\"," \
    "\"num_hidden_layers\":10,\"num_attention_heads\":8,\"num_key_value_heads\":2," \
    "\"head_dim\":256,\"sliding_window\":512,\"num_kv_shared_layers\":5,\"layer_types\":[" \
    "\"sliding_attention\",\"sliding_attention\",\"sliding_attention\"," \
    "\"sliding_attention\",\"full_attention\",\"sliding_attention\"," \
    "\"sliding_attention\",\"sliding_attention\",\"sliding_attention\"," \
    "\"full_attention\"]}}"
#define QWEN38_27B \
    "{\"model_type\":\"qwen3_5\",\"text_config\":{\"model_type\":\"qwen3_5_text\"," \
    "\"num_hidden_layers\":64,\"num_attention_heads\":24,\"num_key_value_heads\":4," \
    "\"head_dim\":256,\"full_attention_interval\":4,\"linear_num_value_heads\":48," \
    "\"linear_num_key_heads\":16,\"linear_key_head_dim\":128," \
    "\"linear_value_head_dim\":128,\"linear_conv_kernel_dim\":4," \
    "\"mtp_num_hidden_layers\":1,\"dtype\":\"bfloat16\"}}"
#define NEMOTRON_H \
    "{\"model_type\":\"nemotron_h\",\"hybrid_override_pattern\":\"M-M-M*-M-M*-M-\"," \
    "\"num_hidden_layers\":14,\"num_attention_heads\":32,\"num_key_value_heads\":8," \
    "\"head_dim\":128,\"time_step_limit\":[0.0,Infinity]}"
#define JAMBA \
    "{\"model_type\":\"jamba\",\"num_hidden_layers\":32,\"num_attention_heads\":32," \
    "\"num_key_value_heads\":8,\"hidden_size\":4096,\"attn_layer_period\":8," \
    "\"attn_layer_offset\":4}"
#define FALCON_H1 \
    "{\"model_type\":\"falcon_h1\",\"num_hidden_layers\":36,\"num_attention_heads\":8," \
    "\"num_key_value_heads\":2,\"head_dim\":64}"
#define TWENTY_FIVE \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":5,\"num_attention_heads\":8," \
    "\"hidden_size\":512,\"sliding_window\":64,\"layer_types\":[\"full_attention\"," \
    "\"sliding_attention\",\"full_attention\",\"sliding_attention\",\"full_attention\"]}"
#define MISTRAL_V01 \
    "{\"model_type\":\"mistral\",\"num_hidden_layers\":32,\"num_attention_heads\":32," \
    "\"num_key_value_heads\":8,\"hidden_size\":4096,\"sliding_window\":4096}"
#define LLAMA_FP8(quant) \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":32,\"num_attention_heads\":32," \
    "\"num_key_value_heads\":8,\"hidden_size\":4096,\"torch_dtype\":\"bfloat16\"," \
    "\"quantization_config\":{" quant "}}"

/* Bytes on one GPU; all in bytes; ranks of 0 read as 1. */
static const struct row {
    const char *row, *json;
    uint64_t tp, pp, dcp, block;
    const char *cache;
    enum kv_draft draft;
    enum kv_rule rule;
    uint64_t per_token, per_block, all;
    uint32_t groups;
    bool uniform;
} rows[] = {
    {"Qwen3-0.6B", QWEN3_06B, 1, 1, 1, 16, "auto", 0, 0,
     114688, 1835008, 1835008, 1, true},
    {"Llama-3.1-8B", LLAMA_8B, 1, 1, 1, 16, "auto", 0, 0,
     131072, 2097152, 2097152, 1, true},
    {"Llama-3.1-8B, TP 2", LLAMA_8B, 2, 1, 1, 16, "auto", 0, 0,
     65536, 1048576, 2097152, 1, true},
    {"Llama-3.1-8B, TP 8", LLAMA_8B, 8, 1, 1, 16, "auto", 0, 0,
     16384, 262144, 2097152, 1, true},
    {"Llama-3.1-8B, TP 16: heads repeated", LLAMA_8B, 16, 1, 1, 16, "auto", 0, 0,
     16384, 262144, 4194304, 1, true},
    {"Llama-3.1-8B, fp8", LLAMA_8B, 1, 1, 1, 16, "fp8", 0, 0,
     65536, 1048576, 1048576, 1, true},
    {"Llama-3.1-8B, fp8_e5m2", LLAMA_8B, 1, 1, 1, 16, "fp8_e5m2", 0, 0,
     65536, 1048576, 1048576, 1, true},
    {"Llama-3.1-8B, float32 cache", LLAMA_8B, 1, 1, 1, 16, "float32", 0, 0,
     262144, 4194304, 4194304, 1, true},
    {"Llama-3.1-8B, PP 4", LLAMA_8B, 1, 4, 1, 16, "auto", 0, 0,
     131072, 524288, 2097152, 1, true},
    {"Llama-3.1-8B, PP 3: 11 layers on the second", LLAMA_8B, 1, 3, 1, 16, "auto", 0, 0,
     131072, 720896, 2097152, 1, true},
    {"Llama-3.1-8B, PP 2 x TP 2", LLAMA_8B, 2, 2, 1, 16, "auto", 0, 0,
     65536, 524288, 2097152, 1, true},
    {"Llama-3.1-8B with EAGLE", LLAMA_8B, 1, 1, 1, 16, "auto", KV_DRAFT_MODEL, 0,
     135168, 2162688, 2162688, 1, true},
    {"the same, PP 2: the draft on the last", LLAMA_8B, 1, 2, 1, 16, "auto",
     KV_DRAFT_MODEL, 0, 135168, 1114112, 2162688, 1, true},
    {"Llama-3.1-70B", LLAMA_70B, 1, 1, 1, 16, "auto", 0, 0,
     327680, 5242880, 5242880, 1, true},
    {"Llama-3.1-70B, TP 4", LLAMA_70B, 4, 1, 1, 16, "auto", 0, 0,
     81920, 1310720, 5242880, 1, true},
    {"Qwen2.5-0.5B", QWEN25_05B, 1, 1, 1, 16, "auto", 0, 0,
     12288, 196608, 196608, 1, true},
    {"Qwen3-235B-FP8, TP 4", QWEN3_235B, 4, 1, 1, 16, "auto", 0, 0,
     48128, 770048, 3080192, 1, true},
    {"opt-125m, TP 2, as captured", OPT_125M, 2, 1, 1, 16, "auto", 0, 0,
     18432, 294912, 589824, 1, true},
    {"DeepSeek-V3", DEEPSEEK_V3, 1, 1, 1, 16, "auto", 0, 0,
     70272, 1124352, 1124352, 1, true},
    {"DeepSeek-V3, block 64, TP 8: on every rank", DEEPSEEK_V3, 8, 1, 1, 64, "auto", 0, 0,
     70272, 4497408, 35979264, 1, true},
    {"DeepSeek-V3, fp8_ds_mla", DEEPSEEK_V3, 1, 1, 1, 64, "fp8_ds_mla", 0, 0,
     40016, 2561024, 2561024, 1, true},
    {"the same with its MTP layer", DEEPSEEK_V3, 1, 1, 1, 64, "fp8_ds_mla", KV_DRAFT_MTP, 0,
     40672, 2603008, 2603008, 1, true},
    {"DeepSeek-V3, fp8", DEEPSEEK_V3, 1, 1, 1, 64, "fp8", 0, 0,
     35136, 2248704, 2248704, 1, true},
    {"DeepSeek-V3.2: an indexer in each layer", DEEPSEEK_V32, 1, 1, 1, 64, "fp8_ds_mla",
     0, 0, 48068, 3076352, 3076352, 1, true},
    {"DeepSeek-V3.2 in bf16", DEEPSEEK_V32, 1, 1, 1, 64, "bfloat16", 0, 0,
     78324, 5012736, 5012736, 1, true},
    {"GLM-5.2: 21 indexers in 78 layers", GLM_52, 4, 1, 1, 64, "fp8_ds_mla", 0, 0,
     53940, 3452160, 13808640, 1, true},
    {"GLM-5.2, DCP 4", GLM_52, 4, 1, 4, 64, "fp8_ds_mla", 0, 0,
     53940, 3452160, 13808640, 1, true},
    {"GLM-5.2 with MTP, which has an indexer", GLM_52, 4, 1, 1, 64, "fp8_ds_mla",
     KV_DRAFT_MTP, 0, 54728, 3502592, 14010368, 1, true},
    {"gpt-oss-120b", GPT_OSS("36"), 1, 1, 1, 16, "auto", 0, KV_RULE_HALF,
     73728, 589824, 589824, 2, false},
    {"gpt-oss-120b before the hybrid manager", GPT_OSS("36"), 1, 1, 1, 16, "auto", 0,
     KV_RULE_ALL_FULL, 73728, 1179648, 1179648, 1, true},
    {"gpt-oss-20b", GPT_OSS("24"), 1, 1, 1, 16, "auto", 0, KV_RULE_HALF,
     49152, 393216, 393216, 2, false},
    {"gpt-oss-20b, older", GPT_OSS("24"), 1, 1, 1, 16, "auto", 0, KV_RULE_LEAST,
     49152, 393216, 393216, 2, false},
    {"gpt-oss-20b, TP 2", GPT_OSS("24"), 2, 1, 1, 16, "auto", 0, KV_RULE_QUARTER,
     24576, 196608, 393216, 2, false},
    {"gpt-oss-20b, PP 2", GPT_OSS("24"), 1, 2, 1, 16, "auto", 0, KV_RULE_HALF,
     49152, 196608, 393216, 2, false},
    {"Gemma-3-27b", GEMMA3_27B, 1, 1, 1, 16, "auto", 0, KV_RULE_HALF,
     507904, 1310720, 1310720, 7, false},
    {"Gemma-3-27b, all full", GEMMA3_27B, 1, 1, 1, 16, "auto", 0, KV_RULE_ALL_FULL,
     507904, 8126464, 8126464, 1, true},
    {"Gemma-3-4b: heads by default of its class", GEMMA3_4B, 1, 1, 1, 16, "auto", 0,
     KV_RULE_HALF, 139264, 327680, 327680, 7, false},
    {"Gemma-3-4b, PP 2: 3 of 5 layers on each", GEMMA3_4B, 1, 2, 1, 16, "auto", 0,
     KV_RULE_HALF, 139264, 196608, 393216, 7, false},
    {"57 layers, PP 4 as 14, 14, 15, 14", GEMMA3_LAYERS("57"), 1, 4, 1, 16, "auto", 0,
     KV_RULE_HALF, 233472, 196608, 589824, 7, false},
    {"64 layers, PP 3 as 21, 22, 21", GEMMA3_LAYERS("64"), 1, 3, 1, 16, "auto", 0,
     KV_RULE_HALF, 262144, 262144, 655360, 7, false},
    {"Gemma-3n: sharing layers keep nothing", GEMMA3N, 1, 1, 1, 16, "auto", 0,
     KV_RULE_HALF, 10240, 32768, 32768, 5, false},
    {"Qwen3.8-27B: 208 blocks of 784 in 10 GiB", QWEN38_27B, 1, 1, 1, 784, "auto", 0,
     KV_RULE_HALF, 65536, 51380224, 51380224, 4, false},
    {"the same, release not known: rules agree", QWEN38_27B, 1, 1, 1, 784, "auto", 0,
     KV_RULE_UNKNOWN, 65536, 51380224, 51380224, 4, false},
    {"the same with its MTP layer", QWEN38_27B, 1, 1, 1, 784, "auto", KV_DRAFT_MTP,
     KV_RULE_HALF, 69632, 54591488, 54591488, 4, false},
    {"Nemotron-H: 2 attention, 5 mamba", NEMOTRON_H, 1, 1, 1, 528, "auto", 0, KV_RULE_HALF,
     8192, 4325376, 4325376, 4, false},
    {"Jamba: 4 attention, 28 mamba", JAMBA, 1, 1, 1, 64, "auto", 0, KV_RULE_HALF,
     16384, 1048576, 1048576, 8, false},
    {"Falcon-H1: both in each layer", FALCON_H1, 1, 1, 1, 1000, "auto", 0, KV_RULE_HALF,
     18432, 18432000, 18432000, 2, false},
    {"3 full, 2 window: least", TWENTY_FIVE, 1, 1, 1, 16, "auto", 0, KV_RULE_LEAST,
     10240, 65536, 65536, 3, false},
    {"3 full, 2 window: not under 1.5 times", TWENTY_FIVE, 1, 1, 1, 16, "auto", 0,
     KV_RULE_HALF, 10240, 65536, 65536, 3, false},
    {"Mistral v0.1: one window for all", MISTRAL_V01, 1, 1, 1, 16, "auto", 0, 0,
     131072, 2097152, 2097152, 1, false},
    {"checkpoint asks for fp8", LLAMA_FP8("\"quant_method\":\"compressed-tensors\","
      "\"kv_cache_scheme\":{\"num_bits\":8,\"type\":\"float\"}"), 1, 1, 1, 16, "auto", 0, 0,
     65536, 1048576, 1048576, 1, true},
    {"and is overruled", LLAMA_FP8("\"quant_method\":\"compressed-tensors\","
      "\"kv_cache_scheme\":{\"num_bits\":8,\"type\":\"float\"}"), 1, 1, 1, 16, "bfloat16",
     0, 0, 131072, 2097152, 2097152, 1, true},
    {"checkpoint has no scheme", LLAMA_FP8("\"quant_method\":\"fp8\","
      "\"kv_cache_scheme\":null"), 1, 1, 1, 16, "auto", 0, 0,
     131072, 2097152, 2097152, 1, true},
    {"an encoder keeps nothing", "{\"model_type\":\"bert\",\"num_hidden_layers\":12}",
     1, 1, 1, 16, "auto", 0, 0, 0, 0, 0, 0, false},
    {"falcon-7b: one KV head", "{\"model_type\":\"falcon\",\"num_hidden_layers\":32,"
      "\"num_attention_heads\":71,\"num_kv_heads\":71,\"hidden_size\":4544,"
      "\"multi_query\":true}", 4, 1, 1, 16, "auto", 0, 0, 8192, 131072, 524288, 1, true},
};
// clang-format on

static struct kv_placement place(const struct row *row)
{
    return (struct kv_placement){
        .tp = row->tp,
        .pp = row->pp,
        .dcp = row->dcp,
        .block_size = row->block,
        .cache_dtype = span_of(row->cache),
        .rule = row->rule,
        .draft_kind = row->draft,
        .draft_tp = U,
    };
}

static void test_shapes(void **state)
{
    static struct model_config draft;

    (void)state;
    draft = read_config(EAGLE_8B);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct model_config config = read_config(row->json);
        struct kv_placement placement = place(row);
        struct kv_shape shape = {0};
        const char *why = "";

        print_message("%s\n", row->row);
        placement.draft = row->draft == KV_DRAFT_MODEL ? &draft : NULL;
        if (kv_shape_of(&config, &placement, &shape, &why) != 0)
            fail_msg("%s: %s", row->row, why);
        assert_int_equal(shape.bytes_per_token, row->per_token);
        assert_int_equal(shape.bytes_per_block, row->per_block);
        assert_int_equal(shape.bytes_per_block_all_gpus, row->all);
        assert_int_equal(shape.groups, row->groups);
        assert_int_equal(shape.uniform, row->uniform);
        assert_int_equal(shape.gpus, row->tp * row->pp);
        assert_true(shape.exact == (row->pp == 1 || row->uniform));
        assert_true(shape.exact == (shape.caveat == NULL));
    }
}

// clang-format off
#define WITH(type, more) "{\"model_type\":\"" type "\",\"num_hidden_layers\":4," \
    "\"num_attention_heads\":8,\"hidden_size\":512" more "}"
#define TWO_KINDS ",\"sliding_window\":64,\"layer_types\":[\"full_attention\"," \
    "\"sliding_attention\",\"sliding_attention\",\"sliding_attention\"]"
#define FIVE_SIX "{\"model_type\":\"llama\",\"num_hidden_layers\":9," \
    "\"num_attention_heads\":8,\"hidden_size\":512,\"sliding_window\":64,\"layer_types\":[" \
    "\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\"," \
    "\"sliding_attention\",\"sliding_attention\",\"sliding_attention\"," \
    "\"sliding_attention\",\"sliding_attention\"]}"

static const struct refusal {
    const char *row, *json;
    uint64_t tp, pp, block;
    const char *cache;
    enum kv_draft draft;
    int r;
    const char *why;
} refusals[] = {
    {"unknown kind", WITH("brand_new", ""), 1, 1, 16, "auto", 0, -ENOTSUP, "kind of model"},
    {"no kind", "{\"num_hidden_layers\":4}", 1, 1, 16, "auto", 0, -ENODATA, "kind of model"},
    {"DeepSeek V4", WITH("deepseek_v4", ",\"compress_ratios\":[1,4]"), 1, 1, 16, "auto", 0,
     -ENOTSUP, "compressed"},
    {"V3 with compression", WITH("deepseek_v3", ",\"compress_ratios\":[1]"), 1, 1, 16,
     "auto", 0, -ENOTSUP, "compressed"},
    {"pure mamba", WITH("mamba2", ""), 1, 1, 16, "auto", 0, -ENOTSUP, "state blocks"},
    {"Llama 4", WITH("llama4_text", ""), 1, 1, 16, "auto", 0, -ENOTSUP, "chunks"},
    {"Llama in chunks", WITH("llama", ",\"attention_chunk_size\":8192"), 1, 1, 16, "auto", 0,
     -ENOTSUP, "chunks"},
    {"latent vectors in a plain one", WITH("qwen2", ",\"kv_lora_rank\":512"), 1, 1, 16,
     "auto", 0, -ENOTSUP, "attention is of a kind"},
    {"an indexer in a plain one", WITH("llama", ",\"index_topk\":512"), 1, 1, 16,
     "auto", 0, -ENOTSUP, "attention is of a kind"},
    {"values of another size", WITH("llama", ",\"head_dim\":64,\"v_head_dim\":32"), 1, 1, 16,
     "auto", 0, -ENOTSUP, "values differ"},
    {"cross-attention", WITH("llama", ",\"is_encoder_decoder\":true"), 1, 1, 16, "auto", 0,
     -ENOTSUP, "cross-attention"},
    {"not causal", WITH("qwen2", ",\"is_causal\":false"), 1, 1, 16, "auto", 0, -ENOTSUP,
     "both directions"},
    {"global heads", WITH("llama", ",\"global_head_dim\":512"), 1, 1, 16, "auto", 0,
     -ENOTSUP, "differ"},
    {"block_configs", WITH("llama", ",\"block_configs\":[]"), 1, 1, 16, "auto", 0, -ENOTSUP,
     "differ"},
    {"windows where not known", WITH("qwen2", TWO_KINDS), 1, 1, 16, "auto", 0, -ENOTSUP,
     "differ"},
    {"some windows", WITH("qwen2", ",\"use_sliding_window\":true,\"sliding_window\":64,"
      "\"max_window_layers\":2"), 1, 1, 16, "auto", 0, -ENOTSUP, "have a window"},
    {"unknown layers", WITH("llama", ",\"layer_types\":[\"a\",\"b\",\"c\",\"d\"]"), 1, 1, 16,
     "auto", 0, -ENOTSUP, "kind of layer"},
    {"too few layers listed", WITH("llama", ",\"layer_types\":[\"full_attention\"]"), 1, 1,
     16, "auto", 0, -ENODATA, "too few"},
    {"no window size", WITH("gemma2", ""), 1, 1, 16, "auto", 0, -ENODATA, "window"},
    {"all layers share", WITH("llama", ",\"num_kv_shared_layers\":4"), 1, 1, 16, "auto", 0,
     -ENODATA, "share"},
    {"heads do not divide", WITH("llama", ""), 3, 1, 16, "auto", 0, -ENOTSUP, "divide"},
    {"ranks do not divide", WITH("llama", ""), 12, 1, 16, "auto", 0, -ENOTSUP, "divide"},
    {"no layers", "{\"model_type\":\"qwen2\"}", 1, 1, 16, "auto", 0, -ENODATA, "layers"},
    {"no heads", "{\"model_type\":\"qwen2\",\"num_hidden_layers\":2}", 1, 1, 16, "auto", 0,
     -ENODATA, "KV heads"},
    {"no head size", "{\"model_type\":\"qwen2\",\"num_hidden_layers\":2,"
      "\"num_attention_heads\":2}", 1, 1, 16, "auto", 0, -ENODATA, "how large its heads"},
    {"zero heads", "{\"model_type\":\"qwen2\",\"num_hidden_layers\":2,"
      "\"num_attention_heads\":0,\"hidden_size\":8}", 1, 1, 16, "auto", 0, -ENODATA, "KV"},
    {"no ranks", LLAMA_8B, 0, 1, 16, "auto", 0, -ENODATA, "how many GPUs"},
    {"absurd ranks", LLAMA_8B, U, 1, 16, "auto", 0, -ENODATA, "how many GPUs"},
    {"more stages than layers", WITH("llama", ""), 1, 8, 16, "auto", 0, -ENOTSUP, "stages"},
    {"no block size", LLAMA_8B, 1, 1, U, "auto", 0, -ENODATA, "block"},
    {"block of nothing", LLAMA_8B, 1, 1, 0, "auto", 0, -ENODATA, "block"},
    {"cache type not known", LLAMA_8B, 1, 1, 16, "", 0, -ENODATA, "type"},
    {"nvfp4", LLAMA_8B, 1, 1, 16, "nvfp4", 0, -ENOTSUP, "scales"},
    {"int8_per_token_head", LLAMA_8B, 1, 1, 16, "int8_per_token_head", 0, -ENOTSUP,
     "scales"},
    {"turboquant", LLAMA_8B, 1, 1, 16, "turboquant_k8v4", 0, -ENOTSUP, "scales"},
    {"packed latents on a plain model", LLAMA_8B, 1, 1, 16, "fp8_ds_mla", 0, -ENOTSUP,
     "latent"},
    {"packed latents of another size", WITH("deepseek_v2", ",\"kv_lora_rank\":256,"
      "\"qk_rope_head_dim\":64"), 1, 1, 16, "fp8_ds_mla", 0, -ENOTSUP, "do not fit"},
    {"no latents", WITH("deepseek_v2", ""), 1, 1, 16, "auto", 0, -ENODATA, "latent"},
    {"sparse, auto", DEEPSEEK_V32, 1, 1, 64, "auto", 0, -ENOTSUP, "kernel"},
    {"sparse, fp8", DEEPSEEK_V32, 1, 1, 64, "fp8", 0, -ENOTSUP, "kernel"},
    {"indexers contradict", WITH("glm_moe_dsa", ",\"kv_lora_rank\":512,"
      "\"qk_rope_head_dim\":64,\"index_topk\":2048,\"index_head_dim\":128,"
      "\"indexer_types\":[\"full\",\"shared\"]"), 1, 1, 64, "fp8_ds_mla", 0, -ENOTSUP,
     "contradicts"},
    {"indexers by a pattern", WITH("glm_moe_dsa", ",\"kv_lora_rank\":512,"
      "\"qk_rope_head_dim\":64,\"index_topk\":2048,\"index_head_dim\":128,"
      "\"index_topk_pattern\":\"FSSS\""), 1, 1, 64, "fp8_ds_mla", 0, -ENOTSUP, "indexer"},
    {"indexer every 0", WITH("glm_moe_dsa", ",\"kv_lora_rank\":512,"
      "\"qk_rope_head_dim\":64,\"index_topk\":2048,\"index_head_dim\":128,"
      "\"index_topk_freq\":0"), 1, 1, 64, "fp8_ds_mla", 0, -ENOTSUP, "indexer"},
    {"checkpoint in nvfp4", LLAMA_FP8("\"quant_method\":\"modelopt\","
      "\"kv_cache_quant_algo\":\"NVFP4\""), 1, 1, 16, "auto", 0, -ENOTSUP, "checkpoint"},
    {"weights of unknown type", WITH("llama", ",\"dtype\":\"float8\""), 1, 1, 16, "auto", 0,
     -ENOTSUP, "weights"},
    {"block too small for a state", QWEN38_27B, 1, 1, 16, "auto", 0, -ENOTSUP, "too small"},
    {"no MTP layers", LLAMA_8B, 1, 1, 16, "auto", KV_DRAFT_MTP, -ENODATA, "draft"},
    {"draft not known", LLAMA_8B, 1, 1, 16, "auto", KV_DRAFT_MODEL, -ENODATA, "draft"},
    {"way of drafting not known", LLAMA_8B, 1, 1, 16, "auto", KV_DRAFT_UNKNOWN, -ENOTSUP,
     "guessing"},
    {"release not known, and it matters", GPT_OSS("36"), 1, 1, 16, "auto", 0, -ENODATA,
     "release"},
    {"states everywhere", WITH("granitemoehybrid", ",\"layer_types\":[\"mamba\",\"mamba\","
      "\"mamba\",\"mamba\"]"), 1, 1, 16, "auto", 0, -ENOTSUP, "state"},
    {"absurd", "{\"model_type\":\"qwen2\",\"num_hidden_layers\":384,"
      "\"num_attention_heads\":16384,\"head_dim\":16384}", 1, 1, 1 << 20, "float32", 0, 0,
     ""},
};
// clang-format on

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        const struct refusal *row = &refusals[i];
        struct model_config config = read_config(row->json);
        struct kv_placement placement = {.tp = row->tp,
                                         .pp = row->pp,
                                         .dcp = 1,
                                         .block_size = row->block,
                                         .cache_dtype = span_of(row->cache),
                                         .draft_kind = row->draft,
                                         .draft_tp = U};
        struct kv_shape shape = {.bytes_per_block = 77};
        const char *why = "";

        print_message("%s\n", row->row);
        assert_int_equal(kv_shape_of(&config, &placement, &shape, &why), row->r);
        if (!strstr(why, row->why))
            fail_msg("%s: %s", row->row, why);
        if (row->r < 0)
            assert_int_equal(shape.bytes_per_block, 77);
    }
}

/* One fact of the placement changed. */
static void test_placement(void **state)
{
    static const struct {
        const char *row, *json, *dtype;
        enum kv_rule rule;
        enum kv_hybrid hybrid;
        uint64_t dcp;
        bool skips;
        int r;
        uint64_t per_block;
        bool exact;
    } table[] = {
        {"--dtype float32", LLAMA_8B, "float32", 0, 0, 1, false, 0, 4194304, true},
        {"--dtype half", LLAMA_8B, "half", 0, 0, 1, false, 0, 2097152, true},
        {"--dtype auto", LLAMA_8B, "auto", 0, 0, 1, false, 0, 2097152, true},
        {"--dtype of no meaning", LLAMA_8B, "fp8", 0, 0, 1, false, -ENOTSUP, 0, true},
        {"layers exempt", LLAMA_8B, "", 0, 0, 1, true, -ENOTSUP, 0, true},
        {"DCP of one kind", LLAMA_8B, "", 0, 0, 4, false, 0, 2097152, true},
        {"DCP of two kinds", GPT_OSS("24"), "", KV_RULE_HALF, 0, 4, false, -ENOTSUP, 0,
         true},
        {"no hybrid manager", GPT_OSS("24"), "", KV_RULE_UNKNOWN, KV_HYBRID_OFF, 1, false,
         0, 786432, true},
        {"hybrid manager unsure", GPT_OSS("24"), "", KV_RULE_HALF, KV_HYBRID_UNSURE, 1,
         false, -ENOTSUP, 0, true},
        {"unsure, but all alike", LLAMA_8B, "", KV_RULE_HALF, KV_HYBRID_UNSURE, 1, false,
         0, 2097152, true},
        {"4 full, 5 window: padded under 1.5", FIVE_SIX, "", KV_RULE_HALF, 0, 1, false, 0,
         5 * 32768, true},
        {"not under 1.25", FIVE_SIX, "", KV_RULE_QUARTER, 0, 1, false, 0, 4 * 32768,
         true},
        {"modelopt fp8",
         LLAMA_FP8("\"quant_method\":\"modelopt\","
                   "\"kv_cache_quant_algo\":\"FP8\""),
         "", 0, 0, 1, false, 0, 1048576, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct model_config config = read_config(table[i].json);
        struct kv_placement placement = {.tp = 1,
                                         .pp = 1,
                                         .dcp = table[i].dcp,
                                         .block_size = 16,
                                         .cache_dtype = span_of("auto"),
                                         .dtype = span_of(table[i].dtype),
                                         .skips_layers = table[i].skips,
                                         .rule = table[i].rule,
                                         .hybrid = table[i].hybrid};
        struct kv_shape shape = {0};
        const char *why = "";

        print_message("%s\n", table[i].row);
        assert_int_equal(kv_shape_of(&config, &placement, &shape, &why), table[i].r);
        if (table[i].r < 0)
            continue;
        assert_int_equal(shape.bytes_per_block, table[i].per_block);
        assert_int_equal(shape.exact, table[i].exact);
    }
}

static void test_draft_on_other_ranks(void **state)
{
    static struct model_config draft;
    struct model_config config = read_config(LLAMA_8B);
    struct kv_placement placement = {.tp = 2,
                                     .pp = 1,
                                     .dcp = 1,
                                     .block_size = 16,
                                     .cache_dtype = span_of("auto"),
                                     .draft_kind = KV_DRAFT_MODEL,
                                     .draft = &draft,
                                     .draft_tp = 1};
    struct kv_shape shape;
    const char *why = "";

    (void)state;
    draft = read_config(EAGLE_8B);
    assert_int_equal(kv_shape_of(&config, &placement, &shape, &why), -ENOTSUP);
    draft = read_config(MISTRAL_V01);
    placement.draft_tp = 2;
    assert_int_equal(kv_shape_of(&config, &placement, &shape, &why), -ENOTSUP);
    draft = read_config(LLAMA_70B);
    assert_int_equal(kv_shape_of(&config, &placement, &shape, &why), -ENOTSUP);
}

static void test_versions(void **state)
{
    static const struct {
        const char *version;
        enum kv_rule rule;
    } table[] = {
        {"0.25.1", KV_RULE_HALF},
        {"0.30.0+cu130", KV_RULE_HALF},
        {"0.19.0", KV_RULE_HALF},
        {"0.18.0", KV_RULE_UNKNOWN},
        {"0.17.1", KV_RULE_UNKNOWN},
        {"0.16.0", KV_RULE_QUARTER},
        {"0.12.0", KV_RULE_QUARTER},
        {"0.11.2", KV_RULE_LEAST},
        {"0.10.0rc2", KV_RULE_LEAST},
        {"0.9.2", KV_RULE_UNKNOWN},
        {"0.8.5", KV_RULE_ALL_FULL},
        {"1.0.0", KV_RULE_UNKNOWN},
        {"", KV_RULE_UNKNOWN},
        {"dev", KV_RULE_UNKNOWN},
        {"0.99999999.1", KV_RULE_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(kv_rule_of_version(span_of(table[i].version)), table[i].rule);
}

/* What engines said of themselves, and what they would not have said. */
static void test_check(void **state)
{
    static const struct {
        const char *row;
        uint32_t groups;
        bool uniform;
        struct kv_claim claim;
        int r;
    } table[] = {
        {"opt-125m as captured", 1, true, {25028, 16, 400448, 2048, 1}, 1},
        {"longest request not known", 1, true, {25028, 16, 400448, U, 1}, 1},
        {"GLM-5.2 as captured", 1, true, {6251, 64, 400064, 400000, 1}, 1},
        {"GLM-5.2, DCP 4", 1, true, {6253, 64, 1600255, 400000, 4}, 1},
        {"the same, longest not known", 1, true, {6253, 64, 1600255, U, 4}, 1},
        {"DCP forgotten", 1, true, {6253, 64, 1600255, 400000, 1}, -EBADMSG},
        {"Qwen3.8 taken for uniform", 1, true, {208, 784, 141994, U, 1}, -EBADMSG},
        {"the same, longest known", 1, true, {208, 784, 141994, 32768, 1}, -EBADMSG},
        {"Qwen3.8 as it is", 4, false, {208, 784, 141994, 32768, 1}, 1},
        {"one token off is truncation", 1, true, {6251, 64, 400063, 400000, 1}, 1},
        {"two are not", 1, true, {6251, 64, 400062, 400000, 1}, -EBADMSG},
        {"more than the longest leaves",
         1,
         true,
         {6253, 64, 1600300, 400000, 4},
         -EBADMSG},
        {"more than there are", 1, true, {100, 16, 1601, U, 1}, -EBADMSG},
        {"one percent less", 1, true, {100, 16, 1584, U, 1}, 1},
        {"more than that", 1, true, {100, 16, 1583, U, 1}, -EBADMSG},
        {"two groups, counted as one", 2, false, {1000, 16, 16000, 8192, 1}, -EBADMSG},
        {"two groups", 2, false, {1000, 16, 15000, 8192, 1}, 1},
        {"two groups, too many", 2, false, {1000, 16, 17000, 8192, 1}, -EBADMSG},
        {"not said", 1, true, {25028, 16, U, 2048, 1}, 0},
        {"blocks not said", 1, true, {U, 16, 400448, 2048, 1}, 0},
        {"absurd", 1, true, {U - 1, U - 1, 400448, 2048, U - 1}, 0},
        {"longest of nothing", 1, true, {25028, 16, 400448, 0, 1}, 0},
        {"one window for all", 1, false, {25028, 16, 999, 2048, 1}, 0},
        {"keeps nothing", 0, false, {25028, 16, 400448, 2048, 1}, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct kv_shape shape = {.groups = table[i].groups, .uniform = table[i].uniform};
        const char *why = NULL;

        print_message("%s\n", table[i].row);
        assert_int_equal(kv_shape_check(&shape, &table[i].claim, &why), table[i].r);
        assert_int_equal(why != NULL, table[i].r < 0);
    }
}

/* The pools and logs that were published, from the shapes above. */
static void test_captures(void **state)
{
    (void)state;
    assert_int_equal(UINT64_C(25028) * 294912, UINT64_C(7381057536));
    assert_int_equal(UINT64_C(2809) * 294912 * 2, 1656815616);
    assert_int_equal(268435456 / 196608, 1365);
    assert_int_equal(UINT64_C(10737418240) / 51380224, 208);
    // 28.85 GiB for 574,336 tokens; 20.42 GiB for 6251 * 64 with MTP
    assert_true(UINT64_C(574336) * 53940 / (1 << 30) == 28);
    assert_true(UINT64_C(6251) * 64 * 54728 / 10737418 == 2039);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),    cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_placement), cmocka_unit_test(test_draft_on_other_ranks),
        cmocka_unit_test(test_versions),  cmocka_unit_test(test_check),
        cmocka_unit_test(test_captures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
