// SPDX-License-Identifier: Apache-2.0
/*
 * config_option.h - the table of options
 *
 * config_settings[i] and config_options[i] are two views of entry i of options.def.
 */
#ifndef CONFIG_CONFIG_OPTION_H
#define CONFIG_CONFIG_OPTION_H

#include "base/suggestion.h"
#include "config/config.h"
#include "config/config_value.h"

enum {
#define OPTION(member, kind, flag, key, environment, argument, min, max, fallback, help) \
    OPTION_##member,
#define ACTION(action, letter, flag, help) OPTION_##action,
#include "config/options.def"
#undef OPTION
#undef ACTION
    N_OPTIONS,
};

struct option {
    const char *flag; // without the dashes
    char letter;      // of the short flag; '\0': none
    const char *environment;
    const char *fallback; // the default as it would be written; NULL: none
    const char *help;
    enum config_action action;
};

extern const struct setting config_settings[N_OPTIONS];
extern const struct option config_options[N_OPTIONS];

#endif
