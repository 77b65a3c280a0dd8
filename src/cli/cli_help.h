// SPDX-License-Identifier: Apache-2.0
/*
 * cli_help.h - what --help prints, from the tables
 */
#ifndef CLI_CLI_HELP_H
#define CLI_CLI_HELP_H

#include "cli/cli.h"

/* CLI_TUI: of the program as a whole. */
void cli_print_help(enum cli_command command);

#endif
