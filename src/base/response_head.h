// SPDX-License-Identifier: Apache-2.0
/*
 * response_head.h - the head of an HTTP response, line by line: is it one to go on with?
 *
 * libcurl takes heads that are far larger than any that is meant well, and codings that
 * nobody asked for. Who reads a response of anybody's hands each line of it to this, as
 * libcurl gives them: status lines, fields, empty lines, trailers.
 */
#ifndef BASE_RESPONSE_HEAD_H
#define BASE_RESPONSE_HEAD_H

#include "base/base.h"

enum {
    RESPONSE_HEAD_MAX = 16 * 1024,
    RESPONSE_FIELDS_MAX = 100,
    RESPONSE_INTERIM_MAX = 4, // 1xx responses before the real one
};

#define RESPONSE_HEAD_TOO_LARGE "the answer's head is larger than 16 KiB"
#define RESPONSE_HEAD_TORN "the answer's head is torn"

/* Zeroed before each response. */
struct response_head {
    size_t bytes;
    unsigned fields;
    unsigned status_lines;
    bool ended; // with its empty line; libcurl does not mind when it is missing
};

/* The next line, its end included. Says why the response is refused; NULL: it is not. */
const char *response_head_take(struct response_head *head, struct span line) MUST_CHECK;

#endif
