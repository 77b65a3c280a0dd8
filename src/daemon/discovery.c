// SPDX-License-Identifier: Apache-2.0
#include "daemon/discovery.h"

#include "base/log.h"
#include "base/text.h"
#include "daemon/found_server.h"
#include "daemon/strays.h"
#include "host/host_files.h"
#include "host/host_scan.h"
#include "model/launch.h"

#include <unistd.h>

enum {
    SCAN_BUDGET = 512,   // processes looked at in one run
    FIRST_BUDGET = 8192, // in the first one, before anything is shown
    PROXIES_MAX = 128,
};

static const char TITLE[] = "VLLM::"; // of every process but the first of a server

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
    bool full;      // more servers than there is room for
    bool holds_gpu; // what is looked at now
    struct buf cmdline;
    struct launch launch; // scratch: it is large

    size_t n_servers;
    struct found_server servers[DISCOVERY_SERVERS_MAX];
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

static bool is_same(const struct host_process *a, const struct host_process *b)
{
    return a->pid == b->pid && a->start_ticks == b->start_ticks;
}

/* ---- who is a server ---- */

static bool is_titled(const struct host_process *process)
{
    return strncmp(process->comm, TITLE, sizeof(TITLE) - 1) == 0;
}

static bool is_of(const struct found_server *server, const struct host_process *process)
{
    if (is_same(&server->found.root, process))
        return true;
    for (unsigned i = 0; i < server->n_members; i++)
        if (is_same(&server->members[i], process))
            return true;
    return false;
}

static struct found_server *find_server(struct discovery *discovery,
                                        const struct host_process *process)
{
    for (size_t i = 0; i < discovery->n_servers; i++)
        if (is_of(&discovery->servers[i], process))
            return &discovery->servers[i];
    return NULL;
}

/*
 * The server that a process is below of, or NULL. An error: that cannot be told just now,
 * and a part of a server is not to be taken for another one.
 */
static int server_above(struct discovery *discovery, const struct host_process *process,
                        struct found_server **ret)
{
    struct host_process at = *process;

    *ret = NULL;
    for (int depth = 0; depth < HOST_DEPTH_MAX && at.parent_pid > 1; depth++) {
        int r = host_read_process(discovery->host, at.parent_pid, &at);

        if (r < 0)
            return host_may_pass(r) ? r : 0;
        *ret = find_server(discovery, &at);
        if (*ret)
            return 0;
    }
    return 0;
}

/* Whether its command line is a server's; it is in `launch` then. */
static int read_launch(struct discovery *discovery, const struct host_process *process)
{
    int r = host_read_cmdline(discovery->host, process, &discovery->cmdline);

    if (r < 0)
        return host_may_pass(r) ? r : 0;
    return launch_read(buf_span(&discovery->cmdline), &discovery->launch) == 1 &&
           !discovery->launch.wrapped;
}

/*
 * The topmost one above `process` with a server's command line, or `process` itself: it
 * may not have been told, for want of a descriptor.
 */
static int find_root(struct discovery *discovery, const struct host_process *process,
                     struct host_process *ret)
{
    struct host_process at = *process;

    *ret = at;
    for (int depth = 0; depth < HOST_DEPTH_MAX && at.parent_pid > 1; depth++) {
        int r = host_read_process(discovery->host, at.parent_pid, &at);

        if (r < 0)
            return host_may_pass(r) ? r : 0;
        r = read_launch(discovery, &at);
        if (r < 0)
            return r;
        if (r == 1)
            *ret = at;
    }
    return 0;
}

static void add_member(struct found_server *server, const struct host_process *process)
{
    if (server->n_members == FOUND_MEMBERS_MAX)
        return;
    server->members[server->n_members++] = *process;
    server->looked_at = 0; // it may hold a socket that was there before
}

static void drop_server(struct discovery *discovery, size_t at)
{
    discovery->n_servers--;
    memmove(&discovery->servers[at], &discovery->servers[at + 1],
            (discovery->n_servers - at) * sizeof(discovery->servers[0]));
}

/* Those found before that are below `root` are a part of it. */
static void take_in(struct discovery *discovery, struct found_server *root)
{
    for (size_t i = 0; i < discovery->n_servers;) {
        struct found_server *server = &discovery->servers[i], *above;

        if (server == root || server_above(discovery, &server->found.root, &above) < 0 ||
            above != root) {
            i++;
            continue;
        }
        add_member(root, &server->found.root);
        for (unsigned m = 0; m < server->n_members; m++)
            add_member(root, &server->members[m]);
        drop_server(discovery, i);
        root -= root > server; // it has moved up by one
    }
}

/* What a command line tells; NULL: it was known by its workers' titles alone. */
static void take_launch(struct found_server *server, const struct launch *launch)
{
    const char *name;

    if (!launch)
        return;
    name = launch->served_name[0] ? launch->served_name : launch->model;
    (void)text_clean(server->found.name, sizeof(server->found.name), span_of(name));
    server->facts.tls = launch->tls;
    server->facts.port = 0;
    if (launch->port != UNKNOWN && launch->port <= UINT16_MAX)
        server->facts.port = (uint16_t)launch->port;
    else if (!launch->config_file[0] && launch->kind != LAUNCH_RUST)
        server->facts.port = DISCOVER_PORT_DEFAULT;
    server->found.port = server->facts.port ? server->facts.port : DISCOVER_PORT_DEFAULT;
    server->found.why = "loading: its port is not open yet";
    server->unix_path[0] = '\0';
    if (!launch->uds[0])
        return;
    server->found.why = "it listens on a Unix socket that is not asked, or not yet there";
    server->found.port = 0;
    if (launch->uds[0] == '/' && strlen(launch->uds) < FOUND_PATH_SIZE)
        memcpy(server->unix_path, launch->uds, strlen(launch->uds) + 1);
}

/* What does not change as long as it lives. False: it is gone. */
static bool look_at_server(struct discovery *discovery, struct found_server *server)
{
    const struct host_process *root = &server->found.root;
    int r;

    server->looked_at = 0;
    server->looks = 0;
    r = host_read_owner(discovery->host, root, &server->facts.uid);

    if (r < 0)
        return false;
    if (host_read_cgroup(discovery->host, root, &server->found.cgroup) < 0)
        server->found.cgroup = (struct host_cgroup){.runtime = HOST_RUNTIME_NONE};
    // Without an address on either side there is one network as far as we can tell.
    if (host_same_network(discovery->host, root, &server->own_network) < 0)
        server->own_network = true;
    if (host_same_users(discovery->host, root, &server->own_users) < 0)
        server->own_users = false;
    return true;
}

/* Anybody can start any number of processes that look like servers. */
static bool make_room(struct discovery *discovery, const struct found_server *server)
{
    if (discovery->n_servers < DISCOVERY_SERVERS_MAX)
        return true;
    if (!discover_may_ask(&server->facts, &discovery->users))
        return false;
    for (size_t i = 0; i < discovery->n_servers; i++)
        if (!discover_may_ask(&discovery->servers[i].facts, &discovery->users)) {
            drop_server(discovery, i);
            return true;
        }
    if (!discovery->full)
        log_warning("more than %d vLLM servers: the rest is not shown",
                    DISCOVERY_SERVERS_MAX);
    discovery->full = true;
    return false;
}

static void add_server(struct discovery *discovery, const struct host_process *root,
                       const struct launch *launch)
{
    struct found_server server = {.found = {.root = *root}};

    take_launch(&server, launch);
    server.facts.holds_gpu = discovery->holds_gpu;
    if (!look_at_server(discovery, &server) || !make_room(discovery, &server))
        return;
    discovery->servers[discovery->n_servers] = server;
    take_in(discovery, &discovery->servers[discovery->n_servers++]);
}

/* A new server, of which `process` is the root or a part. */
static void take_new_server(struct discovery *discovery,
                            const struct host_process *process)
{
    struct found_server *server;
    struct host_process root;

    if (find_root(discovery, process, &root) < 0 || read_launch(discovery, &root) != 1)
        return; // it is told once more
    add_server(discovery, &root, &discovery->launch);
    server = find_server(discovery, &root);
    if (server && !is_of(server, process))
        add_member(server, process);
}

/* A process whose command line is a server's. The topmost of a chain is its root. */
static void take_server(struct discovery *discovery, const struct host_process *process,
                        const struct launch *launch)
{
    struct found_server *server = find_server(discovery, process);

    if (server) {
        if (!is_same(&server->found.root, process))
            return;
        // It may have become another by exec since, of another user, in another network.
        server->found.inode = 0;
        server->found.url[0] = '\0';
        take_launch(server, launch);
        (void)look_at_server(discovery, server); // gone: it will be dropped
        return;
    }
    if (server_above(discovery, process, &server) < 0)
        return; // it is told once more
    if (server)
        add_member(server, process);
    else
        take_new_server(discovery, process);
}

/* Anybody may print such arguments; the real ones are started by root, on the host. */
static void take_proxy(struct discovery *discovery, const struct host_process *process,
                       const struct host_port_proxy *port)
{
    bool on_host = false;
    uint32_t uid;

    for (size_t i = 0; i < discovery->n_proxies; i++)
        if (is_same(&discovery->proxies[i].process, process))
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
    struct host_port_proxy port;
    struct span cmdline;

    if (is_titled(process) ||
        host_read_cmdline(discovery->host, process, &discovery->cmdline) < 0)
        return;
    cmdline = buf_span(&discovery->cmdline);
    if (launch_read(cmdline, &discovery->launch) == 1 && !discovery->launch.wrapped)
        take_server(discovery, process, &discovery->launch);
    else if (host_parse_port_proxy(cmdline, &port))
        take_proxy(discovery, process, &port);
}

/* ---- what the driver's processes tell ---- */

/* Python, or an actor of Ray, which has a title instead of a command line. */
static bool may_run_vllm(const struct discovery *discovery,
                         const struct host_process *process)
{
    return launch_is_python(buf_span(&discovery->cmdline)) ||
           strncmp(process->comm, "ray::", 5) == 0;
}

/*
 * A program that runs vLLM inside has a command line of its own, but its workers have
 * their titles. A worker whose server is gone hangs below an init or a supervisor.
 */
static void take_worker(struct discovery *discovery, const struct host_tree *tree,
                        const struct host_process *worker)
{
    const struct host_process *at = worker;
    struct found_server *above;

    while (at && is_titled(at))
        at = host_tree_find(tree, at->parent_pid);
    if (!at || at->pid <= 1 || find_server(discovery, at) ||
        server_above(discovery, at, &above) < 0 || above)
        return;
    buf_clear(&discovery->cmdline);
    on_process(discovery, at); // what it has become since it was told
    if (!find_server(discovery, at) && may_run_vllm(discovery, at))
        add_server(discovery, at, NULL);
}

/* The server whose tree a process of the driver's list is in, or NULL. */
static struct found_server *server_of(struct discovery *discovery,
                                      const struct host_tree *tree,
                                      const struct host_process *process)
{
    for (int depth = 0; process && depth < HOST_DEPTH_MAX; depth++) {
        struct found_server *server = find_server(discovery, process);

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
    discovery->holds_gpu = true;
    for (uint32_t i = 0; i < tree->n; i++)
        if (is_titled(&tree->processes[i]))
            take_worker(discovery, tree, &tree->processes[i]);
    for (uint32_t i = 0; i < gpu->n_processes; i++) {
        const struct host_process *process = host_tree_find(tree, gpu->processes[i].pid);

        if (process && !server_of(discovery, tree, process))
            take_stray(discovery, tree, process);
    }
    discovery->holds_gpu = false;
    for (size_t i = 0; i < discovery->n_servers; i++)
        discovery->servers[i].facts.holds_gpu = false;
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

/* One that cannot be read just now is not gone: its row would go, and come as another's. */
static bool lives(struct discovery *discovery, const struct host_process *process)
{
    struct host_process now;
    int r = host_read_process(discovery->host, process->pid, &now);

    return r < 0 ? r != -ESRCH : is_same(process, &now);
}

/*
 * One that has ended, and whose parent does not care, is still there; but it has neither
 * a socket nor a command line any more. The latter costs more to find out.
 */
static bool is_served(struct discovery *discovery, const struct found_server *server)
{
    int r;

    if (!lives(discovery, &server->found.root))
        return false;
    if (server->found.inode)
        return true;
    r = host_read_cmdline(discovery->host, &server->found.root, &discovery->cmdline);
    return r < 0 ? r != -ESRCH : discovery->cmdline.len > 0;
}

static void drop_dead_members(struct discovery *discovery, struct found_server *server)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < server->n_members; i++)
        if (lives(discovery, &server->members[i]))
            server->members[kept++] = server->members[i];
    server->n_members = kept;
}

static void drop_the_dead(struct discovery *discovery)
{
    size_t kept = 0;

    for (size_t i = 0; i < discovery->n_servers;) {
        if (is_served(discovery, &discovery->servers[i]))
            drop_dead_members(discovery, &discovery->servers[i++]);
        else
            drop_server(discovery, i);
    }
    for (size_t i = 0; i < discovery->n_proxies; i++) {
        if (!lives(discovery, &discovery->proxies[i].process))
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
    for (size_t i = 0; i < discovery->n_servers; i++) {
        struct found_server *server = &discovery->servers[i];

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
    for (size_t i = 0; i < discovery->n_servers; i++) {
        const struct found_server *server = &discovery->servers[i];

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
    for (size_t i = 0; i < discovery->n_servers; i++)
        if (!discovery->servers[i].own_network &&
            discover_may_ask(&discovery->servers[i].facts, &discovery->users))
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
    strays_adopt(&discovery->strays, discovery->servers, discovery->n_servers);
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
    buf_init(&discovery->cmdline, HOST_CMDLINE_MAX);
    memcpy(discovery->named, config->discover_users.uid, sizeof(discovery->named));
    discovery->users =
        (struct discover_users){geteuid(), discovery->named, config->discover_users.n};
    discovery->parent = parent;
    r = host_new(config->proc_root, &discovery->host);
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

void discovery_judge(struct discovery *discovery, const struct host_process *root,
                     bool is_engine)
{
    struct found_server *server = find_server(discovery, root);
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
