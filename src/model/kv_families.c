// SPDX-License-Identifier: Apache-2.0
#include "model/kv_plan.h"

enum {
    PACKED_LATENT = 656,     // bytes of fp8_ds_mla: 512 of fp8, 16 of scales, 128 of bf16
    PACKED_RANK = 512,       // the only kv_lora_rank that it is made for
    PACKED_ROPE = 64,        // and qk_rope_head_dim
    INDEX_QUANT = 128,       // indexer keys share one 4-byte scale
    INDEX_SKIP_OFFSET = 2,   // of index_skip_topk_offset, when it is not given
    ATTENTION_PERIOD = 4,    // of full_attention_interval, likewise
    STATE_ELEMENT_LEAST = 2, // bytes of one number of a state: never less than bf16
};

static const char chunks[] =
    "it attends in chunks, and whether these share blocks is not known";

static uint64_t or_default(uint64_t given, uint64_t fallback)
{
    return given != UNKNOWN ? given : fallback ? fallback : UNKNOWN;
}

static int missing(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -ENODATA;
}

static int refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -ENOTSUP;
}

static int find_layers(const struct model_config *config, const struct kv_family *family,
                       uint64_t *ret, const char **ret_why)
{
    uint64_t layers = or_default(config->layers, family->defaults.layers);

    if (layers == UNKNOWN && config->n_kinds)
        layers = config->n_kinds;
    if (layers == UNKNOWN || layers == 0)
        return missing(ret_why, "its config.json does not say how many layers it has");
    *ret = layers;
    return 0;
}

static uint64_t kv_heads_of(const struct model_config *config,
                            const struct kv_family *family, uint64_t heads)
{
    if (config->multi_query && !config->new_decoder)
        return 1;
    return or_default(or_default(config->kv_heads, family->defaults.kv_heads), heads);
}

static uint64_t head_dim_of(const struct model_config *config,
                            const struct kv_family *family, uint64_t heads)
{
    uint64_t hidden = or_default(config->hidden_size, family->defaults.hidden_size);
    uint64_t dim = or_default(config->head_dim ? config->head_dim : UNKNOWN,
                              family->defaults.head_dim);

    if (dim != UNKNOWN || heads == UNKNOWN || heads == 0 || hidden == UNKNOWN)
        return dim;
    return hidden / heads;
}

/* Heads are divided among ranks, or repeated where there are fewer of them than ranks. */
static int divide_heads(uint64_t heads, uint64_t tp, uint64_t *ret, const char **ret_why)
{
    if (heads >= tp ? heads % tp != 0 : tp % heads != 0)
        return refuse(
            ret_why, "its KV heads do not divide evenly among the tensor-parallel ranks");
    *ret = heads >= tp ? heads / tp : 1;
    return 0;
}

/* Bytes of one token's keys and values in one layer, on one GPU. */
static int attention_bytes(const struct model_config *config, uint64_t tp,
                           const struct kv_family *family, const struct kv_plan *plan,
                           uint32_t *ret, const char **ret_why)
{
    uint64_t heads = or_default(config->heads, family->defaults.heads);
    uint64_t kv_heads = kv_heads_of(config, family, heads), per_gpu;
    uint64_t dim = head_dim_of(config, family, heads);
    int r;

    if (config->differs_by_layer || config->global_differs)
        return refuse(ret_why, "its layers differ in a way that is not known");
    if (plan->element == 0)
        return refuse(ret_why,
                      "a KV-cache type of latent attention on a model without it");
    if (kv_heads == UNKNOWN || kv_heads == 0)
        return missing(ret_why, "its config.json does not say how many KV heads it has");
    if (dim == UNKNOWN || dim == 0)
        return missing(ret_why, "its config.json does not say how large its heads are");
    r = divide_heads(kv_heads, tp, &per_gpu, ret_why);
    if (r == 0)
        *ret = (uint32_t)(per_gpu * dim * 2 * plan->element);
    return r;
}

static void add_layer(struct kv_plan *plan, enum layer_kind kind, uint32_t bytes)
{
    plan->layer[plan->n++] =
        (struct kv_layer){(uint8_t)kind, (uint16_t)plan->places, bytes};
}

/* Layers whose kind the model lists; the list must cover them. */
static int add_listed(const struct model_config *config, uint64_t layers, uint32_t bytes,
                      struct kv_plan *plan, const char **ret_why)
{
    if (config->n_kinds < layers)
        return missing(ret_why, "its config.json lists the kinds of too few layers");
    for (uint64_t i = 0; i < layers; i++, plan->places++) {
        enum layer_kind kind = config->kind[i];
        bool keeps = kind != LAYER_STATE && kind != LAYER_NONE;

        if (kind == LAYER_OTHER)
            return refuse(ret_why, "it has a kind of layer that is not known");
        if (kind == LAYER_CHUNKED)
            return refuse(ret_why, chunks);
        add_layer(plan, kind, keeps ? bytes : 0);
    }
    return 0;
}

/* Nothing that a rule for keys and values of each token would get wrong. */
static int check_plain(const struct model_config *config, const char **ret_why)
{
    if (config->kv_lora_rank != UNKNOWN || config->has_compress_ratios ||
        config->index_topk != UNKNOWN)
        return refuse(ret_why,
                      "its attention is of a kind whose block size is not known");
    if (config->attention_chunk_size != UNKNOWN)
        return refuse(ret_why, chunks);
    if (config->v_head_dim != UNKNOWN && config->v_head_dim != config->head_dim)
        return refuse(ret_why, "its keys and values differ in size");
    return 0;
}

static bool has_window(const struct model_config *config)
{
    return config->sliding_window != UNKNOWN && config->sliding_window > 0 &&
           !config->no_sliding_window;
}

/* All layers are alike: full, or with a window where the model has one. */
static int plan_plain(const struct model_config *config,
                      const struct kv_placement *placement,
                      const struct kv_family *family, struct kv_plan *plan,
                      const char **ret_why)
{
    enum layer_kind kind = has_window(config) ? LAYER_WINDOW : LAYER_FULL;
    uint64_t layers;
    uint32_t bytes;
    int r = check_plain(config, ret_why);

    if (r == 0)
        r = find_layers(config, family, &layers, ret_why);
    if (r == 0)
        r = attention_bytes(config, placement->tp, family, plan, &bytes, ret_why);
    if (r < 0)
        return r;
    if (config->kv_shared_layers != UNKNOWN && config->kv_shared_layers)
        return refuse(ret_why, "which of its layers share KV is not known");
    if (config->mixed_windows && config->max_window_layers != UNKNOWN &&
        config->max_window_layers < layers)
        return refuse(ret_why, "which of its layers have a window is not known");
    for (uint64_t i = 1; i < MIN((uint64_t)config->n_kinds, layers); i++)
        if (config->kind[i] != config->kind[0])
            return refuse(ret_why, "its layers differ in a way that is not known");
    if (config->n_kinds && config->kind[0] > LAYER_WINDOW)
        return refuse(ret_why, "it has a kind of layer that is not known");

    for (uint64_t i = 0; i < layers; i++, plan->places++)
        add_layer(plan, kind, bytes);
    plan->draft_bytes = bytes;
    return 0;
}

/* Every n-th layer is full, the others have the window, unless each is listed. */
static int add_turns(const struct model_config *config, const struct kv_family *family,
                     uint64_t layers, uint32_t bytes, struct kv_plan *plan,
                     const char **ret_why)
{
    uint64_t pattern =
        or_default(config->sliding_window_pattern, family->defaults.pattern);

    if (config->n_kinds)
        return add_listed(config, layers, bytes, plan, ret_why);
    if (pattern == UNKNOWN || pattern == 0)
        return missing(ret_why,
                       "its config.json does not say which layers have a window");
    for (uint64_t i = 0; i < layers; i++, plan->places++)
        add_layer(plan, (i + 1) % pattern ? LAYER_WINDOW : LAYER_FULL, bytes);
    return 0;
}

/* Layers that share KV with an earlier one come last and keep nothing. */
static int plan_windowed(const struct model_config *config,
                         const struct kv_placement *placement,
                         const struct kv_family *family, struct kv_plan *plan,
                         const char **ret_why)
{
    uint64_t layers, shared = config->kv_shared_layers;
    uint32_t bytes;
    int r = check_plain(config, ret_why);

    if (r == 0)
        r = find_layers(config, family, &layers, ret_why);
    if (r == 0)
        r = attention_bytes(config, placement->tp, family, plan, &bytes, ret_why);
    if (r == 0)
        r = add_turns(config, family, layers, bytes, plan, ret_why);
    if (r < 0)
        return r;

    shared = shared == UNKNOWN ? 0 : shared;
    if (shared >= layers)
        return missing(ret_why, "its config.json says that all layers share KV");
    for (uint64_t i = layers - shared; i < layers; i++)
        plan->layer[i] = (struct kv_layer){LAYER_NONE, (uint16_t)i, 0};
    for (uint64_t i = 0; i < layers; i++)
        if (plan->layer[i].kind == LAYER_WINDOW && !has_window(config))
            return missing(ret_why,
                           "its config.json does not say how large its window is");
    return 0;
}

/* Bytes of one token's latent vector in one layer. */
static int latent_bytes(const struct model_config *config, const struct kv_plan *plan,
                        uint32_t *ret, const char **ret_why)
{
    uint64_t rank = config->kv_lora_rank, rope = config->qk_rope_head_dim;

    if (config->has_compress_ratios)
        return refuse(ret_why,
                      "its compressed attention packs blocks in a way that is not known");
    if (rank == UNKNOWN || rank == 0 || rope == UNKNOWN)
        return missing(ret_why,
                       "its config.json does not say how large its latent vectors are");
    if (plan->element) {
        *ret = (uint32_t)((rank + rope) * plan->element);
        return 0;
    }
    if (rank != PACKED_RANK || rope != PACKED_ROPE)
        return refuse(ret_why, "its latent vectors do not fit the fp8_ds_mla format");
    *ret = PACKED_LATENT;
    return 0;
}

/* Bytes of one token's key in the indexer: fp8 numbers and their scales. */
static uint32_t indexer_bytes(const struct model_config *config)
{
    uint64_t dim = config->index_head_dim;

    return (uint32_t)(dim + dim / INDEX_QUANT * 4);
}

/* Some layers use the tokens that the layer before them picked, and have no indexer. */
static bool has_indexer(const struct model_config *config, uint64_t layer)
{
    uint64_t offset = config->index_skip_topk_offset == UNKNOWN
                          ? INDEX_SKIP_OFFSET
                          : config->index_skip_topk_offset;
    uint64_t freq = config->index_topk_freq == UNKNOWN ? 1 : config->index_topk_freq;

    return layer + 1 < offset || (layer + 1 - offset) % freq == 0;
}

static int check_indexers(const struct model_config *config,
                          const struct kv_placement *placement, uint64_t layers,
                          const char **ret_why)
{
    uint64_t n = 0;

    if (config->index_head_dim == UNKNOWN || config->index_head_dim == 0)
        return missing(ret_why, "its config.json does not say how large its indexer is");
    if (config->has_index_pattern || config->index_topk_freq == 0)
        return refuse(ret_why, "which of its layers have an indexer is not known");
    for (uint64_t i = 0; i < layers; i++)
        n += has_indexer(config, i);
    if (config->indexers_named != UNKNOWN && config->indexers_named != n)
        return refuse(ret_why, "its config.json contradicts itself about its indexers");
    if (span_is(placement->cache_dtype, "auto") ||
        span_is(placement->cache_dtype, "fp8") ||
        span_is(placement->cache_dtype, "fp8_e4m3"))
        return refuse(ret_why, "with this KV-cache type the format of sparse latent "
                               "attention depends on the kernel in use");
    return 0;
}

static int plan_latent(const struct model_config *config,
                       const struct kv_placement *placement,
                       const struct kv_family *family, struct kv_plan *plan,
                       const char **ret_why)
{
    bool sparse = config->index_topk != UNKNOWN;
    uint64_t layers;
    uint32_t bytes;
    int r = find_layers(config, family, &layers, ret_why);

    if (r == 0)
        r = latent_bytes(config, plan, &bytes, ret_why);
    if (r == 0 && sparse)
        r = check_indexers(config, placement, layers, ret_why);
    if (r < 0)
        return r;
    if (config->n_kinds)
        return refuse(ret_why, "its layers differ in a way that is not known");
    for (uint64_t i = 0; i < layers; i++, plan->places++) {
        uint32_t indexer = sparse && has_indexer(config, i) ? indexer_bytes(config) : 0;

        add_layer(plan, LAYER_FULL, bytes + indexer);
    }
    plan->draft_bytes = bytes + (sparse ? indexer_bytes(config) : 0);
    return 0;
}

/*
 * The larger part of one state, to see that the engine's block is no smaller. The block
 * was made so large that the attention layers' page holds it.
 */
static uint64_t state_bytes_least(const struct model_config *config, uint64_t tp)
{
    uint64_t heads = config->linear_value_heads, a = config->linear_key_head_dim,
             b = config->linear_value_head_dim;

    if (heads == UNKNOWN || a == UNKNOWN || b == UNKNOWN) {
        heads = config->mamba_heads;
        a = config->mamba_head_dim;
        b = config->mamba_state_size;
    }
    if (heads == UNKNOWN || a == UNKNOWN || b == UNKNOWN)
        return 0;
    return heads / tp * a * b * STATE_ELEMENT_LEAST;
}

/* Every n-th layer has attention: the last of each n, or the one at the offset given. */
static int add_periodic(const struct model_config *config, uint64_t layers,
                        uint32_t bytes, struct kv_plan *plan, const char **ret_why)
{
    uint64_t period = config->attn_layer_period, offset = config->attn_layer_offset;

    if (period == UNKNOWN || offset == UNKNOWN) {
        period = config->full_attention_interval;
        if (period == UNKNOWN && config->linear_value_heads != UNKNOWN)
            period = ATTENTION_PERIOD;
        offset = period - 1;
    }
    if (period == UNKNOWN || period == 0)
        return missing(ret_why,
                       "its config.json does not say which layers have attention");
    for (uint64_t i = 0; i < layers; i++, plan->places++) {
        bool attends = i % period == offset;

        add_layer(plan, attends ? LAYER_FULL : LAYER_STATE, attends ? bytes : 0);
    }
    return 0;
}

static int plan_stateful(const struct model_config *config,
                         const struct kv_placement *placement,
                         const struct kv_family *family, struct kv_plan *plan,
                         const char **ret_why)
{
    uint64_t layers;
    uint32_t bytes;
    int r = find_layers(config, family, &layers, ret_why);

    if (r == 0)
        r = attention_bytes(config, placement->tp, family, plan, &bytes, ret_why);
    if (r < 0)
        return r;
    plan->state_bytes = state_bytes_least(config, placement->tp);
    if (config->linear_value_heads != UNKNOWN)
        plan->draft_bytes = bytes;
    if (config->n_kinds)
        return add_listed(config, layers, bytes, plan, ret_why);
    return add_periodic(config, layers, bytes, plan, ret_why);
}

/* Attention and a state side by side in each layer. */
static int plan_twofold(const struct model_config *config,
                        const struct kv_placement *placement,
                        const struct kv_family *family, struct kv_plan *plan,
                        const char **ret_why)
{
    uint64_t layers;
    uint32_t bytes;
    int r = find_layers(config, family, &layers, ret_why);

    if (r == 0)
        r = attention_bytes(config, placement->tp, family, plan, &bytes, ret_why);
    if (r < 0)
        return r;
    plan->state_bytes = state_bytes_least(config, placement->tp);
    for (uint64_t i = 0; i < layers; i++, plan->places++) {
        add_layer(plan, LAYER_FULL, bytes);
        add_layer(plan, LAYER_STATE, 0);
    }
    return 0;
}

static int plan_nothing(const struct model_config *config,
                        const struct kv_placement *placement,
                        const struct kv_family *family, struct kv_plan *plan,
                        const char **ret_why)
{
    (void)config, (void)placement, (void)family, (void)plan, (void)ret_why;
    return 0;
}

static const struct kv_family families[] = {
#define FAMILY(type, rule, ...) {#type, plan_##rule, NULL, {__VA_ARGS__}},
#define REFUSED(type, why) {#type, NULL, why, {0}},
#include "model/families.def"
#undef FAMILY
#undef REFUSED
};

const struct kv_family *kv_family_of(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (strcmp(families[i].type, type) == 0)
            return &families[i];
    return NULL;
}
