// SPDX-License-Identifier: Apache-2.0
/*
 * request.h - one GET of libcurl's, suspiciously
 *
 * The other end may be anything: there are ceilings on head and fields, redirects are not
 * followed, encodings not accepted, proxies and .netrc not used, whatever the environment
 * says. Who owns the request runs its transfer, and sets deadlines.
 */
#ifndef CLIENT_REQUEST_H
#define CLIENT_REQUEST_H

#include "base/response_head.h"
#include "client/target.h"

#include <curl/curl.h>

enum { REQUEST_WHY_SIZE = 256 };

struct request_handler {
    /* The head is complete. Negative ends the transfer; then request_refuse() before. */
    int (*head)(void *ctx);
    /* A piece of the body. -EAGAIN: hold it, until curl_easy_pause(); else as above. */
    int (*body)(void *ctx, struct span bytes);
    void *ctx;
};

struct request {
    struct request_handler handler;
    CURL *easy;
    struct curl_slist *fields;
    struct response_head head;
    int status;                     // of the answer, not of an interim one; 0: none yet
    char refusal[REQUEST_WHY_SIZE]; // why our side ended it; "": it did not
    char curl_error[CURL_ERROR_SIZE];
};

/* `ca_file`: in place of the system's; NULL: those. In place; does not move. */
int request_init(struct request *request, const struct target *target,
                 const char *ca_file, const struct request_handler *handler) MUST_CHECK;
void request_done(struct request *request); // takes a zeroed one

struct request_fields {
    const char *accept;
    const char *token;   // NULL: none
    struct span last_id; // empty: none
};

/* Before each transfer, on a connection of its own. `path` begins with a slash. */
int request_begin(struct request *request, const struct target *target, const char *path,
                  const struct request_fields *fields) MUST_CHECK;

/* Say why the transfer is ended by us. */
void request_refuse(struct request *request, const char *format, ...) PRINTF_LIKE(2, 3);

/* Content-Type of the answer, cleaned; "": none. */
void request_type(const struct request *request, char *type, size_t room);

/* Is the media type `type`, whatever its parameters? */
bool request_type_is(const struct request *request, const char *type);

/* Seconds to wait that the answer asks for, in ms; -1: none. */
int request_retry_after_ms(const struct request *request);

/*
 * A transfer has ended with `code`: 0: with a whole answer. -ECONNREFUSED, -EHOSTUNREACH,
 * -ETIMEDOUT, -EPROTO, -ENOMEM: it has not, and `why` has a sentence for people.
 */
int request_result(struct request *request, CURLcode code, char *why, size_t room);

#endif
