// SPDX-License-Identifier: Apache-2.0
/*
 * answer_reader.h - assert that bytes are the answers of a strict HTTP/1 server
 *
 * The bytes of one connection, in any pieces. One answer for each request that was
 * expected, in order, each framed exactly; one more may refuse what was no request, and it
 * is the last. Whatever is wrong is an assertion that fails.
 */
#ifndef FUZZ_ANSWER_READER_H
#define FUZZ_ANSWER_READER_H

#include "base/base.h"

enum { ANSWER_HEAD_MAX = 1024, ANSWERS_PENDING_MAX = 128 };

/* What a body consists of. */
enum answer_body { BODY_TEXT, BODY_BIG, BODY_STREAM };

struct answer_request {
    enum answer_body body;
    bool head; // a HEAD request: no body whatever the fields say
    bool http_10;
};

struct answer_reader {
    struct answer_request pending[ANSWERS_PENDING_MAX];
    size_t n_pending;
    struct answer_request now; // of the answer being read
    int state;
    bool refusal;  // of bytes that were no request: it may have a body or not
    bool any;      // an answer was begun
    bool last;     // the server has said that it closes
    uint64_t left; // of the body or the chunk
    uint64_t at;   // bytes of the body read
    size_t head_len;
    char head[ANSWER_HEAD_MAX + 1];
};

/* Byte `at` of a body of that kind. */
char answer_body_byte(enum answer_body body, uint64_t at);

/* A request was taken, and is answered after those expected before. */
void answer_expect(struct answer_reader *reader, struct answer_request request);

void answer_read(struct answer_reader *reader, struct span bytes);

/* Every answer expected is complete, or is a stream between two chunks. */
bool answer_is_whole(const struct answer_reader *reader);

#endif
