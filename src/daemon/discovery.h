// SPDX-License-Identifier: Apache-2.0
/*
 * discovery.h - the inference servers of this host, found without being told
 *
 * New processes are looked at once when they appear, and once more a little later. A
 * server shows itself by its command line, or by the titles of its workers; its process
 * tree is then followed until it ends. Which socket it listens on is looked up when the
 * host's listening sockets have changed. No port is tried out, no capability needed:
 * without the right to see a process's descriptors, a socket of its user on its own port
 * is taken for it.
 */
#ifndef DAEMON_DISCOVERY_H
#define DAEMON_DISCOVERY_H

#include "config/config.h"
#include "gpu/gpu.h"
#include "host/cgroup.h"
#include "join/discover.h"
#include "join/join.h"

enum {
    DISCOVERY_SERVERS_MAX = 64,
    DISCOVERY_NAME_MAX = 255,
};

/* A server, and where it can be asked. Identity: `root`, then `inode`. */
struct discovered {
    struct host_process root;          // of its process tree
    char name[DISCOVERY_NAME_MAX + 1]; // served model name by its command line; or ""
    char url[DISCOVER_URL_MAX];        // "": it cannot be asked, `why` says why
    const char *why;                   // a literal; NULL: it can
    const char *engine;                // the name of its kind, a literal; NULL: not known
    bool off;                          // it has no metrics, as it was started
    uint64_t inode;                    // of its socket; 0: it does not listen yet
    uint16_t port;                     // of the host, or of its own network, or to be
    bool on_host;                      // `port` is a port of the host
    struct host_cgroup cgroup;
};

struct discovery;

/* `parent`: show the servers that this process has started, and no others; 0: all. */
int discovery_new(const struct config *config, uint32_t parent,
                  struct discovery **ret) MUST_CHECK;
void discovery_free(struct discovery *discovery);

/*
 * Look around. `gpu` (NULL: there is none) and `tree`, its processes with all ancestors,
 * are the newest there are.
 */
void discovery_run(struct discovery *discovery, const struct gpu_sample *gpu,
                   const struct host_tree *tree);

/* Valid until the next run. In the order in which they were found. */
const struct discovered *discovery_servers(const struct discovery *discovery,
                                           size_t *ret_n);

/* Ports of the host that lead into containers, besides those of proxies. Copied. */
void discovery_publish(struct discovery *discovery, const struct host_port_proxy *ports,
                       size_t n);

/* Is there a server in another network, whose ports somebody might publish? */
bool discovery_wants_ports(const struct discovery *discovery);

/*
 * What was asked on that server's socket is an engine, or is none: then another is tried,
 * if it has one, now or later.
 */
void discovery_judge(struct discovery *discovery, const struct host_process *root,
                     bool is_engine);

/*
 * Processes with device memory outside of every server's tree that are in one container
 * with just one server and are vLLM's workers of Ray, each with that server's root. Valid
 * until the next run.
 */
const struct join_adoption *discovery_adoptions(const struct discovery *discovery,
                                                size_t *ret_n);

#endif
