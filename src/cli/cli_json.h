// SPDX-License-Identifier: Apache-2.0
/*
 * cli_json.h - JSON that is put together for output
 */
#ifndef CLI_CLI_JSON_H
#define CLI_CLI_JSON_H

#include "base/buf.h"

#include <jansson.h>

/*
 * Print a document; where several daemons are asked, within an object that names the one:
 * {"url":"http://h:6767","detail":{...}}.
 */
void cli_print_document(const char *url, const char *key, struct span document,
                        bool with_url);

/* Print a value and release it; NULL, as jansson gives when memory is out, is told. */
int cli_print_value(json_t *value) MUST_CHECK;

/* A string, or null; what is not UTF-8 is made so. */
json_t *cli_json_text(const char *text);

/* An integer, null if unknown. */
json_t *cli_json_number(int64_t number);

#endif
