// SPDX-License-Identifier: Apache-2.0
/*
 * cli.h - the program vramscope: what its command line asks for, and its commands
 *
 * A command is one file with one function, which gets what was asked for and returns the
 * exit status. What goes to stdout and stderr passes cli_output.h, without exception.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/complaint.h"
#include "tui/draw.h"
#include "tui/theme.h"

#include <vramscope.h>

enum {
    CLI_URLS_MAX = 64,
    CLI_PORT = 6767, // where a URL names a host alone
};

/* Of the program. `check` has those of monitoring plugins, `doctor` has its own: cli_*.c. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, // while it ran: no daemon, no data, no room for the output
    CLI_USAGE = 2,  // the command line or the environment is wrong
    CLI_UNKNOWN = 3 // `check` alone, there also for CLI_USAGE
};

enum cli_command {
#define COMMAND(id, word, function, arguments, help) CLI_##id,
#define OPTION(member, kind, letter, flag, environment, argument, min, max, fallback, \
               commands, help)
#include "cli/options.def"
#undef COMMAND
#undef OPTION
    N_CLI_COMMANDS,
};

/* What was asked for: flag, else environment, else default. Checked, and owned. */
struct cli {
    enum cli_command command;
    char *operand; // the command's argument: a FILE, or a command to explain; NULL: none

    char *urls[CLI_URLS_MAX]; // as vramscope_open() takes them; one at least
    size_t n_urls;
    char *token_file; // NULL: none; so with all texts
    char *ca_file;
    char *node; // of a gateway
    bool once, json, csv, seed, follow, replace, loop, allow_public, version, help;
    int64_t count;           // 0: without end
    int64_t interval_ms;     // 0: as documents come
    int64_t duration_ms;     // 0: without end
    int64_t max_age_ms;      // 0: as the daemon says
    double kv_warn, kv_crit; // percent
    double speed;
    char *model;
    char *listen;
    int model_id; // enum seed_model_id

    char *theme; // its name
    int glyphs;  // enum glyphs
    bool no_color;
    bool ascii;   // asked for, or the locale has no UTF-8
    bool colours; // of the terminal on stdout: may be used
};

/*
 * Read the command line. -EINVAL: `why` says what is wrong in it; *ret is then given too,
 * with the command if that was understood. The locale has to be set before.
 */
int cli_read(int argc, char **argv, struct cli **ret, struct complaint *why) MUST_CHECK;
void cli_free(struct cli *cli); // takes NULL

/* "h:6767" of http://h:6767/, a unix:PATH as it is: what a host is called in output. */
struct span cli_host_name(const char *url);

/* The options of a connection to the daemons; the texts are lent by `cli`. */
struct vramscope_options cli_connection(const struct cli *cli);

/* The same of the node that is asked for, if one is. */
struct vramscope_options cli_stream_options(const struct cli *cli);

enum { CLI_SOURCE_SIZE = 512 };

/* Who is asked, for messages: "http://gateway:6767, node gpu17". */
void cli_source_name(char ret[CLI_SOURCE_SIZE], const struct cli *cli, const char *url);

/* The commands: exit statuses. */
#define COMMAND(id, word, function, arguments, help) int function(const struct cli *cli);
#define OPTION(member, kind, letter, flag, environment, argument, min, max, fallback, \
               commands, help)
#include "cli/options.def"
#undef COMMAND
#undef OPTION

int cli_once(const struct cli *cli);

/* A document as tables, below the name of where it is from. */
void cli_print_detail(const char *name, const struct vramscope_detail *detail);

/* "40 nodes: 29 live, 4 stale, 4 lost". */
enum { CLI_COUNTS_SIZE = 256 };
void cli_node_counts(char ret[CLI_COUNTS_SIZE], const struct vramscope_fleet *fleet);

/* The sentence of a document's `outage`. */
const char *cli_outage_text(const struct vramscope_detail *detail);

/* The nodes of a gateway that need a person, as a table; nothing where all are well. */
void cli_print_nodes(const struct vramscope_detail *detail);

/* The KV cache in use of all models of a host. */
void cli_kv_used_text(char ret[FIGURE_TEXT_SIZE], const struct vramscope_detail *detail);

/*
 * Show sources on this terminal until the person leaves; the looks are taken from `cli`.
 * A message and CLI_USAGE if there is no terminal.
 */
struct tui_source;
int cli_show(const struct cli *cli, const struct tui_source *sources, size_t n_sources);

#endif
