// SPDX-License-Identifier: Apache-2.0
/*
 * server_answers.h - what a vLLM server says of itself, asked over HTTP
 *
 * /version and /v1/models answer everybody, the second only who has the API key, where one
 * is set. /server_info is there in development mode alone (VLLM_SERVER_DEV_MODE=1).
 * Errors of all are those of json_read(), -EBADMSG also where what is wanted is not
 * in the answer; `ret` is then as it was.
 */
#ifndef MODEL_SERVER_ANSWERS_H
#define MODEL_SERVER_ANSWERS_H

#include "model/launch.h"

/* GET /version: how this release groups unlike layers. */
int server_read_version(struct span json, enum kv_rule *ret,
                        struct complaint *why) MUST_CHECK;

struct server_model {
    char id[LAUNCH_TEXT_MAX + 1];   // the first of its served names
    char root[LAUNCH_TEXT_MAX + 1]; // what it was started with: a path or ORG/NAME
    uint64_t max_model_len;         // UNKNOWN: not told
};

/* GET /v1/models: the model itself. Adapters, which name it as their parent, are not it. */
int server_read_models(struct span json, struct server_model *ret,
                       struct complaint *why) MUST_CHECK;

struct server_settings {
    bool has_config; // the model's config, overrides and all, came along
    bool has_environment;
    bool env_unclear; // it changes the KV cache in ways that are not known
};

/*
 * GET /server_info?config_format=json, laid over what is known of the launch. `config` is
 * written when ret->has_config.
 */
int server_read_settings(struct span json, struct launch *launch,
                         struct model_config *config, struct server_settings *ret,
                         struct complaint *why) MUST_CHECK;

#endif
