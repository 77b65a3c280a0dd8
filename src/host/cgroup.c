// SPDX-License-Identifier: Apache-2.0
#include "host/cgroup.h"

#include "base/number.h"
#include "base/text.h"
#include "host/host_proc.h"
#include "host/host_root.h"
#include "host/host_text.h"

enum {
    CGROUP_TEXT_MAX = 12288, // a dozen hierarchies of 1,000 bytes; further lines are cut
    ID_LEN = HOST_CONTAINER_ID_SIZE - 1,
    POD_UID_LEN = HOST_POD_UID_SIZE - 1,
    SHORT_POD_UID_LEN = 32, // of a pod from a file of the node, without '-'
};

static struct span skip(struct span text, size_t len)
{
    return (struct span){text.at + len, text.len - len};
}

static bool ends_with(struct span text, const char *suffix)
{
    size_t len = strlen(suffix);

    return text.len >= len && memcmp(text.at + text.len - len, suffix, len) == 0;
}

static struct span without_suffix(struct span text, const char *suffix)
{
    if (ends_with(text, suffix))
        text.len -= strlen(suffix);
    return text;
}

static bool is_hex(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!((text.at[i] >= '0' && text.at[i] <= '9') ||
              (text.at[i] >= 'a' && text.at[i] <= 'f')))
            return false;
    return true;
}

static bool is_id(struct span text)
{
    return text.len == ID_LEN && is_hex(text);
}

/* What precedes the id in a name; a name may also end in ".scope", systemd's. */
static const struct {
    const char *prefix;
    enum host_runtime runtime;
} prefixes[] = {
    {"docker-", HOST_RUNTIME_DOCKER},
    {"cri-containerd-", HOST_RUNTIME_CONTAINERD},
    {"nerdctl-", HOST_RUNTIME_CONTAINERD},
    {"crio-", HOST_RUNTIME_CRIO},
    {"libpod-payload-", HOST_RUNTIME_PODMAN},
    {"libpod-", HOST_RUNTIME_PODMAN},
};

/*
 * One name of a path. A bare id is Docker's below "docker". containerd, given systemd's
 * way of writing without its driver, makes a name of it: "...slice:cri-containerd:ID".
 */
static enum host_runtime find_id(struct span name, struct span before, struct span *ret)
{
    static const char written[] = ":cri-containerd:";
    const size_t written_len = strlen(written);

    name = without_suffix(name, ".scope");
    if (name.len < ID_LEN)
        return HOST_RUNTIME_NONE;
    *ret = skip(name, name.len - ID_LEN);
    if (!is_id(*ret))
        return HOST_RUNTIME_NONE;
    name.len -= ID_LEN;
    if (name.len == 0)
        return span_is(before, "docker") ? HOST_RUNTIME_DOCKER : HOST_RUNTIME_OTHER;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (span_is(name, prefixes[i].prefix))
            return prefixes[i].runtime;
    if (name.len >= written_len && ends_with(name, written))
        return HOST_RUNTIME_CONTAINERD;
    return HOST_RUNTIME_NONE;
}

/* 8-4-4-4-12 digits; systemd's names have '_' in place of '-'. */
static bool read_pod_uid(struct span text, char ret[HOST_POD_UID_SIZE])
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    if (text.len != POD_UID_LEN && text.len != SHORT_POD_UID_LEN)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool is_dash = text.len == POD_UID_LEN && form[i] == '-';
        char c = text.at[i] == '_' ? '-' : text.at[i];

        if (is_dash ? c != '-' : !is_hex((struct span){text.at + i, 1}))
            return false;
    }
    memcpy(ret, text.at, text.len);
    ret[text.len] = '\0';
    for (char *at = strchr(ret, '_'); at; at = strchr(at, '_'))
        *at = '-';
    return true;
}

/* podUID, or kubepods-burstable-podUID.slice, which more may follow after a ':'. */
static bool find_pod_uid(struct span name, char ret[HOST_POD_UID_SIZE])
{
    struct span part;
    const char *pod;

    if (!host_take_until(&name, ':', &part))
        return false;
    part = without_suffix(part, ".slice");
    if (host_starts_with(part, "pod"))
        return read_pod_uid(skip(part, strlen("pod")), ret);
    pod = part.len ? memmem(part.at, part.len, "-pod", strlen("-pod")) : NULL;
    if (!pod)
        return false;
    return read_pod_uid(skip(part, (size_t)(pod - part.at) + strlen("-pod")), ret);
}

/* FNV-1a */
static uint64_t hash_of(struct span text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (uint8_t)text.at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/*
 * /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/crio-ID.scope
 *
 * From the outside in. A path that leads out of our own namespace starts with "/..".
 */
static void read_path(struct span path, struct host_cgroup *ret)
{
    struct span rest, name = {NULL, 0}, before = name, id;
    bool in_pods = false;

    path = without_suffix(path, " (deleted)"); // by the kernel, while processes are left
    rest = path;
    *ret = (struct host_cgroup){.path_hash = hash_of(path)};
    (void)text_clean(ret->path, sizeof(ret->path), path);
    while (host_take_until(&rest, '/', &name)) {
        enum host_runtime runtime = find_id(name, before, &id);

        if (name.len && memmem(name.at, name.len, "kubepods", strlen("kubepods")))
            in_pods = true;
        if (in_pods)
            (void)find_pod_uid(name, ret->pod_uid); // most names have none
        if (runtime != HOST_RUNTIME_NONE) {
            ret->runtime = runtime;
            memcpy(ret->container_id, id.at, ID_LEN);
        }
        before = name;
    }
    if (ret->runtime == HOST_RUNTIME_NONE && ends_with(name, ".service"))
        ret->runtime = HOST_RUNTIME_SYSTEMD_SERVICE;
}

static bool has_controller(struct span controllers, const char *name)
{
    struct span one;

    while (host_take_until(&controllers, ',', &one))
        if (span_is(one, name))
            return true;
    return false;
}

/* How much the path of a hierarchy says: a container more than a path, that than "/". */
static unsigned rank_of(struct span number, struct span controllers,
                        const struct host_cgroup *cgroup)
{
    unsigned rank = 1;

    if (has_controller(controllers, "memory"))
        rank = 5;
    else if (has_controller(controllers, "pids"))
        rank = 4;
    else if (span_is(controllers, "name=systemd"))
        rank = 3;
    else if (controllers.len == 0 && span_is(number, "0"))
        rank = 2;
    if (strcmp(cgroup->path, "/") != 0)
        rank += 10;
    if (*cgroup->container_id)
        rank += 20;
    return rank;
}

/* "4:memory:/docker/ID", or of version 2 "0::/..." */
static unsigned read_line(struct span line, struct host_cgroup *ret)
{
    struct span number, controllers = {NULL, 0};
    uint64_t ignored;

    if (!host_take_until(&line, ':', &number) ||
        number_read_u64(number, UINT32_MAX, &ignored) < 0 ||
        !host_take_until(&line, ':', &controllers) || !host_starts_with(line, "/"))
        return 0;
    read_path(line, ret);
    return rank_of(number, controllers, ret);
}

int host_parse_cgroup(struct span text, struct host_cgroup *ret)
{
    struct host_cgroup best, cgroup;
    unsigned best_rank = 0;
    struct span line;

    while (host_take_until(&text, '\n', &line)) {
        unsigned rank = read_line(line, &cgroup);

        if (rank > best_rank) {
            best_rank = rank;
            best = cgroup;
        }
    }
    if (best_rank == 0)
        return -EBADMSG;
    *ret = best;
    return 0;
}

int host_read_cgroup(struct host *host, const struct host_process *process,
                     struct host_cgroup *ret)
{
    OWNED(close_fd) int fd = host_open_same(host, process);
    char text[CGROUP_TEXT_MAX];
    struct host_cgroup cgroup;
    ssize_t len;
    int r;

    if (fd < 0)
        return fd;
    len = host_read_start(fd, "cgroup", text, sizeof(text));
    r = host_check_same(fd, process);
    if (r < 0)
        return r;
    if (len < 0)
        return host_denial_of((int)len);
    while (len > 0 && text[len - 1] != '\n') // a path that was cut is another path
        len--;
    r = host_parse_cgroup((struct span){text, (size_t)len}, &cgroup);
    if (r < 0)
        return r;
    *ret = cgroup;
    return 0;
}

bool host_same_cgroup(const struct host_cgroup *a, const struct host_cgroup *b)
{
    return a->path_hash == b->path_hash && strcmp(a->path, b->path) == 0;
}
