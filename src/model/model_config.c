// SPDX-License-Identifier: Apache-2.0
#include "model/model_config.h"

#include "base/text.h"
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

static const struct kind_name {
    const char *name;
    enum layer_kind kind;
} kind_names[] = {
    {"full_attention", LAYER_FULL},
    {"attention", LAYER_FULL},
    {"global_attention", LAYER_FULL},
    {"sliding_attention", LAYER_WINDOW},
    {"chunked_attention", LAYER_CHUNKED},
    {"linear_attention", LAYER_STATE},
    {"mamba", LAYER_STATE},
    {"mamba2", LAYER_STATE},
    {"conv", LAYER_STATE},
    {"mlp", LAYER_NONE},
    {"moe", LAYER_NONE},
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

static json_t *find_said(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

static int read_count(const json_t *value, const char *key, uint64_t max, uint64_t *ret,
                      struct complaint *why)
{
    json_int_t n;

    if (!json_is_integer(value))
        return complain(why, -EBADMSG, "`%s` is not a whole number", key);
    n = json_integer_value(value);
    if (n < 0 || (uint64_t)n > max)
        return complain(why, -EBADMSG, "`%s` is not in 0..%llu", key,
                        (unsigned long long)max);
    *ret = (uint64_t)n;
    return 0;
}

static int read_numbers(const json_t *object, struct model_config *config,
                        struct complaint *why)
{
    for (size_t i = 0; i < ARRAY_LEN(number_keys); i++) {
        const struct number_key *key = &number_keys[i];
        uint64_t *number = number_at(config, key->offset);

        for (size_t j = 0; j < ALIASES_MAX && key->names[j] && *number == UNKNOWN; j++) {
            const json_t *value = find_said(object, key->names[j]);
            int r = value ? read_count(value, key->names[j], key->max, number, why) : 0;

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
        const json_t *value = find_said(object, key->name);

        if (value && !json_is_boolean(value))
            return complain(why, -EBADMSG, "`%s` is neither true nor false", key->name);
        if (value && json_is_true(value) == key->when)
            *flag_at(config, key->offset) = true;
    }
    for (size_t i = 0; i < ARRAY_LEN(presence_keys); i++)
        if (find_said(object, presence_keys[i].name))
            *flag_at(config, presence_keys[i].offset) = true;
    return 0;
}

/* 6, or "LLLLLG": both say that every sixth layer sees all tokens. */
static int read_pattern(const json_t *object, struct model_config *config,
                        struct complaint *why)
{
    const json_t *value = find_said(object, "sliding_window_pattern");
    struct span text;

    if (!value)
        value = find_said(object, "_sliding_window_pattern");
    if (!value)
        return 0;
    if (!json_is_string(value))
        return read_count(value, "sliding_window_pattern", MODEL_LAYERS_MAX,
                          &config->sliding_window_pattern, why);

    text = json_text(value);
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] != (i + 1 < text.len ? 'L' : 'G'))
            return complain(why, -EBADMSG, "`sliding_window_pattern` is not like LLLG");
    if (text.len == 0 || text.len > MODEL_LAYERS_MAX)
        return complain(why, -EBADMSG, "`sliding_window_pattern` has no usable length");
    config->sliding_window_pattern = text.len;
    return 0;
}

static enum layer_kind kind_of_name(struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_names); i++)
        if (span_is(name, kind_names[i].name))
            return kind_names[i].kind;
    return LAYER_OTHER;
}

/* As minimax writes it: 0 is linear attention, 1 is full. */
static enum layer_kind kind_of_number(json_int_t number)
{
    return number == 0 ? LAYER_STATE : number == 1 ? LAYER_FULL : LAYER_OTHER;
}

static int read_kind_list(const json_t *object, const char *key,
                          struct model_config *config, struct complaint *why)
{
    const json_t *list = find_said(object, key), *item;
    size_t i;

    if (!list || config->n_kinds)
        return 0;
    if (!json_is_array(list))
        return complain(why, -EBADMSG, "`%s` is not a list", key);
    if (json_array_size(list) > MODEL_LAYERS_MAX)
        return complain(why, -EFBIG, "`%s` has more than %d layers", key,
                        MODEL_LAYERS_MAX);
    json_array_foreach(list, i, item)
    {
        if (json_is_string(item))
            config->kind[i] = (uint8_t)kind_of_name(json_text(item));
        else if (json_is_integer(item))
            config->kind[i] = (uint8_t)kind_of_number(json_integer_value(item));
        else
            return complain(why, -EBADMSG, "`%s` does not name kinds of layers", key);
    }
    config->n_kinds = (uint32_t)json_array_size(list);
    return 0;
}

/* "MEM*E": mamba, experts, mamba, attention, experts. */
static int read_kind_letters(const json_t *object, struct model_config *config,
                             struct complaint *why)
{
    static const char key[] = "hybrid_override_pattern";
    static const char letters[] = "M*-E";
    static const enum layer_kind kinds[] = {LAYER_STATE, LAYER_FULL, LAYER_NONE,
                                            LAYER_NONE};
    const json_t *value = find_said(object, key);
    struct span text = json_text(value);

    if (!value || config->n_kinds)
        return 0;
    if (!text.at)
        return complain(why, -EBADMSG, "`%s` is not text", key);
    if (text.len > MODEL_LAYERS_MAX)
        return complain(why, -EFBIG, "`%s` has more than %d layers", key,
                        MODEL_LAYERS_MAX);
    for (size_t i = 0; i < text.len; i++) {
        const char *letter = memchr(letters, text.at[i], sizeof(letters) - 1);

        config->kind[i] = (uint8_t)(letter ? kinds[letter - letters] : LAYER_OTHER);
    }
    config->n_kinds = (uint32_t)text.len;
    return 0;
}

/* Attention at the places listed, states elsewhere. */
static int read_kind_places(const json_t *object, const char *key,
                            struct model_config *config, struct complaint *why)
{
    const json_t *list = find_said(object, key), *item;
    size_t i;

    if (!list || config->n_kinds || config->layers == UNKNOWN)
        return 0;
    if (!json_is_array(list))
        return complain(why, -EBADMSG, "`%s` is not a list", key);
    memset(config->kind, LAYER_STATE, config->layers);
    json_array_foreach(list, i, item)
    {
        uint64_t place;
        int r = read_count(item, key, MODEL_LAYERS_MAX, &place, why);

        if (r < 0)
            return r;
        if (place >= config->layers)
            return complain(why, -EBADMSG, "`%s` names a layer that is not there", key);
        config->kind[place] = LAYER_FULL;
    }
    config->n_kinds = (uint32_t)config->layers;
    return 0;
}

static int read_kinds(const json_t *object, struct model_config *config,
                      struct complaint *why)
{
    int r = read_kind_list(object, "layer_types", config, why);

    if (r == 0)
        r = read_kind_list(object, "layers_block_type", config, why);
    if (r == 0)
        r = read_kind_letters(object, config, why);
    if (r == 0)
        r = read_kind_list(object, "attn_type_list", config, why);
    if (r == 0)
        r = read_kind_places(object, "attn_layer_indices", config, why);
    if (r == 0)
        r = read_kind_places(object, "full_attn_idxs", config, why);
    return r;
}

static int count_indexers(const json_t *object, struct model_config *config,
                          struct complaint *why)
{
    const json_t *list = find_said(object, "indexer_types"), *item;
    uint64_t n = 0;
    size_t i;

    if (!list)
        return 0;
    if (!json_is_array(list))
        return complain(why, -EBADMSG, "`indexer_types` is not a list");
    json_array_foreach(list, i, item) n += span_is(json_text(item), "full");
    config->indexers_named = n;
    return 0;
}

static void read_dtype(const json_t *object, struct model_config *config)
{
    const json_t *value = find_said(object, "dtype");
    struct span name;

    if (!value)
        value = find_said(object, "torch_dtype");
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
    const json_t *scheme = find_said(inner, "kv_cache_scheme");

    if (!scheme)
        scheme = find_said(quant, "kv_cache_scheme");
    if (!scheme)
        scheme = find_said(inner, "kv_cache_quant_algo");
    if (!scheme)
        scheme = find_said(quant, "kv_cache_quant_algo");
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
    const json_t *quant = find_said(object, "quantization_config");

    if (!quant)
        quant = find_said(object, "compression_config");
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
        r = read_pattern(object, config, why);
    if (r == 0)
        r = read_kinds(object, config, why);
    if (r == 0)
        r = count_indexers(object, config, why);
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
