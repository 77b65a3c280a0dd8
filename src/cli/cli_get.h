// SPDX-License-Identifier: Apache-2.0
/*
 * cli_get.h - one answer of a daemon, and what is in it
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

/* The object in an answer of status 200; NULL: it is told what came instead. The caller's. */
json_t *cli_take_object(const char *url, const struct vramscope_answer *answer);

/* A text in it; "" where there is none. */
const char *cli_text_of(const json_t *object, const char *key);

#endif
