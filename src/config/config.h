// SPDX-License-Identifier: Apache-2.0
/*
 * config.h - one const struct from flags, environment and file
 *
 * Precedence: flag, then VRAMSCOPE_<NAME> in the environment, then the YAML file, then
 * the default. All three speak through one table (options.def), so that a value is
 * checked by the same code wherever it was written. The file is read with libyaml, whose
 * marks give line and column for every complaint, a value out of range included.
 *
 * A config is built whole or not at all; it is freed with config_free(). No other layer
 * is reached into, and nothing is opened but the config file and the files that it says
 * hold keys.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/base.h"
#include "base/complaint.h"

enum {
    CONFIG_LISTEN_MAX = 8,
    CONFIG_LIST_MAX = 16,
    CONFIG_ORIGIN_MAX = 255, // bytes
    CONFIG_TOKEN_DIGEST_BYTES = 32,
    CONFIG_ENGINES_MAX = 64,
    CONFIG_USERS_MAX = 16,
    CONFIG_FILE_MAX = 1 << 20,
};

enum config_model_id { MODEL_ID_IDENTIFIER, MODEL_ID_SERVED };

/* An engine to scrape besides those discovered. Strings are owned; NULL: not given. */
struct config_engine {
    char *url;  // http://HOST:PORT or https://HOST:PORT, perhaps with a path; unix:PATH
    char *name; // served model name to use instead of the engine's own
    char *kind; // what it is, a name of engine/kinds.def; NULL: it is asked
    uint64_t kv_bytes_per_block;    // of one KV block on one GPU; UNKNOWN: not given
    uint64_t kv_pool_bytes_per_gpu; // UNKNOWN: not given
    uint64_t gpus;                  // GPUs of this server, all ranks; UNKNOWN: not given
    char *api_key;                  // contents of api_key_file, without the line end
    char *ca_file;
    bool insecure; // accept any certificate
};

struct config_users {
    uint32_t n;
    uint32_t uid[CONFIG_USERS_MAX];
};

/* Texts of one source, the strongest that gives any. */
struct config_list {
    size_t n;
    char *at[CONFIG_LIST_MAX];
    int source; // of use while the config is built
};

/* The token that clients must show is not kept, only the SHA-256 of it. */
struct config_token {
    bool given;
    uint8_t sha256[CONFIG_TOKEN_DIGEST_BYTES];
};

struct config {
    struct config_list listen; // at most CONFIG_LISTEN_MAX
    struct config_list allow_hosts;
    struct config_list allow_origins;
    struct config_list nats; // URLs of servers to publish to, of a gateway to listen to
    char *nats_prefix;       // of the nodes' subjects
    char *uplink;            // of the gateway's own; NULL: its sum is not published
    char *node;              // name to do that by; NULL: the host's
    char *nats_creds;        // a file
    char *nats_token;        // what a file holds
    char *nats_ca;           // files in PEM
    char *nats_cert;
    char *nats_key;
    struct config_token token;
    bool listen_is_default; // nobody has named an address
    uint64_t socket_mode;   // of the file of a unix:PATH
    struct config_engine engines[CONFIG_ENGINES_MAX];
    size_t n_engines;
    char *gpu; // "auto", "none", or a back end's name
    char *nvml_library;
    char *docker_socket; // of Docker's API; NULL: it is not asked
    char *proc_root;
    char *sys_root;
    char *sim_dir;  // state of the simulated driver
    char *history;  // file that the past is kept in; NULL: memory alone
    char *file;     // the config file that was read; NULL: none
    char *tls_cert; // files in PEM: both or none
    char *tls_key;
    uint64_t interval_ms;
    uint64_t history_mib;  // of that file, at most
    uint64_t history_days; // that are kept there
    uint64_t max_clients;
    uint64_t max_clients_per_ip;
    uint64_t max_streams; // never 0
    uint64_t max_requests;
    uint64_t fanout_threads; // 0: the main one serves
    uint64_t head_timeout_ms;
    uint64_t idle_timeout_ms;
    uint64_t stall_timeout_ms;
    enum config_model_id model_id;
    int log_level;                      // enum log_level
    struct config_users discover_users; // whose servers are asked besides root's and ours
    bool discover;
    bool demo;
    bool gateway; // it has nodes, and no engine and GPU of its own
    bool confine; // give up what is not needed
    bool allow_public;
    bool check_only; // --check-config
};

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION };

/*
 * Read flags, environment and file. `environ` is the process's environment (NULL-ended).
 * -EINVAL: something is wrong and `complaint` says what and where. On success *ret is the
 * caller's, and *ret_action what was asked for (for help and version *ret is NULL).
 */
int config_load(int argc, char **argv, char **environment, struct config **ret,
                enum config_action *ret_action, struct complaint *complaint) MUST_CHECK;
void config_free(struct config *config);

/* Is there a secret in memory, or will be: a key of an API or of TLS, a token, ...? */
bool config_has_secret(const struct config *config);

/* The text of --help, made from the option table. */
void config_print_help(void);

#endif
