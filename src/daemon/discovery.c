// SPDX-License-Identifier: Apache-2.0
#include "daemon/discovery.h"

#include "daemon/server_list.h"
#include "daemon/strays.h"
#include "host/host_files.h"
#include "host/host_scan.h"

#include <unistd.h>

enum {
    SCAN_BUDGET = 512,   // processes looked at in one run
    FIRST_BUDGET = 8192, // in the first one, before anything is shown
    PROXIES_MAX = 128,
};

struct proxy {
    struct host_process process;
    struct host_port_proxy port;
};

struct discovery {
    struct host *host;
    struct host_scan *scan;
    struct discover_users users;
    uint32_t named[CONFIG_USERS_MAX]; // of `users`
    uint32_t parent;                  // of all that are shown; 0: of any
    bool began;

    struct server_list servers;
    struct discovered shown[DISCOVERY_SERVERS_MAX];
    size_t n_shown;
    size_t n_proxies;
    struct proxy proxies[PROXIES_MAX];
    size_t n_published;
    struct host_port_proxy published[PROXIES_MAX]; // by who has no proxies
    size_t n_ports;
    struct host_port_proxy ports[2 * PROXIES_MAX]; // of `proxies`, and those published
    struct strays strays;

    uint64_t tree_of_ns; // processes_taken_ns of the tree that was looked at
    struct host_listeners own;
    struct host_listeners others; // scratch
};

/* ---- what a process shows itself to be ---- */

/* As every process of a server but the first is. */
static bool is_titled(const struct host_process *process)
{
    return server_launch_titled(process->comm);
}

/* Anybody may print such arguments; the real ones are started by root, on the host. */
static void take_proxy(struct discovery *discovery, const struct host_process *process,
                       const struct host_port_proxy *port)
{
    bool on_host = false;
    uint32_t uid;

    for (size_t i = 0; i < discovery->n_proxies; i++)
        if (is_same_process(&discovery->proxies[i].process, process))
            return;
    if (discovery->n_proxies == PROXIES_MAX ||
        host_read_owner(discovery->host, process, &uid) < 0 || uid != 0 ||
        host_same_network(discovery->host, process, &on_host) < 0 || !on_host)
        return;
    discovery->proxies[discovery->n_proxies++] = (struct proxy){*process, *port};
}

static void on_process(void *ctx, const struct host_process *process)
{
    struct discovery *discovery = ctx;
    struct server_list *servers = &discovery->servers;
    struct host_port_proxy port;
    struct span cmdline;

    if (is_titled(process) ||
        host_read_cmdline(discovery->host, process, &servers->cmdline) < 0)
        return;
    cmdline = buf_span(&servers->cmdline);
    if (server_launch_read(cmdline, &servers->launch) == 1 && !servers->launch.wrapped)
        server_list_take(servers, process, &servers->launch);
    else if (host_parse_port_proxy(cmdline, &port))
        take_proxy(discovery, process, &port);
}

/* ---- what the driver's processes tell ---- */

/* Python, or an actor of Ray, which has a title instead of a command line. */
static bool may_run_workers(const struct discovery *discovery,
                            const struct host_process *process)
{
    return launch_is_python(buf_span(&discovery->servers.cmdline)) ||
           strncmp(process->comm, "ray::", 5) == 0;
}

/*
 * A program that runs an engine inside has a command line of its own, but its workers have
 * their titles. A worker whose server is gone hangs below an init or a supervisor.
 */
static void take_worker(struct discovery *discovery, const struct host_tree *tree,
                        const struct host_process *worker)
{
    const struct host_process *at = worker;
    struct found_server *above;

    while (at && is_titled(at))
        at = host_tree_find(tree, at->parent_pid);
    if (!at || at->pid <= 1 || server_list_find(&discovery->servers, at) ||
        server_list_above(&discovery->servers, at, &above) < 0 || above)
        return;
    buf_clear(&discovery->servers.cmdline);
    on_process(discovery, at); // what it has become since it was told
    if (server_list_find(&discovery->servers, at) || !may_run_workers(discovery, at))
        return;
    server_list_add(&discovery->servers, at, NULL);
    above = server_list_find(&discovery->servers, at);
    if (above)
        above->found.engine = server_launch_titled(worker->comm);
}

/* The server whose tree a process of the driver's list is in, or NULL. */
static struct found_server *server_of(struct discovery *discovery,
                                      const struct host_tree *tree,
                                      const struct host_process *process)
{
    for (int depth = 0; process && depth < HOST_DEPTH_MAX; depth++) {
        struct found_server *server = server_list_find(&discovery->servers, process);

        if (server)
            return server;
        process = host_tree_find(tree, process->parent_pid);
    }
    return NULL;
}

/*
 * Once more whether what it is below of is a server: it may have become that by exec, or
 * have been told when there was no room.
 */
static void take_stray(struct discovery *discovery, const struct host_tree *tree,
                       const struct host_process *process)
{
    const struct host_process *at = process;

    if (!strays_see(&discovery->strays, discovery->host, process))
        return;
    for (int depth = 0; at && depth < HOST_DEPTH_MAX; depth++) {
        on_process(discovery, at);
        at = host_tree_find(tree, at->parent_pid);
    }
}

static void look_at_tree(struct discovery *discovery, const struct gpu_sample *gpu,
                         const struct host_tree *tree)
{
    if (!gpu || gpu->processes_taken_ns == discovery->tree_of_ns)
        return;
    discovery->tree_of_ns = gpu->processes_taken_ns;
    discovery->servers.holds_gpu = true;
    for (uint32_t i = 0; i < tree->n; i++)
        if (is_titled(&tree->processes[i]))
            take_worker(discovery, tree, &tree->processes[i]);
    for (uint32_t i = 0; i < gpu->n_processes; i++) {
        const struct host_process *process = host_tree_find(tree, gpu->processes[i].pid);

        if (process && !server_of(discovery, tree, process))
            take_stray(discovery, tree, process);
    }
    discovery->servers.holds_gpu = false;
    for (size_t i = 0; i < discovery->servers.n; i++)
        discovery->servers.at[i].facts.holds_gpu = false;
    for (uint32_t i = 0; i < gpu->n_processes; i++) {
        const struct host_process *process = host_tree_find(tree, gpu->processes[i].pid);
        struct found_server *server =
            process ? server_of(discovery, tree, process) : NULL;

        if (server)
            server->facts.holds_gpu = true;
    }
    strays_forget(&discovery->strays);
}

/* ---- who is gone, and where a server listens ---- */

static void drop_the_dead(struct discovery *discovery)
{
    size_t kept = 0;

    server_list_drop_the_dead(&discovery->servers);
    for (size_t i = 0; i < discovery->n_proxies; i++) {
        if (!process_lives(discovery->host, &discovery->proxies[i].process))
            continue;
        discovery->proxies[kept++] = discovery->proxies[i];
    }
    discovery->n_proxies = kept;
}

static void gather_ports(struct discovery *discovery)
{
    size_t n = 0;

    for (size_t i = 0; i < discovery->n_proxies; i++)
        discovery->ports[n++] = discovery->proxies[i].port;
    for (size_t i = 0; i < discovery->n_published; i++)
        discovery->ports[n++] = discovery->published[i];
    discovery->n_ports = n;
}

/* Its path leads where ours does, and it is of somebody who leads us nowhere else. */
static bool is_path_ours(const struct discovery *discovery,
                         const struct found_server *server)
{
    return server->own_network && server->own_users &&
           !server->found.cgroup.container_id[0] &&
           (server->facts.uid == 0 || server->facts.uid == discovery->users.own_uid);
}

static void look_for_sockets(struct discovery *discovery)
{
    bool known = host_read_listeners(discovery->host, 0, &discovery->own) == 0;
    uint64_t sockets = 0;

    if (known)
        sockets = found_server_fingerprint(&discovery->own);
    for (size_t i = 0; i < discovery->servers.n; i++) {
        struct found_server *server = &discovery->servers.at[i];

        if (!discover_may_ask(&server->facts, &discovery->users))
            continue; // looking costs, too
        if (server->unix_path[0]) {
            if (is_path_ours(discovery, server))
                found_server_look_at_path(server);
        } else if (!server->own_network) {
            found_server_look_inside(server, discovery->host, &discovery->others);
            found_server_find_port(server, discovery->ports, discovery->n_ports);
        } else if (known) {
            found_server_look(server, discovery->host, &discovery->own, sockets);
        }
    }
}

static void show(struct discovery *discovery)
{
    discovery->n_shown = 0;
    for (size_t i = 0; i < discovery->servers.n; i++) {
        const struct found_server *server = &discovery->servers.at[i];

        if (!discover_may_ask(&server->facts, &discovery->users) ||
            (discovery->parent && server->found.root.parent_pid != discovery->parent))
            continue;
        discovery->shown[discovery->n_shown++] = server->found;
    }
}

void discovery_publish(struct discovery *discovery, const struct host_port_proxy *ports,
                       size_t n)
{
    discovery->n_published = MIN(n, (size_t)PROXIES_MAX);
    memcpy(discovery->published, ports, discovery->n_published * sizeof(*ports));
}

bool discovery_wants_ports(const struct discovery *discovery)
{
    for (size_t i = 0; i < discovery->servers.n; i++)
        if (!discovery->servers.at[i].own_network &&
            discover_may_ask(&discovery->servers.at[i].facts, &discovery->users))
            return true;
    return false;
}

void discovery_run(struct discovery *discovery, const struct gpu_sample *gpu,
                   const struct host_tree *tree)
{
    unsigned budget = discovery->began ? SCAN_BUDGET : FIRST_BUDGET;

    discovery->began = true;
    host_scan_run(discovery->scan, budget, on_process, discovery);
    drop_the_dead(discovery);
    look_at_tree(discovery, gpu, tree);
    strays_adopt(&discovery->strays, discovery->servers.at, discovery->servers.n);
    gather_ports(discovery);
    look_for_sockets(discovery);
    show(discovery);
}

/* ---- outside ---- */

int discovery_new(const struct config *config, uint32_t parent, struct discovery **ret)
{
    struct discovery *discovery = calloc(1, sizeof(*discovery));
    int r;

    if (!discovery)
        return -ENOMEM;
    memcpy(discovery->named, config->discover_users.uid, sizeof(discovery->named));
    discovery->users =
        (struct discover_users){geteuid(), discovery->named, config->discover_users.n};
    discovery->parent = parent;
    r = host_new(config->proc_root, &discovery->host);
    server_list_init(&discovery->servers, discovery->host, &discovery->users);
    if (r == 0)
        r = host_scan_new(discovery->host, &discovery->scan);
    if (r < 0) {
        discovery_free(discovery);
        return r;
    }
    *ret = discovery;
    return 0;
}

void discovery_free(struct discovery *discovery)
{
    if (!discovery)
        return;
    host_scan_free(discovery->scan);
    host_free(discovery->host);
    server_list_done(&discovery->servers);
    free(discovery);
}

const struct discovered *discovery_servers(const struct discovery *discovery,
                                           size_t *ret_n)
{
    *ret_n = discovery->n_shown;
    return discovery->shown;
}

void discovery_judge(struct discovery *discovery, const struct host_process *root,
                     bool is_engine)
{
    struct found_server *server = server_list_find(&discovery->servers, root);
    struct discover_server *facts = server ? &server->facts : NULL;

    if (!server)
        return;
    if (is_engine)
        facts->n_rejected = 0;
    else if (server->found.inode && facts->n_rejected < DISCOVER_REJECTED_MAX &&
             !discover_is_rejected(facts, server->found.inode)) {
        facts->rejected[facts->n_rejected++] = server->found.inode;
        server->looked_at = 0;
        server->looks = 0;
    }
}

const struct join_adoption *discovery_adoptions(const struct discovery *discovery,
                                                size_t *ret_n)
{
    *ret_n = discovery->strays.n_adoptions;
    return discovery->strays.adoptions;
}
