// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_help.h"
#include "base/suggestion.h"
#include "cli/cli_option.h"
#include "cli/cli_output.h"

#include <stdio.h>

enum {
    HELP_WIDTH = 90,
    HELP_INDENT = 34, // where the explanations begin
    LINE_MAX_LEN = 1024,
};

/* A line in the making: words are added, and printed whenever a line is full. */
struct text {
    char line[LINE_MAX_LEN];
    size_t len;
};

static void end_text(struct text *text)
{
    cli_print("%.*s", (int)text->len, text->line);
    text->len = 0;
}

static void add_str(struct text *text, const char *words, size_t len)
{
    len = MIN(len, sizeof(text->line) - text->len);
    memcpy(text->line + text->len, words, len);
    text->len += len;
}

static void indent(struct text *text, size_t to)
{
    do
        add_str(text, " ", 1);
    while (text->len < to);
}

/* A line that would be too long goes on below the margin. */
static void add_words(struct text *text, size_t margin, const char *words)
{
    while (*words) {
        size_t len = strcspn(words, " ");

        if (text->len + 1 + len > HELP_WIDTH) {
            end_text(text);
            indent(text, margin - 1);
        }
        add_str(text, " ", 1);
        add_str(text, words, len);
        words += len + (words[len] == ' ');
    }
}

static void print_pair(const char *left, const char *words, const char *extra)
{
    struct text text = {.len = 0};

    add_str(&text, left, strlen(left));
    indent(&text, HELP_INDENT - 1);
    add_words(&text, HELP_INDENT, words);
    add_words(&text, HELP_INDENT, extra);
    end_text(&text);
}

static void print_option(const struct cli_option *option)
{
    char left[256], extra[128] = "", letter[8] = "    ";

    if (option->letter)
        (void)snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    (void)snprintf(left, sizeof(left), "  %s--%s%s%s", letter, option->flag,
                   option->argument ? " " : "", option->argument ? option->argument : "");
    if (option->fallback)
        (void)snprintf(extra, sizeof(extra), "(default %s)", option->fallback);
    print_pair(left, option->help, extra);
}

static bool is_common(const struct cli_option *option)
{
    unsigned all_live =
        ((1u << N_CLI_COMMANDS) - 1) & ~(1u << CLI_HELP) & ~(1u << CLI_REPLAY);

    return (option->commands & all_live) == all_live;
}

static void print_options(enum cli_command command, bool common)
{
    for (size_t i = 0; i < n_cli_options; i++)
        if (cli_options[i].commands & 1u << command &&
            is_common(&cli_options[i]) == common)
            print_option(&cli_options[i]);
}

static void print_environment(void)
{
    struct text text = {.len = 0};

    add_str(&text, "Environment:", 12);
    for (size_t i = 0; i < n_cli_options; i++)
        if (cli_options[i].environment)
            add_words(&text, 2, cli_options[i].environment);
    add_words(&text, 2, "NO_COLOR");
    end_text(&text);
    cli_print("A flag comes before the environment, that before the default.");
}

static void print_program(void)
{
    cli_print("Usage: vramscope [OPTION]...");
    cli_print("       vramscope COMMAND [OPTION]...");
    cli_print("%s.", cli_words[CLI_TUI].help);
    cli_print("%s", "");
    print_options(CLI_TUI, false);
    print_options(CLI_TUI, true);
    cli_print("%s", "");
    cli_print("Commands, each with options of its own (vramscope help COMMAND):");
    for (size_t i = 1; i < N_CLI_COMMANDS; i++) {
        char left[64];

        (void)snprintf(left, sizeof(left), "  %s %s", cli_words[i].word,
                       cli_words[i].arguments);
        print_pair(left, cli_words[i].help, "");
    }
    cli_print("%s", "");
    print_environment();
}

static void print_command(enum cli_command command)
{
    const struct cli_word *word = &cli_words[command];

    cli_print("Usage: vramscope %s%s%s [OPTION]...", word->word,
              *word->arguments ? " " : "", word->arguments);
    cli_print("%s.", word->help);
    cli_print("%s", "");
    print_options(command, false);
    print_options(command, true);
}

void cli_print_help(enum cli_command command)
{
    if (command == CLI_TUI)
        print_program();
    else
        print_command(command);
}

int cli_help(const struct cli *cli)
{
    const struct cli_word *word;

    if (!cli->operand) {
        cli_print_help(CLI_TUI);
        return CLI_OK;
    }
    word = cli_find_word(span_of(cli->operand));
    if (!word) {
        cli_message("unknown command '%.80s'; --help lists them all", cli->operand);
        return CLI_USAGE;
    }
    cli_print_help((enum cli_command)(word - cli_words));
    return CLI_OK;
}
