// SPDX-License-Identifier: Apache-2.0
/*
 * kv_plan.h - for those who teach vramscope another family of models
 *
 * A family is a function that says what each layer keeps, and one line in families.def
 * for each model_type that it is the rule of. It gives the bytes of one token on one GPU;
 * how layers then share blocks is kv_shape's.
 */
#ifndef MODEL_KV_PLAN_H
#define MODEL_KV_PLAN_H

#include "model/kv_shape.h"

enum { KV_PLAN_MAX = MODEL_LAYERS_MAX * 2 + 64 };

struct kv_layer {
    uint8_t kind;         // enum layer_kind
    uint16_t place;       // of the model's layers; parallel parts of one share it
    uint32_t token_bytes; // on one GPU; 0 for LAYER_STATE and LAYER_NONE
};

struct kv_plan {
    uint32_t n;
    uint32_t places;      // the model's own layers, which pipeline stages divide
    uint64_t state_bytes; // the least that one LAYER_STATE needs; 0: not known
    uint64_t element; // bytes of one cached number; 0: the packed format of sparse MLA
    uint32_t draft_bytes; // token_bytes of a multi-token prediction layer; 0: not known
    struct kv_layer layer[KV_PLAN_MAX];
};

/* What config.json may leave out, as the model's class has it; 0: there is no default. */
struct kv_defaults {
    uint16_t layers, heads, kv_heads, hidden_size, head_dim, pattern, draft_layers;
};

struct kv_family;

/* Fill `plan`, whose `element` is set. As kv_shape_of(), in which it is called. */
typedef int kv_plan_fn(const struct model_config *config,
                       const struct kv_placement *placement,
                       const struct kv_family *family, struct kv_plan *plan,
                       const char **ret_why);

struct kv_family {
    const char *type; // model_type
    kv_plan_fn *plan; // NULL: refused
    const char *why;  // it is refused; a literal
    struct kv_defaults defaults;
};

/* NULL: no family is of this model_type. */
const struct kv_family *kv_family_of(const char *type);

#endif
