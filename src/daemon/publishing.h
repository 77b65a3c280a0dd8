// SPDX-License-Identifier: Apache-2.0
/*
 * publishing.h - a publisher made of the configuration
 */
#ifndef DAEMON_PUBLISHING_H
#define DAEMON_PUBLISHING_H

#include "config/config.h"
#include "publish/publisher.h"

/*
 * *ret is NULL where nothing is to be published. `journal` is lent until the end; `told_event` is the id of the newest event of runs before.
 */
int publishing_open(const struct config *config, struct journal *journal,
                    uint64_t told_event, const char *boot, struct publisher **ret,
                    struct complaint *complaint) MUST_CHECK;

#endif
