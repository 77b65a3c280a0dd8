// SPDX-License-Identifier: Apache-2.0
/*
 * service_manager.h - systemd, or whoever else speaks its protocol and has started us
 *
 * It may pass sockets that listen already, and be told when we serve, what we are doing
 * and that we live. libsystemd is loaded only where the environment says so: it and
 * all it depends on take 0.7 MiB. The variables are removed, so that no
 * child takes them for its own.
 *
 * Every function takes NULL, which is to have been started by nobody of that kind.
 */
#ifndef DAEMON_SERVICE_MANAGER_H
#define DAEMON_SERVICE_MANAGER_H

#include "base/base.h"
#include "base/complaint.h"

enum { SERVICE_MANAGER_SOCKETS_MAX = 8 };

struct service_manager;

/* What is shown by `systemctl status`. */
struct service_status {
    size_t engines;
    size_t subscribers;
    const char *outage; // why there are no GPU figures; "" when there are
};

/*
 * Read and clear the environment; only while there is one thread and no child. *ret is
 * NULL where nothing was in it. Any error is about passed sockets.
 */
int service_manager_open(struct service_manager **ret,
                         struct complaint *complaint) MUST_CHECK;
void service_manager_free(struct service_manager *manager);

size_t service_manager_sockets(const struct service_manager *manager);

/*
 * The descriptor of socket `i`, which is the caller's to close. -EINVAL: it is not a
 * listening stream socket of TCP or Unix.
 */
int service_manager_take_socket(struct service_manager *manager, size_t i,
                                struct complaint *complaint) MUST_CHECK;

/* How long it goes without a beat of ours before it ends us; 0: for ever. */
uint64_t service_manager_watchdog_ns(const struct service_manager *manager);

void service_manager_ready(struct service_manager *manager);
void service_manager_stopping(struct service_manager *manager);

/* Around the reading of the configuration; says nothing before service_manager_ready(). */
void service_manager_reloading(struct service_manager *manager, uint64_t now_ns);
void service_manager_reloaded(struct service_manager *manager);

/*
 * A beat, the next of which is due in `period_ns`: we live, and the status where it has
 * changed. Says each no more often than is of use.
 */
void service_manager_beat(struct service_manager *manager,
                          const struct service_status *status, uint64_t now_ns,
                          uint64_t period_ns);

#endif
