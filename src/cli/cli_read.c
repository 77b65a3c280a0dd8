// SPDX-License-Identifier: Apache-2.0
#include "base/suggestion.h"
#include "cli/cli_option.h"

#include <langinfo.h>
#include <stdio.h>

enum { QUOTED_MAX = 80 }; // bytes of a wrong word that are shown

// clang-format off
#define IN(command) (1u << CLI_##command)
#define EVERY ((1u << N_CLI_COMMANDS) - 1)
#define LIVE (EVERY & ~IN(REPLAY) & ~IN(HELP))

const struct cli_option cli_options[] = {
#define COMMAND(id, word, function, arguments, help)
#define OPTION(member, kind, letter, flag, environment, argument, min, max, fallback, \
               commands, help) \
    {flag, kind, letter, environment, argument, offsetof(struct cli, member), \
     (double)(min), (double)(max), fallback, commands, help},
#include "cli/options.def"
#undef COMMAND
#undef OPTION
};

const struct cli_word cli_words[N_CLI_COMMANDS] = {
#define COMMAND(id, word, function, arguments, help) {word, function, arguments, help},
#define OPTION(member, kind, letter, flag, environment, argument, min, max, fallback, \
               commands, help)
#include "cli/options.def"
#undef COMMAND
#undef OPTION
};
// clang-format on

const size_t n_cli_options = ARRAY_LEN(cli_options);
_Static_assert(ARRAY_LEN(cli_options) <= N_CLI_OPTIONS_MAX, "one bit of `given` each");

/* Where the reading stands. */
struct reader {
    struct cli *cli;
    char **words;   // the next is the first
    uint64_t given; // 1 << index: the option came as a flag
    bool has_command;
    struct complaint *why;
};

const struct cli_word *cli_find_word(struct span word)
{
    for (size_t i = 0; i < N_CLI_COMMANDS; i++)
        if (word.len > 0 && span_is(word, cli_words[i].word))
            return &cli_words[i];
    return NULL;
}

static int shown(struct span text)
{
    return (int)MIN(text.len, (size_t)QUOTED_MAX);
}

static const struct cli_option *find_flag(struct span name, struct complaint *why)
{
    struct suggestion near = {.wanted = name};

    for (size_t i = 0; i < n_cli_options; i++) {
        if (span_is(name, cli_options[i].flag))
            return &cli_options[i];
        suggestion_consider(&near, cli_options[i].flag);
    }
    if (near.name)
        (void)complain(why, 0, "unknown flag '--%.*s'; is --%s meant?", shown(name),
                       name.at, near.name);
    else
        (void)complain(why, 0, "unknown flag '--%.*s'; --help lists them all",
                       shown(name), name.at);
    return NULL;
}

static const struct cli_option *find_letter(struct span word, struct complaint *why)
{
    for (size_t i = 0; i < n_cli_options; i++)
        if (word.len == 2 && cli_options[i].letter == word.at[1])
            return &cli_options[i];
    (void)complain(why, 0, "unknown flag '%.*s'; --help lists them all", shown(word),
                   word.at);
    return NULL;
}

/* The option that `word` names; what comes after its '=', NULL: nothing. */
static const struct cli_option *find_option(struct span word, struct span *value,
                                            struct complaint *why)
{
    const char *equals = memchr(word.at, '=', word.len);

    *value = (struct span){NULL, 0};
    if (word.at[1] != '-')
        return find_letter(word, why);
    if (equals) {
        *value = span_of(equals + 1);
        word.len = (size_t)(equals - word.at);
    }
    return find_flag((struct span){word.at + 2, word.len - 2}, why);
}

static int set_flag(struct reader *reader, const struct cli_option *option,
                    struct span value)
{
    struct complaint what = {""};
    int r = cli_set_value(reader->cli, option, value, &what);

    reader->given |= UINT64_C(1) << (option - cli_options);
    if (r < 0)
        return complain(reader->why, r, "--%s: '%.*s': %s", option->flag, shown(value),
                        value.at ? value.at : "", what.text);
    return 0;
}

/* The flag at the front of the words, and its value. */
static int take_flag(struct reader *reader)
{
    struct span value;
    const struct cli_option *option =
        find_option(span_of(*reader->words), &value, reader->why);

    reader->words++;
    if (!option)
        return -EINVAL;
    if (!option->argument && value.at)
        return complain(reader->why, -EINVAL, "--%s takes no value", option->flag);
    if (option->argument && !value.at) {
        const char *next = *reader->words;

        if (!next || strncmp(next, "--", 2) == 0)
            return complain(reader->why, -EINVAL, "--%s needs a value: --%s %s",
                            option->flag, option->flag, option->argument);
        value = span_of(next);
        reader->words++;
    }
    return set_flag(reader, option, value);
}

static int unknown_command(struct span word, struct complaint *why)
{
    struct suggestion near = {.wanted = word};

    for (size_t i = 1; i < N_CLI_COMMANDS; i++)
        suggestion_consider(&near, cli_words[i].word);
    if (near.name)
        return complain(why, -EINVAL, "unknown command '%.*s'; is %s meant?", shown(word),
                        word.at, near.name);
    return complain(why, -EINVAL, "unknown command '%.*s'; --help lists them all",
                    shown(word), word.at);
}

/* A word that is no flag: the command, then what it is about. */
static int take_word(struct reader *reader)
{
    struct cli *cli = reader->cli;
    struct span word = span_of(*reader->words++);
    const struct cli_word *found = cli_find_word(word);

    if (!reader->has_command) {
        if (!found)
            return unknown_command(word, reader->why);
        cli->command = (enum cli_command)(found - cli_words);
        reader->has_command = true;
        return 0;
    }
    if (!*cli_words[cli->command].arguments || cli->operand)
        return complain(reader->why, -EINVAL, "stray argument '%.*s' after %s",
                        shown(word), word.at, cli_words[cli->command].word);
    cli->operand = strdup(word.at);
    return cli->operand ? 0 : complain(reader->why, -ENOMEM, "out of memory");
}

/* All words, also behind one that is wrong, so that the command is known; the first
 * complaint counts. */
static int take_words(struct reader *reader)
{
    struct complaint first, *why = reader->why;
    bool only_words = false;
    int result = 0;

    while (*reader->words) {
        const char *word = *reader->words;
        int r;

        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
            reader->words++;
            continue;
        }
        if (!only_words && word[0] == '-' && word[1])
            r = take_flag(reader);
        else
            r = take_word(reader);
        if (r < 0 && result == 0) {
            first = *why;
            result = r;
        }
    }
    if (result < 0)
        *why = first;
    return result;
}

/* What no flag has given: the environment (an empty variable is none), the defaults. */
static int take_rest(struct reader *reader)
{
    for (size_t i = 0; i < n_cli_options; i++) {
        const struct cli_option *option = &cli_options[i];
        const char *variable = option->environment ? getenv(option->environment) : NULL;
        const char *value = variable && *variable ? variable : option->fallback;
        struct complaint what = {""};
        int r;

        if (!value || reader->given & UINT64_C(1) << i)
            continue;
        r = cli_set_value(reader->cli, option, span_of(value), &what);
        if (r < 0)
            return complain(reader->why, r, "%s: '%.*s': %s", option->environment,
                            shown(span_of(value)), value, what.text);
    }
    return 0;
}

static int check_options(const struct reader *reader)
{
    const struct cli *cli = reader->cli;

    for (size_t i = 0; i < n_cli_options; i++) {
        const char *word = cli_words[cli->command].word;

        if (!(reader->given & UINT64_C(1) << i) ||
            cli_options[i].commands & 1u << cli->command)
            continue;
        if (!*word)
            return complain(reader->why, -EINVAL, "--%s needs a command; see --help",
                            cli_options[i].flag);
        return complain(reader->why, -EINVAL, "--%s is not for %s; see vramscope help %s",
                        cli_options[i].flag, word, word);
    }
    return 0;
}

static int check_together(const struct cli *cli, struct complaint *why)
{
    const struct cli_word *word = &cli_words[cli->command];

    if (*word->arguments == 'F' && !cli->operand)
        return complain(why, -EINVAL, "%s needs a %s", word->word, word->arguments);
    if (cli->command == CLI_TUI && cli->json && !cli->once)
        return complain(why, -EINVAL, "--json needs --once, or a command");
    if (cli->json && cli->csv)
        return complain(why, -EINVAL, "--json and --csv: one of the two");
    if (cli->seed && cli->csv)
        return complain(why, -EINVAL, "--seed and --csv: one of the two");
    if (cli->kv_warn > cli->kv_crit)
        return complain(why, -EINVAL, "--kv-warn %g is above --kv-crit %g", cli->kv_warn,
                        cli->kv_crit);
    return 0;
}

/* What the terminal can do: NO_COLOR (https://no-color.org), TERM, the locale. */
static void look_at_terminal(struct cli *cli, bool has_glyphs)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool is_dumb = !term || !*term || strcmp(term, "dumb") == 0;

    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        cli->ascii = true;
    if (no_color && *no_color)
        cli->no_color = true;
    cli->colours = !cli->no_color && !is_dumb && isatty(STDOUT_FILENO) == 1;
    if (cli->ascii)
        cli->glyphs = GLYPHS_ASCII;
    else if (!has_glyphs && term && strcmp(term, "linux") == 0)
        cli->glyphs = GLYPHS_BLOCK; // its font has no braille
}

int cli_read(int argc, char **argv, struct cli **ret, struct complaint *why)
{
    struct cli *cli = calloc(1, sizeof(*cli));
    struct reader reader = {.cli = cli, .words = argv + (argc > 0), .why = why};
    int r;

    if (!cli)
        return complain(why, -ENOMEM, "out of memory");
    cli->glyphs = -1;
    r = take_words(&reader);
    if (cli->help || cli->version)
        r = 0; // the rest does not matter
    else if (r == 0)
        r = check_options(&reader);
    if (r == 0)
        r = take_rest(&reader);
    if (r == 0 && !cli->help && !cli->version)
        r = check_together(cli, why);

    look_at_terminal(cli, cli->glyphs >= 0);
    cli->glyphs = MAX(cli->glyphs, (int)GLYPHS_BRAILLE);
    *ret = cli;
    return r;
}

void cli_free(struct cli *cli)
{
    if (!cli)
        return;
    for (size_t i = 0; i < cli->n_urls; i++)
        free(cli->urls[i]);
    free(cli->operand);
    free(cli->token_file);
    free(cli->ca_file);
    free(cli->node);
    free(cli->model);
    free(cli->listen);
    free(cli->theme);
    free(cli);
}

struct span cli_host_name(const char *url)
{
    struct span name = span_of(url);
    const char *host = strstr(url, "://");

    if (host)
        name = span_of(host + 3);
    while (host && name.len > 1 && name.at[name.len - 1] == '/')
        name.len--;
    return name;
}

struct vramscope_options cli_connection(const struct cli *cli)
{
    return (struct vramscope_options){
        .size = sizeof(struct vramscope_options),
        .stream = VRAMSCOPE_STREAM_DETAIL,
        .token_file = cli->token_file,
        .ca_file = cli->ca_file,
    };
}

struct vramscope_options cli_stream_options(const struct cli *cli)
{
    struct vramscope_options options = cli_connection(cli);

    options.node = cli->node;
    return options;
}

void cli_source_name(char ret[CLI_SOURCE_SIZE], const struct cli *cli, const char *url)
{
    (void)snprintf(ret, CLI_SOURCE_SIZE, "%s%s%s", url, cli->node ? ", node " : "",
                   cli->node ? cli->node : "");
}
