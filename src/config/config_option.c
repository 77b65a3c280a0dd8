// SPDX-License-Identifier: Apache-2.0
#include "config/config_option.h"

#include <stdio.h>

enum {
    HELP_WIDTH = 90,
    HELP_INDENT = 44, // where the explanations begin
};

// clang-format off
const struct setting config_settings[N_OPTIONS] = {
#define OPTION(member, kind, flag, key, environment, argument, min, max, fallback, help) \
    {key, kind, argument, offsetof(struct config, member), min, max},
#define ACTION(action, letter, flag, help) {NULL, KIND_ACTION, NULL, 0, 0, 0},
#include "config/options.def"
#undef OPTION
#undef ACTION
};

const struct option config_options[N_OPTIONS] = {
#define OPTION(member, kind, flag, key, environment, argument, min, max, fallback, help) \
    {flag, '\0', environment, fallback, help, CONFIG_RUN},
#define ACTION(action, letter, flag, help) {flag, letter, NULL, NULL, help, action},
#include "config/options.def"
#undef OPTION
#undef ACTION
};
// clang-format on

static int indent(int column, int to)
{
    printf("%*s", MAX(to - column, 1), "");
    return MAX(to, column + 1);
}

/* Print words from `column` on; a line that would be too long goes on below `margin`. */
static int print_words(int column, int margin, const char *words)
{
    struct span left = span_of(words);

    while (left.len > 0) {
        const char *blank = memchr(left.at, ' ', left.len);
        int len = (int)(blank ? (size_t)(blank - left.at) : left.len);

        if (column + 1 + len > HELP_WIDTH) {
            putchar('\n');
            column = indent(0, margin - 1);
        }
        printf(" %.*s", len, left.at);
        column += 1 + len;
        left.at += len + (blank != NULL);
        left.len -= (size_t)len + (blank != NULL);
    }
    return column;
}

static int print_flag(size_t i)
{
    const struct option *option = &config_options[i];
    const char *argument = config_settings[i].argument;

    if (option->letter)
        printf("  -%c, ", option->letter);
    else
        printf("      ");
    return 6 + printf("--%s%s%s", option->flag, argument ? " " : "",
                      argument ? argument : "");
}

static void print_option(size_t i)
{
    const struct setting *setting = &config_settings[i];
    const struct option *option = &config_options[i];
    char extra[64] = "";
    int column = indent(print_flag(i), HELP_INDENT - 1);

    column = print_words(column, HELP_INDENT, option->help);
    if (setting->kind == KIND_NUMBER)
        (void)snprintf(extra, sizeof(extra), "(%llu..%llu, default %s)",
                       (unsigned long long)setting->min, (unsigned long long)setting->max,
                       option->fallback);
    else if (option->fallback && setting->kind != KIND_SWITCH)
        (void)snprintf(extra, sizeof(extra), "(default %s)", option->fallback);
    (void)print_words(column, HELP_INDENT, extra);
    putchar('\n');
}

void config_print_help(void)
{
    static const char environment[] = "Environment (several values: by commas):";
    int column = (int)strlen(environment);

    printf("Usage: vramscoped [OPTION]...\n"
           "Serve live figures of GPU memory and KV cache for each served model.\n\n");
    for (size_t i = 0; i < N_OPTIONS; i++)
        print_option(i);

    printf("\nA flag comes before the environment, that before the file, that before the "
           "default.\n%s",
           environment);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        char name[64];

        if (!config_options[i].environment)
            continue;
        (void)snprintf(name, sizeof(name), "VRAMSCOPE_%s", config_options[i].environment);
        column = print_words(column, 2, name);
    }
    putchar('\n');
}
