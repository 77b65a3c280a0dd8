// SPDX-License-Identifier: Apache-2.0
#include "daemon/strays.h"

static struct stray *find_stray(struct strays *strays, const struct host_process *process)
{
    for (size_t i = 0; i < strays->n; i++)
        if (strays->at[i].process.pid == process->pid &&
            strays->at[i].process.start_ticks == process->start_ticks)
            return &strays->at[i];
    return NULL;
}

bool strays_see(struct strays *strays, struct host *host,
                const struct host_process *process)
{
    struct stray *stray = find_stray(strays, process);
    bool is_new = !stray && strays->n < STRAYS_MAX;
    struct host_cgroup cgroup;

    if (is_new) {
        stray = &strays->at[strays->n++];
        *stray = (struct stray){0};
        if (host_read_cgroup(host, process, &cgroup) == 0)
            memcpy(stray->container_id, cgroup.container_id, HOST_CONTAINER_ID_SIZE);
    }
    if (stray) {
        stray->process = *process;
        stray->seen = true;
    }
    return is_new;
}

void strays_forget(struct strays *strays)
{
    size_t kept = 0;

    for (size_t i = 0; i < strays->n; i++) {
        if (!strays->at[i].seen)
            continue;
        strays->at[kept] = strays->at[i];
        strays->at[kept++].seen = false;
    }
    strays->n = kept;
}

/*
 * Whether it is in another tree by its nature. What else is in a server's container (a
 * notebook, a training job, a worker left over) is not the server's.
 */
static bool is_ray_worker(const struct host_process *process)
{
    static const char title[] = "ray::RayWorker";

    return strncmp(process->comm, title, sizeof(title) - 1) == 0;
}

/* The one server in that container; NULL: none, or several. */
static const struct found_server *only_server_in(const struct found_server *servers,
                                                 size_t n, const char *container_id)
{
    const struct found_server *found = NULL;

    for (size_t i = 0; i < n; i++) {
        if (strcmp(servers[i].found.cgroup.container_id, container_id) != 0)
            continue;
        if (found)
            return NULL;
        found = &servers[i];
    }
    return found;
}

void strays_adopt(struct strays *strays, const struct found_server *servers, size_t n)
{
    strays->n_adoptions = 0;
    for (size_t i = 0; i < strays->n; i++) {
        const struct stray *stray = &strays->at[i];
        const struct found_server *server = NULL;

        if (stray->container_id[0] && is_ray_worker(&stray->process))
            server = only_server_in(servers, n, stray->container_id);
        if (server)
            strays->adoptions[strays->n_adoptions++] = (struct join_adoption){
                .pid = stray->process.pid, .root_pid = server->found.root.pid};
    }
}
