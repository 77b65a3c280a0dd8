// SPDX-License-Identifier: Apache-2.0
/*
 * inquiry.h - find out how a server was started, beside the loop
 *
 * Files of another process may lie on a file system that does not answer, and what a
 * server says of itself can be long: both are read on a thread of libuv's pool, one server
 * at a time. The loop never waits for it.
 */
#ifndef DAEMON_INQUIRY_H
#define DAEMON_INQUIRY_H

#include "host/host.h"
#include "join/model_facts.h"

#include <uv.h>

struct inquiry;

struct inquiry_question {
    uint64_t ticket;             // of the asker's choosing, to know the answer by
    struct host_process process; // that listens; pid 0: not known
    struct span version, models, settings; // the server's answers (server_answers.h)
};

/* On the loop's thread. `facts` is the callee's, to be freed with free(); NULL: no memory. */
typedef void inquiry_done_fn(void *ctx, uint64_t ticket, struct model_facts *facts);

int inquiry_new(uv_loop_t *loop, const char *proc_root, inquiry_done_fn *done, void *ctx,
                struct inquiry **ret) MUST_CHECK;

/*
 * What is being asked is still waited for by the loop, and then thrown away. `done` is
 * not called any more.
 */
void inquiry_free(struct inquiry *inquiry);

bool inquiry_is_busy(const struct inquiry *inquiry);

/* The texts are copied. -EBUSY: another server is being asked about. */
int inquiry_start(struct inquiry *inquiry,
                  const struct inquiry_question *question) MUST_CHECK;

#endif
