// SPDX-License-Identifier: Apache-2.0
/*
 * cgroup.h - the container, pod or service that a process was put into
 *
 * Told by the path of its control group alone, by the names that container runtimes are
 * known to give; no runtime is asked. Who may make control groups (root, and users below
 * their own) can name one as any runtime would: this groups processes, and proves nothing
 * about them. /proc/PID/cgroup needs no privilege. Nothing here allocates.
 */
#ifndef HOST_CGROUP_H
#define HOST_CGROUP_H

#include "host/host.h"

enum {
    HOST_CONTAINER_ID_SIZE = 65, // with its NUL
    HOST_POD_UID_SIZE = 37,
    HOST_CGROUP_PATH_SIZE = 256,
};

enum host_runtime {
    HOST_RUNTIME_NONE,
    HOST_RUNTIME_DOCKER,
    HOST_RUNTIME_CONTAINERD,
    HOST_RUNTIME_CRIO,
    HOST_RUNTIME_PODMAN,
    HOST_RUNTIME_OTHER,           // a container, by its id; the path does not say whose
    HOST_RUNTIME_SYSTEMD_SERVICE, // in no container
};

struct host_cgroup {
    enum host_runtime runtime;
    char container_id[HOST_CONTAINER_ID_SIZE]; // 64 hexadecimal digits, or empty
    char pod_uid[HOST_POD_UID_SIZE];  // with '-', as Kubernetes prints it, or empty
    char path[HOST_CGROUP_PATH_SIZE]; // cleaned by text_clean(), and cut
    uint64_t path_hash;               // of all of it, as it was
};

/*
 * The text of /proc/PID/cgroup. Of containers in containers, the innermost counts. With
 * several hierarchies (version 1), the one that tells a container is taken, else memory,
 * pids, systemd's own, version 2, any. -EBADMSG: not one good line.
 */
int host_parse_cgroup(struct span text, struct host_cgroup *ret) MUST_CHECK;

/* -ESRCH: the process is gone. -ENOENT: a kernel without control groups. */
int host_read_cgroup(struct host *host, const struct host_process *process,
                     struct host_cgroup *ret) MUST_CHECK;

/* Of two that were read by one host. Two roots "/" are the same, and say nothing. */
bool host_same_cgroup(const struct host_cgroup *a, const struct host_cgroup *b);

#endif
