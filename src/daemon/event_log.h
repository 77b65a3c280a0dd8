// SPDX-License-Identifier: Apache-2.0
/*
 * event_log.h - say in the log what happened, a line for each event
 */
#ifndef DAEMON_EVENT_LOG_H
#define DAEMON_EVENT_LOG_H

#include "history/journal.h"

/* Those with an id above `*told`, which is then the newest's. */
void event_log(struct journal *journal, uint64_t *told);

#endif
