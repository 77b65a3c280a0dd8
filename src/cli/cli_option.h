// SPDX-License-Identifier: Apache-2.0
/*
 * cli_option.h - the tables of commands and options, and how a value is read
 */
#ifndef CLI_CLI_OPTION_H
#define CLI_CLI_OPTION_H

#include "cli/cli.h"

enum cli_kind {
    KIND_SWITCH,   // bool
    KIND_TEXT,     // char *, not empty, no control characters
    KIND_URLS,     // the list of URLs
    KIND_WORD,     // char *, one of `argument`
    KIND_CHOICE,   // int: the place in `argument`
    KIND_COUNT,    // int64_t
    KIND_DURATION, // int64_t, ms: 2, 0.5s, 500ms
    KIND_PERCENT,  // double, perhaps with a % sign
    KIND_FACTOR,   // double
};

struct cli_option {
    const char *flag; // without the dashes
    enum cli_kind kind;
    char letter;             // of the short flag; '\0': none
    const char *environment; // NULL: none
    const char *argument;    // NULL: a switch
    size_t offset;           // of the member of struct cli
    double min, max;
    const char *fallback; // the default as it would be written; NULL: none
    unsigned commands;    // 1 << enum cli_command
    const char *help;
};

struct cli_word {
    const char *word; // "": the program without one
    int (*run)(const struct cli *cli);
    const char *arguments; // "": none
    const char *help;
};

enum { N_CLI_OPTIONS_MAX = 64 };

extern const struct cli_option cli_options[];
extern const size_t n_cli_options;
extern const struct cli_word cli_words[N_CLI_COMMANDS];

/* Which command that word is; NULL where there is none. */
const struct cli_word *cli_find_word(struct span word);

/* Check `text` and put it into `cli`. -EINVAL: `why` says what was expected. */
int cli_set_value(struct cli *cli, const struct cli_option *option, struct span text,
                  struct complaint *why) MUST_CHECK;

#endif
