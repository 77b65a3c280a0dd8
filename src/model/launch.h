// SPDX-License-Identifier: Apache-2.0
/*
 * launch.h - how a vLLM server was started, from its command line
 *
 * Facts that a command line states; what it leaves out is UNKNOWN, "" or false, for the
 * server's own defaults belong to its release. Options that we do not know are passed
 * over. What a server says of itself (server_answers.h) can be laid over it.
 */
#ifndef MODEL_LAUNCH_H
#define MODEL_LAUNCH_H

#include "model/kv_shape.h"

enum {
    LAUNCH_TEXT_MAX = 1023, // bytes of a name or path; a longer one is not taken
    LAUNCH_WORD_MAX = 63,   // likewise, of a type or method
};

enum launch_kind {
    LAUNCH_SERVE,      // vllm serve
    LAUNCH_API_SERVER, // python -m vllm.entrypoints.openai.api_server
    LAUNCH_RUST,       // vllm-rs frontend
};

struct launch {
    enum launch_kind kind;
    char model[LAUNCH_TEXT_MAX + 1];
    char served_name[LAUNCH_TEXT_MAX + 1]; // the first of them
    char revision[LAUNCH_WORD_MAX + 1];
    char config_file[LAUNCH_TEXT_MAX + 1]; // --config: sets what is not set here
    char download_dir[LAUNCH_TEXT_MAX + 1];
    char hf_config_path[LAUNCH_TEXT_MAX + 1]; // config.json is read from there instead

    uint64_t tp, pp, dp, dcp, pcp;
    uint64_t block_size;
    uint64_t kv_cache_memory_bytes;
    uint64_t num_gpu_blocks_override;
    uint64_t max_model_len;
    double gpu_memory_utilization; // NAN: not given
    char cache_dtype[LAUNCH_WORD_MAX + 1];
    char dtype[LAUNCH_WORD_MAX + 1];
    char quantization[LAUNCH_WORD_MAX + 1];

    bool speculative; // something guesses tokens ahead
    char draft_method[LAUNCH_WORD_MAX + 1];
    char draft_model[LAUNCH_TEXT_MAX + 1];
    uint64_t draft_tp;
    uint64_t speculative_tokens;

    char host[LAUNCH_TEXT_MAX + 1];
    char uds[LAUNCH_TEXT_MAX + 1];
    char root_path[LAUNCH_TEXT_MAX + 1];
    uint64_t port;
    uint64_t api_servers;

    bool tls;
    bool hf_overrides; // config.json is not the last word
    bool kv_transfer;
    bool hybrid_off;
    bool hybrid_on;
    bool skips_layers; // some layers are exempt from cache_dtype
    bool expert_parallel;
    bool stats_off;
    bool offloads_weights; // some of them stay in the host's memory
    bool lora;             // there may be adapters besides the weights
    bool wrapped; // another program starts it, here or elsewhere: `ssh HOST vllm`
    bool unclear; // an option that may be one of these could not be read
};

/*
 * The arguments end with NUL each, as in /proc/PID/cmdline. 1: a vLLM server's, read;
 * 0: not one, `ret` is not written.
 */
int launch_read(struct span cmdline, struct launch *ret) MUST_CHECK;

/*
 * As launch_read(), with the arguments that launch_file_read() has made of `config_file`:
 * the command line's own count before them. `config_file` is then "". vLLM reads a file
 * that is given once and as `--config FILE`; given otherwise (--config=FILE, or twice),
 * `file_args` are passed over and `config_file` stays. A NULL in `file_args`: none.
 */
int launch_read_with_file(struct span cmdline, struct span file_args,
                          struct launch *ret) MUST_CHECK;

/* Whether it is Python that runs, whatever it runs. */
bool launch_is_python(struct span cmdline) MUST_CHECK;

void launch_clear(struct launch *launch); // nothing is known

/* What kv_shape_of() must know about guessing ahead and about the hybrid manager. */
enum kv_draft launch_draft(const struct launch *launch);
enum kv_hybrid launch_hybrid(const struct launch *launch);

#endif
