// SPDX-License-Identifier: Apache-2.0
/*
 * model_config.h - what a model's config.json says about its KV cache
 *
 * Facts as written, of the text model where several are nested; defaults and rules that
 * depend on the kind of model are kv_shape's. A number that is not given is UNKNOWN.
 */
#ifndef MODEL_MODEL_CONFIG_H
#define MODEL_MODEL_CONFIG_H

#include "base/complaint.h"

enum {
    MODEL_LAYERS_MAX = 384,
    MODEL_NAME_MAX = 63, // bytes of a model type that are kept
};

/* What a layer keeps between tokens. */
enum layer_kind {
    LAYER_NONE,    // nothing: an MLP or mixture of experts on its own
    LAYER_FULL,    // keys and values of every token
    LAYER_WINDOW,  // of the last tokens only
    LAYER_CHUNKED, // of the current chunk only
    LAYER_STATE,   // one state, however many tokens (mamba, linear attention)
    LAYER_OTHER,   // a kind with a name that we do not know
    LAYER_KINDS
};

/* What the checkpoint says about the type of its KV cache. */
enum checkpoint_kv {
    CHECKPOINT_KV_UNSAID,
    CHECKPOINT_KV_FP8,
    CHECKPOINT_KV_FP8_MAYBE, // fp8, which not every version of the engine obeys
    CHECKPOINT_KV_OTHER,
};

struct model_config {
    char type[MODEL_NAME_MAX + 1]; // model_type of the text model; "": not given
    char root_type[MODEL_NAME_MAX + 1];
    char architecture[MODEL_NAME_MAX + 1];

    uint64_t layers;
    uint64_t heads;
    uint64_t kv_heads;
    uint64_t hidden_size;
    uint64_t head_dim;
    uint64_t v_head_dim;
    uint64_t kv_lora_rank;
    uint64_t qk_rope_head_dim;
    uint64_t max_position_embeddings;

    uint64_t sliding_window;
    uint64_t sliding_window_pattern; // every n-th layer is a full one
    uint64_t max_window_layers;
    uint64_t attention_chunk_size;
    uint64_t full_attention_interval;
    uint64_t attn_layer_period; // with attn_layer_offset: where attention is among states
    uint64_t attn_layer_offset;
    uint64_t kv_shared_layers; // the last ones, which keep nothing of their own
    uint64_t draft_layers;     // multi-token prediction layers in the checkpoint

    uint64_t index_topk; // sparse attention with an indexer
    uint64_t index_head_dim;
    uint64_t index_topk_freq;
    uint64_t index_skip_topk_offset;
    uint64_t indexers_named; // layers that `indexer_types` calls full
    bool has_index_pattern;

    uint64_t linear_value_heads;
    uint64_t linear_key_heads;
    uint64_t linear_key_head_dim;
    uint64_t linear_value_head_dim;
    uint64_t linear_conv_kernel;
    uint64_t mamba_heads;
    uint64_t mamba_head_dim;
    uint64_t mamba_state_size;

    bool no_sliding_window; // use_sliding_window is false
    bool mixed_windows;     // use_sliding_window is true
    bool multi_query;       // one KV head, unless new_decoder_architecture
    bool new_decoder;
    bool not_causal;
    bool encoder_decoder;
    bool nested; // the text model is a part of it, with a config of its own
    bool has_compress_ratios;
    bool differs_by_layer; // block_configs, per_layer_config and the like
    bool global_differs;   // its full layers have heads of another size or number

    uint64_t dtype_bytes; // 0: of a type that we do not know
    enum checkpoint_kv checkpoint_kv;

    uint32_t n_kinds; // 0: not listed layer by layer
    uint8_t kind[MODEL_LAYERS_MAX];
};

/*
 * Reads all or nothing. -EFBIG: over a limit of model_limits.h or MODEL_LAYERS_MAX;
 * -EBADMSG: no JSON object, or a key of ours with a value of the wrong type or range;
 * -ENOMEM. `why` then says what is wrong.
 */
int model_config_read(struct span json, struct model_config *ret,
                      struct complaint *why) MUST_CHECK;

#endif
