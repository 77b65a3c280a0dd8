// SPDX-License-Identifier: Apache-2.0
/*
 * engines.h - the engines being watched: those that the operator names, and those found
 */
#ifndef DAEMON_ENGINES_H
#define DAEMON_ENGINES_H

#include "config/config.h"
#include "daemon/discovery.h"

#include <uv.h>

struct engines;

int engines_new(uv_loop_t *loop, struct host *host, const char *proc_root,
                struct engines **ret) MUST_CHECK;
void engines_free(struct engines *engines); // the loop must turn once more

/*
 * Watch what `config` names: engines it names still go on undisturbed, others begin or
 * end. `config` is lent until the next call.
 */
int engines_apply(struct engines *engines, const struct config *config) MUST_CHECK;

/* Watch those that were found as well; those that are gone are not watched any more. */
void engines_follow(struct engines *engines, struct discovery *discovery);

/* Ask those that are due, and look who listens where that is not known. */
void engines_run(struct engines *engines, uint64_t now_ns);

bool engines_waiting(const struct engines *engines); // for an answer to something asked

/* The facts for join(); valid until the next call of any function here. */
const struct join_engine *engines_facts(struct engines *engines, size_t *ret_n);

/* Say in the log what has changed since the last snapshot, once. */
void engines_log(struct engines *engines, const struct snapshot *snapshot,
                 uint64_t now_ns);

#endif
