// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include "base/text.h"
#include "config/config_build.h"
#include "config/config_option.h"

#include <stdio.h>

enum {
    CLIENTS_DEFAULT = 512,
    STREAMS_DEFAULT = 256,
};

/* A flag of the command line, looked up but not yet checked. */
struct given {
    size_t option;
    struct span value;
};

struct flags {
    struct given *given;
    size_t n;
    enum config_action action;
};

static void flags_done(struct flags *flags)
{
    free(flags->given);
}

static void free_config(struct config **config)
{
    config_free(*config);
}

struct place_text config_place_text(const struct config_place *place)
{
    struct place_text shown;
    char name[PLACE_TEXT_MAX - 64]; // leaves room for the two numbers

    (void)text_clean(name, sizeof(name), span_of(place->name));
    if (place->line)
        (void)snprintf(shown.text, sizeof(shown.text), "%s:%zu:%zu", name, place->line,
                       place->column);
    else
        (void)snprintf(shown.text, sizeof(shown.text), "%s%s", place->prefix, name);
    return shown;
}

void config_engine_init(struct config_engine *engine)
{
    *engine = (struct config_engine){
        .kv_bytes_per_block = UNKNOWN,
        .kv_pool_bytes_per_gpu = UNKNOWN,
        .gpus = UNKNOWN,
    };
}

void config_engine_done(struct config_engine *engine)
{
    free(engine->url);
    free(engine->name);
    free(engine->kind);
    if (engine->api_key)
        explicit_bzero(engine->api_key, strlen(engine->api_key));
    free(engine->api_key);
    free(engine->ca_file);
    *engine = (struct config_engine){0};
}

static void drop_list(struct config_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->at[i]);
    list->n = 0;
}

bool config_has_secret(const struct config *config)
{
    for (size_t i = 0; i < config->n_engines; i++)
        if (config->engines[i].api_key)
            return true;
    return config->token.given || config->tls_key || config->nats_creds ||
           config->nats_token || config->nats_key;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    drop_list(&config->listen);
    drop_list(&config->allow_hosts);
    drop_list(&config->allow_origins);
    drop_list(&config->nats);
    free(config->nats_prefix);
    free(config->uplink);
    free(config->node);
    free(config->nats_creds);
    if (config->nats_token)
        explicit_bzero(config->nats_token, strlen(config->nats_token));
    free(config->nats_token);
    free(config->nats_ca);
    free(config->nats_cert);
    free(config->nats_key);
    explicit_bzero(&config->token, sizeof(config->token));
    for (size_t i = 0; i < config->n_engines; i++)
        config_engine_done(&config->engines[i]);
    free(config->gpu);
    free(config->nvml_library);
    free(config->docker_socket);
    free(config->proc_root);
    free(config->sys_root);
    free(config->sim_dir);
    free(config->history);
    free(config->tls_cert);
    free(config->tls_key);
    free(config->file);
    free(config);
}

int config_add_engine(struct config_build *build, struct config_engine *engine,
                      const struct config_place *place)
{
    struct config *config = build->config;

    for (size_t i = 0; i < config->n_engines; i++)
        if (strcmp(config->engines[i].url, engine->url) == 0)
            return complain(
                build->complaint, -EINVAL, "%s: engine %s is given already at %s",
                config_place_text(place).text, quote(span_of(engine->url)).text,
                config_place_text(&build->engine_places[i]).text);
    if (config->n_engines == CONFIG_ENGINES_MAX)
        return complain(build->complaint, -EINVAL, "%s: more than %d engines",
                        config_place_text(place).text, CONFIG_ENGINES_MAX);

    build->engine_places[config->n_engines] = *place;
    config->engines[config->n_engines++] = *engine;
    *engine = (struct config_engine){0};
    return 0;
}

static int add_engine_url(struct config_build *build, const struct config_place *place,
                          struct span text, struct complaint *why)
{
    OWNED(config_engine_done) struct config_engine engine;
    int r;

    config_engine_init(&engine);
    r = value_read_url(text, &engine.url, why);
    return r < 0 ? r : config_add_engine(build, &engine, place);
}

/* The first text of a stronger source drops those of the weaker. */
static int add_text(struct config_build *build, const struct setting *setting,
                    struct span text, struct complaint *why)
{
    struct config_list *list =
        (struct config_list *)(void *)((char *)build->config + setting->offset);

    if (list->source != (int)build->source)
        drop_list(list);
    list->source = (int)build->source;
    return value_append(setting, build->config, text, why);
}

int config_add_value(struct config_build *build, const struct setting *setting,
                     const struct config_place *place, struct span text)
{
    struct complaint why = {""};
    int r;

    if (value_is_list(setting->kind))
        r = add_text(build, setting, text, &why);
    else if (setting->kind == KIND_ENGINES)
        r = add_engine_url(build, place, text, &why);
    else
        r = value_set(setting, build->config, text, &why);

    if (r == 0 || !*why.text) // config_add_engine() has named the place itself
        return r;
    return complain(build->complaint, r, "%s: %s%s%s", config_place_text(place).text,
                    place->line ? setting->key : "", place->line ? ": " : "", why.text);
}

static int load_defaults(struct config_build *build)
{
    static const struct config_place place = {"", "default", 0, 0};
    int r = 0;

    build->source = FROM_DEFAULT;
    for (size_t i = 0; i < N_OPTIONS && r == 0; i++)
        if (config_options[i].fallback)
            r = config_add_value(build, &config_settings[i], &place,
                                 span_of(config_options[i].fallback));
    return r;
}

/* The value of VRAMSCOPE_<name>; NULL when it is not set or empty. */
static const char *find_variable(char **environment, const char *name)
{
    static const char prefix[] = "VRAMSCOPE_";
    size_t len = strlen(name);

    for (; *environment; environment++) {
        const char *variable = *environment;

        if (strncmp(variable, prefix, strlen(prefix)) != 0)
            continue;
        variable += strlen(prefix);
        if (strncmp(variable, name, len) == 0 && variable[len] == '=')
            return variable[len + 1] ? variable + len + 1 : NULL;
    }
    return NULL;
}

/* Values by commas, each added on its own. */
static int add_values(struct config_build *build, const struct setting *setting,
                      const struct config_place *place, struct span text)
{
    int r = 0;

    for (bool more = true; more && r == 0;) {
        const char *comma = memchr(text.at, ',', text.len);
        size_t len = comma ? (size_t)(comma - text.at) : text.len;

        r = config_add_value(build, setting, place,
                             text_trim((struct span){text.at, len}));
        more = comma != NULL;
        text.at += len + more;
        text.len -= len + more;
    }
    return r;
}

/*
 * Variables that are not ours are left alone: where a service is called vramscope, some
 * orchestrators set VRAMSCOPE_PORT and the like to values of their own.
 */
static int load_environment(struct config_build *build, char **environment)
{
    int r = 0;

    build->source = FROM_ENVIRONMENT;
    for (size_t i = 0; i < N_OPTIONS && r == 0; i++) {
        const struct setting *setting = &config_settings[i];
        const char *name = config_options[i].environment;
        struct config_place place = {"VRAMSCOPE_", name, 0, 0};
        const char *value = name ? find_variable(environment, name) : NULL;

        if (!value)
            continue;
        if (value_is_list(setting->kind) || setting->kind == KIND_ENGINES)
            r = add_values(build, setting, &place, span_of(value));
        else
            r = config_add_value(build, setting, &place, span_of(value));
    }
    return r;
}

static int load_flags(struct config_build *build, const struct flags *flags)
{
    int r = 0;

    build->source = FROM_FLAG;
    for (size_t i = 0; i < flags->n && r == 0; i++) {
        size_t option = flags->given[i].option;
        struct config_place place = {"--", config_options[option].flag, 0, 0};

        if (config_settings[option].kind == KIND_SERVERS)
            r = add_values(build, &config_settings[option], &place,
                           flags->given[i].value);
        else if (option != OPTION_file)
            r = config_add_value(build, &config_settings[option], &place,
                                 flags->given[i].value);
    }
    return r;
}

/* The last --config names the file. */
static int load_file(struct config_build *build, const struct flags *flags)
{
    static const struct config_place place = {"--", "config", 0, 0};
    const struct given *found = NULL;
    int r;

    for (size_t i = 0; i < flags->n; i++)
        if (flags->given[i].option == OPTION_file)
            found = &flags->given[i];
    if (!found)
        return 0;

    build->source = FROM_FILE;
    r = config_add_value(build, &config_settings[OPTION_file], &place, found->value);
    return r < 0 ? r : config_read_file(build, build->config->file);
}

static int find_flag(struct span name, size_t *ret, struct complaint *complaint)
{
    struct suggestion near = {.wanted = name};

    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (span_is(name, config_options[i].flag)) {
            *ret = i;
            return 0;
        }
        suggestion_consider(&near, config_options[i].flag);
    }
    if (near.name)
        return complain(complaint, -EINVAL, "unknown flag '--%s'; is --%s meant?",
                        quote(name).text, near.name);
    return complain(complaint, -EINVAL, "unknown flag '--%s'; --help lists them all",
                    quote(name).text);
}

static int find_letter(const char *arg, size_t *ret, struct complaint *complaint)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (config_options[i].letter == arg[1] && arg[2] == '\0') {
            *ret = i;
            return 0;
        }
    }
    return complain(complaint, -EINVAL, "unknown flag '%s'; --help lists them all",
                    quote(span_of(arg)).text);
}

/* The flag that `arg` names, with the value after '='; {NULL, 0}: there is none. */
static int parse_name(const char *arg, size_t *option, struct span *value,
                      struct complaint *complaint)
{
    struct span name = span_of(arg);
    const char *equals;

    if (name.len < 2 || arg[0] != '-' || strcmp(arg, "--") == 0)
        return complain(complaint, -EINVAL, "stray argument '%s'; --help tells the usage",
                        quote(name).text);
    *value = (struct span){NULL, 0};
    if (arg[1] != '-')
        return find_letter(arg, option, complaint);

    name.at += 2;
    name.len -= 2;
    equals = memchr(name.at, '=', name.len);
    if (equals) {
        *value = span_of(equals + 1);
        name.len = (size_t)(equals - name.at);
    }
    return find_flag(name, option, complaint);
}

/* A switch turns its default around. */
static struct span implied_value(size_t option)
{
    bool on = strcmp(config_options[option].fallback, "true") == 0;

    return span_of(on ? "false" : "true");
}

/* Read the flag at argv[*at], and leave *at at its last word. */
static int parse_flag(char **argv, int *at, struct given *given,
                      struct complaint *complaint)
{
    const struct setting *setting;
    const char *flag, *next;
    int r = parse_name(argv[*at], &given->option, &given->value, complaint);

    if (r < 0)
        return r;
    setting = &config_settings[given->option];
    flag = config_options[given->option].flag;
    if (!setting->argument) {
        if (given->value.at)
            return complain(complaint, -EINVAL, "--%s takes no value", flag);
        if (setting->kind == KIND_SWITCH)
            given->value = implied_value(given->option);
        return 0;
    }
    if (given->value.at)
        return 0;

    next = argv[*at + 1];
    if (!next || strncmp(next, "--", 2) == 0)
        return complain(complaint, -EINVAL, "--%s needs a value: --%s %s", flag, flag,
                        setting->argument);
    given->value = span_of(next);
    (*at)++;
    return 0;
}

/* Ends at the first flag that asks for something else than running. */
static int parse_flags(int argc, char **argv, struct flags *flags,
                       struct complaint *complaint)
{
    if (argc < 2)
        return 0;
    flags->given = calloc((size_t)argc, sizeof(*flags->given));
    if (!flags->given)
        return complain(complaint, -ENOMEM, "out of memory");

    for (int at = 1; at < argc && flags->action == CONFIG_RUN; at++) {
        struct given *given = &flags->given[flags->n];
        int r = parse_flag(argv, &at, given, complaint);

        if (r < 0)
            return r;
        flags->n++;
        flags->action = config_options[given->option].action;
    }
    return 0;
}

/* Who raises the number of clients means readers. */
static void settle_streams(struct config *config)
{
    if (config->max_streams == 0)
        config->max_streams = config->max_clients > CLIENTS_DEFAULT
                                  ? config->max_clients
                                  : MIN(config->max_clients, (uint64_t)STREAMS_DEFAULT);
}

/* Half of the two is a mistake that must not end in serving without TLS. */
static int check_tls(const struct config *config, struct complaint *complaint)
{
    if (!config->tls_cert == !config->tls_key)
        return 0;
    return complain(complaint, -EINVAL,
                    "--tls-%s is given without --tls-%s: TLS needs both",
                    config->tls_cert ? "cert" : "key", config->tls_cert ? "key" : "cert");
}

int config_load(int argc, char **argv, char **environment, struct config **ret,
                enum config_action *ret_action, struct complaint *complaint)
{
    OWNED(flags_done) struct flags flags = {.action = CONFIG_RUN};
    OWNED(free_config) struct config *config = NULL;
    struct config_build build = {.complaint = complaint};
    int r = parse_flags(argc, argv, &flags, complaint);

    if (r < 0)
        return r;
    if (flags.action != CONFIG_RUN) {
        *ret = NULL;
        *ret_action = flags.action;
        return 0;
    }

    config = calloc(1, sizeof(*config));
    if (!config)
        return complain(complaint, -ENOMEM, "out of memory");
    build.config = config;
    r = load_defaults(&build);
    if (r == 0)
        r = load_file(&build, &flags);
    if (r == 0)
        r = load_environment(&build, environment);
    if (r == 0)
        r = load_flags(&build, &flags);
    if (r < 0)
        return r;
    r = check_tls(config, complaint);
    if (r == 0)
        r = config_settle_nats(config, complaint);
    if (r < 0)
        return r;
    settle_streams(config);
    config_settle_history(config, environment);
    config->listen_is_default = config->listen.source == FROM_DEFAULT;
    *ret = TAKE(config);
    *ret_action = CONFIG_RUN;
    return 0;
}
