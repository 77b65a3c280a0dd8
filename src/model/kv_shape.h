// SPDX-License-Identifier: Apache-2.0
/*
 * kv_shape.h - how many bytes one KV-cache block of a served model takes
 *
 * From what its config.json says and how it was started. Exact for the kinds of model in
 * families.def; anything else is refused with a reason: a plausible number would be worse
 * than none. Figures are in bytes unless they say otherwise.
 */
#ifndef MODEL_KV_SHAPE_H
#define MODEL_KV_SHAPE_H

#include "model/model_config.h"

/* How layers that keep different things share blocks; it changed between releases. */
enum kv_rule {
    KV_RULE_UNKNOWN,  // answers only where all of them agree
    KV_RULE_ALL_FULL, // window layers are kept like full ones
    KV_RULE_LEAST,    // as many layers to a group as the scarcest kind has
    KV_RULE_QUARTER,  // as the most frequent kind has, if under 1.25 times as many
    KV_RULE_HALF,     // likewise, if under 1.5 times
};

enum kv_hybrid {
    KV_HYBRID_DEFAULT,
    KV_HYBRID_OFF,    // --disable-hybrid-kv-cache-manager
    KV_HYBRID_UNSURE, // something that may turn it off, such as a KV connector
};

/* Whose layers guess tokens ahead. */
enum kv_draft {
    KV_DRAFT_NONE,  // nobody, or a method without attention (n-grams, suffixes)
    KV_DRAFT_MTP,   // the model's own multi-token prediction layers
    KV_DRAFT_MODEL, // another model, whose config is `draft`
    KV_DRAFT_UNKNOWN,
};

struct kv_placement {
    uint64_t tp, pp, dcp; // tensor, pipeline, decode-context parallel sizes; at least 1
    uint64_t block_size;  // tokens, as the engine says it
    struct span cache_dtype; // likewise: "auto", "fp8", ...
    struct span dtype;       // --dtype; empty: not given
    bool skips_layers;       // some layers are exempt from cache_dtype
    enum kv_rule rule;
    enum kv_hybrid hybrid;
    enum kv_draft draft_kind;
    const struct model_config *draft; // NULL: not known
    uint64_t draft_tp;                // UNKNOWN: the model's own
};

struct kv_shape {
    uint64_t bytes_per_block;          // on the GPU that holds most of it
    uint64_t bytes_per_block_all_gpus; // of one engine
    uint64_t
        bytes_per_token; // of all its layers, on the GPUs of one tensor-parallel rank
    uint64_t gpus;       // of one engine
    uint32_t groups;     // block ids that a token takes; 0: it keeps nothing
    bool uniform;        // all layers keep every token: tokens are blocks * block_size
    bool exact;
    const char *caveat; // why it is not exact; a literal, or NULL
};

/*
 * -ENODATA: a fact is missing; -ENOTSUP: of a kind whose rule is not known; -ERANGE: the
 * facts are absurd. *ret_why (a literal) then says which.
 */
int kv_shape_of(const struct model_config *config, const struct kv_placement *placement,
                struct kv_shape *ret, const char **ret_why) MUST_CHECK;

/* The rule of a vLLM release, by what its /version says ("0.25.1"). */
enum kv_rule kv_rule_of_version(struct span version);

/* What one engine says of itself; UNKNOWN where it does not. */
struct kv_claim {
    uint64_t blocks; // of one data-parallel engine, its null block included
    uint64_t block_size;
    uint64_t size_tokens; // kv_cache_size_tokens
    uint64_t max_model_len;
    uint64_t dcp;
};

/*
 * Hold a shape against what the engine says of its capacity. 1: they agree; 0: nothing
 * can be compared; -EBADMSG: they contradict each other, *ret_why (a literal) says how,
 * and the shape must not be used.
 */
int kv_shape_check(const struct kv_shape *shape, const struct kv_claim *claim,
                   const char **ret_why) MUST_CHECK;

#endif
