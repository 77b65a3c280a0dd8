// SPDX-License-Identifier: Apache-2.0
/*
 * What is said of a process by its control group, its arguments and its lists of
 * addresses is well-formed, and what is written out plainly means the same again.
 */
#include "host/cgroup.h"
#include "host/host_text.h"
#include "host/network.h"
#include "host/port_proxy.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_cgroup(struct span text)
{
    struct host_cgroup found, again;
    char line[512];
    size_t id_len, pod_len;
    int n;

    if (host_parse_cgroup(text, &found) < 0)
        return;
    id_len = strlen(found.container_id);
    pod_len = strlen(found.pod_uid);
    assert(id_len == 0 || id_len == HOST_CONTAINER_ID_SIZE - 1);
    assert((id_len > 0) ==
           (found.runtime >= HOST_RUNTIME_DOCKER && found.runtime <= HOST_RUNTIME_OTHER));
    assert(strspn(found.container_id, "0123456789abcdef") == id_len);
    assert(strspn(found.pod_uid, "0123456789abcdef-") == pod_len);
    assert(host_same_cgroup(&found, &found));
    if (id_len == 0)
        return;
    n = snprintf(line, sizeof(line), "0::/kubepods/pod%s/docker/%s\n", found.pod_uid,
                 found.container_id);
    assert(host_parse_cgroup((struct span){line, (size_t)n}, &again) == 0);
    assert(strcmp(found.container_id, again.container_id) == 0);
    assert(strcmp(found.pod_uid, again.pod_uid) == 0);
}

static void try_proxy(struct span text)
{
    struct host_port_proxy found, again;
    char host[INET6_ADDRSTRLEN], container[INET6_ADDRSTRLEN], line[512];
    int n;

    if (!host_parse_port_proxy(text, &found))
        return;
    assert(found.host_port > 0 && found.container_port > 0);
    assert(inet_ntop(AF_INET6, found.host_address, host, sizeof(host)));
    assert(inet_ntop(AF_INET6, found.container_address, container, sizeof(container)));
    n = snprintf(line, sizeof(line),
                 "docker-proxy%c-host-ip=%s%c-host-port=%u%c-container-ip%c%s%c"
                 "-container-port%c%u%c",
                 0, host, 0, found.host_port, 0, 0, container, 0, 0, found.container_port,
                 0);
    assert(host_parse_port_proxy((struct span){line, (size_t)n}, &again));
    assert(memcmp(&found, &again, sizeof(found)) == 0);
}

static void try_addresses(struct span text)
{
    struct host_addresses found = {0};
    struct host_trie trie = {0};
    struct span line;

    while (host_take_until(&text, '\n', &line)) {
        host_add_trie_line(&trie, line, &found);
        host_add_inet6_line(line, &found);
    }
    assert(found.n <= HOST_ADDRESSES_MAX);
    for (uint32_t i = 1; i < found.n; i++)
        assert(memcmp(found.at[i - 1], found.at[i], HOST_ADDRESS_SIZE) < 0);
}

static void try_numbers(struct span text)
{
    uint64_t bytes;
    uint32_t uid;

    if (host_find_memory(text, "MemTotal", &bytes) == 0)
        assert(bytes % 1024 == 0 && bytes != UNKNOWN);
    if (host_find_uid(text, &uid) == 0)
        assert(uid != UINT32_MAX);
    (void)host_has_one_ns_pid(text); // either answer will do, if it reads no further
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};

    try_cgroup(text);
    try_proxy(text);
    try_addresses(text);
    try_numbers(text);
    return 0;
}
