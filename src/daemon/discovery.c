// SPDX-License-Identifier: Apache-2.0
#include "daemon/discovery.h"

#include "base/log.h"
#include "base/text.h"
#include "host/host_files.h"
#include "host/host_scan.h"
#include "model/launch.h"

#include <unistd.h>

enum {
    SCAN_BUDGET = 512, // processes looked at in one run
    FIRST_RUNS = 16,   // at the start, before anything is shown
    MEMBERS_MAX = 4,   // of a chain like `tini -- vllm serve`, besides its root
    PROXIES_MAX = 128,
    STRAYS_MAX = 256,
    OTHERS_EVERY = 2, // runs between two looks into other networks
};

static const char TITLE[] = "VLLM::"; // of every process but the first of a server

struct server {
    struct discovered found;
    struct discover_server facts;
    struct host_process members[MEMBERS_MAX]; // servers by their command line too
    unsigned n_members;
    bool own_network;
    struct host_addresses addresses; // of its own network, when that is not ours
    uint64_t looked_at;              // fingerprint of the sockets that were looked at
    unsigned looks;
};

/* A process with device memory and no server above it. */
struct stray {
    struct host_process process;
    char container_id[HOST_CONTAINER_ID_SIZE];
    bool seen;
};

struct proxy {
    struct host_process process;
    struct host_port_proxy port;
};

struct discovery {
    struct host *host;
    struct host_scan *scan;
    uint32_t own_uid;
    uint32_t parent; // of all that are shown; 0: of any
    bool began;
    bool full; // more servers than there is room for
    struct buf cmdline;
    struct launch launch; // scratch: it is large

    size_t n_servers;
    struct server servers[DISCOVERY_SERVERS_MAX];
    struct discovered shown[DISCOVERY_SERVERS_MAX];
    size_t n_shown;
    size_t n_proxies;
    struct proxy proxies[PROXIES_MAX];
    struct host_port_proxy ports[PROXIES_MAX]; // of `proxies`
    size_t n_strays;
    struct stray strays[STRAYS_MAX];
    size_t n_adoptions;
    struct join_adoption adoptions[STRAYS_MAX];

    uint64_t tree_of_ns; // processes_taken_ns of the tree that was looked at
    struct host_listeners own;
    uint64_t own_fingerprint;
    struct host_listeners others; // scratch
};

static bool is_same(const struct host_process *a, const struct host_process *b)
{
    return a->pid == b->pid && a->start_ticks == b->start_ticks;
}

/* ---- who is a server ---- */

static bool is_titled(const struct host_process *process)
{
    return strncmp(process->comm, TITLE, sizeof(TITLE) - 1) == 0;
}

static bool is_of(const struct server *server, const struct host_process *process)
{
    if (is_same(&server->found.root, process))
        return true;
    for (unsigned i = 0; i < server->n_members; i++)
        if (is_same(&server->members[i], process))
            return true;
    return false;
}

static struct server *find_server(struct discovery *discovery,
                                  const struct host_process *process)
{
    for (size_t i = 0; i < discovery->n_servers; i++)
        if (is_of(&discovery->servers[i], process))
            return &discovery->servers[i];
    return NULL;
}

/* The server that a process is below of, or NULL. */
static struct server *server_above(struct discovery *discovery,
                                   const struct host_process *process)
{
    struct host_process at = *process;

    for (int depth = 0; depth < HOST_DEPTH_MAX && at.parent_pid > 1; depth++) {
        struct server *server;

        if (host_read_process(discovery->host, at.parent_pid, &at) < 0)
            return NULL;
        server = find_server(discovery, &at);
        if (server)
            return server;
    }
    return NULL;
}

static void add_member(struct server *server, const struct host_process *process)
{
    if (server->n_members < MEMBERS_MAX)
        server->members[server->n_members++] = *process;
}

static void drop_server(struct discovery *discovery, size_t at)
{
    discovery->n_servers--;
    memmove(&discovery->servers[at], &discovery->servers[at + 1],
            (discovery->n_servers - at) * sizeof(discovery->servers[0]));
}

/* Those found before that are below `root` are a part of it. */
static void take_in(struct discovery *discovery, struct server *root)
{
    for (size_t i = 0; i < discovery->n_servers;) {
        struct server *server = &discovery->servers[i];

        if (server == root || server_above(discovery, &server->found.root) != root) {
            i++;
            continue;
        }
        add_member(root, &server->found.root);
        drop_server(discovery, i);
        root -= root > server; // it has moved up by one
    }
}

/* What a command line tells; NULL: it was known by its workers' titles alone. */
static void take_launch(struct server *server, const struct launch *launch)
{
    const char *name;

    if (!launch)
        return;
    name = launch->served_name[0] ? launch->served_name : launch->model;
    (void)text_clean(server->found.name, sizeof(server->found.name), span_of(name));
    server->facts.tls = launch->tls;
    if (launch->port != UNKNOWN && launch->port <= UINT16_MAX)
        server->facts.port = (uint16_t)launch->port;
    else if (!launch->config_file[0] && launch->kind != LAUNCH_RUST)
        server->facts.port = DISCOVER_PORT_DEFAULT;
    server->found.port = server->facts.port ? server->facts.port : DISCOVER_PORT_DEFAULT;
    server->found.why = "loading: its port is not open yet";
    if (launch->uds[0])
        server->found.why = "it listens on a Unix socket, which is not asked";
}

/* What does not change as long as it lives. False: it is gone. */
static bool look_at_server(struct discovery *discovery, struct server *server)
{
    const struct host_process *root = &server->found.root;
    int r = host_read_owner(discovery->host, root, &server->facts.uid);

    if (r < 0)
        return false;
    if (host_read_cgroup(discovery->host, root, &server->found.cgroup) < 0)
        server->found.cgroup = (struct host_cgroup){.runtime = HOST_RUNTIME_NONE};
    // Without an address on either side there is one network as far as we can tell.
    if (host_same_network(discovery->host, root, &server->own_network) < 0)
        server->own_network = true;
    return true;
}

static void add_server(struct discovery *discovery, const struct host_process *root,
                       const struct launch *launch)
{
    struct server *server = &discovery->servers[discovery->n_servers];

    if (discovery->n_servers == DISCOVERY_SERVERS_MAX) {
        if (!discovery->full)
            log_warning("more than %d vLLM servers: the rest is not shown",
                        DISCOVERY_SERVERS_MAX);
        discovery->full = true;
        return;
    }
    *server = (struct server){.found = {.root = *root}};
    take_launch(server, launch);
    if (!look_at_server(discovery, server))
        return;
    discovery->n_servers++;
    take_in(discovery, server);
}

/* A process whose command line is a server's. The topmost of a chain is its root. */
static void take_server(struct discovery *discovery, const struct host_process *process,
                        const struct launch *launch)
{
    struct server *server = find_server(discovery, process);

    if (server) {
        if (is_same(&server->found.root, process))
            take_launch(server, launch);
        return;
    }
    server = server_above(discovery, process);
    if (server)
        add_member(server, process);
    else
        add_server(discovery, process, launch);
}

/* Anybody may print such arguments; root starts the real ones. */
static void take_proxy(struct discovery *discovery, const struct host_process *process,
                       const struct host_port_proxy *port)
{
    uint32_t uid;

    for (size_t i = 0; i < discovery->n_proxies; i++)
        if (is_same(&discovery->proxies[i].process, process))
            return;
    if (discovery->n_proxies == PROXIES_MAX ||
        host_read_owner(discovery->host, process, &uid) < 0 || uid != 0)
        return;
    discovery->proxies[discovery->n_proxies++] = (struct proxy){*process, *port};
}

static void on_process(void *ctx, const struct host_process *process)
{
    struct discovery *discovery = ctx;
    struct host_port_proxy port;
    struct span cmdline;

    if (is_titled(process) ||
        host_read_cmdline(discovery->host, process, &discovery->cmdline) < 0)
        return;
    cmdline = buf_span(&discovery->cmdline);
    if (launch_read(cmdline, &discovery->launch) == 1)
        take_server(discovery, process, &discovery->launch);
    else if (host_parse_port_proxy(cmdline, &port))
        take_proxy(discovery, process, &port);
}

/* ---- what the driver's processes tell ---- */

/*
 * A program that runs vLLM inside has a command line of its own, but its workers have
 * their titles. A worker whose server is gone hangs below an init or a supervisor.
 */
static void take_worker(struct discovery *discovery, const struct host_tree *tree,
                        const struct host_process *worker)
{
    const struct host_process *at = worker;

    while (at && is_titled(at))
        at = host_tree_find(tree, at->parent_pid);
    if (!at || at->pid <= 1 || strncmp(at->comm, "python", 6) != 0)
        return;
    if (!find_server(discovery, at) && !server_above(discovery, at))
        add_server(discovery, at, NULL);
}

/* The server whose tree a process of the driver's list is in, or NULL. */
static struct server *server_of(struct discovery *discovery, const struct host_tree *tree,
                                const struct host_process *process)
{
    for (int depth = 0; process && depth < HOST_DEPTH_MAX; depth++) {
        struct server *server = find_server(discovery, process);

        if (server)
            return server;
        process = host_tree_find(tree, process->parent_pid);
    }
    return NULL;
}

static struct stray *find_stray(struct discovery *discovery,
                                const struct host_process *process)
{
    for (size_t i = 0; i < discovery->n_strays; i++)
        if (is_same(&discovery->strays[i].process, process))
            return &discovery->strays[i];
    return NULL;
}

/* Its container is read once. */
static void take_stray(struct discovery *discovery, const struct host_process *process)
{
    struct stray *stray = find_stray(discovery, process);
    struct host_cgroup cgroup;

    if (!stray && discovery->n_strays < STRAYS_MAX) {
        stray = &discovery->strays[discovery->n_strays++];
        *stray = (struct stray){.process = *process};
        if (host_read_cgroup(discovery->host, process, &cgroup) == 0)
            memcpy(stray->container_id, cgroup.container_id, HOST_CONTAINER_ID_SIZE);
    }
    if (stray)
        stray->seen = true;
}

static void forget_strays(struct discovery *discovery)
{
    size_t kept = 0;

    for (size_t i = 0; i < discovery->n_strays; i++) {
        if (!discovery->strays[i].seen)
            continue;
        discovery->strays[kept] = discovery->strays[i];
        discovery->strays[kept++].seen = false;
    }
    discovery->n_strays = kept;
}

/* The one server in that container; NULL: none, or several. */
static const struct server *only_server_in(const struct discovery *discovery,
                                           const char *container_id)
{
    const struct server *found = NULL;

    for (size_t i = 0; i < discovery->n_servers; i++) {
        const struct server *server = &discovery->servers[i];

        if (strcmp(server->found.cgroup.container_id, container_id) != 0)
            continue;
        if (found)
            return NULL;
        found = server;
    }
    return found;
}

static void adopt(struct discovery *discovery)
{
    discovery->n_adoptions = 0;
    for (size_t i = 0; i < discovery->n_strays; i++) {
        const struct stray *stray = &discovery->strays[i];
        const struct server *server = stray->container_id[0]
                                          ? only_server_in(discovery, stray->container_id)
                                          : NULL;

        if (server)
            discovery->adoptions[discovery->n_adoptions++] = (struct join_adoption){
                .pid = stray->process.pid, .root_pid = server->found.root.pid};
    }
}

static void look_at_tree(struct discovery *discovery, const struct gpu_sample *gpu,
                         const struct host_tree *tree)
{
    if (!gpu || gpu->processes_taken_ns == discovery->tree_of_ns)
        return;
    discovery->tree_of_ns = gpu->processes_taken_ns;
    for (uint32_t i = 0; i < tree->n; i++)
        if (is_titled(&tree->processes[i]))
            take_worker(discovery, tree, &tree->processes[i]);
    for (size_t i = 0; i < discovery->n_servers; i++)
        discovery->servers[i].facts.holds_gpu = false;
    for (uint32_t i = 0; i < gpu->n_processes; i++) {
        const struct host_process *process = host_tree_find(tree, gpu->processes[i].pid);
        struct server *server = process ? server_of(discovery, tree, process) : NULL;

        if (server)
            server->facts.holds_gpu = true;
        else if (process)
            take_stray(discovery, process);
    }
    forget_strays(discovery);
}

/* ---- where a server listens ---- */

/* Changes whenever a socket comes or goes. */
static uint64_t fingerprint(const struct host_listeners *listeners)
{
    uint64_t sum = listeners->n;

    for (uint32_t i = 0; i < listeners->n; i++)
        sum = (sum ^ listeners->at[i].inode) * UINT64_C(0x9E3779B97F4A7C15);
    return sum;
}

static bool listens_still(const struct host_listeners *listeners, uint64_t inode)
{
    for (uint32_t i = 0; i < listeners->n; i++)
        if (listeners->at[i].inode == inode)
            return true;
    return false;
}

/* What its processes hold of `listeners`, its root's first. Negative: not to be seen. */
static int held_by(struct discovery *discovery, const struct server *server,
                   const struct host_listeners *listeners, uint32_t *ret, size_t max)
{
    int n =
        host_held_listeners(discovery->host, &server->found.root, listeners, ret, max);

    for (unsigned i = 0; n == 0 && i < server->n_members; i++)
        n = host_held_listeners(discovery->host, &server->members[i], listeners, ret,
                                max);
    return n;
}

static void set_address(struct discovery *discovery, struct server *server,
                        const struct host_listener *socket)
{
    struct discovered *found = &server->found;
    const struct host_addresses *network =
        server->own_network ? NULL : &server->addresses;
    uint16_t port;

    found->inode = socket->inode;
    found->port = socket->port;
    found->on_host = server->own_network;
    found->why = NULL;
    if (discover_url(&server->facts, socket, network, found->url) < 0) {
        found->url[0] = '\0';
        found->why = "in its container it listens on the loopback address alone";
    }
    if (!network)
        return;
    port =
        discover_host_port(network, socket->port, discovery->ports, discovery->n_proxies);
    if (port) {
        found->port = port;
        found->on_host = true;
    }
}

/* Look it up again when its socket is gone, or it has none and the sockets are others. */
static void look_for_socket(struct discovery *discovery, struct server *server,
                            const struct host_listeners *listeners, uint64_t sockets)
{
    enum { HELD_MAX = 64 };
    uint32_t held[HELD_MAX];
    int n, at;

    if (server->looked_at == sockets ||
        (server->found.inode && listens_still(listeners, server->found.inode)))
        return;
    server->looked_at = sockets;
    n = held_by(discovery, server, listeners, held, HELD_MAX);
    if (n == -ESRCH)
        return;
    at = discover_socket(&server->facts, listeners, held, n);
    if (at >= 0)
        set_address(discovery, server, &listeners->at[at]);
}

/* A container's network; its addresses may be given to it late. */
static void look_into_network(struct discovery *discovery, struct server *server)
{
    uint32_t pid = server->found.root.pid;

    if (server->looks++ % OTHERS_EVERY != 0)
        return;
    if (host_read_listeners(discovery->host, pid, &discovery->others) < 0 ||
        host_read_addresses(discovery->host, pid, &server->addresses) < 0)
        return;
    look_for_socket(discovery, server, &discovery->others,
                    fingerprint(&discovery->others) ^ server->addresses.n);
}

static bool lives(struct discovery *discovery, const struct host_process *process)
{
    struct host_process now;

    return host_read_process(discovery->host, process->pid, &now) == 0 &&
           is_same(process, &now);
}

static void drop_the_dead(struct discovery *discovery)
{
    size_t kept = 0;

    for (size_t i = 0; i < discovery->n_servers;) {
        if (lives(discovery, &discovery->servers[i].found.root))
            i++;
        else
            drop_server(discovery, i);
    }
    for (size_t i = 0; i < discovery->n_proxies; i++) {
        if (!lives(discovery, &discovery->proxies[i].process))
            continue;
        discovery->ports[kept] = discovery->proxies[i].port;
        discovery->proxies[kept++] = discovery->proxies[i];
    }
    discovery->n_proxies = kept;
}

static void look_for_sockets(struct discovery *discovery)
{
    if (host_read_listeners(discovery->host, 0, &discovery->own) < 0)
        discovery->own.n = 0;
    discovery->own_fingerprint = fingerprint(&discovery->own);
    for (size_t i = 0; i < discovery->n_servers; i++) {
        struct server *server = &discovery->servers[i];

        if (server->own_network)
            look_for_socket(discovery, server, &discovery->own,
                            discovery->own_fingerprint);
        else
            look_into_network(discovery, server);
    }
}

static void show(struct discovery *discovery)
{
    discovery->n_shown = 0;
    for (size_t i = 0; i < discovery->n_servers; i++) {
        const struct server *server = &discovery->servers[i];

        if (!discover_may_ask(&server->facts, discovery->own_uid) ||
            (discovery->parent && server->found.root.parent_pid != discovery->parent))
            continue;
        discovery->shown[discovery->n_shown++] = server->found;
    }
}

void discovery_run(struct discovery *discovery, const struct gpu_sample *gpu,
                   const struct host_tree *tree)
{
    unsigned runs = discovery->began ? 1 : FIRST_RUNS;

    discovery->began = true;
    while (runs--)
        host_scan_run(discovery->scan, SCAN_BUDGET, on_process, discovery);
    drop_the_dead(discovery);
    look_at_tree(discovery, gpu, tree);
    adopt(discovery);
    look_for_sockets(discovery);
    show(discovery);
}

/* ---- outside ---- */

int discovery_new(const char *proc_root, uint32_t parent, struct discovery **ret)
{
    struct discovery *discovery = calloc(1, sizeof(*discovery));
    int r;

    if (!discovery)
        return -ENOMEM;
    buf_init(&discovery->cmdline, HOST_CMDLINE_MAX);
    discovery->own_uid = geteuid();
    discovery->parent = parent;
    r = host_new(proc_root, &discovery->host);
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
    buf_done(&discovery->cmdline);
    free(discovery);
}

const struct discovered *discovery_servers(const struct discovery *discovery,
                                           size_t *ret_n)
{
    *ret_n = discovery->n_shown;
    return discovery->shown;
}

void discovery_reject(struct discovery *discovery, const struct host_process *root)
{
    struct server *server = find_server(discovery, root);

    if (!server)
        return;
    server->facts.rejected++;
    server->found.inode = 0;
    server->looked_at = 0;
}

const struct join_adoption *discovery_adoptions(const struct discovery *discovery,
                                                size_t *ret_n)
{
    *ret_n = discovery->n_adoptions;
    return discovery->adoptions;
}
