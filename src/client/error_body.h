// SPDX-License-Identifier: Apache-2.0
/*
 * error_body.h - the daemon's own words in an answer that is an error
 *
 *     {"error":{"code":"no-driver","message":"...","remedy":"..."}}
 */
#ifndef CLIENT_ERROR_BODY_H
#define CLIENT_ERROR_BODY_H

#include "base/base.h"

enum {
    ERROR_BODY_MAX = 16 * 1024,
    ERROR_CODE_SIZE = 64,
    ERROR_TEXT_SIZE = 512, // longer ones are cut
};

struct error_body {
    char code[ERROR_CODE_SIZE];
    char message[ERROR_TEXT_SIZE];
    char remedy[ERROR_TEXT_SIZE]; // "": none
};

/* Texts come out clean. -EBADMSG: it is none, or lacks code or message; -ENOMEM. */
int error_body_read(struct span body, struct error_body *ret) MUST_CHECK;

#endif
