// SPDX-License-Identifier: Apache-2.0
#include "model/model_config.h"

#include "base/text.h"
#include "model/model_layers.h"
#include "model/model_limits.h"

enum { ALIASES_MAX = 5, NESTING_MAX = 3 };

/* A count, under whichever of its names comes first. */
struct number_key {
    size_t offset;
    uint64_t max;
    const char *names[ALIASES_MAX];
};

#define NUMBER(member, max, ...)                    \
    {                                               \
        offsetof(struct model_config, member), max, \
        {                                           \
            __VA_ARGS__                             \
        }                                           \
    }

// clang-format off
static const struct number_key number_keys[] = {
    NUMBER(layers, MODEL_LAYERS_MAX,
           "num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    NUMBER(heads, 1 << 14, "num_attention_heads", "n_head", "n_heads"),
    NUMBER(kv_heads, 1 << 14, "n_head_kv", "num_kv_heads", "num_key_value_heads",
           "multi_query_group_num", "num_attention_groups"),
    NUMBER(hidden_size, 1 << 20, "hidden_size", "n_embd", "n_embed", "d_model"),
    NUMBER(head_dim, 1 << 14, "head_dim", "hidden_size_per_head", "attention_head_dim"),
    NUMBER(v_head_dim, 1 << 14, "v_head_dim"),
    NUMBER(kv_lora_rank, 1 << 14, "kv_lora_rank"),
    NUMBER(qk_rope_head_dim, 1 << 14, "qk_rope_head_dim"),
    NUMBER(max_position_embeddings, 1 << 30,
           "max_position_embeddings", "n_positions", "seq_length"),
    NUMBER(sliding_window, 1 << 30, "sliding_window"),
    NUMBER(max_window_layers, 1 << 14, "max_window_layers"),
    NUMBER(attention_chunk_size, 1 << 30, "attention_chunk_size"),
    NUMBER(full_attention_interval, MODEL_LAYERS_MAX, "full_attention_interval"),
    NUMBER(attn_layer_period, MODEL_LAYERS_MAX, "attn_layer_period"),
    NUMBER(attn_layer_offset, MODEL_LAYERS_MAX, "attn_layer_offset"),
    NUMBER(kv_shared_layers, MODEL_LAYERS_MAX, "num_kv_shared_layers"),
    NUMBER(draft_layers, 64, "num_nextn_predict_layers", "mtp_num_hidden_layers"),
    NUMBER(index_topk, 1 << 20, "index_topk"),
    NUMBER(index_head_dim, 1 << 14, "index_head_dim"),
    NUMBER(index_topk_freq, MODEL_LAYERS_MAX, "index_topk_freq"),
    NUMBER(index_skip_topk_offset, MODEL_LAYERS_MAX, "index_skip_topk_offset"),
    NUMBER(linear_value_heads, 1 << 14, "linear_num_value_heads"),
    NUMBER(linear_key_heads, 1 << 14, "linear_num_key_heads"),
    NUMBER(linear_key_head_dim, 1 << 14, "linear_key_head_dim"),
    NUMBER(linear_value_head_dim, 1 << 14, "linear_value_head_dim"),
    NUMBER(linear_conv_kernel, 1 << 10, "linear_conv_kernel_dim"),
    NUMBER(mamba_heads, 1 << 14, "mamba_n_heads", "mamba_num_heads"),
    NUMBER(mamba_head_dim, 1 << 14, "mamba_d_head", "mamba_head_dim"),
    NUMBER(mamba_state_size, 1 << 14, "mamba_d_state", "ssm_state_size"),
};

/* True when the key has the value `when`. */
static const struct flag_key {
    size_t offset;
    const char *name;
    bool when;
} flag_keys[] = {
    {offsetof(struct model_config, no_sliding_window), "use_sliding_window", false},
    {offsetof(struct model_config, mixed_windows), "use_sliding_window", true},
    {offsetof(struct model_config, multi_query), "multi_query", true},
    {offsetof(struct model_config, new_decoder), "new_decoder_architecture", true},
    {offsetof(struct model_config, not_causal), "is_causal", false},
    {offsetof(struct model_config, encoder_decoder), "is_encoder_decoder", true},
};

/* True when the key is there and says anything. */
static const struct presence_key {
    size_t offset;
    const char *name;
} presence_keys[] = {
    {offsetof(struct model_config, has_compress_ratios), "compress_ratios"},
    {offsetof(struct model_config, has_index_pattern), "index_topk_pattern"},
    {offsetof(struct model_config, differs_by_layer), "block_configs"},
    {offsetof(struct model_config, differs_by_layer), "per_layer_config"},
    {offsetof(struct model_config, differs_by_layer), "interleaved_sliding_window"},
    {offsetof(struct model_config, differs_by_layer), "attention_other_setting"},
    {offsetof(struct model_config, global_differs), "global_head_dim"},
    {offsetof(struct model_config, global_differs), "num_global_key_value_heads"},
    {offsetof(struct model_config, global_differs), "swa_num_key_value_heads"},
    {offsetof(struct model_config, global_differs), "swa_head_dim"},
};

/* Keys that hold the text model of a model of several parts; the first found is taken. */
static const char *const nested_keys[] = {
    "text_config", "llm_config", "language_config", "thinker_config",
    "language_model_config",
};

static const struct dtype_name {
    const char *name;
    uint64_t bytes;
} dtype_names[] = {
    {"float16", 2}, {"half", 2}, {"bfloat16", 2}, {"float32", 4}, {"float", 4},
};
// clang-format on

static uint64_t *number_at(struct model_config *config, size_t offset)
{
    return (uint64_t *)(void *)((char *)config + offset);
}

static bool *flag_at(struct model_config *config, size_t offset)
{
    return (bool *)(void *)((char *)config + offset);
}

static int read_numbers(const json_t *object, struct model_config *config,
                        struct complaint *why)
{
    for (size_t i = 0; i < ARRAY_LEN(number_keys); i++) {
        const struct number_key *key = &number_keys[i];
        uint64_t *number = number_at(config, key->offset);

        for (size_t j = 0; j < ALIASES_MAX && key->names[j] && *number == UNKNOWN; j++) {
            const json_t *value = json_find(object, key->names[j]);
            int r =
                value ? json_read_count(value, key->names[j], key->max, number, why) : 0;

            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int read_flags(const json_t *object, struct model_config *config,
                      struct complaint *why)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_keys); i++) {
        const struct flag_key *key = &flag_keys[i];
        const json_t *value = json_find(object, key->name);

        if (value && !json_is_boolean(value))
            return complain(why, -EBADMSG, "`%s` is neither true nor false", key->name);
        if (value && json_is_true(value) == key->when)
            *flag_at(config, key->offset) = true;
    }
    for (size_t i = 0; i < ARRAY_LEN(presence_keys); i++)
        if (json_find(object, presence_keys[i].name))
            *flag_at(config, presence_keys[i].offset) = true;
    return 0;
}

static void read_dtype(const json_t *object, struct model_config *config)
{
    const json_t *value = json_find(object, "dtype");
    struct span name;

    if (!value)
        value = json_find(object, "torch_dtype");
    if (!value || config->dtype_bytes != UNKNOWN)
        return;
    name = json_text(value);
    if (name.len > 6 && memcmp(name.at, "torch.", 6) == 0)
        name = (struct span){name.at + 6, name.len - 6};
    config->dtype_bytes = 0;
    for (size_t i = 0; i < ARRAY_LEN(dtype_names); i++)
        if (span_is(name, dtype_names[i].name))
            config->dtype_bytes = dtype_names[i].bytes;
}

static bool starts_with(struct span text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.at, prefix, len) == 0;
}

/* {"num_bits": 8, "type": "float", "dynamic": false, ...} */
static bool is_fp8_scheme(const json_t *scheme)
{
    return json_integer_value(json_object_get(scheme, "num_bits")) == 8 &&
           span_is(json_text(json_object_get(scheme, "type")), "float");
}

static bool is_fp8_name(struct span name)
{
    return name.len == 3 && (name.at[0] == 'F' || name.at[0] == 'f') &&
           (name.at[1] == 'P' || name.at[1] == 'p') && name.at[2] == '8';
}

static bool is_modelopt(const json_t *quant, struct span method)
{
    const json_t *producer = json_object_get(quant, "producer");

    return starts_with(method, "modelopt") ||
           span_is(json_text(json_object_get(producer, "name")), "modelopt");
}

static enum checkpoint_kv read_checkpoint_kv(const json_t *quant)
{
    struct span method = json_text(json_object_get(quant, "quant_method"));
    const json_t *inner = json_object_get(quant, "quantization");
    const json_t *scheme = json_find(inner, "kv_cache_scheme");

    if (!scheme)
        scheme = json_find(quant, "kv_cache_scheme");
    if (!scheme)
        scheme = json_find(inner, "kv_cache_quant_algo");
    if (!scheme)
        scheme = json_find(quant, "kv_cache_quant_algo");
    if (!scheme)
        return CHECKPOINT_KV_UNSAID;
    if (!is_fp8_scheme(scheme) && !is_fp8_name(json_text(scheme)))
        return CHECKPOINT_KV_OTHER;
    if (starts_with(method, "compressed"))
        return CHECKPOINT_KV_FP8;
    return is_modelopt(quant, method) ? CHECKPOINT_KV_FP8_MAYBE : CHECKPOINT_KV_OTHER;
}

static int read_quantization(const json_t *object, struct model_config *config,
                             struct complaint *why)
{
    const json_t *quant = json_find(object, "quantization_config");

    if (!quant)
        quant = json_find(object, "compression_config");
    if (!quant)
        return 0;
    if (!json_is_object(quant))
        return complain(why, -EBADMSG, "`quantization_config` is not an object");
    config->checkpoint_kv = read_checkpoint_kv(quant);
    return 0;
}

static void read_name(const json_t *value, char *ret)
{
    struct span text = json_text(value);

    if (text.at)
        (void)text_clean(ret, MODEL_NAME_MAX + 1, text);
}

/* The text model of a model of several parts; the object itself when it is one part. */
static const json_t *find_text_model(const json_t *object)
{
    for (unsigned i = 0; i < NESTING_MAX; i++) {
        const json_t *inner = NULL;

        for (size_t j = 0; j < ARRAY_LEN(nested_keys) && !inner; j++)
            inner = json_object_get(object, nested_keys[j]);
        if (!json_is_object(inner))
            return object;
        object = inner;
    }
    return object;
}

static void clear(struct model_config *config)
{
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < ARRAY_LEN(number_keys); i++)
        *number_at(config, number_keys[i].offset) = UNKNOWN;
    config->sliding_window_pattern = UNKNOWN;
    config->indexers_named = UNKNOWN;
    config->dtype_bytes = UNKNOWN;
}

static int read_text_model(const json_t *object, struct model_config *config,
                           struct complaint *why)
{
    int r = read_numbers(object, config, why);

    if (r == 0)
        r = read_flags(object, config, why);
    if (r == 0)
        r = model_layers_read(object, config, why);
    return r;
}

int model_config_read(struct span json, struct model_config *ret, struct complaint *why)
{
    OWNED(json_decrefp) json_t *root = NULL;
    struct model_config config;
    const json_t *text;
    int r = json_read(json, &model_json_limits, &root, why);

    if (r < 0)
        return r;
    clear(&config);
    text = find_text_model(root);
    config.nested = text != root;

    read_name(json_object_get(text, "model_type"), config.type);
    read_name(json_object_get(root, "model_type"), config.root_type);
    read_name(json_array_get(json_object_get(root, "architectures"), 0),
              config.architecture);
    read_dtype(root, &config);
    read_dtype(text, &config);
    r = read_quantization(root, &config, why);
    if (r == 0 && text != root && config.checkpoint_kv == CHECKPOINT_KV_UNSAID)
        r = read_quantization(text, &config, why);
    if (r == 0)
        r = read_text_model(text, &config, why);
    if (r == 0 && json_is_true(json_object_get(root, "is_encoder_decoder")))
        config.encoder_decoder = true;
    if (r == 0)
        *ret = config;
    return r;
}
