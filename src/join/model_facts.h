// SPDX-License-Identifier: Apache-2.0
/*
 * model_facts.h - what the host knows about how an engine was started, and with what model
 *
 * Read once from the process that listens, beside the loop (daemon/inquiry.h). What could
 * not be read says why; nothing of it is needed for an engine to be shown.
 */
#ifndef JOIN_MODEL_FACTS_H
#define JOIN_MODEL_FACTS_H

#include "host/log_kv.h"
#include "model/launch.h"

struct model_facts {
    bool has_launch; // its command line is vLLM's
    bool has_config;
    bool has_draft;
    bool has_log;
    bool env_unclear; // its environment changes the KV cache in ways that are not known
    struct launch launch;
    struct model_config config;
    struct model_config draft; // of the model that guesses tokens ahead
    struct log_kv log;
    struct complaint config_why; // why there is no config, for people
};

#endif
