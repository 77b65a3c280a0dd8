// SPDX-License-Identifier: Apache-2.0
/*
 * http_request.h - read one HTTP/1 request head, strictly
 *
 * Bytes in, facts out: no socket, no state between calls. The grammar is llhttp's; what
 * it leaves open is decided here: CRLF line ends only, HTTP/1.0 to 1.9 only (above 1.1 is
 * as 1.1), exactly one Host (none allowed in 1.0), none of the fields that say who asks
 * twice, no line folding, no body (a Content-Length other than 0 or any Transfer-Encoding
 * is refused, so that nothing can be smuggled in one), and limits on line, head and
 * fields. llhttp is known to this file alone.
 */
#ifndef NET_HTTP_REQUEST_H
#define NET_HTTP_REQUEST_H

#include "base/base.h"

enum {
    HTTP_LINE_MAX = 8 * 1024,
    HTTP_HEAD_MAX = 16 * 1024,
    HTTP_FIELDS_MAX = 100,
};

enum http_method { METHOD_GET, METHOD_HEAD, METHOD_OPTIONS, METHOD_OTHER };

/* All spans point into the head that was parsed. Absent fields have at == NULL. */
struct http_request {
    enum http_method method;
    int minor;         // 0 or 1
    struct span path;  // starts with '/', or is "*"; not decoded
    struct span query; // what follows '?', without it
    struct span host;  // Host, or the authority of an absolute-form target
    struct span accept;
    struct span accept_encoding;
    struct span if_none_match;
    struct span authorization;
    struct span last_event_id;
    struct span origin;
    struct span sec_fetch_mode;
    struct span sec_fetch_dest;
    struct span sec_fetch_site;
    bool keep_alive;
};

/*
 * Length of the head at the start of `bytes`, its final empty line included, or 0 when it
 * is not complete. `scanned` is where the last call stopped (0 at first). Negative: an
 * HTTP status (-400, -414, -431) to refuse the bytes with.
 */
int http_head_length(struct span bytes, size_t *scanned) MUST_CHECK;

/* 0, or the negative HTTP status to refuse the request with. */
int http_request_parse(struct span head, struct http_request *ret) MUST_CHECK;

/*
 * Does a list of codings, as Accept-Encoding has it, name this one, and not with a weight
 * of 0? Absent, it names none.
 */
bool http_accepts_coding(struct span list, const char *coding);

/* Does If-None-Match name this entity tag, which is given with its quotes? */
bool http_tag_matches(struct span list, const char *tag);

/* The value of `name` in a query (a=1&b=2), undecoded. False: not there. */
bool http_query_find(struct span query, const char *name, struct span *ret);

#endif
