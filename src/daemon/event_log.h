// SPDX-License-Identifier: Apache-2.0
/*
 * event_log.h - say in the log what happened, a line for each event
 *
 * But for the many that a fleet may have at once: of those it is only said how many.
 */
#ifndef DAEMON_EVENT_LOG_H
#define DAEMON_EVENT_LOG_H

#include "history/journal.h"

struct event_log {
    uint64_t told; // the id of the newest that is in the log
    uint64_t paid_until_ns;
};

/* Those with an id above `log->told`, which is then the newest's. */
void event_log_write(struct event_log *log, struct journal *journal, uint64_t now_ns);

#endif
