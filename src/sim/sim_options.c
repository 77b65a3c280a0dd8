// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_options.h"

#include "base/number.h"
#include "base/text.h"
#include "sim/sim_engine.h"

#include <inttypes.h>
#include <stdio.h>

enum { MODEL_MAX = 512, PROCESSES_MAX = 256 };

#define GIB ((uint64_t)1 << 30)

struct option;

typedef int take_fn(const struct option *option, const char *value,
                    struct sim_options *options, struct complaint *complaint);

struct option {
    const char *name;
    const char *value; // what it is called in the help; NULL: a flag without one
    const char *help;
    take_fn *take;
    size_t at; // in struct sim_options
    uint64_t min, max;
};

static void *field(const struct option *option, struct sim_options *options)
{
    return (char *)options + option->at;
}

static int take_flag(const struct option *option, const char *value,
                     struct sim_options *options, struct complaint *complaint)
{
    (void)value;
    (void)complaint;
    *(bool *)field(option, options) = true;
    return 0;
}

static int take_number(const struct option *option, const char *value,
                       struct sim_options *options, struct complaint *complaint)
{
    uint64_t number;
    int r = number_read_u64(span_of(value), option->max, &number);

    if (r < 0 || number < option->min)
        return complain(complaint, -EINVAL,
                        "%s: '%s' is not a whole number from %" PRIu64 " to %" PRIu64,
                        option->name, value, option->min, option->max);
    *(uint64_t *)field(option, options) = number;
    return 0;
}

static int take_text(const struct option *option, const char *value,
                     struct sim_options *options, struct complaint *complaint)
{
    if (*value == '\0')
        return complain(complaint, -EINVAL, "%s: the value is empty", option->name);
    *(const char **)field(option, options) = value;
    return 0;
}

static int take_kind(const struct option *option, const char *value,
                     struct sim_options *options, struct complaint *complaint)
{
    options->kind = sim_kind_named(value);
    if (!options->kind && strcmp(value, "vllm") != 0)
        return complain(complaint, -EINVAL, "%s: there is no '%s'; see --help",
                        option->name, value);
    return 0;
}

/* It is printed into JSON and metrics as it is. */
static int take_model(const struct option *option, const char *value,
                      struct sim_options *options, struct complaint *complaint)
{
    char clean[MODEL_MAX];

    (void)text_clean(clean, sizeof(clean), span_of(value));
    if (strcmp(clean, value) != 0)
        return complain(complaint, -EINVAL,
                        "%s: the name is longer than %d bytes, not UTF-8, or holds "
                        "control characters",
                        option->name, MODEL_MAX - 1);
    return take_text(option, value, options, complaint);
}

static int take_load(const struct option *option, const char *value,
                     struct sim_options *options, struct complaint *complaint)
{
    if (sim_pattern_find(value, &options->load.pattern))
        return 0;
    return complain(complaint, -EINVAL, "%s: '%s' is none of steady, sine, burst, idle",
                    option->name, value);
}

// clang-format off
#define AT(member) offsetof(struct sim_options, member)

static const struct option table[] = {
    {"--port", "P", "listen on this port; 0 picks a free one (required)",
     take_number, AT(port), 0, UINT16_MAX},
    {"--model", "NAME", "served model name (required)",
     take_model, AT(model), 0, 0},
    {"--engine-kind", "KIND",
     "vllm, sglang, trtllm, triton, llamacpp, ollama, lmdeploy, tgi, nim or dynamo (vllm)",
     take_kind, 0, 0, 0},
    {"--no-metrics", NULL, "answer as without the flag that other kinds need for metrics",
     take_flag, AT(no_metrics), 0, 0},
    {"--metrics-port", "P", "as --port, as Triton calls it",
     take_number, AT(port), 0, UINT16_MAX},
    {"--model-id", "NAME", "as --model, as TGI calls it",
     take_model, AT(model), 0, 0},
    {"--engines", "N", "data-parallel engines (1)",
     take_number, AT(load.engines), 1, SIM_ENGINES_MAX},
    {"--data-parallel-size", "N", "the same, as vLLM calls it",
     take_number, AT(load.engines), 1, SIM_ENGINES_MAX},
    {"--kv-blocks", "N", "KV blocks of each engine (4096)",
     take_number, AT(load.kv_blocks), 2, 100000000},
    {"--block-size", "N", "tokens per KV block (16)",
     take_number, AT(load.block_size), 1, 1000000},
    {"--load", "PATTERN", "steady, sine, burst or idle (steady)",
     take_load, 0, 0, 0},
    {"--seed", "S", "the same seed gives the same requests (1)",
     take_number, AT(load.seed), 0, UINT64_MAX},
    {"--vram", "BYTES", "memory held on each GPU in use (16 GiB)",
     take_number, AT(vram_bytes), 0, INT64_MAX},
    {"--gpus", "N", "GPUs of each engine, a worker process for each if several (1)",
     take_number, AT(gpus), 1, 64},
    {"--tensor-parallel-size", "N", "the same, as vLLM calls it",
     take_number, AT(gpus), 1, 64},
    {"--gpu-index", "I", "the first GPU (0)",
     take_number, AT(gpu_index), 0, 65535},
    {"--gpu-dir", "DIR", "tell the simulated driver whose state is in DIR",
     take_text, AT(gpu_dir), 0, 0},
    {"--kv-pool-bytes", "N", "show this as kv_cache_memory_bytes, per GPU",
     take_number, AT(kv_pool_bytes), 1, INT64_MAX},
    {"--load-seconds", "N", "hold the memory, and listen so much later (0)",
     take_number, AT(load_seconds), 0, 3600},
    {"--host", "ADDRESS", "listen on this address (127.0.0.1)",
     take_text, AT(host), 0, 0},
    {"--page", "FILE", "serve this file as /metrics instead of the simulation",
     take_text, AT(page), 0, 0},
    {"--no-filter", NULL, "give /metrics/?name[]= an empty page, as several API servers do",
     take_flag, AT(no_filter), 0, 0},
    {"--max-clients", "N", "connections at a time (1024)",
     take_number, AT(max_clients), 1, 1000000},
    {"--die-with-parent", NULL, "end when the process that started this one ends",
     take_flag, AT(die_with_parent), 0, 0},
    {"--help", NULL, "print this and exit", take_flag, AT(help), 0, 0},
    {"--version", NULL, "print the version and exit", take_flag, AT(version), 0, 0},
};
// clang-format on

static const struct option *find_option(struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (span_is(name, table[i].name))
            return &table[i];
    return NULL;
}

/* Take argv[*at] (--name=VALUE), and the word after it where that is the value. */
static int take(int argc, char **argv, int *at, struct sim_options *options,
                struct complaint *complaint)
{
    const char *word = argv[*at];
    struct span name = {word, strcspn(word, "=")};
    const struct option *option = find_option(name);
    const char *value = word[name.len] ? word + name.len + 1 : NULL;

    if (!option)
        return complain(complaint, -EINVAL, "unknown option '%s'; see --help", word);
    if (!option->value && value)
        return complain(complaint, -EINVAL, "%s takes no value", option->name);
    if (option->value && !value) {
        if (*at + 1 >= argc)
            return complain(complaint, -EINVAL, "%s needs a value", option->name);
        value = argv[++*at];
    }
    return option->take(option, value, options, complaint);
}

static int check(const struct sim_options *options, bool has_port,
                 struct complaint *complaint)
{
    const struct sim_load_options *load = &options->load;

    if (!has_port)
        return complain(complaint, -EINVAL, "--port is missing; see --help");
    if (!options->model)
        return complain(complaint, -EINVAL, "--model is missing; see --help");
    if ((load->kv_blocks - 1) * load->block_size < SIM_POOL_TOKENS_MIN)
        return complain(complaint, -EINVAL,
                        "--kv-blocks and --block-size: %" PRIu64
                        " usable blocks of %" PRIu64
                        " tokens are too few; %d tokens are needed",
                        load->kv_blocks - 1, load->block_size, SIM_POOL_TOKENS_MIN);
    if (load->engines * options->gpus > PROCESSES_MAX)
        return complain(complaint, -EINVAL,
                        "--engines times --gpus: more than %d processes", PROCESSES_MAX);
    return 0;
}

int sim_options_read(int argc, char **argv, struct sim_options *ret,
                     struct complaint *complaint)
{
    const uint64_t no_port = UNKNOWN;
    struct sim_options options = {
        .host = "127.0.0.1",
        .load = {.engines = 1, .kv_blocks = 4096, .block_size = 16, .seed = 1},
        .port = no_port,
        .vram_bytes = 16 * GIB,
        .gpus = 1,
        .kv_pool_bytes = UNKNOWN,
        .max_clients = 1024,
    };

    int first = 1;

    // As vLLM's own: serve NAME --port P. Others have no NAME there.
    if (argc > 2 && strcmp(argv[1], "serve") == 0 && argv[2][0] == '-') {
        first = 2;
    } else if (argc > 2 && strcmp(argv[1], "serve") == 0) {
        int r = take_model(find_option(span_of("--model")), argv[2], &options, complaint);

        if (r < 0)
            return r;
        first = 3;
    }
    for (int i = first; i < argc; i++) {
        int r = take(argc, argv, &i, &options, complaint);

        if (r < 0)
            return r;
    }
    if (!options.help && !options.version) {
        int r = check(&options, options.port != no_port, complaint);

        if (r < 0)
            return r;
    }
    *ret = options;
    return 0;
}

void sim_options_print_help(void)
{
    printf("usage: vramscope-sim --port P --model NAME [option...]\n"
           "       vramscope-sim serve NAME --port P [option...]\n"
           "Simulate a vLLM server: its pages, its load and its processes.\n\n");
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        printf("  %-22s %-8s %s\n", table[i].name, table[i].value ? table[i].value : "",
               table[i].help);
}
