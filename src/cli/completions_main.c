// SPDX-License-Identifier: Apache-2.0
/*
 * Print what a shell needs to complete the command line of vramscope, from the same table
 * that the program reads it by: vramscope-completions bash|zsh|fish. Runs at build time.
 */
#include "base/base.h"

#include <stdio.h>

enum {
#define COMMAND(id, word, function, arguments, help) CLI_##id,
#define OPTION(member, kind, letter, flag, environment, argument, min, max, fallback, \
               commands, help)
#include "cli/options.def"
#undef COMMAND
#undef OPTION
    N_COMMANDS,
};

// clang-format off
#define IN(command) (1u << CLI_##command)
#define EVERY ((1u << N_COMMANDS) - 1)
#define LIVE (EVERY & ~IN(REPLAY) & ~IN(HELP))

static const struct {
    const char *word, *arguments, *help;
} commands[] = {
#define COMMAND(id, word, function, arguments, help) {word, arguments, help},
#define OPTION(member, kind, letter, flag, environment, argument, min, max, fallback, \
               commands, help)
#include "cli/options.def"
#undef COMMAND
#undef OPTION
};

static const struct option {
    const char *flag;
    char letter;
    const char *argument;
    unsigned commands;
    const char *help;
} options[] = {
#define COMMAND(id, word, function, arguments, help)
#define OPTION(member, kind, letter, flag, environment, argument, min, max, fallback, \
               commands, help) \
    {flag, letter, argument, commands, help},
#include "cli/options.def"
#undef COMMAND
#undef OPTION
};
// clang-format on

static bool is_file(const struct option *option)
{
    return option->argument && strcmp(option->argument, "FILE") == 0;
}

/* Words in small letters, of which one is to be chosen. */
static bool is_choice(const struct option *option)
{
    return option->argument && strchr(option->argument, '|') &&
           option->argument[0] >= 'a' && option->argument[0] <= 'z';
}

static void put_choices(const struct option *option)
{
    for (const char *at = option->argument; *at; at++)
        putchar(*at == '|' ? ' ' : *at);
}

/* Between apostrophes: `escaped` are put after a backslash, an apostrophe as `apostrophe`. */
static void put_escaped(const char *text, const char *escaped, const char *apostrophe)
{
    for (; *text; text++) {
        if (*text == '\'') {
            (void)fputs(apostrophe, stdout);
            continue;
        }
        if (strchr(escaped, *text))
            putchar('\\');
        putchar(*text);
    }
}

static void put_command_words(const char *between)
{
    for (size_t i = 1; i < N_COMMANDS; i++)
        printf("%s%s", i > 1 ? between : "", commands[i].word);
}

static void put_flags(unsigned command)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (!(options[i].commands & 1u << command))
            continue;
        printf(" --%s", options[i].flag);
        if (options[i].letter)
            printf(" -%c", options[i].letter);
    }
}

static void print_bash(void)
{
    printf("# bash completion of vramscope\n"
           "_vramscope() {\n"
           "    local current=${COMP_WORDS[COMP_CWORD]} command= words= i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i - 1]}:${COMP_WORDS[i]} in\n"
           "        --*-file:* | --model:*) ;;\n"
           "        *:");
    put_command_words(" | *:");
    printf(") command=${COMP_WORDS[i]} && break ;;\n"
           "        esac\n"
           "    done\n"
           "    COMPREPLY=()\n"
           "    case ${COMP_WORDS[COMP_CWORD - 1]} in\n");
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (!options[i].argument)
            continue;
        printf("    --%s) ", options[i].flag);
        if (is_choice(&options[i])) {
            printf("words='");
            put_choices(&options[i]);
            printf("' ;;\n");
        } else {
            printf("return ;;\n"); // a file, by -o default, or anything
        }
    }
    printf("    help) words='");
    put_command_words(" ");
    printf("' ;;\n"
           "    *)\n"
           "        case $command in\n");
    for (unsigned i = 0; i < N_COMMANDS; i++) {
        printf("        '%s') words='", commands[i].word);
        if (i == 0)
            put_command_words(" ");
        put_flags(i);
        printf("'%s ;;\n", strcmp(commands[i].arguments, "FILE") == 0
                               ? " && [[ $current != -* ]] && return"
                               : "");
    }
    printf("        esac\n"
           "        ;;\n"
           "    esac\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
           "}\n"
           "complete -o default -F _vramscope vramscope\n");
}

static void print_zsh_option(const struct option *option, const char *form)
{
    printf("    '*%s[", form);
    put_escaped(option->help, "[]:\\", "'\\''");
    putchar(']');
    if (is_file(option)) {
        printf(":FILE:_files");
    } else if (is_choice(option)) {
        printf(":WORD:(");
        put_choices(option);
        putchar(')');
    } else if (option->argument) {
        putchar(':');
        put_escaped(option->argument, "[]:\\", "'\\''");
        putchar(':');
    }
    printf("'\n");
}

static void print_zsh_command(unsigned command)
{
    printf("(%s)\n    specs=(\n", command ? commands[command].word : "''");
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        char form[64];

        if (!(options[i].commands & 1u << command))
            continue;
        (void)snprintf(form, sizeof(form), "--%s%s", options[i].flag,
                       options[i].argument ? "=" : "");
        print_zsh_option(&options[i], form);
        (void)snprintf(form, sizeof(form), "-%c", options[i].letter);
        if (options[i].letter)
            print_zsh_option(&options[i], form);
    }
    if (command == CLI_HELP) // another command is its argument
        printf("    '2:command:_vramscope_commands'\n");
    else if (*commands[command].arguments)
        printf("    '2:FILE:_files'\n");
    printf("    )\n    ;;\n");
}

static void print_zsh(void)
{
    printf("#compdef vramscope\n"
           "local -a commands specs\n"
           "local command=${words[(r)(");
    put_command_words("|");
    printf(")]}\ncommands=(\n");
    for (size_t i = 1; i < N_COMMANDS; i++) {
        printf("    '%s:", commands[i].word);
        put_escaped(commands[i].help, ":\\", "'\\''");
        printf("'\n");
    }
    printf(")\ncase $command in\n");
    for (unsigned i = 0; i < N_COMMANDS; i++)
        print_zsh_command(i);
    printf("esac\n"
           "_vramscope_commands() { _describe command commands }\n"
           "_arguments -S '1:command:_vramscope_commands' $specs\n");
}

static void print_fish_condition(unsigned which)
{
    if (which == EVERY)
        return;
    printf(" -n '");
    if (which & IN(TUI))
        printf("__fish_use_subcommand");
    if (which & ~IN(TUI)) {
        printf("%s__fish_seen_subcommand_from", which & IN(TUI) ? "; or " : "");
        for (unsigned i = 1; i < N_COMMANDS; i++)
            if (which & 1u << i)
                printf(" %s", commands[i].word);
    }
    putchar('\'');
}

static void print_fish(void)
{
    printf("# fish completion of vramscope\n"
           "complete -c vramscope -f\n");
    for (unsigned i = 1; i < N_COMMANDS; i++) {
        printf("complete -c vramscope -n __fish_use_subcommand -a %s -d '",
               commands[i].word);
        put_escaped(commands[i].help, "\\", "\\'");
        printf("'\n");
        if (strcmp(commands[i].arguments, "FILE") == 0)
            printf("complete -c vramscope -n '__fish_seen_subcommand_from %s' -F\n",
                   commands[i].word);
    }
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        printf("complete -c vramscope");
        print_fish_condition(options[i].commands);
        printf(" -l %s", options[i].flag);
        if (options[i].letter)
            printf(" -s %c", options[i].letter);
        if (is_choice(&options[i])) {
            printf(" -x -a '");
            put_choices(&options[i]);
            putchar('\'');
        } else if (options[i].argument) {
            printf(is_file(&options[i]) ? " -r -F" : " -x");
        }
        printf(" -d '");
        put_escaped(options[i].help, "\\", "\\'");
        printf("'\n");
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

    for (size_t i = 0; argc == 2 && i < ARRAY_LEN(shells); i++) {
        if (strcmp(argv[1], shells[i].shell) != 0)
            continue;
        shells[i].print();
        return fflush(stdout) == 0 ? 0 : 1;
    }
    (void)fputs("usage: vramscope-completions bash|zsh|fish\n", stderr);
    return 2;
}
