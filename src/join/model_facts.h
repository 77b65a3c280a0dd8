// SPDX-License-Identifier: Apache-2.0
/*
 * model_facts.h - how an engine was started, and with what model
 *
 * Read once from the process that listens and from what the server answers about itself,
 * beside the loop (daemon/inquiry.h). What could not be read says why; nothing of it is
 * needed for an engine to be shown.
 */
#ifndef JOIN_MODEL_FACTS_H
#define JOIN_MODEL_FACTS_H

#include "host/log_kv.h"
#include "model/server_answers.h"

struct model_facts {
    bool has_launch;   // its command line is vLLM's
    bool has_settings; // `launch` is as the server itself says
    bool has_config;
    bool config_told; // by the server, not by its file
    bool has_draft;
    bool has_log;
    bool has_weights;
    bool may_pass;    // what was not found out may be another time
    bool env_unclear; // its environment changes the KV cache in ways that are not known
    struct launch launch;
    char served_name[LAUNCH_TEXT_MAX + 1]; // as /v1/models has it; "": not told
    struct model_config config;
    struct model_config draft; // of the model that guesses tokens ahead
    struct log_kv log;
    uint64_t weights_bytes;      // of the checkpoint
    enum kv_rule rule;           // of its release
    uint64_t max_model_len;      // as the server says; UNKNOWN: it does not
    struct complaint config_why; // why there is no config, for people
};

/* A degree of parallelism: vLLM's default of each is 1. */
static inline uint64_t degree_or_one(uint64_t told)
{
    return told == UNKNOWN ? 1 : told;
}

#endif
