// SPDX-License-Identifier: Apache-2.0
#include "model/model_layers.h"

// clang-format off
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
// clang-format on

/* 6, or "LLLLLG": both say that every sixth layer sees all tokens. */
static int read_pattern(const json_t *object, struct model_config *config,
                        struct complaint *why)
{
    const json_t *value = json_find(object, "sliding_window_pattern");
    struct span text;

    if (!value)
        value = json_find(object, "_sliding_window_pattern");
    if (!value)
        return 0;
    if (!json_is_string(value))
        return json_read_count(value, "sliding_window_pattern", MODEL_LAYERS_MAX,
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
    const json_t *list = json_find(object, key), *item;
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
    const json_t *value = json_find(object, key);
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
    const json_t *list = json_find(object, key), *item;
    size_t i;

    if (!list || config->n_kinds || config->layers == UNKNOWN)
        return 0;
    if (!json_is_array(list))
        return complain(why, -EBADMSG, "`%s` is not a list", key);
    memset(config->kind, LAYER_STATE, config->layers);
    json_array_foreach(list, i, item)
    {
        uint64_t place;
        int r = json_read_count(item, key, MODEL_LAYERS_MAX, &place, why);

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
    const json_t *list = json_find(object, "indexer_types"), *item;
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

int model_layers_read(const json_t *object, struct model_config *config,
                      struct complaint *why)
{
    int r = read_pattern(object, config, why);

    if (r == 0)
        r = read_kinds(object, config, why);
    if (r == 0)
        r = count_indexers(object, config, why);
    return r;
}
