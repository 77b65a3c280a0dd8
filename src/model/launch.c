// SPDX-License-Identifier: Apache-2.0
#include "model/launch.h"

#include "model/cmdline.h"
#include "model/launch_option.h"

#include <math.h>

enum {
    PROGRAM_ARGS = 8, // among the first of these is the program's name
    ARGS_MAX = 4096,
};

struct args {
    struct span left;
    struct span arg; // the one being read
    bool unknown;    // it may be the value of an option that we do not know
    bool parts;      // the speculative configuration is told part by part
    bool is_file;    // these are those of the config file
    bool has_file;   // and these come behind them
};

static bool next_arg(struct args *args)
{
    return cmdline_next(&args->left, &args->arg);
}

/* The value that follows an option; options are no values. */
static bool take_value(struct args *args, struct span *ret)
{
    struct args ahead = *args;

    if (!next_arg(&ahead) || cmdline_is_option(ahead.arg))
        return false;
    *args = ahead;
    *ret = ahead.arg;
    return true;
}

/* An option's name, dashes for underscores, and what is joined to it. */
struct spelled {
    char name[OPTION_NAME_MAX + 1];
    char part[OPTION_NAME_MAX + 1]; // after a dot
    struct span value;              // after '='; at is NULL: there is none
    bool brief;                     // one dash only
};

static bool spell(struct span text, char *ret)
{
    if (text.len > OPTION_NAME_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        ret[i] = text.at[i] == '_' ? '-' : text.at[i];
    ret[text.len] = '\0';
    return true;
}

static bool spell_option(struct span arg, struct spelled *ret)
{
    const char *equals = memchr(arg.at, '=', arg.len), *dot;
    size_t dashes = arg.at[1] == '-' ? 2 : 1;
    size_t len = equals ? (size_t)(equals - arg.at) : arg.len;
    struct span name = {arg.at + dashes, len >= dashes ? len - dashes : 0};

    *ret = (struct spelled){.brief = dashes == 1};
    if (equals)
        ret->value = (struct span){equals + 1, arg.len - len - 1};
    dot = name.len ? memchr(name.at, '.', name.len) : NULL;
    if (dot) {
        size_t before = (size_t)(dot - name.at);

        if (!spell((struct span){dot + 1, name.len - before - 1}, ret->part))
            return false;
        name.len = before;
    }
    return spell(name, ret->name);
}

static const struct option *find_option(struct option_table table, const char *name,
                                        bool brief)
{
    for (size_t i = 0; i < table.n; i++) {
        const char *own = brief ? table.at[i].brief : table.at[i].name;

        if (own && strcmp(own, name) == 0)
            return &table.at[i];
    }
    return NULL;
}

/* Python's argparse takes the beginning of a name for the name. */
static bool may_be_ours(const struct spelled *spelled)
{
    size_t len = strlen(spelled->name);

    for (size_t i = 0; i < launch_options.n && len > 0; i++) {
        const struct option *option = &launch_options.at[i];
        const char *own = spelled->brief ? option->brief : option->name;

        if (own && strncmp(own, spelled->name, len) == 0)
            return true;
    }
    return false;
}

/*
 * The last one told is the only one, but for parts: all of them together are one, which
 * comes last. False: the value does not count.
 */
static bool begin_draft(struct args *args, struct launch *launch, bool is_part)
{
    bool counts = is_part || !args->parts;

    if (counts && !(is_part && args->parts)) {
        launch->draft_method[0] = '\0';
        launch->draft_model[0] = '\0';
        launch->draft_tp = UNKNOWN;
        launch->speculative_tokens = UNKNOWN;
    }
    args->parts = args->parts || is_part;
    return counts;
}

/* --speculative-config.method ngram */
static void read_part(const struct spelled *spelled, struct args *args,
                      const struct option *whole, struct launch *launch)
{
    const struct option *option = whole;
    struct span value = spelled->value;

    if (whole->kind == OPTION_SPECULATIVE) {
        launch->speculative = true;
        (void)begin_draft(args, launch, true); // a part always counts
        option = find_option(launch_draft_options, spelled->part, false);
    }
    if (!value.at && !take_value(args, &value))
        launch->unclear = true;
    else if (option && !option_read(option, value, launch))
        launch->unclear = true;
}

/* --no-disable-hybrid-kv-cache-manager */
static bool read_opposite(const struct spelled *spelled, struct launch *launch)
{
    const struct option *option;

    if (spelled->brief || strncmp(spelled->name, "no-", 3) != 0)
        return false;
    option = find_option(launch_options, spelled->name + 3, false);
    if (!option || option->kind != OPTION_FLAG)
        return false;
    *(bool *)option_member(launch, option) = false;
    if (option->offset == offsetof(struct launch, hybrid_off))
        launch->hybrid_on = true;
    return true;
}

static void read_option(struct args *args, struct launch *launch)
{
    struct spelled spelled;
    const struct option *option;
    struct span value;

    args->unknown = false;
    if (!spell_option(args->arg, &spelled))
        return;
    option = find_option(launch_options, spelled.name, spelled.brief);
    if (!option) {
        if (read_opposite(&spelled, launch))
            return;
        launch->unclear = launch->unclear || may_be_ours(&spelled);
        args->unknown = !spelled.value.at;
        return;
    }
    if (spelled.part[0]) {
        read_part(&spelled, args, option, launch);
        return;
    }
    if (option->kind == OPTION_FLAG) {
        *(bool *)option_member(launch, option) = true;
        return;
    }
    value = spelled.value;
    if (!value.at && !take_value(args, &value))
        launch->unclear = true;
    else if (option->kind == OPTION_SPECULATIVE && !begin_draft(args, launch, false))
        return;
    else if (!option_read(option, value, launch))
        launch->unclear = true;
    args->unknown = option->kind == OPTION_FIRST || option->kind == OPTION_GIVEN;
}

void launch_clear(struct launch *launch)
{
    *launch = (struct launch){
        .tp = UNKNOWN,
        .pp = UNKNOWN,
        .dp = UNKNOWN,
        .dcp = UNKNOWN,
        .pcp = UNKNOWN,
        .block_size = UNKNOWN,
        .kv_cache_memory_bytes = UNKNOWN,
        .num_gpu_blocks_override = UNKNOWN,
        .max_model_len = UNKNOWN,
        .gpu_memory_utilization = (double)NAN,
        .draft_tp = UNKNOWN,
        .speculative_tokens = UNKNOWN,
        .port = UNKNOWN,
        .api_servers = UNKNOWN,
    };
}

/*
 * The model stands alone. Elsewhere than first, Python's releases differ in whether it or
 * the config file's model is taken; in that file nothing stands alone.
 */
static bool read_alone(struct args *args, struct launch *launch, bool is_first)
{
    bool kept =
        !args->is_file && option_keep_text(launch->model, LAUNCH_TEXT_MAX, args->arg);

    if (!kept || (args->has_file && !is_first))
        launch->unclear = true;
    return kept;
}

/* What follows an option that we do not know may be its value. */
static void read_args(struct args *args, struct launch *launch)
{
    bool seen = false;

    for (unsigned n = 0; next_arg(args); n++) {
        if (n == ARGS_MAX) {
            launch->unclear = true;
            return;
        }
        if (cmdline_is_option(args->arg))
            read_option(args, launch);
        else if (launch->kind == LAUNCH_SERVE && !args->unknown && !seen)
            seen = read_alone(args, launch, n == 0);
    }
}

/* ---- whose command line it is ---- */

bool launch_is_python(struct span cmdline)
{
    struct args args = {.left = cmdline};

    return next_arg(&args) && cmdline_is_python(args.arg);
}

/* True when `args` stands behind the words that start a server. */
static bool find_server(struct args *args, enum launch_kind *ret, bool *ret_wrapped)
{
    struct span before = {"", 0};
    bool wrapped = false;

    for (unsigned i = 0; i < PROGRAM_ARGS && next_arg(args); i++) {
        struct args ahead = *args;
        bool more = next_arg(&ahead);

        *ret_wrapped = wrapped;
        if ((cmdline_is_program(args->arg, "vllm") ||
             cmdline_is_module(before, args->arg, "vllm.entrypoints.cli.main")) &&
            more && span_is(ahead.arg, "serve")) {
            *args = ahead;
            *ret = LAUNCH_SERVE;
            return true;
        }
        if (cmdline_is_program(args->arg, "vllm-rs") && more &&
            span_is(ahead.arg, "frontend")) {
            *args = ahead;
            *ret = LAUNCH_RUST;
            return true;
        }
        if (cmdline_is_module(before, args->arg, "vllm.entrypoints.openai.api_server") ||
            cmdline_is_program(args->arg, "vllm/entrypoints/openai/api_server.py")) {
            *ret = LAUNCH_API_SERVER;
            return true;
        }
        wrapped = cmdline_is_wrapped(wrapped, i, before, args->arg);
        before = args->arg;
    }
    return false;
}

/* vllm-rs frontend ... --args-json {...} */
static void read_rust(struct args *args, struct launch *launch)
{
    while (next_arg(args)) {
        OWNED(json_decrefp) json_t *root = NULL;
        struct complaint why;

        if (!span_is(args->arg, "--args-json") || !next_arg(args))
            continue;
        if (json_read(args->arg, &model_json_limits, &root, &why) < 0) {
            launch->unclear = true;
            return;
        }
        option_apply_json(launch_options, root, launch);
        if (launch->model[0] == '\0')
            (void)option_keep_text(launch->model, LAUNCH_TEXT_MAX,
                                   json_text(json_object_get(root, "model_tag")));
    }
}

/* vLLM reads the file of the one `--config FILE`, and does not start with two. */
static bool names_file(struct args args)
{
    unsigned apart = 0, joined = 0;

    while (next_arg(&args)) {
        apart += span_is(args.arg, "--config");
        joined += args.arg.len > 9 && memcmp(args.arg.at, "--config=", 9) == 0;
    }
    return apart == 1 && joined == 0;
}

static void read_file_args(struct args *args, struct span file_args,
                           struct launch *launch)
{
    struct args file = {.left = file_args, .is_file = true};

    read_args(&file, launch);
    args->parts = file.parts;
    args->has_file = true;
}

int launch_read_with_file(struct span cmdline, struct span file_args, struct launch *ret)
{
    struct args args = {.left = cmdline};
    enum launch_kind kind;
    bool has_file, wrapped;

    if (!find_server(&args, &kind, &wrapped))
        return 0;
    launch_clear(ret);
    ret->kind = kind;
    ret->wrapped = wrapped;
    has_file = file_args.at && kind != LAUNCH_RUST && names_file(args);
    if (has_file)
        read_file_args(&args, file_args, ret);
    if (kind == LAUNCH_RUST)
        read_rust(&args, ret);
    else
        read_args(&args, ret);
    if (has_file)
        ret->config_file[0] = '\0';
    if (ret->draft_model[0])
        ret->speculative = true;
    return 1;
}

int launch_read(struct span cmdline, struct launch *ret)
{
    return launch_read_with_file(cmdline, (struct span){NULL, 0}, ret);
}

/* ---- what follows for blocks ---- */

enum kv_draft launch_draft(const struct launch *launch)
{
    static const char *const without_layers[] = {"ngram",  "[ngram]", "ngram_gpu",
                                                 "suffix", "medusa",  "mlp_speculator"};
    static const char *const with_model[] = {"eagle", "eagle3", "draft_model"};
    struct span method = span_of(launch->draft_method);

    if (!launch->speculative)
        return KV_DRAFT_NONE;
    for (size_t i = 0; i < ARRAY_LEN(without_layers); i++)
        if (span_is(method, without_layers[i]))
            return KV_DRAFT_NONE;
    for (size_t i = 0; i < ARRAY_LEN(with_model); i++)
        if (span_is(method, with_model[i]))
            return KV_DRAFT_MODEL;
    return cmdline_ends_with(method, "mtp") ? KV_DRAFT_MTP : KV_DRAFT_UNKNOWN;
}

enum kv_hybrid launch_hybrid(const struct launch *launch)
{
    if (launch->hybrid_off)
        return KV_HYBRID_OFF;
    return launch->kv_transfer && !launch->hybrid_on ? KV_HYBRID_UNSURE
                                                     : KV_HYBRID_DEFAULT;
}
