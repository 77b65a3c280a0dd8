// SPDX-License-Identifier: Apache-2.0
/*
 * cli_get.h - one answer of a daemon, and what is printed of it
 */
#ifndef CLI_CLI_GET_H
#define CLI_CLI_GET_H

#include "cli/cli.h"

#include <jansson.h>

enum { CLI_GET_MS = 10 * 1000 };

/* GET; a message if there is no answer. */
int cli_get(const struct cli *cli, const char *url, const char *path,
            struct vramscope_answer **ret) MUST_CHECK;

/* The object in an answer; NULL: it is none. The caller's. */
json_t *cli_answer_json(const struct vramscope_answer *answer);

/*
 * What the daemon says is wrong, {"error":{"message":...,"remedy":...}}, or the status.
 * Returns whether there was a remedy.
 */
bool cli_answer_error(const struct vramscope_answer *answer, struct complaint *reason,
                      struct complaint *remedy);

/*
 * Print an entry of which no more is known than that it may have a time, a kind and a text;
 * else, or where asked for, as JSON.
 */
int cli_print_item(json_t *item, bool as_json) MUST_CHECK;

/*
 * Print the list in an answer, of which no more is known than that its entries may have a
 * time, a kind and a text; with --json as it came, events a line each. Another status
 * than 200 is told. An exit status.
 */
int cli_print_items(const struct cli *cli, const char *url, const char *key,
                    const struct vramscope_answer *answer);

#endif
