// SPDX-License-Identifier: Apache-2.0
#include "daemon/server_list.h"

#include "base/log.h"
#include "base/text.h"
#include "host/host_files.h"

enum { PORT_TEXT_MAX = 512 }; // of a variable that has a port in it

void server_list_init(struct server_list *list, struct host *host,
                      const struct discover_users *users)
{
    list->host = host;
    list->users = users;
    buf_init(&list->cmdline, HOST_CMDLINE_MAX);
}

void server_list_done(struct server_list *list)
{
    buf_done(&list->cmdline);
}

bool is_same_process(const struct host_process *a, const struct host_process *b)
{
    return a->pid == b->pid && a->start_ticks == b->start_ticks;
}

static bool is_of(const struct found_server *server, const struct host_process *process)
{
    if (is_same_process(&server->found.root, process))
        return true;
    for (unsigned i = 0; i < server->n_members; i++)
        if (is_same_process(&server->members[i], process))
            return true;
    return false;
}

struct found_server *server_list_find(struct server_list *list,
                                      const struct host_process *process)
{
    for (size_t i = 0; i < list->n; i++)
        if (is_of(&list->at[i], process))
            return &list->at[i];
    return NULL;
}

int server_list_above(struct server_list *list, const struct host_process *process,
                      struct found_server **ret)
{
    struct host_process at = *process;

    *ret = NULL;
    for (int depth = 0; depth < HOST_DEPTH_MAX && at.parent_pid > 1; depth++) {
        int r = host_read_process(list->host, at.parent_pid, &at);

        if (r < 0)
            return host_may_pass(r) ? r : 0;
        *ret = server_list_find(list, &at);
        if (*ret)
            return 0;
    }
    return 0;
}

/* Whether its command line is a server's; it is in `launch` then. */
static int read_launch(struct server_list *list, const struct host_process *process)
{
    int r = host_read_cmdline(list->host, process, &list->cmdline);

    if (r < 0)
        return host_may_pass(r) ? r : 0;
    return server_launch_read(buf_span(&list->cmdline), &list->launch) == 1 &&
           !list->launch.wrapped;
}

/*
 * The topmost one above `process` with a server's command line, or `process` itself: it
 * may not have been told, for want of a descriptor.
 */
static int find_root(struct server_list *list, const struct host_process *process,
                     struct host_process *ret)
{
    struct host_process at = *process;

    *ret = at;
    for (int depth = 0; depth < HOST_DEPTH_MAX && at.parent_pid > 1; depth++) {
        int r = host_read_process(list->host, at.parent_pid, &at);

        if (r < 0)
            return host_may_pass(r) ? r : 0;
        r = read_launch(list, &at);
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

static void drop_server(struct server_list *list, size_t at)
{
    list->n--;
    memmove(&list->at[at], &list->at[at + 1], (list->n - at) * sizeof(list->at[0]));
}

/* Those found before that are below `root` are a part of it. */
static void take_in(struct server_list *list, struct found_server *root)
{
    for (size_t i = 0; i < list->n;) {
        struct found_server *server = &list->at[i], *above;

        if (server == root || server_list_above(list, &server->found.root, &above) < 0 ||
            above != root) {
            i++;
            continue;
        }
        add_member(root, &server->found.root);
        for (unsigned m = 0; m < server->n_members; m++)
            add_member(root, &server->members[m]);
        drop_server(list, i);
        root -= root > server; // it has moved up by one
    }
}

/* The port as its environment has it, where it counts. */
static uint64_t port_of(struct server_list *list, const struct host_process *root,
                        const struct server_launch *launch)
{
    char value[PORT_TEXT_MAX];
    uint64_t port = launch->port;
    int n;

    if (port != UNKNOWN || !launch->port_variable)
        return port;
    n = host_read_environ_value(list->host, root, launch->port_variable, value,
                                sizeof(value));
    if (n < 0 || !server_launch_read_port((struct span){value, (size_t)n}, &port))
        return UNKNOWN;
    return port;
}

/* Told or not, it is one port, or none. */
static void take_port(struct server_list *list, struct found_server *server,
                      const struct server_launch *launch)
{
    struct discover_server *facts = &server->facts;
    uint64_t port = port_of(list, &server->found.root, launch);

    facts->default_port = launch->default_port;
    facts->mute = port == UNKNOWN && launch->no_port_why;
    facts->port = port == UNKNOWN ? launch->default_port : (uint16_t)port;
    server->found.off = facts->mute;
    server->found.port = facts->port;
    if (!facts->port && !facts->mute)
        server->found.port = DISCOVER_PORT_DEFAULT;
    server->found.why =
        facts->mute ? launch->no_port_why : "loading: its port is not open yet";
}

/* What a command line tells; NULL: it was known by its workers' titles alone. */
static void take_launch(struct server_list *list, struct found_server *server,
                        const struct server_launch *launch)
{
    const char *name;

    if (!launch)
        return;
    // Who is started without a model has the name of what it is, until it says more.
    name = launch->name[0] || strcmp(launch->engine, "vllm") == 0 ? launch->name
                                                                  : launch->engine;
    server->found.engine = launch->engine;
    (void)text_clean(server->found.name, sizeof(server->found.name), span_of(name));
    server->facts.tls = launch->tls;
    take_port(list, server, launch);
    server->unix_path[0] = '\0';
    if (!launch->uds[0])
        return;
    server->found.why = "it listens on a Unix socket that is not asked, or not yet there";
    server->found.port = 0;
    if (launch->uds[0] == '/' && strlen(launch->uds) < FOUND_PATH_SIZE)
        memcpy(server->unix_path, launch->uds, strlen(launch->uds) + 1);
}

/* What does not change as long as it lives. False: it is gone. */
static bool look_at_server(struct server_list *list, struct found_server *server)
{
    const struct host_process *root = &server->found.root;
    int r;

    server->looked_at = 0;
    server->looks = 0;
    r = host_read_owner(list->host, root, &server->facts.uid);

    if (r < 0)
        return false;
    if (host_read_cgroup(list->host, root, &server->found.cgroup) < 0)
        server->found.cgroup = (struct host_cgroup){.runtime = HOST_RUNTIME_NONE};
    // Without an address on either side there is one network as far as we can tell.
    if (host_same_network(list->host, root, &server->own_network) < 0)
        server->own_network = true;
    if (host_same_users(list->host, root, &server->own_users) < 0)
        server->own_users = false;
    return true;
}

/* Anybody can start any number of processes that look like servers. */
static bool make_room(struct server_list *list, const struct found_server *server)
{
    if (list->n < DISCOVERY_SERVERS_MAX)
        return true;
    if (!discover_may_ask(&server->facts, list->users))
        return false;
    for (size_t i = 0; i < list->n; i++)
        if (!discover_may_ask(&list->at[i].facts, list->users)) {
            drop_server(list, i);
            return true;
        }
    if (!list->full)
        log_warning("more than %d servers: the rest is not shown", DISCOVERY_SERVERS_MAX);
    list->full = true;
    return false;
}

void server_list_add(struct server_list *list, const struct host_process *root,
                     const struct server_launch *launch)
{
    struct found_server server = {.found = {.root = *root}};

    take_launch(list, &server, launch);
    server.facts.holds_gpu = list->holds_gpu;
    if (!look_at_server(list, &server) || !make_room(list, &server))
        return;
    list->at[list->n] = server;
    take_in(list, &list->at[list->n++]);
}

/* A new server, of which `process` is the root or a part. */
static void take_new_server(struct server_list *list, const struct host_process *process)
{
    struct found_server *server;
    struct host_process root;

    if (find_root(list, process, &root) < 0 || read_launch(list, &root) != 1)
        return; // it is told once more
    server_list_add(list, &root, &list->launch);
    server = server_list_find(list, &root);
    if (server && !is_of(server, process))
        add_member(server, process);
}

void server_list_take(struct server_list *list, const struct host_process *process,
                      const struct server_launch *launch)
{
    struct found_server *server = server_list_find(list, process);

    if (server) {
        if (!is_same_process(&server->found.root, process))
            return;
        // It may have become another by exec since, of another user, in another network.
        server->found.inode = 0;
        server->found.url[0] = '\0';
        take_launch(list, server, launch);
        (void)look_at_server(list, server); // gone: it will be dropped
        return;
    }
    if (server_list_above(list, process, &server) < 0)
        return; // it is told once more
    if (server)
        add_member(server, process);
    else
        take_new_server(list, process);
}

bool process_lives(struct host *host, const struct host_process *process)
{
    struct host_process now;
    int r = host_read_process(host, process->pid, &now);

    return r < 0 ? r != -ESRCH : is_same_process(process, &now);
}

/*
 * One that has ended, and whose parent does not care, is still there; but it has neither
 * a socket nor a command line any more. The latter costs more to find out.
 */
static bool is_served(struct server_list *list, const struct found_server *server)
{
    int r;

    if (!process_lives(list->host, &server->found.root))
        return false;
    if (server->found.inode)
        return true;
    r = host_read_cmdline(list->host, &server->found.root, &list->cmdline);
    return r < 0 ? r != -ESRCH : list->cmdline.len > 0;
}

static void drop_dead_members(struct server_list *list, struct found_server *server)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < server->n_members; i++)
        if (process_lives(list->host, &server->members[i]))
            server->members[kept++] = server->members[i];
    server->n_members = kept;
}

void server_list_drop_the_dead(struct server_list *list)
{
    for (size_t i = 0; i < list->n;) {
        if (is_served(list, &list->at[i]))
            drop_dead_members(list, &list->at[i++]);
        else
            drop_server(list, i);
    }
}
