// SPDX-License-Identifier: Apache-2.0
#include "model/server_launch.h"

#include "base/number.h"
#include "model/cmdline.h"
#include "model/launch_option.h"

enum {
    PROGRAM_ARGS = 8, // among the first of these is the program's name
    ARGS_MAX = 4096,
    OPTIONS_MAX = 4,
    VLLM_PORT = 8000,
};

/* How servers are started, several rows for those with several ways. */
struct way {
    const char *engine;
    const char *program;           // or
    const char *module;            // python -m
    const char *words[2];          // that follow it
    const char *not_word;          // what follows starts something else then
    const char *port[OPTIONS_MAX]; // options, without their dashes, each with a value
    const char *name[OPTIONS_MAX];
    const char *model[OPTIONS_MAX];
    const char *tls;
    bool model_alone; // it may also stand alone, before all options
    uint16_t default_port;
    const char *port_variable;
    const char *no_port_why;
};

#define SGLANG_OPTIONS                                                                 \
    .port = {"port"}, .name = {"served-model-name"}, .model = {"model-path", "model"}, \
    .tls = "ssl-certfile", .default_port = 30000
#define TGI_OPTIONS                                                                  \
    .port = {"port", "p"}, .model = {"model-id"}, .tls = NULL, .default_port = 3000, \
    .port_variable = "PORT"
#define NIM_OPTIONS                                                                   \
    .port = {"port"}, .name = {"served-model-name"}, .model = {"model"}, .tls = NULL, \
    .default_port = 8000, .port_variable = "NIM_SERVER_PORT"
#define DYNAMO_OPTIONS                                                         \
    .name = {"served-model-name"}, .model = {"model", "model-path"},           \
    .port_variable = "DYN_SYSTEM_PORT",                                        \
    .no_port_why =                                                             \
        "it has no metrics: the worker is to be started with DYN_SYSTEM_PORT " \
        "set in its environment"

static const struct way ways[] = {
    {.engine = "sglang", .module = "sglang.launch_server", SGLANG_OPTIONS},
    {.engine = "sglang",
     .program = "sglang",
     .words = {"serve"},
     .model_alone = true,
     SGLANG_OPTIONS},
    {.engine = "trtllm",
     .program = "trtllm-serve",
     .not_word = "disaggregated",
     .port = {"port"},
     .name = {"served-model-name"},
     .model_alone = true,
     .default_port = 8000},
    {.engine = "triton",
     .program = "tritonserver",
     .port = {"metrics-port"},
     .default_port = 8002},
    {.engine = "llamacpp",
     .program = "llama-server",
     .port = {"port"},
     .name = {"alias", "a"},
     .model = {"hf-repo", "hf", "model", "m"},
     .tls = "ssl-cert-file",
     .default_port = 8080,
     .port_variable = "LLAMA_ARG_PORT"},
    {.engine = "tgi", .program = "text-generation-launcher", TGI_OPTIONS},
    {.engine = "tgi", .program = "text-generation-router", TGI_OPTIONS},
    {.engine = "ollama",
     .program = "ollama",
     .words = {"serve"},
     .default_port = 11434,
     .port_variable = "OLLAMA_HOST"},
    {.engine = "lmdeploy",
     .program = "lmdeploy",
     .words = {"serve", "api_server"},
     .port = {"server-port"},
     .name = {"model-name"},
     .model_alone = true,
     .default_port = 23333},
    {.engine = "nim", .module = "nim_llm_sdk.entrypoints.openai.api_server", NIM_OPTIONS},
    {.engine = "nim", .module = "vllm_nvext.entrypoints.openai.api_server", NIM_OPTIONS},
    {.engine = "dynamo", .module = "dynamo.vllm", DYNAMO_OPTIONS},
    {.engine = "dynamo", .module = "dynamo.sglang", DYNAMO_OPTIONS},
    {.engine = "dynamo", .module = "dynamo.trtllm", DYNAMO_OPTIONS},
};

/* What the workers' titles begin with; the kernel keeps 15 characters of them. */
static const struct {
    const char *title;
    const char *engine;
} titles[] = {
    {"VLLM::", "vllm"},
    {"sglang::", "sglang"},
};

const char *server_launch_titled(const char *title)
{
    for (size_t i = 0; i < ARRAY_LEN(titles); i++)
        if (strncmp(title, titles[i].title, strlen(titles[i].title)) == 0)
            return titles[i].engine;
    return NULL;
}

bool server_launch_read_port(struct span text, uint64_t *ret)
{
    const char *colon = text.len ? memrchr(text.at, ':', text.len) : NULL;

    if (colon)
        text = (struct span){colon + 1, text.len - (size_t)(colon + 1 - text.at)};
    return number_read_u64(text, UINT16_MAX, ret) == 0 && *ret > 0;
}

/* The words that follow the program, if they do; `left` moves past them. */
static bool take_words(const struct way *way, struct span *left)
{
    for (size_t i = 0; i < ARRAY_LEN(way->words) && way->words[i]; i++) {
        struct span word;

        if (!cmdline_next(left, &word) || !span_is(word, way->words[i]))
            return false;
    }
    if (way->not_word) {
        struct span ahead = *left, word;

        if (cmdline_next(&ahead, &word) && word.len >= strlen(way->not_word) &&
            memcmp(word.at, way->not_word, strlen(way->not_word)) == 0)
            return false;
    }
    return true;
}

static bool is_started_by(const struct way *way, struct span before, struct span arg)
{
    if (way->module)
        return cmdline_is_module(before, arg, way->module);
    return cmdline_is_program(arg, way->program);
}

/* `left` stands behind the words that start it. NULL: none of ours. */
static const struct way *find_way(struct span *left, bool *ret_wrapped)
{
    struct span before = {"", 0}, arg;

    *ret_wrapped = false;
    for (unsigned i = 0; i < PROGRAM_ARGS && cmdline_next(left, &arg); i++) {
        for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
            struct span ahead = *left;

            if (is_started_by(&ways[w], before, arg) && take_words(&ways[w], &ahead)) {
                *left = ahead;
                return &ways[w];
            }
        }
        *ret_wrapped = cmdline_is_wrapped(*ret_wrapped, i, before, arg);
        before = arg;
    }
    return NULL;
}

/* Dashes and underscores are one, as all of these programs take them. */
static bool is_name(struct span name, const char *wanted)
{
    if (!wanted || name.len != strlen(wanted))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] != wanted[i] && !(name.at[i] == '_' && wanted[i] == '-'))
            return false;
    return true;
}

static bool is_one_of(struct span name, const char *const wanted[OPTIONS_MAX])
{
    for (size_t i = 0; i < OPTIONS_MAX; i++)
        if (is_name(name, wanted[i]))
            return true;
    return false;
}

/* A model in a file goes by that file's name. */
static struct span file_of(struct span name)
{
    const char *slash = name.len ? memrchr(name.at, '/', name.len) : NULL;

    if (!slash || !cmdline_ends_with(name, ".gguf"))
        return name;
    return (struct span){slash + 1, name.len - (size_t)(slash + 1 - name.at)};
}

/* --port 1, --port=1, -p 1. The value is only taken from the next word where one is due. */
static void take_option(const struct way *way, struct span arg, struct span *left,
                        struct server_launch *ret, bool *ret_named)
{
    const char *equals = memchr(arg.at, '=', arg.len);
    size_t dashes = arg.at[1] == '-' ? 2 : 1;
    size_t len = equals ? (size_t)(equals - arg.at) : arg.len;
    struct span name = {arg.at + dashes, len - MIN(dashes, len)}, value = {"", 0};
    bool is_port = is_one_of(name, way->port), is_served = is_one_of(name, way->name);
    bool is_model = is_one_of(name, way->model);

    if (is_name(name, way->tls))
        ret->tls = true;
    if (is_name(name, "config"))
        ret->default_port = 0; // its file may say another
    if (!is_port && !is_served && !is_model)
        return;
    if (equals)
        value = (struct span){equals + 1, arg.len - len - 1};
    else if (!cmdline_next(left, &value))
        return;
    if (is_port && (number_read_u64(value, UINT16_MAX, &ret->port) < 0 || ret->port == 0))
        ret->port = UNKNOWN;
    if (is_served || (is_model && !*ret_named))
        (void)option_keep_text(ret->name, LAUNCH_TEXT_MAX, file_of(value)); // or none
    *ret_named = *ret_named || is_served;
}

static void read_options(const struct way *way, struct span left,
                         struct server_launch *ret)
{
    struct span arg;
    bool named = false, alone = way->model_alone;

    for (unsigned n = 0; n < ARGS_MAX && cmdline_next(&left, &arg); n++) {
        bool is_option = cmdline_is_option(arg);

        if (is_option)
            take_option(way, arg, &left, ret, &named);
        else if (alone && !span_is(arg, "serve")) // of trtllm-serve, which may have it
            (void)option_keep_text(ret->name, LAUNCH_TEXT_MAX, arg);
        alone = alone && !is_option && !ret->name[0];
    }
}

static int read_vllm(struct span cmdline, struct server_launch *ret)
{
    struct launch launch;
    const char *name;

    if (launch_read(cmdline, &launch) != 1)
        return 0;
    name = launch.served_name[0] ? launch.served_name : launch.model;
    *ret = (struct server_launch){.engine = "vllm",
                                  .port = launch.port,
                                  .tls = launch.tls,
                                  .wrapped = launch.wrapped};
    if (!launch.config_file[0] && launch.kind != LAUNCH_RUST)
        ret->default_port = VLLM_PORT;
    memcpy(ret->name, name, strlen(name) + 1);
    memcpy(ret->uds, launch.uds, sizeof(ret->uds));
    return 1;
}

int server_launch_read(struct span cmdline, struct server_launch *ret)
{
    const struct way *way;
    struct span left = cmdline;
    bool wrapped;

    if (read_vllm(cmdline, ret) == 1)
        return 1;
    way = find_way(&left, &wrapped);
    if (!way)
        return 0;
    *ret = (struct server_launch){.engine = way->engine,
                                  .port = UNKNOWN,
                                  .default_port = way->default_port,
                                  .port_variable = way->port_variable,
                                  .no_port_why = way->no_port_why,
                                  .wrapped = wrapped};
    read_options(way, left, ret);
    return 1;
}
